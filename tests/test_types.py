"""What a type checker sees: the README's example is right, a misspelled one is not."""

import re
import sys
from pathlib import Path

import pytest

mypy = pytest.importorskip("mypy.api", reason="mypy is not installed")
pytestmark = pytest.mark.types

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[0]
WRONG = """\
from tinyvae import VAE, Adam, Gaussian, fit
vae = VAE(784, hiden=(2,))
vae.forward(x=1, epsilon=2)
Adam(vae.parameters, rate=1)
Gaussian("auto")
fit(vae, epoch=3)
"""


def test_the_readmes_example_is_clean_and_a_wrong_one_is_caught(tmp_path, monkeypatch):
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache")]
    options += ["--python-executable", sys.executable, "--config-file", ""]
    found, errors, _ = mypy.run(
        [*options, str(tmp_path / "example.py"), str(tmp_path / "wrong.py")]
    )
    lines = [line for line in found.splitlines() if "error:" in line]
    assert not errors and not [line for line in lines if "example.py" in line]
    wrong = {int(line.split(".py:")[1].split(":")[0]) for line in lines if "wrong.py" in line}
    assert wrong == {2, 3, 4, 5, 6}
