"""The textbook's training step in plain NumPy: each formula an expression, a new array for each
result, Adam with all of its passes. It is what tinyvae's own step is set against, to see what its
recipe buys; the mathematics is the same.
"""

from collections.abc import Callable

import numpy as np
from peers import data, rows_of_batches
from trainers import RATE, Model


def steps(D: int, H: int, L: int, B: int, threads: int) -> Callable[[int], float]:
    """Return the function that runs n steps and gives the mean loss."""
    encoder, decoder = Model(D, (H,), L).first_weights()
    theta = [array for layer in (*encoder, *decoder) for array in layer]
    m, v = ([np.zeros_like(p) for p in theta] for _ in range(2))
    rng, x_train, next_rows, t = np.random.default_rng(2), data(D), rows_of_batches(B), 0

    def step(x: np.ndarray) -> float:  # x (B, D)
        nonlocal t
        W1, b1, W2, b2, W3, b3, W4, b4 = theta
        h1 = np.maximum(x @ W1 + b1, 0)  # (B, H)
        mu, logvar = np.split(h1 @ W2 + b2, 2, axis=1)  # (B, L)
        eps = rng.standard_normal(mu.shape, dtype=np.float32)
        z = mu + np.exp(0.5 * logvar) * eps
        h2 = np.maximum(z @ W3 + b3, 0)  # (B, H)
        y = h2 @ W4 + b4  # (B, D)
        nll = np.sum(np.maximum(y, 0) - x * y + np.log1p(np.exp(-np.abs(y))))
        kl = 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar)

        dy = (1 / (1 + np.exp(-y)) - x) / B
        dh2 = (dy @ W4.T) * (h2 > 0)
        dz = dh2 @ W3.T
        dmu = dz + mu / B
        dlogvar = 0.5 * dz * eps * np.exp(0.5 * logvar) + 0.5 * (np.exp(logvar) - 1) / B
        dcode = np.concatenate([dmu, dlogvar], axis=1)
        dh1 = (dcode @ W2.T) * (h1 > 0)
        g = [x.T @ dh1, dh1.sum(axis=0), h1.T @ dcode, dcode.sum(axis=0)]
        g += [z.T @ dh2, dh2.sum(axis=0), h2.T @ dy, dy.sum(axis=0)]

        t += 1
        for i in range(len(theta)):
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
            m_hat, v_hat = m[i] / (1 - 0.9**t), v[i] / (1 - 0.999**t)
            theta[i] = theta[i] - RATE * m_hat / (np.sqrt(v_hat) + 1e-8)
        return float(nll + kl) / B

    return lambda n: sum(step(x_train[next_rows()]) for _ in range(n)) / n
