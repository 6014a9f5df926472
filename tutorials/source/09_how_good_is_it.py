# ruff: noqa: E402

# %% [markdown]
# # 9. How good is it? log p(x), by importance sampling
#
# **The question.** A model is good if it finds new pictures probable. The ELBO says how probable,
# but it is only a lower bound. How far below the truth is it, and can we measure the truth itself?
#
# **At the end you can** estimate log p(x) by importance sampling, compute with numbers far below
# what a computer can hold, and tell when such an estimate deserves no trust.
#
# **Time:** about 45 minutes, and 20 more for exercises 9.3 and 9.5. **You need:** the ELBO and the
# normal distribution (notebook 3), the KL (notebook 5).

# %% [markdown]
# ## What we want to know
#
# A VAE describes how a picture comes about: draw a code z from the prior, then a picture from
# p(x|z). So the probability of a picture is the mean of p(x|z) over all codes, each as often as
# the prior gives it. As in notebook 3 such a mean is an integral:
#
# $$p(x) = \int p(x|z)\, p(z)\, dz$$
#
# The better the model, the higher log p(x) of pictures that it has not seen. That is the number by
# which this notebook compares models.
#
# We take pictures in black and white, of zeros and ones. Then p(x) is a true probability of one
# among 2⁷⁸⁴ possible pictures. (On grey values the Bernoulli likelihood is a fine loss, but no
# probability of anything.)

# %%
import inspect
import math

import numpy as np

from tinyvae import VAE, evaluate, figures, fit, load_dataset
from tinyvae.evaluate import evaluation
from tinyvae.exercises import evaluation as check
from tinyvae.exercises import pictures

digits = load_dataset("digits")
x_train = (digits.x_train > 0.5).astype("float32")
x_test = (digits.x_test > 0.5).astype("float32")
figures.image_grid(x_test[:18], (28, 28), columns=18, title="Test pictures in black and white")

# %% long
training = {"epochs": 15, "batch_size": 100, "lr": 0.002, "lr_schedule": "step"}
vae = VAE(784, 10, hidden=(200,), likelihood="bernoulli", backend="numpy", seed=0)
fit(vae, x_train, **training, progress=False)
terms = evaluate.elbo(vae, x_test, samples=10)
print(f"ELBO {terms.elbo:.1f} = −({terms.reconstruction:.1f} + {terms.kl:.1f})")

# %% [markdown]
# The ELBO is about −117 nats for a test picture. So log p(x) is at least −117, on average. (Is
# that good? A model that finds every pixel equally likely black or white has 784 · log ½ = −543.)

# %% [markdown]
# ## The direct way: draw codes from the prior
#
# A mean over all codes can be estimated by a mean over S drawn codes:
#
# $$p(x) \approx \frac1S \sum_i p(x|z_i), \qquad z_i \sim p(z) = N(0, I),\ i = 1 \ldots S$$
#
# We need log p(x|z) = −nll of each picture for each code. For a Bernoulli it is Σ_d [x_d y_d −
# log(1 + e^y_d)], with the logits y of the decoder (notebook 3). For N pictures and S codes the
# first part is one matrix product:

# %% long
from tinyvae.core.arrays import softplus  # log(1 + e^y)

few = x_test[:100]  # (N, D)
z = np.random.default_rng(0).standard_normal((1000, 10), dtype="float32")  # (S, L)
y = vae.decoder_output(z)  # (S, D)
log_p = few @ y.T - softplus(y).sum(axis=1)  # (N, S)
print(f"log p(x|z) of the first picture: from {log_p[0].min():.0f} to {log_p[0].max():.0f} nats")
with np.errstate(divide="ignore"):
    print("log of the mean of exp(…):", np.log(np.exp(log_p[0]).mean()))

# %% [markdown]
# The answer is −inf. In float32, the numbers that the model computes with, the smallest positive
# number is about e^(−103). Every single p(x|z) is smaller, and becomes 0; and log 0 = −inf. With
# float64 the same happens below e^(−745), which is no rare value either.

# %% [markdown]
# ## The mean of numbers that are too small to write
#
# Given are logarithms a_1 … a_S, wanted is the logarithm of the mean of their exponentials, without
# ever computing one of these:
#
# $$\log \frac1S \sum_i e^{a_i}$$
#
# The remedy is to take a common factor out of the sum before anything is exponentiated, such that
# the largest term becomes 1. Some others may still become 0, but those are too small to count
# beside the 1. This is called **log-mean-exp**.
#
# ### Exercise 9.1: log-mean-exp
#
# Which factor? Work out the formula first.
#
# The function gets `a (N, S)`, S logarithms for each of N pictures. It returns `result (N,)`.


