"""tinyvae: a variational autoencoder from scratch, every gradient written by hand and proven."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyvae.core.layers import Dense as Dense
    from tinyvae.core.layers import ReLU as ReLU
    from tinyvae.core.layers import Sequential as Sequential
    from tinyvae.core.layers import Sigmoid as Sigmoid
    from tinyvae.core.layers import Softplus as Softplus
    from tinyvae.core.layers import Tanh as Tanh
    from tinyvae.core.likelihood import Bernoulli as Bernoulli
    from tinyvae.core.likelihood import CalibratedGaussian as CalibratedGaussian
    from tinyvae.core.likelihood import Gaussian as Gaussian
    from tinyvae.core.model import Terms as Terms
    from tinyvae.core.optim import SGD as SGD
    from tinyvae.core.optim import Adam as Adam
    from tinyvae.data import load_dataset as load_dataset
    from tinyvae.models import IWAE as IWAE
    from tinyvae.models import VAE as VAE
    from tinyvae.models import Autoencoder as Autoencoder
    from tinyvae.models import Parameters as Parameters
    from tinyvae.train.checkpoint import load as load
    from tinyvae.train.checkpoint import save as save
    from tinyvae.train.loop import fit as fit

__version__ = "0.1.0"

_HOMES = {
    "VAE": "models",
    "Autoencoder": "models",
    "IWAE": "models",
    "Terms": "core.model",
    "Adam": "core.optim",
    "SGD": "core.optim",
    "Sequential": "core.layers",
    "Dense": "core.layers",
    "ReLU": "core.layers",
    "Tanh": "core.layers",
    "Sigmoid": "core.layers",
    "Softplus": "core.layers",
    "Parameters": "models",
    "Gaussian": "core.likelihood",
    "CalibratedGaussian": "core.likelihood",
    "Bernoulli": "core.likelihood",
    "fit": "train.loop",
    "save": "train.checkpoint",
    "load": "train.checkpoint",
    "load_dataset": "data",
}
__all__ = [*_HOMES, "__version__"]


def _lazy(package: str, homes: dict[str, str]) -> tuple[Callable, Callable]:
    """Return `__getattr__` and `__dir__` of a package whose names are loaded when first asked for:
    an import stays light, and pulls in no drawing library. `homes` maps a name to its module."""

    def get(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"tinyvae.{homes[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted({*vars(import_module(package)), *homes})


if not TYPE_CHECKING:
    __getattr__, __dir__ = _lazy(__name__, _HOMES)
