"""Answers to the exercises of notebook 6, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 6.1: optimizer.step is never called: the weights do not move
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    return terms


# %% wrong 6.1: model.backward is missing
def train_step(model, optimizer, x):
    terms = model.forward(x)
    optimizer.step()
    return terms


# %% wrong 6.1: step comes before backward
def train_step(model, optimizer, x):
    terms = model.forward(x)
    optimizer.step()
    model.backward()
    return terms


# %% wrong 6.1: call forward(x) before it
def train_step(model, optimizer, x):
    model.backward()
    optimizer.step()
    return model.forward(x)


# %% wrong 6.1: model.forward is never called
def train_step(model, optimizer, x):
    optimizer.step()
    return 0, 0, 0


# %% wrong 6.1: return all that forward returns
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    return terms.loss


# %% wrong 6.1: each once is enough
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    optimizer.step()
    return terms


# %% wrong 6.1: what is returned is not what forward gave
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    return np.array(terms) / len(x)


# %% open 6.1: returns nothing
def train_step(model, optimizer, x):
    model.forward(x)
    model.backward()
    optimizer.step()


# %% right 6.1
def train_step(model, optimizer, x):
    loss, reconstruction, kl = model.forward(x)
    model.backward()
    optimizer.step()
    return loss, reconstruction, kl


# %% right 6.1
def train_step(model, optimizer, x):
    eps = np.random.default_rng(1).standard_normal((len(x), 2))
    terms = model.forward(x, eps)
    model.backward()
    optimizer.step()
    return list(terms)


# %% wrong 6.2: reconstruction alone is not c: nothing holds the codes near 0 there
reconstruction_alone, kl_alone, both = "c", "a", "b"

# %% wrong 6.2: and KL alone is not b
reconstruction_alone, kl_alone, both = "a", "b", "c"

# %% wrong 6.2: both is not a
reconstruction_alone, kl_alone, both = "b", "c", "a"

# %% wrong 6.2: KL alone: answer "a", "b" or "c", not 'mixed'
reconstruction_alone, kl_alone, both = "b", "mixed", "c"

# %% open 6.2: replace the ...
reconstruction_alone, kl_alone, both = "b", ..., "c"

# %% right 6.2
reconstruction_alone, kl_alone, both = "B", " a", "C"


# %% wrong 6.3: on the way e^y grows beyond all floats
def bernoulli_nll(y, x):
    p = 1 / (1 + np.exp(-y))
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


# %% wrong 6.3: for y = 800 and x = 0 it is inf, not 800
def bernoulli_nll(y, x):
    return (np.log(1 + np.exp(y)) - x * y).sum(axis=1)


# %% wrong 6.3: is p clipped?
def bernoulli_nll(y, x):
    p = np.clip(1 / (1 + np.exp(-y)), 1e-7, 1 - 1e-7)
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


# %% wrong 6.3: is p clipped?
def bernoulli_nll(y, x):
    y = np.clip(y, -30, 30)
    return (np.log(1 + np.exp(y)) - x * y).sum(axis=1)


# %% wrong 6.3: divided by D once too often
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - x * y).mean(axis=1)


# %% wrong 6.3: nll has the shape (5, 4), and should have (5,)
def bernoulli_nll(y, x):
    return np.logaddexp(0, y) - x * y


# %% wrong 6.3: nll has the shape (), and should have (5,)
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - x * y).sum()


# %% wrong 6.3: the sign is flipped
def bernoulli_nll(y, x):
    return (x * y - np.logaddexp(0, y)).sum(axis=1)


# %% wrong 6.3: x y must be subtracted, not added
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) + x * y).sum(axis=1)


# %% wrong 6.3: the white and the black pixels are swapped
def bernoulli_nll(y, x):
    return (np.logaddexp(0, -y) - x * -y).sum(axis=1)


# %% wrong 6.3: the pixels with x = 0 count too
def bernoulli_nll(y, x):
    return (x * np.logaddexp(0, -y)).sum(axis=1)


# %% wrong 6.3: the part x y is missing
def bernoulli_nll(y, x):
    return np.logaddexp(0, y).sum(axis=1)


# %% wrong 6.3: stops with ValueError
def bernoulli_nll(y, x):
    return sum(max(v, 0) for v in y)


# %% open 6.3: nll is still missing
def bernoulli_nll(y, x):
    nll = ...
    return nll


# %% wrong 6.3: the part log(1 + e^(−|y|)) of softplus is missing
def bernoulli_nll(y, x):
    return (np.maximum(y, 0) - x * y).sum(axis=1)


# %% wrong 6.3: not e^|y|
def bernoulli_nll(y, x):
    return (np.maximum(y, 0) + np.log(1 + np.exp(np.abs(y))) - x * y).sum(axis=1)


# %% wrong 6.3: this is the squared error
def bernoulli_nll(y, x):
    return ((1 / (1 + np.exp(-y)) - x) ** 2).sum(axis=1)


# %% right 6.3
def bernoulli_nll(y, x):
    return (np.logaddexp(0, y) - x * y).sum(axis=1)


# %% right 6.3
def bernoulli_nll(y, x):
    return np.where(x == 1, np.logaddexp(0, -y), np.logaddexp(0, y)).sum(axis=1)


# %% right 6.3
def bernoulli_nll(y, x):
    log_p, log_not_p = -np.logaddexp(0, -y), -np.logaddexp(0, y)
    return [-(x[b] @ log_p[b] + (1 - x[b]) @ log_not_p[b]) for b in range(len(x))]


# %% right 6.3
def bernoulli_nll(y, x):
    softplus = np.where(y > 0, y + np.log1p(np.exp(-y)), np.log1p(np.exp(y)))
    return np.einsum("bd->b", softplus - x * y)


# %% wrong 6.4: is the same only as long as 0 < a < 1
class PReLU:
    def __init__(self, n):
        self.shapes = {"a": (n,)}
        self.a = np.full(n, 0.25)

    def forward(self, x):
        self.x = x
        return np.maximum(x, self.a * x)

    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


class RightPReLU:
    def __init__(self, n):
        self.shapes = {"a": (n,)}
        self.a = np.full(n, 0.25)

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.a * x)

    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: backward makes a new da, which no optimizer will see
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da = np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: da: zero throughout
class PReLU(RightPReLU):
    def backward(self, dy):
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: backward adds to the gradient of a
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da += np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: divided by B once too often
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x).mean(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: where x > 0 y does not depend on a
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da[...] = (dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: dx
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(dy > 0, dy, self.a * dy)


# %% wrong 6.4: dx: zero where it should not be
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, 0)


# %% wrong 6.4: backward stops with ValueError
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: y
class PReLU(RightPReLU):
    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.a)


# %% wrong 6.4: hand over the class itself
PReLU = RightPReLU(4)


# %% wrong 6.4: da: the factor dy is missing
class PReLU(RightPReLU):
    def backward(self, dy):
        self.da[...] = np.minimum(self.x, 0).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.4: it multiplies by 0.25 whatever self.a is
class PReLU(RightPReLU):
    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, 0.25 * x)


# %% open 6.4: dx is still missing
class PReLU(RightPReLU):
    def backward(self, dy):
        ...
        dx = ...
        return dx


# %% right 6.4
class PReLU:
    def __init__(self, n):
        self.shapes = {"a": (n,)}
        self.a = 0.25 * np.ones(n)

    def forward(self, x):
        self.negative = np.minimum(x, 0)
        self.slope = np.where(x > 0, 1, self.a).astype(x.dtype)
        return x * self.slope

    def backward(self, dy):
        np.einsum("bj,bj->j", dy, self.negative, out=self.da)
        return dy * self.slope
