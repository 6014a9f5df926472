"""The commands on a Windows and a macOS that are simulated (`support/platforms.py`): what these
systems lack is not needed, and the same bits come out."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import platforms
import pytest

SUPPORT = Path(__file__).parent / "support"
WORK = """\
import sys
if sys.argv[1] != "here":
    import platforms
    platforms.pretend(sys.argv[1])
from tinyvae.cli.main import main

options = ["--hidden", "8", "--batch-size", "500", "--out", "run"]
for words in [
    ["train", *options, "--epochs", "1"],
    ["train", "--resume", "run", "--epochs", "2", "--no-figures"],
    ["evaluate", "run", "--samples", "2"],
    ["sample", "run", "-n", "3", "--out", "new.npy"],
    ["encode", "run", "new.npy", "--out", "codes.npz"],
    ["decode", "run", "codes.npz", "--out", "decoded.npy"],
    ["reconstruct", "run", "new.npy", "--out", "restored.npy"],
    ["interpolate", "run", "new.npy", "0", "2", "--steps", "3", "--out", "way.npy"],
    ["score", "run", "new.npy", "--samples", "2", "--out", "scores.csv"],
    ["explore", "run", "--points", "20"],
    ["playground", "--run", "run", "--out", "page.html"],
    ["gradcheck", "tinyvae:Dense", "--args", "4,3"],
    ["three-panels", "--epochs", "1"],
    ["exercises"],
    ["tutorials", "course"],
    ["figures", "run", "--only", "plane"],
    ["train", "--dataset", "new.npy", "--epochs", "1", "--out", "own", "--no-figures"],
]:
    assert main(words) == 0, words
"""


def work(folder: Path, platform: str) -> subprocess.CompletedProcess:
    folder.mkdir()
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path])}
    variables["PYTHONIOENCODING"] = "cp1252" if platform == "win32" else "utf-8"  # of the console
    command = [sys.executable, "-X", "warn_default_encoding", "-c", WORK, platform]
    options = {"encoding": variables["PYTHONIOENCODING"]}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, **options)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here") / "work"
    done = work(folder, "here")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_the_commands_do_on_a_simulated_platform_what_they_do_here(platform, here, tmp_path):
    done = work(tmp_path / "work", platform)
    assert done.returncode == 0, done.stderr

    assert files(tmp_path / "work") == files(here)
    for run in ("run", "own"):
        found, expected = (np.load(at / run / "checkpoint.npz") for at in (tmp_path / "work", here))
        same = [name for name in expected.files if "second" not in name and "config" not in name]
        assert "encoder.0.W" in same
        for name in same:
            np.testing.assert_array_equal(found[name], expected[name], name)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="asks /proc what is open")
def test_the_simulated_windows_refuses_what_windows_does(tmp_path):
    replace, opened = platforms.refusing(os.replace), platforms.refusing(os.open)
    np.save(tmp_path / "a.npy", np.ones(3))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    with open(tmp_path / "b", "w"):
        for old, new in [("a.npy", "c"), ("c", "a.npy"), ("b", "c")]:
            with pytest.raises(PermissionError, match="Access is denied"):
                replace(tmp_path / old, tmp_path / new)
    with pytest.raises(PermissionError, match="Access is denied"):
        opened(tmp_path, os.O_RDONLY)
    del mapped
    replace(tmp_path / "b", tmp_path / "a.npy")
    assert os.listdir(tmp_path) == ["a.npy"]
