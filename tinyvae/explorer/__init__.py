"""The explorer: a trained model's latent space as one HTML file, to move about in with a browser.

`build` makes the page's text from a model and a data set, `write` puts it on disk, `main` is
`python -m tinyvae explore RUN`. The page needs no network and no server: it holds the weights, and
its JavaScript (the modules beside this file) computes the forward pass of `layers.py`, `latent.py`,
`likelihood.py` and `model.py`, with the same names in the same order.
"""

from tinyvae.explorer.command import main
from tinyvae.explorer.page import build, write

__all__ = ["build", "main", "write"]
