# ruff: noqa: E402

# %% [markdown]
# # 6. What each term does
#
# **The question.** The loss of a VAE has two terms. What would the latent plane look like if it
# had only one of them?
#
# **At the end you can** train a VAE with a loop of your own, say what each term of its loss is
# there for, train on black and white pictures, and put a layer of your own into the model.
#
# **Time:** about 25 minutes. **You need:** layers and Adam from notebook 1, the reconstruction
# term from notebook 3, `z = mu + σ eps` from notebook 4, the KL from notebook 5.

# %% [markdown]
# ## All parts in one model
#
# ```text
# x ──▶ encoder ──▶ mu, logvar ──▶ z = mu + σ eps ──▶ decoder ──▶ x_hat
#                       │                                           │
#                       ▼                                           ▼
#                      KL                          reconstruction: −log p(x|z)
# ```
#
# The loss adds two terms, each with a weight:
#
# ```text
# loss = reconstruction_weight · reconstruction + beta · KL
# ```
#
# The reconstruction says how badly the decoder's picture explains x. The KL says how far the codes
# are from the prior N(0, 1). Both are in nats, for one picture, averaged over the batch. With both
# weights 1, −loss is the ELBO of notebook 3.
#
# This is the whole model. The decoder ends in a sigmoid (`output="sigmoid"`), as pixels lie
# between 0 and 1. With σ² = ½ for p(x|z), the reconstruction is the sum of squared differences,
# plus a constant. (This σ belongs to the decoder's answer. The σ in z = mu + σ eps belongs to the
# encoder's.)

# %%
import inspect

import numpy as np

from tinyvae import VAE, figures, load_dataset

digits = load_dataset("digits")

options = {"sigma": 0.5**0.5, "output": "sigmoid", "seed": 0}
options["backend"] = "numpy"  # also where there is a GPU


def new_model(**weights):
    return VAE(784, 2, hidden=(256, 128), **options, **weights)


model = new_model(reconstruction_weight=1.0, beta=1.0)
terms = model.forward(digits.x_train[:100])
print(f"loss {terms.loss:.1f} = reconstruction {terms.reconstruction:.1f} + KL {terms.kl:.1f}")

# %% [markdown]
# ## The way back
#
# The backward pass visits the parts in reverse order. One thing is new. mu acts on the loss in two
# ways: through z, and through the KL. By the chain rule, the slopes of all ways from mu to the
# loss are added. The same holds for logvar.
#
# ```text
# dmu     = dz               +  beta/B · mu
# dlogvar = dz · ½ σ eps     +  beta/B · ½ (σ² − 1)
#           through z           through the KL
# ```
#
# You derived the left column in notebook 4 and the right one in notebook 5. Here they meet.
# (`counts` is 1 here; notebook 8 needs it. `@in_threads` lets several cores share large products.)

# %%
print(inspect.getsource(VAE.backward))

# %% [markdown]
# Every slope of the whole model, by central differences, on a VAE small enough to try all its
# weights. The noise must be held still for that, so it is passed in as `eps`.

# %%
from tinyvae import gradcheck

rng = np.random.default_rng(6)
small = VAE(6, 2, hidden=(4,), activation="tanh", sigma=1.0, dtype="float64", backend="numpy")
x, eps = rng.standard_normal((5, 6)), rng.standard_normal((5, 2))
print(gradcheck.check(small, x, eps=eps))

# %% [markdown]
# ## A step of training
#
# Three calls make a step. `model.forward(x)` draws fresh noise, computes the loss of a batch, and
# keeps what the way back needs. `model.backward()` writes the slopes of all weights into one
# vector, `model.parameters.grad`. `optimizer.step()` looks at this vector and moves the weights.
#
# ### Exercise 6.1: a step of training
#
# Write them in the right order. `x` is a batch `(B, D)`. Return what `forward` returns: the loss
# and its two terms.


# %% exercise 6.1
def train_step(model, optimizer, x):
    terms = ...
    return terms


# %% check 6.1
from tinyvae.exercises import training as check

check.train_step(train_step)

