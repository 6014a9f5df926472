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


# %% wrong 6.1: model.parameters.grad changes between backward and step
def train_step(model, optimizer, x):
    t = model.forward(x)
    model.backward()
    model.parameters.grad[...] *= -1
    optimizer.step()
    return t


# %% wrong 6.1: model.parameters.grad changes between backward and step
def train_step(model, optimizer, x):
    t = model.forward(x)
    model.backward()
    model.parameters.grad[...] = 0
    optimizer.step()
    return t


# %% wrong 6.1: gets 3 of the 40 examples
def train_step(model, optimizer, x):
    t = model.forward(x)
    model.forward(x[:3])
    model.backward()
    optimizer.step()
    return t


# %% wrong 6.1: gets 1 of the 40 examples
def train_step(model, optimizer, x):
    t = model.forward(x[:1])
    model.backward()
    optimizer.step()
    return t


# %% wrong 6.1: these are the terms of another forward
def train_step(model, optimizer, x):
    model.forward(x)
    model.backward()
    optimizer.step()
    return model.forward(x)


# %% wrong 6.1: gets other numbers than x
def train_step(model, optimizer, x):
    terms = model.forward(x[::-1])
    model.backward()
    optimizer.step()
    return terms


# %% wrong 6.1: 60 steps bring the loss of a small VAE from
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.lr = -0.01
    optimizer.step()
    return terms


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
    terms = model.forward(x, eps=eps)
    model.backward()
    optimizer.step()
    return list(terms)


# %% right 6.1
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    model.forward(x)
    return terms


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


# %% wrong 6.3: e^800 is inf, and inf/inf is no number
def bernoulli_backward(y, x):
    p = np.exp(y) / (1 + np.exp(y))
    return (p - x) / len(y)


# %% wrong 6.3: B = 5: the mean's 1/B is missing
def bernoulli_backward(y, x):
    return 1 / (1 + np.exp(-y)) - x


# %% wrong 6.3: the sign is flipped
def bernoulli_backward(y, x):
    return (x - 1 / (1 + np.exp(-y))) / len(y)


# %% wrong 6.3: divided by D once too often
def bernoulli_backward(y, x):
    return (1 / (1 + np.exp(-y)) - x) / y.size


# %% wrong 6.3: dy lacks −x
def bernoulli_backward(y, x):
    return 1 / (1 + np.exp(-y)) / len(y)


# %% wrong 6.3: the exponent in p has the wrong sign
def bernoulli_backward(y, x):
    return (1 / (1 + np.exp(y)) - x) / len(y)


# %% wrong 6.3: y are logits
def bernoulli_backward(y, x):
    return (y - x) / len(y)


# %% wrong 6.3: this is the slope along p
def bernoulli_backward(y, x):
    p = 1 / (1 + np.exp(-y))
    return (-x / p + (1 - x) / (1 - p)) / len(y)


# %% wrong 6.3: it needs no p (1 − p)
def bernoulli_backward(y, x):
    p = 1 / (1 + np.exp(-y))
    return (p - x) * p * (1 - p) / len(y)


# %% wrong 6.3: that belongs to a squared error
def bernoulli_backward(y, x):
    p = 1 / (1 + np.exp(-y))
    return 2 * (p - x) * p * (1 - p) / len(y)


# %% wrong 6.3: small logits are right, but for y = 800 and x = 0, 1
def bernoulli_backward(y, x):
    y = np.clip(y, -8, 8)
    return (1 / (1 + np.exp(-y)) - x) / len(y)


# %% wrong 6.3: dy has the shape (5,), and should have (5, 4)
def bernoulli_backward(y, x):
    return ((1 / (1 + np.exp(-y)) - x) / len(y)).sum(axis=1)


# %% open 6.3: dy is still missing
def bernoulli_backward(y, x):
    dy = ...
    return dy


# %% right 6.3
def bernoulli_backward(y, x):
    return (0.5 * np.tanh(0.5 * y) + 0.5 - x) / len(y)


# %% right 6.3
def bernoulli_backward(y, x):
    return np.where(x == 1, -1 / (1 + np.exp(y)), 1 / (1 + np.exp(-y))) / y.shape[0]


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


# %% right 6.4
class PReLU:
    def __init__(self, n):
        self.shapes = {"a": (n,)}
        self.a = np.full(n, 0.1)

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.a * x)

    def backward(self, dy):
        self.da[...] = (dy * np.minimum(self.x, 0)).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% wrong 6.1: There is nothing to set to zero: backward writes the gradient
def train_step(model, optimizer, x):
    optimizer.zero_grad()
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    return terms


# %% wrong 6.1: Backward belongs to the model here, not to the loss
def train_step(model, optimizer, x):
    terms = model.forward(x)
    terms.loss.backward()
    optimizer.step()
    return terms


# %% wrong 6.1: model in train_step: this is the notebook's own
def train_step(m, optimizer, x):
    terms = model.forward(x)
    m.backward()
    optimizer.step()
    return terms


# %% wrong 6.3: np.where(condition, this, that)
def bernoulli_backward(y, x):
    p = 1 / (1 + np.exp(-y)) if y > 0 else np.exp(y) / (1 + np.exp(y))
    return (p - x) / len(y)
