# ruff: noqa: E402

# %% [markdown]
# # 8. Turning up the KL: beta, and dimensions that fall asleep
#
# **The question.** The loss of a VAE has two terms. What happens when one of them counts more than
# the other? And why do some latent dimensions end up with nothing to say?
#
# **At the end you can** read the KL as an amount of information, choose beta knowingly, find the
# factor that a careless mean puts before the KL, see which latent dimensions are in use, and keep
# them in use with free bits or a warm-up.
#
# **Time:** about 50 minutes, and 20 more for exercises 8.3 and 8.5. **You need:** the loss of a VAE
# and its KL (notebooks 3 and 5), and training (notebook 6).

# %% [markdown]
# ## One number between two terms
#
# The VAE's loss is a sum. A factor `beta` says how much its second term counts:
#
# $$\text{loss} = \text{reconstruction} + \beta \cdot KL(q(z|x)\ \|\ N(0, I))$$
#
# (N(0, I) is the prior: N(0, 1) for each of the L numbers of z, independently.)
#
# With beta = 1, −loss is the ELBO. Other values give up that meaning and get something else for
# it: this is the **β-VAE**. The two terms have names of their own:
#
# - the **distortion**, here the reconstruction: how far the decoded picture is from the original;
# - the **rate**, here the KL: how much the code z tells about the picture. It is counted in nats.
#   To tell which of 10 equally likely digits a picture shows takes log 10 ≈ 2.3 nats.
#
# Why is the KL an amount of information? If it is 0, then q(z|x) = N(0, I) for every picture: z is
# the same noise whatever x is, and tells nothing. The more q(z|x) has to differ from that, the
# more z can tell. Nothing comes for free: what z tells costs KL.
#
# We train four models that differ in beta alone. They have L = 2, and a Gaussian likelihood with
# σ_x² = ½, so that the reconstruction is the squared error plus a constant.

# %%
import inspect
import math

import numpy as np

from tinyvae import VAE, evaluate, figures, fit, load_dataset
from tinyvae.exercises import beta as check
from tinyvae.exercises import pictures

digits = load_dataset("digits")


def new_vae(latent_dim, **options):
    options = {"sigma": 0.5**0.5, "output": "sigmoid", "backend": "numpy", **options}
    return VAE(784, latent_dim, hidden=(128,), seed=0, **options)


def train(model, epochs, **options):
    options |= {"batch_size": 100, "lr": 0.002, "lr_schedule": "step", "progress": False}
    return fit(model, digits.x_train, epochs=epochs, **options)


def measure(model):
    """Return distortion (the squared error) and rate (the KL), on the test pictures."""
    terms = evaluate.elbo(model, digits.x_test, samples=5)
    return terms.reconstruction - 0.5 * 784 * math.log(2 * math.pi * 0.5), terms.kl


# %% long
models = {}
print("  beta   distortion    rate    distortion + rate")
for beta in (0.1, 1.0, 4.0, 16.0):
    models[beta] = new_vae(2, beta=beta)
    train(models[beta], epochs=12)
    distortion, rate = measure(models[beta])
    print(f"{beta:6}   {distortion:10.1f}   {rate:5.2f}   {distortion + rate:14.1f}")

# %% [markdown]
# Read the table downwards. The rate falls: it costs more and more, so z tells less and
# less. The distortion rises: the decoder knows less and less. At beta = 16 the rate is 0: such a
# model draws the same picture whatever the input is.
#
# The last column, −ELBO without a constant, is smallest at beta = 1. No wonder: there it is what
# the training minimises.

# %% [markdown]
# ## The latent plane
#
# The same in pictures, for the first three models, all on the same axes. Above: one draw of z for
# each test picture. Below: what each place of |z| < 3 decodes to.

# %% long
pictures.planes(
    {f"beta = {beta:g}": models[beta] for beta in (0.1, 1.0, 4.0)},
    digits.x_test,
    digits.y_test,
    digits.image_shape,
)

# %% [markdown]
# A small beta (left) lets the classes spread: many codes lie beyond 3σ, where a draw from the
# prior almost never falls, so new samples miss a part of what the model knows. A large beta
# (right) presses everything onto the prior: the classes overlap, and where they do, the decoder
# answers with the average of several digits.
#
# So beta is a choice, not a truth: small for reconstructions, large for a smooth, simple space,
# and 1 where you want the ELBO.

