"""Answers to the exercises of notebook 4, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 4.1: σ = √(exp(logvar)) = exp(½ logvar)
def reparameterize(mu, logvar, eps):
    return mu + np.exp(logvar) * eps


# %% wrong 4.1: logvar itself stands where σ belongs
def reparameterize(mu, logvar, eps):
    return mu + logvar * eps


# %% wrong 4.1: mu is missing
def reparameterize(mu, logvar, eps):
    return np.exp(0.5 * logvar) * eps


# %% wrong 4.1: eps is missing
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar)


# %% wrong 4.1: the exponent's sign is wrong
def reparameterize(mu, logvar, eps):
    return mu + np.exp(-0.5 * logvar) * eps


# %% wrong 4.1: z
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * np.random.default_rng(0).standard_normal(mu.shape)


# %% wrong 4.1: σ eps is subtracted
def reparameterize(mu, logvar, eps):
    return mu - np.exp(0.5 * logvar) * eps


# %% wrong 4.1: σ and eps are added; multiply them
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) + eps


# %% wrong 4.1: the noise is not that of eps
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * np.random.default_rng(0).standard_normal(mu.shape)


# %% wrong 4.1: the noise is not that of eps
def reparameterize(mu, logvar, eps):
    return rng.normal(mu, np.exp(0.5 * logvar))


# %% right 4.1
def reparameterize(mu, logvar, eps):
    return np.sqrt(np.exp(logvar)) * eps + mu


# %% right 4.1
def reparameterize(mu, logvar, eps):
    return (mu + np.exp(logvar) ** 0.5 * eps).astype(np.float32)


# %% wrong 4.2: the ½ that comes out of the exponent is missing
def reparameterize_backward(dz, logvar, eps):
    return dz, dz * eps * np.exp(0.5 * logvar)


# %% wrong 4.2: σ is exp(logvar) here
def reparameterize_backward(dz, logvar, eps):
    return dz, dz * eps * np.exp(logvar)


# %% wrong 4.2: the factor σ = exp(½ logvar) is missing
def reparameterize_backward(dz, logvar, eps):
    return dz, 0.5 * dz * eps


# %% wrong 4.2: the factor eps is missing
def reparameterize_backward(dz, logvar, eps):
    return dz, 0.5 * dz * np.exp(0.5 * logvar)


# %% wrong 4.2: dmu and dlogvar are swapped
def reparameterize_backward(dz, logvar, eps):
    return 0.5 * dz * eps * np.exp(0.5 * logvar), dz


# %% wrong 4.2: dmu: the factor dz is missing
def reparameterize_backward(dz, logvar, eps):
    return np.ones_like(dz), 0.5 * dz * eps * np.exp(0.5 * logvar)


# %% wrong 4.2: the sign is flipped
def reparameterize_backward(dz, logvar, eps):
    return dz, -0.5 * dz * eps * np.exp(0.5 * logvar)


# %% wrong 4.2: dmu has the shape (3,), and should have (5, 3)
def reparameterize_backward(dz, logvar, eps):
    return dz.sum(axis=0), 0.5 * dz * eps * np.exp(0.5 * logvar)


# %% wrong 4.2: when it is called again
def reparameterize_backward(dz, logvar, eps):
    fresh = np.random.default_rng().standard_normal(eps.shape)
    return dz, 0.5 * dz * fresh * np.exp(0.5 * logvar)


# %% wrong 4.2: -1 · dz has to be added
def reparameterize_backward(dz, logvar, eps):
    s = np.exp(0.5 * logvar)
    return dz, dz * (1 + 0.5 * s * eps)


# %% wrong 4.2: the exponent's sign is wrong
def reparameterize_backward(dz, logvar, eps):
    return dz, dz * 0.5 * np.exp(-0.5 * logvar) * eps


# %% right 4.2
def reparameterize_backward(dz, logvar, eps):
    z_minus_mu = np.exp(logvar / 2) * eps
    return [dz.copy(), dz * z_minus_mu / 2]


# %% right 4.2
def reparameterize_backward(dz, logvar, eps):
    return np.stack([dz, dz * 0.5 * np.exp(0.5 * logvar) * eps])


# %% wrong 4.4: this is the variance
def spread(sample, logvar, n):
    return sample(np.zeros(n), np.full(n, logvar)).var()


# %% wrong 4.4: measure z
def spread(sample, logvar, n):
    return np.exp(0.5 * logvar)


# %% wrong 4.4: all draws are equal
def spread(sample, logvar, n):
    return np.std([sample(np.zeros(1), np.full(1, logvar))] * 1)


# %% wrong 4.4: it says
def spread(sample, logvar, n):
    return np.abs(sample(np.zeros(n), np.full(n, logvar))).mean()


# %% wrong 4.4: the result has the shape (50000,)
def spread(sample, logvar, n):
    return sample(np.zeros(n), np.full(n, logvar))


# %% right 4.4
def spread(sample, logvar, n):
    z = sample(np.full((n, 1), 7.0), np.full((n, 1), logvar))
    return np.sqrt(((z - 7.0) ** 2).mean())


# %% wrong 4.5: as right
guilty = "A"

# %% wrong 4.5: answer with one of
guilty = "all"

# %% wrong 4.5: answer with one of "a", "b", "c", not 'A, B'
guilty = "A, B"


# %% right 4.5
guilty = "b"


# %% right 4.5
guilty = "b: its draws are too wide"


# %% wrong 4.3: a ½ too many: it belonged to logvar = 2 logsigma
def log_sigma_backward(dz, logsigma, eps):
    return dz, 0.5 * dz * np.exp(logsigma) * eps


# %% wrong 4.3: σ is exp(logsigma), not exp(½ logsigma)
def log_sigma_backward(dz, logsigma, eps):
    return dz, dz * np.exp(0.5 * logsigma) * eps


# %% wrong 4.3: the factor σ is missing
def log_sigma_backward(dz, logsigma, eps):
    return dz, dz * eps


# %% right 4.3
def log_sigma_backward(dz, logsigma, eps):
    z = np.exp(logsigma) * eps
    return 1 * dz, z * dz


# %% wrong 4.1: σ is the root of logvar
def reparameterize(mu, logvar, eps):
    return mu + np.sqrt(logvar) * eps


# %% wrong 4.1: eps stands in the exponent
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar * eps)


# %% wrong 4.1: σ is averaged
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar).mean() * eps


# %% right 4.5
guilty = "sampler B"


# %% wrong 4.1: σ is exp(¼ logvar): either the root or the ½ undoes the square, not both
def reparameterize(mu, logvar, eps):
    return mu + np.sqrt(np.exp(0.5 * logvar)) * eps


# %% wrong 4.1: σ eps is subtracted: z = mu + σ eps
def reparameterize(mu, logvar, eps):
    return mu - np.exp(0.5 * logvar) * eps


# %% wrong 4.1: σ is the root of logvar
def reparameterize(mu, logvar, eps):
    return mu + np.sqrt(logvar) * eps


# %% wrong 4.1: σ is ½ exp(logvar)
def reparameterize(mu, logvar, eps):
    return mu + 0.5 * np.exp(logvar) * eps


# %% wrong 4.1: eps stands in the exponent
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar * eps)


# %% wrong 4.1: reparameterize stops with ValueError: operands could not be broadcast together with
def reparameterize(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) @ eps.T


# %% right 4.1
def reparameterize(mu, logvar, eps):
    return mu + np.sqrt(np.e**logvar) * eps


# %% wrong 4.3: dlogsigma: divided by σ
def log_sigma_backward(dz, logsigma, eps):
    return dz, dz * eps / np.exp(logsigma)


# %% wrong 4.3: dlogsigma: a ½ too many: it belonged to logvar = 2 logsigma
def log_sigma_backward(dz, logsigma, eps):
    return dz, 0.5 * dz * eps * np.exp(logsigma)


# %% wrong 4.3: dlogsigma: logsigma itself stands where σ belongs
def log_sigma_backward(dz, logsigma, eps):
    return dz, dz * eps * logsigma


# %% wrong 4.4: all draws are equal: let mu have n entries, so that n draws are made
def spread(sample, logvar, n):
    return np.std([float(sample(np.zeros(1), np.full(1, logvar))[0])] * n)


# %% wrong 4.4: this is the variance
def spread(sample, logvar, n):
    return sample(np.zeros(n), np.full(n, logvar)).var()


# %% wrong 4.4: a sampler with twice the noise must give about 2, not 1.000: measure z
def spread(sample, logvar, n):
    return np.exp(logvar / 2)


# %% wrong 4.4: at logvar = -2 it says 1.065
def spread(sample, logvar, n):
    return sample(np.random.default_rng(0).standard_normal(n), np.full(n, logvar)).std()


# %% wrong 4.4: spread stops with ValueError: sample takes arrays of one shape, and got () and ()
def spread(sample, logvar, n):
    return np.std([sample(0.0, logvar) for _ in range(n)])


# %% right 4.4
def spread(sample, logvar, n):
    return np.std(
        np.concatenate(
            [sample(np.zeros((1, 1)), np.full((1, 1), logvar)).ravel() for _ in range(n)]
        )
    )


# %% right 4.4
def spread(sample, logvar, n):
    z = sample(5 * np.ones((n, 1)), logvar * np.ones((n, 1)))
    return float(np.sqrt(((z - z.mean()) ** 2).sum() / (n - 1)))


# %% right 4.5
guilty = "the second, B"


# %% right 4.5
guilty = "b"


# %% wrong 4.5: answer with one of "a", "b", "c", not "['A', 'B']"
guilty = ["A", "B"]
