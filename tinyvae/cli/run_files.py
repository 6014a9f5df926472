"""What the commands on a trained run have in common: options, and the files they read and write.

Files hold data in the units of the training data; images are floats in [0, 1].
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.cli import terminal
from tinyvae.data import NAMES, read_labelled, read_matrix, readers
from tinyvae.data.scaling import Scaling
from tinyvae.models import VAE, Autoencoder
from tinyvae.train.checkpoint import FILE
from tinyvae.train.files import write_atomically
from tinyvae.train.runs import Run

PICTURES = (".png", ".svg", ".pdf")
BLOCK = 1000  # rows that pass through a model at once


def add_out(parser: terminal.Parser, what: str, *suffixes: str) -> None:
    """Add --out, which must end in one of `suffixes` (or .npy, or a picture's)."""
    if not suffixes:
        suffixes = (".npy", *PICTURES)
        what += " (also .svg, .pdf); pictures show grey on black as ink on paper"

    def path(text: str) -> Path:
        if Path(text).suffix not in suffixes:
            raise ValueError(f"the name must end in {' or '.join(suffixes)}, not {text!r}")
        return Path(text)

    parser.add_argument("--out", required=True, type=terminal.option(path), help=what)


def add_data(parser: terminal.Parser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="a file or folder like the run's, or a data set's name"
    )
    add_data_dir(parser)


def add_data_dir(parser: terminal.Parser) -> None:
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the files of DATA mnist")


def add_seed(parser: terminal.Parser) -> None:
    parser.add_argument("--seed", type=terminal.whole(0), default=0, help="(default: 0)")


def add_label(parser: terminal.Parser) -> None:
    parser.add_argument("--label", metavar="NAME", help="for a conditional model")


def variational(run: Run, purpose: str) -> VAE:
    """Return the run's model if it is a VAE, or raise ValueError."""
    if not isinstance(run.model, VAE):
        raise ValueError(f"{run.path} holds an autoencoder, which {purpose}: train a vae")
    return run.model


def keep_what_is_read(arguments: dict[str, Any]) -> None:
    """Raise ValueError where --out would be written over what a command reads."""
    if arguments.get("out") is None:
        return
    out, data = Path(arguments["out"]), arguments.get("data")
    if data and ".npz:" in data:  # an array of a file
        data = data.rpartition(":")[0]
    checkpoint = Path(arguments["run"]) / FILE
    taken = {out.resolve(), *out.resolve().parents} if out.is_file() else set()
    for name, path in (("DATA", data), ("Z", arguments.get("z")), ("RUN's checkpoint", checkpoint)):
        if path and Path(path).resolve() in taken:  # itself, or a folder of images that it is in
            raise ValueError(f"--out {out} would overwrite {name}: name another file")


def given_label(run: Run, model: Autoencoder, label: str | None, n: int) -> np.ndarray | None:
    """Return n times the label that --label names, or None for a model without labels."""
    if not model.n_classes:
        if label is not None:
            raise ValueError(
                f"--label {label}: {run.path} is not conditional (train --conditional)"
            )
        return None
    names = list(run.config["data"]["label_names"] or map(str, range(model.n_classes)))
    if label not in names:
        asked = "is needed for a conditional model" if label is None else f"{label} is unknown"
        raise ValueError(f"--label {asked}: it is one of {', '.join(names)}")
    return np.full(n, names.index(label))


def read(run: Run, data: str, data_dir: str | None = None) -> tuple[Any, np.ndarray | None]:
    """Return the rows of DATA in the model's units, and their labels if the model needs them."""
    config = run.config.get("data") or _units_of_model(run, data)
    if not run.model.n_classes:  # whatever labels the data have
        return read_matrix(data, config, data_dir), None
    x, labels = read_labelled(data, config, data_dir)
    if labels is None:
        remedy = "give data that have them as the run's do"
        raise ValueError(f"{run.path} is conditional, and {data} has no labels: {remedy}")
    return x, labels


def _units_of_model(run: Run, data: str) -> dict:
    """Return what a data set's configuration would say of a run that was trained from Python."""
    if data not in NAMES and (dtype := readers.read_table(data).raw.dtype).kind != "f":
        problem = f"{run.path} was trained from Python, and tells no scaling for {dtype} values"
        raise ValueError(f"{data}: {problem}: save them as floats in the units it was trained in")
    names = list(map(str, range(run.model.n_classes))) or None
    known = {"n_features": run.model.n_features, "label_names": names}
    unknown = {"image_shape": None, "feature_names": None, "options": {}}
    return known | unknown | {"scaling": Scaling().to_config()}


def read_codes(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return latent points (N, L) from .npy, or the z or mu of an .npz, and its labels (N,)."""
    if Path(path).suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"{path}: latent points are read from .npy or .npz files")
    loaded = readers.load_arrays(Path(path))
    loaded = loaded if isinstance(loaded, dict) else {"z": loaded}
    z = loaded.get("z", loaded.get("mu"))
    if z is None:
        raise ValueError(f"{path} holds neither z nor mu")
    if z.dtype.kind not in "buif":
        raise ValueError(f"{path} holds values of type {z.dtype}: expected real numbers")
    return z if z.dtype.kind == "f" else z.astype(np.float64), loaded.get("labels")


def by_blocks(
    model: Autoencoder, x: Any, labels: np.ndarray | None, function: Callable
) -> tuple[np.ndarray, ...]:
    """Return function(x, labels=labels), on the host, computed a block of rows at a time."""
    if len(x) == 0:
        raise ValueError("there are no rows to work on")
    blocks = []
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        result = function(x[rows], labels=None if labels is None else labels[rows])
        result = result if isinstance(result, tuple) else (result,)
        blocks.append([model.backend.to_numpy(part) for part in result])
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))


def write(out: Path, run: Run, x: np.ndarray, what: str, draw: Callable | None = None) -> None:
    """Write rows x in the data's units, as an array or as a picture, and say so.

    `draw`, one of `tinyvae.cli.pictures`, draws the picture; without, it is a sheet of images.
    """
    if not np.isfinite(x).all():
        remedy = "take latent points nearer to 0, or a lower --temperature"
        raise ValueError(f"{out} would hold values that are not finite: {remedy}")
    data = run.config.get("data") or {}
    scaling = Scaling.from_config(data["scaling"]) if data else Scaling()
    if out.suffix == ".npy":
        x = scaling.undo(x)
        write_atomically(out, lambda file: np.save(file, x))
        print(f"{out}: {what}, {x.shape[1]} wide")
        return
    if not data.get("image_shape"):
        raise ValueError(f"{out}: the run's data are not images; write them to an .npy file")
    from tinyvae import figures

    shape = tuple(data["image_shape"])
    if draw:
        figure = draw(x, shape, scaling.to_picture)
    else:
        figure = figures.image_grid(scaling.to_picture(x), shape)
    write_atomically(out, lambda file: figure.savefig(file, format=out.suffix[1:]))
    print(f"{out}: {what}")
