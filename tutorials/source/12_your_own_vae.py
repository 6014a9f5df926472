# ruff: noqa: E402, E501

# %% [markdown]
# # 12. Capstone: your VAE in 80 lines
#
# **The question.** Can you write a whole VAE, from the layers to the training, with nothing but
# NumPy?
#
# **At the end you have** a VAE that is yours from the first line to the last, judged by a gradient
# check, by the audit and by an ELBO that it must reach, and trained on data of your own.
#
# **Time:** about 90 minutes. **You need:** layers and Adam (notebook 1), the Bernoulli loss (3),
# the draw (4), the KL (5) and how they meet (6).

# %% [markdown]
# ## What it must do
#
# A class with one hidden layer of ReLU on each side, for pictures of black or white pixels:
#
# | method | takes | returns |
# |---|---|---|
# | `__init__` | `n_features, latent_dim, hidden, seed` | makes `self.weights`, a dictionary from names to arrays, and `self.slopes = {}` |
# | `encode` | `x (B, D)` | `mu, logvar (B, L)` each |
# | `draw` | `mu, logvar, eps (B, L)` | `z (B, L)` |
# | `decode` | `z (B, L)` | the logits `y (B, D)` |
# | `nll` | `x, y (B, D)` | −log p(x\|z) of each example, `(B,)` |
# | `kl` | `mu, logvar (B, L)` | the KL of each example, `(B,)` |
# | `forward` | `x (B, D)`, `eps (B, L)` | `loss, reconstruction, kl`: three numbers, means over the batch |
# | `backward` | | fills `self.slopes`: for each name in `self.weights` the slope of the last `forward`'s loss |
#
# The names of the weights are yours. First weights: normal draws divided by the root of the number
# of inputs, and zeros for the constants. There is no formula on this page. You have derived them
# all.
#
# ### Exercise 12.1: your VAE
#
# Write it in small steps. The check tells how far you are, so run it often.


# %%
import numpy as np

# %% exercise 12.1


class MyVAE:
    def __init__(self, n_features, latent_dim, hidden, seed=0):
        self.weights = {}
        self.slopes = {}

    def encode(self, x):
        mu, logvar = ..., ...
        return mu, logvar

    def draw(self, mu, logvar, eps):
        z = ...
        return z

    def decode(self, z):
        y = ...
        return y

    def nll(self, x, y):
        nll = ...
        return nll

    def kl(self, mu, logvar):
        kl = ...
        return kl

    def forward(self, x, eps):
        loss = reconstruction = kl = ...
        return loss, reconstruction, kl

    def backward(self): ...


# %% check 12.1
from tinyvae.exercises import capstone as check

MyVAE = check.vae(MyVAE)

# %% [markdown] hint 12.1
# Two helpers save half of the lines: one that computes a dense layer by its name and keeps what
# came in, and one that takes dy, writes the two slopes of that name and returns dx.
#
# Which arrays of the forward pass does the way back need? Keep them in `self`: x, eps, mu, logvar,
# y, and what each ReLU gave.
#
# Go back in the order: logits, decoder, z; then mu and logvar, which have a way through z *and* one
# through the KL; then the encoder. Where does the 1/B come in, and how often?


