"""VAEs in NumPy, right ones in the forms that people write them and wrong ones with one planted
error each: for the tests of the audit and its benchmark."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STDS = {
    "exp(logvar)": np.exp,
    "exp(logvar / 4)": lambda s: np.exp(s / 4),
    "1": np.ones_like,
    "softplus": lambda s: np.logaddexp(0, s),
    "abs": np.abs,
    "double exp": lambda s: np.exp(np.exp(s / 2)),
}


def right_std(s):
    return np.exp(0.5 * s)


def normal(rng, shape):
    return rng.standard_normal(shape)


def sampler(rng, std: Callable = right_std, noise: Callable = normal, mean: float = 1.0):
    def sample(mu, s):
        return (mean * mu + std(s) * noise(rng, mu.shape)).astype(mu.dtype)

    return sample


def cycling(rng):
    """The same four noises in turn."""
    kept: list = []
    state = {"call": 0}

    def noise(_, shape):
        if len(kept) < 4:
            kept.append(rng.standard_normal(shape))
        state["call"] += 1
        return kept[state["call"] % len(kept)]

    return noise


def terms(mu, s):
    """mu², σ², −logvar, −1 (B, L)."""
    return mu**2, np.exp(s), -s, -np.ones_like(s)


def right_kl(mu, s):
    return 0.5 * sum(terms(mu, s))


def weighed(a, b, c, half=0.5):
    """A KL whose terms have other weights."""
    return lambda mu, s: half * (a * mu**2 + b * np.exp(s) - c * s - 1)


def cross_entropy(x, p):
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -x * np.log(p) - (1 - x) * np.log1p(-p)


def logits(x, y):
    return np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y))) - x * y


RECONSTRUCTIONS = {
    "half squared error": lambda x, y: 0.5 * (x - y) ** 2,
    "squared error": lambda x, y: (x - y) ** 2,
    "cross-entropy": cross_entropy,
    "logits": logits,
}


def objective(kl=right_kl, reconstruction=cross_entropy, batch="mean", latents="sum",
              pixels="sum", beta=1.0, kl_batch=None, sign=1.0):  # fmt: skip
    """A loss function (x, x_hat, mu, s); reductions are "sum" or "mean"."""

    def reduce(a, inner, outer):
        a = getattr(a.reshape(len(a), -1), inner)(axis=1)
        return getattr(a, outer)()

    def loss(x, x_hat, mu, logvar):
        nll = reduce(reconstruction(x, x_hat), pixels, batch)
        return sign * nll + beta * reduce(kl(mu, logvar), latents, kl_batch or batch)

    return loss


def scaled(factor):
    return lambda rng, shape: factor * rng.standard_normal(shape)


SAMPLERS = {
    "σ = exp(logvar)": ("sampler-std", lambda rng: sampler(rng, STDS["exp(logvar)"])),
    "σ = exp(logvar / 4)": ("sampler-std", lambda rng: sampler(rng, STDS["exp(logvar / 4)"])),
    "σ = 1": ("sampler-std", lambda rng: sampler(rng, STDS["1"])),
    "σ = softplus(logvar)": ("sampler-std", lambda rng: sampler(rng, STDS["softplus"])),
    "σ = |logvar|": ("sampler-std", lambda rng: sampler(rng, STDS["abs"])),
    "σ = exp(exp(logvar / 2))": ("sampler-std", lambda rng: sampler(rng, STDS["double exp"])),
    "noise × 0.1": ("noise-scale", lambda rng: sampler(rng, noise=scaled(0.1))),
    "noise × 1.03": ("noise-scale", lambda rng: sampler(rng, noise=scaled(1.03))),
    "noise × 0.97": ("noise-scale", lambda rng: sampler(rng, noise=scaled(0.97))),
    "uniform on [0, 1)": (
        "noise-uniform", lambda rng: sampler(rng, noise=lambda r, shape: r.random(shape))),
    "uniform, variance 1": (
        "noise-uniform",
        lambda rng: sampler(rng, noise=lambda r, shape: r.uniform(-(3**0.5), 3**0.5, shape))),
    "noise of mean 0.1": (
        "noise-mean", lambda rng: sampler(rng, noise=lambda r, shape: r.normal(0.1, 1, shape))),
    "Laplace noise": (
        "noise-not-normal",
        lambda rng: sampler(rng, noise=lambda r, shape: r.laplace(0, 0.5**0.5, shape))),
    "one noise for the batch": (
        "noise-shared-over-batch",
        lambda rng: sampler(rng, noise=lambda r, shape: r.standard_normal((1, shape[1])))),
    "one noise for the latents": (
        "noise-shared-over-latents",
        lambda rng: sampler(rng, noise=lambda r, shape: r.standard_normal((shape[0], 1)))),
    "four noises in turn": ("noise-repeats", lambda rng: sampler(rng, noise=cycling(rng))),
    "z = mu": ("sampler-no-noise", lambda rng: lambda mu, s: mu),
    "seed inside": (
        "sampler-frozen-noise",
        lambda rng: lambda mu, s: sampler(np.random.default_rng(0))(mu, s)),
    "mu left out": ("sampler-mean", lambda rng: sampler(rng, mean=0.0)),
}  # fmt: skip

LOSSES = {
    "KL without ½": ("kl-half", {"kl": weighed(1, 1, 1, 1.0)}),
    "KL negative": ("kl-sign", {"kl": weighed(1, 1, 1, -0.5)}),
    "sign of logvar": ("kl-sign", {"kl": weighed(1, 1, -1)}),
    "2 logvar": ("kl-log-sigma", {"kl": weighed(1, 1, 2)}),
    "KL of log σ": (
        "kl-log-sigma", {"kl": lambda mu, s: 0.5 * (mu**2 + np.exp(2 * s) - 2 * s - 1)}),
    "σ in the KL": (
        "kl-std-not-var", {"kl": lambda mu, s: 0.5 * (mu**2 + np.exp(s / 2) - s - 1)}),
    "mu in the KL": ("kl-mu-not-squared", {"kl": lambda mu, s: 0.5 * (mu + np.exp(s) - s - 1)}),
    "no mu²": ("kl-missing-mu", {"kl": weighed(0, 1, 1)}),
    "no σ²": ("kl-missing-variance", {"kl": weighed(1, 0, 1)}),
    "no logvar": ("kl-missing-log", {"kl": weighed(1, 1, 0)}),
    "KL mean over latents": ("kl-mean-over-latents", {"latents": "mean"}),
    "pixel mean": ("pixel-mean", {"pixels": "mean"}),
    "batch mean of the KL alone": (
        "batch-reduction-mismatch", {"batch": "sum", "kl_batch": "mean"}),
    "batch sum of the KL alone": (
        "batch-reduction-mismatch", {"batch": "mean", "kl_batch": "sum"}),
    "no KL": ("kl-missing", {"beta": 0.0}),
    "no reconstruction": ("reconstruction-missing", {"sign": 0.0}),
    "reconstruction negative": ("reconstruction-sign", {"sign": -1.0}),
    "swapped cross-entropy": (
        "bce-swapped", {"reconstruction": lambda x, p: cross_entropy(p, x)}),
    "clipped cross-entropy": (
        "bce-clipped",
        {"reconstruction": lambda x, p: cross_entropy(x, np.clip(p, 0.01, 0.99))}),
}  # fmt: skip

BETAS = {  # stated β = 3
    "β twice": ("beta-twice", {"beta": 9.0}),
    "β unused": ("beta-unused", {"beta": 1.0}),
    "β off by 2 %": ("beta-off", {"beta": 3.06}),
}


class HandWritten:
    """A VAE of one hidden layer with a hand-written gradient, and at will an error in it."""

    def __init__(self, error: str = "", heads: str = "apart", D=12, H=10, L=3, seed=0) -> None:
        rng = np.random.default_rng(seed)
        self.rng, self.error, self.L, self.heads = rng, error, L, heads
        shapes = {"W1": (D, H), "b1": (H,), "W4": (L, H), "b4": (H,), "W5": (H, D), "b5": (D,)}
        if heads == "apart":
            shapes |= {"W2": (H, L), "b2": (L,), "W3": (H, L), "b3": (L,)}
        else:
            shapes |= {"W2": (H, 2 * L), "b2": (2 * L,)}
        self.p = {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}
        self.last_eps = np.zeros((1, L))

    def seed(self, number: int) -> None:
        self.rng = np.random.default_rng(number)

    def forward(self, x):
        self.x, p = x, self.p
        self.h = np.maximum(x @ p["W1"] + p["b1"], 0)
        if self.heads == "apart":
            self.mu, self.s = self.h @ p["W2"] + p["b2"], self.h @ p["W3"] + p["b3"]
        else:
            both = self.h @ p["W2"] + p["b2"]
            self.mu, self.s = both[:, : self.L], both[:, self.L :]
        self.stale, self.eps = self.last_eps, self.rng.standard_normal(self.mu.shape)
        self.last_eps = self.eps
        self.z = self.mu + np.exp(self.s / 2) * self.eps
        self.g = np.tanh(self.z @ p["W4"] + p["b4"])
        self.y = self.g @ p["W5"] + p["b5"]
        return logits(x, self.y).sum() / len(x) + right_kl(self.mu, self.s).sum() / len(x)

    def backward(self, x):
        p, B, error = self.p, len(x), self.error
        dy = (1 / (1 + np.exp(-self.y)) - x) / B
        dg = dy @ p["W5"].T
        da = dg if error == "no tanh derivative" else dg * (1 - self.g**2)
        dz = da @ p["W4"].T
        eps = self.eps
        if error == "fresh noise":
            eps = self.rng.standard_normal(eps.shape)
        if error == "stale noise":
            eps = np.broadcast_to(self.stale[:1], eps.shape)
        half = 1.0 if error == "no ½ in dlogvar" else 0.5
        noise = 0.0 if error == "no noise" else eps
        k = {"no KL": 0.0, "KL without 1/B": 1.0, "KL's sign": -1 / B}.get(error, 1 / B)
        dmu = dz + k * self.mu
        ds = half * dz * noise * np.exp(self.s / 2) + k * 0.5 * (np.exp(self.s) - 1)
        grad = {"W5": self.g.T @ dy, "b5": dy.sum(0), "W4": self.z.T @ da, "b4": da.sum(0)}
        if self.heads == "apart":
            grad |= {"W2": self.h.T @ dmu, "b2": dmu.sum(0), "W3": self.h.T @ ds, "b3": ds.sum(0)}
            dh = dmu @ p["W2"].T + ds @ p["W3"].T
        else:
            d = np.concatenate([dmu, ds], axis=1)
            grad |= {"W2": self.h.T @ d, "b2": d.sum(0)}
            dh = d @ p["W2"].T
        dh = dh * (self.h > 0)
        grad |= {"W1": x.T @ dh, "b1": dh.mean(0) if error == "bias mean" else dh.sum(0)}
        factor = {"times B": B, "sign": -1.0}.get(error, 1.0)
        return {name: factor * array for name, array in grad.items()}

    def gradient(self, x):
        self.forward(x)
        return self.backward(x)

    def arguments(self) -> dict:
        """What `audit` takes."""
        return {
            "loss": self.forward, "gradient": self.gradient, "parameters": self.p,
            "seed": self.seed, "pixels": 12,
        }  # fmt: skip


GRADIENTS = {
    "fresh noise": "two-noises",
    "stale noise": "two-noises",
    "no noise": "two-noises",
    "times B": "gradient-scale",
    "sign": "gradient-scale",
    "no KL": "gradient-kl",
    "KL without 1/B": "gradient-kl",
    "KL's sign": "gradient-kl",
    "no ½ in dlogvar": "gradient-wrong",
    "no tanh derivative": "gradient-wrong",
    "bias mean": "gradient-wrong",
}
SIGMAS = {  # σ(s) of parametrisations that sampler and KL share
    "softplus": lambda s: np.logaddexp(0, s),
    "softplus + 0.1": lambda s: np.logaddexp(0, s) + 0.1,
    "0.1 + 0.9 sigmoid": lambda s: 0.1 + 0.9 / (1 + np.exp(-s)),
    "clamped": lambda s: np.exp(0.5 * np.clip(s, -2, 1)),
    "variance by softplus": lambda s: np.sqrt(np.logaddexp(0, s)),
    "5 tanh(s / 5)": lambda s: np.exp(5 * np.tanh(s / 5)),
    "log σ": np.exp,
}


def kl_of(sigma):
    """The KL of a parametrisation."""
    return lambda mu, s: 0.5 * (mu**2 + sigma(s) ** 2 - 1 - 2 * np.log(sigma(s)))


def _reduced(nll, kl):
    return lambda x, y, mu, s: nll(x, y).reshape(len(x), -1).sum(1).mean() + kl(mu, s)


def _mean_kl(mu, s):
    return right_kl(mu, s).sum(1).mean()


FAMILIES = {  # right: label → (sampler's σ, objective, the arguments that state it)
    **{
        label: (sigma, objective(kl=kl_of(sigma)), {}) for label, sigma in SIGMAS.items()
    },
    "capacity": (
        right_std, _reduced(cross_entropy, lambda mu, s: 10 * abs(_mean_kl(mu, s) - 20)), {}),
    "free bits of each latent": (
        right_std, objective(kl=lambda mu, s: np.maximum(right_kl(mu, s), 2.0)), {}),
    "free bits of each example": (right_std, _reduced(
        cross_entropy, lambda mu, s: np.maximum(right_kl(mu, s).sum(1), 16).mean()), {}),
    "weight of 1e-8": (right_std, objective(beta=1e-8), {"beta": 1e-8}),
    "prior N(½, 2²)": (
        right_std,
        objective(kl=lambda mu, s: 0.5 * (((mu - 0.5) ** 2 + np.exp(s)) / 4 - 1 - s + np.log(4))),
        {"prior": (0.5, 2.0)}),
    "data in [−1, 1]": (
        right_std,
        objective(reconstruction=lambda x, y: cross_entropy(0.5 * (x + 1), 0.5 * (y + 1))), {}),
    "binarised targets": (
        right_std, objective(reconstruction=lambda x, y: cross_entropy(1.0 * (x > 0.5), y)), {}),
    "squared error of a sigmoid": (
        right_std, objective(reconstruction=lambda x, y: (x - 1 / (1 + np.exp(-y))) ** 2), {}),
}  # fmt: skip


def right_family(number: int) -> dict:
    """The arguments of a right model of one of the families."""
    sigma, loss, stated = list(FAMILIES.values())[number % len(FAMILIES)]
    dtype = ["float32", "float64"][number // len(FAMILIES) % 2]
    rng = np.random.default_rng(number)
    return {"sample": sampler(rng, sigma), "objective": loss, "dtype": dtype, **stated}


def with_power(change):
    """A cross-entropy beside a KL that is multiplied by a size."""

    def loss(x, x_hat, mu, logvar):
        nll = cross_entropy(x, x_hat).reshape(len(x), -1).sum(1).mean()
        return nll + change(x, right_kl(mu, logvar).sum(1).mean())

    return loss


PLANTED = {  # wrong: label → (name, sampler's σ, objective)
    **{
        f"{label} in the sampler alone": ("sampler-std", sigma, objective())
        for label, sigma in SIGMAS.items()
    },
    "KL / D": ("kl-power", right_std, with_power(lambda x, kl: kl / x[0].size)),
    "KL × B": ("batch-reduction-mismatch", right_std, with_power(lambda x, kl: kl * len(x))),
    "500 × a mean": (
        "pixel-mean", right_std,
        lambda x, y, mu, s: 500 * cross_entropy(x, y).mean() + right_kl(mu, s).sum(1).mean()),
    "clip at 1e-8 in float32": (
        "edge-reconstruction", right_std,
        objective(reconstruction=lambda x, y: -x * np.log(y + np.float32(1e-8))
                  - (1 - x) * np.log(np.float32(1) + np.float32(1e-8) - y))),
}  # fmt: skip
