"""The folders keep their promises: which imports there are, and how large the core is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tinyvae"
FILES = sorted(PACKAGE.rglob("*.py"))
SIX = ("arrays", "layers", "latent", "likelihood", "model", "optim")
BELOW = {  # folders, and what they may import besides themselves: arrows point down
    "core": (),
    "engines": ("core", "data", "checks", "device", "models", "threads"),
    "evaluate": ("core", "data", "checks", "device", "models", "threads"),
    "train": ("core", "data", "engines", "evaluate", "checks", "device", "models", "threads"),
}


def module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules of the package that a file imports when it is itself imported."""
    found = set()
    for node in _run_at_import(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return frozenset(name for name in found if name.startswith("tinyvae"))


def _run_at_import(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements outside of functions and of `if TYPE_CHECKING`."""
    found = []
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        found.append(node)
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                found += _run_at_import(getattr(node, part, []))
    return found


def test_the_six_files_of_the_core_stay_small():
    lines = [len((PACKAGE / "core" / f"{name}.py").read_text().splitlines()) for name in SIX]
    assert sum(lines) <= 650


def test_the_package_shows_few_files_beside_its_folders():
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 8


@pytest.mark.parametrize("folder", BELOW)
def test_arrows_point_down(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        if path.name == "__main__.py":
            continue
        for name in imports(path):
            first = (name + "..").split(".")[1]
            assert first in ("", folder, *BELOW[folder]), f"{module(path)} imports {name}"


def test_no_import_leads_back():
    """A depth-first walk from every module meets none that it has not left."""
    files = {module(path): path for path in FILES}
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way, name))
        if name in files and name not in done:
            for other in imports(files[name]) - {name}:
                walk(other, (*way, name))
            done.add(name)

    for name in files:
        walk(name, ())


@pytest.mark.parametrize("path", FILES, ids=module)
def test_nothing_is_planted_on_an_object(path):
    assert not re.search(r"__class__ =|\.\w+ = lambda", path.read_text(encoding="utf-8"))
