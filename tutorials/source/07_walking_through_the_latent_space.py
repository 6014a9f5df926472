# ruff: noqa: E402

# %% [markdown]
# # 7. Walking through the latent space
#
# **The question.** The codes of the training pictures are single points in a plane. What does the
# decoder draw *between* them, and why should that look like anything?
#
# **At the end you can** walk from one digit to another, unroll the whole latent plane into one
# picture, draw new digits, say where they can go wrong, and make a page in which you move through
# your own model.
#
# **Time:** about 40 minutes, and 10 more for exercise 7.2. **You need:** `mu`, `logvar` and `z = mu
# + σ eps` from notebook 4, and what both terms of the loss do, from notebook 6.

# %% [markdown]
# ## A trained model
#
# A VAE with both terms, as in notebook 6. (`lr_schedule="step"` takes large steps first, and
# smaller ones in the last third.)

# %%
from statistics import NormalDist

import numpy as np

from tinyvae import VAE, figures, fit, load_dataset
from tinyvae.figures import gallery

digits = load_dataset("digits")

# %% long
options = {"sigma": 0.5**0.5, "output": "sigmoid", "backend": "numpy"}
vae = VAE(784, 2, hidden=(256, 128), seed=0, **options)
fit(vae, digits.x_train, epochs=10, batch_size=100, lr=0.004, lr_schedule="step", progress=False)
gallery.figure("plane", vae, digits)

# %% [markdown]
# Left: the codes of the 500 test pictures. For ten of them the whole answer of the encoder is
# drawn: q(z|x) = N(mu, σ²), called a posterior for short, as an ellipse of one σ. Right: what the
# decoder draws at each place of the same plane.
#
# Nearly wherever you look on the right, there is a digit, or a blurred mixture of digits. (The
# drawing fades out where the prior has hardly any draws.)

# %% [markdown]
# ## Why the regions touch
#
# In training the decoder never sees mu. It sees z = mu + σ eps, with fresh eps each time: some
# point in or near the ellipse of that picture. So a picture claims not one point but a region. How
# large is it, compared with the distance to the neighbours? Count, for each test picture, how many
# of the 4,500 training codes lie within 2σ of its mu.

# %% long
mu, logvar = vae.encode(digits.x_train)  # (N, L)
sigma = np.exp(0.5 * logvar)
mu_test, logvar_test = vae.encode(digits.x_test)
steps = (mu[None] - mu_test[:, None]) / np.exp(0.5 * logvar_test)[:, None]  # (500, N, L), in σ
inside = ((steps**2).sum(axis=2) < 2**2).sum(axis=1)  # (500,)
print(f"a typical test picture has {np.median(inside):.0f} training codes in its region")
print(f"one test picture in twenty has fewer than {np.percentile(inside, 5):.0f}")

# %% [markdown]
# The regions overlap many times over. At a point z the decoder has been asked for many pictures:
# for picture n as often as the density q(z|x_n) says. It can draw only one. Which one costs least?
#
# Suppose the decoder may draw at each z whatever it likes. Call it x_hat, and write q_n for
# q(z|x_n). With σ_x² = ½ in p(x|z), each picture costs the sum of its squared differences over the
# pixels d, so at z the cost is
#
# $$\text{cost} = \sum_n q_n \sum_d (x_{nd} - \hat x_d)^2$$
#
# At the lowest point the slope along each x_hat_d is 0. The slope of a square is 2 times what is
# squared, and x_hat has the factor −1 in it:
#
# $$\sum_n q_n \cdot 2\,(x_{nd} - \hat x_d) \cdot (-1) = 0 \quad\Rightarrow\quad \hat x_d \sum_n
# q_n = \sum_n q_n x_{nd} \quad\Rightarrow\quad \hat x_d = \frac{\sum_n q_n x_{nd}}{\sum_n q_n}$$
#
# The best drawing at z is a **weighted mean** of the training pictures, and each weighs as much as
# its density at z. That is a prediction. Compare it with what the decoder draws, at ten points
# that we choose freely:

# %% long
z_1 = [0, 1, -1, 0.5, -1.5, 1.5, 0, 2, 0, -1]
z_2 = [0, 0.5, 1, -1.5, -1, -0.5, 2, 0, -1, 0]
z = np.stack([z_1, z_2], axis=1)  # (10, L)
distance = (z[:, None] - mu) / sigma  # (10, N, L)
q = np.exp(-0.5 * (distance**2 + logvar).sum(axis=2))  # (10, N), but for a constant
weighted_mean = q @ digits.x_train / q.sum(axis=1, keepdims=True)  # (10, 784)
figures.image_grid(
    np.concatenate([vae.decode(z), weighted_mean]),
    (28, 28),
    columns=10,
    title="What the decoder draws, and what it should draw",
    row_labels=["decoder", "weighted mean"],
)

# %% [markdown]
# The decoder has never computed such a mean. Training brought it there. So this is what lies
# between the codes: mixtures of the pictures whose regions reach there. Where neighbours look
# alike, as the encoder arranges it, a mixture of them is one more digit of their kind. Where two
# kinds meet, it is a blur of both.

# %% [markdown]
# ## A walk from one digit to another
#
# Take the codes of two pictures, and go from one to the other in a straight line: t runs from 0 to
# 1, and at every t the point is a weighted mean of both ends.
#
# ### Exercise 7.1: a line between two codes
#
# The function gets two codes `(L,)` and a number of points, `steps`. It returns the points
# `(steps, L)`, in equal steps; the first is `z_first` and the last is `z_last`.


# %% exercise 7.1
def line(z_first, z_last, steps):
    z = ...  # (steps, L)
    return z


# %% check 7.1
from tinyvae.exercises import walking as check

line = check.line(line)

# %% [markdown] hint 7.1
# Which weights must both ends have at t = 0, and which at t = 1?
#
# Which function of NumPy makes equal steps with both ends?
#
# And which shape must t have, so that each t meets a whole code (L,)?


# %% solution 7.1
def line(z_first, z_last, steps):
    t = np.linspace(0, 1, steps)[:, None]  # (steps, 1)
    return (1 - t) * z_first + t * z_last  # (steps, L)


# %% [markdown]
# The same walk can be made in the pixels: mix (1 − t) of one picture with t of the other. Above,
# the walk in the codes, decoded. Below, the mixture of pixels, between the same two test pictures.

# %% long


def clearest(digit):
    x = digits.x_test[digits.y_test == digit]
    return x[((vae.reconstruct(x) - x) ** 2).sum(axis=1).argmin()]  # (784,)


zero, seven = clearest(0), clearest(7)
ends = vae.encode(np.stack([zero, seven]))[0]  # (2, L)
in_codes = vae.decode(line(*ends, 11))  # (11, 784)
in_pixels = line(zero, seven, 11)
figures.image_grid(
    np.concatenate([in_codes, in_pixels]),
    (28, 28),
    columns=11,
    title="Two ways from a 0 to a 7",
    row_labels=["codes", "pixels"],
)

# %% [markdown]
# In the pixels, one picture fades out while the other fades in. Halfway you see two digits on top
# of each other. In the codes a shape changes into another shape, through other digits if they lie
# on the way. More walks:

# %% long
gallery.figure("interpolations", vae, digits)

# %% [markdown]
# A walk begins and ends at what the decoder makes of the two codes. In some rows that is another
# digit than the picture: two numbers are not enough to tell every 4 from every 9.
#
# ### Exercise 7.2: another walk, without a word of help
#
# With many latent numbers the straight line leaves the places where the prior draws. Halfway
# between two draws from N(0, I) stands their mean, and each of its numbers has the variance ¼ + ¼
# = ½, not 1. Find a walk from `z_first` to `z_last` with points a · z_first + b · z_last such that,
# for any two independent draws, each point is a draw from N(0, I) too. The numbers a and b may
# depend on the step alone. There is more than one such walk.


# %% exercise 7.2
def arc(z_first, z_last, steps):
    z = ...  # (steps, L)
    return z


# %% check 7.2
arc = check.arc(arc)

# %% [markdown] hint 7.2
# What is the variance of a · z_first + b · z_last, where both have the variance 1? (Notebook 3
# added two variances.)
#
# What must hold for a and b at each step, and which values do they take at both ends?
#
# Which two functions of an angle have squares that add up to 1?


# %% solution 7.2
def arc(z_first, z_last, steps):
    angle = np.linspace(0, np.pi / 2, steps)[:, None]  # (steps, 1)
    return np.cos(angle) * z_first + np.sin(angle) * z_last


# %% [markdown]
# Measured on 2,000 pairs of draws with 100 numbers each, how far the middle of both walks is from
# 0:

# %%
pairs = np.random.default_rng(1).standard_normal((2000, 2, 100))
lengths = np.linalg.norm(pairs[:, 0], axis=1)
print(f"a draw from the prior: {lengths.mean():.1f}, standard deviation {lengths.std():.1f}")
for name, walk in (("line", line), ("arc", arc)):
    middles = np.stack([walk(first, last, 3)[1] for first, last in pairs])  # (2000, 100)
    print(f"halfway along the {name}: {np.linalg.norm(middles, axis=1).mean():.1f}")

# %% [markdown]
# Hardly a draw of the prior lies as near to 0 as the middle of the line, so the decoder has hardly
# met such a code. In the plane that matters little, which is why the line will do here.

# %% [markdown]
# ## The whole plane in one picture
#
# Where should a grid of points lie that shows everything the model can draw? Equal steps of z are
# not a good choice. Most draws from N(0, 1) are near 0, few are beyond 2. Cut N(0, 1) instead into
# n slices that are equally likely, and take a point in each.
#
# Two functions help. The **CDF** (cumulative distribution function) of N(0, 1) gives the share of
# draws below z. Its inverse goes back: from a share to the z below which it lies.

# %%
normal = NormalDist()
for z in (-2.0, -1.0, 0.0, 1.0):
    print(f"{normal.cdf(z):.3f} of the draws are below {z}")
for share in (0.5, 0.9, 0.99):
    print(f"{share} of the draws are below {normal.inv_cdf(share):.2f}")

# %% [markdown]
# With n slices, slice i (counted from 0) reaches from the share i/n to the share (i + 1)/n. Its
# middle is the share (i + ½)/n.
#
# ### Exercise 7.3: equal shares of the prior
#
# The function gets n and returns n values of z `(n,)`, in rising order: those at the middles of
# the n slices. You may use `NormalDist().inv_cdf`.


# %% exercise 7.3
def quantiles(n):
    z = ...  # (n,)
    return z


# %% check 7.3
quantiles = check.quantiles(quantiles)

# %% [markdown] hint 7.3
# Which share of the prior lies below the middle of slice i?
#
# Which function goes from a share to its z, and how many numbers does it take at once?


# %% solution 7.3
def quantiles(n):
    return np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])


# %% [markdown]
# All pairs of such values make a grid in which each cell holds the same share of the prior. This is
# the decoded grid. (N(0, I) in its heading is N(0, 1) for each number of z by itself.) Look at the
# numbers at the edge: the steps are small near 0 and large far out.

# %% long
z_1, z_2 = np.meshgrid(quantiles(13), quantiles(13)[::-1])  # (13, 13) each, z_2 rising upwards
grid = np.stack([z_1.ravel(), z_2.ravel()], axis=1)  # (169, 2)
figures.manifold(vae.decode(grid), (28, 28))

# %% [markdown]
# ## New digits
#
# Draw z from N(0, 1) and decode: `vae.sample` does that. With `temperature=T`, z is multiplied by
# T, so it is a draw from N(0, T²). Each row below has its own T.

# %% long
temperatures = (0.0, 0.5, 1.0, 2.0)
rows = [vae.sample(14, seed=3, temperature=T) for T in temperatures]
figures.image_grid(
    np.concatenate(rows),
    (28, 28),
    columns=14,
    title="New digits at four temperatures",
    row_labels=[f"T = {T:g}" for T in temperatures],
)

# %% [markdown]
# At T = 0 there is one picture, the one at z = 0. At 0.5 the draws stay in the middle, where many
# kinds meet: blurred, and not of all kinds. At 1 they are distributed as the training asked for.
# At 2 many land beyond the codes: some are sharp, some are broken, and most are of the few kinds
# that live at the edge.

# %% [markdown]
# ## Is the prior the right place to draw from?
#
# The decoder knows the codes that the encoder sent it. Their distribution is not N(0, 1) itself.
# It is the mean of all answers q(z|x_n) of the encoder (for short "posteriors", as in notebook 3),
# the **aggregate posterior**:
#
# $$q(z) = \frac1N \sum_n q(z|x_n)$$
#
# To draw from such a mean of distributions takes two draws: choose one of the N examples, each
# equally likely; then draw from its q(z|x_n).
#
# ### Exercise 7.4: draws from all posteriors together
#
# The function gets `mu` and `logvar` of all examples, `(N, L)` each, the number `n` of draws, and
# `rng`, a `np.random.Generator` to draw with. It returns z `(n, L)`.


