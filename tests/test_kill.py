"""Twenty-five kills at random moments of one training, which must end bit for bit right (slow)."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

TRAIN = [sys.executable, "-m", "tinyvae.train", "--no-figures", "--quiet"]


def arrays(path):
    with np.load(path / "checkpoint.npz", allow_pickle=False) as file:
        names = [name for name in file.files if "second" not in name and "config" not in name]
        return {name: file[name] for name in names}


def metrics_without_seconds(path):
    rows = [line.split(",") for line in (path / "metrics.csv").read_text().splitlines()]
    return [row[:1] + row[2:] for row in rows]


@pytest.mark.slow
def test_twenty_five_kills_end_bit_for_bit_right(tmp_path):
    start = [*TRAIN, "--epochs", "150"]  # longer than 25 kills leave it time for
    subprocess.run([*start, "--out", str(tmp_path / "whole")], check=True)

    rng, kills, cut = random.Random(0), 0, tmp_path / "cut"
    while kills < 25:
        begun = (cut / "config.json").exists()
        command = [*TRAIN, "--resume", str(cut)] if begun else [*start, "--out", str(cut)]
        training = subprocess.Popen(command)
        time.sleep(rng.uniform(0.1, 1.2))
        assert training.poll() is None, "the training ended before all kills"
        training.send_signal(signal.SIGKILL)
        training.wait()
        kills += 1
    subprocess.run([*TRAIN, "--resume", str(cut)], check=True)

    first, second = arrays(tmp_path / "whole"), arrays(cut)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert metrics_without_seconds(tmp_path / "whole") == metrics_without_seconds(cut)
