# ruff: noqa: E402

# %% [markdown]
# # 20. Appendix: the same code on a graphics card, and where the time goes
#
# **The question.** Can the lines that you know run on a graphics card (GPU), without a change? And
# what takes the time in a training step?
#
# **At the end you can** write functions that run on NumPy and on CuPy, count what a layer
# computes, measure where the time goes on your own machine, and choose between float32 and
# float64.
#
# **Time:** about 45 minutes. **You need:** the layers of notebook 1 and the VAE of notebook 6. No
# graphics card: this page runs without one, and uses one where there is one.

# %% [markdown]
# ## Two libraries with the same names
#
# **CuPy** is a library with NumPy's functions: `cupy.exp`, `cupy.sum`, `cupy.matmul`, with the
# same arguments. Its arrays lie in the memory of the graphics card, the **device**, and its
# functions compute there. The rest of the computer is the **host**.
#
# So mathematics can be written once, if it does not say `np`. Instead it asks the array that it
# holds for the library that it belongs to. The usual name for that is `xp`:

# %%
import inspect

import numpy as np

from tinyvae import VAE, Adam, load_dataset
from tinyvae.core.arrays import array_module, sigmoid
from tinyvae.device import Backend, get_backend
from tinyvae.exercises import speed as check

print(array_module(np.ones(3)).__name__)
print(inspect.getsource(sigmoid))

# %% [markdown]
# An array of NumPy has a class in the module `numpy`, one of CuPy in `cupy`, and `array_module`
# looks there: that is all there is to it. `array_module(x).exp` is NumPy's function for the one,
# and CuPy's for the other.
#
# Is there a graphics card where you read this?

# %% machine
try:
    get_backend("cupy")
    names = ["numpy", "cupy"]
    print("CuPy finds a graphics card here: the next cell runs on both.")
except RuntimeError:
    names = ["numpy"]
    print("No graphics card with CuPy here, so all runs on NumPy. You miss nothing but speed.")

# %% [markdown]
# The same lines for each. The first weights and the noise eps are drawn on the host, so both see
# the same numbers.

# %% machine
x = load_dataset("digits").x_train[:128]  # (B, D)
eps = np.random.default_rng(0).standard_normal((128, 20))  # (B, L)
for name in names:
    vae = VAE(784, 20, hidden=(400,), likelihood="bernoulli", backend=name, seed=0)
    optimizer = Adam(vae.parameters)
    for _ in range(10):
        terms = vae.forward(x, eps=eps)
        vae.backward()
        optimizer.step()
    library = type(vae.parameters.theta).__module__
    print(f"backend {name}: loss {float(terms.loss):.1f} after 10 steps; arrays of {library}")

# %% [markdown]
# ## Three ways to go wrong
#
# To see them without a card, we use a stand-in: a small library whose arrays behave as if they lay
# on a device. Inside it is NumPy.

# %%
from tinyvae.exercises import standin

a = standin.asarray(np.ones(3, "float32"))  # "copied to the device"


def attempt(text):
    try:
        result = eval(text)
        print(f"{text:28} gives {result.dtype}")
    except TypeError as error:
        print(f"{text:28} {error}")


attempt("a * 2.0")
attempt("np.exp(a)")
attempt("a + np.ones(3)")
attempt("float(a.sum())")
attempt("a * np.float64(2)")

# %% [markdown]
# - **Mixed arrays.** `np.ones(3)` lies on the host, `a` on the device. CuPy refuses to mix them.
#   Make new arrays with `xp.ones` or `xp.zeros_like(a)`. (`np.exp(a)` works: when NumPy's function
#   meets an array of CuPy, CuPy takes over.)
# - **Silent copies.** `float(a.sum())`, `if a.sum() > 0:` and `print(a)` need the number on the
#   host. CuPy fetches it, and the host waits until the device has finished everything before. Once
#   in an epoch that is fine; several times in a step it costs much of the speed. The stand-in
#   refuses, so that you notice. The right way to fetch is an explicit `a.get()`.
# - **Wider numbers.** One `np.float64` turns float32 arrays into float64: twice the memory, and
#   less speed. A Python number, `2.0`, does not.