# %% exercise 9.1
def log_mean_exp(a):
    result = ...  # (N,)
    return result


# %% check 9.1
log_mean_exp = check.log_mean_exp(log_mean_exp)

# %% [markdown] hint 9.1
# Let M be the largest of the a. Write a = M + (a − M): which factor have all terms in common, and
# what becomes of it outside the logarithm?
#
# Then: each row has its own maximum.
#
# Which shape must it have, to be subtracted from (N, S), and which to be added to (N,)?


# %% solution 9.1
def log_mean_exp(a):
    largest = a.max(axis=1)  # (N,)
    return largest + np.log(np.exp(a - largest[:, None]).mean(axis=1))


# %% [markdown]
# With it (your function, if the check accepted it):

# %% long
direct = log_mean_exp(log_p)  # (N,)
bound = evaluate.elbo_per_example(vae, few, samples=100).elbo  # (N,)
print(f"log p(x) the direct way: {direct.mean():.1f}")
print(f"ELBO, a lower bound:     {bound.mean():.1f}")

# %% [markdown]
# No −inf any more, and yet nonsense: log p(x) cannot be below its own lower bound. Look at how the
# 1,000 draws share the sum:

# %% long
share = np.exp(log_p.max(axis=1) - direct) / 1000  # (N,)
print(
    f"the largest of 1,000 terms makes up {np.median(share):.0%} of the sum, for a typical picture"
)

# %% [markdown]
# One lucky draw carries it all. Almost all codes decode to *other* digits, which explain this
# picture worse by a factor of e^100. The codes that would explain it well lie in a tiny part of a
# space of 10 dimensions, and 1,000 draws never hit it.

# %% [markdown]
# ## How many draws really count?
#
# A number says it for any weights w_1 … w_S (here w_i = p(x|z_i)), the **effective sample size**:
#
# $$\frac{\left(\sum_i w_i\right)^2}{\sum_i w_i^2}$$
#
# Two cases show what it counts. If all S weights are equal to w, it is (S w)² / (S w²) = S. If K
# of them are equal to w and all others are 0, it is (K w)² / (K w²) = K. In between lies
# everything else. A common factor of all weights cancels.
#
# ### Exercise 9.2: the effective sample size
#
# The function gets the *logarithms* of the weights, `log_w (N, S)`, which may be around −900. It
# returns `effective (N,)`.


# %% exercise 9.2
def effective_samples(log_w):
    effective = ...  # (N,)
    return effective


# %% check 9.2
effective_samples = check.effective_samples(effective_samples)

# %% [markdown] hint 9.2
# What happens to the fraction if all weights of a row are doubled?
#
# So which factor may you take out, to keep e^… in bounds?
#
# What is then the logarithm of each weight?


# %% solution 9.2
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))  # (N, S), the largest is 1
    return w.sum(axis=1) ** 2 / (w**2).sum(axis=1)


# %% [markdown]
# ### Exercise 9.3: how far off is the estimate? Without a word of help
#
# The mean of S weights is itself off by its standard error (exercise 5.1). What we report is its
# logarithm. (A number m that moves a little moves log m by 1/m times as much.) Return the standard
# error of the estimate of log p(x), `(N,)`, from `log_w (N, S)`, which may again be around −900.


# %% exercise 9.3
def standard_error(log_w):
    error = ...  # (N,)
    return error


# %% check 9.3
standard_error = check.standard_error(standard_error)

# %% [markdown] hint 9.3
# What is the standard error of the mean weight?
#
# And by what is it divided, when the mean becomes its logarithm?
#
# Does a common factor of all weights matter? Then choose it as before.


# %% solution 9.3
def standard_error(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))  # (N, S)
    return w.std(axis=1) / w.mean(axis=1) / np.sqrt(w.shape[1])


# %% [markdown]
# ## Draw where the picture comes from
#
# The encoder knows where to look: q(z|x) is its guess which codes a picture may come from. So draw
# from q instead of the prior. That changes the mean, and a weight makes up for it. Multiply and
# divide by q(z|x) under the integral:
#
# $$p(x) = \int p(x|z)\, p(z)\, dz = \int q(z|x)\, \frac{p(x|z)\, p(z)}{q(z|x)}\, dz = \mathbb E_{z
# \sim q}[w(z)], \qquad w(z) = \frac{p(x|z)\, p(z)}{q(z|x)}$$
#
# A code that q gives twice as often as the prior counts half. This is **importance sampling**, and
# w is the **importance weight**.
#
# For one picture, here is log p(x|z) with codes from the prior and codes from q(z|x):

