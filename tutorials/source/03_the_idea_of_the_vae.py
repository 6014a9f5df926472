# ruff: noqa: E402

# %% [markdown]
# # 3. The idea of the VAE
#
# **The question.** A loss must ask two things of the codes: that all of them together look like
# draws of a known distribution, and that each picture owns a region. What loss asks for that?
#
# **At the end you can** derive the ELBO, the formula behind the VAE, compute it, and see it
# touch the exact answer where that is known.
#
# **Time:** about 55 minutes, and 10 more for exercise 3.3. **You need:** notebooks 1 and 2
# (encoder, decoder, code, loss, standard deviation), and logarithms: log(a b) = log a + log b. At
# one place an integral ∫, the area under a curve.

# %% [markdown]
# ## A distribution instead of a point
#
# A region with soft edges can be described by a **normal distribution** N(mu, σ²): numbers around
# the middle `mu`, with the standard deviation σ (sigma). Its square σ² is called the **variance**.
# To draw from it, stretch and move a draw from N(0, 1), as in exercise 2.3:

# %%
import numpy as np

from tinyvae.exercises import idea

rng = np.random.default_rng(0)
mu, sigma = 1.0, 0.5
idea.bell(mu + sigma * rng.standard_normal(100_000), mu, sigma)

# %% [markdown]
# The line is the **density**: how many draws fall there, per unit of length. Its area is 1. For a
# normal distribution it is
#
# $$N(x;\ \mu, \sigma^2) = \frac1{\sqrt{2\pi\sigma^2}}\, \exp\left(-\tfrac12 \frac{(x -
# \mu)^2}{\sigma^2}\right)$$
#
# Highest at x = mu, falling on both sides, faster for a small σ.
#
# The density of several independent numbers is the product of their densities. With 784 pixels
# such a product soon becomes too small for a computer. So one works with its logarithm, where
# products become sums. A natural logarithm of a probability or a density is measured in **nats**.
#
# $$\log N(x;\ \mu, \sigma^2) = \log \frac1{\sqrt{2\pi\sigma^2}} - \tfrac12 \frac{(x -
# \mu)^2}{\sigma^2} = -\tfrac12 \log(2\pi\sigma^2) - \tfrac12 \frac{(x - \mu)^2}{\sigma^2}$$
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

log_density = check.normal(log_density)

# %% [markdown] hint 3.1
# There are two terms; write them one after the other. (π is `np.pi`.)
#
# Which of the two needs (x − mu), and what stands under the fraction there?
#
# Then read the line above again: does it have σ or σ², and which of them is `sigma`?


# %% solution 3.1
def log_density(x, mu, sigma):
    return -0.5 * np.log(2 * np.pi * sigma**2) - 0.5 * (x - mu) ** 2 / sigma**2


# %% [markdown]
# The check has handed your function on, or the package's where yours is still open: `log_density`
# works from here on.

# %% [markdown]
# ## The squared difference was a distribution all the time
#
# Let the decoder's picture `x_hat` be the middle of a distribution: it says that each pixel x_d of
# the real picture lies around x_hat_d, with some standard deviation σ_x. (The index x says that it
# is the width of a picture's pixels, and no other σ of this notebook.) This distribution is called
# p(x|z), read "p of x given z". It says how well a code z explains the picture x. The density of
# all pixels together is a product over d, its logarithm a sum:
#
# $$p(x|z) = \prod_d N(x_d;\ \hat x_d, \sigma_x^2), \qquad \hat x = \text{decoder}(z)$$
#
# $$-\log p(x|z) = \sum_d \left[ \tfrac12 \frac{(x_d - \hat x_d)^2}{\sigma_x^2} + \tfrac12 \log
# 2\pi\sigma_x^2 \right]$$
#
# This number is the **negative log likelihood**, `nll`. Choose σ_x² = ½. Then ½/σ_x² = 1, and the
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
# If a pixel is either ink (1) or paper (0), a better p(x|z) is: ink with probability p (here a
# number), paper with probability 1 − p. This is the **Bernoulli** distribution. Both cases in one
# formula:
#
# $$-\log p(x|z) = -\sum_d \big[ x_d \log p_d + (1 - x_d) \log(1 - p_d) \big], \qquad x_d\ \text{is
# 0 or 1}$$
#
# The decoder gives any numbers y, called **logits**, and the sigmoid turns them into
# probabilities: p = 1/(1 + e^(−y)) = e^y/(1 + e^y). Put that in:
#
# $$\log p = y - \log(1 + e^y) \qquad \log(1 - p) = -\log(1 + e^y), \quad \text{as}\ 1 - p = 1/(1 +
# e^y)$$
#
# $$\text{nll} = -\sum_d \big[ x_d y_d - x_d \log(1 + e^{y_d}) - (1 - x_d) \log(1 + e^{y_d}) \big]
# = \sum_d \big[ \log(1 + e^{y_d}) - x_d y_d \big]$$
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
# Write `nll (B,)` for logits `y (B, D)` and the D pixels of each picture, `x (B, D)`, so that it is
# right for y from −1000 to 1000.


