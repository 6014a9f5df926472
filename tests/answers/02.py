"""Answers to the exercises of notebook 2, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821

# %% wrong 2.1: What does it see if z is 100 times as large
prediction = "a"

# %% wrong 2.1: so the squared differences cannot get smaller
prediction = "b"

# %% wrong 2.1: answer with one of "a", "b", "c"
prediction = "I do not know"

# %% right 2.1
prediction = "it stays"

# %% right 2.1
prediction = "It stays as it is."

# %% right 2.1
prediction = "the answer is c"

# %% right 2.1
prediction = "(c)"

# %% wrong 2.1: so the squared differences cannot get smaller
prediction = "it falls"

# %% right 2.1
prediction = "C"


# %% right 2.1
prediction = "c: it stays as it is"


# %% wrong 2.2: you found the nearest z of each code
def nearest(z, codes):
    return ((z[:, None] - codes[None]) ** 2).sum(axis=2).argmin(axis=0)


# %% wrong 2.2: argmax where argmin is meant
def nearest(z, codes):
    return ((z[:, None] - codes[None]) ** 2).sum(axis=2).argmax(axis=1)


# %% wrong 2.2: the differences are not squared
def nearest(z, codes):
    return (z[:, None] - codes[None]).sum(axis=2).argmin(axis=1)


# %% wrong 2.2: sums of absolute differences
def nearest(z, codes):
    return np.abs(z[:, None] - codes[None]).sum(axis=2).argmin(axis=1)


# %% wrong 2.2: return its index
def nearest(z, codes):
    return ((z[:, None] - codes[None]) ** 2).sum(axis=2).min(axis=1)


# %% wrong 2.2: stops with ValueError
def nearest(z, codes):
    return ((z - codes) ** 2).sum(axis=1).argmin()


# %% right 2.2
def nearest(z, codes):
    return [int(np.argmin(np.linalg.norm(codes - point, axis=1))) for point in z]


# %% right 2.2
def nearest(z, codes):
    return ((codes**2).sum(axis=1) - 2 * z @ codes.T).argmin(axis=1)


# %% wrong 2.3: std, not var
def draw_like(codes, n, rng):
    return codes.mean(axis=0) + codes.var(axis=0) * rng.standard_normal((n, codes.shape[1]))


# %% wrong 2.3: the means are
def draw_like(codes, n, rng):
    return codes.std(axis=0) * rng.standard_normal((n, codes.shape[1]))


# %% wrong 2.3: all dimensions have one standard deviation
def draw_like(codes, n, rng):
    return codes.mean() + codes.std() * rng.standard_normal((n, codes.shape[1]))


# %% wrong 2.3: the dimensions depend on each other
def draw_like(codes, n, rng):
    return codes.mean(axis=0) + codes.std(axis=0) * rng.standard_normal((n, 1))


# %% wrong 2.3: all draws are equal
def draw_like(codes, n, rng):
    return codes.mean(axis=0) + codes.std(axis=0) * np.ones((n, 2))


# %% wrong 2.3: the standard deviations are
def draw_like(codes, n, rng):
    return codes.mean(axis=0) + codes.std(axis=0) * rng.uniform(-1, 1, (n, 2))


# %% wrong 2.3: z has the shape (2,), and should have (40000, 2)
def draw_like(codes, n, rng):
    return codes.mean(axis=0) + codes.std(axis=0) * rng.standard_normal(2)


# %% wrong 2.3: the draws are not normal
def draw_like(codes, n, rng):
    return codes.mean(0) + codes.std(0) * np.sqrt(3) * rng.uniform(-1, 1, (n, 2))


# %% wrong 2.3: another rng gives the same draws
def draw_like(codes, n, rng):
    return codes.mean(0) + codes.std(0) * np.random.default_rng(0).standard_normal((n, 2))


# %% wrong 2.3: the same rng gives other draws the second time
def draw_like(codes, n, rng):
    eps = np.random.default_rng().standard_normal((n, 2))
    return codes.mean(axis=0) + codes.std(axis=0) * eps


# %% right 2.3
def draw_like(codes, n, rng):
    return rng.normal(codes.mean(axis=0), codes.std(axis=0, ddof=1), size=(n, codes.shape[1]))


# %% right 2.3
def draw_like(codes, n, rng):
    return rng.multivariate_normal(codes.mean(axis=0), np.cov(codes.T), n)


# %% wrong 2.3: the draws repeat
def draw_like(codes, n, rng):
    return codes[rng.integers(len(codes), size=n)]


# %% wrong 2.2: this goes by the products z · c
def nearest(z, codes):
    return (z @ codes.T).argmax(axis=1)


# %% right 2.2
def nearest(z, codes):
    return map(lambda point: ((codes - point) ** 2).sum(axis=1).argmin(), z)


# %% wrong 2.1: the decoder's first layer multiplies z by its weights. What does it see if z is 100
prediction = "it rises a lot"


# %% right 2.1
prediction = "nothing changes"


# %% right 2.1
prediction = "unchanged"


# %% right 2.1
prediction = "C) it stays as it is"


# %% right 2.1
prediction = "answer: c"


# %% wrong 2.2: the differences are added before their signs are taken away: square each
def nearest(z, codes):
    return [int(np.argmin([abs((c - p).sum()) for c in codes])) for p in z]


# %% wrong 2.2: this goes by the angle between z and c
def nearest(z, codes):
    a = z / np.linalg.norm(z, axis=1, keepdims=True)
    b = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    return (a @ b.T).argmax(1)


# %% wrong 2.2: this goes by the largest difference alone
def nearest(z, codes):
    return np.abs(z[:, None] - codes).max(axis=2).argmin(axis=1)


# %% wrong 2.2: index has the shape (40, 3), and should have (40,): an axis is left that should be
def nearest(z, codes):
    return codes[((z[:, None] - codes) ** 2).sum(2).argmin(1)]


# %% right 2.2
def nearest(z, codes):
    return np.argmin((codes**2).sum(1) - 2 * z @ codes.T, axis=1)


# %% right 2.2
def nearest(z, codes):
    return [float(np.argmin(np.linalg.norm(codes - p, axis=1))) for p in z]
