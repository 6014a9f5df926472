# ruff: noqa: E402

# %% [markdown]
# # 5. The KL and its gradient
#
# **The question.** One term of the loss measures how far the encoder's answer is from the prior.
# What exactly does it measure, and how can you be sure that its formula is right?
#
# **At the end you can** estimate a KL from random draws and say how exact the estimate is, derive
# the closed form, write its gradient, and check both with witnesses that know nothing of your
# formula.
#
# **Time:** about 45 minutes, and 10 more for exercise 5.4. **You need:** from notebook 3 the normal
# density and what a KL is for, from notebook 4 `mu`, `logvar` and `z = mu + σ eps`.

# %% [markdown]
# ## Where we stand
#
# For a picture x the encoder answers with a normal distribution over codes, q(z|x) = N(mu, σ²). It
# gives `mu` and `logvar` = log σ², so σ = exp(½ logvar). We want these answers to stay near the
# **prior** p(z) = N(0, 1), so that draws from N(0, 1) are codes that the decoder knows. The **KL**
# is the number that says how near.
#
# All dimensions of z are treated alike, so we look at one of them first: mu and logvar are plain
# numbers for now.

# %% [markdown]
# ## Two logarithms
#
# The density of N(mu, σ²) at a point z is
#
# $$q(z) = \frac1{\sqrt{2\pi\sigma^2}}\, e^{-\frac12 (z - \mu)^2/\sigma^2}$$
#
# Take the logarithm, as in exercise 3.1. A product becomes a sum, log 1/√u = −½ log u, and log e^u
# = u:
#
# $$\log q(z) = -\tfrac12 \log 2\pi - \tfrac12 \log \sigma^2 - \tfrac12 (z - \mu)^2/\sigma^2$$
#
# For the prior, mu = 0 and σ² = 1, and log 1 = 0:
#
# $$\log p(z) = -\tfrac12 \log 2\pi - \tfrac12 z^2$$
#
# The difference `log q(z) − log p(z)` says how much denser q is than p at the point z. It is
# counted in nats: 0 means equally dense, 1 means e ≈ 2.7 times as dense, −1 means p is e times as
# dense.

# %%
import inspect

import numpy as np


def log_q(z, mu, logvar):
    return -0.5 * np.log(2 * np.pi) - 0.5 * logvar - 0.5 * (z - mu) ** 2 / np.exp(logvar)


def log_p(z):
    return -0.5 * np.log(2 * np.pi) - 0.5 * z**2


mu, logvar = 1.5, -1.2
print(f"q = N({mu}, {np.exp(0.5 * logvar):.2f}²)")
for z in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
    print(f"z = {z}:  log q − log p = {log_q(z, mu, logvar) - log_p(z):5.2f}")

# %% [markdown]
# Near its own centre, 1.5, q is far denser than the prior. At z = 0 it is the other way round.

# %% [markdown]
# ## The KL is the mean of this difference
#
# Which z should count? Those that really occur when q is used. So we take the mean over draws from
# q. We write E_q[…] for "the mean over draws of z from q":
#
# $$KL(q\ \|\ p) = \mathbb E_q\big[\log q(z) - \log p(z)\big]$$
#
# In the picture, the difference at each z is multiplied by how often z is drawn.

# %%
from tinyvae.exercises import kl_pictures

kl_pictures.densities([(1.5, -1.2), (0.0, -1.2), (0.0, 0.0), (0.0, 0.9)])

# %% [markdown]
# A q that is shifted, too narrow or too wide costs something. Orange parts, where p is denser,
# never outweigh the blue ones. A q equal to the prior costs nothing: then both logarithms are the
# same everywhere.

# %% [markdown]
# ## Estimate it from draws
#
# The definition is also a recipe. Draw z from q many times, average the difference. An average
# over random draws that stands in for an exact mean is called a **Monte Carlo estimate**.

# %%
rng = np.random.default_rng(5)
sigma = np.exp(0.5 * logvar)
for S in (10, 100, 1_000, 10_000):
    z = mu + sigma * rng.standard_normal(S)  # (S,)
    differences = log_q(z, mu, logvar) - log_p(z)  # (S,)
    print(f"{S:6} draws: {differences.mean():.3f}")

# %% [markdown]
# The numbers settle, but how far may the last one still be off? Without an answer to that, an
# estimate is worth little.
#
# Call δ the standard deviation of the S differences: by how much a single one is typically off.
# The mean of S of them is off by less. Variances of independent draws add up, so:
#
# | | |
# |---|---|
# | variance of one difference | δ² |
# | variance of the sum of S of them | S δ² |
# | variance of their mean, sum / S | S δ² / S² = δ² / S |
# | standard deviation of their mean | δ / √S |
#
# (Dividing by S divides a variance by S², as variances are squares.) This δ/√S is the **standard
# error** of the estimate. Four times as many draws make it half as large. Let us see it happen:
# 2,000 estimates from 100 draws each.

