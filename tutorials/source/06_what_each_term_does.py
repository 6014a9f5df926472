# ruff: noqa: E402

# %% [markdown]
# # 6. What each term does
#
# **The question.** The loss of a VAE has two terms. What would the latent plane look like if it
# had only one of them?
#
# **At the end you can** train a VAE with a loop of your own, say what each term of its loss is
# there for, see over-fitting and tell it from learning, train on black and white pictures, and put
# a layer of your own into the model.
#
# **Time:** about 70 minutes. **You need:** layers and Adam from notebook 1, the reconstruction term
# from notebook 3, `z = mu + σ eps` from notebook 4, the KL from notebook 5.

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
# The loss adds two terms, each with a factor before it:
#
# $$\text{loss} = \text{reconstruction\_weight} \cdot \text{reconstruction} + \beta \cdot KL$$
#
# The reconstruction says how badly the decoder's picture explains x. The KL says how far the codes
# are from the prior N(0, 1). Both are in nats, for one picture, averaged over the batch. With both
# factors 1, −loss is the ELBO of notebook 3.
#
# The package makes the whole model in one call. The decoder ends in a sigmoid
# (`output="sigmoid"`), as pixels lie between 0 and 1. With σ_x² = ½ for p(x|z), the reconstruction
# is the sum of squared differences, plus a constant. (σ_x, in code `sigma=`, belongs to the
# decoder's answer. The σ in z = mu + σ eps belongs to the encoder's.)

# %%
import inspect

import numpy as np

from tinyvae import VAE, figures, load_dataset

digits = load_dataset("digits")

options = {"sigma": 0.5**0.5, "output": "sigmoid", "seed": 0, "backend": "numpy"}


def new_model(**weights):
    return VAE(784, 2, hidden=(256, 128), **options, **weights)


model = new_model(reconstruction_weight=1.0, beta=1.0)
terms = model.forward(digits.x_train[:100])
print(f"loss {terms.loss:.1f} = reconstruction {terms.reconstruction:.1f} + KL {terms.kl:.1f}")

# %% [markdown]
# What does `forward` do? Nothing that you have not written yourself. Here it is, whole: the
# encoder's last layer has 4 columns, 2 for mu and 2 for logvar; the rest is the picture above,
# from left to right. With the same noise `eps` it gives the same numbers.

# %%
x = digits.x_train[:100]  # (B, D)
eps = np.random.default_rng(1).standard_normal((100, 2)).astype(np.float32)  # (B, L)

h = model.encoder.forward(x)  # (B, 2L)
mu, logvar = h[:, :2], h[:, 2:]  # (B, L) each
z = mu + np.exp(0.5 * logvar) * eps  # (B, L)
x_hat = model.decode(z)  # (B, D): the decoder's layers, and the sigmoid at their end
sigma_x = 0.5**0.5
nll = 0.5 * (x - x_hat) ** 2 / sigma_x**2 + 0.5 * np.log(2 * np.pi * sigma_x**2)  # (B, D)
kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)  # (B, L)
reconstruction, kl = nll.sum(axis=1).mean(), kl.sum(axis=1).mean()

print(f"by hand:       reconstruction {reconstruction:.4f}, KL {kl:.4f}")
terms = model.forward(x, eps=eps)
print(f"model.forward: reconstruction {terms.reconstruction:.4f}, KL {terms.kl:.4f}")

# %% [markdown]
# And this is the package's own, with nothing left out. (`c` are labels for a model that is told
# the digit: None here, and `beside(x, None)` is x. `counted` is the KL itself, and `counts` is 1;
# notebook 8 needs them.)

# %%
print(inspect.getsource(VAE.loss))

# %% [markdown]
# ## The way back
#
# The backward pass visits the parts in reverse order. One thing is new. mu acts on the loss in two
# ways: through z, and through the KL. By the chain rule, the slopes of all ways from mu to the
# loss are added. The same holds for logvar.
#
# $$d\mu = \underbrace{dz}_{\text{through } z} + \underbrace{\tfrac{\beta}{B}\, \mu}_{\text{through
# the KL}} \qquad d\text{logvar} = \underbrace{dz \cdot \tfrac12 \sigma \varepsilon}_{\text{through
# } z} + \underbrace{\tfrac{\beta}{B} \cdot \tfrac12 (\sigma^2 - 1)}_{\text{through the KL}}$$
#
# You derived the left parts in notebook 4 and the right ones in notebook 5. Here they meet:

# %%
print(inspect.getsource(VAE.gradient))

