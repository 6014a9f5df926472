"""tinyvae: a variational autoencoder from scratch, every gradient written by hand and proven."""

__version__ = "0.1.0"
