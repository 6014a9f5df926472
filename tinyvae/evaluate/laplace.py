"""Laplace's method: for each row a Gaussian close to the true posterior p(z|x), and log p(x) by it.

Let f(z) = −log p(x|z) + ½ ‖z‖², so that p(z|x) ∝ e^(−f(z)). Around its lowest place z*,

    f(z) ≈ f(z*) + ½ (z − z*)ᵀ H (z − z*)
    p(z|x) ≈ N(z*, H⁻¹),       log p(x) ≈ −f(z*) − ½ log det H

as ∫ e^(−½ zᵀHz) dz = (2π)^(L/2) / √det H, and N(0, I) holds the same (2π)^(L/2). z* is looked for
from the encoder's mu by the method of Gauss and Newton. With y the decoder's output, s = ∂nll/∂y
and J = ∂y/∂z,

    ∇f = z + Jᵀ s,       H = I + Jᵀ ∂s/∂z

where H leaves out how J changes with z, and has no eigenvalue below 1, as the nll is convex in y.
A linear decoder with a Gaussian likelihood is factor analysis, and all of this is exact. Unlike
q(z|x), whose encoder learns for all rows at once, N(z*, H⁻¹) fits each row by itself: a row that
was not trained on, or lacks cells as no other did, as well as any.
"""

import copy
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyvae.core.arrays import Array
from tinyvae.data.blocks import blocks
from tinyvae.evaluate.passes import BLOCK, Weights, keys_of, noise, width
from tinyvae.models import VAE

STEPS = 20  # at most, to z*
SHIFT = 0.01  # of z, for the differences that J and ∂s/∂z are taken from
LENGTHS = np.array([1.0, 0.3, 0.1])  # parts of a step that are tried: f is not a parabola
CLOSE = 1e-3  # nats: the last step to z* gains less