# %% solution 12.1
class MyVAE:
    def __init__(self, n_features, latent_dim, hidden, seed=0):
        sizes = {"enc1": (n_features, hidden), "enc2": (hidden, 2 * latent_dim)}
        sizes |= {"dec1": (latent_dim, hidden), "dec2": (hidden, n_features)}
        rng = np.random.default_rng(seed)
        self.weights, self.slopes, self.seen = {}, {}, {}
        for name, (n_in, n_out) in sizes.items():
            self.weights[f"{name}.W"] = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
            self.weights[f"{name}.b"] = np.zeros(n_out)

    def dense(self, name, x):
        self.seen[name] = x
        return x @ self.weights[f"{name}.W"] + self.weights[f"{name}.b"]

    def dense_backward(self, name, dy):
        self.slopes[f"{name}.W"] = self.seen[name].T @ dy
        self.slopes[f"{name}.b"] = dy.sum(axis=0)
        return dy @ self.weights[f"{name}.W"].T

    def encode(self, x):
        self.h = np.maximum(self.dense("enc1", x), 0)
        mu, logvar = np.split(self.dense("enc2", self.h), 2, axis=1)
        return mu, logvar

    def draw(self, mu, logvar, eps):
        return mu + np.exp(0.5 * logvar) * eps

    def decode(self, z):
        self.g = np.maximum(self.dense("dec1", z), 0)
        return self.dense("dec2", self.g)

    def nll(self, x, y):
        return (np.logaddexp(0, y) - x * y).sum(axis=1)

    def kl(self, mu, logvar):
        return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)

    def forward(self, x, eps):
        self.x, self.eps = x, eps
        self.mu, self.logvar = self.encode(x)
        self.y = self.decode(self.draw(self.mu, self.logvar, eps))
        reconstruction = self.nll(x, self.y).mean()
        kl = self.kl(self.mu, self.logvar).mean()
        return reconstruction + kl, reconstruction, kl

    def backward(self):
        B, sigma = len(self.x), np.exp(0.5 * self.logvar)
        dy = (1 / (1 + np.exp(-self.y)) - self.x) / B
        dg = self.dense_backward("dec2", dy)
        dz = self.dense_backward("dec1", dg * (self.g > 0))
        dmu = dz + self.mu / B
        dlogvar = dz * 0.5 * sigma * self.eps + 0.5 * (sigma**2 - 1) / B
        dh = self.dense_backward("enc2", np.concatenate([dmu, dlogvar], axis=1))
        self.dense_backward("enc1", dh * (self.h > 0))


# %% [markdown]
# From here on `MyVAE` is yours if the check accepted it, and the package's reference if not yet.
#
# ### Exercise 12.2: the training
#
# Write the loop: for each epoch, in a new random order, batches of 100 rows; forward with fresh
# noise, backward, and a step of Adam for each array in `vae.weights`, changed in place. Return
# what you like to look at, for example the mean loss of each epoch. The check lets it train a VAE
# with 8 latent numbers on 1,500 digits for 10 epochs at lr = 0.005, and asks for an ELBO of −170
# nats on 500 others.


# %% exercise 12.2
def train(vae, x, epochs, lr=0.005, seed=0):
    losses = ...
    return losses


# %% check 12.2
train = check.training(train)

# %% [markdown] hint 12.2
# How many numbers must `eps` have for a batch? The latent dimension is that of mu.
#
# Adam keeps two arrays for each array of weights, and one count t for all: where must t grow, in
# the loop over batches or in that over the weights? (Exercise 1.5 has the step.)
#
# `w[...] = new` writes into the array that the model holds; what does `w = new` do?


# %% solution 12.2
def train(vae, x, epochs, lr=0.005, seed=0):
    rng, t, losses = np.random.default_rng(seed), 0, []
    m = {name: np.zeros_like(w) for name, w in vae.weights.items()}
    v = {name: np.zeros_like(w) for name, w in vae.weights.items()}
    for _ in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for start in range(0, len(x), 100):
            batch = x[order[start : start + 100]]
            eps = rng.standard_normal(vae.encode(batch)[0].shape)
            total += vae.forward(batch, eps)[0] * len(batch)
            vae.backward()
            t += 1
            for name, w in vae.weights.items():
                g = vae.slopes[name]
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g**2
                m_hat, v_hat = m[name] / (1 - 0.9**t), v[name] / (1 - 0.999**t)
                w[...] = w - lr * m_hat / (np.sqrt(v_hat) + 1e-8)
        losses.append(total / len(x))
    return losses


# %% [markdown]
# That was all: about 80 lines. Here it is at work, on all digits, with two latent numbers.

# %% long
from tinyvae import figures, load_dataset

