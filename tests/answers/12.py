"""Answers to the exercises of notebook 12, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: E402, F401, F811, F821, I001


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
        vae.forward(x[:100], eps=rng.standard_normal((100, 8)))
        vae.backward()
        for name, w in vae.weights.items():
            w -= 0.001 * vae.slopes[name]
    return [0.0]


# %% wrong 12.2: train stops with KeyError
def train(vae, x, epochs, lr=0.005, seed=0):
    return vae.weights["enc3.W"]


# %% right 12.2
from tinyvae.exercises.byhand import train
