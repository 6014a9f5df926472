"""Is z = mu + σ·eps with the right σ, and eps fresh, independent and standard normal?

Six levels of log σ² and three of mu run through every row, column and call in a Latin pattern, over
about 115,000 draws: a wrong σ of 2 % and noise shared along any axis stand out from chance.
"""

import math
from dataclasses import dataclass

import numpy as np

from tinyvae.audit import scales
from tinyvae.audit.calls import Function, as_shape, numbers_in
from tinyvae.audit.findings import Finding, error, note
from tinyvae.audit.frameworks import TooCoarse
from tinyvae.audit.statistics import Z, chi_square_bounds, distance_from_normal

LOGVARS = np.array([-4.0, -2.75, -1.5, -0.25, 1.0, 2.0])
MUS = np.array([-1.5, 0.0, 2.0])
DRAWS, MAX_CALLS = 115_200, 2048
PERIOD = 18  # calls after which levels and means come round


class Draws:
    """The draws e = z − mu (T, B, L) of one sampler, and the level of each."""

    def __init__(self, e: np.ndarray, level: np.ndarray, mean: np.ndarray) -> None:
        self.e, self.level, self.mean = e, level, mean
        cell = (6 * mean + level).ravel()  # each of the 18 pairs of a mean and a level
        self.n = np.bincount(cell, minlength=18).reshape(3, 6)
        sums = np.bincount(cell, e.ravel(), minlength=18).reshape(3, 6)
        self.means = sums / np.maximum(self.n, 1)
        self.rest = e - self.means[mean, level]
        squares = np.bincount(level.ravel(), np.square(self.rest).ravel(), minlength=6)
        self.freedom = self.n.sum(axis=0) - 3  # (6,), a mean was fitted at each of three mu
        self.variance = squares / self.freedom  # (6,)
        self.sd = np.sqrt(self.variance)
        self.u = self.rest / np.maximum(self.sd, 1e-300)[level]

    def slice(self, keep: tuple[slice, slice, slice]) -> "Draws":
        """Return the same without the copies along an axis."""
        return Draws(self.e[keep], self.level[keep], self.mean[keep])


READING = ("sampler-std", "sampler-mean", "noise-scale")  # findings that a KL may explain


@dataclass
class Sampler:
    """What was found of a sampler, and the mean and σ that its draws have.

    `measured` is None where they could not be measured (no noise, noise that repeats);
    `matched` names the reading of s that explains its σ, if one does.
    """

    findings: list[Finding]
    measured: scales.Reading | None = None
    matched: str | None = None
    shape: tuple[int, ...] = ()

    @property
    def off(self) -> bool:
        """Return whether its mean or σ are not those of the expected reading."""
        return any(f.name in READING for f in self.findings)


def audit_sampler(
    function: Function, scale: str, batch: int | None, latent: object, dtype: str
) -> Sampler:
    """Return what is wrong with a sampler (mu, s) → z, if s is read as `scale` says.

    Raises
    ------
    ValueError
        It raised, or returned NaN or another shape than mu's.
    """
    B, latents = _settle(function, scale, batch, latent, dtype)
    draws, mu_only, frozen = _draw(function, scale, B, latents, dtype)
    if mu_only:
        return Sampler([error("sampler-no-noise", "z is mu in every call: no noise", 0.0, 1.0)])
    if frozen and np.corrcoef(draws.u[0].ravel(), draws.u[1].ravel())[0, 1] < 0.9:
        text = "the same noise comes back after a few calls"
        return Sampler([error("noise-repeats", text, 1.0, 0.0)])
    if frozen:
        return Sampler([error("sampler-frozen-noise", "every call draws the same noise", 1.0, 0.0)])
    findings, draws = _sharing(draws)
    rest, matched = _shape_and_scale(draws, scale)
    repeats = any(f.name == "noise-repeats" for f in findings)
    if repeats:  # few noises: bounds for fresh ones fail
        rest = [f for f in rest if f.name == "sampler-std" and abs(f.statistic - 0.5) > 0.1]
    findings += rest
    if "eps" in function.settled[0].roles():
        findings.append(note("noise-given", "the noise is an argument: only its use was audited"))
    return Sampler(findings, None if repeats else _measured(draws, scale), matched, (B, *latents))


def _measured(draws: Draws, scale: str) -> scales.Reading:
    """Return the mean and σ of the draws at each level, with how far they may be off."""
    s = scales.encoder_output(scale, LOGVARS)
    weights = draws.n / np.square(draws.sd)  # (3, 6): a mean is known best where σ is small
    offsets = (draws.means * weights).sum(axis=1) / weights.sum(axis=1)
    doubt = Z * float(np.sqrt(1 / weights.sum(axis=1)).max()) + 1e-6
    spread = Z * math.sqrt(0.5 / draws.freedom.min()) + 2e-3
    words = "as measured: " + ", ".join(
        f"σ({a:.3g}) = {b:.3g}" for a, b in list(zip(s, draws.sd, strict=True))[::2]
    )
    return scales.Reading("measured", words, s, draws.sd, spread, MUS, MUS + offsets, doubt)


