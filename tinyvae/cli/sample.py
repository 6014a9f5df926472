"""`tinyvae sample RUN`: new data, drawn from the prior and decoded."""

import argparse

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data.dataset import counted
from tinyvae.models import VAE

DESCRIPTION = """\
Make new data: points of the prior N(0, I), decoded. Images are the mean of p(x|z); rows of a table
are drawn from it, and kept within the range of the rows that were trained on."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("sample", DESCRIPTION)
    p.add("-n", terminal.COUNT, "N", 64, "how many")
    outputs.add_out(p, "samples.png, .npy or .csv")
    p.add(*inputs.SEED)
    text = "standard deviation of z; below 1, more typical data"
    p.add("--temperature", terminal.real(), "T", 1.0, text)
    p.add("--noise", None, text="draw from p(x|z), not just its mean, as for tables anyway")
    p.add("--mean", None, text="the mean of p(x|z), for tables too")
    p.add(*outputs.UNBOUNDED)
    p.add(*inputs.LABEL)
    return terminal.run(p, _sample, argv)


def _sample(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        if not isinstance(model := run.model, VAE):
            problem = f"{run.path} holds an autoencoder, which has no prior to sample from"
            raise ValueError(f"{problem}: train a vae")
        labels = inputs.given_label(run, given.label, given.n)
        table = outputs.is_table(run)
        noise = given.noise or (table and not given.mean)
        if given.noise and given.mean:
            raise ValueError("--noise and --mean go not together: name one of them")
        how = {"noise": noise, "temperature": given.temperature, "labels": labels}
        x = model.backend.to_numpy(model.sample(given.n, seed=given.seed, **how))
        what = counted(given.n, "sample") + (", drawn from p(x|z)" if noise else "")
        within = table and not given.unbounded
        outputs.write(given.out, run, x, what, "take a lower --temperature", within=within)
