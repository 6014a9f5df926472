"""Is the loss finite at the edges that training reaches: saturated outputs, extreme variances?

All in float32, where 1 − 1e-8 is 1 and exp(−104) is 0.
"""

import numpy as np

from tinyvae.audit.findings import Finding, error, note
from tinyvae.audit.forms import Reconstruction
from tinyvae.audit.frameworks import plain, reachable
from tinyvae.audit.measure import Term

LOGITS = {"jax": 87.0}  # XLA flushes denormal numbers, as exp(−100) is in float32, to 0


def _value(term: Term, **point) -> float:
    """Return the loss in float32 at a point, NaN where it raises."""
    before, term.dtype = term.dtype, "float32"
    try:
        return term(**point)
    except ValueError:
        return np.nan
    finally:
        term.dtype = before


def audit_corners(term: Term, found: Reconstruction) -> list[Finding]:
    """Return an error where x, x_hat ∈ {0, 1}, or logits of ±100, give NaN or infinity."""
    form = found.form
    if (
        found.categories
        or form.startswith("log of")
        or ("cross-entropy" not in form and "sigmoid" not in form)
    ):
        return []
    low = -1.0 if "[−1, 1]" in form else 0.0
    logits = "logits" in form or "sigmoid" in form
    far = LOGITS.get(term.function.framework, 100.0)
    outputs = (-far, far) if logits else (-1.0 if "tanh" in form or low else 0.0, 1.0)
    if any(f.name == "bce-swapped" for f in found.findings):
        return []
    swapped = any(f.name == "arguments-swapped" for f in found.findings)
    for x in (low, 1.0):
        for x_hat in outputs:
            at = {"x": x_hat, "x_hat": x} if swapped else {"x": x, "x_hat": x_hat}
            number = _value(term, **at)
            if np.isfinite(number):
                continue
            text = f"the reconstruction is {number} at x = {x:g}, x_hat = {x_hat:g} in float32"
            text += _why(number, x_hat, logits)
            return [error("edge-reconstruction", text, number)]
    return []


def _why(number: float, x_hat: float, logits: bool) -> str:
    if logits:
        return ": an overflow, or the logarithm of a saturated sigmoid"
    if x_hat <= 0:
        return ": log(x_hat) is −∞ there"
    hint = "clamp(1e-8, 1 − 1e-8) is 1 in float32, and 1e-8 + 1 − x_hat is 0 at 1"
    return f": log(1 − x_hat) is −∞ there ({hint})"


def audit_extremes(term: Term) -> list[Finding]:
    """Return an error where a representable KL is NaN or infinite in float32."""
    reading = term.reading
    if term.random or not (reading.name in ("logvar", "logstd") or not reading.known):
        return []
    half = 0.5 if reading.name == "logstd" else 1.0
    for logvar in (-40.0, 40.0, -120.0) if reading.known else (-40.0, 40.0):
        number = _value(term, mu=0.0, s=half * logvar)
        if np.isfinite(number):
            continue
        text = f"the KL is {number} at s = {half * logvar:g} in float32"
        text += ": log(exp(½ s)²) or the like, in place of s itself"
        if logvar == -120 and (term.function.followed or _by_library(term)):
            return [note("edge-kl", text, number)]
        return [error("edge-kl", text, number)]
    return []


def _by_library(term: Term) -> bool:
    """Return whether a framework's own kl_divergence computes it, which can do no better."""
    functions = [term.function.function, *(v for _, v in reachable(term.function.function))]
    codes = [f.__code__ for f in map(plain, filter(callable, functions)) if f]
    names = {name for code in codes for name in code.co_names}
    return bool(names & {"kl_divergence", "Normal", "distributions", "log_prob"})
