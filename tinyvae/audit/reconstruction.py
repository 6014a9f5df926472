"""Which reconstruction is it, and with what weight?

Constant images x = t and x_hat = p give the loss of one pixel as a function of t and p; a mixed
batch then tells whether the pixels add up.
"""

from collections.abc import Callable

import numpy as np

from tinyvae.audit.categories import by_logits, categorical
from tinyvae.audit.findings import Finding, error, note, unjudged, value
from tinyvae.audit.forms import FORMS, PROBABILITIES, SWAPPED_TARGETS, Reconstruction, sigmoid
from tinyvae.audit.measure import Term

TARGETS = np.array([0.0, 0.25, 0.6, 1.0])


def _fit(term: Term, pixel: Callable, t: np.ndarray, p: np.ndarray, values: np.ndarray):
    """Return factor and constant of a form, or None where it does not explain the values."""
    with np.errstate(all="ignore"):
        e = pixel(t, p)
    if not (np.isfinite(e).all() and np.isfinite(values).all()):
        return None
    columns = np.stack([e, np.ones_like(e)], axis=1)
    (a, c), *_ = np.linalg.lstsq(columns, values, rcond=None)
    floor = 2e-6 if term.function.narrow else 1e-11
    tolerance = 4e-4 * np.ptp(values) + floor * np.abs(values).max()
    return (a, c, tolerance) if np.abs(a * e + c - values).max() <= tolerance else None