# %% [markdown]
# ## Once with numbers
#
# Here is one step there and back through a VAE so small that each number has a place: 3 pixels, 2
# hidden units, 1 latent number, 2 hidden units, 3 pixels, one example, no constants. First forward:

# %%
x = np.array([[1.0, 0.0, 0.5]])  # (1, 3)
W_1 = np.array([[0.8, -0.4], [0.3, 0.5], [-0.6, 0.9]])  # (3, 2)
W_mu, W_logvar = np.array([[1.0], [0.5]]), np.array([[-0.5], [0.8]])  # (2, 1) each
W_3 = np.array([[0.9, -0.7]])  # (1, 2)
W_4 = np.array([[0.6, 0.1, -0.3], [-0.8, 0.2, 0.4]])  # (2, 3)
eps = 0.5


def loss_of(W_1):
    h = np.tanh(x @ W_1)  # (1, 2)
    mu, logvar = h @ W_mu, h @ W_logvar  # (1, 1) each
    sigma = np.exp(0.5 * logvar)
    z = mu + sigma * eps  # (1, 1)
    g = np.tanh(z @ W_3)  # (1, 2)
    x_hat = g @ W_4  # (1, 3)
    reconstruction = ((x - x_hat) ** 2).sum()  # σ_x² = ½, without the constant
    kl = 0.5 * (mu**2 + sigma**2 - 1 - logvar).sum()
    return h, mu, logvar, sigma, z, g, x_hat, reconstruction, kl


h, mu, logvar, sigma, z, g, x_hat, reconstruction, kl = loss_of(W_1)
forward = {"h": h, "mu": mu, "logvar": logvar, "sigma": sigma, "z": z, "g": g, "x_hat": x_hat}
for name, values in forward.items():
    print(f"{name:7}", *(f"{value:7.3f}" for value in values[0]))
print(f"loss {reconstruction + kl:.3f} = reconstruction {reconstruction:.3f} + KL {kl:.3f}")

# %% [markdown]
# Then back, from the last line to the first. Each line is a formula that you have derived:

# %%
dx_hat = 2 * (x_hat - x)  # the squares
dg = dx_hat @ W_4.T  # a dense layer
dz = (dg * (1 - g**2)) @ W_3.T  # tanh, and a dense layer
dmu = dz + mu  # through z, and through the KL
dlogvar = dz * 0.5 * sigma * eps + 0.5 * (sigma**2 - 1)
dh = dmu @ W_mu.T + dlogvar @ W_logvar.T  # h acts on both
dW_1 = x.T @ (dh * (1 - h**2))  # (3, 2)
back = {"dx_hat": dx_hat, "dg": dg, "dz": dz, "dmu": dmu, "dlogvar": dlogvar, "dh": dh}
for name, values in back.items():
    print(f"{name:7}", *(f"{value:7.3f}" for value in values[0]))

step, nudge = 1e-5, np.array([[1.0, 0], [0, 0], [0, 0]])
up, down = (sum(loss_of(W_1 + sign * step * nudge)[-2:]) for sign in (1, -1))
print(f"dW_1[0, 0] = {dW_1[0, 0]:.6f}; by a central difference {(up - down) / (2 * step):.6f}")

# %%
from tinyvae.exercises import pictures

pictures.there_and_back(
    [
        ("x", x[0], None),
        ("h", h[0], dh[0]),
        ("mu, logvar", np.array([mu[0, 0], logvar[0, 0]]), np.array([dmu[0, 0], dlogvar[0, 0]])),
        ("z", z[0], dz[0]),
        ("g", g[0], dg[0]),
        ("x_hat", x_hat[0], dx_hat[0]),
    ]
)

# %% [markdown]
# ## All slopes at once
#
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
# `optimizer.step()` looks at one vector, `model.parameters.grad`, and moves the weights against
# it. `model.backward()` writes that vector; it needs what a forward pass kept. And
# `model.forward(x)` draws fresh noise and computes the loss of a batch.
#
# ### Exercise 6.1: a step of training
#
# Write a whole step. `x` is a batch `(B, D)`. Return what `forward` returns: the loss and its two
# terms.


# %% exercise 6.1
def train_step(model, optimizer, x):
    terms = ...
    return terms


# %% check 6.1
from tinyvae.exercises import training as check

train_step = check.train_step(train_step)

# %% [markdown] hint 6.1
# Which of the three must know what another one has computed?
#
# That gives the order. Which of them takes the batch?
#
# And which of them returns something?


# %% solution 6.1
def train_step(model, optimizer, x):
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    return terms


# %% [markdown]
# ## The loop
#
# Training is this step for every batch, and that for several epochs. Here it is in full, with your
# `train_step`:

# %% long
from tinyvae import Adam
from tinyvae.data import batches

optimizer = Adam(model.parameters, lr=0.001)
rng = np.random.default_rng(0)
for epoch in range(1, 6):
    means = np.zeros(3)
    for rows in batches(len(digits.x_train), 100, rng):
        terms = train_step(model, optimizer, digits.x_train[rows])
        means += np.array(terms) * len(rows) / len(digits.x_train)
    print("epoch {}: loss {:.1f} = reconstruction {:.1f} + KL {:.2f}".format(epoch, *means))

# %% [markdown]
# Before the training, the reconstruction was above 600 nats and the KL near 0. Now the encoder
# *pays* about 3 nats of KL to tell pictures apart, because the reconstruction gains far more by
# it. (Of the reconstruction, the constant ½ · 784 · log 2πσ_x² is about 449 nats. No training can
# change that part.)
#
# `tinyvae.fit` is this loop with a history, a progress bar, and checks of what you pass in. We use
# it from here on.

# %% [markdown]
# ## Take one term away
#
# Three models, with the same first weights and the same batches:
#
# | | `reconstruction_weight` | `beta` |
# |---|---|---|
# | reconstruction alone | 1 | 0 |
# | KL alone | 0 | 1 |
# | both | 1 | 1 |
#
# ### Exercise 6.2: predict the three latent planes
#
# After training, the codes z of the test pictures are drawn as points, coloured by digit, with
# circles at 1, 2 and 3 standard deviations of the prior. (In a plane they hold 39 %, 86 % and 99 %
# of its draws. Of one number two thirds lie within 1; both of two numbers do so less often.) Which
# picture belongs to which loss?
#
# - **a**: one round cloud around 0, all digits mixed.
# - **b**: digits of a kind together, spread far beyond the circles.
# - **c**: digits of a kind together, nearly all within the circles.
#
# Think of what each term asks for, then write a letter for each. A prediction teaches more than a
# look at the answer, even when it is wrong. The picture below is folded up until you open it.

# %% exercise 6.2
reconstruction_alone = ...  # "a", "b" or "c"
kl_alone = ...
both = ...

# %% check 6.2
check.planes(reconstruction_alone, kl_alone, both)

# %% [markdown] hint 6.2
# For which mu and σ is ½ (mu² + σ² − 1 − log σ²) smallest, and what do all pictures then have in
# common?
#
# What does the decoder need from the codes of two different pictures, so that it can draw both?
#
# And if nothing costs, how far apart may they be?

# %% solution 6.2
reconstruction_alone = "b"
kl_alone = "a"
both = "c"

# %% [markdown]
# ## Run it
#
# `tinyvae.figures.panels` trains the three, each for 30 epochs, and draws them on the same axes.
# First row: a draw z for each of the 500 test pictures. Second: what the decoder makes of each
# place where the prior has its draws. Third: 24 draws from the prior, the same in all three,
# decoded.

# %% long covered
from tinyvae.figures import panels

models = panels.train_three(digits.x_train, backend="numpy")
panels.figure(models, digits.x_test, digits.y_test, (28, 28))

# %% [markdown]
# And in numbers: both terms (each without its factor), on the pictures that the models learnt from
# and on new ones; how far the centres `mu` are spread, and how wide a typical σ is.

# %% long covered
from tinyvae import evaluate

print("                        reconstruction        KL   spread   typical")
print("                       training    test            of mu         σ")
for name, one in zip(("reconstruction alone", "KL alone", "both"), models, strict=True):
    learnt = evaluate.elbo(one, digits.x_train).reconstruction
    terms = evaluate.elbo(one, digits.x_test)
    mu, logvar = one.encode(digits.x_test)
    spread, width = mu.std(axis=0).mean(), np.median(np.exp(0.5 * logvar))
    print(
        f"{name:22}  {learnt:7.1f} {terms.reconstruction:7.1f}   {terms.kl:5.1f} {spread:8.2f} "
        f"{width:9.3f}"
    )

# %% [markdown]
# **Reconstruction alone.** Noise in z blurs what the decoder draws, so the encoder gets rid of it
# in two ways: it makes σ small, and it moves the codes far apart. Nothing holds it back, as the KL
# costs nothing here. What remains is nearly the autoencoder of notebook 2. Draws from N(0, I) land
# in a small part of this plane, most of them many σ from any code: the third row shows ghosts.
#
# **KL alone.** Every picture gets mu = 0 and σ = 1: the KL is 0, and z is pure noise that says
# nothing about x. The decoder gets no gradient at all, so it still has its first random weights.
# That can be seen in the gradient:

