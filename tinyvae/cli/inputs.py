"""What the commands on a trained run read: RUN, DATA, latent points and labels.

Files hold data in the units of the training data; images are floats in [0, 1].
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.cli import terminal
from tinyvae.data import NAMES, read_labelled, read_matrix, readers
from tinyvae.data.scaling import Scaling
from tinyvae.train.checkpoint import FILE
from tinyvae.train.runs import Run, open_run

SEED = ("--seed", terminal.SEED, "N", 0)
LABEL = ("--label", str, "NAME", None, "for a conditional model")


def parser(command: str, description: str) -> terminal.Parser:
    """Return the parser of a command on a trained run."""
    p = terminal.Parser(command, description)
    p.add_argument("run", metavar="RUN", help="a run folder")
    return p


def add_data(
    p: terminal.Parser, text: str = "a file or folder like the run's, or a known name", **more: str
) -> None:
    """Add DATA, and the folder of a data set that is known by its name."""
    p.add_argument("data", metavar="DATA", help=text, **more)
    p.add("--data-dir", metavar="DIR", text="folder with the files of DATA mnist")


def add_moved(p: terminal.Parser) -> None:
    """Add the place of the run's own data, if they were moved."""
    p.add("--dataset", str, "PATH", None, "where the run's own data lie now, if not where they did")


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[Run]:
    """Open the run that RUN names; --out must not be written over what the command reads."""
    _keep_what_is_read(given.run, vars(given))
    # What overflows is not finite, and refused in a line of its own.
    with np.errstate(all="ignore"):
        run = open_run(given.run)
        run.moved_to = vars(given).get("dataset")
        if not run.done:
            terminal.note(f"{run.path} has no trained epoch")
        yield run


def _keep_what_is_read(run: str, given: dict[str, Any]) -> None:
    """Raise ValueError where --out would be written over what a command reads."""
    if given.get("out") is None:
        return
    out, data = Path(given["out"]), given.get("data")
    data = readers.split_key(data)[0] if data else None
    taken = {out.resolve(), *out.resolve().parents} if out.is_file() else set()
    read = {"DATA": data, "Z": given.get("z"), "RUN's checkpoint": Path(run) / FILE}
    for name, path in read.items():
        if path and Path(path).resolve() in taken:  # itself, or a folder of images that it is in
            raise ValueError(f"--out {out} would overwrite {name}: name another file")


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
    loaded = readers.load_arrays(Path(path), ("z", "mu", "labels"))
    loaded = loaded if isinstance(loaded, dict) else {"z": loaded}
    z = loaded.get("z", loaded.get("mu"))
    if z is None:
        raise ValueError(f"{path} holds neither z nor mu")
    if z.dtype.kind not in "buif":
        raise ValueError(f"{path} holds values of type {z.dtype}: expected real numbers")
    return z if z.dtype.kind == "f" else z.astype(np.float64), loaded.get("labels")


def given_label(run: Run, label: str | None, n: int) -> np.ndarray | None:
    """Return n times the label that --label names, or None for a model without labels."""
    n_classes = run.model.n_classes
    if not n_classes:
        if label is not None:
            problem = f"{run.path} is not conditional (train --conditional)"
            raise ValueError(f"--label {label}: {problem}")
        return None
    names = list(run.config["data"]["label_names"] or map(str, range(n_classes)))
    if label not in names:
        asked = "is needed for a conditional model" if label is None else f"{label} is unknown"
        raise ValueError(f"--label {asked}: it is one of {', '.join(names)}")
    return np.full(n, names.index(label))
