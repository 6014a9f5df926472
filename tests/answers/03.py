"""Answers to the exercises of notebook 3, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: E402, F811, F821


# %% wrong 3.1: this is the density itself
def log_density(x, mu, sigma):
    return np.exp(-0.5 * (x - mu) ** 2 / sigma**2) / np.sqrt(2 * np.pi * sigma**2)


# %% wrong 3.1: ½ is missing before the square
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma**2) - (x - mu) ** 2 / sigma**2


# %% wrong 3.1: ½ is missing before log 2πσ²
def log_density(x, mu, sigma):
    return -np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: the term −½ log 2πσ² is missing
def log_density(x, mu, sigma):
    return -0.5 * ((x - mu) / sigma) ** 2


# %% wrong 3.1: log 2πσ stands where log 2πσ² belongs
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: divided by σ, not by σ²
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma


# %% wrong 3.1: the sign is flipped
def log_density(x, mu, sigma):
    return 0.5 * np.log(2 * np.pi * sigma**2) + 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: one number for each x
def log_density(x, mu, sigma):
    return np.sum(-0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2)


# %% wrong 3.1: σ stands where σ² belongs, in both terms
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma) - 0.5 * (x - mu) ** 2 / sigma


# %% wrong 3.1: the sign before ½ log 2πσ² is wrong
def log_density(x, mu, sigma):
    return 0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: np.log10 stands where np.log
def log_density(x, mu, sigma):
    return -0.5 * np.log10(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: sigma is σ itself, not log σ²
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi) - 0.5 * sigma - 0.5 * (x - mu) ** 2 / np.exp(sigma)


# %% right 3.1
def log_density(x, mu, sigma):
    return np.log(np.exp(-0.5 * ((x - mu) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma))


# %% wrong 3.2: where 0, 1050 is right, at y = −1000
def bernoulli_nll(y, x):
    p = np.clip(1 / (1 + np.exp(-y)), 1e-7, 1 - 1e-7)
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


# %% wrong 3.2: right for small y, but nan
def bernoulli_nll(y, x):
    p = 1 / (1 + np.exp(-y))
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


# %% wrong 3.2: right for small y, but inf at y = 1000 (e^1000 is too large for a float)
def bernoulli_nll(y, x):
    return (np.log(1 + np.exp(y)) - x * y).sum(axis=1)


# %% wrong 3.2: at y = −1000
def bernoulli_nll(y, x):
    return (y + np.log(1 + np.exp(-y)) - x * y).sum(axis=1)


# %% wrong 3.2: the logarithms add up: sum
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - x * y).mean(axis=1)


# %% wrong 3.2: this is log p
def bernoulli_nll(y, x):
    return (x * y - np.logaddexp(0, y)).sum(axis=1)


# %% wrong 3.2: x and 1 − x are swapped
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - (1 - x) * y).sum(axis=1)


# %% wrong 3.2: nll has the shape (), and should have (5,)
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - x * y).sum(axis=1).mean()


# %% wrong 3.2: x y is added; it must be subtracted
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) + x * y).sum(1)


# %% wrong 3.2: max(y, 0) is missing in softplus(y)
def bernoulli_nll(y, x):
    return (np.log(1 + np.exp(-np.abs(y))) - x * y).sum(1)


# %% wrong 3.2: log(1 + e^(−|y|)) is missing
def bernoulli_nll(y, x):
    return (np.maximum(y, 0) - x * y).sum(1)


# %% wrong 3.2: 1/B with B = 5: divided by B once too often
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - x * y).sum(1) / len(y)


# %% wrong 3.2: nan at y = −1000 (e^1000 overflows
def bernoulli_nll(y, x):
    p = 1 / (1 + np.exp(-y))
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1)


# %% right 3.2
def bernoulli_nll(y, x):
    return np.sum(np.logaddexp(0, (1 - 2 * x) * y), axis=1)


# %% right 3.2
def bernoulli_nll(y, x):
    return (np.maximum(y, 0) - x * y + np.log1p(np.exp(-np.abs(y)))).sum(axis=1)


# %% wrong 3.4: log q(z) is added
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_joint(x, z) + log_density(z, mu, sigma)).mean()


# %% wrong 3.4: log q(z) is missing
def elbo(x, mu, sigma, eps):
    return log_joint(x, mu + sigma * eps).mean()


# %% wrong 3.4: take their mean
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return log_joint(x, z) - log_density(z, mu, sigma)


# %% wrong 3.4: z is sigma · eps, without mu
def elbo(x, mu, sigma, eps):
    z = sigma * eps
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% wrong 3.4: this is −ELBO
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_density(z, mu, sigma) - log_joint(x, z)).mean()


# %% wrong 3.4: log p(z) is missing
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_density(x, 2 * z, 1) - log_density(z, mu, sigma)).mean()


# %% wrong 3.4: the ELBO has the shape (2,), and should have ()
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return [log_joint(x, z).mean(), log_density(z, mu, sigma).mean()]


# %% right 3.4
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    log_q = -0.5 * eps**2 - np.log(sigma)
    log_p = -0.5 * (x - 2 * z) ** 2 - 0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    return np.average(log_p - log_q)


# %% wrong 3.1: needs brackets
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma**2) - (x - mu) ** 2 / 2 * sigma**2


# %% wrong 3.1: the square is divided by σ⁴
def log_density(x, mu, sigma):
    variance = sigma**2
    return -0.5 * np.log(2 * np.pi * variance) - 0.5 * (x - mu) ** 2 / variance**2


# %% wrong 3.4: z is stretched by sigma²
def elbo(x, mu, sigma, eps):
    z = mu + sigma**2 * eps
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% wrong 3.4: not the logarithm of the mean
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return np.log(np.exp(log_joint(x, z) - log_density(z, mu, sigma)).mean())


# %% wrong 3.4: not from the draws eps
def elbo(x, mu, sigma, eps):
    z = np.random.default_rng(0).normal(mu, sigma, 100_000)
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% right 3.4
def elbo(x, mu, sigma, eps):
    kl = 0.5 * (mu**2 + sigma**2 - 1) - np.log(sigma)
    return log_density(x, 2 * (mu + sigma * eps), 1.0).mean() - kl


# %% wrong 3.3: without it a wide density costs nothing
def laplace_nll(x, x_hat, scale):
    return (np.abs(x - x_hat) / scale).sum(axis=1)


# %% wrong 3.3: the constant is log b; a Laplace density has 1/(2b) before it
def laplace_nll(x, x_hat, scale):
    return (np.abs(x - x_hat) / scale + np.log(scale)).sum(axis=1)


# %% wrong 3.3: the difference is squared
def laplace_nll(x, x_hat, scale):
    return ((x - x_hat) ** 2 / scale + np.log(2 * scale)).sum(axis=1)


# %% wrong 3.3: counts once for each pixel
def laplace_nll(x, x_hat, scale):
    return np.abs(x - x_hat).sum(axis=1) / scale + np.log(2 * scale)


# %% right 3.3
def laplace_nll(x, x_hat, scale):
    return -np.log(np.exp(-np.abs(x - x_hat) / scale) / (2 * scale)).sum(axis=1)


# %% right 3.4
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return log_joint(x, z).mean() + 0.5 * np.log(2 * np.pi * np.e * sigma**2)


# %% wrong 3.4: z is sigma + mu · eps
def elbo(x, mu, sigma, eps):
    z = sigma + mu * eps
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% wrong 3.4: log q is taken at x
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_joint(x, z) - log_density(x, mu, sigma)).mean()


# %% wrong 3.4: this is one draw, the first
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_joint(x, z) - log_density(z, mu, sigma))[0]


# %% wrong 3.1: write **
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ^ 2 / sigma**2


# %% wrong 3.1: those of np, such as np.exp and np.log, take an array
def log_density(x, mu, sigma):
    import math

    return -0.5 * math.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.2: np.where(condition, this, that)
def bernoulli_nll(y, x):
    if y > 0:
        softplus = y + np.log(1 + np.exp(-y))
    else:
        softplus = np.log(1 + np.exp(y))
    return (softplus - x * y).sum(axis=1)


# %% wrong 3.1: log 2πσ stands where log 2πσ² belongs
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi) - 0.5 * np.log(sigma) - 0.5 * ((x - mu) / sigma) ** 2


# %% wrong 3.1: The functions of math take one number; those of np, such as np.exp and np.log,
import math


def log_density(x, mu, sigma):
    return -0.5 * math.log(2 * math.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: log_density stops with TypeError: ufunc 'bitwise_xor' not supported for the input t
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma ^ 2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: ½ is missing before log 2πσ², and σ stands where σ² belongs
def log_density(x, mu, sigma):
    return -np.log(2 * np.pi * sigma) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: 2π is missing: −½ log 2πσ², not −½ log σ²
def log_density(x, mu, sigma):
    return -np.log(sigma) - 0.5 * (x - mu) ** 2 / sigma**2


# %% wrong 3.1: ½ is missing before log 2πσ²
def log_density(x, mu, sigma):
    return np.log(1 / (2 * np.pi * sigma**2) * np.exp(-0.5 * (x - mu) ** 2 / sigma**2))


# %% right 3.1
from statistics import NormalDist


def log_density(x, mu, sigma):
    return np.vectorize(lambda a, m, s: np.log(NormalDist(m, s).pdf(a)))(x, mu, sigma)


# %% wrong 3.3: the constant is log(b/2)
def laplace_nll(x, x_hat, scale):
    return (np.abs(x - x_hat) / scale + np.log(scale / 2)).sum(axis=1)


# %% wrong 3.3: √2 belongs to a density with the standard deviation b
def laplace_nll(x, x_hat, scale):
    return (np.sqrt(2) * np.abs(x - x_hat) / scale + np.log(2 * scale)).sum(axis=1)


# %% wrong 3.3: the absolute value comes too late: take it of each pixel's difference
def laplace_nll(x, x_hat, scale):
    return np.abs((x - x_hat).sum(axis=1)) / scale + x.shape[1] * np.log(2 * scale)


# %% wrong 3.3: log 2b has the wrong sign: −log of 1/(2b) is + log 2b
def laplace_nll(x, x_hat, scale):
    return (np.abs(x - x_hat) / scale - np.log(2 * scale)).sum(axis=1)


# %% right 3.3
def laplace_nll(x, x_hat, scale):
    return -np.log(np.exp(-np.abs(x - x_hat) / scale) / (2 * scale)).sum(-1)


# %% wrong 3.4: rng in elbo: this is the notebook's own, no argument, not made in the function and
def elbo(x, mu, sigma, eps):
    z = mu + sigma * rng.standard_normal(len(eps))
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% wrong 3.4: the KL is added
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    kl = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))
    return log_density(x, 2 * z, 1.0).mean() + kl


# %% wrong 3.4: this is the median
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return np.median(log_joint(x, z) - log_density(z, mu, sigma))


# %% right 3.4
def elbo(x, mu, sigma, eps):
    total = 0
    for e in eps:
        z = mu + sigma * e
        total += log_joint(x, z) - log_density(z, mu, sigma)
    return total / len(eps)


# %% right 3.4
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return np.mean(log_joint(x, z)) + 0.5 * np.log(2 * np.pi * sigma**2) + 0.5 * (eps**2).mean()