# %%
z = mu + sigma * rng.standard_normal((2_000, 100))
differences = log_q(z, mu, logvar) - log_p(z)  # (2000, 100)
estimates = differences.mean(axis=1)  # (2000,)
print(f"standard deviation of the 2,000 estimates: {estimates.std():.3f}")
print(f"δ/√S of the first one:                     {differences[0].std() / np.sqrt(100):.3f}")
off = np.abs(estimates - estimates.mean()) / (differences.std(axis=1) / np.sqrt(100))
print(f"closer than 2 standard errors: {(off < 2).mean():.0%}, than 4: {(off < 4).mean():.1%}")

# %% [markdown]
# One estimate alone can tell how much it varies. And a distance of more than 4 standard errors
# hardly ever happens by chance: where you see it, something is wrong. That is our test from here
# on.
#
# ### Exercise 5.1: the KL by Monte Carlo
#
# The function gets two numbers, `mu` and `logvar`, and `eps (S,)`, draws from N(0, 1). It returns
# the estimate of the KL from these S draws, and its standard error: two numbers.


# %% exercise 5.1
def kl_monte_carlo(mu, logvar, eps):
    kl = ...  # a number
    standard_error = ...  # a number
    return kl, standard_error


# %% check 5.1
from tinyvae.exercises import kl as check

kl_monte_carlo = check.monte_carlo(kl_monte_carlo)

# %% [markdown] hint 5.1
# The mean is over draws from q, and `eps` are draws from N(0, 1): what turns one into the other?
#
# Which array of S numbers is averaged (you may use `log_q` and `log_p`)?
#
# Then: what is the standard deviation of one of them, and what of their mean?


# %% solution 5.1
def kl_monte_carlo(mu, logvar, eps):
    z = mu + np.exp(0.5 * logvar) * eps  # (S,)
    differences = log_q(z, mu, logvar) - log_p(z)  # (S,)
    return differences.mean(), differences.std() / np.sqrt(len(eps))


# %% [markdown]
# ## The closed form
#
# Draws are slow and never exact. For normal distributions the mean can be worked out. Subtract the
# two logarithms; −½ log 2π cancels:
#
# $$\log q(z) - \log p(z) = -\tfrac12 \log \sigma^2 - \tfrac12 (z - \mu)^2/\sigma^2 + \tfrac12 z^2$$
#
# Now the mean over draws of z from q, term by term. The first term is the same for every z. The
# second needs the mean of (z − mu)²: that is what a variance *is*, so it is σ². The third needs the
# mean of z². Write z as mu + (z − mu), and square:
#
# $$z^2 = \mu^2 + 2\mu(z - \mu) + (z - \mu)^2 \qquad \mathbb E_q[z^2] = \mu^2 + 2\mu \cdot 0 +
# \sigma^2 = \mu^2 + \sigma^2$$
#
# (The mean of z − mu is 0, as mu is the mean of z.) We can watch both:

# %%
z = mu + sigma * rng.standard_normal(100_000)
print(f"mean of (z − mu)²: {((z - mu) ** 2).mean():.2f}    σ²       = {sigma**2:.2f}")
print(f"mean of z²:        {(z**2).mean():.2f}    mu² + σ² = {mu**2 + sigma**2:.2f}")

# %% [markdown]
# The L dimensions of z are drawn independently. The logarithm of a product of densities is a sum,
# so their KLs add up.
#
# ### Exercise 5.2: the KL of each example
#
# Put both means into the line of the two logarithms, collect the terms, and write the result with
# what the encoder gives: log σ² = logvar.
#
# The function gets `mu` and `logvar`, both `(B, L)`: a row for each example, a column for each
# latent dimension. It returns the KL of each example, `(B,)`. The check compares with a Monte
# Carlo estimate too, which knows nothing of the closed form.


# %% exercise 5.2
def kl(mu, logvar):
    result = ...  # (B,)
    return result


# %% check 5.2
kl = check.kl(kl)

# %% [markdown] hint 5.2
# What are E_q[(z − mu)²/σ²] and E_q[z²], by the cell above? You should have four terms with the
# factor ½.
#
# Are they 0 together at mu = 0, σ = 1?
#
# Then: which axis holds the dimensions that must be added up?


# %% solution 5.2
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