# %% long
mu, logvar = vae.encode(few[:1])  # (1, L) each
eps = np.random.default_rng(1).standard_normal((1000, 10), dtype="float32")
near = vae.decoder_output(mu + np.exp(0.5 * logvar) * eps)  # (S, D)
pictures.two_ways(log_p[0], few[0] @ near.T - softplus(near).sum(axis=1))

# %% [markdown]
# ### Exercise 9.4: importance weights
#
# For one picture the function gets `nll (S,)`, which is −log p(x|z) of each draw; `mu`, `logvar
# (L,)` of q(z|x); and the draws `z (S, L)`. It returns `log_w (S,)`.
#
# Take the logarithm of w. You need that of the normal density (exercise 3.1), for the prior and
# for q, in each of the L dimensions, which are independent.


# %% exercise 9.4
def log_weights(nll, mu, logvar, z):
    log_w = ...  # (S,)
    return log_w


# %% check 9.4
log_weights = check.log_weights(log_weights)

# %% [markdown] hint 9.4
# log w has three terms: which, and with which signs? Write each in a line of its own, (S,).
#
# What is σ² in terms of logvar?
#
# Which constant stands in two of the terms, and what becomes of it?


# %% solution 9.4
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)  # (S,), without its constant
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)  # without it, too
    return -nll + log_p_z - log_q


# %% [markdown]
# All that you have written, at the picture above and its 1,000 draws from q(z|x):

# %% long
nll = softplus(near).sum(axis=1) - near @ few[0]  # (S,)
log_w = log_weights(nll, mu[0], logvar[0], mu + np.exp(0.5 * logvar) * eps)[None]  # (1, S)
value, error = log_mean_exp(log_w)[0], standard_error(log_w)[0]
print(f"yours:        {value:.1f} ± {error:.1f}")
print(f"              from {effective_samples(log_w)[0]:.0f} effective draws of 1,000")
found = evaluate.log_likelihood(vae, few[:1], samples=1000)
other, other_error = found.log_likelihood[0], found.standard_error[0]
print(f"the package:  {other:.1f} ± {other_error:.1f}, with other draws")

# %% [markdown]
# With so few effective draws the ± is a guess itself. This picture is a hard one.
#
# ### Exercise 9.5: weights for draws from both, without a word of help
#
# Where q leaves out codes that count, its draws never meet them. A safer proposal takes half of the
# draws from q(z|x) and half from the prior, in random order, so that each is a draw from the mean
# of both densities. Return `log_w (S,)` for such draws `z`, from what exercise 9.4 had. Far from
# both centres both densities may be 0 as floats.


# %% exercise 9.5
def weights_of_both(nll, mu, logvar, z):
    log_w = ...  # (S,)
    return log_w


# %% check 9.5
weights_of_both = check.weights_of_both(weights_of_both)

# %% [markdown] hint 9.5
# w is p(x|z) p(z), divided by the density that z was drawn from. Which is that now?
#
# Its logarithm is that of a sum of two exponentials: which exercise has one?
#
# How large can w become, if half of the draws are from the prior?


# %% solution 9.5
def weights_of_both(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)  # (S,), without its constant
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)  # without it, too
    return -nll + log_p_z - (np.logaddexp(log_p_z, log_q) - np.log(2))


# %% [markdown]
# The weight is at most 2 p(x|z), wherever z lies. The package takes q alone, for many pictures at
# once. (It uses (z − mu)²/σ² = eps², as z = mu + σ eps.)

# %%
print(inspect.getsource(evaluation.log_weights))

# %% long
print("draws   log p(x)   effective draws")
for S in (1, 10, 100, 1000):
    found = evaluate.log_likelihood(vae, few, samples=S)
    effective = np.median(found.effective_samples)
    print(f"{S:5}   {found.log_likelihood.mean():8.1f}   {effective:8.1f}")
print(f" ELBO   {bound.mean():8.1f}")

# %% [markdown]
# With one draw the estimate is the ELBO, but for chance. With more draws it rises, by several nats:
# the bound was at least so far from the truth.

