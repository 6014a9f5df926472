"""What the benchmarks' numbers rest on: paired ratios, exponents, sizes on disk, and a loss that is
the same for every library. No time is measured here."""

import argparse
import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyvae import VAE, load_dataset
from tinyvae.train.runs import Run

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import harness
import iwae_table
import train
import train_peers
from trainers import Model


def test_a_ratio_is_taken_within_the_rounds_so_that_drift_cancels():
    drift = np.array([1.0, 1.1, 5.0, 20.0, 1.2])  # the machine, the same for both in each round
    ours, theirs = drift, 2 * drift
    assert harness.ratio(ours, theirs) == 0.5
    noisy = theirs * [1, 1, 1, 1, 9]  # one round in which something else ran beside one of them
    assert harness.ratio(ours, noisy) == 0.5


def test_every_round_has_everyone_once_in_changing_order():
    orders = list(harness.rounds(20, ["a", "b", "c"]))
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len({tuple(order) for order in orders}) == 6


def test_an_exponent_is_read_off_the_upper_half_of_the_range():
    sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256]  # the upper half begins at 16
    values = [40.0 if size < 16 else 3 * size**1.5 for size in sizes]
    slope, error = harness.exponent(sizes, values)
    assert slope == pytest.approx(1.5)
    assert error == pytest.approx(0, abs=1e-9)


def test_the_error_of_an_exponent_is_that_of_numpys_line_through_the_logarithms(rng):
    sizes = 2.0 ** np.arange(12)
    values = sizes**0.7 * np.exp(0.1 * rng.standard_normal(12))
    slope, error = harness.exponent(sizes.tolist(), values.tolist())
    fit, covariance = np.polyfit(np.log(sizes[6:]), np.log(values[6:]), 1, cov=True)
    assert (slope, error) == (pytest.approx(fit[0]), pytest.approx(covariance[0, 0] ** 0.5))


def test_an_upper_half_of_two_points_has_an_exponent_without_an_error():
    slope, error = harness.exponent([1, 2, 4], [7.0, 3.0, 12.0])
    assert slope == pytest.approx(2) and math.isnan(error)


def test_a_peer_that_does_not_run_is_left_out_with_a_line(tmp_path, capsys):
    (tmp_path / "good.py").write_text(
        "print('ready')\nwhile line := input():\n    print(0.5 * int(line))"
    )
    (tmp_path / "bad.py").write_text(
        "import atexit, sys\natexit.register(sys.stderr.write, 'set VERBOSE for more')\n"
        "raise ImportError('no such library')"
    )
    commands = {"numpy": (tmp_path / "good.py",), ("jax", 64): (tmp_path / "bad.py",)}
    with harness.peers(commands) as peers:
        assert list(peers) == ["numpy"]
        assert peers["numpy"].ms(10) == pytest.approx(500)
    assert capsys.readouterr().err == "JAX is left out: ImportError: no such library\n"


def test_the_size_on_disk_counts_a_distribution_and_all_that_it_requires(tmp_path, monkeypatch):
    def install(name: str, size: int, *requires: str) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = [f"Requires-Dist: {other}" for other in requires]
        metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines])
        (folder / "METADATA").write_text(metadata + "\n")
        (folder / "RECORD").write_text(f"{name}.bin,,\n{name}.gone,,\n")
        (tmp_path / f"{name}.bin").write_bytes(b"x" * size)

    install("topmost", 1000, "needed (>=1)", "other; python_version < '3'", "extra; extra == 'x'")
    install("needed", 200, "deepest", "topmost")
    install("deepest", 30)
    install("other", 4)
    install("extra", 5)
    monkeypatch.syspath_prepend(tmp_path)
    names = train.requirements(["topmost"])
    assert names == {"topmost", "needed", "deepest"}
    assert train.installed_bytes(names) == 1230


def test_a_package_that_is_a_link_to_its_source_counts_with_its_folder(tmp_path, monkeypatch):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "__init__.py").write_text("x = 1\n")
    (tmp_path / "linked" / "data").write_bytes(b"x" * 94)
    (tmp_path / "linked.egg-info").mkdir()
    (tmp_path / "linked.egg-info" / "PKG-INFO").write_text("Name: linked\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert train.installed_bytes({"linked"}) == 100


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_that_judges_all_peers_is_minus_the_elbo(likelihood, rng):
    model, x = Model(12, (9, 7), 3, likelihood), rng.random((50, 12))
    options = {} if likelihood == "bernoulli" else {"sigma": math.sqrt(0.5), "output": "sigmoid"}
    vae = VAE(12, 3, hidden=(9, 7), likelihood=likelihood, dtype="float64", **options)
    arrays = iter(vae.parameters.values())
    eps = np.random.default_rng(0).standard_normal((50, 3))
    found = train_peers.test_loss(list(zip(arrays, arrays, strict=True)), model, x)
    assert found == pytest.approx(-float(vae.forward(x, eps=eps).elbo), rel=1e-12)


def test_the_peers_start_from_weights_of_tinyvaes_shapes_and_scales():
    model = Model(784, (400,), 20)
    vae = VAE(784, 20, hidden=(400,), likelihood="bernoulli")
    ours = list(vae.parameters.values())
    theirs = [array for network in model.first_weights() for layer in network for array in layer]
    assert [array.shape for array in theirs] == [array.shape for array in ours]
    assert [np.std(a) for a in theirs] == pytest.approx([np.std(a) for a in ours], rel=0.03)


def test_the_time_to_an_elbo_is_the_end_of_the_first_epoch_that_has_it():
    ends, losses = [3.0, 5.0, 7.0, 9.0], [110.0, 106.7, 106.5, 106.8]
    assert train.seconds_until(-106.6, ends, losses) == 7
    assert train.seconds_until(-106.4, ends, losses) == math.inf


def test_the_rates_of_the_iwae_table_are_those_that_it_states():
    first, last = iwae_table.paper_rate(0), iwae_table.paper_rate(1)
    assert (first, last) == (0.001, pytest.approx(0.0001))
    rates = [iwae_table.short_rate(elapsed) for elapsed in (0, 1 / 3, 2 / 3, 1)]
    assert rates == pytest.approx([0.004, 0.004, 0.002, 0])


def test_the_short_recipe_of_the_iwae_table_trains_as_it_did(tmp_path, monkeypatch):
    """Its first three epochs on 1,000 digits; the warm-up of the KL has barely begun."""
    digits = load_dataset("digits", binarize="dynamic", seed=0)
    rows = type(digits.x_train)(digits.x_train.rows[:1000], 0, dynamic=True)
    digits = dataclasses.replace(digits, x_train=rows)
    args = argparse.Namespace(
        seed=0, backend="numpy", out=str(tmp_path), recipe="short", fraction=1.0
    )
    monkeypatch.setitem(iwae_table.RECIPES, "short", iwae_table.RECIPES["short"]._replace(epochs=3))
    iwae_table.trained(1, args, digits)
    losses = [row["loss"] for row in Run(iwae_table.folder_of(1, args)).histories[0]]
    assert losses == pytest.approx([198.266, 175.039, 165.682], rel=1e-3)
