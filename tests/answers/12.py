"""Answers to the exercises of notebook 12, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: E402, F811, F821, I001


# %% open 12.1: self.weights is still empty
class MyVAE:
    def __init__(self, n_features, latent_dim, hidden, seed=0):
        self.weights, self.slopes = {}, {}


# %% wrong 12.1: hand over the class itself
MyVAE = 3

# %% wrong 12.1: the audit finds sampler-std
from tinyvae.exercises.byhand import SigmaIsExpLogvar as MyVAE

# %% wrong 12.1: its ½ is missing
from tinyvae.exercises.byhand import KLWithoutHalf as MyVAE

# %% wrong 12.1: the slopes of enc1.W, enc1.b, enc2.W, enc2.b are not those of the loss
from tinyvae.exercises.byhand import LogvarSlopeWithoutHalf as MyVAE

# %% wrong 12.1: nll is a mean over the pixels
from tinyvae.exercises.byhand import MeanOverPixels as MyVAE

# %% wrong 12.1: nll is not finite at logits of 1000
from tinyvae.exercises.byhand import HandVAE


class MyVAE(HandVAE):
    def nll(self, x, y):
        return (np.log(1 + np.exp(y)) - x * y).sum(axis=1)


# %% wrong 12.1: backward leaves no self.slopes
class MyVAE(HandVAE):
    def backward(self):
        super().backward()
        del self.slopes["enc1.b"]


# %% right 12.1
class MyVAE(HandVAE):
    def nll(self, x, y):
        return (np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y))) - x * y).sum(axis=1)


# %% wrong 12.2: the weights of vae do not move
def train(vae, x, epochs, lr=0.005, seed=0):
    for w in vae.weights.values():
        w = w + 1
    return [0.0]


# %% wrong 12.2: can be reached with Adam
def train(vae, x, epochs, lr=0.005, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(2):
        vae.forward(x[:100], rng.standard_normal((100, 8)))
        vae.backward()
        for name, w in vae.weights.items():
            w -= 0.001 * vae.slopes[name]
    return [0.0]


# %% wrong 12.2: train stops with KeyError
def train(vae, x, epochs, lr=0.005, seed=0):
    return vae.weights["enc3.W"]


# %% right 12.2
from tinyvae.exercises.byhand import train


# %% wrong 12.1: 5 times the right ones: the mean over the B = 5 examples has a 1/B
class MyVAE(HandVAE):
    def backward(self):
        super().backward()
        self.slopes = {name: slope * len(self.x) for name, slope in self.slopes.items()}


# %% wrong 12.1: does backward add to the slopes of the call before
class MyVAE(HandVAE):
    def backward(self):
        before = dict(self.slopes)
        super().backward()
        self.slopes = {name: dw + before.get(name, 0) for name, dw in self.slopes.items()}


# %% wrong 12.1: eps is the only noise
class MyVAE(HandVAE):
    def draw(self, mu, logvar, eps):
        return mu + np.exp(0.5 * logvar) * np.random.default_rng().standard_normal(mu.shape)


# %% open 12.1: z is still missing
class MyVAE(HandVAE):
    def draw(self, mu, logvar, eps):
        return ...


# %% wrong 12.2: the loss explodes in the training
def train(vae, x, epochs, lr=0.005, seed=0):
    rng = np.random.default_rng(seed)
    for start in range(0, len(x), 100):
        batch = x[start : start + 100]
        vae.forward(batch, rng.standard_normal((len(batch), 8)))
        vae.backward()
        for name, w in vae.weights.items():
            w += 1e200 * vae.slopes[name]


# %% wrong 12.1: kl: 0.2 times the right value in every entry (1/B with B = 5
from tinyvae.exercises.byhand import KLMeanOverBatchTwice as MyVAE

# %% wrong 12.1: all first weights are 0
from tinyvae.exercises.byhand import HandVAE


class MyVAE(HandVAE):
    def __init__(self, *sizes, **named):
        super().__init__(*sizes, **named)
        self.weights = {name: 0 * w for name, w in self.weights.items()}


# %% wrong 12.2: the loss explodes in the training
from tinyvae.exercises import byhand


def train(vae, x, epochs, lr=0.005, seed=0):
    backward = vae.backward

    def uphill():
        backward()
        vae.slopes = {name: -slope for name, slope in vae.slopes.items()}

    vae.backward = uphill
    byhand.train(vae, x, epochs, lr)
    vae.backward = backward
