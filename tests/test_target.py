"""`module:object` and `file.py:object`: found in the same way by `gradcheck` and by `audit`."""

import json
import sys

import pytest

from tinyvae.cli import main as cli
from tinyvae.cli import target

OWN = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np

@dataclass
class Scale:
    factor: float = 2.0

    def forward(self, x):
        return self.factor * x

    def backward(self, dy):
        return self.factor * dy

    def reparameterize(self, mu, logvar):
        return mu + np.exp(0.5 * logvar) * np.random.standard_normal(mu.shape)

class Outer:
    class Inner(Scale):
        pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder with people's own code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    for name in ("own.py", "json.py"):
        (tmp_path / name).write_text(OWN)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "neighbour.py").write_text("x = 1")
    (tmp_path / "deeper" / "asks.py").write_text("import neighbour\n" + OWN.replace("from __", "#"))
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(0)")
    (tmp_path / "lacks.py").write_text("import no_such_library")
    (tmp_path / "broken.py").write_text("x = (")
    yield tmp_path
    for name in ("own", "asks", "neighbour", "exits", "lacks", "json.py"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("command", ["gradcheck", "audit"])
@pytest.mark.parametrize(
    "name",
    ["own:Scale", "own.py:Scale", "./own.py:Scale", "own:Outer.Inner", "deeper/asks.py:Scale",
     "json.py:Scale"],
)  # fmt: skip
def test_what_a_target_names_is_found(command, name, capsys):
    assert cli.main([command, name]) != 2, capsys.readouterr()
    assert sys.modules["json"] is json


@pytest.mark.parametrize("command", ["gradcheck", "audit"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing:X", "there is no module 'nothing' here or installed"),
        ("own.nothing:X", "there is no module 'own.nothing' here or installed"),
        ("nothing.py:X", "there is no file nothing.py"),
        ("own:Scael", "own has no 'Scael'; it"),
        ("own.py:Scale.nothing", "own.py has no 'nothing'"),
        ("broken:X", "broken cannot be imported: SyntaxError"),
        ("lacks:X", "lacks cannot be imported: ModuleNotFoundError: No module named 'no_such_lib"),
        ("exits.py:X", "exits.py ends itself with sys.exit(0) where it is imported"),
        (":X", "names no"),
    ],
)
def test_what_cannot_be_found_is_told_in_one_line(command, name, words, capsys):
    assert cli.main([command, name]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_file_that_failed_is_not_kept_as_a_module():
    with pytest.raises(ValueError, match="ends itself with"):
        target.load("exits.py:X")
    assert "exits" not in sys.modules
