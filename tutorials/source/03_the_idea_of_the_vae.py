# ruff: noqa: E402

# %% [markdown]
# # 3. The idea of the VAE
#
# **The question.** A loss must ask two things of the codes: that all of them together look like
# draws of a known distribution, and that each picture owns a region. What loss asks for that?
#
# **At the end you can** derive the ELBO, the one formula behind every VAE, compute it, and see it
# touch the exact answer where that is known.
#
# **Time:** about 25 minutes. **You need:** notebooks 1 and 2 (encoder, decoder, code, loss,
# standard deviation), and logarithms: log(a b) = log a + log b. At one place an integral ∫, the
# area under a curve.

# %% [markdown]
# ## A distribution instead of a point
#
# A region with soft edges can be described by a **normal distribution** N(mu, σ²): numbers around
# the middle `mu`, with the standard deviation σ (sigma). Its square σ² is called the **variance**.
# To draw from it, stretch and move a draw from N(0, 1), as in exercise 2.3:

# %%
import inspect

import numpy as np

from tinyvae.exercises import idea

rng = np.random.default_rng(0)
mu, sigma = 1.0, 0.5
idea.bell(mu + sigma * rng.standard_normal(100_000), mu, sigma)

# %% [markdown]
# The line is the **density**: how many draws fall there, per unit of length. Its area is 1. For a
# normal distribution it is
#
# ```text
# N(x; mu, σ²) = 1/√(2πσ²) · exp(−½ (x − mu)² / σ²)
# ```
#
# Highest at x = mu, and falling on both sides, faster for a small σ.
#
# The density of several independent numbers is the product of their densities. With 784 pixels
# such a product soon becomes too small for a computer. So one works with its logarithm, where
# products become sums. A natural logarithm of a probability or a density is measured in **nats**.
#
# ```text
# log N(x; mu, σ²) = log 1/√(2πσ²) − ½ (x − mu)² / σ²
#                  = −½ log(2πσ²)  − ½ (x − mu)² / σ²
# ```
#
# (1/√a is a^(−½), and the logarithm turns the power into a factor.)
#
# ### Exercise 3.1: the logarithm of the normal density
#
# Write the last line as code. The arrays `x`, `mu`, `sigma` have the same shape, and so has the
# result. Mind which of σ and σ² you are given.


# %% exercise 3.1
def log_density(x, mu, sigma):
    result = ...
    return result


# %% check 3.1
from tinyvae.exercises import idea as check

check.normal(log_density)

# %% [markdown] hint 3.1
# `sigma` is the standard deviation, so σ² is `sigma**2`. π is `np.pi`.


# %% solution 3.1
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% [markdown]
# From here on we use this one:

# %%
from tinyvae.exercises.idea import log_density, log_joint

print(inspect.getsource(log_density))

# %% [markdown]
# ## The squared difference was a distribution all the time
#
# Let the decoder's picture `x_hat` be the middle of a distribution: it says that each pixel x_d of
# the real picture lies around x_hat_d, with some standard deviation σ. This distribution is called
# p(x|z), read "p of x given z". It says how well a code z explains the picture x:
#
# ```text
# p(x|z) = N(x; x_hat, σ²) for each pixel,      x_hat = decoder(z)
#
# −log p(x|z) = Σ_d [ ½ (x_d − x_hat_d)² / σ² + ½ log(2πσ²) ]
# ```
#
# This number is the **negative log likelihood**, `nll`. Choose σ² = ½. Then ½/σ² = 1, and the
# first part is the sum of squared differences, exactly the loss of notebook 1. The second part
# does not depend on the picture:

# %%
from tinyvae import load_dataset

digits = load_dataset("digits")
x = digits.x_test[:4]  # (4, 784)
x_hat = np.full_like(x, 0.1)  # a decoder that always draws light grey
nll = -log_density(x, x_hat, 0.5**0.5).sum(axis=1)  # (4,)
squares = ((x - x_hat) ** 2).sum(axis=1)
print("nll            ", nll.round(2))
print("squares        ", squares.round(2))
print("the difference ", (nll - squares).round(2))

# %% [markdown]
# The difference is the same for all pictures: 392 log π = 448.73. So notebook 1 already fitted a
# distribution. That is why the models of notebook 2 were given `sigma=0.5**0.5`.

