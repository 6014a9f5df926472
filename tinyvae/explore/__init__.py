"""The explorer: a trained model's latent space as one HTML file, to move about in with a browser.

`build` makes the page's text from a model and a data set, `write` puts it on disk. The page needs
no network and no server: it holds the weights, and its JavaScript (the modules beside this file)
computes the forward pass of `layers.py`, `latent.py`, `likelihood.py` and `model.py`, with the
same names in the same order.
"""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.explore.page import build as build
    from tinyvae.explore.page import write as write
else:
    __all__, __getattr__, __dir__ = _lazy(__name__, {"page": "build write"})
