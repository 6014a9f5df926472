"""Answers to the exercises of notebook 1, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 1.1: dW: 0.2 times the right value
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy / len(x), dy.sum(axis=0)


# %% wrong 1.1: dW has the shape (4, 3), and should have (3, 4): it is transposed
def dense_backward(dy, x, W):
    return dy @ W.T, dy.T @ x, dy.sum(axis=0)


# %% wrong 1.1: dW: -1 times the right value in every entry (the sign is flipped)
def dense_backward(dy, x, W):
    return dy @ W.T, -x.T @ dy, dy.sum(axis=0)


# %% wrong 1.1: db has the shape (5, 4), and should have (4,)
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy


# %% wrong 1.1: divided by B once too often
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.mean(axis=0)


# %% wrong 1.1: dx has the shape (3, 5), and should have (5, 3): it is transposed
def dense_backward(dy, x, W):
    return W @ dy.T, x.T @ dy, dy.sum(axis=0)


# %% wrong 1.1: stops with ValueError
def dense_backward(dy, x, W):
    return dy @ W, x.T @ dy, dy.sum(axis=0)


# %% wrong 1.1: returns 2 things instead of 3
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy


# %% wrong 1.1: dx has the shape (3, 4)
def dense_backward(dy, x, W):
    return x.T @ dy, dy @ W.T, dy.sum(axis=0)


# %% open 1.1: db is still missing
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, ...


# %% right 1.1
def dense_backward(dy, x, W):
    dW = sum(np.outer(x[b], dy[b]) for b in range(len(x)))
    return [np.einsum("bj,ij->bi", dy, W), dW, np.ones(len(x)) @ dy]


# %% wrong 1.2: right elsewhere
def relu_backward(dy, x):
    return dy


# %% wrong 1.2: the factor dy is missing
def relu_backward(dy, x):
    return x > 0


# %% wrong 1.2: multiplied by y once too often
def relu_backward(dy, x):
    return dy * np.maximum(x, 0)


# %% wrong 1.2: dx
def relu_backward(dy, x):
    return np.maximum(dy, 0)


# %% wrong 1.2: the sign is flipped
def relu_backward(dy, x):
    return -dy * (x > 0)


# %% wrong 1.2: dx has the shape (), and should have (5, 4)
def relu_backward(dy, x):
    return np.sum(dy * (x > 0))


# %% wrong 1.2: changes one of its inputs in place
def relu_backward(dy, x):
    dy[x < 0] = 0
    return dy


# %% wrong 1.2: a tuple of one: is there a stray comma after dx?
def relu_backward(dy, x):
    return (dy * (x > 0),)


# %% right 1.2
def relu_backward(dy, x):
    dx = dy.copy()
    dx[x < 0] = 0
    return dx


# %% right 1.2
def relu_backward(dy, x):
    return dy * (np.sign(x) + 1) / 2


# %% wrong 1.3: the exponent has the wrong sign
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.3: dx: multiplied by y once too often
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y**2 * (1 - self.y)


# %% wrong 1.3: dx: the factor dy is missing
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return self.y * (1 - self.y)


# %% wrong 1.3: the sign is flipped
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (self.y - 1)


# %% wrong 1.3: backward stops with AttributeError
class MySigmoid:
    def forward(self, x):
        return 1 / (1 + np.exp(-x))

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.3: each forward must keep its own y
class MySigmoid:
    def forward(self, x):
        y = 1 / (1 + np.exp(-x))
        if not hasattr(self, "y"):
            self.y = y
        return y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.3: the factor 1 − y is missing
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y


# %% wrong 1.3: this is x (1 − x)
class MySigmoid:
    def forward(self, x):
        self.y = x
        return 1 / (1 + np.exp(-x))

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% open 1.3: dx is still missing
class MySigmoid:
    def forward(self, x):
        return 1 / (1 + np.exp(-x))

    def backward(self, dy):
        dx = ...
        return dx


# %% right 1.3
class MySigmoid:
    def forward(self, x):
        self.x = x
        return 0.5 * np.tanh(0.5 * x) + 0.5

    def backward(self, dy):
        return dy * np.exp(-self.x) / (1 + np.exp(-self.x)) ** 2


# %% wrong 1.1: this needs a function
dense_backward = np.ones((3, 4))


# %% wrong 1.2: dx passes where x is negative
def relu_backward(dy, x):
    return np.where(x < 0, dy, 0)


# %% wrong 1.3: MySigmoid has no method backward
class MySigmoid:
    def forward(self, x):
        return 1 / (1 + np.exp(-x))


# %% wrong 1.3: 1 − y² is the slope of tanh
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)
