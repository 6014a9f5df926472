# ruff: noqa: E402

# %% [markdown]
# # 4. The gradient through a dice throw
#
# **The question.** The code z of a VAE is drawn at random. Training needs to know how the loss
# changes when mu and σ change. But how does a random draw change?
#
# **At the end you can** write the reparameterization and its gradient, and find an error in it
# that every gradient check lets pass.
#
# **Time:** about 20 minutes. **You need:** notebook 1 (gradient, central difference, `dW` for
# ∂loss/∂W) and notebook 3 (N(mu, σ²), draws, ELBO).

# %% [markdown]
# ## The obstacle
#
# Take the smallest loss that contains a draw: z ~ N(mu, 1), and the loss is z², averaged over
# 1,000 draws. Try a central difference along mu, drawing anew each time:

# %%
import inspect

import numpy as np

rng = np.random.default_rng(0)
mu, h = 1.5, 1e-5


def loss_of(mu):
    z = rng.normal(mu, 1.0, 1000)
    return (z**2).mean()


for _ in range(4):
    print(f"slope along mu: {(loss_of(mu + h) - loss_of(mu - h)) / (2 * h):10.1f}")

# %% [markdown]
# Nonsense, and another nonsense each time. The two losses differ because the dice fell
# differently, not because mu moved. And inside `rng.normal` there is nothing to differentiate.

# %% [markdown]
# ## The trick
#
# Throw the dice first. Draw eps from N(0, 1), which depends on nothing. Then compute z from it:
#
# ```text
# z = mu + σ eps        mu, σ, eps, z (B, L)
# ```
#
# You have made draws in this way since exercise 2.3. What is new is how to look at it: with eps
# *held still*, z is an ordinary function of mu and σ. It is called the **reparameterization**
# (Kingma & Welling 2014).

# %%
eps = rng.standard_normal(1000)


def loss_of(mu):
    z = mu + 1.0 * eps
    return (z**2).mean()


for _ in range(4):
    print(f"slope along mu: {(loss_of(mu + h) - loss_of(mu - h)) / (2 * h):10.4f}")

# %% [markdown]
# The same number four times. And it is about right: the mean of z² is mu² + 1, with the slope 2 mu
# = 3. (It is not exactly 3, because 1,000 draws of eps are not exactly N(0, 1).)

# %% [markdown]
# ## logvar
#
# The encoder's last layer may give any number, also a negative one. But σ must be positive. So the
# encoder gives the *logarithm* of the variance, and calls it `logvar`:
#
# ```text
# logvar = log σ²          any number is allowed
# ```
#
# To get σ back, undo the logarithm, then the square:
#
# ```text
# σ² = e^logvar
# σ  = √(e^logvar) = (e^logvar)^½ = e^(½ logvar)
# ```
#
# Remember the ½. It is the hero of this notebook.

# %%
for logvar in (-4.0, 0.0, 2.0):
    print(f"logvar {logvar:4}: variance {np.exp(logvar):.3f}, sigma {np.exp(0.5 * logvar):.3f}")

# %% [markdown]
# ### Exercise 4.1: the reparameterization


# %% exercise 4.1
def reparameterize(mu, logvar, eps):
    z = ...  # (B, L)
    return z


# %% check 4.1
from tinyvae.exercises import reparameterization as check

check.reparameterize(reparameterize)

# %% [markdown] hint 4.1
# Two lines: first σ from logvar, then z from mu, σ and eps.


