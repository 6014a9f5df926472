"""Burda, Grosse & Salakhutdinov 2016, table 1: one stochastic layer on MNIST, −log p(x) in nats.

    python benchmarks/iwae_table.py --data-dir DIR                    # days on 2 cores
    python benchmarks/iwae_table.py --data-dir DIR --recipe short --k 1     # an hour or so

The paper's model: 784-200-200-50, tanh, Bernoulli, pixels drawn anew in each epoch, log p(x) of the
test images with 5,000 samples. Its training, `--recipe paper`: batches of 20, Adam with β1 0.9, β2
0.999, ε 1e-4, a learning rate of 0.001 · 10^(−i/7) for 3^i epochs, i = 0 … 7 (3,280 in all).
`--recipe short` takes batches ten times as large, a rate that is held and then falls to zero, and
lets the factor of the KL rise from 0 to 1 over the first epochs, which keeps more of the latent
dimensions in use. `--fraction` shortens a recipe. The bias of the output starts at the logit of
each pixel's mean. Each k trains in a run folder of its own: a run that is cut goes on where it was,
at its last whole epoch, when the same command is given again.

What each came to, and what was reduced in it, stands in benchmarks/iwae_table.md.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import about

from tinyvae import IWAE, Adam, evaluate, fit, load_dataset
from tinyvae.data import Dataset
from tinyvae.train.runs import Run, open_run

STAGES = [3**i for i in range(8)]  # epochs at the learning rate 0.001 · 10^(−i/7)
PUBLISHED = {1: 86.76, 5: 85.54, 50: 84.78}  # −log p(x) in nats, table 1, one stochastic layer
SAMPLES = 5000
PARTS = 100  # in which the test rows are evaluated, each with every 100th of them


class Recipe(NamedTuple):
    """How a model is trained; `rate` tells the learning rate after a part 0 … 1 of the training."""

    epochs: int
    batch_size: int
    kl_warmup: float
    rate: Callable[[float], float]


def paper_rate(elapsed: float) -> float:
    """Return the rate of the stage that a part of the training falls in."""
    ends = np.cumsum(STAGES) / sum(STAGES)
    stage = min(int(np.searchsorted(ends, elapsed, side="right")), len(STAGES) - 1)
    return 0.001 * 10 ** (-stage / 7)


def short_rate(elapsed: float) -> float:
    """Return a rate that is held for a third of the training, and then falls to 0."""
    return 0.004 * min(1.0, 1.5 * (1 - elapsed))


RECIPES = {
    "paper": Recipe(sum(STAGES), 20, 0, paper_rate),
    "short": Recipe(500, 200, 60, short_rate),
}


class Scheduled(Adam):
    """Adam at a recipe's learning rates, over `steps` steps in all."""

    def __init__(self, parameters: object, rate: Callable[[float], float], steps: float) -> None:
        super().__init__(parameters, epsilon=1e-4)
        self.rate, self.steps = rate, steps

    def step(self) -> None:
        self.lr = self.rate(self.t / self.steps)
        super().step()


def folder_of(k: int, args: argparse.Namespace) -> Path:
    """Return the run folder of k samples."""
    return Path(args.out) / f"k{k}-{args.recipe}{args.fraction:g}-seed{args.seed}"


def trained(k: int, args: argparse.Namespace, mnist: Dataset) -> IWAE:
    """Return the model of k samples, trained to the end in its run folder."""
    iwae = IWAE(
        784, 50, hidden=(200, 200), activation="tanh", likelihood="bernoulli",
        importance_samples=k, seed=args.seed, backend=args.backend,
    )  # fmt: skip
    mean = np.clip(mnist.x_train.rows.mean(axis=0), 0.001, 0.999)
    iwae.parameters["decoder.2.b"] = iwae.backend.asarray(np.log(mean / (1 - mean)), "float32")
    recipe = RECIPES[args.recipe]
    steps = recipe.epochs * args.fraction * math.ceil(len(mnist.x_train) / recipe.batch_size)
    folder = folder_of(k, args)
    resume = folder.exists()
    fit(
        iwae,
        mnist.x_train,
        epochs=math.ceil(recipe.epochs * args.fraction),
        batch_size=recipe.batch_size,
        optimizer=Scheduled(iwae.parameters, recipe.rate, steps),
        kl_warmup=recipe.kl_warmup * args.fraction,
        run=open_run(folder) if resume else folder,
        resume=resume,
    )
    return iwae