# %% [markdown]
# ### Exercise 20.1: a function for both
#
# In some trainings a single batch gives a huge gradient, and one step ruins the weights. The
# remedy is to **clip** the gradient: if its length, the root of the sum of squares, is more than
# `largest`, scale the whole vector down to that length. Else leave it as it is.
#
# Write it for both libraries. The function gets `grad (n,)` and the number `largest`, and returns
# the clipped gradient `(n,)`. A gradient of zeros must stay
# one. The check tries NumPy, then the stand-in.


# %% exercise 20.1
def clip_gradient(grad, largest):
    clipped = ...  # (n,), by functions of array_module(grad)
    return clipped


# %% check 20.1
check.clip_gradient(clip_gradient)

# %% [markdown] hint 20.1
# By which factor is the vector scaled where its norm is too large, and by which where it is not?
#
# What does `if norm > largest` need on the host?
#
# Which function of `xp` makes one formula of both cases, on the device?


# %% solution 20.1
def clip_gradient(grad, largest):
    xp = array_module(grad)
    norm = xp.sqrt((grad * grad).sum())  # a number, on the device
    return grad * (largest / xp.maximum(norm, largest))


# %% [markdown]
# Does the package keep its own rules? Train the VAE with NumPy, then on the stand-in, and compare
# the weights:

# %%
weights = []
for name, backend in (("numpy", "numpy"), ("stand-in", Backend("stand-in", standin))):
    vae = VAE(784, 20, hidden=(50,), likelihood="bernoulli", backend=backend, seed=0)
    optimizer = Adam(vae.parameters)
    before = standin.copies
    for _ in range(3):
        vae.forward(x, eps=eps)
        vae.backward()
        optimizer.step()
    print(f"{name:8}: {standin.copies - before} copies from the device to the host")
    weights.append(vae.backend.to_numpy(vae.parameters.theta))
print("the same weights:", np.allclose(*weights, rtol=1e-5, atol=1e-7))

# %% [markdown]
# No copy, no mixed array, and the same weights. (What this cannot show is how fast a card is, and
# how it rounds.)

# %% [markdown]
# ## What does a step compute?
#
# Before we measure, we count. Here are matrices of "numbers" that count how often they are
# multiplied and added:

# %%
check.count(lambda x, W: x @ W, (2, 3), (3, 4))

# %% [markdown]
# The result has 2 · 4 entries. Each is a sum of 3 products: 3 multiplications, and 2 additions.
# Together 24 and 16. With the bias `b` each entry has one addition more, so that both are 24.
#
# ### Exercise 20.2: the operations of a dense layer
#
# How many operations (multiplications and additions together) does a dense layer need for a batch
# of B examples? Count a sum of n products as 2n operations, and leave out what is much smaller.
# `forward` is x W + b. `backward` computes dW = xᵀ dy and dx = dy Wᵀ (and db, which is small).


# %% exercise 20.2
def dense_operations(B, n_in, n_out):
    forward = ...  # a number
    backward = ...  # a number
    return forward, backward


# %% check 20.2
check.dense_operations(dense_operations)

# %% [markdown] hint 20.2
# For each of the three products: how many entries has the result?
#
# Over which index does each entry sum, and how many terms is that?
#
# How many operations has a sum of so many products?


# %% solution 20.2
def dense_operations(B, n_in, n_out):
    forward = B * n_out * 2 * n_in  # entries times terms
    backward = n_in * n_out * 2 * B + B * n_in * 2 * n_out  # dW and dx
    return forward, backward


# %% [markdown]
# All three products need the same 2 · B · n_in · n_out. Now the whole model, 784-400-20-400-784
# (the encoder's last layer has 2 · 20 outputs, mu and logvar). Its first layer needs no dx. Beside
# the products stands Adam, which passes 10 times over each weight:

# %%
B, widths = 128, [(784, 400), (400, 40), (20, 400), (400, 784)]
products = sum(3 * 2 * B * n_in * n_out for n_in, n_out in widths) - 2 * B * 784 * 400
n_weights = sum(n_in * n_out + n_out for n_in, n_out in widths)
print(f"matrix products  {products / 1e6:6.1f} million operations")
print(f"Adam             {10 * n_weights / 1e6:6.1f} million operations")

