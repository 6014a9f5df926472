"""Show how far long work is: by a bar in a terminal, and in a notebook that has ipywidgets, and by
lines on stderr elsewhere."""

import sys
import warnings
from contextlib import suppress
from typing import Any


def bar(show: bool = True, **options: Any) -> Any:
    """Return a progress bar of tqdm with these options.

    It draws nothing, and its `disable` is true, without `show`, and where no bar can be drawn.
    """
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # that ipywidgets is missing
        from tqdm.auto import tqdm
    show = show and sys.stderr is not None  # as of a program without a console on Windows
    return tqdm(disable=None if show else True, leave=False, **options)


def line(text: str) -> None:
    """Print a line on stderr, if somebody listens: the work goes on in any case."""
    with suppress(OSError, ValueError):
        if sys.stderr:
            print(text, file=sys.stderr, flush=True)
