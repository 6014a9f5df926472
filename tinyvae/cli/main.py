"""`python -m tinyvae COMMAND …` (also `tinyvae COMMAND …`): finds the command and hands over."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import NoReturn

from tinyvae import __version__

# Each is the module of its name in this folder.
COMMANDS = {
    "train": "train a model and leave a run folder",
    "evaluate": "how good is it: ELBO, log p(x), active units",
    "compare": "which of several runs knows its data best",
    "figures": "draw a run's figures again",
    "explore": "write a page that opens the latent space in a browser",
    "playground": "write a page in which a VAE trains before your eyes",
    "sample": "make new data",
    "encode": "from data to mu and logvar",
    "decode": "from latent points to data",
    "reconstruct": "encode data and decode it again",
    "impute": "fill in the missing cells of a table",
    "score": "how likely each row is, and which columns say so",
    "interpolate": "walk from one example to another",
    "three-panels": "the picture that explains the VAE",
    "gradcheck": "check gradients, tinyvae's or your own",
    "audit": "check anybody's VAE, and name the error",
    "tutorials": "copy the notebooks of the course to a folder",
    "exercises": "which exercises of the course are solved",
}


def command(argv: list[str] | None = None) -> NoReturn:
    """End this process with the exit status of `main`; Ctrl-C pressed again does not change it."""
    try:
        status = main(argv)
    except KeyboardInterrupt:
        status = 130
    if status == 130:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # while the interpreter ends
    sys.exit(status)


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        with _importing():
            from tinyvae.cli import terminal
        return terminal.guarded(lambda: _run(argv), "tinyvae")
    except KeyboardInterrupt:
        print("tinyvae: error: stopped", file=sys.stderr)
        return 130


def _run(argv: list[str]) -> int:
    from tinyvae.cli.terminal import Failure, meant

    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
    elif argv[0] == "--version":
        print(f"tinyvae {__version__}")
    elif argv[0] in COMMANDS:
        with _importing():
            command = import_module(f"tinyvae.cli.{argv[0].replace('-', '_')}")
        return command.main(argv[1:])
    else:
        known = ", ".join(COMMANDS)
        raise Failure(f"no command {argv[0]!r}; there are {known}{meant(argv[0], COMMANDS)}", 2)
    return 0


@contextmanager
def _importing() -> Iterator[None]:
    """Let Ctrl-C end the process at once: compiled code that is imported may lose exceptions."""
    usual = signal.default_int_handler
    with suppress(ValueError):  # in another thread than the first
        if signal.getsignal(signal.SIGINT) is usual:
            signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _stop:
            signal.signal(signal.SIGINT, usual)


def _stop(*_: object) -> None:
    print("tinyvae: error: stopped", file=sys.stderr, flush=True)
    os._exit(130)


def usage() -> str:
    """Return the text of `tinyvae --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: tinyvae COMMAND …        (also: python -m tinyvae COMMAND …)",
            "",
            "A variational autoencoder from scratch, every gradient written by hand.",
            "",
            *lines,
            "",
            "tinyvae COMMAND --help tells a command's options; start with: tinyvae train",
        ]
    )
