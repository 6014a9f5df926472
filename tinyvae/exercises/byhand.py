"""A whole VAE in 80 lines of NumPy, as the capstone asks for it, and twelve ways to get it wrong.

`HandVAE` uses nothing of the package. `PATIENTS` are VAEs that differ from it in one place each,
for the lab. Every backward pass is the exact gradient of its own forward pass, but for the
patients whose error is in the backward pass itself.
"""

from typing import Any

import numpy as np


class HandVAE:
    """A VAE with one hidden layer of ReLU on each side, and black or white pixels."""

    def __init__(self, n_features: int, latent_dim: int, hidden: int, seed: int = 0) -> None:
        sizes = {"enc1": (n_features, hidden), "enc2": (hidden, 2 * latent_dim)}
        sizes |= {"dec1": (latent_dim, hidden), "dec2": (hidden, n_features)}
        rng = np.random.default_rng(seed)
        self.weights, self.slopes, self.seen = {}, {}, {}
        for name, (n_in, n_out) in sizes.items():
            self.weights[f"{name}.W"] = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
            self.weights[f"{name}.b"] = np.zeros(n_out)

    def dense(self, name: str, x: Any) -> Any:
        self.seen[name] = x
        return x @ self.weights[f"{name}.W"] + self.weights[f"{name}.b"]

    def dense_backward(self, name: str, dy: Any) -> Any:
        self.slopes[f"{name}.W"] = self.seen[name].T @ dy
        self.slopes[f"{name}.b"] = dy.sum(axis=0)
        return dy @ self.weights[f"{name}.W"].T

    def encode(self, x: Any) -> tuple[Any, Any]:  # mu, logvar (B, L)
        self.h = np.maximum(self.dense("enc1", x), 0)
        mu, logvar = np.split(self.dense("enc2", self.h), 2, axis=1)
        return mu, logvar

    def draw(self, mu: Any, logvar: Any, eps: Any) -> Any:  # z (B, L)
        return mu + np.exp(0.5 * logvar) * eps

    def decode(self, z: Any) -> Any:  # logits y (B, D)
        self.g = np.maximum(self.dense("dec1", z), 0)
        return self.dense("dec2", self.g)

    def nll(self, x: Any, y: Any) -> Any:  # −log p(x|z) (B,)
        return (np.logaddexp(0, y) - x * y).sum(axis=1)

    def kl(self, mu: Any, logvar: Any) -> Any:  # (B,)
        return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)

    def forward(self, x: Any, eps: Any) -> tuple[float, float, float]:
        self.x, self.eps = x, eps
        self.mu, self.logvar = self.encode(x)
        self.y = self.decode(self.draw(self.mu, self.logvar, eps))
        reconstruction = self.nll(x, self.y).mean()
        kl = self.kl(self.mu, self.logvar).mean()
        return reconstruction + kl, reconstruction, kl

    def backward(self) -> None:
        B = len(self.x)
        dy = (1 / (1 + np.exp(-self.y)) - self.x) / B
        dg = self.dense_backward("dec2", dy)
        dz = self.dense_backward("dec1", dg * (self.g > 0))
        dmu, dlogvar = self.through_draw(dz)
        kl_mu, kl_logvar = self.through_kl()
        both = np.concatenate([dmu + kl_mu / B, dlogvar + kl_logvar / B], axis=1)
        dh = self.dense_backward("enc2", both)
        self.dense_backward("enc1", dh * (self.h > 0))

    def through_draw(self, dz: Any) -> tuple[Any, Any]:
        return dz, dz * 0.5 * np.exp(0.5 * self.logvar) * self.eps

    def through_kl(self) -> tuple[Any, Any]:
        return self.mu, 0.5 * (np.exp(self.logvar) - 1)


def train(
    vae: Any, x: np.ndarray, epochs: int, lr: float = 0.005, seed: int = 0
) -> list[tuple[float, float]]:
    """Train with Adam on rows x (N, D) in batches of 100; return (reconstruction, KL) by epoch."""
    from tinyvae.exercises.autoencoder import adam

    rng, t, history = np.random.default_rng(seed), 0, []
    moments = {name: (np.zeros_like(w), np.zeros_like(w)) for name, w in vae.weights.items()}
    L = vae.weights["dec1.W"].shape[0]
    for _ in range(epochs):
        terms = []
        order = rng.permutation(len(x))
        for start in range(0, len(x), 100):
            batch = x[order[start : start + 100]]
            with np.errstate(over="ignore"):
                terms.append(vae.forward(batch, rng.standard_normal((len(batch), L)))[1:])
                vae.backward()
            t += 1
            for name, w in vae.weights.items():
                w[...], *moments[name] = adam(w, vae.slopes[name], *moments[name], t, lr)
        history.append(tuple(map(float, np.mean(terms, axis=0))))
    return history