# %% [markdown]
# ## Black and white: the Bernoulli distribution
#
# If a pixel is either ink (1) or paper (0), a better p(x|z) is: ink with probability p, paper with
# probability 1 − p. This is the **Bernoulli** distribution. Both cases in one formula:
#
# ```text
# −log p(x|z) = −Σ_d [ x_d log p_d + (1 − x_d) log(1 − p_d) ]        x_d is 0 or 1
# ```
#
# The decoder gives any numbers y, called **logits**, and the sigmoid turns them into
# probabilities: p = 1/(1 + e^(−y)) = e^y/(1 + e^y). Put that in:
#
# ```text
# log p       = y − log(1 + e^y)
# log(1 − p)  =   − log(1 + e^y)                     as 1 − p = 1/(1 + e^y)
#
# nll = −Σ_d [ x_d y_d − x_d log(1 + e^y_d) − (1 − x_d) log(1 + e^y_d) ]
#     =  Σ_d [ log(1 + e^y_d) − x_d y_d ]
# ```
#
# What is equal on paper need not be equal on a computer:

# %%
with np.errstate(all="ignore"):
    for y in (1.0, 40.0, 1000.0):
        p = 1 / (1 + np.exp(-y))
        first, second = -np.log(1 - p), np.log(1 + np.exp(y))
        print(f"y = {y:6g}:   −log(1 − p) = {first:<8g} log(1 + e^y) = {second:g}")

# %% [markdown]
# Both should be about y for a large y. The first is lost at 40: p was rounded to 1. The second is
# lost at 1000: e^1000 is larger than the largest float.
#
# ### Exercise 3.2: the Bernoulli loss, for any logits
#
# Write `nll (B,)` for logits `y (B, D)` and pixels `x (B, D)`, so that it is right for y from
# −1000 to 1000.


# %% exercise 3.2
def bernoulli_nll(y, x):
    nll = ...  # (B,): one number for each picture
    return nll


# %% check 3.2
check.bernoulli(bernoulli_nll)

# %% [markdown] hint 3.2
# For y > 0 take e^y out of the bracket: log(1 + e^y) = log(e^y (e^(−y) + 1)) = y + log(1 +
# e^(−y)). Now nothing is large. For y < 0 the plain form is fine. `np.maximum(y, 0)` and
# `-np.abs(y)` write both cases in one line.


# %% solution 3.2
def bernoulli_nll(y, x):
    softplus = np.maximum(y, 0) + np.log(1 + np.exp(-np.abs(y)))  # log(1 + e^y)
    return (softplus - x * y).sum(axis=1)


# %% [markdown]
# ## How a picture is made
#
# Now tell the story of a picture backwards, from the code to the pixels:
#
# 1. Draw z from N(0, 1), each of its numbers by itself. This distribution is fixed for ever. It is
#    called the **prior**, p(z): what we know of z before we see a picture. For several numbers it
#    is written N(0, I): 0 is the mean of each, and the **identity matrix** I, with ones on the
#    diagonal and zeros elsewhere, says that each has the variance 1 and none depends on another.
# 2. Let the decoder compute x_hat, and draw x from p(x|z).
#
# If this story is to tell of digits, real digits must be likely under it. How likely is a picture
# x? Any z may have made it, so take the average of p(x|z) over all draws of z:
#
# ```text
# p(x) = mean over z ~ p(z) of p(x|z)              (~ means "drawn from")
# ```
#
# That is what training should make large: log p(x), for the pictures of the data.

# %% [markdown]
# ## A model small enough to know everything
#
# To see what is going on we take a picture of one pixel, and a decoder that doubles its input:
#
# ```text
# z ~ N(0, 1)        x ~ N(2 z, 1)
# ```
#
# Here p(x) is known. x is the sum of two independent draws: 2z, with the variance 4, and the
# noise, with the variance 1. Such a sum is normal too, and the variances add up to 5. (Both have
# the mean 0, so a variance is the mean of the square. In (a + b)² = a² + 2ab + b² the middle term
# has the mean 0, as for any a, b is as often negative as positive.) So x ~ N(0, 5). Let us test
# the average above for x = 3.

# %%
x = 3.0
z = rng.standard_normal(100_000)
print(f"log of the mean of p(x|z): {np.log(np.exp(log_density(x, 2 * z, 1.0)).mean()):.3f}")
print(f"log p(x), exact:           {log_density(x, 0.0, 5**0.5):.3f}")

