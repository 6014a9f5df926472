"""Data sets by name, ready to train on: the bundled digits, MNIST and Fashion-MNIST, drawn shapes,
and people's own files; new data for a trained model; and the batches of an epoch."""

import dataclasses
import os
from contextlib import suppress
from importlib import resources

import numpy as np

from tinyvae import checks
from tinyvae.core.errors import Argument, InputError, MissingFileError
from tinyvae.data import csv_reader, mnist, preparation, readers, shapes
from tinyvae.data.blocks import batches as batches
from tinyvae.data.dataset import Dataset
from tinyvae.data.rows import BinarizedRows, Rows, value_range
from tinyvae.data.scaling import BYTES, Scaling

PATHS = ("name", "labels", "data_dir")  # options that may hold one
NAMES = ("digits", *mnist.SOURCES, "shapes")
STATIC_SEED = 20080704  # of the one static draw that all runs share, so that their numbers compare


def load_dataset(
    name: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    labels: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    channels: str = "auto",
    scale: str | float = "infer",
    validation: float | None = None,
    binarize: str = "none",
    header: str = "auto",
    columns: csv_reader.Columns = None,
    drop: csv_reader.Columns = None,
    categorical: csv_reader.Columns = None,
    missing: bool = False,
    skip_damaged: bool = False,
    seed: int = 0,
) -> Dataset:
    """Return a data set by its name, or from one's own file or folder.

    Parameters
    ----------
    name : "digits", "mnist", "fashion-mnist", "shapes", or a path
        Of an .npy file, an .npz file (`file.npz:key` names the array; `x_train` and `x_test` are
        taken as the split), a table in text (.csv, .tsv or .txt, or any of them as .gz), or a
        folder of images (``./digits`` if it is called so; `train` and `val` in it are the
        split).
    data_dir : folder
        Where the IDX files of MNIST or Fashion-MNIST are; without it they are downloaded once, into
        $TINYVAE_DATA_DIR or the user's cache folder.
    labels : str
        Own data: the name (or number, from 1) of a table's column, the key in an .npz file, or the
        path of an .npy file beside an .npy file. A folder's labels are its subfolders.
    image_size : int or (H, W)
        Images of a folder are resized to it; rows of an array are images of it.
    channels : {"auto", "grey", "colour"}
        Of a folder of images; auto is grey where all are.
    scale : "infer", "none", "standardize", or a number to divide by
        Own data: "infer" divides bytes by 255, takes the floats of an array as they are, and
        standardises a table in text, unless its columns are pixels.
    validation : float
        The part of own data that is held out as the test rows, if they have no test split of their
        own (0.1 unless given), and the part of the training rows by which `tinyvae train` chooses
        the epoch. With 0, all rows are trained on, and tested on too where there is no split.
    binarize : {"none", "static", "dynamic"}
        Draw black and white pixels; see `tinyvae.data.rows.BinarizedRows` for the protocols.
    header : {"auto", "yes", "no"}
        Whether a table's first line names its columns; "auto" tells by what it holds.
    columns, drop : str or sequence of str and int
        Columns of a table to take, or to leave out: names, numbers from 1, or ranges such as "2-5".
    categorical : str or sequence of str and int
        Columns of numbers that are codes of categories. Columns of words are categories anyway, and
        columns of 0 and 1 alone are Bernoulli: `Dataset.variables` tells. A model of them has
        likelihood="mixed".
    missing : bool
        Whether cells of an array may be missing, NaN. In a table in text an empty cell, NA, NaN or
        ? is a missing one anyway. Cells are taken to be missing at random.
    skip_damaged : bool
        Leave out images that cannot be read.
    seed : int
        Of the held-out part and of dynamic binarization.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError, FileNotFoundError
        In one line that names the value or the place in the file, and the remedy.

    Examples
    --------
    >>> from tinyvae import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.x_train.shape, digits.image_shape
    ((4500, 784), (28, 28))
    """
    checks.instance("name", name, str | os.PathLike, f"a path or one of {', '.join(NAMES)}")
    name = os.fspath(name)
    given = {"labels": labels, "image_size": image_size, "validation": validation}
    own = {"channels": channels, "scale": scale, "header": header} | given
    own |= {"columns": columns, "drop": drop, "skip_damaged": skip_damaged}
    own |= {"categorical": categorical, "missing": missing}
    if binarize not in ("none", "static", "dynamic"):
        problem = f"binarize {binarize!r}"
        raise InputError(problem, remedy="expected none, static or dynamic")
    if name not in NAMES:
        try:
            dataset = preparation.load(name, seed=seed, **own)
            if binarize != "none" and scale == "infer" and dataset.scaling.kind == "standardize":
                dataset = preparation.load(name, seed=seed, **own | {"scale": "none"})
        except FileNotFoundError as error:
            if os.path.exists(readers.split_key(name)[0]):  # another file is missing
                raise
            problem = (str(error), "; data sets by name")
            raise MissingFileError(*problem, remedy=", ".join(NAMES)) from None
        name, own["scale"] = os.path.abspath(name), dataset.scaling.option
        if name.endswith(".npy") and labels:
            own["labels"] = os.path.abspath(labels)
    else:
        for key, value in own.items():
            if value not in (None, "auto", "infer", False):
                problem = f" is for own files; {name} comes ready to train on"
                raise InputError(Argument(key, value), problem)
        dataset = _shapes() if name == "shapes" else _handwritten(name, data_dir)
    options = {"name": name, "data_dir": data_dir and os.path.abspath(data_dir), **own}
    options |= {"binarize": binarize, "seed": seed}
    dataset = dataclasses.replace(dataset, options=options)
    return dataset if binarize == "none" else _binarized(dataset, binarize == "dynamic", seed)


