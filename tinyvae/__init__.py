"""tinyvae: a variational autoencoder from scratch, every gradient written by hand."""

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


def _lazy(package: str, modules: dict[str, str]) -> tuple[list[str], Callable, Callable]:
    """Return `__all__`, `__getattr__` and `__dir__` of a package whose names are loaded when first
    asked for: an import stays light. `modules` lists the names that each of its modules has."""
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return [*homes], get, lambda: sorted({*vars(import_module(package)), *homes})


if not TYPE_CHECKING:
    _MODULES = {
        "models": "VAE Autoencoder IWAE Parameters",
        "core.model": "Terms",
        "core.optim": "Adam SGD",
        "core.layers": "Sequential Dense ReLU Tanh Sigmoid Softplus",
        "core.likelihood": "Gaussian CalibratedGaussian Bernoulli",
        "train.loop": "fit",
        "train.checkpoint": "save load",
        "data": "load_dataset",
    }
    __all__, __getattr__, __dir__ = _lazy(__name__, _MODULES)
    __all__ += ["__version__"]
