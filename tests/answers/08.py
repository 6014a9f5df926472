"""Answers to the exercises of notebook 8, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 8.1: this is the standard deviation above the threshold
def active_units(mu, threshold=0.01):
    return mu.std(axis=0) > threshold


# %% wrong 8.1: this is the mean of mu² above the threshold
def active_units(mu, threshold=0.01):
    return (mu**2).mean(axis=0) > threshold


# %% wrong 8.1: whether the mean of mu is far from 0
def active_units(mu, threshold=0.01):
    return np.abs(mu.mean(axis=0)) > threshold


# %% wrong 8.1: active has the shape (40,), and should have (5,)
def active_units(mu, threshold=0.01):
    return mu.var(axis=1) > threshold


# %% wrong 8.1: active is one number
def active_units(mu, threshold=0.01):
    return (mu.var(axis=0) > threshold).sum()


# %% wrong 8.1: active should be True or False
def active_units(mu, threshold=0.01):
    return mu.var(axis=0)


# %% wrong 8.1: True and False are swapped
def active_units(mu, threshold=0.01):
    return mu.var(axis=0) < threshold


# %% wrong 8.1: the threshold is fixed at 0.01
def active_units(mu, threshold=0.01):
    return mu.var(axis=0) > 0.01


# %% wrong 8.1: yours says the opposite
def active_units(mu, threshold=0.01):
    return [True, True, False, False, True]


# %% wrong 8.1: the squares are summed over the pictures
def active_units(mu, threshold=0.01):
    return ((mu - mu.mean(0)) ** 2).sum(0) > threshold


# %% wrong 8.1: each dimension has its own mean
def active_units(mu, threshold=0.01):
    return ((mu - mu.mean()) ** 2).mean(0) > threshold


# %% wrong 8.1: this is the range
def active_units(mu, threshold=0.01):
    return (mu.max(0) - mu.min(0)) > threshold


# %% right 8.1
def active_units(mu, threshold=0.01):
    return [float(np.var(column, ddof=1)) > threshold for column in mu.T]


# %% right 8.1
def active_units(mu, threshold=0.01):
    return ((mu - mu.mean(axis=0)) ** 2).mean(axis=0) > threshold


# %% wrong 8.2: upside down
def effective_beta(D, L, pixels, latents):
    return (L if latents == "mean" else 1) / (D if pixels == "mean" else 1)


# %% wrong 8.2: pixels="mean", latents="mean", D = 784, L = 10: 784 = D where 78.4 is right
def effective_beta(D, L, pixels, latents):
    return D if pixels == "mean" else 1 if latents == "sum" else 1 / L


# %% wrong 8.2: 7840 = D·L where 78.4 is right
def effective_beta(D, L, pixels, latents):
    return (D if pixels == "mean" else 1) * (L if latents == "mean" else 1) ** (
        -1 if pixels == "sum" else 1
    )


# %% wrong 8.2: pixels="sum", latents="mean", D = 784, L = 10: 10 = L where 0.1 is right
def effective_beta(D, L, pixels, latents):
    return (D if pixels == "mean" else 1) * (L if latents == "mean" else 1)


# %% wrong 8.2: 0.001276 = 1/D where 784 is right
def effective_beta(D, L, pixels, latents):
    return (1 / D if pixels == "mean" else 1) / (L if latents == "mean" else 1)


# %% wrong 8.2: stops with TypeError
def effective_beta(D, L, pixels, latents):
    return pixels / latents


# %% wrong 8.2: L = 10: 1 where 0.1 is right
def effective_beta(D, L, pixels, latents):
    return 1


# %% right 8.2
def effective_beta(D, L, pixels, latents):
    weights = {"sum": (1, 1), "mean": (1 / D, 1 / L)}
    return np.float64(weights[latents][1]) / weights[pixels][0]


# %% wrong 8.4: the maximum is taken for each picture
def free_bits(kl, free):
    loss = np.maximum(kl, free).sum(axis=1).mean()
    return loss, (kl > free) / len(kl)


# %% wrong 8.4: loss: this is the minimum
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.minimum(mean, free).sum(), np.ones_like(kl) / len(kl) * (mean > free)


# %% wrong 8.4: all dimensions share one allowance; each has its own
def free_bits(kl, free):
    total = kl.mean(axis=0).sum()
    return max(total, free), np.ones_like(kl) / len(kl) * (total > free)


# %% wrong 8.4: lower by L · free
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.maximum(mean - free, 0).sum(), np.ones_like(kl) / len(kl) * (mean > free)


# %% wrong 8.4: the batch is summed
def free_bits(kl, free):
    total = kl.sum(axis=0)
    return np.maximum(total, free).sum(), np.ones_like(kl) * (total > free)


# %% wrong 8.4: averaged over L
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.maximum(mean, free).mean(), np.ones_like(kl) / len(kl) * (mean > free)


# %% wrong 8.4: dkl: the factor 1/B is missing
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.maximum(mean, free).sum(), np.ones_like(kl) * (mean > free)


# %% wrong 8.4: dkl: it must be 0 in the dimensions that still have free bits
def free_bits(kl, free):
    return np.maximum(kl.mean(axis=0), free).sum(), np.ones_like(kl) / len(kl)


# %% wrong 8.4: dkl: it is 0 for single pictures
def free_bits(kl, free):
    return np.maximum(kl.mean(axis=0), free).sum(), (kl > free) / len(kl)


# %% wrong 8.4: dkl: it is 0 in the wrong dimensions
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.maximum(mean, free).sum(), np.ones_like(kl) / len(kl) * (mean < free)


# %% wrong 8.4: dkl has the shape (3,), and should have (5, 3)
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.maximum(mean, free).sum(), (mean > free) / len(kl)


# %% wrong 8.4: this is the plain KL
def free_bits(kl, free):
    return kl.mean(axis=0).sum(), np.ones_like(kl) / len(kl) * (kl.mean(axis=0) > free)


# %% wrong 8.4: a dimension below free costs nothing here
def free_bits(kl, free):
    m = kl.mean(0)
    return np.where(m > free, m, 0).sum(), np.ones_like(kl) / len(kl) * (m > free)


# %% wrong 8.4: take it over the batch, axis=0
def free_bits(kl, free):
    m = kl.mean(1)
    return np.maximum(m, free).sum(), np.ones_like(kl) / len(kl) * (m > free)[:, None]


# %% open 8.4: dkl is still missing
def free_bits(kl, free):
    return np.maximum(kl.mean(axis=0), free).sum(), ...


# %% right 8.4
def free_bits(kl, free):
    B, L = kl.shape
    loss, dkl = 0.0, np.zeros((B, L))
    for j in range(L):
        mean = sum(kl[:, j]) / B
        loss += max(mean, free)
        dkl[:, j] = 1 / B if mean > free else 0
    return loss, dkl


# %% right 8.4
def free_bits(kl, free):
    mean = kl.mean(axis=0, keepdims=True)
    dkl = np.where(np.broadcast_to(mean, kl.shape) > free, 1 / kl.shape[0], 0.0)
    return free * kl.shape[1] + np.clip(mean - free, 0, None).sum(), dkl


# %% wrong 8.2: it returns nothing; is a branch missing?
def effective_beta(D, L, pixels, latents):
    if pixels == "mean" and latents == "sum":
        return D
    if pixels == "sum" and latents == "sum":
        return 1


# %% wrong 8.4: is an axis; np.maximum(a, b) compares two arrays
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return np.max(mean, free).sum(), (mean > free) / len(kl) * np.ones_like(kl)


# %% wrong 8.4: they come in the wrong order, and seem to be dkl, loss
def free_bits(kl, free):
    mean = kl.mean(axis=0)
    return (mean > free) / len(kl) * np.ones_like(kl), np.maximum(mean, free).sum()


# %% wrong 8.3: sigma_x: this is the variance σ_x²; its root is asked for
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return variance, 0.5 * x.shape[1] * (np.log(2 * np.pi * variance) + 1)


# %% wrong 8.3: sigma_x: the squares are summed over the D pixels; each pixel counts, so B · D
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).sum(axis=1).mean()
    return np.sqrt(variance), 0.5 * x.shape[1] * (np.log(2 * np.pi * variance) + 1)


# %% wrong 8.3: sigma_x: the squares are summed; their mean over all B · D pixels is the variance
def best_width(x, x_hat):
    sigma_x = np.linalg.norm(x - x_hat)
    return sigma_x, 0.0


# %% wrong 8.3: sigma_x: np.std and np.var subtract a mean first
def best_width(x, x_hat):
    sigma_x = np.std(x - x_hat)
    return sigma_x, 0.5 * x.shape[1] * (np.log(2 * np.pi * sigma_x**2) + 1)


# %% wrong 8.3: sigma_x: absolute differences would suit a Laplace density
def best_width(x, x_hat):
    return np.abs(x - x_hat).mean(), 0.0


# %% wrong 8.3: sigma_x: this is a mean of roots; the root comes last
def best_width(x, x_hat):
    return np.sqrt(((x - x_hat) ** 2).mean(axis=1)).mean(), 0.0


# %% wrong 8.3: sigma_x has the shape (5,), and should have ()
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean(axis=0)
    return np.sqrt(variance), 0.5 * (np.log(2 * np.pi * variance) + 1).sum()


# %% wrong 8.3: nll: the squares are left out; at the best σ_x they add up to ½ D
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return np.sqrt(variance), 0.5 * x.shape[1] * np.log(2 * np.pi * variance)


# %% wrong 8.3: nll: it is the mean over the D pixels
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return np.sqrt(variance), 0.5 * (np.log(2 * np.pi * variance) + 1)


# %% wrong 8.3: nll: 2π is missing under the logarithm
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return np.sqrt(variance), 0.5 * x.shape[1] * (np.log(variance) + 1)


# %% wrong 8.3: nll: ½ is missing before the logarithm; and nll: 2π is missing under the logarithm
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return np.sqrt(variance), x.shape[1] * (np.log(variance) + 0.5)


# %% wrong 8.3: nll: log 2πσ_x stands where log 2πσ_x² belongs
def best_width(x, x_hat):
    sigma_x = ((x - x_hat) ** 2).mean() ** 0.5
    D = x.shape[1]
    squares = ((x - x_hat) ** 2).sum() / len(x) / (2 * sigma_x**2)
    return sigma_x, squares + 0.5 * D * np.log(2 * np.pi * sigma_x)


# %% wrong 8.3: nll: the sign is flipped: this is log p
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return np.sqrt(variance), -0.5 * x.shape[1] * (np.log(2 * np.pi * variance) + 1)


# %% wrong 8.3: sigma_x and nll come in the wrong order
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()
    return 0.5 * x.shape[1] * (np.log(2 * np.pi * variance) + 1), np.sqrt(variance)


# %% wrong 8.3: sigma_x is
def best_width(x, x_hat):  # a table of widths is not enough
    table = np.linspace(0.01, 3, 50)
    away = ((x - x_hat) ** 2).sum(axis=1).mean()
    nll = away / (2 * table**2) + 0.5 * x.shape[1] * np.log(2 * np.pi * table**2)
    return table[nll.argmin()], nll.min()


# %% open 8.3: nll is still missing
def best_width(x, x_hat):
    return np.sqrt(((x - x_hat) ** 2).mean()), ...


# %% right 8.3
def best_width(x, x_hat):
    B, D = x.shape
    sigma_x = np.linalg.norm(x - x_hat) / (B * D) ** 0.5
    each = 0.5 * ((x - x_hat) / sigma_x) ** 2 + np.log(sigma_x) + 0.5 * np.log(2 * np.pi)
    return [sigma_x, each.sum(axis=1).mean()]


# %% wrong 8.5: loss: the bars are missing
def kl_target(kl, target, weight):
    return weight * (kl.sum(axis=1).mean() - target), np.full_like(kl, weight / len(kl))


# %% wrong 8.5: loss: averaged over the L dimensions too; they are summed
def kl_target(kl, target, weight):
    away = kl.mean() - target
    return weight * abs(away), np.full_like(kl, weight * np.sign(away) / kl.size)


# %% wrong 8.5: loss: the batch is summed; k is its mean
def kl_target(kl, target, weight):
    away = kl.sum() - target
    return weight * abs(away), np.full_like(kl, weight * np.sign(away))


# %% wrong 8.5: loss: |k − target| is taken for each picture
def kl_target(kl, target, weight):
    away = kl.sum(axis=1) - target
    return weight * np.abs(away).mean(), weight * np.sign(away)[:, None] / len(kl) + 0 * kl


# %% wrong 8.5: loss: |k − target| is taken for each dimension
def kl_target(kl, target, weight):
    away = kl.mean(axis=0) - target
    return weight * np.abs(away).sum(), weight * np.sign(away) / len(kl) + 0 * kl


# %% wrong 8.5: loss: it is squared
def kl_target(kl, target, weight):
    away = kl.sum(axis=1).mean() - target
    return weight * away**2, np.full_like(kl, 2 * weight * away / len(kl))


# %% wrong 8.5: loss: weight is not used
def kl_target(kl, target, weight):
    away = kl.sum(axis=1).mean() - target
    return abs(away), np.full_like(kl, np.sign(away) / len(kl))


# %% wrong 8.5: loss: weight is not used
def kl_target(kl, target, weight):
    return kl.sum(axis=1).mean() - target, np.full_like(kl, 1 / len(kl))


# %% wrong 8.5: dkl: the factor 1/B is missing
def kl_target(kl, target, weight):
    away = kl.sum(axis=1).mean() - target
    return weight * abs(away), np.full_like(kl, weight * np.sign(away))


# %% wrong 8.5: dkl: divided by L too
def kl_target(kl, target, weight):
    away = kl.sum(axis=1).mean() - target
    return weight * abs(away), np.full_like(kl, weight * np.sign(away) / kl.size)


# %% wrong 8.5: dkl: the slope of |k − target| is −1 below the target
def kl_target(kl, target, weight):
    return weight * abs(kl.sum(axis=1).mean() - target), np.full_like(kl, weight / len(kl))


# %% wrong 8.5: dkl: weight is missing
def kl_target(kl, target, weight):
    away = kl.sum(axis=1).mean() - target
    return weight * abs(away), np.full_like(kl, np.sign(away) / len(kl))


# %% wrong 8.5: dkl has the shape (), and should have (5, 3)
def kl_target(kl, target, weight):
    away = kl.sum(axis=1).mean() - target
    return weight * abs(away), weight * np.sign(away) / len(kl)


# %% wrong 8.5: `if` asks one question of a whole array
def kl_target(kl, target, weight):
    k = kl.sum(axis=1)
    if k > target:
        return weight * (k - target), np.full_like(kl, weight / len(kl))


# %% open 8.5: dkl is still missing
def kl_target(kl, target, weight):
    return weight * abs(kl.sum(axis=1).mean() - target), ...


# %% right 8.5
def kl_target(kl, target, weight):
    B, L = kl.shape
    k = sum(kl[n, j] for n in range(B) for j in range(L)) / B
    if k > target:
        return weight * (k - target), [[weight / B] * L] * B
    return weight * (target - k), [[-weight / B] * L] * B


# %% wrong 8.5: dkl: the sign is that of each picture
def kl_target(kl, target, weight):
    away = kl.sum(axis=1) - target
    return weight * abs(away.mean()), weight * np.sign(away)[:, None] / len(kl) + 0 * kl


# %% wrong 8.3: sigma_x: the squares are summed over the D pixels
def best_width(x, x_hat):
    B, D = x.shape
    v = ((x - x_hat) ** 2).sum() / B
    return v**0.5, D / 2 * np.log(2 * np.pi * v) + 0.5


# %% wrong 8.3: nll: the logarithm counts for each of the D pixels
def best_width(x, x_hat):
    v = ((x - x_hat) ** 2).mean()
    return v**0.5, 0.5 * np.log(2 * np.pi * v) + 0.5 * x.shape[1]


# %% wrong 8.3: sigma_x: divided by B · D − 1
def best_width(x, x_hat):
    v = ((x - x_hat) ** 2).sum() / (x.size - 1)
    return v**0.5, 0.5 * x.shape[1] * (np.log(2 * np.pi * v) + 1)


# %% wrong 8.3: sigma_x: this is the spread of x
def best_width(x, x_hat):
    v = x.var()
    return v**0.5, 0.5 * x.shape[1] * (np.log(2 * np.pi * v) + 1)


# %% wrong 8.3: nll: np.log10 stands where np.log belongs
def best_width(x, x_hat):
    v = ((x - x_hat) ** 2).mean()
    return v**0.5, 0.5 * x.shape[1] * (np.log10(2 * np.pi * v) + 1)


# %% right 8.3
def best_width(x, x_hat):
    e = x - x_hat
    s = np.sqrt(np.mean(e * e))
    return s, x.shape[1] * (np.log(s) + 0.5 * np.log(2 * np.pi * np.e))


# %% right 8.3
def best_width(x, x_hat):
    e2 = ((x - x_hat) ** 2).sum(1).mean()
    D = x.shape[1]

    def f(s):
        return e2 / (2 * s * s) + D / 2 * np.log(2 * np.pi * s * s)

    a, b = 1e-3, 10.0
    for _ in range(200):
        c, d = b - (b - a) * 0.618, a + (b - a) * 0.618
        if f(c) < f(d):
            b = d
        else:
            a = c
    return (a + b) / 2, f((a + b) / 2)


# %% wrong 8.3: nll: B stands where D belongs: a picture has D pixels
def best_width(x, x_hat):
    v = ((x - x_hat) ** 2).mean()
    return v**0.5, 0.5 * len(x) * (np.log(2 * np.pi * v) + 1)


# %% wrong 8.3: nll: this is the nll at σ_x = 1, not at the best σ_x
def best_width(x, x_hat):
    squares = ((x - x_hat) ** 2).sum(axis=1).mean()
    return (squares / x.shape[1]) ** 0.5, 0.5 * (squares + x.shape[1] * np.log(2 * np.pi))


# %% wrong 8.3: sigma_x: a factor of 2 stands before the mean of the squares
def best_width(x, x_hat):
    v = 2 * ((x - x_hat) ** 2).mean()
    return v**0.5, 0.5 * x.shape[1] * (np.log(2 * np.pi * v) + 1)


# %% wrong 8.3: sigma_x: a factor of ½ stands before the mean of the squares
def best_width(x, x_hat):
    v = 0.5 * ((x - x_hat) ** 2).mean()
    return v**0.5, 0.5 * x.shape[1] * (np.log(2 * np.pi * v) + 1)


# %% wrong 8.3: sigma_x: this is the logarithm of σ_x²
def best_width(x, x_hat):
    v = ((x - x_hat) ** 2).mean()
    return np.log(v), 0.5 * x.shape[1] * (np.log(2 * np.pi * v) + 1)


# %% right 8.3
def best_width(x, x_hat):
    v = np.var(np.concatenate([x - x_hat, x_hat - x]))  # whose mean is 0
    return v**0.5, 0.5 * x.shape[1] * np.log(2 * np.pi * np.e * v)


# %% wrong 8.5: loss: weight multiplies k inside the bars; it stands before them
def kl_target(kl, target, weight):
    away = weight * kl.sum(axis=1).mean() - target
    return abs(away), np.full_like(kl, weight * np.sign(away) / len(kl))


# %% wrong 8.5: loss: this is max(k, target), as of free bits; |k − target| is asked for
def kl_target(kl, target, weight):
    k = kl.sum(axis=1).mean()
    return weight * max(k, target), np.full_like(kl, weight * (k > target) / len(kl))


# %% right 8.5
def kl_target(kl, target, weight):
    def loss(kl):
        return weight * abs(kl.sum() / len(kl) - target)

    dkl = np.zeros_like(kl)
    for i in np.ndindex(kl.shape):  # central differences
        step = np.zeros_like(kl)
        step[i] = 1e-6
        dkl[i] = (loss(kl + step) - loss(kl - step)) / 2e-6
    return loss(kl), dkl
