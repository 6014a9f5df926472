"""`tinyvae train`: options in, a run folder out, and a few lines that say what happened, what the
figures show and what to try next."""

import argparse
import importlib
import io
import os
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, redirect_stderr
from pathlib import Path

import numpy as np

from tinyvae import checks, threads
from tinyvae.cli import compare, terminal
from tinyvae.cli import train_options as options
from tinyvae.cli.terminal import say
from tinyvae.core.errors import InputError
from tinyvae.core.likelihood import Bernoulli
from tinyvae.data import NAMES, Dataset, load_dataset, relative_paths
from tinyvae.data.csv_reader import is_text
from tinyvae.data.dataset import counted
from tinyvae.data.preparation import hold_out
from tinyvae.data.rows import mean_log_size, value_range
from tinyvae.device import get_backend
from tinyvae.engines.communicator import Communicator, find, run_on_ranks
from tinyvae.evaluate import elbo
from tinyvae.models import VAE, Autoencoder
from tinyvae.train.checkpoint import build
from tinyvae.train.files import holds
from tinyvae.train.loop import fit
from tinyvae.train.runs import TRAINING, History, Run, next_free, open_run

COMPARED = 500  # draws for each log p(x) where runs are compared
ROWS = {"x_train": "the rows to train on", "validation": "the test rows"}  # in `fit`, and here
HELD_OUT = {"x_train": ROWS["x_train"], "validation": ROWS["x_train"], "x_test": "the test rows"}


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = options.parser()

    def train(given: argparse.Namespace) -> int:
        if isinstance(several := vars(given).get("latent_dim"), tuple):
            _train_each(parser, vars(given), several)
            return 0
        with ExitStack() as undo:
            _train(parser, vars(given), undo)
        return 0

    return run_on_ranks(lambda: terminal.run(parser, train, argv))


def _train_each(parser: terminal.Parser, given: dict, sizes: tuple[int, ...]) -> None:
    """Train a run with each number of latent dimensions, and print what they come to."""
    if "resume" in given:
        options.check_resume(parser, given)
    ends, outs = {L: f"-latent-{L}" for L in sizes}, {}
    if "out" in given:
        outs = {L: {"out": given["out"].with_name(given["out"].name + end)}
                for L, end in ends.items()}  # fmt: skip
    first = find(given.get("distributed", "auto")).rank == 0
    for named in outs.values() if first else ():
        Run(named["out"]).check_free()  # all of them, before the first is trained
    runs = []
    for L, end in ends.items():
        with ExitStack() as undo:
            run = _train(parser, given | {"latent_dim": L} | outs.get(L, {}), undo, end)
            runs.append(run.path)
    if first and given.get("model") != "autoencoder" and "quiet" not in given:
        print("\n" + compare.table([open_run(path) for path in runs], COMPARED))


def _train(parser: terminal.Parser, given: dict, undo: ExitStack, end: str = "") -> Run:
    """Train a run, whose name has this end unless it is given, and return it."""
    ranks = find(given.get("distributed", "auto"))
    if "resume" in given:
        run, dataset = _resumed(parser, given, ranks, undo)
    else:
        with _hushed(given):
            run, dataset = _new(given, ranks, end)
    backend = get_backend(given.get("backend", run.config.get("backend", "auto")))
    model = run.built(backend) if "resume" in given else build(run.config["model"], backend)
    run.config["training"]["threads"] = _threads(given, run.config["training"])
    tell = _silent if "quiet" in given or ranks.rank else say
    tell(dataset.describe())
    to_fit = _to_fit(dataset, run.config["training"].get("patience"), tell)

    def announce() -> None:
        tell(f"run folder: {run.path}")
        if ranks.size > 1:
            tell(f"{ranks.size} ranks share each batch; should one die, {_go_on(run)}")

    if "resume" in given:
        announce()
    else:
        run.created = announce
    done, epochs = run.done, run.config["training"]["epochs"]
    finished = run.is_over
    if finished:
        early = f" (the patience ran out, of {epochs})" if done < epochs else ""
        so_far = f"already trained for all of its {counted(done, 'epoch')}{early}"
        tell(f"{so_far}; extend it with --epochs")
    elif done:
        tell(f"continuing after epoch {done} of {epochs}")
    if "no_figures" not in given and not ranks.rank:  # Matplotlib is there when it is needed
        needed = {"target": importlib.import_module, "args": ("tinyvae.figures.gallery",)}
        threading.Thread(**needed, daemon=True).start()
    with _hushed(given):
        history = _fit(model, dataset, to_fit, run, given)
    if ranks.rank:
        return run
    if "quiet" not in given:
        _report(model, dataset, history)
    if "no_figures" not in given:
        _draw(model, dataset, run, history, tell, keep=finished)
    tell("\ntry next:")
    for command, what in _next(model, dataset, run):
        tell(f"  python -m {command:<38}  # {what}")
    return run