# %% [markdown]
# It works. But most of the draws were wasted: only z near 1.5 explain x = 3. The sharper p(x|z),
# the more are wasted. And with several latent dimensions each of them must hit:

# %%
for noise in (1.0, 0.1, 0.01):
    share = (np.abs(x - 2 * z) < 2 * noise).mean()
    print(f"noise {noise:4}: {share:6.2%} of the draws come near; in 16 dimensions {share**16:.0e}")

# %% [markdown]
# With 784 pixels p(x|z) is very sharp. Nobody would ever draw a z that explains the picture.

# %% [markdown]
# ## The encoder proposes
#
# The way out: let the encoder propose z where they are likely. It looks at x and answers with a
# distribution of its own, q(z|x) = N(mu, σ²): around which z, and how sure. That is the region
# that notebook 2 asked for.
#
# Now a little algebra. Write p(x, z) = p(z) p(x|z) for the density of the pair, as in the story
# above: first z, then x. The pair can be told the other way round too, p(x, z) = p(x) p(z|x):
# first x, then which z may have made it. This p(z|x) is called the **posterior**. The encoder's
# q(z|x) is a guess at it, the **approximate posterior**. (Many texts, and the figures from here
# on, call q(z|x) "the posterior" for short. Where it matters, p(z|x) is "the true posterior".) The
# second form gives, for every z,
#
# ```text
# log p(x) = log p(x, z) − log p(z|x)                                       true for any z
#          = [log p(x, z) − log q(z|x)] + [log q(z|x) − log p(z|x)]         add and subtract log q
# ```
#
# The left side does not depend on z. So take the mean over draws z ~ q on the right, and nothing
# changes on the left:
#
# ```text
# log p(x) =     ELBO     +    KL(q(z|x) ‖ p(z|x))
#
# ELBO = mean over z ~ q of [log p(x, z) − log q(z|x)]
# KL(q ‖ p) = mean over z ~ q of [log q(z) − log p(z)]
# ```
#
# The **KL divergence** says how different two distributions are. It is never negative. To see why,
# use that log t ≤ t − 1 for every t > 0 (the line t − 1 touches the curve log t at t = 1, and lies
# above it elsewhere). And a mean over draws can be written as an integral, in which each z counts
# as often as it is drawn: the mean of f(z) over z ~ q is ∫ q(z) f(z) dz. The area under any
# density is 1.
#
# ```text
# −KL(q ‖ p) = mean over z ~ q of log(p(z)/q(z))
#            ≤ mean over z ~ q of (p(z)/q(z) − 1)
#            = ∫ q(z) p(z)/q(z) dz − 1 = ∫ p(z) dz − 1 = 1 − 1 = 0
# ```
#
# and it is 0 where both are the same. So
#
# ```text
# ELBO ≤ log p(x)
# ```
#
# It is the **evidence lower bound**. Make it larger, and you push log p(x) up from below. And the
# difference between the two says how far the encoder's answer is from the true posterior.

# %% [markdown]
# ### Exercise 3.3: the ELBO from draws
#
# For the small model, `log_joint(x, z)` gives log p(x, z) = log p(x|z) + log p(z). Write the ELBO
# of q = N(mu, sigma²) as a mean over draws. `eps (S,)` holds S draws from N(0, 1). Make draws from
# q of them.


# %% exercise 3.3
def elbo(x, mu, sigma, eps):
    result = ...  # a number; you will need draws z (S,) from N(mu, sigma²) first
    return result


# %% check 3.3
check.elbo(elbo)

# %% [markdown] hint 3.3
# The draws are those of exercise 2.3: stretch by sigma, move by mu. log q(z|x) is `log_density(z,
# mu, sigma)`.


# %% solution 3.3
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% [markdown]
# Now try several answers of an encoder for x = 3:

# %%
eps = rng.standard_normal(100_000)
print(f"exact log p(x):  {log_density(x, 0.0, 5**0.5):.3f}")
for mu, sigma in ((0.0, 1.0), (1.5, 0.1), (1.2, 1.0), (1.2, 0.2**0.5)):
    z = mu + sigma * eps
    values = log_joint(x, z) - log_density(z, mu, sigma)
    mean, low, high = values.mean(), values.min(), values.max()
    print(f"mu {mu}, sigma {sigma:.2f}:  ELBO {mean:7.3f}    its draws: {low:9.3f} … {high:6.3f}")