class Laplace(NamedTuple):
    """N(z*, H⁻¹) of each row: z*, the eigenvalues and eigenvectors of H, and log p(x) by it."""

    mode: np.ndarray  # (R, L)
    eigenvalues: np.ndarray  # (R, L)
    eigenvectors: np.ndarray  # (R, L, L), in columns
    log_p: np.ndarray  # (R,)

    def draw(self, eps: np.ndarray) -> np.ndarray:
        """Return z* + H^(−½) eps (R, s, L), draws if eps (R, s, L) are draws from N(0, I)."""
        scaled = eps / np.sqrt(self.eigenvalues)[:, None]
        return self.mode[:, None] + scaled @ self.eigenvectors.swapaxes(1, 2)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Return log N(z; z*, H⁻¹) of z (R, s, L), without −½ L log 2π."""
        turned = (z - self.mode[:, None]) @ self.eigenvectors
        squares = (self.eigenvalues[:, None] * turned**2).sum(axis=2)  # (R, s)
        return 0.5 * (np.log(self.eigenvalues).sum(axis=1)[:, None] - squares)


def laplace(model: VAE, x: Array, labels: Any = None, steps: int = STEPS) -> Laplace:
    """Return N(z*, H⁻¹) of the rows of a batch x (R, D), looked for in so many steps."""
    L, host = model.latent_dim, model.backend.to_numpy
    likelihood = copy.copy(model.likelihood)  # what it remembers is its own

    def at(rows: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return y, s (R, K, D) and f (R, K) at K places z (R, K, L) of each of some rows."""
        K, target = z.shape[1], x[model.backend.asarray(np.repeat(rows, z.shape[1]))]
        of_rows = None if labels is None else np.repeat(labels[rows], K)
        codes = model.backend.asarray(z.reshape(-1, L), model.dtype)
        y = model.decoder_output(codes, labels=of_rows)
        nll = likelihood.forward(y, target)
        y, s, nll = (host(part).astype(float) for part in (y, likelihood.backward(1.0), nll))
        shape = (*z.shape[:2], -1)
        return y.reshape(shape), s.reshape(shape), nll.reshape(-1, K) + 0.5 * (z * z).sum(axis=2)

    def around(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ∇f (R, L), H (R, L, L) and f (R,) at the z of some rows."""
        beside = np.concatenate([np.zeros((1, L)), SHIFT * np.eye(L)])
        y, s, f = at(rows, z[rows, None] + beside)
        J, ds = ((part[:, 1:] - part[:, :1]) / SHIFT for part in (y, s))  # (R, L, D)
        H = np.eye(L) + J @ ds.swapaxes(1, 2)
        return z[rows] + (J @ s[:, 0, :, None])[..., 0], 0.5 * (H + H.swapaxes(1, 2)), f[:, 0]

    z = host(model.codes(x, labels)[0]).astype(float)
    moving = np.arange(len(x))
    for _ in range(steps):
        gradient, H, f = around(moving)
        step = -np.linalg.solve(H, gradient[..., None])  # (R, L, 1)
        tried = z[moving, None] + (step * LENGTHS).swapaxes(1, 2)  # (R, 3, L)
        reached = at(moving, tried)[2]
        best, gain = reached.argmin(axis=1), f - reached.min(axis=1)
        z[moving[gain > 0]] = tried[gain > 0, best[gain > 0]]
        moving = moving[gain > CLOSE]
        if not len(moving):
            break
    _, H, f = around(np.arange(len(x)))
    eigenvalues, eigenvectors = np.linalg.eigh(H)
    eigenvalues = np.maximum(eigenvalues, 1.0)  # but for rounding they are
    log_p = -f - 0.5 * np.log(eigenvalues).sum(axis=1)
    return Laplace(z, eigenvalues, eigenvectors, log_p)


def log_evidence(model: VAE, x: Array, labels: Any = None, steps: int = STEPS) -> np.ndarray:
    """Return log p(x) of each row (N,) by Laplace's method, in nats."""
    size = BLOCK // (width(model) * (model.latent_dim + 1))
    found = []
    with model.backend.session():
        for rows in blocks(len(x), size):
            some = None if labels is None else labels[rows]
            found.append(laplace(model, model.as_batch(x[rows]), some, steps).log_p)
    return np.concatenate(found)


def near_posterior(
    model: VAE, x: np.ndarray, labels: Array | None, S: int, seed: int, weights: Weights
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, Array, Array]]:
    """Yield (rows, w, rescale, y, target): the weights w (R, s) of draws, added to `weights`, the
    factor (R,) of sums over earlier draws, the decoder's answers y (R s, D) and the rows of x.

    Every second draw is from the prior p(z), the others from N(z*, H⁻¹), here r(z): together from
    ½ r(z) + ½ p(z).
    """
    L, backend = model.latent_dim, model.backend
    size = max(1, BLOCK // width(model))
    with backend.session():
        for rows in blocks(len(x), size // max(S, L + 1)):
            batch, label = model.as_batch(x[rows]), None if labels is None else labels[rows]
            r, keys = laplace(model, batch, label), keys_of(x[rows], seed)
            for draws in blocks(S, size):
                z = noise(keys, draws, L).astype(float)  # (R, s, L)
                near = slice(draws.start % 2, None, 2)
                z[:, near] = r.draw(z[:, near])
                places = np.repeat(np.arange(len(batch)), z.shape[1])
                repeated = None if label is None else label[places]
                codes = backend.asarray(z.reshape(-1, L), model.dtype)
                y = model.decoder_output(codes, labels=repeated)  # (R s, D)
                target = batch[backend.asarray(places)]
                nll = backend.to_numpy(model.likelihood.nll(y, target)).astype(float)
                log_prior = -0.5 * (z * z).sum(axis=2)  # (R, s), without −½ L log 2π, as r
                proposal = np.logaddexp(r.log_density(z), log_prior) - math.log(2)
                log_w = log_prior - nll.reshape(z.shape[:2]) - proposal
                yield rows, *weights.add(rows, log_w), y, target