# %% [markdown] hint 6.1
# `backward` and `step` take nothing and return nothing. Which of the three must know what another
# one has computed?


# %% solution 6.1
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    return terms


# %% [markdown]
# ## The loop
#
# Training is this step for every batch, and that for several epochs. Here it is in full:

# %% long
from tinyvae import Adam
from tinyvae.data import batches

optimizer = Adam(model.parameters, lr=0.001)
rng = np.random.default_rng(0)
for epoch in range(1, 6):
    means = np.zeros(3)
    for rows in batches(len(digits.x_train), 100, rng):
        terms = model.forward(digits.x_train[rows])
        model.backward()
        optimizer.step()
        means += np.array(terms) * len(rows) / len(digits.x_train)
    print("epoch {}: loss {:.1f} = reconstruction {:.1f} + KL {:.2f}".format(epoch, *means))

# %% [markdown]
# Before the training, the reconstruction was above 600 nats and the KL near 0. Now the encoder
# *pays* about 3 nats of KL to tell pictures apart, because the reconstruction gains far more by
# it. (Of the reconstruction, the constant ½ · 784 · log 2πσ² is about 449 nats. No training can
# change that part.)
#
# `tinyvae.fit` is this loop with a history, a progress bar, and checks of what you pass in. We use
# it from here on.

# %% [markdown]
# ## Take one term away
#
# Now the experiment. Three models, with the same first weights and the same batches:
#
# ```text
# reconstruction alone    reconstruction_weight = 1    beta = 0
# KL alone                reconstruction_weight = 0    beta = 1
# both                    reconstruction_weight = 1    beta = 1
# ```
#
# ### Exercise 6.2: predict the three latent planes
#
# After training, the codes z of the test pictures are drawn as points, coloured by digit, with
# circles at 1, 2 and 3 standard deviations of the prior. Which picture belongs to which loss?
#
# - **a**: one round cloud around 0, all digits mixed.
# - **b**: clumps of digits, spread far beyond the circles, with gaps between them.
# - **c**: regions of digits that touch, and together fill the circles.
#
# Think of what each term asks for, then write a letter for each. A prediction teaches more than a
# look at the answer, even when it is wrong.

# %% exercise 6.2
reconstruction_alone = ...  # "a", "b" or "c"
kl_alone = ...
both = ...

# %% check 6.2
check.planes(reconstruction_alone, kl_alone, both)

# %% [markdown] hint 6.2
# The KL is ½ (mu² + σ² − 1 − log σ²) for each dimension. Where is it smallest? And what does the
# decoder need from the codes of two different pictures, so that it can draw both?

# %% solution 6.2
reconstruction_alone = "b"
kl_alone = "a"
both = "c"

# %% [markdown]
# ## Run it
#
# `tinyvae.figures.panels` trains the three and draws their planes. Above: a draw z for each of the
# 500 test pictures. Below: what the decoder makes of each place of the same plane.

# %% long
from tinyvae.figures import panels

models = panels.train_three(digits.x_train, epochs=10, backend="numpy")
panels.figure(models, digits.x_test, digits.y_test, (28, 28))

# %% [markdown]
# And in numbers, on the test pictures: both terms (each without its weight), how far the centres
# `mu` are spread, and how wide a typical σ is.

# %% long
from tinyvae import evaluate

print("                        reconstruction     KL   spread of mu   typical σ")
for name, one in zip(("reconstruction alone", "KL alone", "both"), models, strict=True):
    terms = evaluate.elbo(one, digits.x_test)
    mu, logvar = one.encode(digits.x_test)
    spread, width = mu.std(axis=0).mean(), np.median(np.exp(0.5 * logvar))
    print(f"{name:22} {terms.reconstruction:15.1f}  {terms.kl:5.1f} {spread:14.2f} {width:11.2f}")

# %% [markdown]
# **Reconstruction alone.** Noise in z blurs what the decoder draws, so the encoder gets rid of it
# in two ways: it makes σ small, and it moves the codes far apart. Nothing holds it back, as the KL
# of about 20 nats costs nothing. What remains is nearly the autoencoder of notebook 2. A draw from
# N(0, 1) lands in one small corner of this plane.
#
# **KL alone.** Every picture gets mu = 0 and σ = 1: the KL is 0, and z is pure noise that says
# nothing about x. The decoder gets no gradient at all, so it still has its first random weights.
# That can be seen in the gradient:

# %%
kl_only = new_model(reconstruction_weight=0.0)
kl_only.forward(digits.x_train[:100])
kl_only.backward()
for network in ("encoder", "decoder"):
    slopes = [g for name, g in kl_only.parameters.gradients.items() if name.startswith(network)]
    print(f"{network}: largest slope {max(np.abs(g).max() for g in slopes):.3f}")

# %% [markdown]
# **Both.** On these test pictures its reconstruction is about as good as that of the first, at a
# fraction of the KL. Every code costs nats by its distance from 0 and by its narrowness. So only
# differences that pay are kept, and the codes come to lie as close together as σ allows. Wherever
# a draw from N(0, 1) lands, some picture's code is near.
#
# That is the whole idea of a VAE: the reconstruction pushes codes apart, the KL pulls them
# together, and between the two the plane is filled.

# %% [markdown]
# ## Black or white: another likelihood
#
# So far p(x|z) was a normal distribution around x_hat. Notebook 3 had a second one, for pixels
# that are either 0 or 1: the **Bernoulli** distribution. The decoder's outputs y are logits, p =
# 1/(1 + e^(−y)) is the probability of a 1, and the loss of a picture is
#
# ```text
# nll_b = Σ_d [ log(1 + e^y_bd) − x_bd y_bd ]
# ```
#
# In a model, the reconstruction is the mean of these over the batch, 1/B Σ_b nll_b. To train with
# it we need its gradient along y.
#
# In log(1 + e^y) the outer function is a logarithm: its slope is 1 over what stands in it. The
# inner function 1 + e^y has the slope e^y. The chain rule multiplies:
#
# ```text
# ∂/∂y log(1 + e^y) = 1/(1 + e^y) · e^y = e^y/(1 + e^y) = 1/(e^(−y) + 1) = p
# ```
#
# (Before the last step, e^y was divided out above and below.) In x y, y has the factor x. And each
# y_bd stands in one term only:
#
# ```text
# dy_bd = 1/B · (p_bd − x_bd)                                    dy (B, D)
# ```
#
# The slope is the error itself: what was predicted, less what was there. Let us see it for a pixel
# x = 0 at several logits, beside a central difference of the loss (`np.logaddexp(0, y)` is log(1 +
# e^y) without overflow):

# %%
h = 1e-5
for y in (-3.0, 0.0, 3.0, 30.0):
    numeric = (np.logaddexp(0, y + h) - np.logaddexp(0, y - h)) / (2 * h)
    print(f"y = {y:4}:  p − x = {1 / (1 + np.exp(-y)):.6f}    central difference {numeric:.6f}")

# %% [markdown]
# However wrong the model is, no slope is larger than 1. A single pixel cannot tear the weights
# away.
#
# ### Exercise 6.3: the backward pass of the Bernoulli loss
#
# The function gets logits `y (B, D)` and pixels `x (B, D)`. It returns `dy (B, D)`, the gradient
# of the batch's mean. It must be right for logits of any size: try 800 in each form of p above,
# before you choose one.


# %% exercise 6.3
def bernoulli_backward(y, x):
    dy = ...  # (B, D)
    return dy


# %% check 6.3
check.bernoulli_backward(bernoulli_backward)

# %% [markdown] hint 6.3
# e^800 is larger than the largest float and becomes `inf`. What is inf/inf? What is 1/inf?


# %% solution 6.3
def bernoulli_backward(y, x):
    p = 1 / (1 + np.exp(-y))  # (B, D); for y = −800 it is 1/inf = 0
    return (p - x) / len(y)


# %% [markdown]
# In the package, where `forward` has kept p, and the factor 1/B comes in as `dnll`:

# %%
from tinyvae import Bernoulli

print(inspect.getsource(Bernoulli.backward))

