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


# %% wrong 1.1: they come in the wrong order, and seem to be dW, dx, db: return dx, dW, db
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


# %% wrong 1.2: multiplied by max(x, 0) once too often
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


# %% wrong 1.1: it is summed, but the axis is kept as 1; leave keepdims out
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.sum(axis=0, keepdims=True)


# %% wrong 1.1: dW has lost its decimals
def dense_backward(dy, x, W):
    return dy @ W.T, (x.T @ dy).astype(int), dy.sum(axis=0)


# %% wrong 1.1: The check calls it with 3 of them
def dense_backward(dy, x):
    return dy, x.T @ dy, dy.sum(axis=0)


# %% wrong 1.2: y in relu_backward: this is the notebook's own
def relu_backward(dy, x):
    return dy * (y > 0)


# %% wrong 1.2: np.where(condition, this, that) or np.maximum answers it for each entry
def relu_backward(dy, x):
    if x > 0:
        return dy
    return 0 * dy


# %% wrong 1.2: np.maximum and np.minimum go entry by entry
def relu_backward(dy, x):
    return dy * min(1, max(x, 0))


# %% wrong 1.2: this is forward
def relu_backward(dy, x):
    return np.maximum(x, 0)


# %% wrong 1.2: dx holds complex numbers
def relu_backward(dy, x):
    return dy * (x > 0) + 0j


# %% wrong 1.3: y in backward: this is the notebook's own, no argument, not made in the function
class MySigmoid:
    def forward(self, x):
        y = 1 / (1 + np.exp(-x))
        return y

    def backward(self, dy):
        return dy * y * (1 - y)


# %% wrong 1.3: backward changes what forward returned
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        self.y *= 1 - self.y
        return dy * self.y


# %% wrong 1.3: with two of it in one network the gradients are wrong
class MySigmoid:
    def forward(self, x):
        MySigmoid.y = 1 / (1 + np.exp(-x))
        return MySigmoid.y

    def backward(self, dy):
        return dy * MySigmoid.y * (1 - MySigmoid.y)


# %% wrong 1.3: with two of it in one network the gradients are wrong
class MySigmoid:
    def forward(self, x):
        global kept
        kept = 1 / (1 + np.exp(-x))
        return kept

    def backward(self, dy):
        return dy * kept * (1 - kept)


# %% wrong 1.3: brackets, 1 / (1 + e^(−x))
class MySigmoid:
    def forward(self, x):
        self.y = 1 / 1 + np.exp(-x)
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.3: The functions of math take one number
class MySigmoid:
    def forward(self, x):
        import math

        self.y = 1 / (1 + math.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.3: The first parameter of a method is self
class MySigmoid:
    def forward(x):
        return 1 / (1 + np.exp(-x))

    def backward(self, dy):
        return dy


# %% wrong 1.3: A layer without weights needs nothing to begin with
class MySigmoid:
    def __init__(self, n):
        self.n = n

    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.4: y is tanh(2x)
class MyTanh:
    def forward(self, x):
        self.y = (np.exp(2 * x) - np.exp(-2 * x)) / (np.exp(2 * x) + np.exp(-2 * x))
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


# %% wrong 1.4: that is the sigmoid's slope
class MyTanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% wrong 1.4: 1 − x²: keep y
class MyTanh:
    def forward(self, x):
        self.x = x
        return np.tanh(x)

    def backward(self, dy):
        return dy * (1 - self.x**2)


# %% wrong 1.4: write **
class MyTanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y ^ 2)


# %% right 1.4
class MyTanh:
    def forward(self, x):
        self.x = x
        return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))

    def backward(self, dy):
        return dy * 4 / (np.exp(self.x) + np.exp(-self.x)) ** 2


# %% wrong 1.5: theta: m and v are not divided by 1 − beta**t
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return theta - lr * m / (np.sqrt(v) + epsilon), m, v


# %% wrong 1.5: theta: the gradient is added
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    step = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return theta + lr * step, m, v


# %% wrong 1.5: v: the gradient is not squared
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad
    return theta, m, v


# %% wrong 1.5: m: return m itself
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = (beta1 * m + (1 - beta1) * grad) / (1 - beta1**t)
    v = (beta2 * v + (1 - beta2) * grad**2) / (1 - beta2**t)
    return theta - lr * m / (np.sqrt(v) + epsilon), m, v


# %% wrong 1.5: epsilon stands under the root
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return theta - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + epsilon), m, v


# %% wrong 1.5: changes one of its inputs in place
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m *= beta1
    m += (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return theta - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), m, v


# %% right 1.5
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = m + (1 - beta1) * (grad - m)
    v = v + (1 - beta2) * (grad * grad - v)
    size = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
    return theta - size * m / (np.sqrt(v) + epsilon * np.sqrt(1 - beta2**t)), m, v


# %% wrong 1.4: dx: the slope is 1 − y², without another factor y
class MyTanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y**2)


# %% wrong 1.4: brackets: a fraction's upper and lower part each need a pair, (…) / (…)
class MyTanh:
    def forward(self, x):
        self.y = np.exp(x) - np.exp(-x) / np.exp(x) + np.exp(-x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


# %% right 1.4
class MyTanh:
    def forward(self, x):
        self.x = x
        return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))

    def backward(self, dy):
        return dy / np.cosh(self.x) ** 2


# %% wrong 1.5: adam_step changes one of its inputs in place (as x += 1 and x[...] = 0 do)
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m *= beta1
    m += (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return theta - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), m, v


# %% wrong 1.5: m: beta1 is 0.9 whatever is handed over: use the argument
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad**2
    return theta - lr * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + epsilon), m, v


# %% wrong 1.5: theta: t + 1 stands where t belongs: t counts this step already
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return theta - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), m, v


# %% wrong 1.5: theta: t − 1 stands where t: t counts this step already
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    t = t - 1
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return theta - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), m, v


# %% right 1.5
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = m + (1 - beta1) * (grad - m)
    v = v + (1 - beta2) * (grad * grad - v)
    s = np.sqrt(1 - beta2**t)
    return theta - lr / (1 - beta1**t) * m / (np.sqrt(v) / s + epsilon), m, v
