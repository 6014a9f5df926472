"""Save a model, or a whole training, in one .npz file, and load it again only if it is whole.

A checkpoint is a zip of plain arrays by name ("encoder.0.W", "optimizer.m.encoder.0.W", "epoch", …)
that any NumPy user can read. The random state is the pair (seed, epoch): see `seed_sequence`.
"""

import io
import json
import math
import os
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae import __version__, checks
from tinyvae.data.npz import Npz
from tinyvae.device import Backend
from tinyvae.models import IWAE, VAE, Autoencoder
from tinyvae.train.files import write_atomically

FILE = "checkpoint.npz"  # its name in a run folder
CLASSES = {"VAE": VAE, "IWAE": IWAE, "Autoencoder": Autoencoder}
FORMAT = 1  # of checkpoints and config.json: a higher one is refused
MOST = 2**53  # of a number that a float holds to the last digit
WRITTEN_BY = {"tinyvae", "format"}  # in a checkpoint's config, beside what builds the model
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
    Path
        The file written.

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
    extra = {name: model.backend.to_numpy(value) for name, value in extra.items()}
    arrays = weights(model) | extra
    written_by = {"tinyvae": __version__, "format": FORMAT}
    arrays["config"] = np.array(json.dumps(model_config(model) | written_by))
    if objects := [name for name, array in arrays.items() if array.dtype.hasobject]:
        raise TypeError(f"{objects[0]} is no array of numbers or text: it cannot be saved")
    write_atomically(path, lambda file: np.savez(file, **arrays))
    return path


def weights(model: Autoencoder) -> dict[str, np.ndarray]:
    """Return copies of a model's weights by name, and of its Gaussian's "sigma"."""
    arrays = {k: np.array(model.backend.to_numpy(view)) for k, view in model.parameters.items()}
    if model.likelihood.sigma is not None:
        arrays["sigma"] = np.array(model.likelihood.sigma)
    return arrays


def best_weights(arrays: "Arrays") -> dict[str, np.ndarray]:
    """Return the weights of the best epoch out of a checkpoint's arrays, if it holds any."""
    names = [name for name in arrays.npz.names if name.startswith("best.")]
    return {name.removeprefix("best."): arrays[name] for name in names}


def load(
    path: str | os.PathLike, model: Autoencoder | None = None, backend: str | Backend = "auto"
) -> Autoencoder:
    """Return the model saved at `path`, a file or a run folder, ready to use: of a run with
    `patience`, that of the best epoch.

    Parameters
    ----------
    path : path of a file, with or without .npz, or of a run folder
    model : VAE or Autoencoder, optional
        Take the weights into this model: needed for one built from your own layers.
    backend : {"auto", "numpy", "cupy"}

    Returns
    -------
    VAE or Autoencoder

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file; if it is damaged, or no checkpoint, or of another model.
    """
    path = find(path)
    arrays = read(path)
    if model is None:
        config = arrays.config
        if config["class"] not in CLASSES or len(config.keys() - WRITTEN_BY) == 1:
            raise ValueError(
                f"{path} holds a model of your own layers: build it and call load(path, model=…)"
            )
        check_size(arrays)
        try:
            model = build(config, backend)
        except (MemoryError, RuntimeError):
            raise
        except Exception as error:  # what a damaged configuration leads to
            reason = checks.first_line(error)
            raise ValueError(f"{path} is damaged (its config: {reason}): {REMEDY}") from None
    with model.in_use():
        set_weights(model, best_weights(arrays) or arrays, path)
    return model


def model_config(model: Autoencoder) -> dict:
    """Return what `build` makes the model from, with its class: what JSON can hold."""
    config = model.config or {}
    now = {name: getattr(model, name) for name in LOSS_WEIGHTS if name in config}
    return {"class": type(model).__name__} | config | now


def build(config: dict, backend: str | Backend = "auto") -> Autoencoder:
    """Return a new model from what `model_config` returned."""
    arguments = {name: config[name] for name in config if name not in {"class", *WRITTEN_BY}}
    return CLASSES[config["class"]](**arguments, backend=backend)


