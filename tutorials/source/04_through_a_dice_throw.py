# ruff: noqa: E402

# %% [markdown]
# # 4. The gradient through a dice throw
#
# **The question.** The code z of a VAE is drawn at random. Training needs to know how the loss
# changes when mu and σ change. But how does a random draw change?
#
# **At the end you can** write the reparameterization and its gradient, say what it is better than,
# and find an error in it that every gradient check lets pass.
#
# **Time:** about 40 minutes, and 10 more for exercise 4.3. **You need:** notebook 1 (gradient,
# central difference, `dW` for ∂loss/∂W) and notebook 3 (N(mu, σ²), draws, ELBO).

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
# Nonsense, and different each time. The two losses differ because the dice fell
# differently, not because mu moved. And inside `rng.normal` there is nothing to differentiate.

# %% [markdown]
# ## The trick
#
# Throw the dice first. Draw eps from N(0, 1), which depends on nothing. Then compute z from it:
#
# $$z = \mu + \sigma\,\varepsilon \qquad \mu,\ \sigma,\ \varepsilon,\ z\ (B, L)$$
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
# The same number four times, and about right: the mean of z² is mu² + 1, with the slope 2 mu
# = 3. (It is not exactly 3, because 1,000 draws of eps are not exactly N(0, 1).)

# %% [markdown]
# ## logvar
#
# The encoder's last layer may give any number, also a negative one. But σ must be positive. So the
# encoder gives the *logarithm* of the variance, and calls it `logvar`:
#
# $$\text{logvar} = \log \sigma^2$$
#
# Any number is allowed there. To get σ back, undo the logarithm: $\sigma^2 = e^{\text{logvar}}$.
# Then undo the square. What that does to the exponent is exercise 4.1.

# %%
for logvar in (-4.0, 0.0, 2.0):
    variance = np.exp(logvar)
    print(f"logvar {logvar:4}: variance {variance:.3f}, sigma {variance**0.5:.3f}")

# %% [markdown]
# ### Exercise 4.1: the reparameterization


# %% exercise 4.1
def reparameterize(mu, logvar, eps):
    z = ...  # (B, L)
    return z


# %% check 4.1
from tinyvae.exercises import reparameterization as check

reparameterize = check.reparameterize(reparameterize)

# %% [markdown] hint 4.1
# The square root of e^v is a power of e: which one?
#
# Compare your σ with the three lines above.
#
# Then: which of mu and σ stretches eps, and which moves it?