# %% [markdown]
# ## Each dimension has its price
#
# The KL is a sum over the L latent dimensions. So each dimension has a price: using z_j costs beta
# · KL_j nats, and lowers the distortion by some amount. If it lowers it by less than its price, the
# loss is smaller without it. The cheapest it can do is KL_j = 0:
#
# $$KL_j = \tfrac12 (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2) = 0 \quad \text{exactly where}\
# \mu_j = 0,\ \sigma_j = 1,\ \text{for every picture}$$
#
# Then z_j = mu_j + σ_j eps = eps: pure noise, the same for all pictures, and the decoder learns to
# ignore it. In this dimension the encoder's answer q(z|x), for short the posterior, has fallen
# onto the prior. This is called **posterior collapse**. Here it happens to some of 10 dimensions,
# at beta = 4:

# %% long
kl_by_epoch = []
vae = new_vae(10, beta=4.0)


def note_kl(row):  # called after every epoch
    kl_by_epoch.append(evaluate.kl_per_dimension(vae, digits.x_test))


train(vae, epochs=30, callback=note_kl)
figures.kl_over_training(
    np.array(kl_by_epoch),
    threshold=0.05,
    subtitle="KL(q(z|x) ‖ N(0, 1)) in nats on the test pictures: how much each dimension tells.",
)

# %% [markdown]
# A few dimensions take over the work. The others never say anything, or begin to and fall silent
# again. Look at what the encoder says about one that works and one that does not:

# %% long
order = np.argsort(-kl_by_epoch[-1])
mu, logvar = vae.encode(digits.x_test)
for name, j in (("most used ", order[0]), ("least used", order[-1])):
    spread, sigma = mu[:, j].std(), np.exp(0.5 * logvar[:, j]).mean()
    print(f"{name}: mu varies by ±{spread:.2f} from picture to picture, σ is {sigma:.2f}")

# %% [markdown]
# The least used one answers mu ≈ 0 and σ ≈ 1 to every picture. And does the decoder listen to it?
# Move one dimension from −2 to 2, with all others at 0:

# %% long
steps = np.linspace(-2, 2, 9)
z = np.zeros((2, len(steps), 10), dtype="float32")
z[0, :, order[0]] = z[1, :, order[-1]] = steps
decoded = vae.decode(z.reshape(-1, 10)).reshape(2, len(steps), 784)
figures.traversals(decoded, steps, ["most used", "least used"], digits.image_shape)

# %% [markdown]
# The first row changes, the second does not: the decoder ignores what is noise. (The grey
# background around z = 0: there the decoder's hidden units are small, and the logits of paper are
# not far enough below 0.)

# %% [markdown]
# ### Exercise 8.1: active units
#
# How many dimensions are in use? The usual rule: a dimension, or **unit**, is **active** if its
# `mu` varies over the data, with a variance above a threshold of 0.01 (Burda et al. 2016).
#
# Write it. The function gets `mu (N, L)`, one row for each picture, and the threshold. It returns
# L values, True or False. The check tries a dimension whose `mu` is the same large number for
# every picture: it tells nothing about the picture.


# %% exercise 8.1
def active_units(mu, threshold=0.01):
    active = ...  # (L,)
    return active


# %% check 8.1
active_units = check.active_units(active_units)

# %% [markdown] hint 8.1
# Which number says how much the entries of one column differ from each other, wherever their mean
# lies?
#
# Over which axis must it go: the pictures, or the dimensions?
#
# And what makes True and False of it?


# %% solution 8.1
def active_units(mu, threshold=0.01):
    return mu.var(axis=0) > threshold


# %% [markdown]
# Here is what it says about the three models of the plane (2 dimensions), the one at beta = 16,
# and the last one (10 dimensions). It may count more than the picture above shows as awake: why?

# %% long
for name, model in {**models, "4.0, L = 10": vae}.items():
    active = active_units(model.encode(digits.x_test)[0])
    print(f"beta = {name}: {sum(active)} of {len(active)} units are active")

# %% [markdown]
# (The package has it as `evaluate.active_units(model, x)`.) The rule is lenient: a variance of 0.01
# is a mu that moves by 0.1, beside a noise of nearly 1.
#
# Is collapse an error? A few silent dimensions are not: the model found that it needs no more, and
# the spare ones cost nothing. It is a failure when *all* fall silent although some would pay. And
# it often has a cause that has nothing to do with the data:

# %% [markdown]
# ## The beta that was never chosen
#
# Losses are often written with a mean, because a library's function takes the mean by default.
# Over the batch that is fine: both terms are averaged over B. But look at the pixels here:

# %%


def reconstruction(x, x_hat):  # the Bernoulli loss of notebook 3; x_hat is the probability of ink
    x_hat = np.clip(x_hat, 1e-6, 1 - 1e-6)  # keeps log(0) away
    return -(x * np.log(x_hat) + (1 - x) * np.log(1 - x_hat)).mean()  # over batch and pixels


def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()


# %% [markdown]
# The reconstruction is divided by B and by D, the number of pixels. The KL is divided by B alone.
# To see what that means, write R for the reconstruction summed over the pixels, K for the KL
# summed over the dimensions, and multiply the loss by D. (A constant factor before the whole loss
# changes its values, but not the place where it is smallest.)
#
# $$\text{loss} = \frac{R}{D} + K \qquad D \cdot \text{loss} = R + D \cdot K$$
#
# That is the loss with beta = D = 784. That was never meant, and nothing in the code looks wrong.
# From the table above you know what 16 does.
#
# ### Exercise 8.2: the effective beta
#
# Write the factor that really stands before the KL, compared with the loss R + beta · K, in which
# both are sums. The function gets D, L, and for each term whether it is a "sum" or a "mean" over
# its own axis: `pixels` for the reconstruction, `latents` for the KL.


# %% exercise 8.2
def effective_beta(D, L, pixels, latents):
    beta = ...  # a number
    return beta


# %% check 8.2
check.effective_beta(effective_beta)

# %% [markdown] hint 8.2
# By what is R divided in each case, and by what K?
#
# Which factor brings R back to 1?
#
# What does it do to K?


# %% solution 8.2
def effective_beta(D, L, pixels, latents):
    under_r = D if pixels == "mean" else 1
    under_k = L if latents == "mean" else 1
    return under_r / under_k  # the loss, times what stands under R


# %% [markdown]
# `audit` finds this factor in any loss, from its values alone. It needs only the two
# functions above:

# %%
from tinyvae.audit import audit

print(audit(kl=kl, reconstruction=reconstruction, pixels=784, latent=10))

# %% [markdown]
# The second line names the mistake, and the next two show it and its remedy in the library PyTorch.
# (**Cross-entropy** is another name of the Bernoulli loss.) The values below are no mistakes:
# `bce-clip` is our `np.clip`, as −log 1e-6 is 13.8. The last one is the answer, measured on
# pictures that audit made up, B = 13 in a batch.

# %% [markdown]
# And this is how such a training ends. (`reconstruction_weight=1/784` makes the sum over pixels a
# mean.)

# %% long
careless = new_vae(10, reconstruction_weight=1 / 784)
train(careless, epochs=5)
distortion, rate = measure(careless)
average = digits.x_train.mean(axis=0)
always = ((digits.x_test - average) ** 2).sum(axis=1).mean()
print(f"distortion {distortion:.1f}, rate {rate:.3f}")
print(f"to draw the average of all digits every time: distortion {always:.1f}")

# %% [markdown]
# The model draws the average of all digits, or something a little worse, whatever it is shown. It
# has no error in any gradient: a gradient check passes. Only the meaning of the loss is wrong.
# (Some programs undo the mistake without knowing it, with a factor such as 0.001 before the KL,
# found by trying: 0.001 · 784 ≈ 0.8.)

# %% [markdown]
# ## σ_x is a beta, too
#
# So far σ_x² = ½ was simply given. Multiply the whole loss, with S for the squared error of a
# picture, by 2σ_x²:
#
# $$\text{loss} = \frac{S}{2\sigma_x^2} + \frac D2 \log 2\pi\sigma_x^2 + K \qquad 2\sigma_x^2
# \cdot \text{loss} = S + 2\sigma_x^2 K + \ldots$$
#
# ("…" holds no weight of the encoder or the decoder.) So the width of p(x|z) sets the price of
# information: σ_x² = ½ is a beta of 1 beside the squared error, a σ_x of 0.2 one of 0.08. Who
# chooses it? The pictures can. A small σ_x makes each squared error expensive, a large one makes
# log 2πσ_x² large; between them lies the σ_x at which the loss is smallest.
#
# ### Exercise 8.3: the best σ_x, without a word of help
#
# For a batch of pictures `x` and what the decoder draws, `x_hat`, `(B, D)` each, return the σ_x
# (one number for all pixels) at which the mean of the nll over the batch is smallest, and the nll
# there.


