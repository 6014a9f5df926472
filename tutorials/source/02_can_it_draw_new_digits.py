# ruff: noqa: E402

# %% [markdown]
# # 2. Can it draw new digits?
#
# **The question.** The decoder of an autoencoder draws a picture from any 2 numbers. If we choose
# the numbers ourselves, do we get new digits?
#
# **At the end you can** name the three reasons why it goes wrong, and you have measured each.
#
# **Time:** about 30 minutes. **You need:** notebook 1 (encoder, decoder, code, loss, dense layer).

# %% [markdown]
# ## The model
#
# `Autoencoder` holds an encoder and a decoder as you built them in notebook 1, and `fit` is the
# training loop. (`sigma=0.5**0.5` makes the loss the squared differences that you know, plus a
# constant that no weight can change; notebook 3 says why. `backend="numpy"`: also where there is a
# graphics card.) We train two models on the same pictures. Only their first, random weights differ.

# %%
import numpy as np

from tinyvae import Autoencoder, figures, fit, load_dataset
from tinyvae.figures import gallery

digits = load_dataset("digits")

# %% long
options = {"hidden": (128, 32), "sigma": 0.5**0.5, "output": "sigmoid", "backend": "numpy"}
models = []
for seed in (0, 1):
    model = Autoencoder(784, 2, seed=seed, **options)
    fit(model, digits.x_train, epochs=8, batch_size=100, lr=0.004, progress=False)
    models.append(model)

for model in models:
    x_hat = model.reconstruct(digits.x_test)
    print(f"squared differences: {((x_hat - digits.x_test) ** 2).sum(axis=1).mean():.1f}")

# %% [markdown]
# Both are about equally good.

# %% [markdown]
# ## First reason: the place of the codes is not known
#
# All possible codes together are the **latent space** ("latent" means hidden: the codes stand in
# no data set). With 2 numbers it is a plane. Here is the **latent plane** of the first model. On
# the left, where the test pictures lie. On the right, what each place decodes to.

# %% long
gallery.figure("plane", models[0], digits)

# %% [markdown]
# And here is where the second model puts them:

# %% long
figures.plane(models[1].encode(digits.x_test), digits.y_test, prior=False)

# %% [markdown]
# Other places, directions and distances. In numbers, the range of all codes:

# %% long
for model in models:
    z = model.encode(digits.x_train)  # (4500, 2)
    low, high = z.min(axis=0), z.max(axis=0)
    print(f"z_1 from {low[0]:5.1f} to {high[0]:5.1f}    z_2 from {low[1]:5.1f} to {high[1]:5.1f}")

# %% [markdown]
# So "choose 2 numbers" already meets a difficulty: between what bounds? They differ from model to
# model. Is that an accident of these two trainings?
#
# ### Exercise 2.1: predict, then run it
#
# Take a trained model. Multiply the weights of the encoder's last layer by 100, so that every code
# becomes 100 times as large. Divide `W` of the decoder's first layer by 100. What happens to the
# loss?
#
# - a: it rises
# - b: it falls
# - c: it stays as it is

# %% exercise 2.1
prediction = ...  # "a", "b" or "c"

# %% check 2.1
from tinyvae.exercises import latent_space as check

check.stretched_codes(prediction)

# %% [markdown] hint 2.1
# What does the decoder's first layer compute from z?
#
# What stands in that formula for z and for W, after the change? And what is left of it?

# %% solution 2.1
prediction = "c"

# %% [markdown]
# `parameters` goes from names to arrays; the encoder's dense layers are 0, 1, 2:

# %% long
stretched = models[1]


def squared_differences(model):
    return ((model.reconstruct(digits.x_test) - digits.x_test) ** 2).sum(axis=1).mean()


before = squared_differences(stretched)
stretched.parameters["encoder.2.W"] *= 100
stretched.parameters["encoder.2.b"] *= 100
stretched.parameters["decoder.0.W"] /= 100
after = squared_differences(stretched)
print(f"squared differences: {before:.3f} before, {after:.3f} after")
z = stretched.encode(digits.x_train)
print(f"z_1 now goes from {z[:, 0].min():.0f} to {z[:, 0].max():.0f}")

# %% [markdown]
# The loss sees pictures. It does not see codes. They may lie anywhere.

# %% [markdown]
# ## Second reason: what comes out is not like the data
#
# We can look where the codes lie, and draw points from the smallest box that holds them all. Every
# place in the box gets the same chance.