def relative_paths(options: dict, folder: str | os.PathLike) -> dict[str, str]:
    """Return the paths in a data set's options as they are seen from a run folder."""
    paths = {k: options[k] for k in PATHS if os.path.isabs(str(options.get(k) or ""))}
    with suppress(ValueError):  # on another drive
        return {k: os.path.relpath(path, os.path.abspath(folder)) for k, path in paths.items()}
    return {}


def load_again(
    config: dict, folder: str | os.PathLike, moved_to: str | os.PathLike | None = None
) -> Dataset:
    """Return the data set of a run's configuration (of `Dataset.to_config`), from where its files
    lie now: at `moved_to`, where they were, or where they were as seen from the run's folder."""
    options = dict(config["options"])
    if options["name"] not in NAMES and options.get("scale") == "infer":  # of an earlier version
        options["scale"] = Scaling.from_config(config["scaling"]).option
    for key, path in config.get("relative", {}).items():
        here = os.path.normpath(os.path.join(os.path.abspath(folder), path))
        if not os.path.exists(readers.split_key(options[key])[0]):
            options[key] = here if os.path.exists(readers.split_key(here)[0]) else options[key]
    if moved_to is not None:
        array = readers.split_key(options["name"])[1]
        name = os.fspath(moved_to)
        options["name"] = name if array is None or name.endswith(":" + array) else f"{name}:{array}"
    return load_dataset(**options)


def _handwritten(name: str, data_dir: str | os.PathLike | None) -> Dataset:
    """Return digits, mnist or fashion-mnist."""
    arrays = _digits() if name == "digits" else mnist.load(name, data_dir)
    x_train, y_train, x_test, y_test = arrays
    return Dataset(
        name,
        BYTES.apply(x_train.reshape(len(x_train), -1)),
        BYTES.apply(x_test.reshape(len(x_test), -1)),
        y_train,
        y_test,
        image_shape=x_train.shape[1:],
        label_names=mnist.SOURCES["mnist" if name == "digits" else name].label_names,
    )


def _digits() -> tuple[np.ndarray, ...]:
    """Return the 5,000 images of MNIST in the package: 4,500 to train on, 500 to test on."""
    with (resources.files("tinyvae.data") / "bundled" / "digits.npz").open("rb") as file:
        with np.load(file, allow_pickle=False) as arrays:
            x_train, x_test = (arrays[k].reshape(-1, 28, 28) for k in ("x_train", "x_test"))
            y_train, y_test = (arrays[k].astype(np.int64) for k in ("y_train", "y_test"))
    return x_train, y_train, x_test, y_test


