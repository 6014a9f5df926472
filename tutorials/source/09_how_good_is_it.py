# ruff: noqa: E402

# %% [markdown]
# # 9. How good is it? log p(x), by importance sampling
#
# **The question.** A model is good if it finds new pictures probable. The ELBO says how probable,
# but it is only a lower bound. How far below the truth is it, and can we measure the truth itself?
#
# **At the end you can** estimate log p(x) by importance sampling, compute with numbers far below
# what a computer can hold, tell when such an estimate deserves no trust, and prove the measurement
# on a model whose log p(x) is known exactly.
#
# **Time:** about 45 minutes. **You need:** the ELBO and the normal distribution (notebook 3), the
# KL (notebook 5). Two sections derive the exact answer for one number in full, and give the form
# for several as a note: only these notes ask for inverse matrices and determinants. You may skip
# them.

# %% [markdown]
# ## What we want to know
#
# A VAE describes how a picture comes about: draw a code z from the prior, then a picture from
# p(x|z). So the probability of a picture is the mean of p(x|z) over all codes, each as often as
# the prior gives it. As in notebook 3 such a mean is an integral:
#
# ```text
# p(x) = ∫ p(x|z) p(z) dz
# ```
#
# The better the model, the higher the log p(x) of pictures that it has not seen. That is *the*
# number to compare models by.
#
# We take pictures in black and white, of zeros and ones. Then p(x) is a true probability of one
# among 2⁷⁸⁴ possible pictures. (On grey values the Bernoulli likelihood is a fine loss, but no
# probability of anything.)

# %%
import inspect
import math

import numpy as np

from tinyvae import VAE, Adam, evaluate, figures, fit, load_dataset
from tinyvae.evaluate import evaluation
from tinyvae.exercises import evaluation as check

digits = load_dataset("digits")
x_train = (digits.x_train > 0.5).astype("float32")
x_test = (digits.x_test > 0.5).astype("float32")
figures.image_grid(x_test[:18], (28, 28), columns=18)

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
# ```text
# p(x) ≈ 1/S Σ_s p(x|z_s),        z_s ~ p(z) = N(0, I), that is N(0, 1) in each dimension
# ```
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
# Given are logarithms a_1 … a_S, wanted is the logarithm of the mean of exp(a_s), without ever
# computing exp(a_s). Let m be the largest of them. Write a_s = m + (a_s − m), and take the common
# factor e^m out of the sum:
#
# ```text
# log 1/S Σ_s e^(a_s) = log ( e^m · 1/S Σ_s e^(a_s − m) )
#                     = m + log 1/S Σ_s e^(a_s − m)
# ```
#
# Now the largest exponent is 0 and its term is 1. No term overflows. Some may still become 0, but
# those are too small to count beside the 1. So the logarithm is always finite. This is called
# **log-mean-exp**.
#
# ### Exercise 9.1: log-mean-exp
#
# The function gets `a (N, S)`, S logarithms for each of N pictures. It returns `result (N,)`.


# %% exercise 9.1
def log_mean_exp(a):
    result = ...  # (N,)
    return result


# %% check 9.1
check.log_mean_exp(log_mean_exp)

# %% [markdown] hint 9.1
# Each row has its own maximum: `a.max(axis=1)` is (N,). To subtract it from `a (N, S)` it needs
# the shape (N, 1): `keepdims=True`, or `[:, None]`.


# %% solution 9.1
def log_mean_exp(a):
    m = a.max(axis=1)  # (N,)
    return m + np.log(np.exp(a - m[:, None]).mean(axis=1))


# %% [markdown]
# NumPy has the sum of two numbers that are given by their logarithms, `np.logaddexp`; with
# `.reduce` it adds a whole row. The mean is the sum divided by S, so its logarithm is less by log
# S. With it:

# %% long
direct = np.logaddexp.reduce(log_p, axis=1) - math.log(1000)  # (N,)
bound = evaluate.elbo_per_example(vae, few, samples=100).elbo  # (N,)
print(f"log p(x) the direct way: {direct.mean():.1f}")
print(f"ELBO, a lower bound:     {bound.mean():.1f}")