# %% [markdown]
# ## A layer of your own
#
# A model can be made of any layers: objects with `forward(x)` and `backward(dy)`. A layer that has
# weights declares their shapes. The model then gives it `self.s`, a view into the vector of all
# weights, and `self.ds`, the same view into the gradient. The layer writes into `self.ds`. It must
# not make a new array there, as the optimizer would never see it.
#
# Here is a layer that multiplies each of n inputs by a weight of its own, y_bj = x_bj s_j. By the
# chain rule, x_bj has the slope dy_bj s_j. And s_j stands in every example, so its slopes are
# added over the batch: ds_j = Σ_b dy_bj x_bj.


# %%
class Scale:
    def __init__(self, n):
        self.shapes = {"s": (n,)}
        self.s = np.ones(n)  # first values

    def forward(self, x):  # (B, n)
        self.x = x
        return x * self.s

    def backward(self, dy):  # (B, n)
        self.ds[...] = (dy * self.x).sum(axis=0)  # (n,): writes into the array that is there
        return dy * self.s  # (B, n)


print(gradcheck.check(Scale(3)))

# %% [markdown]
# It can stand in a VAE like any other layer, here with the Bernoulli loss and pictures in black
# and white. The encoder's last layer is 4 wide: 2 numbers for mu, 2 for logvar.

# %% long
from tinyvae import Dense, ReLU, Sequential, fit

encoder = Sequential(Dense(784, 128, "he"), Scale(128), ReLU(), Dense(128, 4))
decoder = Sequential(Dense(2, 128, "he"), ReLU(), Dense(128, 784))
layers = {"encoder": encoder, "decoder": decoder}
own = VAE(**layers, likelihood="bernoulli", backend="numpy", seed=0)
black_and_white = (digits.x_train > 0.5).astype(np.float32)
history = fit(own, black_and_white, epochs=10, batch_size=100, lr=0.003, progress=False)
print("first and last loss:", *(round(history[epoch]["loss"]) for epoch in (0, -1)))
x = (digits.x_test[:10] > 0.5).astype(np.float32)
figures.reconstructions(x, own.reconstruct(x), (28, 28))

# %% [markdown]
# ### Exercise 6.4: an activation that learns
#
# ReLU sets negative numbers to 0. This layer multiplies them by a slope a_j instead, and learns a
# slope for each of its n units (He et al. 2015, "PReLU"):
#
# ```text
# y_bj = x_bj            where x_bj > 0
#        a_j · x_bj      elsewhere
# ```
#
# Find ∂y/∂x and ∂y/∂a for both cases, and write the layer. The check tries it alone, inside a VAE,
# and in a short training.


# %% exercise 6.4
class PReLU:
    def __init__(self, n):
        self.shapes = {"a": (n,)}
        self.a = np.full(n, 0.25)  # first values

    def forward(self, x):  # (B, n)
        y = ...  # (B, n)
        return y

    def backward(self, dy):  # (B, n)
        ...  # write ∂loss/∂a (n,) into self.da
        dx = ...  # (B, n)
        return dx


# %% check 6.4
check.prelu_layer(PReLU)

# %% [markdown] hint 6.4
# `np.where(condition, this, that)` chooses entry by entry. Where x > 0, a does not act on y at
# all, so that entry adds nothing to da. And `backward` needs x, so `forward` must keep it.


# %% solution 6.4
class PReLU:
    def __init__(self, n):
        self.shapes = {"a": (n,)}
        self.a = np.full(n, 0.25)

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.a * x)

    def backward(self, dy):
        self.da[...] = np.where(self.x > 0, 0, dy * self.x).sum(axis=0)
        return np.where(self.x > 0, dy, self.a * dy)


# %% [markdown]
# ## In three lines
#
# - A step of training is forward, backward, step; mu and logvar get slopes from two sides, which
#   are added.
# - The reconstruction alone scatters the codes, the KL alone erases them; together they fill the
#   plane around 0 without gaps.
# - The Bernoulli loss has the plainest gradient of all, p − x; and any layer with a forward and a
#   backward pass can stand in the model.
#
# **Next:** a plane without gaps can be walked through. Notebook 7 does: new digits, the way from
# one digit to another, and a page in your browser where every point is a picture.