# %%
kl_only = new_model(reconstruction_weight=0.0)
kl_only.forward(digits.x_train[:100])
kl_only.backward()
for network in ("encoder", "decoder"):
    slopes = [d for name, d in kl_only.parameters.gradients.items() if name.startswith(network)]
    print(f"{network}: largest slope {max(np.abs(d).max() for d in slopes):.3f}")

# %% [markdown]
# **Both.** It reconstructs its training pictures a little worse than the first: the KL pulls
# against the reconstruction, and takes its share. In return the KL falls to a fraction. Every code
# costs nats by its distance from 0 and by its narrowness. So only differences that pay are kept,
# and the codes come to lie as close together as σ allows. Wherever a draw from N(0, I) lands, some
# picture's code is mostly near, and the third row shows digits.
#
# That is the whole idea of a VAE: the reconstruction pushes codes apart, the KL pulls them
# together, and between the two the plane is filled.
#
# **In the playground:** take a term away while it trains. The next cell writes the page beside this
# notebook and opens it with the reconstruction alone: look at how far the codes leave the circles,
# then press "both terms". With [the KL alone](playground.html#story=kl) they fall onto the origin.

# %% long
from IPython.display import IFrame

from tinyvae import playground

playground.write("playground.html", playground.build(digits))
IFrame("playground.html#trains=reconstruction", "100%", 820)

# %% [markdown]
# ## What a test set is for
#
# Look at the table again: all models do worse on the test pictures, which they have never seen.
# The first loses more than the third. A model with many weights can learn its training pictures by
# heart: what it learns then is of no use for others. That is **over-fitting**. Only pictures that
# were kept aside can show it, and that is the reason why 500 of the 5,000 digits were.
#
# Provoke it: 500 training pictures instead of 4,500, larger networks, 200 epochs.

# %% long
from tinyvae import fit

histories = {}
for name, beta in (("reconstruction alone", 0.0), ("both", 1.0)):
    one = new_model(beta=beta)
    few = digits.x_train[:500]
    histories[name] = fit(
        one, few, epochs=200, batch_size=100, lr=0.002, validation=digits.x_test, progress=False
    )
    measured = [histories[name][epoch - 1] for epoch in (10, 30, 50, 100, 200)]
    print(f"{name}, after epoch       ", *(f"{row['epoch']:5}" for row in measured))
    print(
        "   on the 500 training pictures", *(f"{row['reconstruction']:.0f}  " for row in measured)
    )
    print(
        "   on the test pictures        ",
        *(f"{row['val_reconstruction']:.0f}  " for row in measured),
    )

# %% long
pictures.overfitting(histories)

# %% [markdown]
# On the training pictures both become better and better, the first more so. On the test pictures
# the first soon turns round and becomes worse: it has begun to learn by heart. The second goes
# down further, and stays. The noise in z is the reason: its encoder cannot hand over a code that
# is exact to the last digit, under which the decoder could look up one particular picture. So a
# term that makes the training pictures *worse* makes new ones *better*, here.
#
# Two rules follow. Never judge a model by the data that it learnt from. And where you choose the
# number of epochs, or anything else, by looking at some pictures, these are no test pictures any
# more: keep a third set for the last word.

# %% [markdown]
# ## Black or white: another likelihood
#
# So far p(x|z) was a normal distribution around x_hat. Notebook 3 had a second one, for pixels
# that are either 0 or 1: the **Bernoulli** distribution. The decoder's outputs y are logits, p =
# 1/(1 + e^(−y)) is the probability of a 1, and the loss of example n is
#
# $$\text{nll}_n = \sum_d \left[ \log(1 + e^{y_{nd}}) - x_{nd}\, y_{nd} \right]$$
#
# In a model, the reconstruction is the mean of these over the batch, $\frac1B \sum_n
# \text{nll}_n$. To train with it we need its gradient along y. Here is the slope of one pixel's
# loss for x = 0 at several logits, by central differences (`np.logaddexp(0, y)` is log(1 + e^y)
# without overflow):

# %%
step = 1e-5
for y in (-3.0, 0.0, 3.0, 30.0):
    numeric = (np.logaddexp(0, y + step) - np.logaddexp(0, y - step)) / (2 * step)
    print(f"y = {y:4}:  slope {numeric:.6f}")

