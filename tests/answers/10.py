"""Answers to the exercises of notebook 10, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 10.1: the width of a cell is missing
def log_evidence(log_joint, width):
    return np.log(np.exp(log_joint).sum())


# %% wrong 10.1: this is p(x) itself
def log_evidence(log_joint, width):
    return np.exp(log_joint).sum() * width


# %% wrong 10.1: not the sum of height times width
def log_evidence(log_joint, width):
    return np.log(np.exp(log_joint).mean())


# %% wrong 10.1: around −900 e^… is 0
def log_evidence(log_joint, width):
    return np.log(np.exp(log_joint).sum() * width)


# %% right 10.1
def log_evidence(log_joint, width):
    return np.logaddexp.reduce(log_joint + np.log(width))


# %% wrong 10.2: heights times width, must
def posterior(log_joint, width):
    p = np.exp(log_joint - log_joint.max())
    return p / p.sum()


# %% wrong 10.2: not divided by p(x)
def posterior(log_joint, width):
    return np.exp(log_joint)


# %% wrong 10.2: its area must be 1
def posterior(log_joint, width):
    return np.exp(log_joint - log_joint.max())


# %% wrong 10.2: around −900 it is no number
def posterior(log_joint, width):
    p = np.exp(log_joint)
    return p / p.sum() / width


# %% right 10.2
def posterior(log_joint, width):
    p = np.exp(log_joint - log_joint.max())
    return p / (p.sum() * width)


# %% wrong 10.3: this is the variance
def straight_posterior(x, slope, offset, sigma_x):
    precision = slope**2 / sigma_x**2 + 1
    return slope * (x - offset) / sigma_x**2 / precision, 1 / precision


# %% wrong 10.3: the z that x would have without a prior
def straight_posterior(x, slope, offset, sigma_x):
    return (x - offset) / slope, abs(sigma_x / slope)


# %% wrong 10.3: the offset is not subtracted
def straight_posterior(x, slope, offset, sigma_x):
    precision = slope**2 / sigma_x**2 + 1
    return slope * x / sigma_x**2 / precision, precision**-0.5


# %% right 10.3
def straight_posterior(x, slope, offset, sigma_x):
    total = slope**2 + sigma_x**2
    return slope * (x - offset) / total, (sigma_x**2 / total) ** 0.5


# %% wrong 10.1: it is the mean over the grid, times the width
def log_evidence(log_joint, width):
    m = log_joint.max()
    return m + np.log(np.exp(log_joint - m).mean() * width)


# %% wrong 10.1: the largest value that was taken out is not added again
def log_evidence(log_joint, width):
    m = log_joint.max()
    return np.log(np.exp(log_joint - m).sum() * width)


# %% right 10.1
def log_evidence(log_joint, width):
    return np.logaddexp.reduce(log_joint + np.log(width))


# %% right 10.1
def log_evidence(log_joint, width):
    m = log_joint.max()
    p = np.exp(log_joint - m)
    return m + np.log(width * (p.sum() - 0.5 * (p[0] + p[-1])))


# %% wrong 10.3: mean: sigma_x stands where its square belongs
def straight_posterior(x, slope, offset, sigma_x):
    p = slope**2 / sigma_x + 1
    return slope * (x - offset) / sigma_x / p, p**-0.5


# %% wrong 10.3: mean: the offset is added to x
def straight_posterior(x, slope, offset, sigma_x):
    p = slope**2 / sigma_x**2 + 1
    return slope * (x + offset) / sigma_x**2 / p, p**-0.5


# %% wrong 10.3: mean: the factor slope is missing
def straight_posterior(x, slope, offset, sigma_x):
    p = slope**2 / sigma_x**2 + 1
    return (x - offset) / sigma_x**2 / p, p**-0.5


# %% wrong 10.3: straight_posterior stops with TypeError: unsupported operand type(s) for ^: 'float
def straight_posterior(x, slope, offset, sigma_x):
    p = slope ^ 2 / sigma_x ^ 2 + 1
    return slope * (x - offset) / sigma_x**2 / p, p**-0.5


# %% wrong 10.3: mean: slope stands where its square belongs
def straight_posterior(x, slope, offset, sigma_x):
    p = slope / sigma_x**2 + 1
    return slope * (x - offset) / sigma_x**2 / p, p**-0.5


# %% right 10.3
def straight_posterior(x, slope, offset, sigma_x):
    v = slope**2 + sigma_x**2
    return slope * (x - offset) / v, abs(sigma_x) / v**0.5