# %% solution 4.1
def reparameterize(mu, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    return mu + sigma * eps


# %% [markdown]
# ## Its gradient
#
# The decoder's backward pass hands us dz = ∂loss/∂z (B, L). Each z_bj is made of the mu, logvar
# and eps with the same b and j, and of nothing else. So no sums this time.
#
# **Along mu.** z = mu + …, so ∂z/∂mu = 1:
#
# ```text
# dmu = dz · 1 = dz
# ```
#
# **Along logvar.** It stands in the exponent. By the chain rule the derivative of e^(½ v) is e^(½
# v) times the derivative of ½ v, which is ½:
#
# ```text
# ∂z/∂logvar = ∂/∂logvar [e^(½ logvar)] · eps = ½ e^(½ logvar) · eps = ½ σ eps
#
# dlogvar = dz · ½ σ eps
# ```
#
# The eps here must be the *same* numbers as in the forward pass. Another draw would be the
# gradient of another loss.
#
# ### Exercise 4.2: the backward pass of the reparameterization


# %% exercise 4.2
def reparameterize_backward(dz, logvar, eps):
    dmu = ...  # (B, L)
    dlogvar = ...  # (B, L)
    return dmu, dlogvar


# %% check 4.2
check.backward(reparameterize_backward)

# %% [markdown] hint 4.2
# The last line of each derivation, as code. σ is computed again from logvar.


# %% solution 4.2
def reparameterize_backward(dz, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    return dz, dz * 0.5 * sigma * eps


# %% [markdown]
# And this is what the package trains with:

# %%
from tinyvae.core import latent

print(inspect.getsource(latent.reparameterize))
print(inspect.getsource(latent.reparameterize_backward))

# %% [markdown]
# ## Is it the gradient of the average?
#
# One draw gives one gradient, and it depends on the luck of the draw. What training should follow
# is the slope of the loss *averaged over all draws*. For the loss z² it is known. The mean of eps
# is 0, that of eps² is 1:
#
# ```text
# z²          = (mu + σ eps)² = mu² + 2 mu σ eps + σ² eps²
# mean of z²  = mu² + 0 + σ² = mu² + e^logvar
#
# slope of the mean along mu      = 2 mu
# slope of the mean along logvar  = e^logvar = σ²
# ```
#
# Compare it with the average of the gradients of single draws. For the loss z², dz = 2 z:

# %%
mu, logvar = np.full(200_000, 1.5), np.full(200_000, -1.0)
eps = rng.standard_normal(200_000)
z = latent.reparameterize(mu, logvar, eps)
dmu, dlogvar = latent.reparameterize_backward(2 * z, logvar, eps)
print(f"dmu:     mean {dmu.mean():.3f}, exact {2 * 1.5:.3f}; draws spread by {dmu.std():.2f}")
exact = np.exp(-1.0)
print(f"dlogvar: mean {dlogvar.mean():.3f}, exact {exact:.3f}; draws spread by {dlogvar.std():.2f}")

# %% [markdown]
# Right on average. Single draws are off by as much as their spread. Training takes many small
# steps, and this noise averages out.

# %% [markdown]
# ## A true story
#
# While this package was written, four public VAEs made without a framework were read: numpy-ml,
# the VAE example of DeZero, and two repositories in NumPy and CuPy. (This page cannot show you
# their code, so take this part as a report.) Two of the four sample with σ = exp(logvar): the ½ is
# forgotten, in the forward pass and in the backward pass alike. Could a gradient check not have
# told?
#
# Here are three samplers, A, B and C. Each has a forward and a backward pass. In one of them σ is
# wrong. Let us check the gradients:

# %%
from tinyvae import gradcheck

mu, logvar, eps = rng.standard_normal((3, 5, 2))
for name, (forward, backward) in check.suspects.items():
    report = gradcheck.check(forward, backward, mu, logvar, eps=eps)
    print(f"{name}: {'passes' if report.passed else 'FAILS'}, relative error {report.error:.0e}")

# %% [markdown]
# All pass, with errors of rounding size. And that is as it should be: a gradient check compares
# the backward pass *with the forward pass*. If the forward pass computes the wrong thing, and the
# backward pass is the right gradient of that wrong thing, the two agree.
#
# So we need a second witness, one that knows what σ *should* be: logvar = log σ². It only has to
# draw and to measure.
#
# ### Exercise 4.3: measure the standard deviation
#
# `sample(mu, logvar)` returns draws z for arrays mu and logvar of the same shape. Write a function
# that makes n draws at one value of logvar and returns their standard deviation.


# %% exercise 4.3
def spread(sample, logvar, n):
    result = ...  # a number
    return result


# %% check 4.3
check.spread(spread)

# %% [markdown] hint 4.3
# Give `sample` an array of n zeros for mu, and an array filled n times with logvar: `np.full(n,
# logvar)`.


# %% solution 4.3
def spread(sample, logvar, n):
    z = sample(np.zeros(n), np.full(n, logvar))
    return z.std()


# %% [markdown]
# ### Exercise 4.4: find the guilty one
#
# Wrap each suspect so that it draws its own noise, as in the cell below. Then use your `spread`,
# or let the package do it: `from tinyvae.audit import audit`, then
# `print(audit(sample=samplers["A"]))`. **audit** draws some 100,000 times at several values of mu
# and logvar, and says what it finds.


# %%
def sampler(forward):
    """Return a function of mu and logvar that draws fresh noise in each call."""
    rng = np.random.default_rng(1)
    return lambda mu, logvar: forward(mu, logvar, rng.standard_normal(mu.shape))


samplers = {name: sampler(forward) for name, (forward, _) in check.suspects.items()}

# %% exercise 4.4
guilty = ...  # "A", "B" or "C"

# %% check 4.4
check.guilty(guilty)

# %% [markdown] hint 4.4
# `for name in "ABC": print(name, spread(samplers[name], 2.0, 100_000))`. What should it be at
# logvar = 2?

# %% solution 4.4
guilty = "B"

# %% [markdown]
# Stop reading here if you want to find it yourself. The next cell tells.

# %%
from tinyvae.audit import audit

for name, sample in samplers.items():
    print(f"{name} is", audit(sample=sample), end="\n\n")

forward, backward = check.suspects["B"]
print(inspect.getsource(forward))
print(inspect.getsource(backward))

# %% [markdown]
# In B both passes say exp(logvar): the forward pass is wrong, and the backward pass is the right
# gradient of it. Measured over a range of logvar:

# %%
check.spreads(samplers)

# %% [markdown]
# All three agree at logvar = 0, where σ = σ² = 1. There the mistake cannot be seen, so a witness
# must look at several values. (In the report above, `s` is the sampler's second input, and
# `torch.exp` is PyTorch's exp.)
#
# ## What it breaks
#
# Training goes on: the gradient is a true gradient, of another loss than the one that was meant.
# What is lost is the meaning. Take the small model of notebook 3, z ~ N(0, 1) and x ~ N(2z, 1),
# where log p(3) = −2.624 is known. No ELBO can be above it. The KL below is the one for σ² =
# e^logvar (notebook 5 derives it). We draw once with the right and once with the wrong sampler:

# %%
from tinyvae.exercises.idea import log_density

x, mu, eps = 3.0, 1.2, rng.standard_normal(200_000)
for logvar in (-1.609, -1.2):
    kl = latent.kl(mu, np.array(logvar))
    for name, sigma in (("right", np.exp(0.5 * logvar)), ("wrong", np.exp(logvar))):
        elbo = log_density(x, 2 * (mu + sigma * eps), 1.0).mean() - kl
        print(f"logvar {logvar}: ELBO with the {name} sampler {elbo:.3f}")
print(f"log p(3): {log_density(x, 0.0, 5**0.5):.3f}")

# %% [markdown]
# The wrong sampler claims more than the exact value. Its "lower bound" is no bound any more, and
# models compared by it are compared by nothing. Where logvar is negative, the regions are smaller
# than the KL believes, too: at logvar = −4, σ should be e^(−2) = 0.135, and the wrong sampler
# draws with e^(−4) = 0.018. So a region can leave a gap around it where the KL sees none.

# %% [markdown]
# ## The one that a gradient check does see
#
# One more of the four VAEs that were read makes another mistake: it draws one noise in the forward
# pass, and another in the backward pass. There forward and backward do not belong together, and a
# gradient check can see it, provided that the forward noise can be held still:


# %%
def fresh_noise(dz, mu, logvar, eps):
    eps = rng.standard_normal(mu.shape)  # drawn again
    return latent.reparameterize_backward(dz, logvar, eps)


mu, logvar, eps = rng.standard_normal((3, 5, 2))
print(gradcheck.check(latent.reparameterize, fresh_noise, mu, logvar, eps=eps))

# %% [markdown]
# ## In three lines
#
# - z = mu + exp(½ logvar) · eps: with eps held still, a draw is an ordinary function, and has a
#   gradient.
# - dmu = dz and dlogvar = dz · ½ σ eps, with the same eps; on average they are the slopes of the
#   mean loss.
# - A gradient check proves that backward belongs to forward, not that forward is right: for that
#   you need a second witness.
#
# **Next:** the other half of the loss, the KL. Notebook 5 derives its formula and its gradient,
# and checks both with a witness of this kind: random draws.
