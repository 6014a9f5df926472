"""A saved model comes back bit for bit; a damaged or missing file is refused in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tinyvae import VAE, Adam, Autoencoder, Dense, Sequential, load, save
from tinyvae.train.checkpoint import optimizer_arrays, read, set_optimizer, set_weights


@pytest.fixture
def vae():
    return VAE(
        6, 2, hidden=(5,), activation="tanh", sigma="auto", beta=0.5, backend="numpy", seed=3
    )


def trained_a_little(model):
    rng = np.random.default_rng(0)
    optimizer = Adam(model.parameters)
    for _ in range(3):
        model.forward(rng.random((4, 6), dtype="float32"))
        model.backward()
        optimizer.step()
    return optimizer


def test_a_saved_vae_comes_back_with_its_weights_and_its_settings(vae, tmp_path):
    trained_a_little(vae)
    vae.likelihood.sigma = 0.3
    loaded = load(save(vae, tmp_path / "my-model"), backend="numpy")
    assert np.array_equal(loaded.parameters.theta, vae.parameters.theta)
    assert (loaded.beta, loaded.sigma, loaded.config) == (0.5, 0.3, vae.config)


def test_what_the_loss_weighs_is_saved_as_it_is_now(vae, tmp_path):
    vae.beta, vae.reconstruction_weight, vae.free_bits = 4.0, 0.5, 0.2
    loaded = load(save(vae, tmp_path / "m"), backend="numpy")
    assert (loaded.beta, loaded.reconstruction_weight, loaded.free_bits) == (4.0, 0.5, 0.2)


def test_a_model_made_with_numpy_numbers_can_be_saved(tmp_path):
    weights = {name: np.float32(0.5) for name in ("beta", "free_bits", "reconstruction_weight")}
    widths = np.arange(2, 7)  # 2, 3, 4, 5, 6
    vae = VAE(
        widths[4],
        widths[0],
        hidden=(widths[2],),
        sigma=np.float32(0.25),
        seed=np.int64(3),
        **weights,
    )
    loaded = load(save(vae, tmp_path / "m"), backend="numpy")
    assert (loaded.sigma, loaded.seed, loaded.beta, loaded.n_features) == (0.25, 3, 0.5, 6)


def test_a_saved_autoencoder_comes_back_as_one(tmp_path):
    model = Autoencoder(6, 2, hidden=(), backend="numpy")
    assert type(load(save(model, tmp_path / "a"), backend="numpy")) is Autoencoder


def test_the_name_may_be_given_with_or_without_npz(vae, tmp_path):
    save(vae, tmp_path / "my-model")
    assert (tmp_path / "my-model.npz").is_file()
    for name in ("my-model", "my-model.npz"):
        assert load(tmp_path / name).n_features == 6


def test_any_numpy_user_can_read_a_checkpoint(vae, tmp_path):
    with np.load(save(vae, tmp_path / "m"), allow_pickle=False) as arrays:
        assert arrays["encoder.0.W"].shape == (6, 5)
        assert json.loads(str(arrays["config"]))["latent_dim"] == 2


def test_a_model_of_own_layers_needs_the_model_to_load_into(tmp_path):
    def build(seed):
        encoder, decoder = Sequential(Dense(6, 4)), Sequential(Dense(2, 6))
        return VAE(encoder=encoder, decoder=decoder, backend="numpy", seed=seed)

    model = build(seed=0)
    path = save(model, tmp_path / "own")
    with pytest.raises(ValueError, match=r"own layers: build it and call load\(path, model="):
        load(path)
    other = load(path, model=build(seed=1))
    assert np.array_equal(other.parameters.theta, model.parameters.theta)


def test_the_optimizer_goes_on_bit_for_bit(vae, tmp_path):
    optimizer = trained_a_little(vae)
    optimizer.set_state(optimizer.state())
    path = save(vae, tmp_path / "m", **optimizer_arrays(vae, optimizer))

    other = VAE(
        6, 2, hidden=(5,), activation="tanh", sigma="auto", beta=0.5, backend="numpy", seed=4
    )
    other_optimizer = Adam(other.parameters)
    arrays = read(path)
    set_weights(other, arrays, path)
    set_optimizer(other, other_optimizer, arrays, path)
    for model, its_optimizer in ((vae, optimizer), (other, other_optimizer)):
        model.parameters.grad[:] = 0.1
        its_optimizer.step()
    assert np.array_equal(vae.parameters.theta, other.parameters.theta)


def test_a_flipped_byte_is_noticed_or_harmless(vae, tmp_path, rng):
    path = save(vae, tmp_path / "m")
    content, theta = path.read_bytes(), vae.parameters.theta
    noticed = 0
    for position in rng.choice(len(content), 400, replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = load(path, backend="numpy")
        except ValueError as error:
            noticed += 1
            assert "\n" not in str(error) and str(path) in str(error)
        else:
            assert np.array_equal(loaded.parameters.theta, theta)
            assert (loaded.beta, loaded.sigma) == (vae.beta, vae.sigma)
    assert noticed > 200


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(vae, tmp_path, part):
    path = save(vae, tmp_path / "m")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "x.txt").write_text("text")
    for name in ("x.npz", "x.npy", "x.txt"):
        with pytest.raises(ValueError, match="is no checkpoint of tinyvae, or damaged"):
            load(tmp_path / name)


def test_weights_of_another_model_are_refused_and_change_nothing(vae, tmp_path):
    path = save(vae, tmp_path / "m")
    other = VAE(6, 3, hidden=(5,), activation="tanh", backend="numpy")
    before = other.parameters.theta.copy()
    with pytest.raises(ValueError, match=r"encoder.1.W has the shape \(5, 4\), the model's is"):
        load(path, model=other)
    assert np.array_equal(other.parameters.theta, before)


def test_weights_that_are_not_finite_are_refused(vae, tmp_path):
    vae.parameters["decoder.0.W"][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"decoder.0.W holds values that are not finite"):
        load(save(vae, tmp_path / "m"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        load(tmp_path / "nothing-here")


def test_a_read_only_folder_is_named(vae, tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("builtins.open", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match=r"cannot write .*m.npz: Read-only file system; what was"):
        save(vae, tmp_path / "m")


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_previous_file(vae, tmp_path, monkeypatch, failing):
    path = save(vae, tmp_path / "m")
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if failing == "write":
        monkeypatch.setattr(np, "savez", full)
    else:
        monkeypatch.setattr(os, failing, full)
    vae.parameters.theta += 1
    with pytest.raises(OSError, match=r"cannot write .*m.npz: No space left on device"):
        save(vae, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.npz"]


def test_a_run_without_its_checkpoint_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.npz is missing: put it back"):
        read(tmp_path / "checkpoint.npz")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, "m"), TypeError, "model must be a VAE or an Autoencoder, not NoneType None"),
        ((VAE(5, 2), ""), ValueError, "path is empty: name a file or folder"),
        ((VAE(5, 2), 3), TypeError, "path must be the path of a file or folder, not 3"),
    ],
)
def test_what_cannot_be_saved_is_named(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        save(*arguments)


@pytest.mark.parametrize(("path", "error"), [("", ValueError), (3, TypeError)])
def test_what_is_no_path_cannot_be_loaded(path, error):
    with pytest.raises(error, match=r"^path "):
        load(path)
