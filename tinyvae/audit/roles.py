"""How to call anybody's function: which argument is x, which the reconstruction, which mu.

Names decide where they are telling ("recon_x", "z_log_var"), the documented order where not.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

EXACT = {
    "z": {"z", "z_sample", "z_samples", "latent", "latents"},
    "eps": {"eps", "epsilon", "noise"},
    "key": {"rng", "key", "rng_key", "prng_key", "random_key", "rngs"},
    "step": {"step", "steps", "global_step", "epoch", "iteration", "n_iter", "current_epoch"},
    "beta": set(
        "anneal kl_anneal annealing kl_annealing anneal_factor w_kl kl_w lambda_kl kl_lambda "
        "beta_kl weight_kl kl_factor kl_weight kld_weight kl_coeff kld_coeff kl_beta "
        "kl_coef".split()
    ),
    "s": {"s", "sd", "lv", "scale", "var", "sig", "logs", "stddev"},
    "training": {"training", "train", "is_training", "is_train"},
    "mu": {"m", "mu", "loc", "avg", "average"},
    "x_hat": {"y", "out", "outs", "xr", "xh", "p", "x_", "reco", "rec", "dec", "gen", "x2", "fake"},
    "x": {"t", "img", "imgs", "data", "batch", "label", "labels", "x1", "real"},
}
EXTRAS = ("z", "eps", "key", "beta", "training", "step", "mu_p", "s_p")
PRIOR = re.compile(r"prior|(^|_)p($|_)|2$")  # of a parameter that describes p, not q
PATTERNS = [
    ("x", r"true|target|orig|ground|^(x|y|img|image)_in"),
    (
        "x_hat",
        r"^x_?(mu|mean|loc)|rec|hat$|pred|decod|logit|out|prime|generated|tilde|restored|xhat|x_p",
    ),
    (
        "s",
        r"lo?g_?_?(var|s|v|std)|ln_?(var|s|v)|sigma|std|varia|_var$|^var_|_sd$|logvar|lnvar|^lv_|_lv$",
    ),
    ("mu", r"mu|mean|_loc$"),
    ("x", r"^x|input|image|sample_x|observ|^data"),
]


def role_of(name: str) -> str | None:
    """Return what a parameter of this name most likely is: x, x_hat, mu, s, z, … or None."""
    name = name.lower()
    for role, names in EXACT.items():
        if name in names:
            return role
    return next((role for role, pattern in PATTERNS if re.search(pattern, name)), None)


def signature(function: Callable) -> list[inspect.Parameter] | None:
    """Return the parameters that positions can fill, None where Python cannot tell."""
    owner = type(function)
    for name in ("forward", "call"):  # modules and layers hide their own behind __call__
        if not inspect.isroutine(function) and hasattr(owner, name):
            function = getattr(function, name)
            break
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind is not p.VAR_KEYWORD]


class Arrangement:
    """One way to pass the roles: positions, a tuple in one argument, or keywords.

    `named` is true where the parameters' own names told which is which.
    """

    def __init__(self, positions: list[Any], keywords: dict[str, str], named: bool = False) -> None:
        self.positions, self.keywords, self.named = positions, keywords, named
        self.names: dict[str, str] = {}  # role → parameter

    def arguments(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments and keyword arguments for these values of the roles."""

        def fill(slot: Any) -> Any:
            return tuple(values[r] for r in slot) if isinstance(slot, tuple) else values[slot]

        keywords = {name: fill(slot) for name, slot in self.keywords.items()}
        return [fill(slot) for slot in self.positions], keywords

    def roles(self) -> set[str]:
        """Return the roles that this arrangement uses."""
        slots = [*self.positions, *self.keywords.values()]
        return {r for slot in slots for r in (slot if isinstance(slot, tuple) else (slot,))}


def arrangements(function: Callable, wanted: tuple[str, ...]) -> list[Arrangement]:
    """Return ways to pass the roles `wanted`, the likeliest first.

    Raises
    ------
    TypeError
        The function takes more arguments than its names explain.
    """
    parameters = signature(function)
    plain = [Arrangement(list(wanted), {}), Arrangement([tuple(wanted)], {})]
    if parameters is None:
        return plain
    slots = _assign(parameters, wanted)
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    if len(required) == 1 and len(parameters) < len(wanted):
        return plain[::-1][:1]
    if len(wanted) == 4 and len(required) == 2 and len(parameters) < 4:  # loss(x, outputs)
        outputs_first = role_of(required[0].name) == "x_hat"
        rest = ("x_hat", "mu", "s")
        return [Arrangement([rest, "x"] if outputs_first else ["x", rest], {})]
    missing = [p.name for p in required if p.name not in slots]
    unfilled = [role for role in wanted if role not in slots.values()]
    if missing or unfilled:
        takes = ", ".join(p.name for p in parameters) or "nothing"
        slots = {n: r for n, r in slots.items() if r in wanted}
        given = ", ".join(slots.get(p.name, f"{p.name}=…") for p in required)
        line = f"lambda {', '.join(wanted)}: f({given})"
        call = f"takes ({takes}), but is to be called with ({', '.join(wanted)})"
        raise TypeError(f"{call}: pass {line}")
    positions, keywords, named = [], {}, len(wanted) > 0
    for p in parameters:
        if p.name not in slots:
            continue
        named &= role_of(p.name) == slots[p.name]
        in_order = p.kind is not p.KEYWORD_ONLY and len(positions) == parameters.index(p)
        if in_order:
            positions.append(slots[p.name])
        else:
            keywords[p.name] = slots[p.name]
    first = Arrangement(positions, keywords, named)
    first.names = {role: name for name, role in slots.items()}
    return [first] if named else [first, *plain]


def _of_prior(required: list[inspect.Parameter]) -> dict[str, str]:
    """Return parameter name → role for a learned prior, where q and p are given."""
    found = {}
    for role in ("mu", "s"):
        pair = [p.name for p in required if role_of(p.name) == role]
        if len(pair) != 2:
            return {}
        named = [name for name in pair if PRIOR.search(name.lower())]
        found[named[0] if len(named) == 1 else pair[1]] = f"{role}_p"
    return found


def _assign(parameters: list[inspect.Parameter], wanted: tuple[str, ...]) -> dict[str, str]:
    """Return parameter name → role: by name first, then what is left over, in order."""
    required = [p for p in parameters if p.default is p.empty]
    of_prior = _of_prior(required) if "mu" in wanted else {}
    if of_prior:
        rest = [p for p in parameters if p.name not in of_prior]
        return {**_assign(rest, wanted), **of_prior}
    ordered = [*required, *[p for p in parameters if p not in required]]
    guesses = {p.name: role_of(p.name) for p in ordered}
    if "y" in guesses and list(guesses.values()).count("x_hat") > 1:
        guesses["y"] = "x"  # (y, y_pred): what is to be predicted
    claims = [guesses[p.name] for p in required]
    slots: dict[str, str] = {}
    for p in ordered:
        role = guesses[p.name]
        clear = claims.count(role) < 2 or p.name.lower() in EXACT.get(role, ())
        allowed = role in wanted or (role in EXTRAS and p in required)
        if clear and allowed and role not in slots.values():
            slots[p.name] = role
    matched = [p for p in required if slots.get(p.name) in wanted]
    if len(required) >= len(wanted) and len(matched) < len(wanted) - 1:
        # One name alone tells little where another is unknown: keep the documented order.
        slots = {n: r for n, r in slots.items() if r not in wanted}
    left = [role for role in wanted if role not in slots.values()]
    for p in ordered:
        if left and p.name not in slots:
            slots[p.name] = left.pop(0)
    return slots