# %% solution 4.1
def reparameterize(mu, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    return mu + sigma * eps


# %% [markdown]
# ## Its gradient
#
# The decoder's backward pass hands us dz = ∂loss/∂z (B, L). Each entry of z is made of the mu,
# logvar and eps with the same two indices, and of nothing else. So no sums this time, and each
# slope is dz times a slope of z:
#
# $$d\mu = dz \cdot \frac{\partial z}{\partial \mu} \qquad d\text{logvar} = dz \cdot \frac{\partial
# z}{\partial\,\text{logvar}} \qquad z = \mu + e^{\frac12 \text{logvar}}\, \varepsilon$$
#
# Work out both slopes of z. For the second, the chain rule once more: the derivative of e^u is e^u
# times that of u.
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
reparameterize_backward = check.backward(reparameterize_backward)

# %% [markdown] hint 4.2
# How much does z move when mu moves by 1?
#
# In e^(½ v), what is the derivative of the exponent?
#
# Which three factors then stand beside dz in dlogvar?


# %% solution 4.2
def reparameterize_backward(dz, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    return dz, dz * 0.5 * sigma * eps


# %% [markdown]
# ∂z/∂mu = 1, and ∂z/∂logvar = ½ e^(½ logvar) · eps = ½ σ eps. This is what the package trains with:

# %%
from tinyvae.core import latent

print(inspect.getsource(latent.reparameterize))
print(inspect.getsource(latent.reparameterize_backward))

# %% [markdown]
# ### Exercise 4.3: another encoder, without a word of help
#
# Many programs let the encoder give `logsigma` = log σ instead of log σ². Write both slopes for z
# = mu + exp(logsigma) · eps.


# %% exercise 4.3
def log_sigma_backward(dz, logsigma, eps):
    dmu = ...  # (B, L)
    dlogsigma = ...  # (B, L)
    return dmu, dlogsigma


# %% check 4.3
check.log_sigma(log_sigma_backward)

# %% [markdown] hint 4.3
# What is σ now?
#
# What is ∂σ/∂logsigma?
#
# Which factor of 4.2 is gone, and where did it come from?


# %% solution 4.3
def log_sigma_backward(dz, logsigma, eps):
    return dz, dz * np.exp(logsigma) * eps


# %% [markdown]
# ## Is it the gradient of the average?
#
# One draw gives one gradient, and it depends on the luck of the draw. What training should follow
# is the slope of the loss *averaged over all draws*. For the loss z² it is known. The mean of eps
# is 0, that of eps² is 1:
#
# $$z^2 = (\mu + \sigma\varepsilon)^2 = \mu^2 + 2\mu\sigma\varepsilon + \sigma^2\varepsilon^2,
# \qquad \text{its mean:}\ \mu^2 + \sigma^2 = \mu^2 + e^{\text{logvar}}$$
#
# So the slope of the mean is 2 mu along mu, and e^logvar = σ² along logvar.
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
# ## The other way: the score function
#
# There is a way to the same slope that never differentiates z. The mean of f(z) is ∫ q(z) f(z) dz,
# and mu stands in the density q alone. Differentiate that, and use q · ∂ log q = ∂q:
#
# $$\frac{\partial}{\partial\mu}\,\mathbb E_q[f(z)] = \int \frac{\partial q}{\partial\mu}\,
# f(z)\,dz = \mathbb E_q\left[f(z)\,\frac{\partial \log q(z)}{\partial\mu}\right], \qquad
# \frac{\partial \log q(z)}{\partial\mu} = \frac{z - \mu}{\sigma^2}$$
#
# It is called the **score function** estimator, or REINFORCE. It asks for no gradient of f at all,
# only for its value. Here is what that costs, for f(z) = z² and for a sum of L such terms, all at
# mu = 1.5 and σ = 1. Both estimate the slope along the first mu, which is 3:

# %%
print("  L   mean: reparameterized   score    spread: reparameterized    score")
for L in (1, 10, 50):
    eps = rng.standard_normal((100_000, L))
    z = 1.5 + eps  # (S, L)
    through_z = 2 * z[:, 0]  # dz of the first
    by_score = (z**2).sum(axis=1) * (z[:, 0] - 1.5)
    print(
        f"{L:3}   {through_z.mean():21.2f} {by_score.mean():7.2f}   {through_z.std():23.2f} "
        f"{by_score.std():8.2f}"
    )

# %% [markdown]
# Both are right on average: at L = 50 the standard error of 3.24 is 165/√100,000 = 0.5. But the
# score function multiplies the whole loss with the noise, whatever part of it mu had to do with, so
# its spread grows with the number of terms; that of the reparameterization does not. To halve a
# spread takes four times as many draws: that is why VAEs are trained through z. (Where z is a whole
# number and has no slope, the score function is what is left.)

# %% [markdown]
# ## A mistake that passes
#
# From-scratch VAEs can be found in public that sample with σ = exp(logvar): the ½ is forgotten, in
# the forward pass and in the backward pass alike. Could a gradient check not have told?
#
# Here are three samplers, A, B and C. Each has a forward and a backward pass. In one of them σ is
# wrong. Check the gradients:

# %%
from tinyvae import gradcheck

mu, logvar, eps = rng.standard_normal((3, 5, 2))
for name, (forward, backward) in check.suspects.items():
    report = gradcheck.check(forward, backward, mu, logvar, eps=eps)
    print(f"{name}: {'passes' if report.passed else 'FAILS'}, relative error {report.error:.0e}")

# %% [markdown]
# All pass, as they should: a gradient check compares the backward pass *with the forward pass*. If
# the forward pass computes the wrong thing, and the backward pass is the right gradient of that
# wrong thing, the two agree.
#
# So we need a second witness, one that knows what σ *should* be: logvar = log σ².
#
# ### Exercise 4.4: measure the standard deviation
#
# `sample(mu, logvar)` returns draws z for arrays mu and logvar of the same shape. Write a function
# that makes n draws at one value of logvar and returns their standard deviation.


# %% exercise 4.4
def spread(sample, logvar, n):
    result = ...  # a number
    return result


# %% check 4.4
check.spread(spread)

# %% [markdown] hint 4.4
# `sample` draws one number for each entry of the arrays that it gets.
#
# How many entries are needed, and what should stand in them? Does it matter which mu you take?
#
# And is the result a variance or its root?


# %% solution 4.4
def spread(sample, logvar, n):
    z = sample(np.zeros(n), np.full(n, logvar))
    return z.std()


# %% [markdown]
# ### Exercise 4.5: find the guilty one
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

# %% exercise 4.5
guilty = ...  # "A", "B" or "C"

# %% check 4.5
check.guilty(guilty)

# %% [markdown] hint 4.5
# What should the standard deviation be at logvar = 2?
#
# And at logvar = 0: would a mistake show there?
#
# A loop over `samplers.items()` measures all three.

# %% solution 4.5
guilty = "B"

# %% [markdown]
# The next cell tells. Its output is folded up, so that you can find it yourself. (In the report,
# `s` is the sampler's second input, our `logvar`. A sampler is all that the audit gets, so it also
# says what it cannot judge, a loss, and what it does not look at, the rest of a model.)

# %% covered
from tinyvae.audit import audit

for name, sample in samplers.items():
    report = audit(sample=sample)
    print(f"{name}:", report, end="\n\n")
    if report.errors:
        guilty_code = "\n".join(inspect.getsource(half) for half in check.suspects[name])
print(guilty_code)

# %% [markdown]
# In the guilty one both passes say exp(logvar): the forward pass is wrong, and the backward pass is
# the right gradient of it. Measured over a range of logvar:

# %% covered
check.spreads(samplers)

# %% [markdown]
# All three agree at logvar = 0, where σ = σ² = 1. There the mistake cannot be seen, so a witness
# must look at several values.
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
# Another mistake is to draw one noise in the forward pass, and another in the backward pass. There
# forward and backward do not belong together, and a gradient check can see it, provided that the
# forward noise can be held still:


# %%
def fresh_noise(dz, mu, logvar, eps):
    eps = rng.standard_normal(mu.shape)  # drawn again
    return latent.reparameterize_backward(dz, logvar, eps)


mu, logvar, eps = rng.standard_normal((3, 5, 2))
print(gradcheck.check(latent.reparameterize, fresh_noise, mu, logvar, eps=eps))

# %% [markdown]
# **In the playground:** let [this mistake](playground.html#error=fresh-noise) train above the right
# run, which goes on in grey; look at both curves of the reconstruction, then press "Run the tests
# on this model": only the gradient check fails.

# %% [markdown]
# ## Three questions
#
# **a.** Why must backward use the same eps as forward?
#
# **b.** At which single value of logvar does exp(logvar) look right as a standard deviation, and
# what does that teach about tests?
#
# **c.** When would you use the score function although its variance is larger?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** The gradient is that of the loss with this eps. With another one it is the gradient of
# another loss.
#
# **b.** At logvar = 0, where both are 1. A test at one point, above all at 0 or 1, misses factors
# and powers: use several, such as −1.3 and 0.7.
#
# **c.** Where z is a choice among categories, or f is a program with no slope.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - z = mu + exp(½ logvar) · eps: with eps held still, a draw is an ordinary function, and has a
#   gradient.
# - dmu = dz and dlogvar = dz · ½ σ eps, with the same eps; on average they are the slopes of the
#   mean loss.
# - A gradient check is a witness that backward belongs to forward, not that forward is right: for
#   that you need a second witness.
#
# **Next:** the other half of the loss, the KL. Notebook 5 derives its formula and its gradient,
# and checks both with a witness of this kind: random draws.