# %% [markdown]
# ## Why it rises from the ELBO
#
# Two facts. **First:** for a single draw, the mean of log w is the ELBO. Write E_q[…] for the mean
# over z ~ q(z|x), and take it of each part of log w:
#
# $$\mathbb E_q[\log w] = \mathbb E_q[\log p(x|z)] - \mathbb E_q[\log q(z|x) - \log p(z)] =
# -\text{reconstruction} - KL = \text{ELBO}$$
#
# **Second:** the logarithm of a mean is never below the mean of the logarithms (Jensen's
# inequality). The curve of the logarithm bends downwards, so it lies below each of its tangents.
# Take the one at w̄ = E[w], the mean itself, whose slope is 1/w̄, and then the mean of both sides:
#
# $$\log w \le \log \bar w + \frac{w - \bar w}{\bar w} \qquad \mathbb E[\log w] \le \log \bar w +
# \frac{\mathbb E[w] - \bar w}{\bar w} = \log \bar w$$
#
# For the two weights 1 and 9:

# %%
print(f"mean of the logarithms {np.log([1, 9]).mean():.2f}")
print(f"logarithm of the mean  {np.log(np.mean([1, 9])):.2f}")

# %% [markdown]
# Together:
#
# $$\text{ELBO} = \mathbb E_q[\log w] \le \log \mathbb E_q[w] = \log p(x)$$
#
# That is a proof that the ELBO is a lower bound. With S draws we take the logarithm of the mean of
# S weights. That mean has the expectation p(x) too, so by the same inequality its logarithm is too
# low, in expectation; but the more draws, the less it varies, and the less is lost. It rises with
# S from the ELBO to log p(x) (Burda et al. 2016).
#
# The effective sample size tells how far to trust it. Here it is about 8 of 1,000: better than 1,
# but a few draws still decide, and more draws would raise the estimate a little further. Always
# state S beside such a number.

# %% [markdown]
# ## Which model is better?
#
# A plane is pretty, but how much does it cost to have only L = 2 numbers?

# %% long
plane = VAE(784, 2, hidden=(200,), likelihood="bernoulli", backend="numpy", seed=0)
fit(plane, x_train, **training, progress=False)
found = {}
for name, model in (("L = 2 ", plane), ("L = 10", vae)):
    found[name] = evaluate.log_likelihood(model, few, samples=500).log_likelihood
    error = found[name].std() / math.sqrt(len(few))
    print(f"{name}: log p(x) = {found[name].mean():.0f} ± {error:.0f} on 100 test pictures")
pairs = found["L = 10"] - found["L = 2 "]
error = pairs.std() / math.sqrt(len(few))
print(f"the difference, picture by picture: {pairs.mean():.1f} ± {error:.1f}")

# %% [markdown]
# About 53 nats for each picture: the model with 10 numbers finds an unseen digit e^53 times as
# probable. (± is the standard error over the pictures. As both models saw the same ones, their
# difference is known better than either.) `python -m tinyvae evaluate` prints all these numbers for
# a trained model.
#
# **In the playground:** no such number is worth more than the sampler behind it. Let [the sampler
# of notebook 4](playground.html#error=sigma) train, look at the reconstruction beside the right
# run's in grey, then press "Run the tests on this model": only the test of the sampler fails.

# %% [markdown]
# ## Three questions
#
# **a.** A table says log p(x) = −85.2. What else must stand beside it?
#
# **b.** The effective sample size is 1.3 of 1,000. In which direction is the estimate wrong?
#
# **c.** Why is log w of one draw right on average for the ELBO, and the logarithm of a mean of
# weights not for log p(x)?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** The number of draws, the effective number, the standard error, whether pixels were black
# and white, and on which pictures.
#
# **b.** It is too low, most likely: a few lucky draws decide, and luckier ones were not met.
#
# **c.** The ELBO is the mean of log w, so each log w has the right expectation. The logarithm of a
# mean is, in expectation, too low, by Jensen's inequality.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - log p(x) is the mean of importance weights p(x|z) p(z) / q(z|x) over codes from the encoder;
#   all in logarithms, with log-mean-exp.
# - ELBO ≤ estimate ≤ log p(x) in expectation; more draws bring it nearer.
# - The effective sample size tells how many draws carry the answer. If it is small, the estimate
#   is likely too low.
#
# **Next:** is this measurement right? Notebook 10 compares it with models whose log p(x) is known
# exactly, and looks at the gap itself.