# %% exercise 3.2
def bernoulli_nll(y, x):
    nll = ...  # (B,): one number for each picture
    return nll


# %% check 3.2
bernoulli_nll = check.bernoulli(bernoulli_nll)

# %% [markdown] hint 3.2
# Which of the two, e^y or e^(−y), is small for a large y? Take the large one out of the bracket:
# log(1 + e^y) = log(e^y · (…)).
#
# For y < 0 the plain form is fine.
#
# Then look for one line that is right in both cases: what are `np.maximum(y, 0)` and `np.abs(y)`
# there?


# %% solution 3.2
def bernoulli_nll(y, x):
    softplus = np.maximum(y, 0) + np.log(1 + np.exp(-np.abs(y)))  # log(1 + e^y)
    return (softplus - x * y).sum(axis=1)


# %% [markdown]
# ### Exercise 3.3: another distribution, without a word of help
#
# A squared error is large where a single pixel is far off. The **Laplace** distribution is milder:
# its density falls as e^(−|x − x_hat| / b) on both sides of x_hat. Find the constant that gives it
# the area 1, take the negative logarithm, and write `nll (B,)` for pixels `x` and `x_hat`, `(B,
# D)` each, and the number `scale`, which is b.


# %% exercise 3.3
def laplace_nll(x, x_hat, scale):
    nll = ...  # (B,)
    return nll


# %% check 3.3
check.laplace(laplace_nll)

# %% [markdown] hint 3.3
# How large is the area under e^(−u/b) from u = 0 to infinity?
#
# There are two such sides: what must stand before the exponential?
#
# What does its logarithm add to the loss, and how often in D pixels?


# %% solution 3.3
def laplace_nll(x, x_hat, scale):
    return (np.abs(x - x_hat) / scale + np.log(2 * scale)).sum(axis=1)


# %% [markdown]
# ## How a picture is made
#
# Tell the story of a picture backwards, from the code to the pixels:
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
# $$p(x) = \mathbb E_{z \sim p(z)}\big[p(x|z)\big]$$
#
# (~ means "drawn from", and E stands for the mean, the "expectation".)
#
# That is what training should make large: log p(x), for the pictures of the data.

# %% [markdown]
# ## A model small enough to know everything
#
# To see what is going on we take a picture of one pixel, and a decoder that doubles its input:
#
# $$z \sim N(0, 1) \qquad x\,|\,z \sim N(2 z, 1)$$
#
# Here p(x) is known. x is the sum of two independent draws: 2z, with the variance 4, and the noise,
# with the variance 1. The variances add up to 5. (Both have the mean 0, so a variance is the mean
# of the square. In (a + b)² = a² + 2ab + b² the middle term has the mean 0, as b is as often
# negative as positive, whatever a is.) And such a sum is normal too. That is a theorem; here are
# draws of x beside the density of N(0, 5):

# %%
z = rng.standard_normal(100_000)
idea.bell(2 * z + rng.standard_normal(100_000), 0.0, 5**0.5)

# %% [markdown]
# So x ~ N(0, 5). Test the average above for x = 3.

# %%
x = 3.0
z = rng.standard_normal(100_000)
print(f"log of the mean of p(x|z): {np.log(np.exp(log_density(x, 2 * z, 1.0)).mean()):.3f}")
print(f"log p(x), exact:           {log_density(x, 0.0, 5**0.5):.3f}")

# %% [markdown]
# But most of the draws were wasted: only z near 1.5 explain x = 3. The sharper p(x|z),
# the more are wasted. And with several latent dimensions each of them must hit:

# %%
for noise in (1.0, 0.1, 0.01):
    share = (np.abs(x - 2 * z) < 2 * noise).mean()
    print(f"noise {noise:4}: {share:6.2%} of the draws come near; in 16 dimensions {share**16:.0e}")

# %% [markdown]
# With many latent numbers hardly a draw explains the picture, and the average is made of a few
# lucky ones. (With 2 latent numbers it would still work: a few draws in a hundred come near.
# Notebook 9 shows what is done where it does not.)

