"""tinyvae: a variational autoencoder from scratch, every gradient written by hand and proven."""

from importlib import import_module

__version__ = "0.1.0"

# Loaded when first asked for, so that `import tinyvae` stays light and pulls in no drawing library.
_HOMES = {
    "VAE": "model",
    "Autoencoder": "model",
    "IWAE": "iwae",
    "Terms": "model",
    "Adam": "optim",
    "SGD": "optim",
    "Sequential": "layers",
    "Dense": "layers",
    "ReLU": "layers",
    "Tanh": "layers",
    "Sigmoid": "layers",
    "Softplus": "layers",
    "Parameters": "layers",
    "Gaussian": "likelihood",
    "Bernoulli": "likelihood",
    "fit": "train",
    "save": "checkpoint",
    "load": "checkpoint",
    "load_dataset": "data",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"tinyvae.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tinyvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
