"""The commands that use a trained run: sample, encode, decode, reconstruct, interpolate, evaluate
and figures. Files hold data in the units of the training data; images are floats in [0, 1]."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinyvae.cli import pictures, terminal
from tinyvae.cli.run_files import (
    add_data,
    add_data_dir,
    add_label,
    add_out,
    add_seed,
    by_blocks,
    given_label,
    keep_what_is_read,
    read,
    read_codes,
    variational,
    write,
)
from tinyvae.data.dataset import counted
from tinyvae.evaluate.disentangle import gap_of_dataset
from tinyvae.models import VAE
from tinyvae.train.files import write_atomically, write_text
from tinyvae.train.runs import Run, open_run

OWN_ROWS = "the run's own test rows"


def command(description: str) -> Callable:
    """Turn `function(parser)`, which adds options and returns what to do, into a command."""

    def decorate(function: Callable) -> Callable:
        prog = f"tinyvae {function.__name__}"

        def run_it(argv: list[str] | None) -> int:
            parser = terminal.Parser(prog=prog, description=description)
            parser.add_argument("run", metavar="RUN", help="a run folder")
            work = function(parser)
            arguments = vars(parser.parse_args(argv))
            keep_what_is_read(arguments)
            # What overflows is not finite, and refused in a line of its own.
            with np.errstate(all="ignore"):
                run = open_run(arguments.pop("run"))
                if not run.done:
                    terminal.note(f"{run.path} has no trained epoch")
                work(run, **arguments)
            return 0

        def main(argv: list[str] | None = None) -> int:
            return terminal.run(run_it, argv, prog)

        main.__name__, main.__doc__ = function.__name__, f"{description} Returns the exit status."
        return main

    return decorate


@command("Make new data: points of the prior N(0, I), decoded.")
def sample(parser: terminal.Parser) -> Callable:
    parser.add_argument("-n", type=terminal.whole(1), default=64, help="how many (default: 64)")
    add_out(parser, "samples.png or .npy")
    add_seed(parser)
    parser.add_argument(
        "--temperature",
        type=terminal.real(),
        default=1.0,
        help="standard deviation of z; below 1, more typical data (default: 1)",
    )
    parser.add_argument("--noise", action="store_true", help="draw from p(x|z), not just its mean")
    add_label(parser)

    def work(
        run: Run, n: int, out: Path, seed: int, temperature: float, noise: bool, label: str | None
    ) -> None:
        model = variational(run, "has no prior to sample from")
        labels = given_label(run, model, label, n)
        x = model.sample(n, seed=seed, noise=noise, temperature=temperature, labels=labels)
        write(out, run, model.backend.to_numpy(x), counted(n, "sample"))

    return work


@command("Encode data to mu and logvar of q(z|x).")
def encode(parser: terminal.Parser) -> Callable:
    add_data(parser)
    add_out(
        parser,
        "z.npz, with mu and logvar (of an autoencoder: z), and labels of a conditional model",
        ".npz",
    )

    def work(run: Run, data: str, data_dir: str | None, out: Path) -> None:
        x, labels = read(run, data, data_dir)
        codes = by_blocks(run.model, x, labels, run.model.encode)
        names = ("mu", "logvar") if isinstance(run.model, VAE) else ("z",)
        arrays = dict(zip(names, codes, strict=True))
        if labels is not None:
            arrays["labels"] = labels
        write_atomically(out, lambda file: np.savez(file, **arrays))
        what = f"{' and '.join(names)} of {counted(len(x), 'example')}"
        print(f"{out}: {what}, {codes[0].shape[1]} wide")

    return work


@command("Decode latent points to data.")
def decode(parser: terminal.Parser) -> Callable:
    parser.add_argument("z", metavar="Z", help=".npy of shape (N, L), or .npz that holds z or mu")
    add_out(parser, "x.png or .npy")
    add_label(parser)

    def work(run: Run, z: str, out: Path, label: str | None) -> None:
        points, labels = read_codes(z)
        if labels is None or label is not None or not run.model.n_classes:
            labels = given_label(run, run.model, label, len(points))
        if points.ndim != 2 or points.shape[1] != run.model.latent_dim:
            wanted = f"(examples, {run.model.latent_dim})"
            raise ValueError(f"{z}: z must have the shape {wanted}, not {points.shape}")
        (x,) = by_blocks(run.model, points, labels, run.model.decode)
        write(out, run, x, counted(len(x), "decoded point"))

    return work


@command("Encode data and decode it again.")
def reconstruct(parser: terminal.Parser) -> Callable:
    add_data(parser)
    add_out(parser, "x.png or .npy")

    def work(run: Run, data: str, data_dir: str | None, out: Path) -> None:
        x, labels = read(run, data, data_dir)
        (x_hat,) = by_blocks(run.model, x, labels, run.model.reconstruct)
        draw = pictures.reconstructions(x)
        write(out, run, x_hat, counted(len(x), "reconstruction"), draw)

    return work


@command("Walk from one example of DATA to another, along a straight line between their codes.")
def interpolate(parser: terminal.Parser) -> Callable:
    add_data(parser)
    for name in ("i", "j"):
        parser.add_argument(name, metavar=name.upper(), type=terminal.whole(0), help="row, from 0")
    add_out(parser, "walk.png or .npy")
    parser.add_argument("--steps", type=terminal.whole(2), default=10, help="(default: 10)")

    def work(
        run: Run, data: str, data_dir: str | None, i: int, j: int, out: Path, steps: int
    ) -> None:
        x, labels = read(run, data, data_dir)
        for row in (i, j):
            if row >= len(x):
                raise ValueError(f"{data} has the rows 0 … {len(x) - 1}, not {row}")
        ends = np.array([i, j])
        ends_labels = None if labels is None else labels[ends]
        z = by_blocks(run.model, x[ends], ends_labels, run.model.encode)[0]
        part = np.linspace(0, 1, steps, dtype=z.dtype)[:, None]  # (steps, 1)
        path = (1 - part) * z[0] + part * z[1]  # (steps, L)
        # As in the figure of interpolations, the label changes halfway.
        path_labels = None if labels is None else ends_labels[(part[:, 0] > 0.5).astype(int)]
        (x_hat,) = by_blocks(run.model, path, path_labels, run.model.decode)
        what = f"{steps} steps from row {i} to row {j}"
        write(out, run, x_hat, what, pictures.walk(x[ends]))

    return work


@command("Tell how good a model is: ELBO and its terms, log p(x), KL per dimension, active units.")
def evaluate(parser: terminal.Parser) -> Callable:
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help="other data than the run's own test rows"
    )
    add_data_dir(parser)
    parser.add_argument(
        "--samples",
        type=terminal.whole(1),
        default=500,
        help="draws for each example's log p(x) (default: 500)",
    )
    add_seed(parser)
    parser.add_argument("--quiet", action="store_true", help="write the JSON file only")

    def work(
        run: Run, data: str | None, data_dir: str | None, samples: int, seed: int, quiet: bool
    ) -> None:
        from tinyvae import evaluate as judge

        if data is None:
            x, labels = run.dataset.x_test, run.dataset.y_test
        else:
            x, labels = read(run, data, data_dir)
        labels = labels if run.model.n_classes else None
        result = judge.evaluate(
            run.model, x, labels=labels, samples=samples, seed=seed, progress=not quiet
        )
        if data is None and run.dataset.factors_train is not None:
            result["mutual_information_gap"] = gap_of_dataset(run.model, run.dataset).score
        if not np.isfinite(result["reconstruction"]):
            reason = "the data lie too far from those of the run, or the run's are too large"
            raise ValueError(f"the ELBO is not finite: {reason}")
        what = {"data": OWN_ROWS if data is None else data, "epochs_trained": run.done}
        result = what | result
        if not quiet:  # first, as the file may turn out not to be writable
            print(f"{result['data']}:\n{judge.table(result)}")
        other = "" if data is None else f"-{Path(data).stem}"
        path = run.path / f"evaluation{other}.json"
        write_text(path, json.dumps(result, indent=2) + "\n")
        if not quiet:
            print(f"\nsaved as {path}")

    return work


@command("Draw a run's figures again.")
def figures(parser: terminal.Parser) -> Callable:
    from tinyvae.figures import gallery

    parser.add_argument("--only", metavar="NAME", action="append", help=", ".join(gallery.NAMES))
    parser.add_argument("--out", metavar="DIR", type=terminal.path, help="(default: RUN/figures)")
    parser.add_argument("--dpi", type=terminal.DPI, default=150, help="(default: 150)")
    parser.add_argument("--format", choices=["png", "svg", "pdf"], default="png")

    def work(run: Run, only: list[str] | None, out: Path | None, dpi: int, format: str) -> None:
        history, kl_history = run.histories
        kl_history = kl_history or None
        folder = out or run.path / "figures"
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--out {folder} is a file: name a folder")
        for path in gallery.draw(
            run.model, run.dataset, folder, history, kl_history, only=only, dpi=dpi, format=format
        ):
            print(f"{path}: {gallery.DESCRIPTIONS[path.stem]}")

    return work