# %% [markdown]
# ## The encoder proposes
#
# The way out: let the encoder propose z where they are likely. It looks at x and answers with a
# distribution of its own, q(z|x) = N(mu, σ²): around which z, and how sure. That is the region
# that notebook 2 asked for.
#
# Write p(x, z) = p(z) p(x|z) for the density of the pair, as in the story
# above: first z, then x. The pair can be told the other way round too, p(x, z) = p(x) p(z|x):
# first x, then which z may have made it. This p(z|x) is called the **posterior**. The encoder's
# q(z|x) is a guess at it, the **approximate posterior**. (Many texts, and the figures from here
# on, call q(z|x) "the posterior" for short. Where it matters, p(z|x) is "the true posterior".)

# %% [markdown]
# ## log p(x) = ELBO + gap
#
# The second form, p(x, z) = p(x) p(z|x), gives for every z
#
# $$\log p(x) = \log p(x, z) - \log p(z|x)$$
#
# $$\log p(x) = \big[\log p(x, z) - \log q(z|x)\big] + \big[\log q(z|x) - \log p(z|x)\big]$$
#
# In the second line log q was subtracted and added again. The left side does not depend on z. So
# take the mean over draws z ~ q on the right, and nothing changes
# on the left:
#
# $$\log p(x) = \underbrace{\mathbb E_{z \sim q}\big[\log p(x, z) - \log q(z|x)\big]}_{\text{ELBO}}
# + \underbrace{\mathbb E_{z \sim q}\big[\log q(z|x) - \log p(z|x)\big]}_{\text{gap: } KL(q(z|x)\
# \|\ p(z|x))}$$
#
# The gap is a **KL divergence** (after Kullback and Leibler). For any two densities q and p of z it
# is
#
# $$KL(q\ \|\ p) = \mathbb E_{z \sim q}\big[\log q(z) - \log p(z)\big]$$
#
# and it says how different they are. (The bars ‖ keep the two names apart; they are no norm.) For
# the small model both parts can be computed. Whatever q is, they end at the same place:

# %%
idea.gap(3.0, [(0.0, 1.0), (1.5, 0.1), (1.2, 1.0), (1.2, 0.2**0.5)])

# %% [markdown]
# The gap was never negative. That is always so.

# %% [markdown]
# ## Why the gap is never negative
#
# Two facts. First, log t ≤ t − 1 for every t > 0: the line t − 1 touches the curve log t at t = 1,
# and lies above it everywhere else. Second, a mean over draws can be written as an integral, in
# which each z counts as often as it is drawn: the mean of f(z) over z ~ q is ∫ q(z) f(z) dz. The
# area under any density is 1. So, with t = p(z)/q(z):
#
# $$-KL(q\ \|\ p) = \mathbb E_{z \sim q} \log\frac{p(z)}{q(z)} \le \mathbb E_{z \sim
# q}\left[\frac{p(z)}{q(z)} - 1\right] = \int q(z)\frac{p(z)}{q(z)}\,dz - 1 = \int p(z)\,dz - 1 =
# 0$$
#
# Equality needs t = 1 at every z that is drawn: the KL is 0 only where both densities are the same.
# So
#
# $$\text{ELBO} \le \log p(x)$$
#
# It is the **evidence lower bound** (the evidence is p(x)). Make it larger, and you push log p(x)
# up from below. The gap says how far the encoder's answer is from the true posterior.

# %% [markdown]
# ### Exercise 3.4: the ELBO from draws
#
# For the small model, `log_joint(x, z)` gives log p(x, z) = log p(x|z) + log p(z):

# %%
from tinyvae.exercises.idea import log_joint

print(f"log p(3, 1.5) = {log_joint(3.0, 1.5):.3f}")

# %% [markdown]
# Write the ELBO of q = N(mu, sigma²) as a mean over draws from q. `eps (S,)` holds S draws from
# N(0, 1).


# %% exercise 3.4
def elbo(x, mu, sigma, eps):
    result = ...  # a number; you will need draws z (S,) from N(mu, sigma²) first
    return result


# %% check 3.4
elbo = check.elbo(elbo)

# %% [markdown] hint 3.4
# First: `eps` are draws from N(0, 1), and the mean is over draws from q. How did exercise 2.3 turn
# one into the other?
#
# Then: which two logarithms stand in the bracket of the ELBO, and which function gives each?
#
# Last: what is done with the S numbers?


# %% solution 3.4
def elbo(x, mu, sigma, eps):
    z = mu + sigma * eps
    return (log_joint(x, z) - log_density(z, mu, sigma)).mean()