# %% exercise 8.3
def best_width(x, x_hat):
    sigma_x = ...  # a number
    nll = ...  # a number: the mean over the batch of the sum over the pixels
    return sigma_x, nll


# %% check 8.3
check.best_width(best_width)

# %% [markdown] hint 8.3
# Write v for σ_x². What is the slope of the nll along v, and where is it 0?
#
# How many pixels are in the batch, and what is the mean of their squared differences?
#
# Put that v into the nll: what is left of the squares?


# %% solution 8.3
def best_width(x, x_hat):
    variance = ((x - x_hat) ** 2).mean()  # −S/(2v²) + D/(2v) = 0, over all B · D pixels
    return variance**0.5, 0.5 * x.shape[1] * (np.log(2 * np.pi * variance) + 1)


# %% [markdown]
# With `sigma="auto"` a model takes this σ_x anew in each batch. Here is one, between the earlier
# model with σ_x² = ½ and another with σ_x² = ½ and the beta that its σ_x stands for:

# %% long
calibrated = new_vae(2, sigma="auto")
train(calibrated, epochs=12)
sigma_x = float(calibrated.sigma)
stands_for = new_vae(2, beta=2 * sigma_x**2)
train(stands_for, epochs=12)
print(f"σ_x = {sigma_x:.3f}, so that beta = 2σ_x² = {2 * sigma_x**2:.3f}")
compared = {"σ_x² = ½": models[1.0], "σ_x from the data": calibrated, "its beta": stands_for}
for name, model in compared.items():
    terms = evaluate.elbo(model, digits.x_test, samples=5)
    squared = ((model.reconstruct(digits.x_test) - digits.x_test) ** 2).sum(axis=1).mean()
    numbers = f"squared error at mu {squared:.1f}, rate {terms.kl:.2f}, ELBO {terms.elbo:.0f}"
    print(f"{name:18} {numbers}")

# %% [markdown]
# The second and the third make nearly the same trade: they pay 8 or 9 nats instead of 3.3, and
# their codes leave the prior, as with any small beta. But the ELBO, which counts log p(x|z) with
# each model's own σ_x, is far better for the second (a log density may be above 0): σ_x = 0.71 said
# that pixels are far noisier than they are. For a plane to look at, this course keeps σ_x² = ½; for
# data of unknown scale, let the data choose.

# %% [markdown]
# ## When collapse is a trap
#
# At the start of a training the decoder cannot use z yet, so z lowers the distortion by nothing.
# But its price, the KL, is due from the first step. So the first thing that the encoder learns is
# to be silent. Then the decoder hears nothing but noise, and learns to ignore it. The less it uses
# z, the smaller is its gradient dz, and the less pulls the encoder back. That can happen even where
# a model that uses z would have the smaller loss. Two remedies are in common use.
#
# **KL warm-up.** Begin with beta = 0 and raise it, step by step, to its full value over the first
# epochs (Bowman et al. 2016). The decoder learns to use z while that is free. In this package:
# `fit(…, kl_warmup=8)`.
#
# **Free bits.** Give each dimension a small amount of KL for nothing, τ nats (Kingma et al. 2016).
# With k_j the mean over the batch of the KL of dimension j, the loss counts
#
# $$\sum_j \max(k_j, \tau), \qquad k_j = \frac1B \sum_n kl_{nj} \qquad kl\ (B, L),\ k\ (L,)$$
#
# Below τ, less KL earns nothing, so there is no reason to be silent.
#
# ### Exercise 8.4: free bits
#
# The function gets `kl (B, L)`, the KL of each picture and dimension, and `free`, which is τ. It
# returns the loss, one number, and its gradient dkl, which you derive: how does the sum move when
# one entry of kl does? (The rest, from dkl to dmu and dlogvar, is notebook 5.)


# %% exercise 8.4
def free_bits(kl, free):
    loss = ...  # a number
    dkl = ...  # (B, L)
    return loss, dkl


# %% check 8.4
from tinyvae.exercises import remedies as check

check.free_bits(free_bits)

# %% [markdown] hint 8.4
# What comes first, the mean or the maximum? By how much does k_j move when one entry of its column
# moves by 1?
#
# And what is the slope of max(k, τ) along k, on both sides of τ?
#
# Their product is one row of dkl.


