"""Find the sampler and the loss in somebody's class or module, by the names that people use."""

import inspect
from types import ModuleType
from typing import Any

from tinyvae.audit.roles import role_of, signature
from tinyvae.core.errors import Argument, InputError

NAMES = {
    "sample": (
        "reparameterize reparametrize reparameterise reparametrise reparameterization "
        "reparametrization reparam reparameterization_trick reparametrization_trick "
        "reparameterize_gaussian sampling Sampling sample_z sample_latent latent_sample rsample "
        "sampler Sampler Reparameterize Reparametrize sample_gaussian gaussian_sample sample"
    ).split(),
    "objective": (
        "loss_function vae_loss vae_loss_function loss_fn loss_func elbo_loss vae_objective "
        "criterion compute_loss calculate_loss get_loss final_loss VAELoss VAE_loss VAE_Loss "
        "neg_elbo negative_elbo elbo loss"
    ).split(),
    "kl": (
        "kl kl_divergence kl_loss kld kl_div kld_loss KLD KL compute_kl kl_divergence_loss "
        "gaussian_kl gaussian_kld kl_normal latent_loss kl_gaussian regularization_loss"
    ).split(),
    "reconstruction": (
        "reconstruction_loss recon_loss rec_loss reconstruct_loss reconstruction_error nll "
        "bce_loss binary_cross_entropy mse_loss"
    ).split(),
}
PAIRS = ("inputs", "args", "params", "stats", "x", "h", "input", "mu_logvar", "z_params", "dist")
DEFAULTS = {"latent": 5, "pixels": 784, "hidden": 32}


def instance(found: Any, name: str, sizes: dict[str, int]) -> Any:
    """Make an object of a class, with sizes where its arguments ask for them; in training mode.

    Raises
    ------
    ValueError
        Its arguments cannot be guessed.
    """
    if inspect.isclass(found):
        arguments = {}
        for p in signature_of(found):
            lowered = p.name.lower()
            size = next((sizes[kind] for kind, words in SIZES if _any(words, lowered)), None)
            if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                if size is None:
                    raise ValueError(
                        f"{name} needs {p.name}=: make an object in the module, name that instead"
                    )
                arguments[p.name] = size
        try:
            found = found(**arguments)
        except Exception as failure:
            kind = type(failure).__name__
            given = ", ".join(f"{k}={v}" for k, v in arguments.items())
            raise ValueError(
                f"{name}({given}) raised {kind}: {failure}: make an object in the module, name "
                "that instead"
            ) from failure
    train = getattr(found, "train", None)
    if hasattr(found, "training") and callable(train):
        train()
    return found


SIZES = [
    ("latent", ("latent", "z_dim", "zdim", "nz", "n_z", "code", "embed", "bottleneck")),
    ("hidden", ("hidden", "h_dim", "intermediate", "n_h", "width", "units")),
    ("pixels", ("input", "image", "x_dim", "in_dim", "feature", "n_in", "data", "size", "orig")),
]


def signature_of(found: type) -> list[inspect.Parameter]:
    """Return the parameters of a class's constructor."""
    try:
        return list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError):
        return []


def _any(words: tuple[str, ...], name: str) -> bool:
    return any(word in name for word in words)


def functions(module: ModuleType, found: Any, chosen: dict[str, str | None]) -> dict[str, tuple]:
    """Role → (what it is called, the function): in the object first, then in its module.

    Raises
    ------
    ValueError
        A name that was chosen does not exist.
    """
    result = {}
    for role, usual in NAMES.items():
        wanted = chosen.get(role)
        if wanted and "." in wanted:
            function = _along(found, wanted) or _along(module, wanted)
            if function is not None:
                result[role] = wanted, function
                continue
        for home, prefix in ((found, type(found).__name__), (module, module.__name__)):
            prefix = home.__name__ if isinstance(home, ModuleType) else prefix
            names = [n for n in ([wanted] if wanted else usual) if hasattr(home, n)]
            usable = [n for n in names if _fits(role, getattr(home, n))]
            if usable:
                function = getattr(home, usable[0])
                function = function() if inspect.isclass(function) else function
                result[role] = f"{prefix}.{usable[0]}", function
                break
        if wanted and role not in result:
            raise InputError(Argument(role, wanted), remedy="no such function")
    return result


def _along(home: Any, path: str) -> Any:
    """Return what a path of attributes leads to, or None."""
    for name in path.split("."):
        home = getattr(home, name, None)
    return home if callable(home) else None


def _fits(role: str, function: Any) -> bool:
    """Return whether a function of the right name takes arguments of the right kind."""
    if not callable(function):
        return False
    if inspect.isclass(function):
        needed = [p for p in signature_of(function) if p.default is p.empty]
        return not [p for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    parameters = signature(function)
    if parameters is None:
        return True
    if role == "sample":
        only = parameters[0].name.lower() if len(parameters) == 1 else "n"
        pair = only in PAIRS and getattr(function, "__name__", "") != "sample"
        return pair or "s" in [role_of(p.name) for p in parameters]
    return len(parameters) >= 2
