"""Answers to the exercises of notebook 5, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 5.1: the mean of S of them wavers less: /√S
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.mean(), d.std()


# %% wrong 5.1: the square root of variance/S
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.mean(), d.var() / len(eps)


# %% wrong 5.1: the standard deviation with √S, not S
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.mean(), d.std() / len(eps)


# %% wrong 5.1: the standard error of the mean of z
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.mean(), z.std() / np.sqrt(len(eps))


# %% wrong 5.1: z are draws from the prior
def kl_monte_carlo(mu, logvar, eps):
    d = log_q(eps, mu, logvar) - log_p(eps)
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: somewhere σ is exp(logvar)
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: it is log p − log q
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_p(z) - log_q(z, mu, logvar)
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: S = 400: the mean's 1/S is missing
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.sum(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: log q(z) lacks its term −½ logvar
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = -0.5 * eps**2 + 0.5 * z**2
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: one of the two logarithms only
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) + 0.5 * z**2
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: this is the exact KL
def kl_monte_carlo(mu, logvar, eps):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar), 0.0


# %% wrong 5.1: kl has the shape (400,), and should have (): an axis is left
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d, d.std() / np.sqrt(len(eps))


# %% wrong 5.1: returns one thing instead of 2
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    return (log_q(z, mu, logvar) - log_p(z)).mean()


# %% wrong 5.1: is multiplied by √S
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.mean(), d.std() * np.sqrt(len(eps))


# %% wrong 5.1: kl and standard_error come in the wrong order
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return d.std() / np.sqrt(len(eps)), d.mean()


# %% open 5.1: standard_error is still missing
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    return (log_q(z, mu, logvar) - log_p(z)).mean(), ...


# %% right 5.1
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.sqrt(np.exp(logvar)) * eps
    d = 0.5 * z**2 - 0.5 * eps**2 - 0.5 * logvar
    return [sum(d) / len(d), d.std(ddof=1) / len(d) ** 0.5]


# %% right 5.1
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar) - log_p(z)
    return np.array([d.mean(), np.sqrt(np.var(d) / d.size)])


# %% wrong 5.2: kl has the shape (5, 3), and should have (5,)
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)


# %% wrong 5.2: kl has the shape (), and should have (5,)
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()


# %% wrong 5.2: kl has the shape (3,), and should have (5,)
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=0)


# %% wrong 5.2: divided by L once too often
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean(axis=1)


# %% wrong 5.2: a ½ forgotten
def kl(mu, logvar):
    return (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


# %% wrong 5.2: the sign is flipped
def kl(mu, logvar):
    return 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)


# %% wrong 5.2: exp(2 · logvar) stands in for σ²
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) ** 2 - 1 - logvar).sum(axis=1)


# %% wrong 5.2: this would be right if logvar were log σ
def kl(mu, logvar):
    sigma = np.exp(logvar)
    return 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2)).sum(axis=1)


# %% wrong 5.2: σ stands where σ² should
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(0.5 * logvar) - 1 - logvar).sum(axis=1)


# %% wrong 5.2: the −1 is missing
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - logvar).sum(axis=1)


# %% wrong 5.2: the −1 stands outside the sum: it belongs to each of the L dimensions
def kl(mu, logvar):
    return 0.5 * ((mu**2 + np.exp(logvar) - logvar).sum(axis=1) - 1)


# %% wrong 5.2: logvar has the wrong sign
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 + logvar).sum(axis=1)


# %% wrong 5.2: q and p are swapped
def kl(mu, logvar):
    return 0.5 * ((mu**2 + 1) * np.exp(-logvar) - 1 + logvar).sum(axis=1)


# %% wrong 5.2: mu must be squared
def kl(mu, logvar):
    return 0.5 * (mu + np.exp(logvar) - 1 - logvar).sum(axis=1)


# %% wrong 5.2: −½ logvar stands where −logvar belongs
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - 0.5 * logvar).sum(1)


# %% open 5.2: returns nothing
def kl(mu, logvar):
    0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


# %% right 5.2
def kl(mu, logvar):
    sigma = np.exp(logvar / 2)
    dimensions = -np.log(sigma) - 0.5 + 0.5 * (np.square(mu) + sigma * sigma)
    return [sum(row) for row in dimensions]


# %% wrong 5.3: B = 5: the mean's 1/B is missing
def kl_backward(mu, logvar):
    return mu, 0.5 * (np.exp(logvar) - 1)


# %% wrong 5.3: dlogvar: 2 times the right value
def kl_backward(mu, logvar):
    return mu / len(mu), (np.exp(logvar) - 1) / len(mu)


# %% wrong 5.3: dmu: 2 times the right value
def kl_backward(mu, logvar):
    return 2 * mu / len(mu), 0.5 * (np.exp(logvar) - 1) / len(mu)


# %% wrong 5.3: divided by L once too often
def kl_backward(mu, logvar):
    return mu / mu.size, 0.5 * (np.exp(logvar) - 1) / mu.size


# %% wrong 5.3: in dlogvar the −1 is missing
def kl_backward(mu, logvar):
    return mu / len(mu), 0.5 * np.exp(logvar) / len(mu)


# %% wrong 5.3: in dlogvar, σ stands where σ² should
def kl_backward(mu, logvar):
    return mu / len(mu), 0.5 * (np.exp(0.5 * logvar) - 1) / len(mu)


# %% wrong 5.3: dlogvar is the slope along σ²; one factor of the chain rule is missing
def kl_backward(mu, logvar):
    return mu / len(mu), 0.5 * (1 - np.exp(-logvar)) / len(mu)


# %% wrong 5.3: dlogvar is the slope along σ; one factor of the chain rule is missing
def kl_backward(mu, logvar):
    sigma = np.exp(0.5 * logvar)
    return mu / len(mu), (sigma - 1 / sigma) / len(mu)


# %% wrong 5.3: dlogvar: -1 times the right value in every entry (the sign is flipped)
def kl_backward(mu, logvar):
    return mu / len(mu), 0.5 * (1 - np.exp(logvar)) / len(mu)


# %% wrong 5.3: dmu and dlogvar come in the wrong order
def kl_backward(mu, logvar):
    return 0.5 * (np.exp(logvar) - 1) / len(mu), mu / len(mu)


# %% wrong 5.3: dmu has the shape (3,), and should have (5, 3)
def kl_backward(mu, logvar):
    return mu.mean(axis=0), 0.5 * (np.exp(logvar) - 1).mean(axis=0)


# %% wrong 5.3: dmu: multiplied by mu once too often
def kl_backward(mu, logvar):
    return mu**2 / len(mu), 0.5 * (np.exp(logvar) - 1) / len(mu)


# %% open 5.3: dlogvar is still missing
def kl_backward(mu, logvar):
    return mu / len(mu), ...


# %% right 5.3
def kl_backward(mu, logvar):
    B, _ = mu.shape
    dmu, dlogvar = np.empty_like(mu), np.empty_like(mu)
    for b in range(B):
        dmu[b] = mu[b] / B
        dlogvar[b] = np.expm1(logvar[b]) / (2 * B)
    return dmu, dlogvar


# %% wrong 5.3: dmu: 0.4 times the right value
def kl_backward(mu, logvar):
    return mu / 5, 0.5 * (np.exp(logvar) - 1) / 5


# %% right 5.3
def kl_backward(mu, logvar):
    mu = mu.astype("f4")
    logvar = logvar.astype("f4")
    return mu / len(mu), 0.5 * (np.exp(logvar) - 1) / len(mu)


# %% wrong 5.4: τ stands where τ² belongs
def kl_to(mu, logvar, tau):
    ratio = (mu**2 + np.exp(logvar)) / tau
    return 0.5 * (ratio - 1 - logvar + 2 * np.log(tau)).sum(axis=1)


# %% wrong 5.4: the term log τ² is missing
def kl_to(mu, logvar, tau):
    ratio = (mu**2 + np.exp(logvar)) / tau**2
    return 0.5 * (ratio - 1 - logvar).sum(axis=1)


# %% wrong 5.4: log τ stands where log τ² belongs
def kl_to(mu, logvar, tau):
    ratio = (mu**2 + np.exp(logvar)) / tau**2
    return 0.5 * (ratio - 1 - logvar + np.log(tau)).sum(axis=1)


# %% wrong 5.4: tau has no effect
def kl_to(mu, logvar, tau):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


# %% right 5.4
def kl_to(mu, logvar, tau):
    shifted = logvar - 2 * np.log(tau)
    return 0.5 * ((mu / tau) ** 2 + np.exp(shifted) - 1 - shifted).sum(axis=1)


# %% wrong 5.1: some are negative, and count as such
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    differences = np.abs(log_q(z, mu, logvar) - log_p(z))
    return differences.mean(), differences.std() / np.sqrt(len(eps))


# %% wrong 5.1: they come from q already
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    differences = np.exp(log_q(z, mu, logvar)) * (log_q(z, mu, logvar) - log_p(z))
    return differences.mean(), differences.std() / np.sqrt(len(eps))


# %% wrong 5.1: z in kl_monte_carlo: this is the notebook's own
def kl_monte_carlo(mu, logvar, eps):
    differences = log_q(z, mu, logvar) - log_p(z)
    return differences.mean(), differences.std() / np.sqrt(len(differences))


# %% wrong 5.3: dmu is divided by L = 3; the mean is over the batch
def kl_backward(mu, logvar):
    L = mu.shape[1]
    return mu / L, 0.5 * (np.exp(logvar) - 1) / L


# %% wrong 5.1: log p(z) is missing
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, logvar)
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: it is log p − log q, the wrong way round
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_p(z) - log_q(z, mu, logvar)
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: this is the mean of q(z)/p(z)
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = np.exp(log_q(z, mu, logvar) - log_p(z))
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% wrong 5.1: log_q wants logvar, and got σ
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps
    d = log_q(z, mu, np.exp(0.5 * logvar)) - log_p(z)
    return d.mean(), d.std() / np.sqrt(len(eps))


# %% right 5.1
def kl_monte_carlo(mu, logvar, eps):
    d = [
        log_q(mu + np.exp(0.5 * logvar) * e, mu, logvar) - log_p(mu + np.exp(0.5 * logvar) * e)
        for e in eps
    ]
    return sum(d) / len(d), np.std(d, ddof=1) / len(d) ** 0.5


# %% wrong 5.4: log τ² counts once for each of the L dimensions
def kl_to(mu, logvar, tau):
    return 0.5 * ((mu**2 + np.exp(logvar)) / tau**2 - 1 - logvar).sum(axis=1) + np.log(tau)


# %% wrong 5.4: q and p are swapped: this is KL(N(0, τ²) ‖ q)
def kl_to(mu, logvar, tau):
    return 0.5 * ((mu**2 + tau**2) / np.exp(logvar) - 1 + logvar - 2 * np.log(tau)).sum(axis=1)


# %% right 5.4
def kl_to(mu, logvar, tau):
    return kl(mu / tau, logvar - np.log(tau**2))
