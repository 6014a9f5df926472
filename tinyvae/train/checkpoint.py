"""Save a model, or a whole training, in one .npz file, and load it again only if it is whole.

A checkpoint is a zip of plain arrays by name ("encoder.0.W", "optimizer.m.encoder.0.W", "epoch", …)
that any NumPy user can read. The random state is the pair (seed, epoch): see `seed_sequence`.
"""

import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae import __version__, checks
from tinyvae.device import Backend
from tinyvae.models import IWAE, VAE, Autoencoder
from tinyvae.train.files import write_atomically

FILE = "checkpoint.npz"  # its name in a run folder
CLASSES = {"VAE": VAE, "IWAE": IWAE, "Autoencoder": Autoencoder}
LOSS_WEIGHTS = ("beta", "free_bits", "reconstruction_weight")  # they may change at any time
REMEDY = "take another copy of the file, or train again"


def save(model: Autoencoder, path: str | os.PathLike, **extra: Any) -> Path:
    """Write a model's weights, and what rebuilds it, to `path` (.npz is added where it is missing).

    Parameters
    ----------
    model : VAE or Autoencoder
    path : path of a file
    **extra : arrays
        More to keep under these names, as training does with its optimizer and its history.

    Returns
    -------
    The path written.

    Raises
    ------
    TypeError, ValueError
        If `model` is none, or `path` names no file.
    OSError
        If the file can't be written; an earlier file at `path` is then untouched.
    """
    checks.instance("model", model, Autoencoder, "a VAE or an Autoencoder")
    path = Path(checks.path("path", path))
    if path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    config = model_config(model) | {"tinyvae": __version__}
    to_numpy = model.backend.to_numpy
    arrays = {name: to_numpy(view) for name, view in model.parameters.items()}
    arrays |= {name: to_numpy(value) for name, value in extra.items()}
    if model.likelihood.sigma is not None:
        arrays["sigma"] = np.array(model.likelihood.sigma)
    arrays["config"] = np.array(json.dumps(config))
    write_atomically(path, lambda file: np.savez(file, **arrays))
    return path


def load(
    path: str | os.PathLike, model: Autoencoder | None = None, backend: str | Backend = "auto"
) -> Autoencoder:
    """Return the model saved at `path`, a file or a run folder, ready to use.

    Parameters
    ----------
    path : path of a file, with or without .npz, or of a run folder
    model : VAE or Autoencoder, optional
        Take the weights into this model: needed for one built from your own layers.
    backend : {"auto", "numpy", "cupy"}

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file; if it is damaged, or no checkpoint, or of another model.
    """
    path = find(path)
    arrays = read(path)
    if model is None:
        config = json.loads(str(arrays["config"]))
        if config["class"] not in CLASSES or len(config) == 2:
            raise ValueError(
                f"{path} holds a model of your own layers: build it and call load(path, model=…)"
            )
        model = build(config, backend)
    take(model, arrays, path)
    return model


def model_config(model: Autoencoder) -> dict:
    """Return what `build` makes the model from, with its class: what JSON can hold."""
    config = model.config or {}
    now = {name: getattr(model, name) for name in LOSS_WEIGHTS if name in config}
    return {"class": type(model).__name__} | config | now


def build(config: dict, backend: str | Backend = "auto") -> Autoencoder:
    """Return a new model from what `model_config` returned."""
    arguments = {name: value for name, value in config.items() if name not in ("class", "tinyvae")}
    return CLASSES[config["class"]](**arguments, backend=backend)


def find(path: str | os.PathLike) -> Path:
    """Return the checkpoint file that `path` stands for."""
    path = Path(checks.path("path", path))
    for candidate in (path / FILE, path, path.with_name(path.name + ".npz")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{path}: no checkpoint file, nor a run folder with {FILE}, is there")


def read(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of a checkpoint file, after testing each against its checksum."""
    try:
        content = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: put it back, or train again") from None
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        with zipfile.ZipFile(content) as archive:
            broken = archive.testzip()
        if broken:
            raise ValueError(f"the part {broken} fails its checksum")
        content.seek(0)
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        json.loads(str(arrays["config"]))["class"]
    except (KeyError, zipfile.BadZipFile):
        raise ValueError(f"{path} is no checkpoint of tinyvae, or damaged: {REMEDY}") from None
    except Exception as error:  # what zipfile and NumPy raise on damage has no common class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is damaged ({reason}): {REMEDY}") from None
    return arrays


def take(model: Autoencoder, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Copy the weights (and the Gaussian's sigma) from `arrays` into `model`, or change nothing."""
    for name, view in model.parameters.items():
        require(arrays, name, tuple(view.shape), path)
    if model.likelihood.sigma is not None:
        model.likelihood.sigma = float(require(arrays, "sigma", (), path))
    for name, view in model.parameters.items():
        view[...] = model.backend.asarray(arrays[name], model.dtype)


def require(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...] | None, path: Path
) -> np.ndarray:
    """Return arrays[name] if it is there, has this shape (where one is given) and is finite."""
    if name not in arrays:
        raise ValueError(f"{path} lacks {name}: it is damaged, or of another model")
    array = arrays[name]
    if shape is not None and array.shape != shape:
        raise ValueError(f"{path}: {name} has the shape {array.shape}, the model's is {shape}")
    if array.dtype.kind not in "fiu" or not math.isfinite(float(np.sum(array, dtype=np.float64))):
        raise ValueError(f"{path}: {name} holds values that are not finite numbers: {REMEDY}")
    return array


def optimizer_arrays(model: Autoencoder, optimizer: Any) -> dict[str, Any]:
    """Return the optimizer's state by name, with its vectors cut like θ, for people to read."""
    arrays = {}
    for key, value in optimizer.state().items():
        if getattr(value, "ndim", 0) == 0:
            arrays[f"optimizer.{key}"] = value
            continue
        start = 0
        for name, view in model.parameters.items():
            part = value[start : start + view.size]
            arrays[f"optimizer.{key}.{name}"] = part.reshape(view.shape)
            start += view.size
    return arrays


def take_optimizer(model: Autoencoder, optimizer: Any, arrays: dict, path: Path) -> None:
    """Copy the optimizer's state from `arrays`, as `optimizer_arrays` named it."""
    state = {}
    for key, value in optimizer.state().items():
        if getattr(value, "ndim", 0) == 0:
            state[key] = require(arrays, f"optimizer.{key}", (), path).item()
            continue
        parts = [
            require(arrays, f"optimizer.{key}.{name}", tuple(view.shape), path).ravel()
            for name, view in model.parameters.items()
        ]
        state[key] = model.backend.asarray(np.concatenate(parts), model.dtype)
    optimizer.set_state(state)
