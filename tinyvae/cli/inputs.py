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
from tinyvae.data import NAMES, csv_reader, read_labelled, read_matrix, readers
from tinyvae.data.rows import any_missing
from tinyvae.data.scaling import Scaling
from tinyvae.data.variables import Variable
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


def read(
    run: Run, data: str, data_dir: str | None = None, missing: bool = False
) -> tuple[Any, np.ndarray | None]:
    """Return the rows of DATA in the model's units, and their labels if the model needs them.

    Cells may be missing in a table in text, and in an array if the run or `missing` says so; a
    model that was trained without such cells takes them from now on.
    """
    config, labels = config_of(run, data), None
    if not run.model.n_classes:  # whatever labels the data have
        x = read_matrix(data, config, data_dir, missing=missing)
    else:
        x, labels = read_labelled(data, config, data_dir, missing=missing)
        if labels is None:
            remedy = "give data that have them as the run's do"
            raise ValueError(f"{run.path} is conditional, and {data} has no labels: {remedy}")
    if not run.model.missing and any_missing(x):
        what = f"{data} has missing cells, the rows trained on had none"
        terminal.note(f"{what}: the encoder takes a column's mean there")
        run.model.accept_missing()
    return x, labels


def config_of(run: Run, data: str) -> dict:
    """Return the configuration of a run's data, by which DATA is read."""
    return run.config.get("data") or _units_of_model(run, data)


def _units_of_model(run: Run, data: str) -> dict:
    """Return what a data set's configuration would say of a run that was trained from Python."""
    if data not in NAMES and (dtype := readers.read_table(data).raw.dtype).kind != "f":
        problem = f"{run.path} was trained from Python, and tells no scaling for {dtype} values"
        raise ValueError(f"{data}: {problem}: save them as floats in the units it was trained in")
    names = list(map(str, range(run.model.n_classes))) or None
    known = {"n_features": run.model.n_features, "label_names": names}
    unknown = {"image_shape": None, "feature_names": None, "options": {}}
    return known | unknown | {"scaling": Scaling().to_config()}


def read_codes(run: Run, path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return latent points (N, L) from .npy, the z or mu of an .npz, or the columns z1, … or mu1, …
    of a table, and its labels (N,)."""
    if csv_reader.is_text(Path(path)):
        return _codes_of_table(run, path)
    if Path(path).suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"{path}: latent points are read from .npy, .npz or .csv files")
    loaded = readers.load_arrays(Path(path), ("z", "mu", "labels"))
    loaded = loaded if isinstance(loaded, dict) else {"z": loaded}
    z = loaded.get("z", loaded.get("mu"))
    if z is None:
        raise ValueError(f"{path} holds neither z nor mu")
    if z.dtype.kind not in "buif":
        raise ValueError(f"{path} holds values of type {z.dtype}: expected real numbers")
    return z if z.dtype.kind == "f" else z.astype(np.float64), loaded.get("labels")


def _codes_of_table(run: Run, path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the same from the table that `encode` writes, or from one of L columns."""
    columns = csv_reader.columns_of(Path(path))
    if columns is None:
        return csv_reader.read(Path(path), header="no").x, None
    ways = [[f"{name}{j + 1}" for j in range(run.model.latent_dim)] for name in ("z", "mu")]
    found = next((names for names in ways if set(names) <= set(columns)), None)
    if found is None:
        wanted = " nor ".join(", ".join(names) for names in ways)
        raise ValueError(f"{path} has neither the columns {wanted}")
    label = "label" if "label" in columns and run.model.n_classes else None
    read = csv_reader.read(Path(path), label, like=[Variable(name) for name in found])
    if read.labels is None:
        return read.x, None
    names = _label_names(run)
    unknown = next((name for name in read.labels.tolist() if name not in names), None)
    if unknown is not None:
        raise ValueError(f"{path}: label {unknown!r} is none of {', '.join(names)}")
    return read.x, np.array([names.index(name) for name in read.labels.tolist()])


def _label_names(run: Run) -> list[str]:
    """Return the names of a conditional run's labels."""
    names = (run.config.get("data") or {}).get("label_names")
    return list(names or map(str, range(run.model.n_classes)))


def given_label(run: Run, label: str | None, n: int) -> np.ndarray | None:
    """Return n times the label that --label names, or None for a model without labels."""
    n_classes = run.model.n_classes
    if not n_classes:
        if label is not None:
            problem = f"{run.path} is not conditional (train --conditional)"
            raise ValueError(f"--label {label}: {problem}")
        return None
    names = _label_names(run)
    if label not in names:
        asked = "is needed for a conditional model" if label is None else f"{label} is unknown"
        raise ValueError(f"--label {asked}: it is one of {', '.join(names)}")
    return np.full(n, names.index(label))
