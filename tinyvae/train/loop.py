"""`fit` trains a model, in three parts: check, set up, loop.

The heart of the loop is four lines: draw a batch, `forward`, `backward`, `step`, each done by an
engine (`tinyvae.engines`). What stands around them checks the input first, keeps the history, and
writes a run folder that survives a kill at any moment.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tinyvae import checks, evaluate
from tinyvae.core.arrays import Array
from tinyvae.core.columns import MIN_VARIANCE
from tinyvae.core.errors import Argument, DivergedError, InputError
from tinyvae.core.likelihood import Bernoulli, CalibratedGaussian
from tinyvae.core.optim import SGD, Adam
from tinyvae.data import progress
from tinyvae.data.dataset import counted
from tinyvae.data.rows import BinarizedRows, LazyRows, value_range
from tinyvae.device import on_host
from tinyvae.engines import make_steps
from tinyvae.engines.communicator import find
from tinyvae.engines.partition import DataParallel
from tinyvae.engines.plain import Steps, moves, on_device
from tinyvae.evaluate.evaluation import KL_ROWS
from tinyvae.evaluate.laplace import log_evidence
from tinyvae.evaluate.passes import mean_squares
from tinyvae.models import IWAE, VAE, Autoencoder
from tinyvae.threads import checked, team
from tinyvae.train import checkpoint, schedules, stopping
from tinyvae.train.checkpoint import model_config
from tinyvae.train.runs import LOG_P, History, Run
from tinyvae.train.schedules import LR_SCHEDULES

MAX_VARIANCE = 1e24  # a calibrated σ² above it is that of a training that diverged
OPTIMIZERS = ("adam", "sgd")
SHOWN = ("loss", "kl", "val_loss")  # of an epoch, while a training goes on

SETTLED = 20_000  # draws, at least, that the σ² of each feature is set from when a training ends


LARGE = 1e6  # below that, data do not make the KL of a new model overflow
OUTLIER = 1000  # times the usual: a row that reaches so far is named where a loss overflows


def fit(
    model: Autoencoder,
    x_train: Array,
    epochs: int = 10,
    batch_size: int = 128,
    lr: float = 1e-3,
    lr_schedule: str = "constant",
    optimizer: Any = None,
    validation: Array | None = None,
    kl_warmup: float = 0,
    progress: bool = True,
    callback: Callable[[dict], Any] | None = None,
    run: str | os.PathLike | Run | None = None,
    *,
    kl_cycles: int = 1,
    labels: Array | None = None,
    validation_labels: Array | None = None,
    resume: bool = False,
    distributed: str = "auto",
    threads: int | str = "auto",
    tf32: bool = False,
    patience: int | None = None,
    missing: bool = False,
) -> History:
    """Train `model` in place on the rows of `x_train`.

    Parameters
    ----------
    model : VAE or Autoencoder
    x_train : array (N, D) of floats, or rows that are read lazily (`tinyvae.data.rows`)
    epochs, batch_size : int
    lr : float
        Learning rate at the start.
    lr_schedule : {"constant", "step", "cosine"}
        "step" goes on at a fifth of `lr` in the last third of the epochs (with `patience`, when
        that first runs out); "cosine" falls towards 0.
    optimizer : {"adam", "sgd"} or an optimizer of `model.parameters`, optional
        Adam unless given; "sgd" has a momentum of 0.9. One of your own keeps its own lr.
    validation : array (M, D), optional
        Rows to evaluate after every epoch.
    kl_warmup : float
        Over how many epochs the factor of the KL rises from 0 to beta (Bowman et al. 2016). A note
        on stderr tells where the training, or a cycle of it, is too short to reach beta.
    progress : bool
        Show a progress bar in a terminal or a notebook, a line an epoch elsewhere (on stderr), and
        notes at the end.
    callback : function, optional
        Called after every epoch with its row of the history; returning True (or NumPy's), and
        nothing else, ends the training.
    run : path or Run, optional
        Leave a run folder there; it must not exist, unless `resume` is set.
    kl_cycles : int
        How often the warm-up starts anew over the training (Fu et al. 2019).
    labels, validation_labels : arrays (N,), (M,) of int
        For a conditional model.
    resume : bool
        Go on from the last checkpoint of `run`.
    distributed : {"auto", "mpi", "none"}
        Whether other ranks share the work: "auto" finds those that mpiexec started. Each of them
        makes the same call; the first one alone shows progress, writes the run folder and calls
        `callback`.
    threads : int or "auto"
        How many cores of a CPU share what is large enough (`tinyvae.threads`), or "auto": all. Any
        number gives the same bits, with the same NumPy and BLAS on the same type of processor.
    tf32 : bool
        On a GPU, let float32 matrices be multiplied by its faster units, which round their factors
        to 10 bits of mantissa instead of 23. (`tinyvae.engines.fused` has no use for them.)
    patience : int, optional
        Keep the weights of the best epoch: that of the highest ELBO of `validation` (weights 1; of
        an IWAE, its own bound; where cells are missing, log p(x) by Laplace's method) once the
        warm-up is over; and stop when so many epochs in a row were no better. The run folder keeps
        the last weights too, from which `resume` goes on.
    missing : bool
        Whether cells of x may be missing, NaN, from now on: see `missing` of `VAE`, which can also
        show the encoder which cells are. The assumption is that they are missing at random.

    Returns
    -------
    history : list of dict
        One row an epoch: epoch, seconds, loss, reconstruction, kl, and val_loss,
        val_reconstruction, val_kl (NaN without `validation`); in nats per example. With
        `patience`, `history.best_epoch` tells the epoch whose weights the model has, and
        val_log_p what it was chosen by, where cells are missing.

    Raises
    ------
    ValueError
        For input that can't be trained on, before anything is changed.
    FloatingPointError
        If the loss is no longer finite; the message says since when, why, and what to change.
    OSError
        If the run folder can't be written.
    MemoryError
        If a GPU has too little for a step; the message says how much, and which batch would fit.
    RuntimeError
        If another thread is using the model.

    See Also
    --------
    tinyvae.evaluate.elbo : Measure what was trained.
    tinyvae.load : Open the run folder again.

    Examples
    --------
    >>> from tinyvae import VAE, fit, load_dataset
    >>> digits = load_dataset("digits")
    >>> vae = VAE(784, 2, hidden=(64,), likelihood="bernoulli", backend="numpy")
    >>> history = fit(vae, digits.x_train[:500], epochs=2, lr=3e-3, progress=False)
    >>> [row["epoch"] for row in history], history[1]["loss"] < history[0]["loss"]
    ([1, 2], True)
    """
    training = _check(**locals())
    with model.in_use(), _set_up(training) as steps:
        return _loop(training, steps)


@dataclass
class _Training:
    """A training with all that takes part in it, checked."""

    model: Autoencoder
    optimizer: Any
    x_train: Any
    labels: Array | None
    validation: Any
    validation_labels: Array | None
    epochs: int
    batch_size: int
    lr_schedule: str
    kl_warmup: float
    kl_cycles: int
    callback: Callable[[dict], Any] | None
    progress: bool
    tf32: bool
    run: Run | None
    resume: bool
    threads: int
    ranks: DataParallel
    digest: str
    patience: int | None = None
    history: History = field(default_factory=History)
    kl_history: list[np.ndarray] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)  # the weights of the best epoch


def _check(
    model: Autoencoder, x_train: Array, optimizer: Any, lr: float, run: Any, labels: Any,
    validation: Any, validation_labels: Any, distributed: str, threads: int | str,
    missing: bool, **settings: Any,
) -> _Training:  # fmt: skip
    """Return the training, or raise what is wrong with its arguments; nothing is changed yet."""
    checks.instance("model", model, Autoencoder, "a VAE or an Autoencoder")
    checks.integer("epochs", settings["epochs"], 1)
    checks.integer("batch_size", settings["batch_size"], 1)
    checks.number("kl_warmup", settings["kl_warmup"])
    checks.integer("kl_cycles", settings["kl_cycles"], 1)
    checks.choice("lr_schedule", settings["lr_schedule"], LR_SCHEDULES)
    wanted = "a function of an epoch's row of the history"
    checks.function("callback", settings["callback"], wanted)
    if settings["tf32"] and (model.backend.name == "numpy" or model.dtype != "float32"):
        found = f"backend {model.backend.name!r} with {model.dtype}"
        raise ValueError(f"tf32 is for float32 on a GPU, not for {found}: leave it out")
    if settings["patience"] is not None:
        checks.integer("patience", settings["patience"], 1)
        if validation is None:
            asked = Argument("patience", settings["patience"])
            remedy: list[Any] = ["give ", Argument("validation"), ", or leave patience out"]
            raise InputError(asked, " waits for rows that are held out", remedy=remedy)
    checks.flag("missing", missing)
    x_train, labels = _checked(model, "x_train", x_train, labels, missing)
    ranks = DataParallel(find(distributed))
    digest = _digest(x_train, labels) if run is not None or ranks.several else ""
    if validation is not None:
        validation, validation_labels = _checked(
            model, "validation", validation, validation_labels, missing
        )
    optimizer = make_optimizer(optimizer, model, lr)
    threads = checked(threads)
    if missing:
        model.accept_missing()
    if run is not None and not isinstance(run, Run):
        names = ("epochs", "batch_size", "kl_warmup", "lr_schedule", "kl_cycles")
        training = {name: settings[name] for name in names} | {
            "lr": optimizer.lr,
            "threads": threads,
        }
        training["optimizer"] = type(optimizer).__name__.lower()
        if settings["patience"] is not None:
            training["patience"] = settings["patience"]
        run = Run(run, {"model": model_config(model), "training": training, "x_train": digest})
        if settings["resume"] and run.path.is_dir():
            run.go_on()
    if settings["resume"] and (run is None or not run.path.is_dir()):
        what = "without run" if run is None else f"with run={str(run.path)!r}"
        raise ValueError(f"resume=True {what}: there is nothing to go on from: leave resume out")
    return _Training(
        model, optimizer, x_train, labels, validation, validation_labels, run=run, threads=threads,
        ranks=ranks, digest=digest, **settings,
    )  # fmt: skip


@contextmanager
def _set_up(training: _Training) -> Iterator[Steps]:
    """Begin or resume the run folder, take the cores, and yield the engine; end all of it."""
    t, model, optimizer, ranks = training, training.model, training.optimizer, training.ranks
    ranks.agree(
        model, rows=len(t.x_train), batch_size=t.batch_size, epochs=t.epochs, lr=optimizer.lr,
        lr_schedule=t.lr_schedule, optimizer=type(optimizer).__name__, kl_warmup=t.kl_warmup,
        x_train=t.digest, patience=t.patience,
    )  # fmt: skip
    cores = (1, False) if ranks.several else (t.threads, True)  # ranks have cores of their own
    folder: AbstractContextManager = (
        t.run.begin(model, optimizer, t.resume, ranks.first)
        if t.run
        else nullcontext((History(), []))
    )
    lr, beta = optimizer.lr, model.beta
    with folder as (t.history, t.kl_history), team.using(*cores):
        if t.run and t.patience:
            t.best = t.run.best
        elif not t.patience:
            t.history.best_epoch = None
            for row in t.history:
                row.pop(LOG_P, None)
        if moves(model) and not t.history:
            _settle(t, draws=0)
        if ranks.first and isinstance(model, VAE):
            schedules.note_short(t.kl_warmup, t.epochs / t.kl_cycles)
        steps = make_steps(model, optimizer, t.x_train, t.labels, t.batch_size, ranks, tf32=t.tf32)
        try:
            yield steps
        except MemoryError as error:
            raise MemoryError(steps.out_of_memory(error)) from None
        finally:
            steps.close()
            optimizer.lr, model.beta = lr, beta


def _loop(training: _Training, steps: Steps) -> History:
    """Train epoch by epoch, and keep the history and the run folder."""
    t, model, optimizer, ranks = training, training.model, training.optimizer, training.ranks
    lr, beta, total = optimizer.lr, model.beta, len(steps)
    show = t.progress and ranks.first
    with progress.bar(
        show, total=t.epochs * total, initial=len(t.history) * total, unit="step",
        dynamic_ncols=True,
    ) as bar:  # fmt: skip
        first = t.epochs + 1 if t.run and t.run.stopped == t.epochs else len(t.history) + 1
        for epoch in range(first, t.epochs + 1):
            start = time.perf_counter()
            bar.set_description(f"epoch {epoch}/{t.epochs}")
            optimizer.lr = lr * _rate(t, epoch)
            betas = schedules.betas(beta, t.kl_warmup, t.epochs / t.kl_cycles, epoch, total)
            steps.start(epoch, betas)
            _epoch(steps, bar)
            row = {"epoch": epoch, "seconds": 0.0}
            log = ranks.average(model.backend.to_numpy(steps.log), steps.sizes)
            row |= _averaged(model, log, steps, epoch, optimizer.lr)
            row |= _validated(model, t.validation, t.validation_labels, t.kl_history, ranks)
            if t.patience and _by_log_p(t):
                found = ranks.mean(partial(_log_p, model), t.validation, t.validation_labels, 1)
                row[LOG_P] = float(found[0])
            row["seconds"] = time.perf_counter() - start
            if betas:  # the checkpoint keeps the model's own
                model.beta = beta
            t.history.append(row)
            if hasattr(optimizer, "set_state"):  # rounded as a resumed training would see it
                optimizer.set_state(optimizer.state())
            over = _judge(t)
            if t.run and ranks.first:
                t.run.stopped = t.epochs if over else 0
                t.run.save(model, optimizer, t.history, t.kl_history, t.best)
            now = {name: f"{row[name]:.2f}" for name in SHOWN if math.isfinite(row[name])}
            bar.set_postfix(now)
            if show and bar.disable:
                values = ", ".join(f"{name} {value}" for name, value in now.items())
                progress.line(f"epoch {epoch}/{t.epochs}: {values}")
            if (t.callback and ranks.ask(t.callback, row)) or over:
                break
    _finish(t)
    return t.history


def _rate(t: _Training, epoch: int) -> float:
    """Return the factor of the learning rate in an epoch."""
    if t.patience and t.lr_schedule == "step":
        return 0.2 if _waited(t).times else 1.0
    return LR_SCHEDULES[t.lr_schedule]((epoch - 1) / t.epochs)


def _waited(t: _Training) -> stopping.Waited:
    """Return what the validation says of the epochs so far."""
    period = t.epochs / t.kl_cycles
    warm = [stopping.is_warm(int(row["epoch"]), t.kl_warmup, period) for row in t.history]
    return stopping.waited(_bounds(t), warm, t.patience or 1)


def _bounds(t: _Training) -> list[float]:
    """Return the ELBO of the validation rows (weights 1) after each epoch; of an IWAE, its own
    bound, as the ELBO falls where that rises; where cells are missing, log p(x)."""
    if _by_log_p(t):
        return [row[LOG_P] for row in t.history]
    if isinstance(t.model, IWAE) and t.model.importance_samples > 1:
        return [-row["val_loss"] for row in t.history]
    return [-(row["val_reconstruction"] + row["val_kl"]) for row in t.history]


def _by_log_p(t: _Training) -> bool:
    """Return whether log p(x), by Laplace's method, tells the best epoch: where cells are missing,
    as q(z|x) is then too far from p(z|x) in rows that were not trained on for the ELBO to tell."""
    before = not t.history or LOG_P in t.history[0]  # not in the runs of earlier versions
    return isinstance(t.model, VAE) and bool(t.model.missing) and before


def _log_p(model: Any, x: Any, labels: Any) -> np.ndarray:
    """Return the mean over the rows of x of log p(x) (1,), by two steps of Laplace's method."""
    return np.array([log_evidence(model, x, labels, steps=2).mean()])


def _judge(t: _Training) -> bool:
    """Keep the weights if the last epoch was the best; return whether the patience is over."""
    if not t.patience:
        return False
    now = _waited(t)
    if now.best_epoch == len(t.history):
        t.history.best_epoch, t.best = now.best_epoch, checkpoint.weights(t.model)
    return now.just_now and now.times > (t.lr_schedule == "step")


def _finish(t: _Training) -> None:
    """Leave the model with the weights of the best epoch, if `patience` looks for it, and with the
    exact σ² of each feature, if it has one; the run folder keeps the last weights as well."""
    model, last = t.model, checkpoint.weights(t.model)
    running = model.likelihood.variance if moves(model) else None
    if t.best:
        checkpoint.set_weights(model, t.best)
        if t.progress and t.ranks.first:
            stopping.note_best(t.history.best_epoch, _bounds(t))
    if running is not None:
        _settle(t, draws=1 + SETTLED // len(t.x_train))
        if t.progress and t.ranks.first:
            names = ((t.run.config if t.run else {}).get("data") or {}).get("feature_names")
            variance = model.backend.to_numpy(model.likelihood.variance)
            stopping.note_floor(variance, MIN_VARIANCE, names)
    if t.best:
        t.best = checkpoint.weights(model)
        checkpoint.set_weights(model, last)
    if t.run and t.ranks.first and (t.best or running is not None):
        t.run.save(model, t.optimizer, t.history, t.kl_history, t.best, running)
    if t.best:
        checkpoint.set_weights(model, t.best)


def _settle(t: _Training, draws: int) -> None:
    """Set σ² of each feature to its mean squared error over all rows and some draws of each; with
    no draws, to that of the answer 0, the scale at which a training begins.

    The rows that chose the best epoch count too: their errors are no smaller for being fitted.
    """
    model, parts = t.model, [(t.x_train, t.labels)]
    if draws and t.best:
        parts.append((t.validation, t.validation_labels))

    def squares(x: Any, labels: Any) -> np.ndarray:
        return mean_squares(model, x, labels, draws, model.seed)

    width, sizes = 2 * model.n_features, [len(x) for x, _ in parts]
    found = [n * t.ranks.mean(squares, *part, width) for n, part in zip(sizes, parts, strict=True)]
    means = np.sum(found, axis=0) / sum(sizes)
    model.likelihood.move_to(model.backend.asarray(means, model.dtype))
    model.likelihood.sigma = model.likelihood.sigma  # σ² = σ · σ to the last bit, as when loaded


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # `_averaged` looks at the log
def _epoch(steps: Steps, bar: Any) -> None:
    """Take the steps of an epoch."""
    for step in range(len(steps)):
        batch = steps.draw(step)
        terms = steps.forward(batch)
        steps.backward()
        steps.step()
        steps.note(step, terms)
        bar.update()


def _digest(x: Any, labels: Any) -> str:
    """Return a hash of the training data; "" for rows that are read lazily."""
    if isinstance(x, LazyRows | BinarizedRows):
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for array in (x, labels):
        array = np.asarray(on_host(array))
        digest.update(f"{array.shape} {array.dtype}".encode())
        if array.dtype.kind in "biuf":
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def make_optimizer(optimizer: Any, model: Autoencoder, lr: float) -> Any:
    """Return the optimizer that a name (or None, for Adam) stands for; others pass as they are.

    Parameters
    ----------
    optimizer : as of `fit`
    model : VAE or Autoencoder
    lr : as of `fit`
    """
    if optimizer is None or isinstance(optimizer, str):
        name = checks.choice("optimizer", optimizer or "adam", OPTIMIZERS)
        sgd = name == "sgd"
        return SGD(model.parameters, lr, momentum=0.9) if sgd else Adam(model.parameters, lr)
    lacks = [name for name in ("step", "lr") if not hasattr(optimizer, name)]
    if isinstance(optimizer, type) or lacks:
        wanted = "'adam', 'sgd' or an optimizer of model.parameters, with step() and lr"
        raise ValueError(f"optimizer must be {wanted}, not {optimizer!r}")
    if getattr(optimizer, "parameters", model.parameters) is not model.parameters:
        raise ValueError("the optimizer steps on another model's parameters: give it this model's")
    return optimizer


def _checked(model: Autoencoder, name: str, x: Any, labels: Any, missing: bool) -> tuple[Any, Any]:
    """Return rows and labels, where the model can train on them, on the model's device."""
    lazy = isinstance(x, LazyRows | BinarizedRows)
    x = x if lazy or model.backend.holds(x) else checks.host_array(x)
    if lazy and x.shape[1] != model.n_features:
        columns = counted(x.shape[1], "column")
        raise ValueError(f"{name} has {columns}, the model takes {model.n_features}")
    if not lazy:
        model.check_x(name, x, missing)
    if isinstance(model.likelihood, Bernoulli) and lazy:
        checks.unit_interval(name, *value_range(x))
    if missing and name == "x_train" and isinstance(x, np.ndarray):
        checks.observed_columns(name, x)
    labels = checks.labels(labels, len(x), model.n_classes)
    return (x if lazy else on_device(model, x)), labels


def _averaged(model: Autoencoder, log: Array, steps: Steps, epoch: int, lr: float) -> dict:
    """Return the means of the epoch's `log` (steps, 4), and let the model keep its mean σ²."""
    wrong = np.flatnonzero(~np.isfinite(log[:, 0]) | (log[:, 3] > MAX_VARIANCE))
    finite = model.backend.xp.isfinite(model.parameters.theta).all()
    if len(wrong) or not model.backend.to_numpy(finite):
        step = int(wrong[0]) + 1 if len(wrong) else len(log)
        since = f"epoch {epoch}, step {step} of {len(log)}"
        before = f" (it was {log[step - 2, 0]:.4g} the step before)" if step > 1 else ""
        cause, change = _cause(log[step - 1], steps, step - 1, epoch, lr)
        what = "the loss is not finite"
        if not len(wrong):
            since, before = f"the last step of epoch {epoch}, which moved weights out of range", ""
        elif math.isfinite(log[step - 1, 0]):  # a loss takes the log of σ²
            what = "sigma has grown beyond all data"
        problem = f"{what} since {since}{before}; most likely {cause}"
        raise DivergedError(problem, remedy=f"try {change}")
    sizes = steps.sizes
    means = (sizes @ log / sizes.sum()).tolist()  # over the rows: a batch may be short
    if isinstance(model.likelihood, CalibratedGaussian):
        model.likelihood.sigma = math.sqrt(means[3])
    return dict(zip(("loss", "reconstruction", "kl"), means, strict=False))


def _cause(terms: Array, steps: Steps, step: int, epoch: int, lr: float) -> tuple[str, str]:
    """Return what most likely made the loss no longer finite at a step, and what to try."""
    lower = f"a lower learning rate, such as {min(lr / 10, 1e-3):.1g}"
    rows = np.concatenate(steps.batches[max(0, step - 1) : step + 1])  # it may show a step later
    x, _ = Steps.gather(steps, rows)
    largest: Any = np.abs(steps.model.backend.to_numpy(x)).max(axis=1)  # of each row
    usual, row = float(np.median(largest)), int(np.argmax(largest))
    if largest[row] > OUTLIER * max(usual, float(np.finfo(np.float32).tiny)):
        found = f"{largest[row]:.2g}, where others reach {usual:.2g}"
        cause = f"row {rows[row]} of the training rows (counted from 0), which reaches {found}"
        return cause, "without it"
    first = epoch == 1 and step == 0  # before the first step of the optimizer
    small = np.isfinite(terms[1]) or (first and largest[row] < LARGE)
    if not np.isfinite(terms[2]) and small:
        return "logvar is so large that e^logvar overflows", f"{lower}, or smaller weights"
    if first:
        cause = "the data, or a weight such as beta, are too large to compute with"
        return cause, "data scaled to around 1, or a smaller weight"
    cause = f"the learning rate {lr:g} is too high for this model and its data"
    return cause, f"{lower}, or data scaled to around 1"


def _validated(
    model: Autoencoder, x: Any, labels: Any, kl_history: list, ranks: DataParallel
) -> dict:
    """Return the terms on the validation rows, and note the KL of each latent dimension."""
    names = ("val_loss", "val_reconstruction", "val_kl")
    if x is None:
        return dict.fromkeys(names, math.nan)
    L = model.latent_dim

    def kls(x: Any, labels: Any) -> np.ndarray:
        return evaluate.kl_per_dimension(model, x, labels=labels)

    if isinstance(model, VAE):
        some = None if labels is None else labels[:KL_ROWS]
        kl_history.append(ranks.mean(kls, x[:KL_ROWS], some, L))
    loss, *terms = ranks.mean(partial(_validation_terms, model), x, labels, 3).tolist()
    if model.free_bits:  # they count means over all rows, which no part can know
        kl = ranks.mean(kls, x, labels, L)
        loss += model.beta * float((np.maximum(kl, model.free_bits) - kl).sum())
    return dict(zip(names, (loss, *terms), strict=True))


def _validation_terms(model: Autoencoder, x: Any, labels: Any) -> np.ndarray:
    """Return loss, reconstruction and KL, means over the rows of x."""
    terms = evaluate.elbo(model, x, labels=labels, seed=model.seed)
    loss = model.reconstruction_weight * terms.reconstruction
    if isinstance(model, VAE):
        loss += model.beta * terms.kl
        if isinstance(model, IWAE) and model.importance_samples > 1:  # its own bound
            loss = -evaluate.own_bound(model, x, labels=labels, seed=model.seed).mean()
    return np.array([loss, terms.reconstruction, terms.kl])