def _to_fit(dataset: Dataset, patience: int | None, tell: Callable) -> Dataset:
    """Return the rows that `fit` is given, and say which of them choose the epoch."""
    if patience:
        to_fit = hold_out(dataset)
        rows = f"{len(to_fit.x_train):,} to fit, {len(to_fit.x_test):,} to choose the epoch by"
        tell(f"of the rows to train on, {rows} (--patience {patience})")
        return to_fit
    if dataset.options["name"] not in NAMES:
        tell("no row is held out to choose an epoch by: the last is kept, however it over-fits")
    return dataset


def _hushed(given: dict) -> AbstractContextManager:
    """Keep notes from stderr, with --quiet; errors are told where this has ended."""
    return redirect_stderr(io.StringIO()) if "quiet" in given else nullcontext()


def _new(given: dict, ranks: Communicator, end: str) -> tuple[Run, Dataset]:
    """Return a run that is not yet on disk, and its data set."""
    chosen = options.DEFAULTS | given
    options.note_what_has_no_effect(chosen)
    if "out" in given and not ranks.rank:
        Run(given["out"]).check_free()
    own = {name: chosen[name] for name in options.DATA if name in chosen}
    dataset = ranks.first_then_others(lambda: _loaded(chosen, own))
    chosen = options.DEFAULTS | options.defaults(dataset, given) | given
    if dataset.options["validation"] == 0 and chosen.pop("patience", None):
        terminal.note("--patience has no effect with --validation 0: no rows choose the epoch")
    objective = {"elbo": "VAE", "iwae": "IWAE"}[chosen["objective"]]
    model = {"class": objective if chosen["model"] == "vae" else "Autoencoder"}
    config = {
        "model": model | options.model_arguments(chosen, dataset),
        "training": {name: chosen[name] for name in (*TRAINING, "patience") if name in chosen},
        "data": dataset.to_config(),
        "backend": chosen["backend"],
    }
    name = dataset.name + end
    path = ranks.broadcast(given.get("out") or next_free("runs", name))
    config["data"]["relative"] = relative_paths(dataset.options, path)
    return Run(path, config, numbered=None if "out" in given else name), dataset


def _loaded(chosen: dict, own: dict) -> Dataset:
    """Return the data set; tables are not standardised for a Bernoulli, which takes [0, 1]."""
    dataset = load_dataset(chosen["dataset"], **own)
    by_default = own["scale"] == "infer" and dataset.scaling.kind == "standardize"
    if by_default and chosen.get("likelihood") == "bernoulli":
        return load_dataset(chosen["dataset"], **own | {"scale": "none"})
    return dataset


def _resumed(
    parser: terminal.Parser, given: dict, ranks: Communicator, undo: ExitStack
) -> tuple[Run, Dataset]:
    """Return the run that --resume names, extended if --epochs says so, and its data set; the run
    is locked until `undo` ends."""
    options.check_resume(parser, given)
    run = open_run(given["resume"])
    if not ranks.rank:
        run.lock()
        undo.callback(run.unlock)
    run.moved_to = given.get("dataset")
    dataset = ranks.first_then_others(lambda: run.dataset)
    if run.moved_to is not None:
        relative = relative_paths(dataset.options, run.path)
        run.config["data"] |= {"options": dataset.options, "relative": relative}
        if not ranks.rank:
            run.write_config()
    if "epochs" in given:
        run.extend(given["epochs"], write=ranks.rank == 0)
    return run, dataset


def _threads(given: dict, training: dict) -> int:
    """Return the number of threads: as before in a run that goes on, if there are as many cores."""
    wanted = given.get("threads", training.get("threads", "auto"))
    if "threads" not in given and isinstance(wanted, int):
        wanted = min(wanted, threads.CORES)
    return threads.checked(wanted)


def _fit(model: Autoencoder, dataset: Dataset, to_fit: Dataset, run: Run, given: dict) -> History:
    """Train to the configured number of epochs; a failure says what is kept and how to go on."""
    labels = {"labels": to_fit.y_train, "validation_labels": to_fit.y_test}
    held_out = to_fit is not dataset
    try:
        if held_out and isinstance(model.likelihood, Bernoulli):  # `fit` doesn't see the test rows
            checks.unit_interval("x_test", *value_range(dataset.x_test))
        return fit(
            model,
            to_fit.x_train,
            **run.config["training"],
            **(labels if model.n_classes else {}),
            validation=to_fit.x_test,
            progress="quiet" not in given,
            run=run,
            resume="resume" in given,
            distributed=given.get("distributed", "auto"),
            tf32="tf32" in given,
        )
    except InputError as error:
        rows = HELD_OUT if held_out else ROWS
        if error.argument not in rows:
            raise
        low, high = error.value
        problem = f"span [{low:g}, {high:g}], but likelihood 'bernoulli' takes [0, 1]"
        remedy = "scale them with --scale, or take --likelihood gaussian"
        raise ValueError(f"{rows[error.argument]} {problem}: {remedy}") from None
    except KeyboardInterrupt:
        saved = f"stopped; all finished epochs are saved; {_go_on(run)}"
        raise terminal.Failure(saved, 130) from None
    except FloatingPointError as error:
        keeps = "keeps the last good epoch" if run.done else "has no trained epoch"
        scale = _better_scale(dataset)
        scaled = f" (own data: --scale {scale})" if scale else ""
        raise terminal.Failure(f"{error}{scaled}; {run.path} {keeps}", 1) from None
    except (OSError, MemoryError, RuntimeError) as error:
        if not run.started:
            raise
        more = _go_on(run)
        if isinstance(error, MemoryError):  # a resumed run would ask for as much again
            more = f"{run.path} keeps the last finished epoch"
        raise terminal.Failure(f"{error or 'out of memory'}; {more}", 1) from None


