"""Answers to the exercises of notebook 7, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 7.1: it goes the wrong way
def line(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return t * z_first + (1 - t) * z_last


# %% wrong 7.1: it does not end at z_last
def line(z_first, z_last, steps):
    t = np.arange(steps)[:, None] / steps
    return (1 - t) * z_first + t * z_last


# %% wrong 7.1: it does not begin at z_first
def line(z_first, z_last, steps):
    t = np.arange(1, steps + 1)[:, None] / steps
    return (1 - t) * z_first + t * z_last


# %% wrong 7.1: z_first must go away
def line(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return z_first + t * z_last


# %% wrong 7.1: z has the shape (2, 5), and should have (5, 2): it is transposed
def line(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)
    return (1 - t) * z_first[:, None] + t * z_last[:, None]


# %% wrong 7.1: line stops with ValueError
def line(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)
    return (1 - t) * z_first + t * z_last


# %% wrong 7.1: z has 6 points instead of 5
def line(z_first, z_last, steps):
    return np.linspace(z_first, z_last, steps + 1)


# %% wrong 7.1: the steps are not equally long
def line(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None] ** 2
    return (1 - t) * z_first + t * z_last


# %% wrong 7.1: do not lie on the straight line
def line(z_first, z_last, steps):
    t = np.linspace(0, np.pi / 2, steps)[:, None]
    return np.cos(t) * z_first + np.sin(t) * z_last


# %% wrong 7.1: it leaves the way between
def line(z_first, z_last, steps):
    return z_first + np.linspace(0, 1, steps)[:, None] * (z_first - z_last)


# %% wrong 7.1: some points of z are not finite
def line(z_first, z_last, steps):
    return np.linspace(z_first, z_last, steps) * np.nan


# %% open 7.1: returns nothing
def line(z_first, z_last, steps):
    np.linspace(z_first, z_last, steps)


# %% right 7.1
def line(z_first, z_last, steps):
    return np.linspace(z_first, z_last, steps).astype(np.float32)


# %% right 7.1
def line(z_first, z_last, steps):
    return [z_first + i / (steps - 1) * (z_last - z_first) for i in range(steps)]


# %% wrong 7.3: equal steps of z, not equal shares
def quantiles(n):
    return np.linspace(-2, 2, n)


# %% wrong 7.3: quantiles stops with StatisticsError
def quantiles(n):
    return [NormalDist().inv_cdf(i / n) for i in range(n)]


# %% wrong 7.3: cut the prior into n + 1 = 10 slices
def quantiles(n):
    return [NormalDist().inv_cdf((i + 1) / (n + 1)) for i in range(n)]


# %% wrong 7.3: these are the shares themselves
def quantiles(n):
    return (np.arange(n) + 0.5) / n


# %% wrong 7.3: z goes down
def quantiles(n):
    return [NormalDist().inv_cdf((n - i - 0.5) / n) for i in range(n)]


# %% wrong 7.3: below z[
def quantiles(n):
    return [NormalDist().inv_cdf(p) for p in np.linspace(0.02, 0.98, n)]


# %% wrong 7.3: this is the CDF, from z to shares
def quantiles(n):
    return [NormalDist().cdf((i + 0.5) / n) for i in range(n)]


# %% wrong 7.3: these are borders of the slices
def quantiles(n):
    p = np.clip(np.arange(1, n + 1) / n, 0, 1 - 1e-4)
    return [NormalDist().inv_cdf(value) for value in p]


# %% wrong 7.3: z has 10 values instead of 9
def quantiles(n):
    return [NormalDist().inv_cdf((i + 0.5) / (n + 1)) for i in range(n + 1)]


# %% wrong 7.3: below z[
def quantiles(n):
    return np.sort(np.random.default_rng(1).standard_normal(n))


# %% wrong 7.3: not finite: they are nan
def quantiles(n):
    return [float("nan")] * n


# %% open 7.3: z is still missing
def quantiles(n):
    return ...


# %% right 7.3
def quantiles(n):
    inverse = np.vectorize(NormalDist(0, 1).inv_cdf)
    return inverse(np.linspace(1 / (2 * n), 1 - 1 / (2 * n), n))


# %% right 7.3
def quantiles(n):
    N = NormalDist()
    out = []
    for i in range(n):
        a, b = -10.0, 10.0
        for _ in range(60):
            m = (a + b) / 2
            if N.cdf(m) < (i + 0.5) / n:
                a = m
            else:
                b = m
        out.append((a + b) / 2)
    return out


# %% wrong 7.4: these are the mu themselves
def sample_aggregate(mu, logvar, n, rng):
    return mu[rng.integers(len(mu), size=n)]


# %% wrong 7.4: the width is exp(logvar)
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu), size=n)
    return mu[rows] + np.exp(logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: all draws of an example are the same
def sample_aggregate(mu, logvar, n, rng):
    z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)
    return z[rng.integers(len(mu), size=n)]


# %% wrong 7.4: both dimensions get the same eps
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu), size=n)
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, 1))


# %% wrong 7.4: do not average them
def sample_aggregate(mu, logvar, n, rng):
    sigma = np.exp(0.5 * logvar.mean(axis=0))
    return mu.mean(axis=0) + sigma * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: like draws from the prior
def sample_aggregate(mu, logvar, n, rng):
    return rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: takes z_1 from one example and z_2 from another
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu), size=(n, mu.shape[1]))
    mu, logvar = np.take_along_axis(mu, rows, 0), np.take_along_axis(logvar, rows, 0)
    return mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)


# %% wrong 7.4: lie far from every mu
def sample_aggregate(mu, logvar, n, rng):
    rows, others = rng.integers(len(mu), size=(2, n))
    z = 0.5 * (mu[rows] + mu[others])
    return z + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: example 2 of 0, 1, 2 is never chosen
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu) - 1, size=n)
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: only one example is ever chosen
def sample_aggregate(mu, logvar, n, rng):
    row = rng.integers(len(mu))
    return mu[row] + np.exp(0.5 * logvar[row]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: the examples come in turn
def sample_aggregate(mu, logvar, n, rng):
    rows = np.arange(n) % len(mu)
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: Cannot take a larger sample
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.choice(len(mu), n, replace=False)
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: let rng draw all that is drawn
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu), size=n)
    eps = np.random.default_rng().standard_normal((n, mu.shape[1]))
    return mu[rows] + np.exp(0.5 * logvar[rows]) * eps


# %% wrong 7.4: σ is taken from another example than mu
def sample_aggregate(mu, logvar, n, rng):
    sigma = np.exp(0.5 * logvar[rng.integers(len(mu), size=n)])
    return mu[rng.integers(len(mu), size=n)] + sigma * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: the width is 1 for all
def sample_aggregate(mu, logvar, n, rng):
    return mu[rng.integers(len(mu), size=n)] + rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: as standard deviation, where 0 and 1 are right
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu), size=n)
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.uniform(-1, 1, (n, mu.shape[1]))


# %% wrong 7.4: z has the shape (4, 3), and should have (6, 3)
def sample_aggregate(mu, logvar, n, rng):
    return mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)


# %% wrong 7.4: the noise is not normal
def sample_aggregate(mu, logvar, n, rng):
    k = rng.integers(len(mu), size=n)
    return mu[k] + np.exp(0.5 * logvar[k]) * np.sqrt(3) * rng.uniform(-1, 1, (n, mu.shape[1]))


# %% wrong 7.4: another rng gives the same draws
def sample_aggregate(mu, logvar, n, rng):
    rng = np.random.default_rng(0)
    k = rng.integers(len(mu), size=n)
    return mu[k] + np.exp(0.5 * logvar[k]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.4: sorted by example: shuffle them
def sample_aggregate(mu, logvar, n, rng):
    c = rng.multinomial(n, np.ones(len(mu)) / len(mu))
    k = np.repeat(np.arange(len(mu)), c)
    return mu[k] + np.exp(0.5 * logvar[k]) * rng.standard_normal((n, mu.shape[1]))


# %% open 7.4: z is still missing
def sample_aggregate(mu, logvar, n, rng):
    z = ...
    return z


# %% right 7.4
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.choice(len(mu), n)
    return rng.normal(mu[rows], np.sqrt(np.exp(logvar[rows])))


# %% right 7.4
def sample_aggregate(mu, logvar, n, rng):
    z = []
    for _ in range(n):
        k = rng.integers(0, len(mu))
        z.append(mu[k] + np.exp(logvar[k] / 2) * rng.standard_normal(len(mu[k])))
    return z


# %% wrong 7.4: A permutation takes each example once
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.permutation(len(mu))[:n]
    return mu[rows] + np.exp(0.5 * logvar[rows]) * rng.standard_normal((n, mu.shape[1]))


# %% wrong 7.3: A function that takes one number got a whole array
def quantiles(n):
    return NormalDist().inv_cdf((np.arange(n) + 0.5) / n)


# %% right 7.3
def quantiles(n):
    return map(lambda i: NormalDist().inv_cdf((i + 0.5) / n), range(n))


# %% wrong 7.2: these are the weights 1 − t and t of the line: halfway the variance is ¼ + ¼ = ½
def arc(z_first, z_last, steps):
    return np.linspace(z_first, z_last, steps)


# %% wrong 7.2: this walk on a sphere takes its weights from the angle between the two codes
def arc(z_first, z_last, steps):
    lengths = np.linalg.norm(z_first) * np.linalg.norm(z_last)
    angle = np.arccos(z_first @ z_last / lengths)
    t = np.linspace(0, 1, steps)[:, None]
    return (np.sin((1 - t) * angle) * z_first + np.sin(t * angle) * z_last) / np.sin(angle)


# %% wrong 7.2: it goes the wrong way
def arc(z_first, z_last, steps):
    t = np.linspace(0, np.pi / 2, steps)[:, None]
    return np.sin(t) * z_first + np.cos(t) * z_last


# %% wrong 7.2: it does not end at z_last, 0 and 1: the weights there are a = −1, b = 0
def arc(z_first, z_last, steps):
    t = np.linspace(0, np.pi, steps)[:, None]
    return np.cos(t) * z_first + np.sin(t) * z_last


# %% wrong 7.2: so the variance is a² + b² = 2, not 1
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return np.sin(t * np.pi) * (z_first + z_last) + np.where(t < 0.5, z_first, z_last) * (
        1 - np.sin(t * np.pi)
    )


# %% wrong 7.2: so the variance is a² + b² =
def arc(z_first, z_last, steps):  # rescaled to the length of z_first
    z = np.linspace(z_first, z_last, steps)
    lengths = np.linspace(np.linalg.norm(z_first), np.linalg.norm(z_last), steps)
    return z * (lengths / np.linalg.norm(z, axis=1))[:, None]


# %% wrong 7.2: it goes to and fro, or stands still
def arc(z_first, z_last, steps):
    angle = np.linspace(0, 5 * np.pi / 2, steps)[:, None]
    return np.cos(angle) * z_first + np.sin(angle) * z_last


# %% wrong 7.2: the points are no sums a · z_first + b · z_last with two numbers a and b
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return np.sqrt((1 - t) * z_first**2 + t * z_last**2)


# %% wrong 7.2: z has 6 points instead of 5
def arc(z_first, z_last, steps):
    angle = np.linspace(0, np.pi / 2, steps + 1)[:, None]
    return np.cos(angle) * z_first + np.sin(angle) * z_last


# %% wrong 7.2: some points of z are not finite
def arc(z_first, z_last, steps):
    angle = np.linspace(0, np.pi / 2, steps)[:, None]
    return (np.cos(angle) * z_first + np.sin(angle) * z_last) / 0.0


# %% open 7.2: z is still missing
def arc(z_first, z_last, steps):
    return ...


# %% right 7.2
def arc(z_first, z_last, steps):  # the line, divided by its own standard deviation
    t = np.linspace(0, 1, steps)[:, None]
    return ((1 - t) * z_first + t * z_last) / np.sqrt((1 - t) ** 2 + t**2)


# %% right 7.2
def arc(z_first, z_last, steps):
    points = []
    for t in np.linspace(0, 1, steps):
        points.append((1 - t) ** 0.5 * z_first + t**0.5 * z_last)
    return points


# %% right 7.2
def arc(z_first, z_last, steps):
    angles = np.arange(steps) / (steps - 1) * np.pi / 2
    return map(lambda a: np.cos(a) * z_first + np.sin(a) * z_last, angles)


# %% right 7.2
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)
    return np.outer(np.sin((1 - t) * np.pi / 2), z_first) + np.outer(np.sin(t * np.pi / 2), z_last)


# %% right 7.2
def arc(z_first, z_last, steps):
    a = 1 - np.linspace(0, 1, steps)
    return a[:, None] * z_first + np.sqrt(1 - a**2)[:, None] * z_last


# %% wrong 7.2: at step 2 it is 0.25 · z_first + 0.25 · z_last, so the variance is a² + b² = 0.125,
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) ** 2 * z_first + t**2 * z_last


# %% wrong 7.2: it does not begin at z_first, a = 1 and b = 0: the weights there are a = 1.619, b =
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    z = (1 - t) * z_first + t * z_last
    return z / np.linalg.norm(z, axis=1, keepdims=True)


# %% wrong 7.2: it does not end at z_last, 0 and 1: the weights there are a = −0.448, b = 0.894
def arc(z_first, z_last, steps):
    t = np.linspace(0, 90, steps)[:, None]
    return np.cos(t) * z_first + np.sin(t) * z_last


# %% wrong 7.2: the points are no sums a · z_first + b · z_last with two numbers a and b
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return (
        (1 - t) * z_first
        + t * z_last
        + np.sqrt(1 - (1 - t) ** 2 - t**2)
        * np.random.default_rng(0).standard_normal((steps, len(z_first)))
    )


# %% wrong 7.3: quantiles stops with StatisticsError: p must be in the range 0.0 < p < 1.0
def quantiles(n):
    return [NormalDist().inv_cdf(i / (n - 1)) for i in range(n)]


# %% wrong 7.3: this is the CDF, from z to shares
def quantiles(n):
    return [NormalDist().cdf((i + 0.5) / n) for i in range(n)]


# %% wrong 7.3: quantiles stops with ValueError: The truth value of an array with more than one ele
def quantiles(n):
    return NormalDist().inv_cdf((np.arange(n) + 0.5) / n)


# %% wrong 7.3: below z[0] lies 0.6548 of the prior
def quantiles(n):
    return [NormalDist().pdf((i + 0.5) / n) for i in range(n)]


# %% right 7.3
def quantiles(n):
    return map(NormalDist().inv_cdf, (np.arange(n) + 0.5) / n)


# %% right 7.3
def quantiles(n):
    return NormalDist().quantiles(2 * n)[::2]


# %% right 7.2
def arc(z_first, z_last, steps):  # a rational circle
    t = np.linspace(0, 1, steps)[:, None]
    return ((1 - t**2) * z_first + 2 * t * z_last) / (1 + t**2)


# %% wrong 7.2: it does not begin at z_first, a = 1 and b = 0: the weights there are a = 1.414, b =
def arc(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]
    return np.sqrt(2) * ((1 - t) * z_first + t * z_last)
