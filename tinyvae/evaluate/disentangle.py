"""Measure which latent dimension follows which factor, where the factors of the data are known: the
mutual information gap (Chen et al. 2018, "Isolating sources of disentanglement in VAEs").
"""

from typing import Any, NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.data import Dataset
from tinyvae.device import on_host
from tinyvae.evaluate.passes import posterior
from tinyvae.models import Autoencoder


class Gap(NamedTuple):
    """The score in [0, 1], and the information (L, F) of each latent dimension on each factor."""

    score: float
    matrix: np.ndarray


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> Gap:
    """Return how far one latent dimension alone tells each factor.

        gap_k = [ max_j I(z_j; v_k) − second largest I(z_j; v_k) ] / H(v_k),    score = mean gap

    1: every factor can be read off one dimension, and off no other. 0: no dimension stands out.

    Parameters
    ----------
    codes : array (N, L)
        Posterior means.
    factors : array (N, F)
        Each with few distinct values; a factor that never varies is an error.
    bins : int
        As in Locatello et al. (2019), each dimension is cut into so many intervals of equal width,
        at the edges of `np.histogram`, and the information is that of the table of counts. (Chen
        et al. draw from q(z|x) instead, so the numbers differ a little.)

    Returns
    -------
    Gap
        `matrix` (L, F) is I(z_j; v_k) / H(v_k), the part of a factor's entropy that a dimension
        tells. It is too high by about (bins − 1) (values − 1) / 2 N nats: have N in the thousands.

    Raises
    ------
    ValueError
        Where the arrays do not fit, hold NaN, or a factor is constant or different in every row.
    """
    codes, factors = (np.asarray(on_host(a), dtype=float) for a in (codes, factors))
    bins = checks.integer("bins", bins, 2)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not codes.size:
        shapes = f"{codes.shape} and {factors.shape}"
        raise ValueError(f"codes and factors must be (N, L) and (N, F), not {shapes}")
    checks.batch("codes", codes, codes.shape[1])
    checks.batch("factors", factors, factors.shape[1])
    levels = [
        np.digitize(column, np.histogram_bin_edges(column, bins)[:-1]) - 1 for column in codes.T
    ]
    matrix = np.empty((codes.shape[1], factors.shape[1]))
    for k, factor in enumerate(factors.T):
        values, v = np.unique(factor, return_inverse=True)
        if len(values) == 1 or len(values) == len(factor):
            found = "is constant" if len(values) == 1 else "differs in every row: bin it first"
            raise ValueError(f"factor {k} {found}")
        entropy = _entropy(np.bincount(v))
        for j, z in enumerate(levels):
            joint = _entropy(np.bincount(z * len(values) + v))
            matrix[j, k] = (_entropy(np.bincount(z)) + entropy - joint) / entropy
    ranked = np.sort(np.vstack([np.zeros(matrix.shape[1]), matrix]), axis=0)  # a 0 for where L = 1
    return Gap(float((ranked[-1] - ranked[-2]).mean()), matrix)


def _entropy(counts: np.ndarray) -> float:
    """Return the entropy, in nats, of a table of counts."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def gap_of_dataset(model: Autoencoder, dataset: Dataset) -> Gap:
    """Return the gap of a model on all rows, trained on and tested on, of a data set with factors.

    Raises ValueError where the data set knows no factors.
    """
    if dataset.factors_train is None:
        raise ValueError(f"{dataset.name} has no known factors: the data set shapes has them")
    parts = (dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)
    codes = [posterior(model, x, y if model.n_classes else None)[0] for x, y in parts]
    factors: list[Any] = [dataset.factors_train, dataset.factors_test]
    return mutual_information_gap(np.concatenate(codes), np.concatenate(factors))
