"""What whole trainings come to, on MNIST and by default (slow)."""

from pathlib import Path

import numpy as np
import pytest

from tinyvae import VAE, fit, load, load_dataset
from tinyvae.cli.train import main
from tinyvae.train.runs import open_run

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_dir(), reason=f"needs MNIST's IDX files in {MNIST}")
def test_784_400_20_reaches_106_6_nats_in_10_epochs():
    mnist = load_dataset("mnist", data_dir=MNIST)
    vae = VAE(784, 20, hidden=(400,), likelihood="bernoulli", backend="numpy", seed=0)
    history = fit(vae, mnist.x_train, epochs=10, validation=mnist.x_test, progress=False)
    assert history[-1]["val_loss"] <= 106.6


@pytest.mark.slow
def test_the_default_run_fills_the_prior_and_reaches_its_elbo(tmp_path):
    """What `python -m tinyvae.train` comes to on the digits, also in the plane that it draws."""
    assert main(["--out", str(tmp_path / "run"), "--no-figures", "--quiet"]) == 0
    run = open_run(tmp_path / "run")
    last = run.histories[0][-1]
    assert last["epoch"] == 20 and last["val_reconstruction"] + last["val_kl"] < 487.5
    mu, _ = load(run.path).encode(run.dataset.x_test)
    assert (np.abs(mu.mean(axis=0)) < 0.35).all()
    assert ((mu.std(axis=0) > 0.8) & (mu.std(axis=0) < 1.3)).all()
