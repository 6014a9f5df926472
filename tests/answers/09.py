"""Answers to the exercises of notebook 9, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 9.1: exp(−900) is 0 and exp(900) is infinite; take the largest number of the row out
def log_mean_exp(a):
    return np.log(np.exp(a).mean(axis=1))


# %% wrong 9.1: log S is to be subtracted
def log_mean_exp(a):
    return np.logaddexp.reduce(a, axis=1)


# %% wrong 9.1: average the numbers exp(a) themselves
def log_mean_exp(a):
    return a.mean(axis=1)


# %% wrong 9.1: is not added again at the end
def log_mean_exp(a):
    m = a.max(axis=1, keepdims=True)
    return np.log(np.exp(a - m).mean(axis=1))


# %% wrong 9.1: is subtracted at the end; add it
def log_mean_exp(a):
    m = a.max(axis=1)
    return np.log(np.exp(a - m[:, None]).mean(axis=1)) - m


# %% wrong 9.1: each row needs its own maximum
def log_mean_exp(a):
    m = a.max()
    return m + np.log(np.exp(a - m).mean(axis=1))


# %% wrong 9.1: a row may reach from −1000 to 1000
def log_mean_exp(a):
    m = a.mean(axis=1)
    return m + np.log(np.exp(a - m[:, None]).mean(axis=1))


# %% wrong 9.1: its logarithm is missing
def log_mean_exp(a):
    return np.exp(a).mean(axis=1)


# %% wrong 9.1: result has the shape (40,), and should have (5,)
def log_mean_exp(a):
    m = a.max(axis=0)
    return m + np.log(np.exp(a - m).mean(axis=0))


# %% wrong 9.1: result has the shape (5, 1), and should have (5,)
def log_mean_exp(a):
    m = a.max(axis=1, keepdims=True)
    return m + np.log(np.exp(a - m).mean(axis=1, keepdims=True))


# %% wrong 9.1: changes one of its inputs in place
def log_mean_exp(a):
    m = a.max(axis=1)
    a -= m[:, None]
    return m + np.log(np.exp(a).mean(axis=1))


# %% right 9.1
def log_mean_exp(a):
    return [np.logaddexp.reduce(row) - np.log(len(row)) for row in a]


# %% right 9.1
def log_mean_exp(a):
    m = np.max(a, axis=1, keepdims=True)
    return np.squeeze(m + np.log(np.sum(np.exp(a - m), axis=1, keepdims=True)), 1) - np.log(
        a.shape[1]
    )


# %% wrong 9.2: exp(log_w) is 0. Take out the largest of each row
def effective_samples(log_w):
    w = np.exp(log_w)
    return w.sum(axis=1) ** 2 / (w**2).sum(axis=1)


# %% wrong 9.2: upside down
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return (w**2).sum(axis=1) / w.sum(axis=1) ** 2


# %% wrong 9.2: square the sum, not the terms
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return (w**2).sum(axis=1) / (w**2).sum(axis=1)


# %% wrong 9.2: the sum is not squared
def effective_samples(log_w):
    w = np.exp(log_w)
    return w.sum(axis=1) / (w**2).sum(axis=1)


# %% wrong 9.2: means instead of sums
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.mean(axis=1) ** 2 / (w**2).mean(axis=1)


# %% wrong 9.2: the weights are exp(log_w); these are the logarithms
def effective_samples(log_w):
    return log_w.sum(axis=1) ** 2 / (log_w**2).sum(axis=1)


# %% wrong 9.2: 1 / the largest share
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.sum(axis=1) / w.max(axis=1)


# %% wrong 9.2: effective has the shape (), and should have (5,)
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.sum() ** 2 / (w**2).sum()


# %% wrong 9.2: each row needs its own maximum
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max())
    return w.sum(1) ** 2 / (w**2).sum(1)


# %% right 9.2
def effective_samples(log_w):
    total = np.logaddexp.reduce(log_w, axis=1)
    return np.exp(2 * total - np.logaddexp.reduce(2 * log_w, axis=1))


# %% right 9.2
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    share = w / w.sum(axis=1, keepdims=True)
    return [1 / (row @ row) for row in share]


# %% wrong 9.4: log p(x|z) is −nll: its sign is flipped
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return nll + log_p_z - log_q


# %% wrong 9.4: log q(z|x) is added; it stands below the line
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(axis=1)
    return -nll + log_p_z + log_q


# %% wrong 9.4: log q(z|x) is missing
def log_weights(nll, mu, logvar, z):
    return -nll - 0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1)


# %% wrong 9.4: log p(z), the prior, is missing
def log_weights(nll, mu, logvar, z):
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(axis=1)
    return -nll - log_q


# %% wrong 9.4: p(z) and q(z|x) are swapped
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_q - log_p_z


# %% wrong 9.4: the term −½ logvar of log q is missing
def log_weights(nll, mu, logvar, z):
    return -nll - 0.5 * (z**2).sum(axis=1) + 0.5 * ((z - mu) ** 2 / np.exp(logvar)).sum(axis=1)


# %% wrong 9.4: z − mu is divided by σ² = exp(logvar); divide it by σ, then square
def log_weights(nll, mu, logvar, z):
    log_q = -0.5 * (((z - mu) / np.exp(logvar)) ** 2 + logvar).sum(axis=1)
    return -nll - 0.5 * (z**2).sum(axis=1) - log_q


# %% wrong 9.4: (z − mu)² is divided by σ; divide it by σ² = exp(logvar)
def log_weights(nll, mu, logvar, z):
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(0.5 * logvar) + logvar).sum(axis=1)
    return -nll - 0.5 * (z**2).sum(axis=1) - log_q


# %% wrong 9.4: log q has −logvar where −½ logvar
def log_weights(nll, mu, logvar, z):
    log_q = (-0.5 * (z - mu) ** 2 / np.exp(logvar) - logvar).sum(axis=1)
    return -nll - 0.5 * (z**2).sum(axis=1) - log_q


# %% wrong 9.4: log q(z|x) lacks its constant
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_p_z - log_q


# %% wrong 9.4: log p(z) lacks its constant
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(axis=1)
    return -nll + log_p_z - log_q


# %% wrong 9.4: these are the weights w
def log_weights(nll, mu, logvar, z):
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return np.exp(-nll - 0.5 * (z**2).sum(axis=1) - log_q)


# %% wrong 9.4: log_w has the shape (6, 3), and should have (6,)
def log_weights(nll, mu, logvar, z):
    return -nll[:, None] - 0.5 * z**2 + 0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar)


# %% right 9.4
def log_weights(nll, mu, logvar, z):
    def log_normal(z, mu, sigma):
        return np.log(np.exp(-0.5 * ((z - mu) / sigma) ** 2) / np.sqrt(2 * np.pi * sigma**2))

    log_p_z = log_normal(z, 0, 1).sum(axis=1)
    return [
        float(-a + b - log_normal(row, mu, np.exp(logvar / 2)).sum())
        for a, b, row in zip(nll, log_p_z, z, strict=True)
    ]


# %% right 9.4
def log_weights(nll, mu, logvar, z):
    eps = (z - mu) * np.exp(-0.5 * logvar)
    return 0.5 * (eps**2 + logvar - z**2) @ np.ones(len(mu)) - nll


# %% wrong 9.1: in floats of any width; take the largest number of the row out first
def log_mean_exp(a):
    return np.log(np.exp(a.astype(np.longdouble)).mean(axis=1)).astype(float)


# %% wrong 9.4: log q(z|x) is added; it stands below the line, so subtract it
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_p_z + log_q


# %% wrong 9.4: log p(z), the prior, is missing
def log_weights(nll, mu, logvar, z):
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll - log_q


# %% wrong 9.4: log q(z|x) is missing
def log_weights(nll, mu, logvar, z):
    return -nll - 0.5 * (z**2).sum(axis=1)


# %% wrong 9.3: it is not divided by √S
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.std(axis=1) / w.mean(axis=1)


# %% wrong 9.3: divided by S; the spread of a mean falls with √S
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.std(axis=1) / w.mean(axis=1) / log_w.shape[1]


# %% wrong 9.3: these are the logarithms' own spread
def standard_error(log_w):
    return log_w.std(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: the mean weight is missing below the line
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.std(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: this is the standard error of p(x)
def standard_error(log_w):
    return np.exp(log_w).std(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: the variance of the weights stands where
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.var(axis=1) / w.mean(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: this is the logarithm of the error
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return np.log(w.std(axis=1) / w.mean(axis=1) / np.sqrt(log_w.shape[1]))


# %% wrong 9.3: this is 1/√(effective draws)
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return np.sqrt((w**2).sum(axis=1)) / w.sum(axis=1)


# %% wrong 9.3: it is divided by the sum of the weights
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.std(axis=1) / w.sum(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: a common factor of all weights of a row cancels, so take it out first
def standard_error(log_w):
    w = np.exp(log_w)
    return w.std(axis=1) / w.mean(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: a common factor of all weights of a row cancels, so take it out first
def standard_error(log_w):
    w = np.exp(log_w - log_w.max())
    return w.std(axis=1) / w.mean(axis=1) / np.sqrt(log_w.shape[1])


# %% wrong 9.3: error has the shape (40,), and should have (5,)
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=0))
    return w.std(axis=0) / w.mean(axis=0) / np.sqrt(len(w))


# %% wrong 9.3: it is multiplied by p(x); divide by it
def standard_error(log_w):
    w = np.exp(log_w)
    return w.std(axis=1) * w.mean(axis=1) / np.sqrt(log_w.shape[1])


# %% open 9.3: error is still missing
def standard_error(log_w):
    return ...


# %% right 9.3
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return (w / w.mean(axis=1, keepdims=True)).std(axis=1, ddof=1) / log_w.shape[1] ** 0.5


# %% right 9.3
def standard_error(log_w):  # by the effective draws of exercise 9.2
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    effective = w.sum(axis=1) ** 2 / (w**2).sum(axis=1)
    return np.sqrt(1 / effective - 1 / log_w.shape[1])


# %% wrong 9.5: the logarithms are averaged
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_p_z - 0.5 * (log_p_z + log_q)


# %% wrong 9.5: the two halves: the density of the draws is ½ p + ½ q, not p + q
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_p_z - np.logaddexp(log_p_z, log_q)


# %% wrong 9.5: the halves: log ½ has the wrong sign
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_p_z - np.logaddexp(log_p_z, log_q) - np.log(2)


# %% wrong 9.5: the density of the draws is q alone here
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll + log_p_z - log_q


# %% wrong 9.5: mixed in each dimension by itself
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * z**2
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar)
    return -nll + (log_p_z - np.logaddexp(log_p_z, log_q) + np.log(2)).sum(axis=1)


# %% wrong 9.5: the logarithms of p and q are added: that is their product
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(axis=1)
    return -nll + log_p_z - (log_p_z + log_q)


# %% wrong 9.5: log p(z), the prior, is missing above the line
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return -nll - np.logaddexp(log_p_z, log_q) + np.log(2)


# %% wrong 9.5: the term −½ logvar of log q is missing
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar)).sum(axis=1)
    return -nll + log_p_z - (np.logaddexp(log_p_z, log_q) - np.log(2))


# %% wrong 9.5: log p(x|z) is −nll: its sign is flipped
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return nll + log_p_z - (np.logaddexp(log_p_z, log_q) - np.log(2))


# %% wrong 9.5: right for the first draws, but far from both centres
def weights_of_both(nll, mu, logvar, z):
    p = np.exp(-0.5 * (z**2).sum(axis=1))
    q = np.exp(-0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1))
    return np.log(np.exp(-nll) * p / (0.5 * p + 0.5 * q))


# %% wrong 9.5: these are the weights w
def weights_of_both(nll, mu, logvar, z):
    p = np.exp(-0.5 * (z**2).sum(axis=1))
    q = np.exp(-0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1))
    return np.exp(-nll) * p / (0.5 * p + 0.5 * q)


# %% wrong 9.5: log_w has the shape (6, 3), and should have (6,)
def weights_of_both(nll, mu, logvar, z):
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar)
    return -nll[:, None] - 0.5 * z**2 - np.logaddexp(-0.5 * z**2, log_q) + np.log(2)


# %% open 9.5: log_w is still missing
def weights_of_both(nll, mu, logvar, z):
    return ...


# %% right 9.5
def weights_of_both(nll, mu, logvar, z):
    constant = 0.5 * z.shape[1] * np.log(2 * np.pi)
    log_p_z = -0.5 * (z**2).sum(axis=1) - constant
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1) - constant
    a = np.stack([log_p_z, log_q])
    m = a.max(axis=0)
    return log_p_z - nll - m - np.log(np.exp(a - m).mean(axis=0))


# %% right 9.5
def weights_of_both(nll, mu, logvar, z):  # w = p(x|z) / (½ + ½ q/p)
    ratio = 0.5 * (z**2 - (z - mu) ** 2 / np.exp(logvar) - logvar).sum(axis=1)
    return -nll - np.logaddexp(0, ratio) + np.log(2)


# %% wrong 9.4: lacks its constant −½ L log 2π, and the other has it
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + np.log(2 * np.pi)).sum(axis=1)
    return -nll + log_p_z - log_q


# %% wrong 9.4: log p(z), the prior, is missing; and the term −½ logvar of log q is missing
def log_weights(nll, mu, logvar, z):
    return -nll + 0.5 * ((z - mu) ** 2 / np.exp(logvar)).sum(axis=1)


# %% wrong 9.2: this is 1 / the largest share
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(1, keepdims=True))
    return w.sum(1) / w.max(1)


# %% wrong 9.2: this is e^entropy of the shares: another count
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(1, keepdims=True))
    p = w / w.sum(1, keepdims=True)
    return np.exp(-(p * np.log(p)).sum(1))


# %% right 9.2
def effective_samples(log_w):
    p = np.exp(log_w - np.logaddexp.reduce(log_w, axis=1, keepdims=True))
    return 1 / (p**2).sum(1)


# %% wrong 9.3: this is its square, a variance
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(1, keepdims=True))
    return w.var(1) / w.mean(1) ** 2 / w.shape[1]


# %% wrong 9.3: the largest log_w is added again: a factor that cancels need not come back
def standard_error(log_w):
    m = log_w.max(1)
    w = np.exp(log_w - m[:, None])
    return m + w.std(1) / w.mean(1) / np.sqrt(w.shape[1])


# %% right 9.3
def standard_error(log_w):
    p = np.exp(log_w - np.logaddexp.reduce(log_w, axis=1, keepdims=True))
    S = p.shape[1]
    return np.sqrt(((p - 1 / S) ** 2).sum(1))


# %% wrong 9.4: σ is exp(logvar) in log q. But logvar = log σ², so σ = exp(½ logvar)
def log_weights(nll, mu, logvar, z):
    s = np.exp(logvar)
    lq = (-0.5 * ((z - mu) / s) ** 2 - np.log(s)).sum(1)
    return -nll - 0.5 * (z**2).sum(1) - lq


# %% wrong 9.4: log q(z|x) is added
def log_weights(nll, mu, logvar, z):
    lq = (-0.5 * (z - mu) ** 2 / np.exp(logvar) - 0.5 * logvar - 0.5 * np.log(2 * np.pi)).sum(1)
    return -nll + lq - 0.5 * (z**2).sum(1)


# %% right 9.4
def log_weights(nll, mu, logvar, z):
    from statistics import NormalDist

    out = []
    for a, row in zip(nll, z, strict=True):
        v = -a
        for zj, m, lv in zip(row, mu, logvar, strict=True):
            v += np.log(NormalDist().pdf(zj)) - np.log(NormalDist(m, np.exp(lv / 2)).pdf(zj))
        out.append(v)
    return out


# %% wrong 9.5: divided by the density of its own half, or by the larger one: where a z came from is
def weights_of_both(nll, mu, logvar, z):
    h = len(z) // 2
    lp = -0.5 * (z**2).sum(1)
    lq = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(1)
    return np.concatenate([(-nll + lp - lq)[:h], (-nll)[h:]])


# %% wrong 9.5: the density of the draws is missing below the line
def weights_of_both(nll, mu, logvar, z):
    return -nll


# %% wrong 9.5: log p(z) lacks its constant −½ L log 2π, and log q has it: both, or neither
def weights_of_both(nll, mu, logvar, z):
    lp = -0.5 * (z**2).sum(1)
    lq = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(1)
    return -nll + lp - np.logaddexp(lp, lq) + np.log(2)


# %% wrong 9.5: this is the mean of the two weights
def weights_of_both(nll, mu, logvar, z):
    lp = -0.5 * (z**2).sum(1)
    lq = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(1)
    return np.logaddexp(-nll, -nll + lp - lq) - np.log(2)


# %% wrong 9.3: divided by √N; the mean is over the S draws of a picture
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.std(axis=1) / w.mean(axis=1) / np.sqrt(len(log_w))


# %% wrong 9.3: the fraction stands upside down
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return w.mean(axis=1) / w.std(axis=1) / np.sqrt(w.shape[1])


# %% right 9.5
def weights_of_both(nll, mu, logvar, z):
    log_ratio = 0.5 * (z**2 - (z - mu) ** 2 / np.exp(logvar) - logvar).sum(axis=1)  # of q to p
    return -nll - np.logaddexp(0, log_ratio) + np.log(2)
