"""On the whole of MNIST: the figure that the README states (slow)."""

from pathlib import Path

import pytest

from tinyvae import VAE, fit, load_dataset

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_dir(), reason=f"needs MNIST's IDX files in {MNIST}")
def test_784_400_20_reaches_106_6_nats_in_10_epochs():
    mnist = load_dataset("mnist", data_dir=MNIST)
    vae = VAE(784, 20, hidden=(400,), likelihood="bernoulli", backend="numpy", seed=0)
    history = fit(vae, mnist.x_train, epochs=10, validation=mnist.x_test, progress=False)
    assert history[-1]["val_loss"] <= 106.6
