"""MATHEMATICS.md names functions and tests: all of them exist, and none of the core is left out."""

import ast
import importlib
import inspect
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "MATHEMATICS.md").read_text(encoding="utf-8")
FUNCTIONS = sorted(set(re.findall(r"`(tinyvae\.[\w.]+)`", PAGE)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE)))
SECTIONS = re.findall(r"^## \d+\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_that_the_page_names_exists(name):
    parts = name.split(".")
    n = 2 if len(parts) == 3 else 3  # of the module
    found = reduce(getattr, parts[n:], importlib.import_module(".".join(parts[:n])))
    assert parts[n:] and (callable(found) or isinstance(found, property))


@pytest.mark.parametrize("name", TESTS)
def test_every_test_that_the_page_names_exists(name):
    path, function = name.split("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", ["layers", "latent", "likelihood", "optim", "columns"])
def test_every_public_name_of_the_mathematics_has_its_equation(module):
    module = importlib.import_module(f"tinyvae.core.{module}")
    public = [
        f"{module.__name__}.{name}"
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and (inspect.isclass(value) or inspect.isfunction(value))
        and not name.startswith("_")
    ]
    assert public and set(public) <= set(FUNCTIONS)


@pytest.mark.parametrize("section", SECTIONS, ids=[s.splitlines()[0][3:] for s in SECTIONS])
def test_every_section_names_its_function_and_its_witness(section):
    assert "tests/" in section
    assert "Computed by `tinyvae." in section or "The witness of the whole" in section
