"""`tinyvae compare RUN RUN …`: one table of log p(x) on rows that were held out, for whoever asks
how many latent numbers to take, or which settings."""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyvae.cli import inputs, terminal
from tinyvae.data.dataset import Dataset, counted
from tinyvae.data.preparation import hold_out
from tinyvae.evaluate import active_units, log_likelihood, standard_error
from tinyvae.models import VAE
from tinyvae.train.runs import Run, open_run

DESCRIPTION = """\
Compare runs on the same data by log p(x), in nats per example (of a table, in its own units), on
the validation rows: those that chose the epochs of the runs. Runs without such rows are compared on
their test rows."""


class Entry(NamedTuple):
    """What is known of a run: log p(x) of each row (N,), and how many latent numbers it uses."""

    name: str
    latent: int
    value: np.ndarray
    active: int


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = terminal.Parser("compare", DESCRIPTION)
    p.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    p.add("--samples", terminal.COUNT, "N", 500, "draws for each example's log p(x)")
    p.add(*inputs.SEED)
    inputs.add_moved(p)
    return terminal.run(p, _compare, argv)


def _compare(given: argparse.Namespace) -> None:
    if len(given.runs) < 2:
        raise ValueError(f"only {given.runs[0]} is given: name at least two runs")
    runs = [open_run(run) for run in given.runs]
    for run in runs:
        run.moved_to = given.dataset
    with np.errstate(all="ignore"):
        print(table(runs, given.samples, given.seed))


def table(runs: list[Run], samples: int, seed: int = 0) -> str:
    """Return the table of some runs as lines to print, the best first."""
    held_out = all(run.config["training"].get("patience") for run in runs)
    rows, entries = _rows(runs[0], held_out), []
    for run in runs:
        dataset = _rows(run, held_out)
        _check(runs[0], rows, run, dataset)
        entries.append(_entry(run, dataset, samples, seed))
    what = "validation" if held_out else "test"
    return "\n".join(_lines(entries, f"{counted(len(rows.x_test), f'{what} row')}"))


def _rows(run: Run, held_out: bool) -> Dataset:
    """Return a run's data set, whose test rows are those to compare on."""
    return hold_out(run.dataset) if held_out else run.dataset


def _check(first: Run, rows: Dataset, run: Run, dataset: Dataset) -> None:
    """Raise ValueError where a run's nats can't be compared with those of the first."""
    if not isinstance(run.model, VAE):
        raise ValueError(f"{run.path} holds an autoencoder, which has no log p(x): leave it out")
    a, b = (some.config["model"]["likelihood"] for some in (first, run))
    if a != b:
        problem = f"{run.path} has likelihood {b}, {first.path} {a}"
        raise ValueError(f"{problem}: their nats do not compare")
    if bool(run.model.n_classes) != bool(first.model.n_classes):
        one, other = (run, first) if run.model.n_classes else (first, run)
        problem = f"{one.path} is conditional, with log p(x|label), and {other.path} is not"
        raise ValueError(f"{problem}: their nats do not compare")
    x, y = (some.scaling.undo(np.asarray(some.x_test[:])) for some in (rows, dataset))
    if x.shape != y.shape or not np.allclose(x, y, rtol=1e-4, atol=1e-6, equal_nan=True):
        remedy = "train both on the same data, with the same seed and held-out part"
        raise ValueError(f"{run.path} has other held-out rows than {first.path}: {remedy}")


def _entry(run: Run, dataset: Dataset, samples: int, seed: int) -> Entry:
    model: Any = run.model
    x, labels = dataset.x_test, dataset.y_test if model.n_classes else None
    value = log_likelihood(model, x, samples=samples, seed=seed, labels=labels).log_likelihood
    if not dataset.image_shape and dataset.scaling.has_units and model.sigma is not None:
        value = value - dataset.scaling.log_size(np.asarray(x[:]))
    used = int(active_units(model, x, labels=labels).sum())
    return Entry(str(run.path), model.latent_dim, value, used)


def _lines(entries: list[Entry], rows: str) -> Iterator[str]:
    ordered = sorted(entries, key=lambda entry: -entry.value.mean())
    best, width = ordered[0], max(len("run"), *(len(entry.name) for entry in entries))
    yield f"log p(x) of {rows}, nats per example, ± standard error over the rows"
    yield f"{'run':<{width}}  latent  active  {'log p(x)':<20}less than the best"
    close = []
    for entry in ordered:
        less = best.value - entry.value
        value, behind = _mean(entry.value), "" if entry is best else _mean(less)
        line = f"{entry.name:<{width}}  {entry.latent:>6}  {entry.active:>6}  {value:<20}{behind}"
        yield line.rstrip()
        if entry is best or less.mean() <= (standard_error(less) or 0):
            close.append(entry)
    fewest = min(close, key=lambda entry: entry.latent)
    if fewest is not best and fewest.latent < best.latent:
        yield f"{fewest.name} has fewer latent numbers, and is no more than one error behind"


def _mean(values: np.ndarray) -> str:
    """Return the mean of values (N,) with its standard error, which a single one does not have."""
    error = standard_error(values)
    return f"{values.mean():.2f}" + ("" if error is None else f" ± {error:.2f}")