def _values(term: Term, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t, p = (a.ravel() for a in np.meshgrid(targets, PROBABILITIES, indexing="ij"))
    return t, p, np.array([term(x=x, x_hat=x_hat) for x, x_hat in zip(t, p, strict=True)])


def audit_reconstruction(term: Term) -> Reconstruction:
    """Return the form and weight of a reconstruction, and what is wrong with it."""
    targets = TARGETS[[0, -1]] if term.target == 1 else TARGETS
    t, p, values = _values(term, targets)
    flat = np.isfinite(values).all() and np.ptp(values) <= 1e-6 * np.abs(values).max()
    if flat and not _moves(term):
        text = "the loss does not depend on x_hat"
        return Reconstruction(findings=[error("reconstruction-missing", text, 0.0, 1.0)])
    rng = np.random.default_rng(3)
    shape = (term.sizes.B, *term.sizes.pixels)
    x, x_hat = rng.uniform(0.1, 0.9, shape), rng.uniform(0.1, 0.9, shape)
    x = np.round(x) if term.target == 1 else x
    mixed = term(x=x, x_hat=x_hat)
    swapped = None
    for name, (pixel, total) in FORMS.items() if not flat else ():
        if "swapped" in name and term.target == 1:
            continue
        if "swapped" in name:
            swapped = swapped or _values(term, SWAPPED_TARGETS)
        points = swapped if "swapped" in name else (t, p, values)
        fitted = _fit(term, pixel, *points)
        if fitted is None:
            continue
        a, c, tolerance = fitted
        n = term.sizes.B * term.sizes.D
        per_cell = a / n if "norm" not in name else _norm_weight(term, name, a)
        if abs(per_cell * total(x, x_hat) + c - mixed) > 20 * tolerance:
            continue
        return _placed(term, _described(term, name, per_cell, a))
    found = _even(term) or categorical(term) or by_logits(term) or _by_outputs(term)
    return _placed(term, found or _unrecognised(term, t, values))


def _even(term: Term) -> Reconstruction | None:
    """Find any rising, even function of x − x_hat: −log p of a location's family."""
    if term.target == 1 or term.tokens:
        return None
    d, rng = np.linspace(0, 0.7, 5), np.random.default_rng(5)
    level = rng.integers(5, size=(term.sizes.B, *term.sizes.pixels))
    for words, inverse in INVERSES.items():
        up = np.array([term(x=0.15, x_hat=inverse(0.15 + e)) for e in d])
        down = np.array([term(x=0.85, x_hat=inverse(0.85 - e)) for e in d])
        if not np.isfinite([up, down]).all():
            continue
        tolerance = 1e-3 * np.ptp(up) + 2e-6 * np.abs(up).max()
        mixed = term(x=0.15, x_hat=inverse(0.15 + d[level]))
        even = np.abs(up - down).max() <= tolerance and (np.diff(up) > 0).all()
        if even and abs(mixed - up[level].mean()) <= 3 * tolerance:
            weight = (up[-1] - up[0]) / (0.7 * term.sizes.B * term.sizes.D)
            return Reconstruction(f"even function of x − x_hat{words}", float(weight))
    return None


INVERSES = {"": lambda p: p, " of the sigmoid": lambda p: np.log(p / (1 - p)),
            " of the tanh": np.arctanh}  # fmt: skip


def _placed(term: Term, found: Reconstruction) -> Reconstruction:
    """Add whether each entry of x_hat is compared with the entry of x in its place.

    Between images of two colours, the loss rises by as much where x_hat is the negative of x as it
    does between images of one colour; by less if x_hat meets x in other places.
    """
    if found.categories or "swapped" in found.form or term.sizes.B < 8:
        return found
    one, two = term.pair
    low, high = (one, two) if "cross-entropy" not in found.form else (0.2, 0.8)
    at = {(t, p): term(x=t, x_hat=p) for t in (one, two) for p in (low, high)}
    rise = (at[one, high] - at[one, low] + at[two, low] - at[two, high]) / 2
    largest = max(map(abs, at.values()))
    if not np.isfinite(rise) or rise < 1e-4 * largest:
        return found
    rng, shape = np.random.default_rng(6), (term.sizes.B, *term.sizes.pixels)
    for rows in (True, False) if found.known else (True,):
        own = (shape[0], *(1,) * len(term.sizes.pixels)) if rows else shape
        bright = np.broadcast_to(rng.permutation(np.arange(np.prod(own)) % 2).reshape(own), shape)
        x = np.where(bright, two, one)
        same = term(x=x, x_hat=np.where(bright, high, low))
        other = term(x=x, x_hat=np.where(bright, low, high))
        if not (other - same) < 0.6 * rise:
            continue
        if rows:
            text = "x_hat is compared with another row's x: shuffled, or sorted?"
            found.findings.append(error("wiring-x", text, (other - same) / rise, 1.0))
        else:
            text = "pixels of x_hat are compared with x at other places: a shift in time? or a "
            text += "reshape where a permute belongs?"
            found.findings.append(unjudged("reconstruction-unknown", text))
        break
    return found


def _by_outputs(term: Term) -> Reconstruction | None:
    """Find the form as a function of x_hat alone, whatever the target."""
    for grid, forms in ((np.linspace(-4, 4, 9), UNBOUNDED), (np.linspace(0.04, 0.96, 9), BOUNDED)):
        values = np.array([term(x=term.target, x_hat=p) for p in grid])
        if not np.isfinite(values).all():
            continue
        for name, functions in forms.items():
            columns = np.stack([*(f(grid) for f in functions), np.ones_like(grid)], axis=1)
            c, *_ = np.linalg.lstsq(columns, values, rcond=None)
            if np.abs(columns @ c - values).max() > 1e-4 * np.ptp(values):
                continue
            total = c[0] + c[1] if name == "cross-entropy" else c[0]
            likely = min(c[:2] / total) > -1e-3 if name == "cross-entropy" else True
            if "on logits" in name:
                likely = -1.001 < c[1] / c[0] < 1e-3
            if not likely or abs(c[0]) * np.ptp(functions[0](grid)) < 1e-3 * np.ptp(values):
                continue
            found = _described(term, name, total / (term.sizes.B * term.sizes.D), total)
            text = "the target is not x itself: the form was read from x_hat alone"
            found.findings.append(note("target-hidden", text))
            return found
    return None


UNBOUNDED = {
    "squared error": (np.square, lambda p: p),
    "cross-entropy on logits": (lambda p: np.logaddexp(0.0, p), lambda p: p),
    "squared error of the sigmoid": (lambda p: sigmoid(p) ** 2, sigmoid),
    "squared error of the tanh": (lambda p: np.tanh(p) ** 2, np.tanh),
}
BOUNDED = {"cross-entropy": (lambda p: -np.log(p), lambda p: -np.log(1 - p))}


def _moves(term: Term) -> bool:
    """Return whether the loss depends on an x_hat that varies (a softmax ignores constants)."""
    rng = np.random.default_rng(3)
    shape = (term.sizes.B, *term.sizes.pixels)
    x = np.full(shape, term.target)
    seen = [term(x=x, x_hat=rng.uniform(0.1, 0.9, shape)) for _ in range(2)]
    return bool(abs(seen[1] - seen[0]) > 1e-6 * abs(seen[0]))


def _unrecognised(term: Term, t: np.ndarray, values: np.ndarray) -> Reconstruction:
    """Return a form that none of those known explains."""
    text = "neither a squared or absolute error nor a cross-entropy that is known here: whether "
    text += "it is a likelihood was not judged; pass reconstruction=, or allow it"
    if not np.isfinite(values).all():
        text = f"NaN or infinity at x = {t[~np.isfinite(values)][0]}, x_hat in (0, 1); " + text
    return Reconstruction(findings=[unjudged("reconstruction-unknown", text)])


def _norm_weight(term: Term, name: str, a: float) -> float:
    """Return the weight of a norm: an image's is √D (the batch's √(B D)) per unit."""
    B, D = term.sizes.B, term.sizes.D
    return a / (B * D**0.5) if "example" in name else a / (B * D) ** 0.5


def _described(term: Term, name: str, per_cell: float, a: float) -> Reconstruction:
    weight = 2 * per_cell if name.startswith("squared error") else per_cell
    found = Reconstruction(name, float(weight))
    if name == "cross-entropy on the sigmoid of probabilities":
        text = "the loss applies a sigmoid to its argument twice"
        found.findings.append(error("bce-double-sigmoid", text))
    if "swapped" in name:
        text = "x_hat stands where the target belongs: −x_hat log x − …"
        if term.function.named:
            found.findings.append(error("bce-swapped", text))
        else:
            text = (
                "read as (x_hat, x, …): pass a function that takes (x, x_hat, …) if that is wrong"
            )
            found.findings.append(note("arguments-swapped", text))
        found.form = name.removeprefix("swapped ")
    if "norm" in name:
        text = f"the {name}, not its square: no Gaussian likelihood, and its weight varies with it"
        found.findings.append(note("reconstruction-norm", text))
    if name.startswith("log of the squared error"):
        text = "σ is the batch's own best value: the balance follows the data (σ-VAE)"
        found.findings.append(note("sigma-optimal", text))
    if found.form in ("cross-entropy",) or "logarithm" in name or "clipped" in name:
        found.findings += _clipping(term, a, "swapped" in name)
    return found


def _clipping(term: Term, a: float, swapped: bool) -> list[Finding]:
    """Return how far −log x_hat rises as x_hat goes to 0 while x = 1."""

    def at(p: float) -> float:
        return term(x=p, x_hat=1.0) if swapped else term(x=1.0, x_hat=p)

    try:
        cap = (at(0.0) - at(0.5)) / a + np.log(2)
    except ValueError:
        return []
    if not np.isfinite(cap):
        return []
    text = f"−log x_hat is cut at {cap:.3g} (x_hat at {np.exp(-cap):.2g})"
    if cap < 7:
        return [error("bce-clipped", text, float(cap), 16.0)]
    return [value("bce-clip", text, float(cap))] if cap < 30 else []
