"""Runs and checkpoints that the first version left: they load, and resume as it would have."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tinyvae import load
from tinyvae.cli import train
from tinyvae.train.runs import open_run

HERE = Path(__file__).resolve().parent / "support" / "first_version"


@pytest.mark.parametrize(("name", "epochs"), [("run", 8), ("iwae", 4)])
def test_a_run_of_the_first_version_resumes_as_it_would_have(name, epochs, tmp_path, monkeypatch):
    shutil.copytree(HERE, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    before = open_run(name).done
    assert train.main(["--resume", name, "--epochs", str(epochs), "--no-figures", "--quiet"]) == 0
    found, expected = np.load(f"{name}/checkpoint.npz"), np.load(f"{name}-resumed.npz")
    assert (before, len(found["history"])) == (epochs // 2, epochs)
    for array in expected.files:
        np.testing.assert_allclose(found[array], expected[array], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["run", "iwae"])
def test_a_checkpoint_of_the_first_version_loads(name):
    model, stored = load(HERE / name), np.load(HERE / name / "checkpoint.npz")
    for parameter, view in model.parameters.items():
        np.testing.assert_array_equal(view, stored[parameter])
    assert model.sigma == stored["sigma"]
