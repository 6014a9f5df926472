"""Keep a run folder: config.json, metrics.csv, checkpoint.npz and figures/, written in training.

Every file is replaced as a whole, and the checkpoint holds the history too: whatever the moment of
a kill, the folder says how to go on.
"""

import atexit
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae import __version__, checks
from tinyvae.core.errors import Argument, InputError, MissingFileError, TakenFolderError
from tinyvae.data import Dataset, load_again
from tinyvae.data.dataset import counted
from tinyvae.device import Backend
from tinyvae.engines.plain import moves
from tinyvae.models import Autoencoder
from tinyvae.threads import team
from tinyvae.train import checkpoint, files, locks
from tinyvae.train.files import is_free, make_folder, write_csv, write_text

COLUMNS = (
    *("epoch", "seconds", "loss", "reconstruction", "kl"),
    *("val_loss", "val_reconstruction", "val_kl"),
)
NUMBERS = [name for name in COLUMNS if name != "seconds"]  # columns of the checkpoint's history
LOG_P = "val_log_p"  # a column more, where it tells the best epoch
TRAINING = (
    *("epochs", "batch_size", "lr", "optimizer", "lr_schedule", "kl_warmup", "kl_cycles"),
    "threads",
)
REQUIRED = ("batch_size", "lr", "optimizer", "lr_schedule", "kl_warmup")


class History(list[dict[str, float]]):
    """The rows of metrics.csv, and, of a training with `patience`, the best of these epochs."""

    best_epoch: int | None = None