# %% [markdown]
# By this count Adam is next to nothing: less than 2 in 100. The activations and the loss are as
# small: some operations for each of 128 · (400 + 40 + 400 + 784) numbers.

# %% [markdown]
# ## Where does the time go?
#
# Measure it, on this machine, now. `check.seconds` calls a function many times and takes the
# fastest. (On a card it waits for the device before it looks at the clock: CuPy's functions return
# before the work is done.) "The rest" are activations, the loss, the noise and Python itself.

# %% long machine
vae = VAE(784, 20, hidden=(400,), likelihood="bernoulli", backend=names[-1], seed=0)
xp, batch = vae.backend.xp, vae.backend.asarray(x)
optimizer = Adam(vae.parameters)


def step(batch=batch):
    vae.forward(batch)
    vae.backward()
    optimizer.step()


def arrays(dtype):
    return [[xp.ones(s, dtype) for s in ((B, n), (n, m), (B, m))] for n, m in widths]


def only_products(layers):
    for i, (x_in, W, dy) in enumerate(layers):
        x_in @ W  # forward
        x_in.T @ dy  # dW
        if i > 0:
            dy @ W.T  # dx


layers = arrays("float32")
whole, products, adam = check.seconds(xp, step, lambda: only_products(layers), optimizer.step)
rest = max(0.0, whole - products - adam)
check.shares({"matrix products": products, "Adam": adam, "the rest": rest})

# %% [markdown]
# On a processor the products most often take the largest part, but far less than 98 in 100. Adam
# takes much more of the time than of the operations. Why? Look at what each does with a number
# that it fetches from memory:
#
# - A matrix product uses each weight for all 128 examples of the batch: 2 · 128 operations for one
#   number fetched. The processor computes all the time.
# - Adam uses each number once in a pass, for one operation. It fetches a weight, its gradient and
#   the two numbers that it keeps for each weight (m and v of exercise 1.5), and writes most of them
#   back. The processor waits for the memory.
#
# So the cost of a step is partly arithmetic, partly moving numbers. That is why the package's Adam
# works in blocks that fit into the processor's fast memory, and in place, with `out=`.
#
# A processor has several **cores**, and each can compute something else. Here two or more of them
# share each large product, and the weights that Adam moves. Nothing but the rounding of sums
# depends on it, and `fit(…, threads=1)` does without.
#
# ## How large a batch?
#
# The products grow with B. Adam does not: it runs once for a step, whatever the batch. So a larger
# batch shares that cost among more examples. The time for each *example*, with 128 in a batch
# counted as 1:

# %% long machine
sizes = (4, 16, 64, 256)
batches = [vae.backend.asarray(x[np.arange(size) % len(x)]) for size in (*sizes, 128)]
times = check.seconds(xp, *(lambda batch=batch: step(batch) for batch in batches))
for size, time in zip(sizes, times, strict=False):
    print(f"B = {size:3}: {(time / size) / (times[-1] / 128):4.1f}")

# %% [markdown]
# Small batches are expensive. But a larger batch also means fewer steps in an epoch, and a model
# learns by steps. 100 or 128 is a common middle.
#
# On a graphics card there is one more cost: each operation must be sent to the device, which takes
# the same time for a small array as for a large one. So a small model may gain nothing from a
# card, and a large one much. Measure before you choose: the cells above do it.

# %% [markdown]
# ## float32 or float64?
#
# A float64 has 53 binary digits, a float32 has 24. A float32 takes half the memory, so half the
# time to move, and a processor computes with twice as many of them at once:

# %% long machine
wide = arrays("float64")
narrow_time, wide_time = check.seconds(
    xp, lambda: only_products(layers), lambda: only_products(wide)
)
print(f"the products take {wide_time / narrow_time:.1f} times as long in float64")

