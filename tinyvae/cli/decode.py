"""`tinyvae decode RUN Z`: from latent points to data."""

import argparse

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data.dataset import counted
from tinyvae.evaluate.passes import by_blocks


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("decode", "Decode latent points to data.")
    what = "z.csv of encode, or any with the columns z1, …; .npy of shape (N, L), .npz of z or mu"
    p.add_argument("z", metavar="Z", help=what)
    outputs.add_out(p, "x.png, .npy or .csv")
    p.add(*inputs.LABEL)
    return terminal.run(p, _decode, argv)


def _decode(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        z, labels = inputs.read_codes(run, given.z)
        if labels is None or given.label is not None or not run.model.n_classes:
            labels = inputs.given_label(run, given.label, len(z))
        if z.ndim != 2 or z.shape[1] != run.model.latent_dim:
            wanted = f"(examples, {run.model.latent_dim})"
            raise ValueError(f"{given.z}: z must have the shape {wanted}, not {z.shape}")
        (x,) = by_blocks(run.model, run.model.decode, z, labels)
        what = counted(len(x), "decoded point")
        outputs.write(given.out, run, x, what, "take latent points nearer to 0")
