"""`tinyvae score RUN DATA`: how likely each row is, and what each column adds to that."""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data.dataset import counted
from tinyvae.data.variables import places, unused
from tinyvae.evaluate import shares
from tinyvae.evaluate.passes import by_blocks
from tinyvae.models import VAE

WHAT = (
    "scores.csv, with the columns row (from 0), log_p (or elbo), rank (1: the least likely), and"
    " share_NAME of each column and share_kl, which add up to the row's value"
)
SHOWN = 5  # of the least likely rows


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    what = (
        "Tell how likely each row of DATA is to the model, in nats (in its units: standardised, as"
        " evaluate tells), and which columns say so."
    )
    p = inputs.parser("score", what)
    inputs.add_data(p)
    outputs.add_out(p, WHAT, ".csv")
    p.add("--elbo", None, text="the ELBO, a lower bound, instead of log p(x)")
    p.add("--samples", terminal.COUNT, "S", 500, "draws of z for each row")
    p.add(*inputs.SEED)
    return terminal.run(p, _score, argv)


def _score(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        if not isinstance(model := run.model, VAE):
            problem = f"{run.path} holds an autoencoder, which gives data no probability"
            raise ValueError(f"{problem}: train a vae")
        x, labels = inputs.read(run, given.data, given.data_dir)
        of, name = ("elbo", "elbo") if given.elbo else ("log_likelihood", "log_p")
        how = {"of": of, "samples": given.samples, "seed": given.seed}
        score: Callable = partial(shares, model, **how)
        value, columns, kl = by_blocks(model, score, x, labels)  # (N,), (N, D), (N,)
        if not np.isfinite(value).all():
            row = int(np.argmin(np.isfinite(value)))
            remedy = "it lies too far from those of the run"
            raise ValueError(f"{given.data}: row {row} (from 0) has {name} {value[row]}: {remedy}")
        order = np.argsort(value, kind="stable")
        rank = np.empty(len(value), int)
        rank[order] = np.arange(len(value)) + 1
        listed = outputs.units(run)[1]
        names = [f"share_{v.name}" for v in listed]
        columns = np.stack([columns[:, place].sum(axis=1) for place in places(listed)], axis=1)
        outputs.write_table(
            given.out,
            ["row", name, "rank", *names, unused("share_kl", names)],
            [np.arange(len(value))[:, None], value[:, None], rank[:, None], columns, kl[:, None]],
        )
        least = ", ".join(map(str, order[:SHOWN].tolist()))
        rows = counted(len(value), "row")
        print(f"{given.out}: {name} of {rows}, in nats, in the model's units of the data")
        print(f"the least likely, counted from 0: {least}")