def _shapes() -> Dataset:
    drawn = shapes.draw()
    return Dataset(
        "shapes",
        drawn.x_train,
        drawn.x_test,
        drawn.factors_train[:, 0].astype(np.int64),
        drawn.factors_test[:, 0].astype(np.int64),
        image_shape=shapes.IMAGE_SHAPE,
        label_names=shapes.SHAPES,
        scaling=Scaling("none", low=0.0, high=1.0),
        factors_train=drawn.factors_train,
        factors_test=drawn.factors_test,
        factor_names=shapes.FACTORS,
    )


def _binarized(dataset: Dataset, dynamic: bool, seed: int) -> Dataset:
    """Return `dataset` in black and white; what is drawn once and fits into memory is an array."""
    if dataset.missing or dataset.mixed:
        what = "missing cells" if dataset.missing else "columns of 0 and 1 or of categories"
        remedy = "leave binarize out; it is for grey values"
        raise InputError(f"{dataset.name} has {what}", remedy=remedy)
    for rows in (dataset.x_train, dataset.x_test):
        low, high = value_range(rows)
        if low < 0 or high > 1:
            raise ValueError(
                f"{dataset.name} has values from {low:g} to {high:g}: only grey values in [0, 1]"
                " can be binarized"
            )
    train = BinarizedRows(dataset.x_train, seed if dynamic else STATIC_SEED, dynamic)
    test = BinarizedRows(dataset.x_test, STATIC_SEED + 1)
    return dataclasses.replace(
        dataset,
        x_train=train[:] if isinstance(train.rows, np.ndarray) and not dynamic else train,
        x_test=test[:] if isinstance(test.rows, np.ndarray) else test,
        remark=f"binarized ({'anew in each epoch' if dynamic else 'once'})",
    )


def read_matrix(
    source: str | os.PathLike, config: dict, data_dir: str | os.PathLike | None = None, *,
    missing: bool = False,
) -> Rows:  # fmt: skip
    """Return rows for a trained run: of a file, a folder, an image, or a known set's test split.

    Parameters
    ----------
    source : as `load_dataset` takes it
    config : what `Dataset.to_config` gave when the run was trained
        Its scaling is applied, its image size and label column are expected.
    data_dir : as `load_dataset` takes it
    missing : bool
        Whether NaN in an array is a missing cell, as it is where the run's data were read so.

    Returns
    -------
    (N, D) float32 array in the model's units, or a source of rows where the file is large

    Raises
    ------
    ValueError
        `source` has another width than the model, or values that cannot be its.
    """
    return _read(os.fspath(source), config, data_dir, False, missing)[0]


def read_labelled(
    source: str | os.PathLike, config: dict, data_dir: str | os.PathLike | None = None, *,
    missing: bool = False,
) -> tuple[Rows, np.ndarray | None]:  # fmt: skip
    """Return `read_matrix`'s rows, and labels (N,) as the run counts them, or None without any.

    Raises
    ------
    ValueError
        As `read_matrix`; or a label is none that the run was trained with.
    """
    x, y, names = _read(os.fspath(source), config, data_dir, True, missing)
    if y is None or config["label_names"] is None:
        return x, y
    places = {name: place for place, name in enumerate(config["label_names"])}
    for name in names:
        if name not in places:
            raise ValueError(
                f"{source} has the label {name!r}, the model was trained with {', '.join(places)}"
            )
    return x, np.array([places[name] for name in names])[y]


def _read(
    source: str, config: dict, data_dir: str | os.PathLike | None, labelled: bool, missing: bool
) -> tuple[Rows, np.ndarray | None, tuple[str, ...] | None]:
    """Return rows, and labels and their names, which are None, and unread, unless `labelled`."""
    if source not in NAMES:
        x, table = preparation.read_like(source, config, missing)
        return x, *(readers.encode_labels(table, source) if labelled else (None, None))
    dataset = load_dataset(source, data_dir or config["options"].get("data_dir"))
    preparation.check_width(source, dataset.n_features, config)
    scaling = Scaling.from_config(config["scaling"])
    x = dataset.x_test if scaling.unit else scaling.apply(dataset.x_test)
    return x, dataset.y_test, dataset.label_names