# %% long
model = models[0]
codes = model.encode(digits.x_train)  # (4500, 2)
rng = np.random.default_rng(0)
z_box = rng.uniform(codes.min(axis=0), codes.max(axis=0), (2000, 2)).astype(np.float32)
figures.image_grid(
    model.decode(z_box[:60]),
    (28, 28),
    columns=20,
    title="Decoded from random points of the box",
    subtitle="The autoencoder with 2 numbers for each picture.",
)

# %% [markdown]
# Many can be read. But count them: which digits do you see most? To count 2,000 of them, say that
# a point shows the digit whose code lies nearest.
#
# ### Exercise 2.2: the nearest code
#
# The function gets points `z (M, L)` and `codes (N, L)`, with L numbers in each, and returns for
# each point the index of the nearest code: an array `(M,)` of whole numbers. Near means: the sum of
# the squared differences is small.


# %% exercise 2.2
def nearest(z, codes):
    index = ...  # (M,)
    return index


# %% check 2.2
nearest = check.nearest(nearest)

# %% [markdown] hint 2.2
# First: what shape holds the distance of every point to every code?
#
# Then: `z[:, None]` has the shape (M, 1, L); what happens when an array (N, L) is subtracted from
# it?
#
# Last: of `min` and `argmin`, one gives the smallest number and one its place.


# %% solution 2.2
def nearest(z, codes):
    squares = ((z[:, None] - codes[None]) ** 2).sum(axis=2)  # (M, N)
    return squares.argmin(axis=1)


# %% [markdown]
# The check hands your function on if it is right, and its own if not: `nearest` works from here on.
# Counted in that way:


# %% long
def shares(digit):
    return " ".join(f"{share:5.0%}" for share in np.bincount(digit, minlength=10) / len(digit))


drawn_from_box = digits.y_train[nearest(z_box, codes)]
print("digit           ", *(f"{digit:5}" for digit in range(10)))
print("in the data     ", shares(digits.y_train))
print("drawn from box  ", shares(drawn_from_box))

# %% [markdown]
# Ones come up more than twice as often as they should. 4, 5, 6 and 8 hardly come up at all: their
# codes are crowded together in a small part of the box. A machine that draws digits should draw
# each as often as it is in the data.
#
# Perhaps the box was a bad choice. The codes are crowded somewhere; let us draw more often there.
#
# ### Exercise 2.3: draws like the codes
#
# `rng.standard_normal((n, L))` gives random numbers from the **normal distribution**, the
# bell-shaped curve: they lie around 0, two thirds of them between −1 and 1. Their mean is 0 and
# their **standard deviation**, the typical distance from the mean, is 1. Write a function that
# stretches and moves them so that each column has the mean and the standard deviation of that
# column of `codes (N, L)`.


# %% exercise 2.3
def draw_like(codes, n, rng):
    z = ...  # (n, L)
    return z


# %% check 2.3
draw_like = check.draw_like(draw_like)

# %% [markdown] hint 2.3
# What does a factor 3 do to the standard deviation of numbers, and what does it do to their mean?
#
# What do 5 more do to both?
#
# Then: over which axis must `codes.mean` and `codes.std` go, so that they have one number for each
# column?


# %% solution 2.3
def draw_like(codes, n, rng):
    return codes.mean(axis=0) + codes.std(axis=0) * rng.standard_normal((n, codes.shape[1]))


# %% long
z_normal = draw_like(codes, 2000, rng).astype(np.float32)
print("digit                 ", *(f"{digit:5}" for digit in range(10)))
print("in the data           ", shares(digits.y_train))
print("drawn like the codes  ", shares(digits.y_train[nearest(z_normal, codes)]))
figures.image_grid(
    model.decode(z_normal[:60]),
    (28, 28),
    columns=20,
    title="Decoded from draws with the codes' means and standard deviations",
    subtitle="The autoencoder with 2 numbers for each picture.",
)

# %% [markdown]
# The shares are better, though not right. And some pictures are a blur of two digits. Where the
# codes of different digits are crowded together, a point between two codes is neither.

# %% [markdown]
# ## Third reason: between the codes lies nothing
#
# So far the plane was small enough to be nearly covered. But 2 numbers are few: the
# reconstructions were blurred. With 16 numbers for each picture they are much better:

