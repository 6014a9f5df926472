"""What the encoder's second output may mean, and the values at which it is probed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

LOGVARS = np.linspace(-4.0, 2.0, 9)  # levels of log σ² at which a known reading is probed

# σ as a function of s, the encoder's second output.
READINGS: dict[str, Callable[[Array], Array]] = {
    "logvar": lambda s: np.exp(0.5 * s),
    "logstd": lambda s: np.exp(s),
    "std": lambda s: np.abs(s),
    "var": lambda s: np.sqrt(np.where(s > 0, s, np.nan)),
    "softplus": lambda s: np.logaddexp(0.0, s),
    "√softplus": lambda s: np.sqrt(np.logaddexp(0.0, s)),
}
# σ as a function of s, beyond those that a scale explains.
MISTAKES = {
    "exp(¼ s)": lambda s: np.exp(0.25 * s),
    "1, whatever s": np.ones_like,
    "exp(−½ s)": lambda s: np.exp(-0.5 * s),
    "exp(2 s)": lambda s: np.exp(2 * s),
    "exp(exp(½ s))": lambda s: np.exp(np.exp(0.5 * s)),
    "exp(exp(s))": lambda s: np.exp(np.exp(s)),
    "s²": np.square,
    "√|s|": lambda s: np.sqrt(np.abs(s)),
    "softplus(½ s)": lambda s: np.logaddexp(0, 0.5 * s),
    "1 + s": lambda s: np.abs(1 + s),
}
SCALES = ("logvar", "logstd", "std", "var")

WORDS = {
    "logvar": "exp(½ s), as of s = log σ²",
    "logstd": "exp(s), as of s = log σ",
    "std": "s, as of a standard deviation",
    "var": "√s, as of a variance",
    "softplus": "softplus(s)",
    "√softplus": "√softplus(s), the variance by softplus",
}

# What a parameter's name says of s. The third item: whether another reading contradicts the name
# (sigma and std are used loosely, also for the logarithms).
NAMES = [
    (r"lo?g_?_?(var|v$|(sigma|std|s)_?(sq|2))|ln_?var|^lv|_lv$|^s$|lnv", "logvar", True),
    (r"lo?g_?_?(std|sigma|sd|scale|s$)|ln_?(std|sigma)|^ls$", "logstd", False),
    (r"^v$|var|sigma_?(sq|2)", "var", False),
    (r"std|sigma|^sd$|_sd$|scale|^sig$", "std", False),
]


def named(name: str) -> tuple[str, bool] | None:
    """Return the reading that a parameter's name states and whether it is binding, or None."""
    name = name.lower()
    return next(((r, hard) for pattern, r, hard in NAMES if re.search(pattern, name)), None)


def check(scale: str) -> str:
    """Return `scale` if it is known, or raise ValueError."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    return scale


def encoder_output(scale: str, logvar: Array) -> Array:
    """Return s, as an encoder of this scale would give it for the variance exp(logvar)."""
    if scale == "logvar":
        return logvar
    if scale == "logstd":
        return 0.5 * logvar
    if scale == "softplus":
        return np.log(np.expm1(np.exp(0.5 * logvar)))
    if scale == "√softplus":
        return np.log(np.expm1(np.exp(logvar)))
    return np.exp(0.5 * logvar) if scale == "std" else np.exp(logvar)


@dataclass
class Reading:
    """The mean and the standard deviation of q at the points where a KL is probed.

    Attributes
    ----------
    name, words : str
    mu, s : arrays
        Levels of the encoder's outputs.
    mean, sigma : arrays
        The mean of q at each mu, its standard deviation at each s.
    mean_doubt, doubt : floats
        How far a measured mean, and log σ, may be off.
    """

    name: str
    words: str
    s: Array
    sigma: Array
    doubt: float = 0.0
    mu: Array | None = None
    mean: Array | None = None
    mean_doubt: float = 0.0

    @property
    def known(self) -> bool:
        """Return whether σ(s) is a formula, rather than measured."""
        return self.name in READINGS

    def sigma_at(self, s: Array | float) -> Array:
        """Return σ(s), between measured levels by interpolation of log σ."""
        if self.known:
            return READINGS[self.name](np.asarray(s, float))
        return np.exp(np.interp(s, self.s, np.log(np.maximum(self.sigma, 1e-30))))

    def s_at(self, logvar: float) -> float:
        """Return an s whose variance is exp(logvar), or the nearest level of a measured one."""
        if self.known:
            return float(encoder_output(self.name, np.array(logvar)))
        return float(self.s[np.argmin(np.abs(2 * np.log(self.sigma) - logvar))])


def known(name: str) -> Reading:
    """Return one of the readings that are formulas."""
    s = encoder_output(name, LOGVARS)
    return Reading(name, WORDS[name], s, np.exp(0.5 * LOGVARS))