def result(k: int, args: argparse.Namespace, mnist: Dataset) -> dict:
    """Return what k samples come to, and keep it beside the run."""
    iwae = trained(k, args, mnist)
    run = Run(folder_of(k, args))
    kept = run.path / f"result-{args.test_rows}-{args.samples}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    x, parts, rows = mnist.x_test[:], [], []
    for first in range(math.ceil(args.test_rows / len(x) * PARTS)):  # what is cut goes on here, too
        part = run.path / f"log-likelihood-{args.samples}-{first}.npy"
        if not part.exists():
            some = x[first::PARTS]
            values = evaluate.log_likelihood(iwae, some, samples=args.samples, seed=first)
            np.save(part, values.log_likelihood)
        parts.append(np.load(part))
        rows.append(np.arange(first, len(x), PARTS))
    found = np.concatenate(parts)
    # Of few images, the mean is that of the ELBO of all, and of what log p(x) of the few is above.
    elbo = evaluate.elbo_per_example(iwae, x, samples=10).elbo
    above = found - elbo[np.concatenate(rows)]
    rest = above.var() / len(found) * (1 - len(found) / len(x))
    row = {
        "k": k, "nll": -float(elbo.mean() + above.mean()), "elbo": float(elbo.mean()),
        "standard_error": math.sqrt(float(found.var()) / len(x) + rest),
        "active_units": int(evaluate.active_units(iwae, x).sum()),
        "training_seconds": sum(row["seconds"] for row in run.histories[0]),
        "epochs": len(run.histories[0]), "test_rows": len(found), "samples": args.samples,
    }  # fmt: skip
    kept.write_text(json.dumps(row, indent=2) + "\n")
    return row


def table(rows: list[dict], args: argparse.Namespace) -> str:
    """Return the page that sets what was found beside what was published."""
    machine, row = about(), rows[0]
    lines = [
        "# −log p(x) of MNIST, one stochastic layer, nats per example",
        "",
        "| | published (Burda et al. 2016, table 1) | here | active units | training |",
        "|---|---|---|---|---|",
    ]
    for found in rows:
        name = "VAE, k = 1" if found["k"] == 1 else f"IWAE, k = {found['k']}"
        lines.append(
            f"| {name} | {PUBLISHED.get(found['k'], '')} | {found['nll']:.2f} ±"
            f" {found['standard_error']:.2f} | {found['active_units']} of 50 |"
            f" {found['epochs']} epochs, {found['training_seconds'] / 60:.1f} min |"
        )
    recipe = RECIPES[args.recipe]
    how = {
        "paper": "The paper's training",
        "short": f"Batches of {recipe.batch_size} where the paper has 20, a rate of 0.004 that is"
        f" held for a third of the training and then falls to 0, and a factor of the KL that rises"
        f" from 0 to 1 over {recipe.kl_warmup} epochs",
    }[args.recipe]
    few = ", set beside their ELBO and the ELBO of all" if row["test_rows"] < 10_000 else ""
    part = "" if args.fraction == 1 else f", {args.fraction:g} of it,"
    lines += [
        "",
        f"{how}{part}: {row['epochs']} epochs where the paper has {sum(STAGES):,}. log p(x) of"
        f" {row['test_rows']:,} of 10,000 test images with {row['samples']:,} samples{few};"
        " ± is the standard error over all test images, which are the same for all rows, so that"
        " their differences are surer. `VAE` is the ELBO with the KL in closed form. Made on"
        f" {machine['date']} ({machine['processor']}, {machine['cores']} cores, NumPy"
        f" {machine['versions']['numpy']}): `python benchmarks/iwae_table.py --recipe"
        f" {args.recipe} --fraction {args.fraction:g} --k {' '.join(map(str, args.k))} --test-rows"
        f" {args.test_rows} --samples {args.samples}`.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--k", type=int, nargs="+", default=list(PUBLISHED), help="(default: 1 5 50)")
    p.add_argument("--recipe", choices=list(RECIPES), default="paper", help="(default: paper)")
    p.add_argument("--fraction", type=float, default=1.0, help="of the recipe's epochs")
    p.add_argument("--data-dir", help="folder with MNIST's IDX files, instead of a download")
    p.add_argument("--test-rows", type=int, default=10_000, help="how many test images to evaluate")
    p.add_argument("--samples", type=int, default=SAMPLES, help="for log p(x) (default: 5000)")
    p.add_argument("--out", default="runs/iwae-table", help="where the run folders are")
    p.add_argument("--table", help="write the page to this file too")
    p.add_argument("--backend", default="auto")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    mnist = load_dataset("mnist", args.data_dir, binarize="dynamic", seed=args.seed)
    page = table([result(k, args, mnist) for k in args.k], args)
    print(page, end="")
    if args.table:
        Path(args.table).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