class Run:
    """A run folder on disk.

    Parameters
    ----------
    path : path of the folder
    config : dict
        What config.json holds: "model", "training", "data", "versions".
    numbered : str, optional
        The name that a new run numbers anew where another one has just taken its folder.

    Attributes
    ----------
    moved_to : str or None
        Where the data lie now, if not where config.json says.
    started : bool
        Whether training has begun: from then on a failure is no longer one of the input.
    created : function
        Called when the folder has been made.
    best : dict
        The weights of the best epoch so far, by name; empty without `patience`.
    stopped : int
        0, or how many epochs were asked for when the training stopped before them.
    """

    def __init__(
        self, path: str | os.PathLike, config: dict | None = None, numbered: str | None = None
    ) -> None:
        self.path, self.config, self.started = Path(path), config or {}, False
        self.numbered, self._lock, self.changed = numbered, None, False
        self.moved_to: str | None = None
        self.best: dict[str, np.ndarray] = {}
        self.stopped = 0
        self.created: Callable[[], None] = lambda: None

    @property
    def quoted(self) -> str:
        """The path as one types it in a shell."""
        return shlex.quote(str(self.path))

    def check_free(self) -> None:
        """Raise OSError if the folder can't be a new run's: it is a file, or not empty."""
        if self.path.is_dir() and not is_free(self.path) and not self.gives_way():
            remedy = ["choose another name, or continue it with ", Argument("resume", True)]
            raise TakenFolderError(f"{self.path} exists and is not empty", remedy=remedy)
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self.path} is a file: choose another name for the run folder")

    def gives_way(self) -> bool:
        """Return whether the folder is that of a run without a trained epoch, which has ended."""
        names = {p.name for p in self.path.iterdir() if p.suffix != ".partial"}
        if not names <= {"config.json", checkpoint.FILE, "metrics.csv", locks.NAME}:
            return False
        try:
            other = open_run(self.path)
            if self._lock is None:  # nor is it another process's, just begun
                other.lock(patience=0)
        except (OSError, ValueError):
            return False
        try:
            return other.done == 0
        except (OSError, ValueError):
            return False
        finally:
            other.unlock()

    def create(self) -> None:
        """Make the folder, for this process alone, and write config.json."""
        while True:
            try:
                self.check_free()
                make_folder(self.path)
                self.lock(patience=0)
                self.check_free()  # nor was it filled before it was locked
                break
            except (FileExistsError, BlockingIOError):
                self.unlock()
                if not self.numbered:
                    raise
                self.path = next_free(self.path.parent, self.numbered)
        self.write_config()
        self.created()

    @contextmanager
    def begin(
        self, model: Autoencoder, optimizer: Any, resume: bool, first: bool
    ) -> Iterator[tuple[History, list[np.ndarray]]]:
        """Make the folder ready for a training, or bring it back, and give the histories so far;
        only the first rank writes. The folder is this process's until the `with` block ends."""
        try:
            if first and resume:
                self.lock()
            elif first:
                self.create()
            if first:
                files.remove_partial(self.path)
            history, kl_history = self.restore(model, optimizer) if resume else (History(), [])
            if first and history:
                _note_other_bits(self.config.get("versions", {}))
            if first and resume and self.changed:
                self.write_config()
            if first and history:
                self.write_metrics(history, kl_history)
            elif first:
                self.save(model, optimizer, history, kl_history)
            self.started = True
            yield history, kl_history
        finally:
            self.unlock()

    def lock(self, patience: float = locks.PATIENCE) -> None:
        """Keep other processes from training in this folder, until `unlock` or this process's end.

        Raises BlockingIOError where one does so for `patience` seconds.
        """
        if self._lock is None:
            self._lock = locks.lock(self.path, patience)
            atexit.register(self.unlock)

    def unlock(self) -> None:
        """Let others train in this folder again."""
        file, self._lock = self._lock, None  # first, as Ctrl-C may end this anywhere
        if file is not None:
            locks.unlock(file)
            atexit.unregister(self.unlock)

    def extend(self, epochs: int, write: bool = True) -> None:
        """Set the number of epochs that a resumed training goes on to."""
        if epochs < self.done:
            problem = f"{self.path} has {counted(self.done, 'epoch')} already"
            remedy = [Argument("epochs", bare=True), " must be more"]
            raise InputError(problem, remedy=remedy)
        if epochs != self.config["training"]["epochs"]:
            self.config["training"]["epochs"] = epochs
            if write:
                self.write_config()

    def go_on(self) -> None:
        """Let a run that is made anew in Python go on as config.json says; more epochs are noted.

        Raises ValueError where it was trained otherwise, or on other data.
        """
        if not (self.path / "config.json").exists():  # it was killed before
            return
        stored = open_run(self.path)
        given, known = self.config["training"], stored.config["training"]
        what = [
            f"with {name} {known[name]!r}, not {given[name]!r}"
            for name in (*REQUIRED, "kl_cycles")
            if name in known and known[name] != given[name]
        ]
        before, now = stored.config.get("x_train"), self.config["x_train"]
        if before and now and before != now:
            what.append("on other data")
        if what:
            remedy = "give the same, or train a new run"
            raise ValueError(f"{self.path} was trained {what[0]}: {remedy}")
        self.changed = known != given
        self.config = stored.config | self.config

    def write_config(self) -> None:
        """Write config.json: everything that is needed to train the same again."""
        self.config["format"] = checkpoint.FORMAT
        self.config["versions"] = versions()
        text = json.dumps(self.config, indent=2, ensure_ascii=False) + "\n"
        write_text(self.path / "config.json", text)

    def save(
        self, model: Autoencoder, optimizer: Any, history: History, kl_history: list[np.ndarray],
        best: dict[str, np.ndarray] | None = None, variance: Any = None,
    ) -> None:  # fmt: skip
        """Write the checkpoint, then metrics.csv (and kl_per_dimension.csv).

        `best` are the weights of the best epoch; `variance` is the σ² of each feature that a
        resumed training goes on with, where the model's own is already another one.
        """
        extra: dict[str, Any] = {f"best.{name}": array for name, array in (best or {}).items()}
        if best:
            extra |= {"best_epoch": history.best_epoch, "stopped": self.stopped}
        if moves(model):
            extra["variance"] = model.likelihood.variance if variance is None else variance
        table = np.array([[row[name] for name in NUMBERS] for row in history])
        if history and LOG_P in history[0]:
            extra[LOG_P] = np.array([row[LOG_P] for row in history])
        checkpoint.save(
            model, self.path / checkpoint.FILE, epoch=len(history), seed=model.seed,
            **checkpoint.optimizer_arrays(model, optimizer),
            history=table.reshape(len(history), len(NUMBERS)),
            seconds=np.array([row["seconds"] for row in history]),
            kl_per_dimension=np.array(kl_history).reshape(len(kl_history), model.latent_dim),
            **extra,
        )  # fmt: skip
        self.write_metrics(history, kl_history)

    def write_metrics(self, history: History, kl_history: list[np.ndarray]) -> None:
        """Write metrics.csv, a row an epoch, and kl_per_dimension.csv beside it.

        Where that fails, it is noted: the checkpoint has the history too.
        """
        try:
            names = tuple(history[0]) if history else COLUMNS
            write_csv(self.path / "metrics.csv", names, [list(row.values()) for row in history])
            if kl_history:
                names = ("epoch", *(f"z{j}" for j in range(1, len(kl_history[0]) + 1)))
                rows = [[epoch, *values.tolist()] for epoch, values in enumerate(kl_history, 1)]
                write_csv(self.path / "kl_per_dimension.csv", names, rows)
        except OSError as error:
            print(f"note: {error}; the checkpoint has the history too", file=sys.stderr)

    def restore(self, model: Autoencoder, optimizer: Any) -> tuple[History, list[np.ndarray]]:
        """Bring model and optimizer to the state of the last checkpoint; return the histories.

        Where the run was killed before its first checkpoint, nothing is restored.
        """
        path, metrics = self.path / checkpoint.FILE, self.path / "metrics.csv"
        if not path.exists():
            if metrics.exists() and len(metrics.read_text("utf-8").splitlines()) > 1:
                remedy = "put the file back, or train a new run"
                raise FileNotFoundError(f"{path} is gone, and with it the training: {remedy}")
            return History(), []
        arrays = checkpoint.read(path)
        history, kl_history = self._histories(arrays)
        self._check_model(arrays)
        checkpoint.set_weights(model, arrays, path)
        checkpoint.set_optimizer(model, optimizer, arrays, path)
        if moves(model):
            variance = checkpoint.require(arrays, "variance", model.likelihood.variance.shape, path)
            model.likelihood.variance = model.backend.asarray(variance, model.dtype)
        self.best = checkpoint.best_weights(arrays)
        self.stopped = int(arrays["stopped"]) if "stopped" in arrays else 0
        return history, kl_history

    def _histories(self, arrays: checkpoint.Arrays) -> tuple[History, list[np.ndarray]]:
        """Return the histories that a checkpoint's arrays hold."""
        path = self.path / checkpoint.FILE
        for name in ("history", "seconds", "kl_per_dimension"):
            if name not in arrays:
                raise ValueError(f"{path} lacks {name}: it holds a model, but no training")
        n = int(checkpoint.require(arrays, "epoch", (), path))
        shapes = [arrays.shape(name) for name in ("history", "seconds", "kl_per_dimension")]
        if shapes[:2] != [(n, len(NUMBERS)), (n,)] or len(shapes[2]) != 2:
            raise ValueError(f"{path} is damaged (its history is cut): {checkpoint.REMEDY}")
        history = History()
        if "best_epoch" in arrays:
            history.best_epoch = int(arrays["best_epoch"])
        for values, seconds in zip(arrays["history"], arrays["seconds"], strict=True):
            row = dict(zip(NUMBERS, values.tolist(), strict=True))
            row |= {"epoch": int(row["epoch"]), "seconds": float(seconds)}
            history.append({name: row[name] for name in COLUMNS})
        if LOG_P in arrays:
            chosen_by = checkpoint.require(arrays, LOG_P, (n,), path)
            for row, value in zip(history, chosen_by.tolist(), strict=True):
                row[LOG_P] = value
        return history, list(arrays["kl_per_dimension"])

    @property
    def histories(self) -> tuple[History, list[np.ndarray]]:
        """The rows of metrics.csv, and the KL per latent dimension of each epoch (may be empty)."""
        return self._histories(checkpoint.read(self.path / checkpoint.FILE))

    @property
    def done(self) -> int:
        """How many epochs the last checkpoint has behind it."""
        return len(self.histories[0]) if (self.path / checkpoint.FILE).exists() else 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train: all epochs are done, or the patience ran out."""
        arrays = checkpoint.read(self.path / checkpoint.FILE) if self.done else {}
        stopped = int(arrays["stopped"]) if "stopped" in arrays else 0
        return self.config["training"]["epochs"] in (self.done, stopped)

    @cached_property
    def model(self) -> Autoencoder:
        """The model of the last checkpoint."""
        self._check_model(checkpoint.read(checkpoint.find(self.path)))
        return checkpoint.load(self.path)

    def built(self, backend: Backend) -> Autoencoder:
        """Return a new model, as config.json says."""
        if (path := self.path / checkpoint.FILE).exists():  # looked at before a model is made
            arrays = checkpoint.read(path)
            self._check_model(arrays)
            checkpoint.check_size(arrays)
        try:
            checks.choice("class", self.config["model"]["class"], checkpoint.CLASSES)
            return checkpoint.build(self.config["model"], backend)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(self.path, error) from None

    def _check_model(self, arrays: checkpoint.Arrays) -> None:
        """Raise ValueError where the checkpoint is of another model than config.json's."""
        stored = arrays.config
        for name, value in self.config["model"].items():
            same = name in stored and stored[name] == json.loads(json.dumps(value))
            if not same and name not in checkpoint.LOSS_WEIGHTS:  # a callback may change those
                there = json.dumps(stored.get(name))
                problem = f"{name} is {json.dumps(value)} in config.json, {there} in it"
                remedy = "put back the file that belongs to the run"
                path = self.path / checkpoint.FILE
                raise ValueError(f"{path} holds another model ({problem}): {remedy}")

    @cached_property
    def dataset(self) -> Dataset:
        """The data set of the run, loaded again as its config.json says."""
        if "data" not in self.config:
            problem = f"{self.path} was trained on arrays from Python, which it does not hold"
            raise InputError(problem, remedy="fit(…, resume=True) takes them again")
        try:
            dataset = load_again(self.config["data"], self.path, self.moved_to)
        except TypeError as error:  # of an option that is none
            raise damaged(self.path, error) from None
        except FileNotFoundError as error:
            # Without the names of other data sets.
            reason = error.problem[0] if isinstance(error, MissingFileError) else error
            remedy = ["put it back, or name its new place with ", Argument("dataset")]
            raise MissingFileError(f"the data of {self.path}: {reason}", remedy=remedy) from None
        dataset.check_same(self.config["data"])
        return dataset