# %% [markdown]
# No overflow any more, and yet nonsense: log p(x) cannot be below its own lower bound. What went
# wrong? Look at how the 1,000 draws share the sum:

# %% long
share = np.exp(log_p.max(axis=1) - np.logaddexp.reduce(log_p, axis=1))  # (N,)
print(
    f"the largest of 1,000 terms makes up {np.median(share):.0%} of the sum, for a typical picture"
)

# %% [markdown]
# One lucky draw carries it all. Almost all codes decode to *other* digits, which explain this
# picture by a factor of e^100 worse. The codes that would explain it well lie in a tiny part of a
# space of 10 dimensions, and 1,000 draws never hit it.

# %% [markdown]
# ## How many draws really count?
#
# A number says it for any weights w_1 … w_S (here w_s = p(x|z_s)), the **effective sample size**:
#
# ```text
# (Σ_s w_s)² / Σ_s w_s²
# ```
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
check.effective_samples(effective_samples)

# %% [markdown] hint 9.2
# A common factor cancels: so you may divide all weights of a row by the largest one. What is the
# logarithm of w divided by the largest w?


# %% solution 9.2
def effective_samples(log_w):
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))  # (N, S), the largest is 1
    return w.sum(axis=1) ** 2 / (w**2).sum(axis=1)


# %% [markdown]
# ## Draw where the picture comes from
#
# The encoder knows where to look: q(z|x) is its guess which codes a picture may come from. So draw
# from q instead of the prior. That changes the mean, and a weight makes up for it. Multiply and
# divide by q(z|x) under the integral:
#
# ```text
# p(x) = ∫ p(x|z) p(z) dz
#      = ∫ q(z|x) · p(x|z) p(z) / q(z|x) dz
#      = mean of w(z) over z ~ q(z|x),           w(z) = p(x|z) p(z) / q(z|x)
# ```
#
# A code that q gives twice as often as the prior counts half. This is **importance sampling**, and
# w is the **importance weight**. In logarithms:
#
# ```text
# log w = log p(x|z) + log p(z) − log q(z|x)
# ```
#
# For one picture, here is log p(x|z) with codes from the prior and codes from q(z|x):

# %% long
mu, logvar = vae.encode(few[:1])  # (1, L) each
eps = np.random.default_rng(1).standard_normal((1000, 10), dtype="float32")
near = vae.decoder_output(mu + np.exp(0.5 * logvar) * eps)  # (S, D)
check.two_ways(log_p[0], few[0] @ near.T - softplus(near).sum(axis=1))

# %% [markdown]
# ### Exercise 9.3: importance weights
#
# For one picture the function gets `nll (S,)`, which is −log p(x|z) of each draw; `mu`, `logvar
# (L,)` of q(z|x); and the draws `z (S, L)`. It returns `log_w (S,)`.
#
# You need the logarithm of the normal density for each dimension, and then the sum over the L
# dimensions. (Take the prior as a normal density with mu = 0 and σ = 1.)
#
# ```text
# log N(z; mu, σ²) = −½ (z − mu)² / σ² − ½ log σ² − ½ log 2π
# ```


# %% exercise 9.3
def log_weights(nll, mu, logvar, z):
    log_w = ...  # (S,)
    return log_w


# %% check 9.3
check.log_weights(log_weights)

# %% [markdown] hint 9.3
# σ² is exp(logvar). Write three lines: `log_p_x`, `log_p_z` and `log_q`, each (S,). The constants
# ½ log 2π stand in both densities of z.


# %% solution 9.3
def log_weights(nll, mu, logvar, z):
    log_p_z = -0.5 * (z**2).sum(axis=1)  # (S,), without its constant
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)  # without it, too
    return -nll + log_p_z - log_q


# %% [markdown]
# The package does the same for many pictures at once. (It uses (z − mu)²/σ² = eps², as z = mu + σ
# eps.)

# %%
print(inspect.getsource(evaluation._log_weights))

