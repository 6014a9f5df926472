"""`tinyvae encode RUN DATA`: from data to the mean and the log-variance of q(z|x)."""

import argparse

import numpy as np

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data.dataset import counted
from tinyvae.evaluate.passes import by_blocks
from tinyvae.train.files import write_atomically

WHAT = (
    "z.npz, with mu and logvar (of an autoencoder: z), and labels of a conditional model; or z.csv,"
    " with the columns mu1, mu2, …, logvar1, … (z1, …), and label"
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("encode", "Encode data to mu and logvar of q(z|x).")
    inputs.add_data(p)
    outputs.add_out(p, WHAT, ".npz", ".csv")
    return terminal.run(p, _encode, argv)


def _encode(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        x, labels = inputs.read(run, given.data, given.data_dir)
        codes = by_blocks(run.model, run.model.encode, x, labels)
        names = ("mu", "logvar") if len(codes) > 1 else ("z",)
        if given.out.suffix == ".csv":
            columns = [c for name in names for c in outputs.numbered(name, codes[0].shape[1])]
            if labels is not None:
                words = np.array(run.config["data"]["label_names"])[labels]  # (N,)
                columns, codes = [*columns, "label"], (*codes, words[:, None])
            outputs.write_table(given.out, columns, codes)
        else:
            arrays = dict(zip(names, codes, strict=True))
            if labels is not None:
                arrays["labels"] = labels
            write_atomically(given.out, lambda file: np.savez(file, **arrays))
        what = f"{' and '.join(names)} of {counted(len(x), 'example')}"
        print(f"{given.out}: {what}, {run.model.latent_dim} wide")