# %% solution 8.4
def free_bits(kl, free):
    mean = kl.mean(axis=0)  # (L,)
    loss = np.maximum(mean, free).sum()
    dkl = np.ones_like(kl) / len(kl) * (mean > free)  # (B, L)
    return loss, dkl


# %% [markdown]
# ### Exercise 8.5: a target for the KL, without a word of help
#
# A third remedy asks for a certain amount of KL (Burgess et al. 2018). With k the KL of a picture,
# summed over the dimensions and averaged over the batch, the loss counts weight · |k − target|.
# Return it for `kl (B, L)`, with its gradient dkl. (Where k is the target exactly, any slope will
# do.)


# %% exercise 8.5
def kl_target(kl, target, weight):
    loss = ...  # a number
    dkl = ...  # (B, L)
    return loss, dkl


# %% check 8.5
check.kl_target(kl_target)

# %% [markdown] hint 8.5
# By how much does k move when one entry of kl moves by 1?
#
# What is the slope of |u| along u, left and right of 0?
#
# Does any entry of dkl differ from the others?


# %% solution 8.5
def kl_target(kl, target, weight):
    distance = kl.sum(axis=1).mean() - target
    return weight * abs(distance), np.full_like(kl, weight * np.sign(distance) / len(kl))


# %% [markdown]
# Back to free bits: in the package the same lines stand in a method of the VAE, which gets the mean
# over the batch and returns what the loss counts, and the slope of that:

# %%
print(inspect.getsource(VAE.above_free_bits))

# %% [markdown]
# ## The remedies at work
#
# Three models with beta = 5, equal but for the remedy:

# %% long
histories = {}
for name, options, training in (
    ("nothing", {}, {}),
    ("warm-up", {}, {"kl_warmup": 8}),
    ("free bits", {"free_bits": 0.1}, {}),
):
    model = new_vae(10, beta=5.0, **options)
    histories[name] = train(model, epochs=15, **training)
    distortion, rate = measure(model)
    loss = distortion + 5 * rate
    print(f"{name:10}: distortion {distortion:.1f}, rate {rate:.2f}, loss {loss:.1f}")

# %% long
pictures.kl_by_epoch(histories)

# %% [markdown]
# Without a remedy the KL falls almost to 0 in the first epochs, and hardly recovers. After a
# warm-up the model keeps a part of what it learnt while z was cheap. Its loss, counted with the
# full beta for all three, is the smallest: the silent model was caught in a trap, not at the best
# place. (One training each: the first stands apart, but the other two may change places with
# another seed.) With 0.1 free nats in each of 10 dimensions the KL settles near 1: the model takes
# what is free, and little more.
#
# **In the playground:** the next cell opens a collapse at β = 20: turn β back to 1, and watch the
# plane unfold. In the [warm-up](playground.html#story=warmup) the codes spread while β is small;
# look at how the KL falls as it rises.

# %% long
from IPython.display import IFrame

from tinyvae import playground

playground.write("playground.html", playground.build(digits))
IFrame("playground.html#story=collapse", "100%", 820)

# %% [markdown]
# ## Three questions
#
# **a.** A dimension has KL 0. May you remove it from the model?
#
# **b.** Your loss is a mean over pixels and a sum over latents, for pictures of 64 × 64 in three
# colours. How large is beta?
#
# **c.** Why can a warm-up end at a smaller loss, counted with the full beta, than no warm-up?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** Yes: the decoder ignores it, and neither term changes. Whether it would have stayed silent
# with other first weights is another question.
#
# **b.** 64 · 64 · 3 = 12,288.
#
# **c.** Without it the model falls into a place where z is silent, from which no small step leads
# to a better one. There was a better one all the time.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - beta sets the price of information: a higher one gives a simpler latent space, less KL, and
#   blurred pictures; a mean over pixels beside a sum over latents makes it D times too high.
# - A dimension that does not earn its KL collapses: mu = 0, σ = 1, and the decoder ignores it. The
#   KL of each dimension and the active units show it.
# - Collapse of everything is often a trap at the start. A KL warm-up or free bits lead around it.
#
# **Next:** how good is a model? Notebook 9 measures log p(x) itself, of which the ELBO is only a
# bound, and notebook 10 tests the measurement where the exact answer is known.