# %% long
print("draws   log p(x)   effective draws")
for S in (1, 10, 100, 1000):
    found = evaluate.log_likelihood(vae, few, samples=S)
    effective = np.median(found.effective_samples)
    print(f"{S:5}   {found.log_likelihood.mean():8.1f}   {effective:8.1f}")
print(f" ELBO   {bound.mean():8.1f}")

# %% [markdown]
# With one draw the estimate is the ELBO, but for chance. With more draws it rises, by several
# nats: so far was the bound from the truth, or farther.

# %% [markdown]
# ## Why it rises from the ELBO
#
# Two facts. **First:** for a single draw, the mean of log w is the ELBO. Write E_q[…] for the mean
# over z ~ q(z|x), and take it of each part of log w:
#
# ```text
# E_q[log w] = E_q[log p(x|z)] − E_q[log q(z|x) − log p(z)]
#            = −reconstruction  − KL(q(z|x) ‖ p(z))              = ELBO
# ```
#
# **Second:** the logarithm of a mean is never below the mean of the logarithms (Jensen's
# inequality). The curve of the logarithm bends downwards, so it lies below each of its tangents.
# Take the one at m = E[w], the mean itself, and then the mean of both sides:
#
# ```text
# log w    ≤ log m + (w − m) / m                     the tangent at m has the slope 1/m
# E[log w] ≤ log m + (E[w] − m) / m = log m          as E[w] = m
# ```
#
# For the two weights 1 and 9:

# %%
print(f"mean of the logarithms {np.log([1, 9]).mean():.2f}")
print(f"logarithm of the mean  {np.log(np.mean([1, 9])):.2f}")

# %% [markdown]
# Together:
#
# ```text
# ELBO = E_q[log w] ≤ log E_q[w] = log p(x)
# ```
#
# That is a proof that the ELBO is a lower bound. With S draws we take the logarithm of the mean of
# S weights. That mean has the expectation p(x) too, so by the same inequality its logarithm is too
# low, in expectation; but the more draws, the less it varies, and the less is lost. It rises with
# S from the ELBO to log p(x) (Burda et al. 2016).
#
# The effective sample size tells how far to trust it. Here it is about 10 of 1,000: better than 1,
# but a few draws still decide, and more draws would raise the estimate a little further. Always
# state S beside such a number.

# %% [markdown]
# ## Is the measurement right?
#
# We need a model whose log p(x) is known without any sampling. Make the decoder linear and the
# likelihood Gaussian. For one latent number z and a "picture" x of one number:
#
# ```text
# x = z w + b + σ n,      z ~ N(0, 1),  n ~ N(0, 1), independent
# ```
#
# As in the small model of notebook 3, x is a sum of normal draws, so it is normal, and the
# variances add up: that of z w is w², that of σ n is σ². The mean is b. (This w is the decoder's
# weight, as a layer's W; the weight of a draw is, from here on, only in log w.) So
#
# ```text
# C = w² + σ²                                                     the variance of x
#
# log p(x) = −½ [ (x − b)² / C + log C + log 2π ]                 the density of N(b, C)
# ```
#
# **Note, for D numbers x and L numbers z.** Then W (L, D) is a matrix, and the model is called
# **probabilistic PCA** (Tipping & Bishop 1999). C (D, D) is the **covariance**, E[(x − b)ᵀ (x −
# b)]: row i and column j say how x_i and x_j vary together, and the diagonal holds the variances.
# Put in x − b = z W + σ n and multiply out. The mixed terms have the mean 0, as z and n are
# independent and both have the mean 0. Of what is left, E[zᵀ z] = I, because z_i z_j has the mean
# 1 for i = j, and 0 otherwise:
#
# ```text
# C = Wᵀ E[zᵀ z] W + σ² E[nᵀ n] = Wᵀ W + σ² I
#
# log p(x) = −½ [ (x − b) C⁻¹ (x − b)ᵀ + log det C + D log 2π ]
# ```
#
# The inverse of C stands where 1/C stood, and the logarithm of its determinant where log C stood.
# In NumPy they are `np.linalg.inv(C)` and `np.linalg.slogdet(C)[1]`. (Turn the axes such that the
# x_i vary independently: C becomes diagonal, log det C is the sum of the logarithms of its
# variances, and the formula is a sum of D densities in one dimension.)
#
# No integral is left. Here are 500 examples of 8 numbers, made from 2 hidden factors and noise,
# and a VAE without hidden layers. It trains for a short while only, so that its encoder is not
# perfect.