def find(path: str | os.PathLike) -> Path:
    """Return the checkpoint file that `path` stands for."""
    path = Path(checks.path("path", path))
    for candidate in (path / FILE, path, path.with_name(path.name + ".npz")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{path}: no checkpoint file, nor a run folder with {FILE}, is there")


class Arrays:
    """The arrays of a checkpoint file by name, each of which is read when it is asked for.

    Nothing is unpacked that is not needed, or longer than it says; `config` is a dict.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.npz = path, Npz(io.BytesIO(path.read_bytes()))
        shape, dtype = self.npz.header("config")
        if shape or dtype.itemsize > 2**22:
            raise ValueError("its config is no text")
        self.config: dict[str, Any] = json.loads(str(self.npz["config"]))
        if not isinstance(self.config["class"], str):
            raise ValueError("its config names no class")

    def __contains__(self, name: str) -> bool:
        return name in self.npz.members

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, which is not read."""
        return self._call(self.npz.header, name)[0]

    def __getitem__(self, name: str) -> np.ndarray:
        return self._call(self.npz.__getitem__, name)

    def _call(self, function: Any, name: str) -> Any:
        try:
            return function(name)
        except MemoryError:
            raise
        except Exception as error:  # what zipfile and NumPy raise on damage has no common class
            raise _damaged(self.path, error) from None


def read(path: Path) -> Arrays:
    """Return the arrays of a checkpoint file.

    Raises ValueError, in one line, where it is none, damaged, or of a later format.
    """
    try:
        arrays = Arrays(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: put it back, or train again") from None
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:
        raise _damaged(path, error) from None
    check_format(path, arrays.config)
    return arrays


def _damaged(path: Path, error: Exception) -> ValueError:
    if isinstance(error, KeyError | zipfile.BadZipFile) and "CRC" not in str(error):
        return ValueError(f"{path} is no checkpoint of tinyvae, or damaged: {REMEDY}")
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{path} is damaged ({reason}): {REMEDY}")


def check_format(path: Path, written: dict[str, Any]) -> None:
    """Raise ValueError where a file was written in a later format than this version reads."""
    found = written.get("format", 1)
    if not isinstance(found, int) or found > FORMAT:
        by = written.get("tinyvae", "a later version")
        problem = f"{path} has the format {found!r} (of tinyvae {by}), this is {__version__}"
        raise ValueError(f"{problem}, which reads {FORMAT}: update tinyvae")


def check_size(arrays: Arrays) -> None:
    """Raise ValueError where a checkpoint's weights are not as many as its config says, before a
    model is made of it."""
    config, path = arrays.config, arrays.path
    try:
        said = _n_weights(config)
    except Exception as error:
        raise _damaged(path, error) from None
    names = [name for name in arrays.npz.names if name.startswith(("encoder.", "decoder."))]
    found = sum(math.prod(arrays.shape(name)) for name in names)
    if said != found:
        problem = f"its config tells of {said} weights, it holds {found}"
        raise ValueError(f"{path} is damaged ({problem}): {REMEDY}")


def _n_weights(config: dict[str, Any]) -> int:
    C, L = config.get("n_classes", 0), config["latent_dim"]
    hidden, per_latent = config["hidden"], CLASSES[config["class"]].outputs_per_latent
    seen = (2 if config.get("missing") == "mask" else 1) * config["n_features"]
    encoder = [seen + C, *hidden, per_latent * L]
    decoder = [L + C, *reversed(hidden), config["n_features"]]
    return sum((n_in + 1) * n_out for net in (encoder, decoder) for n_in, n_out in pairwise(net))


def set_weights(model: Autoencoder, arrays: Any, path: str | Path = "the training") -> None:
    """Copy the weights (and the Gaussian's sigma) from `arrays` into `model`, or change nothing."""
    weights = {
        name: require(arrays, name, tuple(view.shape), path, model.dtype)
        for name, view in model.parameters.items()
    }
    if model.likelihood.sigma is not None:
        sigma = require(arrays, "sigma", np.shape(model.likelihood.sigma), path)
        if not (sigma > 0).all():
            raise ValueError(f"{path}: sigma is {sigma}: {REMEDY}")
        model.likelihood.sigma = sigma if sigma.ndim else float(sigma)
    for name, view in model.parameters.items():
        view[...] = model.backend.asarray(weights[name])


def require(
    arrays: Any, name: str, shape: tuple[int, ...] | None, path: str | Path, dtype: str = "float64"
) -> np.ndarray:
    """Return arrays[name] in `dtype` if it has this shape (where one is given) and is finite."""
    if name not in arrays:
        raise ValueError(f"{path} lacks {name}: it is damaged, or of another model")
    found = arrays.shape(name) if isinstance(arrays, Arrays) else arrays[name].shape
    if shape is not None and found != shape:
        raise ValueError(f"{path}: {name} has the shape {found}, the model's is {shape}")
    array = arrays[name]
    if array.dtype.kind in "fiu":
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{path}: {name} holds values that are not finite numbers: {REMEDY}")
    return array


def optimizer_arrays(model: Autoencoder, optimizer: Any) -> dict[str, Any]:
    """Return the optimizer's state by name, with its vectors cut like θ, for people to read."""
    arrays = {}
    for key, value in optimizer.state().items():
        if np.ndim(value) == 0:
            arrays[f"optimizer.{key}"] = value
            continue
        start = 0
        for name, view in model.parameters.items():
            part = value[start : (start := start + view.size)]
            arrays[f"optimizer.{key}.{name}"] = part.reshape(view.shape)
    return arrays


def set_optimizer(model: Autoencoder, optimizer: Any, arrays: Arrays, path: Path) -> None:
    """Copy the optimizer's state from `arrays`, as `optimizer_arrays` named it."""
    state, shapes = {}, {name: tuple(view.shape) for name, view in model.parameters.items()}
    for key, value in optimizer.state().items():
        name = f"optimizer.{key}"
        if np.ndim(value) == 0:
            number = require(arrays, name, (), path).item()
            if isinstance(value, int) and not (0 <= number < MOST and number == int(number)):
                raise ValueError(f"{path}: {name} is {number}, and no number of steps: {REMEDY}")
            state[key] = type(value)(number)
        else:
            parts = [
                require(arrays, f"{name}.{n}", shape, path, model.dtype).ravel()
                for n, shape in shapes.items()
            ]
            state[key] = model.backend.asarray(np.concatenate(parts))
    optimizer.set_state(state)
