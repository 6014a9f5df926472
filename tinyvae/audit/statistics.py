"""Tail bounds that hold for every sample size, so that the audit's thresholds are derived.

One audit makes fewer than 60 random tests. Each gets the level α = 1e-11, so by the union bound a
correct model is accused in fewer than 60 × 1e-11 < 1e-9 of all audits.
"""

import math

import numpy as np

ALPHA = 1e-11
LOG_ALPHA = math.log(1 / ALPHA)  # 25.3
Z = 6.81  # P(|N(0, 1)| > 6.81) < 1e-11


def chi_square_bounds(n: float) -> tuple[float, float]:
    """Return bounds that a χ² variable with n degrees of freedom leaves with probability below 2 α.

    Laurent & Massart (2000), lemma 1: P(X − n ≥ 2√(n t) + 2 t) ≤ e^−t, P(n − X ≥ 2√(n t)) ≤ e^−t.
    """
    spread = 2 * math.sqrt(n * LOG_ALPHA)
    return n - spread, n + spread + 2 * LOG_ALPHA


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Return the distribution function of N(0, 1)."""
    return 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in np.ravel(x)])).reshape(x.shape)


EDGES = np.linspace(-5, 5, 251)
EXPECTED = normal_cdf(EDGES)


def distance_from_normal(sample: np.ndarray) -> tuple[float, float]:
    """Return the Kolmogorov–Smirnov distance from N(0, 1), taken at 251 points, and its threshold.

    Dvoretzky–Kiefer–Wolfowitz, with Massart's constant: P(D > d) ≤ 2 exp(−2 n d²); fewer points
    can only make D smaller.
    """
    counts, _ = np.histogram(sample, EDGES)
    below = np.count_nonzero(sample < EDGES[0])
    observed = (below + np.concatenate([[0], np.cumsum(counts)])) / sample.size
    threshold = math.sqrt((LOG_ALPHA + math.log(2)) / (2 * sample.size))
    return float(np.abs(observed - EXPECTED).max()), threshold
