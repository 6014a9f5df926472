"""`import tinyvae` is light: heavy libraries wait until something asks for them."""

import subprocess
import sys
from pathlib import Path

import pytest

import tinyvae

HEAVY = ["matplotlib", "cupy", "sklearn", "pooch", "PIL", "torch", "pandas"]


@pytest.mark.parametrize("statement", ["import tinyvae", "from tinyvae import VAE, Adam"])
def test_import_loads_nothing_heavy(statement):
    code = f"{statement}; import sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize("name", tinyvae.__all__)
def test_every_public_name_resolves_and_is_listed(name):
    assert getattr(tinyvae, name) is not None
    assert name in dir(tinyvae)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tinyvae' has no attribute 'Vae'"):
        tinyvae.Vae  # noqa: B018


def test_the_library_never_imports_the_command_line():
    folder = Path(tinyvae.__file__).parent
    for path in folder.rglob("*.py"):
        if path.name != "__main__.py" and "cli" not in path.relative_to(folder).parts:
            assert "tinyvae.cli" not in path.read_text("utf-8"), path