def next_free(folder: str | os.PathLike, name: str) -> Path:
    """Return folder/name, or name-2, name-3, … where that is taken by more than a run without an
    epoch."""
    path, number = Path(folder) / name, 2
    while path.exists() and not (path.is_dir() and (is_free(path) or Run(path).gives_way())):
        path, number = Path(folder) / f"{name}-{number}", number + 1
    return path


def open_run(path: str | os.PathLike) -> Run:
    """Return the run at `path`: `.model`, `.dataset`, `.config`, `.path`.

    Parameters
    ----------
    path : path of a run folder

    Returns
    -------
    Run

    Raises
    ------
    FileNotFoundError, ValueError
        If `path` is no run folder, or its config.json is damaged.
    """
    path = Path(path)
    config = path / "config.json"
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is no run folder: there is no such folder")
    if not config.is_file():
        raise FileNotFoundError(f"{path} is no run folder: it holds no config.json")
    try:
        content = json.loads(config.read_text("utf-8"))
        _check_config(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, error) from None
    checkpoint.check_format(config, content | content.get("versions", {}))
    return Run(path, content)


def damaged(path: Path, error: Exception) -> ValueError:
    """Return the error that says of a run folder's config.json what is wrong with it."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else error
    return ValueError(f"{path / 'config.json'} is damaged ({reason}): restore it, or train again")


def versions() -> dict[str, str]:
    """Return what the bits of a training depend on beside its settings."""
    python, numpy = platform.python_version(), np.__version__
    return {"tinyvae": __version__, "python": python, "numpy": numpy, "blas": team.library}


def _note_other_bits(before: dict[str, str]) -> None:
    """Print a note where a training goes on with another NumPy, or on another processor."""
    now = versions()
    for name in ("numpy", "blas"):
        if name in before and before[name] != now[name]:
            change = f"{name} was {before[name]}, and is {now[name]}"
            print(f"note: {change}: the run goes on, with other last digits", file=sys.stderr)


def _check_config(config: dict) -> None:
    """Raise KeyError, TypeError or ValueError if parts of a configuration are missing or wrong."""
    parts = [config["model"], config["training"]]
    if "data" in config:
        data = config["data"]
        parts += [data, data["options"], data["scaling"]]
        data["n_features"], data["image_shape"], data["label_names"], data["feature_names"]
    if not all(isinstance(part, dict) for part in parts):
        raise TypeError("model, training, data, options and scaling must be objects")
    config["model"]["class"]
    checks.integer("epochs", config["training"]["epochs"], 1)
    for name in REQUIRED:
        config["training"][name]
    for name in config["training"]:
        checks.choice("a setting of training", name, (*TRAINING, "patience"))