# %% long
larger = Autoencoder(784, 16, seed=0, **options)
fit(larger, digits.x_train, epochs=8, batch_size=100, lr=0.004, progress=False)
print(f"squared differences:  2 numbers {squared_differences(models[0]):.1f}")
print(f"                     16 numbers {squared_differences(larger):.1f}")
x_test = digits.x_test[:10]
figures.reconstructions(x_test, larger.reconstruct(x_test), (28, 28))

# %% [markdown]
# And new pictures from this better model?

# %% long
codes = larger.encode(digits.x_train)  # (4500, 16)
z_normal = draw_like(codes, 500, rng).astype(np.float32)
figures.image_grid(
    larger.decode(z_normal[:60]),
    (28, 28),
    columns=20,
    title="Decoded from draws with the codes' means and standard deviations",
    subtitle="The autoencoder with 16 numbers for each picture.",
)

# %% [markdown]
# Many are no digits at all. The draws have the right means and the right standard deviations, and
# still miss the codes. Measure how far away they are from the nearest code of a training picture,
# and compare with the codes of test pictures, which are real digits that the model has never seen:


# %% long
def distance(z, codes):
    """Return the median distance of points z (M, L) to the nearest of the codes (N, L)."""
    return np.median(np.linalg.norm(z - codes[nearest(z, codes)], axis=1))


near, far = distance(larger.encode(digits.x_test), codes), distance(z_normal, codes)
print(f"a test picture's code is {near:.1f} away from the nearest training picture's code")
print(f"a random draw is {far:.1f} away, {far / near:.1f} times as far")

# %% [markdown]
# In 16 dimensions there is room for everything to be far from everything. Take 4,500 points at
# random: how far is one more from the nearest of them?

# %%
for L in (2, 16):
    points, more = (
        np.random.default_rng(i).standard_normal((n, L)) for i, n in ((0, 4500), (1, 200))
    )
    gap = np.sqrt(((more[:, None] - points) ** 2).sum(axis=2).min(axis=1))
    print(f"{L:2} numbers: {np.median(gap):.2f} away, where the mean 0 is {L**0.5:.1f} away")

# %% [markdown]
# The random draws above were such points, stretched to the size of the codes: 8.4 away from the
# nearest code. The codes of pictures are only 3.5 away, so they fill only part of the space. The
# decoder was trained on these codes alone, so it has learnt nothing about the rest: there it draws
# whatever happens to come out.

# %% [markdown]
# ## What would help
#
# We tried to find out, after the training, which shape the codes have. Turn it round: *before* the
# training, choose a shape from which we can draw, and make the codes fill it. The loss must ask
# for it, because what the loss does not ask for does not happen. It has to ask for two things:
#
# - **A known place.** All codes together should look like draws of `rng.standard_normal`.
# - **Regions that touch.** A picture should own not one point but a small region, and every point
#   of the region should decode to it. Then regions touch, and what lies between them is a sensible
#   mixture.
#
# A variational autoencoder, **VAE**, does that. Its loss has one more term than the one you know.
# Three numbers of this notebook are kept for the comparison at the end of notebook 3: the spread of
# the codes, which no two models share; the shares of the digits; and the distance of a draw.
#
# **In the playground:** let [an autoencoder](playground.html#story=autoencoder) train, and look at
# how far its codes lie outside the circles, in which nearly all draws of `rng.standard_normal` lie
# (the page calls these "draws from the prior").

# %% [markdown]
# ## Three questions
#
# **a.** Two autoencoders have the same loss. Why may their codes lie in quite different places?
#
# **b.** Why do draws with the right means and standard deviations still miss the codes with 16
# numbers, and hardly with 2?
#
# **c.** Would more training pictures cure the first failure?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** The loss sees pictures only. Whatever one network does to the codes, the other can undo:
# turn, stretch, bend.
#
# **b.** Means and standard deviations say nothing about which combinations occur. In 16 dimensions
# the combinations that do are a small part of all.
#
# **c.** No. Nothing in the loss asks for a place, however many pictures there are.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - An autoencoder's loss sees pictures and no codes: their place, their scale and their shape are
#   accidents.
# - Draws from a guess of that shape give digits in the wrong proportions, or none at all.
# - So the shape must be chosen first, and the loss must ask for it, and for regions that touch.
#
# **Next:** how can a picture own a region instead of a point, and how can a loss ask for a
# distribution? Notebook 3 has the idea of the VAE.