# %% [markdown]
# Try several answers of an encoder for x = 3:

# %%
eps = rng.standard_normal(100_000)
print(f"exact log p(x):  {log_density(x, 0.0, 5**0.5):.3f}")
for mu, sigma in ((0.0, 1.0), (1.5, 0.1), (1.2, 1.0), (1.2, 0.2**0.5)):
    z = mu + sigma * eps
    values = log_joint(x, z) - log_density(z, mu, sigma)
    mean, low, high = values.mean(), values.min(), values.max()
    print(f"mu {mu}, sigma {sigma:.2f}:  ELBO {mean:7.3f}    its draws: {low:9.3f} … {high:6.3f}")

# %% [markdown]
# Each ELBO is that of the bars above, up to the noise of the draws. Single draws may well lie
# above log p(x); the bound holds for their mean. The last one hits log p(x), and every draw gives
# the same number. N(1.2, 0.2), with σ = √0.2 = 0.45, is the true posterior here. To see it, write
# log p(x, z) for x = 3 as a function of z ("…" stands for what does not depend on z):
#
# $$\log p(z) + \log p(x|z) = -\tfrac12 z^2 - \tfrac12 (3 - 2z)^2 + \ldots = -\tfrac12 (5 z^2 - 12
# z) + \ldots = -\tfrac12 \cdot 5\, (z - 1.2)^2 + \ldots$$
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
# $$-\text{ELBO} = \underbrace{\mathbb E_{z \sim q}\big[-\log p(x|z)\big]}_{\text{reconstruction}}
# + \underbrace{\mathbb E_{z \sim q}\big[\log q(z|x) - \log p(z)\big]}_{KL(q(z|x)\ \|\ p(z))}$$
#
# This is the loss of the **variational autoencoder**. Compare with what notebook 2 asked for:
#
# - **Reconstruction.** Not one point, but *every draw* from the picture's region must decode to
#   the picture. So a region has no holes.
# - **KL.** Each region is pulled towards the prior N(0, 1): towards 0, and to the width 1. So
#   regions come to lie side by side around 0, and where they are is known.
#
# The two pull against each other. A sharp reconstruction wants small regions, far apart. The KL
# wants all of them to be the same.
#
# Train one, with the same layers as in notebook 2, for as long as there. The encoder's last layer
# has 4 outputs now: 2 for the mu and 2 for the width of its region.

# %% long
from tinyvae import VAE, figures, fit
from tinyvae.figures import gallery

options = {"hidden": (128, 32), "sigma": 0.5**0.5, "output": "sigmoid", "backend": "numpy"}
training = {"epochs": 8, "batch_size": 100, "lr": 0.004, "progress": False}
vae = VAE(784, 2, seed=0, **options)
fit(vae, digits.x_train, **training)
gallery.figure("plane", vae, digits)

# %% [markdown]
# On the left each point is a mu, the mean of a q(z|x), and each ellipse is a region, one σ wide.
# They lie where the circles of the prior N(0, I) are. On the right, there is a digit nearly
# wherever the prior puts its draws. So draw from the prior, which you know without looking at any
# code, and decode:

# %% long
figures.image_grid(
    vae.sample(60, seed=0),
    (28, 28),
    columns=20,
    title="New digits",
    subtitle="z ~ N(0, I), decoded. No code of any picture was looked at.",
)

# %% [markdown]
# Blurred, because 2 numbers are few. Are they better than those of notebook 2? Measure its three
# failures again.

# %% [markdown]
# ## The three failures, measured again
#
# **First: the place of the codes was not known.** Train a second model from other first weights,
# and look at draws from the q(z|x) of all training pictures. (`logvar` is the encoder's way of
# telling σ. Notebook 4 explains the line.)

# %% long
from tinyvae import Autoencoder


def codes_of(model, x):
    """Return a draw z (N, L) from q(z|x) of each picture, or the code of an autoencoder."""
    if isinstance(model, Autoencoder) and not isinstance(model, VAE):
        return model.encode(x)
    mu, logvar = model.encode(x)
    return mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape).astype(np.float32)


second = VAE(784, 2, seed=1, **options)
fit(second, digits.x_train, **training)
plain = [Autoencoder(784, 2, seed=seed, **options) for seed in (0, 1)]
for model in plain:
    fit(model, digits.x_train, **training)