# %% [markdown]
# However wrong the model is, no slope is larger than 1. A single pixel cannot tear the weights
# away.
#
# ### Exercise 6.3: the backward pass of the Bernoulli loss
#
# Derive the slope of log(1 + e^y) − x y along y, by the chain rule, and simplify it: the result is
# the simplest of the whole course. Compare it with the four numbers above. Then write it for a
# batch.
#
# The function gets logits `y (B, D)` and pixels `x (B, D)`. It returns `dy (B, D)`, the gradient
# of the batch's mean. It must be right for logits of any size: try 800 and −800.


# %% exercise 6.3
def bernoulli_backward(y, x):
    dy = ...  # (B, D)
    return dy


# %% check 6.3
bernoulli_backward = check.bernoulli_backward(bernoulli_backward)

# %% [markdown] hint 6.3
# In log(1 + e^y), what is the slope of the logarithm, and what that of 1 + e^y?
#
# Their product is a function that you know from notebook 1: which?
#
# And e^800 is larger than the largest float and becomes `inf`: what is inf/inf, and what is 1/inf?


# %% solution 6.3
def bernoulli_backward(y, x):
    p = 1 / (1 + np.exp(-y))  # (B, D); for y = −800 it is 1/inf = 0
    return (p - x) / len(y)


# %% [markdown]
# The slope is the error itself: what was predicted, p, less what was there, x. In the package,
# where `forward` has kept p, and the factor 1/B comes in as `dnll`:

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
# Here is a layer that multiplies each of its inputs by a weight of its own. With n counting
# examples and j inputs:
#
# $$y_{nj} = x_{nj} s_j \qquad dx_{nj} = dy_{nj} s_j \qquad ds_j = \sum_n dy_{nj} x_{nj}$$
#
# The last is a sum because s_j acts on every example, and the slopes of all ways are added.


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
from tinyvae import Dense, ReLU, Sequential

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
# Ten epochs and two numbers are few. Most threes come back, but the first one as a 0, the 4 as a
# 9, and the sixes and the 8 as a blur: what lies close together in the plane is confused. Give the
# same loss 16 numbers and a larger network, and draw from the prior:

# %% long
sharp = VAE(784, 16, hidden=(256, 128), likelihood="bernoulli", backend="numpy", seed=0)
fit(sharp, black_and_white, epochs=20, batch_size=100, lr=0.004, lr_schedule="step", progress=False)
figures.image_grid(
    sharp.sample(60, seed=1),
    (28, 28),
    columns=20,
    title="New digits from 16 numbers",
    subtitle="z ~ N(0, I), decoded: the probability of ink at each pixel.",
)

# %% [markdown]
# These are drawn from nothing but random numbers. Compare them with notebook 2, where an
# autoencoder with 16 numbers was asked for the same. Many are digits with clear strokes, some are
# none.

# %% [markdown]
# ### Exercise 6.4: an activation that learns
#
# Layers such as ReLU are called **activations**. This one multiplies negative numbers by a slope
# a_j, which it learns for each of its units (He et al. 2015, "PReLU"):
#
# $$y_{nj} = \begin{cases} x_{nj} & \text{where } x_{nj} > 0 \\ a_j\, x_{nj} & \text{elsewhere}
# \end{cases}$$
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
# Which entries of y change when a_j moves, and by how much? What do the others add to da?
#
# Which array from the forward pass tells the two apart in `backward`?
#
# (`np.where(condition, this, that)` chooses entry by entry.)


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
# ## Three questions
#
# **a.** With the reconstruction alone the decoder draws its training pictures best. Why is it the
# worst at new ones from the prior?
#
# **b.** In training with the KL alone the decoder's gradient is 0. Why?
#
# **c.** A loss on training pictures falls and on test pictures rises. Name two remedies that this
# notebook has shown or named.
#
# <details><summary><b>Answers</b></summary>
#
# **a.** Its codes lie where the prior has no draws. What it draws elsewhere was never trained.
#
# **b.** x_hat stands in the reconstruction only, and that has the factor 0.
#
# **c.** The KL and its noise; more pictures, a smaller network or fewer epochs.
#
# </details>

# %% [markdown]
# ## In four lines
#
# - A step of training is forward, backward, step; mu and logvar get slopes from two sides, which
#   are added.
# - The reconstruction alone scatters the codes, the KL alone erases them; together they fill the
#   plane around 0, and draws from the prior become digits.
# - What a model is worth shows on data that it has not learnt from.
# - The Bernoulli loss has the simplest gradient of all, p − x; and any layer with a forward and a
#   backward pass can stand in the model.
#
# **Next:** a plane that is filled can be walked through. Notebook 7 does: new digits, the way from
# one digit to another, and a page in your browser where every point is a picture. Or write a whole
# VAE of your own at once: you have all that notebook 12 asks for.