class Inputs:
    """mu and s of the 18 different calls, with the level and the mean of each cell (B, L)."""

    def __init__(self, scale: str, B: int, latents: tuple[int, ...], dtype: str) -> None:
        L = math.prod(latents)
        i, j = np.ogrid[:B, :L]
        calls = range(PERIOD)
        self.level = np.stack([(i + j + t) % 6 for t in calls])  # (18, B, L)
        self.mean = np.stack([(i // 6 + j // 6 + t // 6) % 3 for t in calls])
        self.s = scales.encoder_output(scale, LOGVARS)[self.level].astype(dtype)
        self.mu = MUS[self.mean].astype(dtype)
        self.shape = (B, *latents)

    def draw(self, function: Function, t: int) -> np.ndarray:
        """Return z (B, L) of call t; of several samples, the first."""
        mu, s = self.mu[t % PERIOD], self.s[t % PERIOD]
        given = function(mu=mu.reshape(self.shape).copy(), s=s.reshape(self.shape).copy())
        fitting = [a for _, a in given if a.size == mu.size]
        fitting += [a[0] for _, a in given if a.ndim and a.shape[1:] == self.shape]  # (K, B, …)
        if not fitting:
            raise ValueError(f"{function.name} returned no z of mu's shape {self.shape}")
        outputs = [array.reshape(mu.shape) for array in fitting]
        if len(outputs) == 1:
            return outputs[0]
        new = [a for a in outputs if not np.allclose(a, mu, 1e-5, 1e-5)]
        fresh = [a for a in new if not np.allclose(a, s, 1e-5, 1e-5)]
        return (fresh or new or outputs)[0]


def _settle(
    function: Function, scale: str, batch: int | None, latent: object, dtype: str
) -> tuple[int, tuple[int, ...]]:
    """Find sizes that the function takes: 48 × 12, or those that its code mentions."""
    hints = numbers_in(function.function)
    small = [n for n in hints["any"] if n <= 512]
    Bs = [batch] if batch else [function.draws[0], *hints["batch"], *small]
    Ls = [as_shape(latent)] if latent else [(12,)]
    if not latent:
        Ls += [(n,) for n in (hints["latent"] + small)[:6]] + [(3, 2, 2)]
    first: Exception | None = None
    for B, latents in [(B, latents) for B in Bs[:6] for latents in Ls[:8]]:
        try:
            Inputs(scale, B, latents, dtype).draw(function, 0)
            return B, latents
        except TooCoarse:
            raise
        except Exception as failure:
            first = first or failure
            function.settled = None
    raise first


def _draw(
    function: Function, scale: str, B: int, latents: tuple[int, ...], dtype: str
) -> tuple[Draws, bool, bool]:
    """Call often; also tell whether z was always mu, and whether equal calls gave equal z."""
    L = math.prod(latents)
    T = int(np.clip(math.ceil(DRAWS / (B * L)), function.draws[1], MAX_CALLS))
    inputs = Inputs(scale, B, latents, dtype)
    z = np.empty((T, B, L))
    for t in range(T):
        z[t] = inputs.draw(function, t)
    if not np.isfinite(z).all():
        call, row, column = np.argwhere(~np.isfinite(z))[0]
        where = inputs.s[call % PERIOD, row, column]
        raise ValueError(f"{function.name} returned NaN or infinity at s = {where:.4g}")
    turns = np.arange(T) % PERIOD
    e = z - inputs.mu.astype(float)[turns]
    mu_only = np.abs(e).max() < 1e-5
    frozen = np.abs(e[PERIOD : 2 * PERIOD] - e[:PERIOD]).max() < 1e-6
    return Draws(e, inputs.level[turns], inputs.mean[turns]), bool(mu_only), bool(frozen)


def _sharing(draws: Draws) -> tuple[list[Finding], Draws]:
    """Test sums of standardised noise: their squares add up to χ² unless the noise is shared.

    Each axis is tested on one slice of the others, so that sharing along another axis is no alarm,
    and a shared axis is cut to one copy before the next test.
    """
    findings, weak = [], []
    for name, axis in {"batch": 1, "latents": 2}.items():
        one = draws.u[:, :, 0] if axis == 1 else draws.u[:, 0, :]  # (T, size)
        size = one.shape[1]
        statistic = float(np.square(one.sum(axis=1) / math.sqrt(size)).sum())
        if size == 1 or statistic <= chi_square_bounds(len(one))[1]:
            continue
        ratio = statistic / len(one)
        text = f"its sums over the {name} have {ratio:.3g} times the variance of fresh noise"
        found = error(f"noise-shared-over-{name}", text, ratio, 1.0)
        common = float(np.mean(np.square(draws.u.sum(axis=axis)))) / size  # 1 if fresh, else size
        if (common - 1) / (size - 1) < 0.3:  # a few noises that come back may look like this too
            weak.append(found)
            continue
        findings.append(found)
        keep = [slice(None)] * 3
        keep[axis] = slice(1)
        draws = draws.slice(tuple(keep))
    sums = draws.u.sum(axis=0) / math.sqrt(len(draws.u))  # (B, L) over the calls
    statistic = float(np.square(sums).sum())
    if statistic > chi_square_bounds(sums.size)[1]:
        ratio = statistic / sums.size
        text = f"its sums over the calls have {ratio:.3g} times the variance of fresh noise"
        return [*findings, error("noise-repeats", text, ratio, 1.0)], draws
    return findings + weak, draws


def _shape_and_scale(draws: Draws, scale: str) -> tuple[list[Finding], str | None]:
    """Return the findings, and the name of the reading that explains σ, if one does."""
    s = scales.encoder_output(scale, LOGVARS)
    right = scales.READINGS[scale](s)
    wrong_scale, matched = _scale(draws, s, right, scale)
    eps = draws.e / (draws.sd if wrong_scale else right)[draws.level]
    wrong_mean = _mean(draws, eps)
    shape = draws.u if wrong_mean or wrong_scale else eps
    distance, threshold = distance_from_normal(shape)
    if distance <= threshold:
        return wrong_scale + wrong_mean, matched
    kurtosis = float(np.mean(draws.u**4))
    if abs(kurtosis - 1.8) < 0.06:
        ratio = float(np.mean(eps / np.std(eps)))
        text = f"kurtosis {kurtosis:.2f} (normal noise: 3), mean/sd = {ratio:.2f}: uniform noise"
        named = [f for f in wrong_scale if f.name == "sampler-std"]
        return [error("noise-uniform", text, kurtosis, 3.0), *named], matched
    text = f"distance {distance:.3f} from N(0, 1) (at most {threshold:.3f} by chance)"
    text += f", kurtosis {kurtosis:.2f} (normal: 3)"
    wrong_scale = [f for f in wrong_scale if f.name != "noise-scale" or abs(f.statistic - 1) > 0.05]
    noise = error("noise-not-normal", text, distance, threshold)
    return [noise, *wrong_scale, *wrong_mean], matched


def _scale(
    draws: Draws, s: np.ndarray, right: np.ndarray, scale: str
) -> tuple[list[Finding], str | None]:
    """Compare the six standard deviations with σ(s)."""
    sums = draws.freedom * draws.variance / right**2  # χ² with `freedom` degrees each
    bounds = [chi_square_bounds(n) for n in [*draws.freedom, draws.freedom.sum()]]
    inside = [low <= x <= high for x, (low, high) in zip([*sums, sums.sum()], bounds, strict=True)]
    if all(inside):
        return [], scale
    noise = Z * np.sqrt(0.5 / draws.freedom) + 2e-3  # of log sd
    logs = np.log(np.maximum(draws.sd, 1e-300))
    names = {scales.WORDS[name]: f for name, f in scales.READINGS.items()} | scales.MISTAKES
    fits = []
    for name, reading in names.items():
        with np.errstate(all="ignore"):
            gaps = logs - np.log(reading(s))
        if np.isfinite(gaps).all():
            a = float(np.average(gaps, weights=draws.freedom))
            if (np.abs(gaps - a) < noise).all():
                exact = abs(a) < Z * math.sqrt(0.5 / draws.freedom.sum()) + 2e-3
                fits.append((name != scales.WORDS[scale], not exact, name, a))
    slope = float(np.polyfit(LOGVARS, logs, 1)[0])
    fitted = f"log σ grows by {slope:.3g} per unit of log σ² (expected 0.5)"
    if not fits:
        text = f"σ is not {scales.WORDS[scale]}: {fitted}"
        return [error("sampler-std", text, slope, 0.5)], None
    other, inexact, name, a = min(fits)
    if not other:
        text = f"the noise has {math.exp(a):.4g} times the standard deviation that it should have"
        return [error("noise-scale", text, math.exp(a), 1.0)], None
    times = "" if abs(a) < 0.02 else f", times {math.exp(a):.3g}"
    text = f"σ is {name}{times}, not {scales.WORDS[scale]}: {fitted}"
    readings = {words: n for n, words in scales.WORDS.items()}
    matched = None if inexact else readings.get(name, "mistake")
    return [error("sampler-std", text, slope, 0.5)], matched


def _mean(draws: Draws, eps: np.ndarray) -> list[Finding]:
    """Compare the mean of z with mu, at each of the three mu."""
    n = np.bincount(draws.mean.ravel(), minlength=3)
    means = np.bincount(draws.mean.ravel(), eps.ravel(), minlength=3) / n
    if (np.abs(means) * np.sqrt(n) < Z).all():
        return []
    offsets = np.bincount(draws.mean.ravel(), draws.e.ravel(), minlength=3) / n
    slope = float(np.polyfit(MUS, offsets, 1)[0])
    if np.ptp(means) * math.sqrt(n.min() / 2) < Z:
        text = f"eps has the mean {means.mean():.3g}, not 0"
        return [error("noise-mean", text, float(means.mean()), 0.0)]
    text = f"the mean of z moves by {1 + slope:.3g} per unit of mu (expected 1)"
    return [error("sampler-mean", text, 1 + slope, 1.0)]