# %% [markdown]
# For training float32 is enough: the gradient of a batch is a noisy guess anyway. For *checking* a
# gradient it is not. A central difference subtracts two numbers that are almost equal, and what is
# left is small beside their rounding. How small may the step h be?
#
# **Rounding.** Each value of f is rounded, relative to its size, by about u: 2⁻⁵³ in float64, 2⁻²⁴
# in float32. Say f is about 1. The difference of two values is wrong by up to 2u. Divided by 2h:
#
# $$\text{error from rounding} \approx \frac{2u}{2h} = \frac uh \qquad \text{a small}\ h\ \text{is
# bad}$$
#
# **The curve.** Near x, a smooth function is nearly a polynomial in h. Its factors are the slope
# f′, the slope of the slope f″, and the slope of that, f‴, all at x. This is **Taylor's formula**:
#
# $$f(x \pm h) = f(x) \pm h f' + \tfrac12 h^2 f'' \pm \tfrac16 h^3 f''' + \ldots$$
#
# ("…" has factors h⁴ and higher: far smaller still.) In the difference of the two, f(x) and f″
# cancel:
#
# $$\frac{f(x + h) - f(x - h)}{2h} = f' + \tfrac16 h^2 f''' + \ldots \qquad \text{a large}\ h\
# \text{is bad}$$
#
# Leave out the constants, and the error is about
#
# $$\text{error}(h) \approx \frac uh + h^2$$
#
# ### Exercise 20.3: the best step
#
# For which h is u/h + h² smallest? The function gets u and returns h. (The slope along h is 0
# there.)


# %% exercise 20.3
def best_step(u):
    h = ...  # a number
    return h


# %% check 20.3
check.best_step(best_step)

# %% [markdown] hint 20.3
# What are the slopes of u/h and of h² along h?
#
# What is true of their sum at the lowest point?
#
# Which power of h is left when you have solved that?


# %% solution 20.3
def best_step(u):
    return (u / 2) ** (1 / 3)  # −u/h² + 2h = 0, so h³ = u/2


# %% [markdown]
# See it happen. The function is e^x at x = 1, whose slope is e:

# %%
errors = {}
for name, digits in (("float64", 48), ("float32", 22)):
    h = (2.0 ** -np.arange(1, digits)).astype(name)
    one = np.ones((), name)
    slope = (np.exp(one + h) - np.exp(one - h)) / (2 * h)
    errors[name] = h, np.abs(slope.astype("float64") - np.e)
check.difference_errors(errors)

# %% [markdown]
# From right to left: first the error falls with h², then rounding takes over, and it rises with
# 1/h. In float64 the lowest place is between 1e-6 and 1e-5, as the formula says, with ten right
# digits. In float32 it is near 0.005, with four or five. A gradient check meets the same limits.
# Here it checks the layer `Softplus`, y = log(1 + e^x), a ReLU with a rounded corner:

# %%
from tinyvae import Softplus, gradcheck

for dtype in ("float64", "float32"):
    print(gradcheck.check(Softplus(), shape=(5, 4), dtype=dtype), "\n")

# %% [markdown]
# (`gradcheck` combines two steps, h and h/2, such that the term with h² cancels as well. So it
# does better than the curve above, but meets the same rounding.)
#
# In float64 the error is in the twelfth digit or so: no wrong factor can hide there. In float32 it
# is a million times as large for this one layer, and grows in a network of many, so that the check
# has to allow 1 in 100. So: check in float64, train in float32. In this package it is one
# argument, `dtype="float64"`.

# %% [markdown]
# ## Three questions
#
# **a.** Adam makes 2 in 100 of the operations and far more of the time. Why?
#
# **b.** A gradient check in float32 reports an error of 1e-3. Is the gradient wrong?
#
# **c.** Why may a small model be slower on a graphics card?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** It uses each number once that it fetches from memory; a matrix product uses it for all
# examples of the batch.
#
# **b.** That cannot be told: rounding alone makes as much. Check in float64.
#
# **c.** Each operation has to be sent to the device, which takes the same time for small arrays as
# for large ones.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - Code that asks `array_module(x)` for its library runs on NumPy and CuPy; keep arrays in one
#   place, copy to the host seldom, and use Python numbers.
# - Matrix products are nearly all of the arithmetic, but not of the time: moving numbers costs
#   too, above all in Adam.
# - float32 is for training, float64 for checking gradients.
#
# Train a VAE on your own data with
# `python -m tinyvae train`, walk through its latent space with `python -m tinyvae explore`, and
# let `audit` look at a VAE that you wrote yourself.