# %% exercise 7.4
def sample_aggregate(mu, logvar, n, rng):
    z = ...  # (n, L)
    return z


# %% check 7.4
sample_aggregate = check.aggregate(sample_aggregate)

# %% [markdown] hint 7.4
# What is drawn first, and how often may the same example come?
#
# (Look at `rng.integers`.) Which rows of mu and of logvar belong to it?
#
# Then: which draw of notebook 4 is the second?


# %% solution 7.4
def sample_aggregate(mu, logvar, n, rng):
    rows = rng.integers(len(mu), size=n)
    eps = rng.standard_normal((n, mu.shape[1]))
    return mu[rows] + np.exp(0.5 * logvar[rows]) * eps


# %% [markdown]
# Here is q(z) of our model beside the prior:

# %% long
gallery.figure("aggregate", vae, digits)

# %% [markdown]
# The place and the width fit: that is what the KL has asked for. In detail q(z) is lumpier than
# N(0, 1), with streets between the regions of some digits. How often does a draw from the prior
# land in a street? Compare the two densities at 500 draws; the logarithms are those of notebook 5.

# %% long
z = np.random.default_rng(7).standard_normal((500, 2))  # draws from the prior
distance = (z[:, None] - mu) / sigma  # (500, N, L)
log_q_n = (-0.5 * np.log(2 * np.pi) - 0.5 * logvar - 0.5 * distance**2).sum(axis=2)  # (500, N)
log_p = (-0.5 * np.log(2 * np.pi) - 0.5 * z**2).sum(axis=1)  # (500,)
ratio = np.exp(log_q_n).mean(axis=1) / np.exp(log_p)  # q(z) / p(z)
for least in (1 / 3, 1 / 10):
    print(f"q(z) is below {least:.2f} times the prior at {(ratio < least).mean():.0%} of the draws")

# %% [markdown]
# A draw in a street comes out as a blur of the digits on both sides. So two things can be wrong
# with a new digit: the decoder may draw badly, or it may be asked for a code that it hardly knows.
# In this plane the second is the rarer one: nearly all draws land where the decoder has been.

# %% [markdown]
# ## Move through it yourself
#
# A model with two latent dimensions is best seen by moving. The **explorer** is one HTML file that
# holds the weights of your model and decodes every point under your pointer, in your browser,
# without a network.

# %% long
from IPython.display import IFrame

from tinyvae import explore

explore.write("my-plane.html", explore.build(vae, digits, title="My first latent plane"))
IFrame("my-plane.html", "100%", 760)

# %% [markdown]
# (The file opens in any browser, too. Colours and marks are those of the figures above.) Try to
# find: a 4 that turns into a 9 with no clear border; a place that is no digit at all; the widest
# ellipse, and the picture it belongs to.
#
# A model trained on the command line has such a page in its run folder. To make it again, and open
# it at once:
#
# ```bash
# python -m tinyvae train --out runs/my-plane
# python -m tinyvae explore runs/my-plane --open
# ```
#
# **In the playground:** train [ten latent dimensions](playground.html#story=ten), and look at the
# walks from one test image to another, and at the bars under the loss: why some of the ten stay
# near 0 is the subject of notebook 8.

# %% [markdown]
# ## Three questions
#
# **a.** Halfway between a 0 and a 7 the decoder draws a 3. Is that an error?
#
# **b.** Why is a grid of equal steps of z a poor picture of what the model draws?
#
# **c.** What would a plane look like in which q(z) and the prior agree exactly, but the decoder is
# bad?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** No: other digits may lie on the straight line between two codes. Only what lies there can
# be drawn there.
#
# **b.** Most draws are near 0. Equal steps spend most cells on places that are hardly ever drawn.
#
# **c.** New draws would all fall where the decoder was trained, and still be blurred: a bad
# picture is not always a bad place.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - The noise in training lets each picture claim a region; regions overlap, and where they do, the
#   decoder draws the weighted mean of their pictures.
# - So every point near the prior decodes to something: lines between codes, grids of equal shares,
#   new draws.
# - New digits are as good as the decoder, and as the agreement of the prior with the aggregate
#   posterior.
#
# **Next:** what if the KL counts more than the reconstruction, or less? And why does a model with
# many latent dimensions leave most of them unused? Notebook 8 turns the knob.