def directional_slopes(
    vae: Any, x: np.ndarray, eps: np.ndarray, h: float = 1e-5
) -> dict[str, np.ndarray]:
    """Return for each array of weights the slopes of the loss in three random directions, by
    backward and by central differences, (3, 2)."""
    rng = np.random.default_rng(9)
    vae.forward(x, eps)
    vae.backward()
    slopes = {name: np.copy(vae.slopes[name]) for name in vae.weights}
    found = {}
    for name, w in vae.weights.items():
        kept, pairs = np.copy(w), []
        for _ in range(3):
            direction = rng.standard_normal(w.shape)
            losses = []
            for sign in (1, -1):
                w[...] = kept + sign * h * direction
                losses.append(float(vae.forward(x, eps)[0]))
            w[...] = kept
            numeric = (losses[0] - losses[1]) / (2 * h)
            pairs.append((float((slopes[name] * direction).sum()), numeric))
        found[name] = np.array(pairs)
    return found


def relative_errors(vae: Any, x: np.ndarray, eps: np.ndarray) -> dict[str, float]:
    """Return for each array how far its slopes are from central differences, relative to these."""
    return {
        name: float(np.abs(pairs[:, 0] / pairs[:, 1] - 1).max())
        for name, pairs in directional_slopes(vae, x, eps).items()
    }


# --- patients -------------------------------------------------------------------------------------


class SigmaIsExpLogvar(HandVAE):
    def draw(self, mu, logvar, eps):
        return mu + np.exp(logvar) * eps

    def through_draw(self, dz):
        return dz, dz * np.exp(self.logvar) * self.eps


class KLWithoutHalf(HandVAE):
    def kl(self, mu, logvar):
        return (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)

    def through_kl(self):
        return 2 * self.mu, np.exp(self.logvar) - 1


class KLSignFlipped(HandVAE):
    def kl(self, mu, logvar):
        return -0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)

    def through_kl(self):
        return -self.mu, -0.5 * (np.exp(self.logvar) - 1)


class KLOfLogSigma(HandVAE):
    def kl(self, mu, logvar):
        return 0.5 * (mu**2 + np.exp(2 * logvar) - 1 - 2 * logvar).sum(axis=1)

    def through_kl(self):
        return self.mu, np.exp(2 * self.logvar) - 1


class MeanOverPixels(HandVAE):
    def nll(self, x, y):
        return super().nll(x, y) / x.shape[1]

    def dense_backward(self, name, dy):
        return super().dense_backward(name, dy / self.x.shape[1] if name == "dec2" else dy)


class KLMeanOverBatchTwice(HandVAE):
    def kl(self, mu, logvar):
        return super().kl(mu, logvar) / len(mu)

    def through_kl(self):
        dmu, dlogvar = super().through_kl()
        return dmu / len(self.x), dlogvar / len(self.x)


class UniformNoise(HandVAE):
    def draw(self, mu, logvar, eps):
        return mu + np.exp(0.5 * logvar) * self.uniform(eps)

    def through_draw(self, dz):
        return dz, dz * 0.5 * np.exp(0.5 * self.logvar) * self.uniform(self.eps)

    @staticmethod
    def uniform(eps):  # from a normal draw to one that is uniform on 0 … 1
        return 1 / (1 + np.exp(-1.702 * eps))


class NoiseSharedByBatch(HandVAE):
    def draw(self, mu, logvar, eps):
        return mu + np.exp(0.5 * logvar) * eps[:1]

    def through_draw(self, dz):
        return dz, dz * 0.5 * np.exp(0.5 * self.logvar) * self.eps[:1]


class NoNoise(HandVAE):
    def draw(self, mu, logvar, eps):
        return mu

    def through_draw(self, dz):
        return dz, 0 * dz


class FreshNoise(HandVAE):
    def through_draw(self, dz):
        eps = np.random.default_rng(len(dz)).standard_normal(dz.shape)
        return dz, dz * 0.5 * np.exp(0.5 * self.logvar) * eps


class LogvarSlopeWithoutHalf(HandVAE):
    def through_draw(self, dz):
        return dz, dz * np.exp(0.5 * self.logvar) * self.eps


class KLNotInTheGradient(HandVAE):
    def through_kl(self):
        return 0 * self.mu, 0 * self.mu


# Name → class and what is wrong, in the words that the lab offers.
PATIENTS: dict[str, tuple[type[HandVAE], str]] = {
    "A": (MeanOverPixels, "mean over pixels"),
    "B": (FreshNoise, "other noise in backward"),
    "C": (SigmaIsExpLogvar, "sigma is exp(logvar)"),
    "D": (KLSignFlipped, "sign of the KL"),
    "E": (NoNoise, "no noise"),
    "F": (KLNotInTheGradient, "KL not in the gradient"),
    "G": (UniformNoise, "uniform noise"),
    "H": (KLWithoutHalf, "KL without its half"),
    "I": (LogvarSlopeWithoutHalf, "half missing in dlogvar"),
    "J": (KLMeanOverBatchTwice, "KL divided by the batch size twice"),
    "K": (NoiseSharedByBatch, "one noise for the whole batch"),
    "L": (KLOfLogSigma, "KL takes logvar for log sigma"),
}