digits = load_dataset("digits")
x = (digits.x_train > 0.5).astype(float)
vae = MyVAE(n_features=784, latent_dim=2, hidden=100, seed=0)
train(vae, x, epochs=12)
train(vae, x, epochs=4, lr=0.001)  # smaller steps at the end

x_test = (digits.x_test > 0.5).astype(float)
mu, logvar = vae.encode(x_test)
eps = np.random.default_rng(0).standard_normal(mu.shape)
loss, reconstruction, kl = vae.forward(x_test, eps)
print(f"ELBO {-loss:.1f} = −({reconstruction:.1f} + {kl:.1f}) on the test pictures")


def ink(logits):
    return 1 / (1 + np.exp(-logits))


figures.plane(
    mu,
    digits.y_test,
    decoded=ink(vae.decode(figures.plane_grid((-4, 4, -4, 4), 16))),
    image_shape=(28, 28),
    extent=(-4, 4, -4, 4),
    title="The latent plane of a VAE in 80 lines",
)

# %% [markdown]
# And with 16 numbers, digits drawn from nothing but noise:

# %% long
vae = MyVAE(n_features=784, latent_dim=16, hidden=200, seed=0)
train(vae, x, epochs=12)
train(vae, x, epochs=4, lr=0.001)
z = np.random.default_rng(1).standard_normal((60, 16))
figures.image_grid(
    ink(vae.decode(z)), (28, 28), columns=20, title="New digits, drawn by your VAE", subtitle=""
)

# %% [markdown]
# ## Your own data
#
# `load_dataset` reads a folder of pictures, an `.npy` file or a table. Draw some hundred small
# pictures, or take photographs, put them into a folder, and name it in the next cell; the pictures
# are made 28 × 28 pixels. As long as it names none, the cell takes simple shapes that the package
# draws.

# %% long
my_data = ""  # for example "my-drawings"

if my_data:
    mine = load_dataset(my_data, image_size=28, channels="grey")
else:
    mine = load_dataset("shapes")
    print("No data of your own yet:", mine.x_train.shape, "shapes that the package draws.")
x = (mine.x_train > 0.5).astype(float)
vae = MyVAE(n_features=x.shape[1], latent_dim=8, hidden=100, seed=0)
losses = train(vae, x[:3000], epochs=12)
print("loss by epoch:", " ".join(f"{loss:.0f}" for loss in losses))
z = np.random.default_rng(1).standard_normal((40, 8))
figures.image_grid(ink(vae.decode(z)), mine.image_shape, columns=20, title="Drawn by your VAE")

# %% [markdown]
# (White or coloured paper? `x = 1 − x` turns it round. A table of numbers is no matter of black
# and white: replace `nll` by the normal density of exercise 3.1 with a σ_x that you choose, or by
# the Laplace density of 3.3, and the first line of `backward` by its slope. The check above then
# does not apply, but `tinyvae.gradcheck` and `tinyvae.audit` do.)

# %% [markdown]
# ## Three questions
#
# **a.** Your gradient check passes, and the audit finds nothing. What may still be wrong with a
# VAE? **b.** Which three of your lines would change for grey pictures with a normal p(x|z)? **c.**
# Suppose `train` returns higher losses than the package's at the same number of epochs. Why may
# that be, and what would you look at before you blame the code?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** Whether it is any good: over-fitting, collapse, a bad choice of the likelihood or of its
# width, too short a training. None of these is an error of the code, and no check of the code
# shows them; test data do. **b.** The body of `nll`, the line of `dy`, and what turns `decode`'s
# output into a picture. **c.** Other first weights, another network, other steps of the learning
# rate. First compare the same quantity: nats per picture, on test pictures, with the same network.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - A VAE is 80 lines: four dense layers, a draw, two terms and their slopes.
# - Three judges, none of which replaces another: central differences, the audit, and data that
#   were kept aside.
# - What you have written once by hand, you can read in any library.