# %%
rng = np.random.default_rng(2)
factors = np.array([[2.0, 0, 1, 0, -1, 0, 1.5, 0], [0, 1, 0, 1, 0, -1, 0, 1]])  # (2, D)
data = rng.standard_normal((500, 2)) @ factors + 0.5 * rng.standard_normal((500, 8))  # (N, D)

linear = VAE(8, 2, hidden=(), sigma=0.5, dtype="float64", backend="numpy", seed=1)
optimizer = Adam(linear.parameters)


def train(steps):
    for lr in np.geomspace(0.05, 0.001, steps):  # smaller and smaller steps
        optimizer.lr = float(lr)
        linear.forward(data)
        linear.backward()
        optimizer.step()


def exact_log_p(x):
    W, b = linear.parameters["decoder.0.W"], linear.parameters["decoder.0.b"]
    C = W.T @ W + linear.sigma**2 * np.eye(8)  # (D, D)
    distance = ((x - b) @ np.linalg.inv(C) * (x - b)).sum(axis=1)  # (N,)
    return -0.5 * (8 * math.log(2 * math.pi) + np.linalg.slogdet(C)[1] + distance)


train(steps=200)
exact = exact_log_p(data)
estimate = evaluate.log_likelihood(linear, data, samples=200)
bound = evaluate.elbo_per_example(linear, data, samples=2000).elbo
print(f"ELBO                 {bound.mean():.3f}")
print(f"importance sampling  {estimate.log_likelihood.mean():.3f}")
print(f"exact                {exact.mean():.3f}")

# %%
check.three_values(exact[:60], estimate.log_likelihood[:60], bound[:60])

# %% [markdown]
# The estimate meets the exact value, example by example, but for the chance of the draws. The ELBO
# stays below, as it must.

# %% [markdown]
# ## What the gap is made of
#
# The probability of a code and a picture together can be split in two ways: first the code, then
# the picture; or first the picture, then the code. p(z) p(x|z) = p(x) p(z|x), where p(z|x) is the
# **true posterior**, the codes that x really may come from under this decoder. Put it into log w:
#
# ```text
# log w = log p(z|x) + log p(x) − log q(z|x)
#
# ELBO  = E_q[log w] = log p(x) − E_q[log q(z|x) − log p(z|x)]
#                    = log p(x) − KL(q(z|x) ‖ p(z|x))
# ```
#
# So the gap is a KL again: it says how far the encoder's answer is from the true posterior. For
# the linear model we can compute this too, and see whether it is true.
#
# Again for one number z and one number x.
#
# **The true posterior.** Look at log p(z|x) as a function of z. "…" stands for what does not
# depend on z, and log p(x) is a part of it:
#
# ```text
# log p(z|x) = log p(x|z) + log p(z) + …
#            = −½ (x − b − z w)² / σ²         − ½ z² + …
#            = −½ z² w² / σ² + z w (x − b) / σ²   − ½ z² + …          the square multiplied out
#            = −½ (w² / σ² + 1) z² + (x − b) w / σ² · z + …           sorted by z² and z
# ```
#
# A normal density with the mean m and the variance 1/P has the logarithm
#
# ```text
# log N(z; m, 1/P) = −½ P (z − m)² + ½ log P − ½ log 2π
#                  = −½ P z² + P m z + …
# ```
#
# So the true posterior is normal, and comparing the factors of z² and of z gives
#
# ```text
# P   = w² / σ² + 1
# P m = (x − b) w / σ²,       so  m = (x − b) w / (σ² P)
# ```
#
# **The KL to it.** Under q, z = mu + s eps, with s² = exp(logvar). (Here s counts no draws.) The
# mean of eps is 0, and that of eps² is 1:
#
# ```text
# (z − m)²      = (mu − m + s eps)² = (mu − m)² + 2 (mu − m) s eps + s² eps²
# E_q[(z − m)²] = (mu − m)² + s²
#
# E_q[log q(z|x)] = −½ E[eps²] − ½ logvar − ½ log 2π = −½ (1 + logvar) − ½ log 2π
# E_q[log p(z|x)] = −½ P [ (mu − m)² + s² ] + ½ log P − ½ log 2π
#
# KL = ½ [ P (mu − m)² + P s² − 1 − logvar − log P ]                 the first less the second
# ```
#
# (With m = 0 and P = 1 it is the KL of notebook 5.)
#
# **Note, for several numbers**, line by line. In the mean of (z − m) P (z − m)ᵀ the noise adds
# Σ_ij s_i P_ij s_j E[eps_i eps_j]. The eps are independent, so this mean is 1 for i = j and 0
# otherwise: of P, only the diagonal counts.
#
# ```text
# P   = W Wᵀ / σ² + I                                                P (L, L)
# m P = (x − b) Wᵀ / σ²,      so  m = (x − b) Wᵀ P⁻¹ / σ²
#
# KL = ½ [ (mu − m) P (mu − m)ᵀ + Σ_j P_jj s_j² − L − Σ_j logvar_j − log det P ]
# ```