# %% [markdown]
# ## The same in the package
#
# $$KL = -\tfrac12 \log\sigma^2 - \tfrac12 + \tfrac12(\mu^2 + \sigma^2) = \tfrac12(\mu^2 + \sigma^2
# - 1 - \log\sigma^2)$$
#
# `tinyvae.core.latent.kl` keeps the dimensions apart, `(B, L)`; the model adds them up. The
# derivation stands above the code, so that both can be read together. (`array_module(logvar)` is
# NumPy here.)

# %%
from tinyvae.core import latent

print(inspect.getsource(latent.kl))

# %% [markdown]
# Is it right? Ask the definition. For six different q, the closed form beside an estimate of your
# `kl_monte_carlo` from 100,000 draws, and how many standard errors lie between them:

# %%
S = 100_000
print("  mu  logvar   closed form   estimate   standard errors apart")
for at, v in [(0, 0), (1.5, -1.2), (-2, 0), (0, -4), (0, 1.5), (3, -6)]:
    estimate, error = kl_monte_carlo(at, v, rng.standard_normal(S))
    exact = latent.kl(np.array(at), np.array(v))
    apart = abs(estimate - exact) / error if error else 0
    print(f"{at:4}  {v:6}   {exact:11.3f}   {estimate:8.3f}   {apart:21.1f}")

# %% [markdown]
# No row is more than 4 standard errors apart. Look at the fourth: a q as narrow as σ = exp(½ · −4)
# = 0.14, right at the centre, costs about 1.5 nats. To say precisely where z is has a price, even
# at the most likely place.

# %% [markdown]
# ## Never below zero
#
# Notebook 3 proved that no KL is negative. Here you can see it. The closed form has one part for
# the position and one for the width:
#
# $$KL = \tfrac12 \mu^2 + \tfrac12 (e^v - 1 - v), \qquad v = \text{logvar}$$
#
# The first is a square. In the second, 1 + v is the tangent of the curve e^v at v = 0. That curve
# bends upwards everywhere, so it lies above its tangent: e^v ≥ 1 + v. Both parts are 0 or more,
# and both are 0 only at mu = 0, v = 0, where q is the prior.

# %%
for v in (-4.0, -2.0, -1.0, -0.1, 0.0, 0.1, 1.0, 2.0):
    print(f"v = {v:4}:  ½ (e^v − 1 − v) = {0.5 * (np.exp(v) - 1 - v):.4f}")

# %% [markdown]
# ## The gradient
#
# The loss takes the mean over the batch of the sum over the dimensions. With n counting examples
# and j dimensions:
#
# $$\text{loss} = \frac1B \sum_n \sum_j \tfrac12 \big(\mu_{nj}^2 + e^{\text{logvar}_{nj}} - 1 -
# \text{logvar}_{nj}\big)$$
#
# Each mu and each logvar stands in one term of it.
#
# ### Exercise 5.3: the gradient of the KL
#
# Derive both slopes, and try them at mu = 0, logvar = 0: what must they be at the lowest point?
# Write both, for `mu` and `logvar` of shape `(B, L)`, with the 1/B of the batch's mean. Central
# differences will tell.


# %% exercise 5.3
def kl_backward(mu, logvar):
    dmu = ...  # (B, L)
    dlogvar = ...  # (B, L)
    return dmu, dlogvar


# %% check 5.3
kl_backward = check.kl_backward(kl_backward)

# %% [markdown] hint 5.3
# In how many terms of the sum does one mu stand? So is anything summed in its slope?
#
# What is the slope of e^v along v, and what that of −v?
#
# And what is B, if `mu` is all you have?


# %% solution 5.3
def kl_backward(mu, logvar):
    return mu / len(mu), 0.5 * (np.exp(logvar) - 1) / len(mu)


# %% [markdown]
# ### Exercise 5.4: another prior, without a word of help
#
# Let the prior be N(0, τ²) instead of N(0, 1). Derive KL(N(mu, σ²) ‖ N(0, τ²)), and write it for
# each example, `(B,)`; `tau` is a number. For τ = 1 it must be the old one.


# %% exercise 5.4
def kl_to(mu, logvar, tau):
    result = ...  # (B,)
    return result


# %% check 5.4
check.wider(kl_to)

# %% [markdown] hint 5.4
# Only log p(z) changes: write it down. Which constant no longer cancels?
#
# Which mean is divided by τ² now?
#
# The KL must be 0 at mu = 0, σ = τ.