# %% [markdown]
# The last one hits log p(x), and every draw gives the same number. N(1.2, 0.2), with σ = √0.2 =
# 0.45, is the true posterior here. To see it, write log p(x, z) for x = 3 as a function of z ("…"
# stands for what does not depend on z):
#
# ```text
# log p(z) + log p(x|z) = −½ z² − ½ (3 − 2z)² + …
#                       = −½ (5 z² − 12 z) + …                 as (3 − 2z)² = 9 − 12 z + 4 z²
#                       = −½ · 5 (z − 1.2)² + …                as 5 (z − 1.2)² = 5 z² − 12 z + 7.2
# ```
#
# That is the logarithm of a normal density with mu = 1.2 and 1/σ² = 5. With this q, KL(q ‖ true
# posterior) is 0, and the bound is exact. All answers at once:

# %%
idea.bound(3.0)

# %% [markdown]
# ## What the ELBO asks for
#
# Write log p(x, z) = log p(x|z) + log p(z), and sort:
#
# ```text
# −ELBO = mean over z ~ q of [−log p(x|z)]   +   mean over z ~ q of [log q(z|x) − log p(z)]
#       =         reconstruction             +           KL(q(z|x) ‖ p(z))
# ```
#
# This is the loss of the **variational autoencoder**. Compare with what notebook 2 asked for:
#
# - **Reconstruction.** Not one point, but *every draw* from the picture's region must decode to
#   the picture. So there are no gaps inside a region.
# - **KL.** Each region is pulled towards the prior N(0, 1): towards 0, and to the width 1. So
#   regions come to lie side by side around 0, and where they are is known.
#
# The two pull against each other. A sharp reconstruction wants small regions, far apart. The KL
# wants all of them to be the same.
#
# Train one, with the same layers as in notebook 2. The encoder's last layer has 4 outputs now: 2
# for the mu and 2 for the width of its region. (`lr_schedule="step"` takes smaller steps in the
# last third of the training.)

# %% long
from tinyvae import VAE, figures, fit
from tinyvae.figures import gallery

options = {"sigma": 0.5**0.5, "output": "sigmoid"}
options["backend"] = "numpy"  # also where there is a GPU
vae = VAE(784, 2, hidden=(128, 32), seed=0, **options)
fit(vae, digits.x_train, epochs=15, batch_size=100, lr=0.004, lr_schedule="step", progress=False)
gallery.figure("plane", vae, digits)

# %% [markdown]
# On the left each point is a mu, the mean of a q(z|x), and each ellipse is a region, one σ wide.
# They lie where the circles of the prior N(0, I) are. On the right, there is a digit wherever the
# prior puts its draws. So draw from the prior, which you know without looking at any code, and
# decode:

# %% long
figures.image_grid(
    vae.sample(60, seed=0),
    (28, 28),
    columns=20,
    title="New digits",
    subtitle="z ~ N(0, I), decoded. No code of any picture was looked at.",
)

# %% [markdown]
# Blurred, because 2 numbers are few. But the place was known before the training began, and it
# stays the same for every seed:

# %% long
for seed in (0, 1):
    if seed:
        vae = VAE(784, 2, hidden=(128, 32), seed=seed, **options)
        fit(vae, digits.x_train, epochs=8, batch_size=100, lr=0.004, progress=False)
    mu, logvar = vae.encode(digits.x_train)
    z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)
    print(
        f"seed {seed}: means {z.mean(axis=0).round(1) + 0.0}, deviations {z.std(axis=0).round(1)}"
    )

# %% [markdown]
# (`logvar` is the encoder's way of telling σ. Notebook 4 explains the line.)

# %% [markdown]
# ## In three lines
#
# - The encoder answers with a distribution q(z|x); the decoder's picture is the middle of a
#   distribution p(x|z).
# - log p(x) = ELBO + KL(q ‖ true posterior), so the ELBO is a lower bound, exact where q is the
#   true posterior.
# - −ELBO = reconstruction + KL(q ‖ prior): every draw must decode to the picture, and all regions
#   lie around 0.
#
# **Next:** the reconstruction is a mean over random draws of z. How can the gradient pass through
# a dice throw? Notebook 4 has the trick, and a true story about the mistake that is made there.
