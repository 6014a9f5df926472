"""`python -m tinyvae COMMAND …` (also `tinyvae COMMAND …`): finds the command and hands over."""

import sys
from difflib import get_close_matches
from importlib import import_module

from tinyvae import __version__

COMMANDS = {
    "train": ("train", "main", "train a model and leave a run folder"),
    "evaluate": ("commands", "evaluate", "how good is it: ELBO, log p(x), active units"),
    "figures": ("commands", "figures", "draw a run's figures again"),
    "explore": ("explore", "main", "write a page that opens the latent space in a browser"),
    "sample": ("commands", "sample", "make new data"),
    "encode": ("commands", "encode", "from data to mu and logvar"),
    "decode": ("commands", "decode", "from latent points to data"),
    "reconstruct": ("commands", "reconstruct", "encode data and decode it again"),
    "interpolate": ("commands", "interpolate", "walk from one example to another"),
    "three-panels": ("three_panels", "main", "the picture that explains the VAE"),
    "gradcheck": ("gradcheck", "main", "check gradients, tinyvae's or your own"),
    "audit": ("audit", "main", "check anybody's VAE, and name the error"),
    "tutorials": ("tutorials", "main", "copy the notebooks of the course to a folder"),
    "exercises": ("exercises", "main", "which exercises of the course are solved"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit status."""
    try:
        from tinyvae.cli import terminal  # takes a moment: Ctrl-C during it is Ctrl-C too

        return terminal.run(_run, sys.argv[1:] if argv is None else argv, "tinyvae")
    except KeyboardInterrupt:
        print("tinyvae: error: stopped", file=sys.stderr)
        return 130


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        print(f"tinyvae {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        known, close = ", ".join(COMMANDS), get_close_matches(argv[0], COMMANDS, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        print(f"tinyvae: error: no command {argv[0]!r}; there are {known}{hint}", file=sys.stderr)
        return 2
    module, function, _ = COMMANDS[argv[0]]
    return getattr(import_module(f"tinyvae.cli.{module}"), function)(argv[1:])


def usage() -> str:
    """Return the text of `tinyvae --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, _, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: tinyvae COMMAND …        (also: python -m tinyvae COMMAND …)",
            "",
            "A variational autoencoder from scratch, every gradient written by hand and proven.",
            "",
            *lines,
            "",
            "tinyvae COMMAND --help tells a command's options; start with: tinyvae train",
        ]
    )
