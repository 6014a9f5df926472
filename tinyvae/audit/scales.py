"""What the encoder's second output may mean, and the values at which it is probed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray

# σ as a function of s, the encoder's second output.
READINGS: dict[str, Callable[[Array], Array]] = {
    "logvar": lambda s: np.exp(0.5 * s),
    "logstd": lambda s: np.exp(s),
    "std": lambda s: np.abs(s),
    "var": lambda s: np.sqrt(np.where(s > 0, s, np.nan)),
    "softplus": lambda s: np.logaddexp(0.0, s),
}
SCALES = ("logvar", "logstd", "std", "var")

WORDS = {
    "logvar": "exp(½ s), as of s = log σ²",
    "logstd": "exp(s), as of s = log σ",
    "std": "s, as of a standard deviation",
    "var": "√s, as of a variance",
    "softplus": "softplus(s)",
}


def check(scale: str) -> str:
    """Return `scale` if it is known, or raise ValueError."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    return scale


def encoder_output(scale: str, logvar: Array) -> Array:
    """s, as an encoder of this scale would give it for the variance exp(logvar)."""
    if scale == "logvar":
        return logvar
    if scale == "logstd":
        return 0.5 * logvar
    if scale == "softplus":
        return np.log(np.expm1(np.exp(0.5 * logvar)))
    return np.exp(0.5 * logvar) if scale == "std" else np.exp(logvar)