for name, pair in (("autoencoder", plain), ("VAE", (vae, second))):
    for seed, model in enumerate(pair):
        z = codes_of(model, digits.x_train)
        mean, deviation = z.mean(axis=0), z.std(axis=0)
        print(
            f"{name:11} seed {seed}:  means {mean[0]:5.1f} {mean[1]:5.1f}   "
            f"standard deviations {deviation[0]:4.1f} {deviation[1]:4.1f}"
        )

# %% [markdown]
# The autoencoder's codes are wherever the first weights led them. The VAE's are near mean 0 and
# standard deviation 1 both times: the place was known before the training began.
#
# **Second: the digits came in the wrong proportions.** Decode 2,000 draws, and count by the nearest
# code, as in exercise 2.2:

# %% long
from tinyvae.exercises.latent_space import nearest_code as nearest


def shares(digit):
    return " ".join(f"{share:4.0%}" for share in np.bincount(digit, minlength=10) / len(digit))


codes = plain[0].encode(digits.x_train)
from_box = rng.uniform(codes.min(axis=0), codes.max(axis=0), (2000, 2)).astype(np.float32)
from_prior = rng.standard_normal((2000, 2)).astype(np.float32)
print("digit                     ", *(f"{digit:4}" for digit in range(10)))
print("in the data               ", shares(digits.y_train))
print("autoencoder, from the box ", shares(digits.y_train[nearest(from_box, codes)]))
codes = codes_of(vae, digits.x_train)
print("VAE, from the prior       ", shares(digits.y_train[nearest(from_prior, codes)]))

# %% [markdown]
# No digit is drawn twice as often as it should be, and none is forgotten.
#
# **Third: between the codes lay nothing.** With 16 numbers, a draw with the right means and
# standard deviations was 2.4 times as far from the nearest code as a real picture's code is. Train
# both kinds with 16 numbers, for 15 epochs. (`lr_schedule="step"` takes smaller steps in the last
# third of them.)


# %% long
def distance(z, codes):
    """Return the median distance of points z (M, L) to the nearest of the codes (N, L)."""
    return np.median(np.linalg.norm(z - codes[nearest(z, codes)], axis=1))


larger = {"autoencoder": Autoencoder(784, 16, seed=0, **options)}
larger["VAE"] = VAE(784, 16, seed=0, **options)
eps = rng.standard_normal((500, 16)).astype(np.float32)
drawn = []
for name, model in larger.items():
    fit(model, digits.x_train, **training | {"epochs": 15, "lr_schedule": "step"})
    codes = codes_of(model, digits.x_train)  # (4500, 16)
    z = eps  # the VAE's draws are from the prior
    if name == "autoencoder":
        z = codes.mean(axis=0) + codes.std(axis=0) * eps
    near, far = distance(codes_of(model, digits.x_test), codes), distance(z, codes)
    drawn.append(model.decode(z[:40]))
    print(f"{name:11}: a random draw is {far / near:.2f} times as far away as a test picture")

figures.image_grid(
    np.concatenate(drawn),
    (28, 28),
    columns=20,
    row_labels=["autoencoder", "", "VAE", ""],
    title="New pictures from 16 numbers",
    subtitle="The same random numbers for both. Above: stretched to the autoencoder's codes. "
    "Below: as they are, z ~ N(0, I).",
)

# %% [markdown]
# A draw from the VAE's prior is about as near to the next code as a real picture's draw is. Most of
# what comes out are digits, where the autoencoder gives scraps. They are still blurred: with σ_x² =
# ½ the model counts a wrong pixel as cheap, and leaves most of the 16 numbers unused. Notebook 6
# trains it on black and white pixels, where a wrong pixel costs more, and the draws become sharper.
#
# **In the playground:** watch [a VAE](playground.html) from its first step, and look at how its
# codes settle on the prior's circles while its draws from the prior become digits.

# %% [markdown]
# ## Three questions
#
# **a.** A colleague reports an ELBO that is larger than log p(x). What follows?
#
# **b.** Which part of the loss keeps regions from being points, and which keeps them from being
# far away?
#
# **c.** Why is the mean over draws from the prior a poor way to log p(x) with many latent numbers?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** There is an error, in one of the two numbers or in the model: the gap is a KL, and no KL
# is negative. (Or the estimate is noisy: ask for its standard error.)
#
# **b.** The KL does both: log σ² makes a narrow region expensive, mu² a distant one. The
# reconstruction wants narrow and distant ones.
#
# **c.** Nearly no draw explains a given picture, so the mean is made of a few lucky draws;
# notebook 9 measures it.
#
# </details>

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
# a dice throw? Notebook 4 has the trick, and the mistake that every gradient check lets pass.