def _better_scale(dataset: Dataset) -> str:
    """Return the --scale that brings own data to around 1, or "" where they are there."""
    low, high = dataset.scaling.low, dataset.scaling.high
    known = dataset.options["name"] in NAMES or dataset.scaling.kind in ("uint8", "standardize")
    if known or dataset.scaling.unit:
        return ""
    return "255" if 0 <= low and 16 < high <= 255 else "standardize"


def _go_on(run: Run) -> str:
    return f"continue with: python -m tinyvae train --resume {run.quoted}"


def _next(model: Autoencoder, dataset: Dataset, run: Run) -> Iterator[tuple[str, str]]:
    """Yield commands worth trying after this run, and what each is for."""
    yield f"tinyvae evaluate {run.quoted}", "how good is it?"
    if model.latent_dim != 2 or not dataset.image_shape:  # else its page is written already
        yield f"tinyvae explore {run.quoted} --open", "its latent space, in a browser"
    if dataset.options["name"] == "digits" and model.latent_dim == 2:
        yield "tinyvae train --latent-dim 10", "sharper, and no longer a plane"
        yield "tinyvae three-panels", "the picture that explains the VAE"
    elif isinstance(model, VAE):
        label = f" --label {shlex.quote(dataset.label_names[0])}" if model.n_classes else ""
        kind = "png" if dataset.image_shape else "csv" if dataset.variables else "npy"
        out = f" --out samples.{kind}"
        yield f"tinyvae sample {run.quoted}{label}{out}", "new data"
        if dataset.missing:
            path = dataset.options["name"].removeprefix(os.getcwd() + os.sep)
            out = f"filled.{'csv' if is_text(Path(path)) else 'npy'}"
            what = f"tinyvae impute {run.quoted} {shlex.quote(path)} --out {out}"
            yield what, "missing cells filled in"


def _report(model: Autoencoder, dataset: Dataset, history: History) -> None:
    """Print what the training came to."""
    last, seconds = history[-1], sum(row["seconds"] for row in history)
    x, y = dataset.x_test, dataset.y_test if model.n_classes else None
    reconstruction, kl = last["val_reconstruction"], last["val_kl"]
    if history.best_epoch:  # the history is of the rows that chose it, and of the last epoch
        _, reconstruction, kl = elbo(model, x, labels=y)
    x = x[: min(len(x), 10_000)]
    y = None if y is None else y[: len(x)]
    error = model.backend.to_numpy(model.reconstruct(x, labels=y)) - x
    bound = f", KL {kl:.2f}, ELBO {-reconstruction - kl:.2f}" if isinstance(model, VAE) else ""
    own = dataset.image_shape is None and dataset.scaling.has_units
    if bound and own and model.sigma is not None:
        size = mean_log_size(dataset.x_test, dataset.scaling)
        bound += f" ({-reconstruction - kl - size:.2f} in the data's own units)"
    say(
        f"{counted(len(history), 'epoch')} in {seconds:.1f} s; on"
        f" {counted(len(dataset.x_test), 'test example')}, in"
        f" nats per example: reconstruction {reconstruction:.2f}{bound};"
        f" mean squared error {float(np.nanmean(error * error)):.4f}"
    )


def _draw(
    model: Autoencoder, dataset: Dataset, run: Run, history: History, tell: Callable, keep: bool
) -> None:
    """Draw the figures, say what each shows, and write the page that explores the latent space."""
    from tinyvae import explore as explorer
    from tinyvae.cli import explore as explore_command
    from tinyvae.figures import gallery

    folder, page = run.path / "figures", run.path / "explorer.html"
    kl_history = run.histories[1] or None
    try:
        for path in gallery.draw(model, dataset, folder, history, kl_history, keep=keep):
            tell(f"  {path}: {gallery.DESCRIPTIONS[path.stem]}")
        is_new = keep and holds(page, model.fingerprint)
        if model.latent_dim == 2 and dataset.image_shape and not is_new:
            try:
                explorer.write(page, explorer.build(model, dataset))
                tell(f"  {page}: open it in a browser, and move about in the latent plane")
            except ValueError as too_large:
                why = terminal.one_line(too_large, explore_command.parser().spell)
                tell(f"  no {page}: {why} (of: python -m tinyvae explore {run.quoted})")
    except KeyboardInterrupt:
        draw = f"draw its figures with: python -m tinyvae figures {run.quoted}"
        raise terminal.Failure(f"stopped; the trained model is saved; {draw}", 130) from None
    except OSError as error:
        raise terminal.Failure(f"{error}; the trained model is saved in {run.path}", 1) from None


def _silent(*lines: object) -> None:
    """Print nothing: --quiet."""