# %%


def exact_gap(x):
    W, b = linear.parameters["decoder.0.W"], linear.parameters["decoder.0.b"]
    mu, logvar = linear.encode(x)  # (N, L)
    P = W @ W.T / linear.sigma**2 + np.eye(2)  # (L, L)
    m = (x - b) @ W.T @ np.linalg.inv(P) / linear.sigma**2  # (N, L)
    distance = ((mu - m) @ P * (mu - m)).sum(axis=1)  # (N,)
    spread = np.exp(logvar) @ np.diag(P)  # (N,)
    return 0.5 * (distance + spread - 2 - logvar.sum(axis=1) - np.linalg.slogdet(P)[1])


def report():
    bound = evaluate.elbo_per_example(linear, data, samples=2000).elbo.mean()
    gap = exact_log_p(data).mean() - bound
    print(f"log p(x) − ELBO = {gap:.3f},  KL(q ‖ true posterior) = {exact_gap(data).mean():.3f}")


report()

# %% [markdown]
# The two agree, though one comes from sampled ELBOs and the other from a formula. And when the
# training goes on, the encoder learns the true posterior, which here is a normal distribution, and
# the gap closes:

# %%
train(steps=1500)
report()

# %% [markdown]
# In the VAE of digits the gap does not close: the true posterior under a decoder with hidden
# layers is no normal distribution, and no encoder of this kind can reach it.

# %% [markdown]
# ## Which model is better?
#
# Now we can compare. A plane is pretty, but how much does it cost to have only L = 2 numbers?

# %% long
plane = VAE(784, 2, hidden=(200,), likelihood="bernoulli", backend="numpy", seed=0)
fit(plane, x_train, **training, progress=False)
for name, model in (("L = 2 ", plane), ("L = 10", vae)):
    found = evaluate.log_likelihood(model, few, samples=500).log_likelihood
    error = found.std() / math.sqrt(len(found))
    print(f"{name}: log p(x) = {found.mean():.0f} ± {error:.0f} on 100 test pictures")

# %% [markdown]
# About 50 nats for each picture: the model with 10 numbers finds an unseen digit e^50 times as
# probable. (± is the standard error over the pictures. As both models saw the same ones, their
# difference is known better than that.) `python -m tinyvae evaluate` prints all these numbers for
# a trained model.

# %% [markdown]
# ## In three lines
#
# - log p(x) is the mean of importance weights p(x|z) p(z) / q(z|x) over codes from the encoder;
#   all in logarithms, with log-mean-exp.
# - ELBO ≤ estimate ≤ log p(x) in expectation; the gap is the KL from q to the true posterior;
#   where the exact answer is known, the measurement meets it.
# - The effective sample size tells how many draws carry the answer. If it is small, the estimate
#   is likely too low.
#
# **Next:** the last notebook makes it fast. Where does the time of a training step go, and what
# changes when the same lines run on a graphics card?