# %% solution 5.4
def kl_to(mu, logvar, tau):
    ratio = (mu**2 + np.exp(logvar)) / tau**2
    return 0.5 * (ratio - 1 - logvar + 2 * np.log(tau)).sum(axis=1)


# %% [markdown]
# In the package the 1/B comes in from outside, as `dkl` = ∂loss/∂kl: so the function stays the
# same whatever the KL's weight in the loss is.

# %%
print(inspect.getsource(latent.kl_backward))

# %%
from tinyvae import gradcheck

mu_batch, logvar_batch = rng.standard_normal((2, 5, 3))
print(gradcheck.check(latent.kl, latent.kl_backward, mu_batch, logvar_batch))

# %% [markdown]
# ## Where it pulls
#
# Training moves weights against the gradient. If the KL were the only term, it would move mu and
# logvar so. We start at mu = 2.5, logvar = −3.5 and take steps of 0.3 times the slope:

# %%
point = np.array([2.5, -3.5])  # mu, logvar
path = [point]
for _ in range(60):
    dmu, dlogvar = latent.kl_backward(1.0, point[0], point[1])
    point = point - 0.3 * np.array([dmu, dlogvar])
    path.append(point)
print("after 60 steps: mu = {:.3f}, logvar = {:.3f}".format(*point))
kl_pictures.pull(np.array(path))

# %% [markdown]
# From everywhere it goes to one point: the prior. The pull on mu grows with the distance. The pull
# on logvar is never stronger than ½ from below, but very strong from above. If every picture ended
# there, all would have the same q, and the decoder could not tell them apart. The other term of the
# loss pulls against it. Notebook 6 shows where the two settle.

# %% [markdown]
# ## Why two witnesses
#
# Notebook 4 had a sampler whose mistake every gradient check lets pass. A KL can have one of that
# kind. This one takes `logvar` for log σ. Then σ² would be exp(2 logvar), and log σ²
# would be 2 logvar. Its gradient belongs to it, term by term.

# %%


def wrong_kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(2 * logvar) - 1 - 2 * logvar)


def wrong_kl_backward(dkl, mu, logvar):
    return dkl * mu, dkl * (np.exp(2 * logvar) - 1)


print(gradcheck.check(wrong_kl, wrong_kl_backward, mu_batch, logvar_batch))

# %% [markdown]
# The gradient check passes. It must: the gradient is the right gradient, of the wrong function. It
# compares the backward pass with the forward pass, and cannot know what the forward pass should
# have been. The estimate can, as it comes from the definition alone:

# %%
z = mu + sigma * rng.standard_normal(S)
differences = log_q(z, mu, logvar) - log_p(z)
error = differences.std() / np.sqrt(S)
for name, function in (("right", latent.kl), ("wrong", wrong_kl)):
    apart = abs(function(np.array(mu), np.array(logvar)) - differences.mean()) / error
    print(f"{name} KL: {apart:.1f} standard errors from the estimate")

# %% [markdown]
# `tinyvae.audit` of notebook 4 knows this mistake by its name. (In its answer s is the second
# input of the function, our `logvar`; with `scale='logstd'` you would tell it that you mean log
# σ.)

# %%
from tinyvae.audit import audit

print(audit(kl=wrong_kl).errors[0].message)

# %% [markdown]
# **In the playground:** let [a KL without its ½](playground.html#error=kl-half) train, look for a
# curve that betrays it, then press "Run the tests on this model": the gradient check passes, and
# only the test of the KL against draws fails.

# %% [markdown]
# ## Three questions
#
# **a.** Which q with mu = 0 costs 0 nats, and what does it say about the picture?
#
# **b.** Your Monte Carlo estimate is 5 standard errors away from your closed form. What do you do?
#
# **c.** Why is KL(q ‖ p) not the same as KL(p ‖ q)?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** σ = 1: q is the prior, whatever the picture is, so it says nothing.
#
# **b.** Not more draws: that is no chance. Look for an error in one of the two, beginning with σ,
# σ² and logvar.
#
# **c.** The mean is over draws from the first. A place where q draws often counts in one, a place
# where p does in the other.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - KL(q ‖ p) is the mean of log q(z) − log p(z) over draws from q; for N(mu, σ²) and N(0, 1) it is
#   ½ (mu² + σ² − 1 − log σ²), 0 only where the two are equal.
# - Its gradient is mu along mu, and ½ (σ² − 1) along logvar, divided by B for a batch's mean.
# - Central differences are a witness that a gradient fits its function; a Monte Carlo estimate
#   with its standard error is one that the function is the right one.
#
# **Next:** all parts are there and checked. Notebook 6 puts them into one loss, and shows what each
# term does to the latent plane when it is alone.
