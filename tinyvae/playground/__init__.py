"""The playground: one HTML file in which a VAE trains before your eyes, offline, in a browser.

`build` makes the page's text from one or more data sets, or from a trained run, and `write` puts it
on disk. The page computes forward and backward pass by the JavaScript files that stand for those
of `tinyvae.core`, which the explorer uses too; the files here are the training, the planted errors
and what is drawn.
"""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.playground.page import build as build
    from tinyvae.playground.page import write as write
else:
    __all__, __getattr__, __dir__ = _lazy(__name__, {"page": "build write"})
