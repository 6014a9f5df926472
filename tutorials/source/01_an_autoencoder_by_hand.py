# ruff: noqa: E402

# %% [markdown]
# # 1. An autoencoder by hand
#
# **The question.** A picture of a digit is 784 numbers. Can a program squeeze it into 2 numbers,
# and draw the picture again from these 2?
#
# **At the end you can** write a layer of a neural network and its gradient, check that the
# gradient is right, and train a network made of such layers with an optimizer of your own.
#
# **Time:** about 70 minutes, and 15 more for exercise 1.4. **You need:** matrix products, the chain
# rule, a little NumPy.
#
# **How to use this page.** Read it as it is, or run it cell by cell. In each exercise you replace
# `...` by your answer, and the cell below tells you at once whether it is right, and if not, what
# is wrong with it. Hints and solutions are folded up: click to open them. Two things to know: where
# a cell stops with an error (a `SyntaxError`, a `NameError`), Python keeps the function defined
# before, and the check judges that one; and keep the names of functions and classes, as the checks
# use them.

# %% [markdown]
# ## The pictures
#
# The package brings 5,000 handwritten digits of the MNIST collection: 4,500 to learn from, and 500
# that are kept aside for tests. Each is a picture of 28 × 28 pixels, from 0 (paper) to 1 (ink). We
# write the pixels of a picture one after another, as a row of 784 numbers.

# %%
import inspect

import numpy as np

from tinyvae import figures, load_dataset

digits = load_dataset("digits")
print(digits.x_train.shape, "numbers from", digits.x_train.min(), "to", digits.x_train.max())
figures.image_grid(digits.x_train[:36], (28, 28), columns=18, title="36 training pictures")

# %% [markdown]
# ## The plan
#
# ```text
# x                encoder           z              decoder            x_hat
# 784 pixels   ─────────────▶   2 numbers   ─────────────────▶   784 pixels
# ```
#
# The **encoder** is a function from 784 numbers to 2. These 2 numbers, `z`, are the **code** of
# the picture. The **decoder** is a function from 2 numbers to 784. Both contain many adjustable
# numbers, the **weights**. To **train** them means: change the weights, little by little, until
# the picture that comes out, `x_hat`, looks like the picture `x` that went in. The two together
# are an **autoencoder**.
#
# So we need three things: functions with weights, a number that says how bad they are, and a way
# to tell in which direction each weight must move. We take them in this order.

# %% [markdown]
# ## A dense layer
#
# The simplest useful function with weights makes each output a weighted sum of all inputs, plus a
# constant. With 3 inputs and 2 outputs:
#
# $$y_1 = x_1 W_{11} + x_2 W_{21} + x_3 W_{31} + b_1$$
#
# $$y_2 = x_1 W_{12} + x_2 W_{22} + x_3 W_{32} + b_2$$
#
# That is a matrix product, `y = x W + b`. It is called a **dense layer**: every input is connected
# to every output. We send several examples through it at once, one in each row. Such a group is a
# **batch** of `B` examples. Shapes tell what is what:
#
# $$x\ (B, n_{in}) \qquad W\ (n_{in}, n_{out}) \qquad b\ (n_{out},) \qquad y\ (B, n_{out})$$

# %%
x = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])  # (2, 3): B = 2 examples
W = np.array([[0.5, -1.0], [0.0, 2.0], [1.0, 1.0]])  # (3, 2)
b = np.array([0.1, 0.2])  # (2,)

y = x @ W + b  # (2, 2)
print(y)

# %% [markdown]
# Row 1, column 1 by hand: 1 · 0.5 + 2 · 0.0 + 0 · 1.0 + 0.1 = 0.6.

# %% [markdown]
# ## One number for how wrong it is
#
# Say the right outputs for these two examples are known. The **loss** is one number: the squared
# differences, summed over the outputs of an example, averaged over the batch. It is 0 when
# everything is right, and large when much is wrong.

# %%
target = np.array([[1.0, 3.0], [0.0, 1.0]])  # (2, 2)


def loss_of(y):
    return ((y - target) ** 2).sum(axis=1).mean()


print(f"loss {loss_of(y):.3f}")

# %% [markdown]
# ## In which direction should a weight move?
#
# Try it: make `W[0, 0]` a little larger, look at the loss again, and divide the change of the loss
# by the change of the weight. That is a slope. A step to both sides, a **central difference**, is
# more exact:

# %%
h = 1e-5
up, down = W.copy(), W.copy()
up[0, 0] += h
down[0, 0] -= h
slope = (loss_of(x @ up + b) - loss_of(x @ down + b)) / (2 * h)
print(f"slope of the loss along W[0, 0]: {slope:.6f}")

# %% [markdown]
# The slope is −0.4: the loss falls when `W[0, 0]` grows. So this weight should grow.
#
# The slopes along all weights together are the **gradient** of the loss. We need it in every step
# of the training. The way above computes the loss twice for each weight; the autoencoder below has
# about 200,000 weights. That is too slow to train with. But it needs no calculus, so it is a fine
# way to *check* a gradient that we get faster, by the chain rule.
#
# The sign ∂ (read "d") stands for such a slope where a function has several variables: ∂loss/∂W_11
# is the slope of the loss along W_11 while all other numbers are held still. From here on, a `d`
# in front of a name means "the slope of the loss along it": `dW` is ∂loss/∂W, and has the shape of
# `W`. `dy` is ∂loss/∂y, and has the shape of `y`.

# %% [markdown]
# ## The gradient of the loss
#
# With n counting the B examples, and j the outputs,
#
# $$\text{loss} = \frac1B \sum_n \sum_j (y_{nj} - \text{target}_{nj})^2$$
#
# One $y_{nj}$ stands in one term of this sum. The derivative of a square is 2 times what is
# squared:
#
# $$dy_{nj} = \frac{\partial\,\text{loss}}{\partial y_{nj}} = \frac2B\,(y_{nj} -
# \text{target}_{nj}) \qquad dy\ (B, n_{out})$$

# %%
dy = 2 / len(y) * (y - target)  # (2, 2)
print(dy)

# %% [markdown]
# ## The chain rule, with several ways
#
# You know the chain rule for one way: if t moves u and u moves the loss, the slopes are
# multiplied. If t reaches the loss in two ways, through u and through w, both ways count, and
# their slopes are **added**:
#
# $$\frac{\partial\,\text{loss}}{\partial t} = \frac{\partial\,\text{loss}}{\partial
# u}\frac{\partial u}{\partial t} + \frac{\partial\,\text{loss}}{\partial w}\frac{\partial
# w}{\partial t}$$
#
# With numbers: u = t², w = 3t, loss = u w. At t = 2, u = 4 and w = 6. The first way gives w · 2t =
# 24, the second u · 3 = 12, together 36. And indeed loss = 3t³, with the slope 9t² = 36.

# %% [markdown]
# ## The gradient of a dense layer
#
# Now one step back, from `y` to what made it. (NumPy counts from 0: `W[0, 0]` is W_11.)
#
# $$y_{nj} = \sum_i x_{ni} W_{ij} + b_j$$
#
# **Along W_ij.** It stands in $y_{nj}$ of *every* example n, with the factor $x_{ni}$: so
# $\partial y_{nj}/\partial W_{ij} = x_{ni}$. The chain rule multiplies by $dy_{nj}$, and adds up
# all ways from W_ij to the loss, that is, all examples:
#
# $$dW_{ij} = \sum_n x_{ni}\, dy_{nj}$$
#
# **Along b_j.** It stands in $y_{nj}$ of every example, with the factor 1:
#
# $$db_j = \sum_n dy_{nj}$$
#
# **Along x_ni.** It stands in all outputs j of its own example n, with the factor $W_{ij}$. We need
# it when another layer made `x`: then it is *that* layer's `dy`.
#
# $$dx_{ni} = \sum_j dy_{nj}\, W_{ij}$$
#
# One entry, `W[0, 0]`, has the slope x_11 dy_11 + x_21 dy_21:

# %%
print(x[0, 0] * dy[0, 0] + x[1, 0] * dy[1, 0], "by the chain rule")
print(f"{slope:.6f} by the central difference")

# %% [markdown]
# ### Exercise 1.1: the backward pass of a dense layer
#
# To compute y from x is a layer's **forward pass**, to compute these slopes its **backward pass**.
# Write the three sums without a loop. The function gets `dy (B, n_out)`, and what the layer saw:
# `x (B, n_in)` and `W (n_in, n_out)`. It returns `dx`, `dW`, `db`. The check moves every weight up
# and down, and compares.


# %% exercise 1.1
def dense_backward(dy, x, W):
    dx = ...  # (B, n_in)
    dW = ...  # (n_in, n_out)
    db = ...  # (n_out,)
    return dx, dW, db


# %% check 1.1
from tinyvae.exercises import autoencoder as check

dense_backward = check.dense_backward(dense_backward)

# %% [markdown] hint 1.1
# First: over which index does each of the three sums go, and which two arrays have it?
#
# Then: a matrix product sums over the last axis of its first and the first axis of its second
# factor.
#
# Last: let the shapes tell you what must be transposed.


# %% solution 1.1
def dense_backward(dy, x, W):
    dx = dy @ W.T  # (B, n_out) (n_out, n_in): sums over j
    dW = x.T @ dy  # (n_in, B) (B, n_out): sums over n
    db = dy.sum(axis=0)  # sums over n
    return dx, dW, db


# %% [markdown]
# ## The same layer in the package
#
# This is the dense layer that `tinyvae` trains with. To call it, `self(x)`, computes y; `forward`
# keeps `x` besides, because `backward` needs it. `backward` writes `dW` and `db` into arrays that
# the layer holds, and returns `dx`. The derivation stands above the code. (Read each `ops.matmul`
# as the product `@`, written so that several cores can share a large one.)

# %%
from tinyvae import Dense

print(inspect.getsource(Dense.__call__))
print(inspect.getsource(Dense.forward))
print(inspect.getsource(Dense.backward))

# %% [markdown]
# `gradcheck.check` moves each number of a layer up and down, compares with what `backward` says,
# and prints a table. We give it no input, so it draws a batch of 5 random examples of its own:
# that is the 5 in the first row.

# %%
from tinyvae import gradcheck

print(gradcheck.check(Dense(3, 2)))

# %% [markdown]
# The relative error says by how much the two differ, measured against the size of the gradient.
# 1e-12 is rounding. For comparison, here is a mistake: y = x², whose slope is 2x, with the 2
# forgotten.

# %%
print(gradcheck.check(np.square, lambda dy, x: dy * x, np.arange(1.0, 13.0).reshape(4, 3)))

# %% [markdown]
# An error of 0.5, against one in the twelfth digit: no doubt.

# %% [markdown]
# ## Why dense layers alone are not enough
#
# Put two dense layers one after another, the second with weights V and constants c:
#
# $$(x W + b)\, V + c = x\, (W V) + (b V + c)$$
#
# That is again one dense layer, with the weights `W V` and the constants `b V + c`.

# %%
V, c = np.array([[1.0, -2.0], [0.5, 1.0]]), np.array([0.3, -0.1])
print(np.allclose((x @ W + b) @ V + c, x @ (W @ V) + (b @ V + c)))

# %% [markdown]
# Nothing is gained, unless something that is *not* a weighted sum stands between them. The usual
# choice, **ReLU**, sets all negative numbers to 0.
#
# $$y = \max(x, 0)$$

# %%
print("x      ", x[1])
print("relu(x)", np.maximum(x[1], 0))

# %% [markdown]
# ### Exercise 1.2: the backward pass of ReLU
#
# Each output depends on one input. Draw the function, read off its slope left and right of 0, and
# multiply, as the chain rule asks. (At x = 0 there is a kink and no slope; the custom is to take
# 0.)


# %% exercise 1.2
def relu_backward(dy, x):
    dx = ...  # (B, n), the shape of x
    return dx


# %% check 1.2
relu_backward = check.relu_backward(relu_backward)

# %% [markdown] hint 1.2
# How large is the slope where x = 2, and where x = −2?
#
# What is dy multiplied by in both cases?
#
# And what does NumPy make of `x > 0`, and of such an array times numbers?


# %% solution 1.2
def relu_backward(dy, x):
    return dy * (x > 0)


# %% [markdown]
# ### Exercise 1.3: a layer of your own
#
# The decoder's last layer may give any number, but a pixel lies between 0 and 1. The **sigmoid**
# maps every number into this range, large negative ones to almost 0, large positive ones to almost
# 1:
#
# $$y = \frac1{1 + e^{-x}}$$
#
# Its slope, by the rule for 1/u with u = 1 + e^(−x), so ∂u/∂x = −e^(−x):
#
# $$\frac{\partial y}{\partial x} = -\frac1{u^2} \cdot (-e^{-x}) = \frac1{1 + e^{-x}} \cdot
# \frac{e^{-x}}{1 + e^{-x}} = y\,(1 - y)$$
#
# In the last step the second factor is 1 − y, because 1 − 1/u = (u − 1)/u = e^(−x)/u.
#
# Any object with `forward` and `backward` can stand in a network of this package. Write this one.
# Return new arrays: the arrays `x` and `dy` that come in belong to others, so a layer must not
# change them (as `dy *= 2` would). The check tries it alone, and then inside an autoencoder.


# %% exercise 1.3
class MySigmoid:
    def forward(self, x):
        y = ...  # (B, n), the shape of x
        return y

    def backward(self, dy):
        dx = ...  # (B, n)
        return dx


# %% check 1.3
check.sigmoid_layer(MySigmoid)

# %% [markdown] hint 1.3
# What does `backward` need that it does not get?
#
# Who had it last?
#
# And where does an object keep what belongs to it alone?


# %% solution 1.3
class MySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


# %% [markdown]
# ### Exercise 1.4: tanh, without a word of help
#
# Derive and write one more layer: y = (e^x − e^(−x)) / (e^x + e^(−x)), which is `np.tanh(x)`. It is
# between −1 and 1. Its slope, too, can be written with y alone.


# %% exercise 1.4
class MyTanh:
    def forward(self, x):
        y = ...
        return y

    def backward(self, dy):
        dx = ...
        return dx


# %% check 1.4
check.tanh_layer(MyTanh)

# %% [markdown] hint 1.4
# The rule for u/w, with u = e^x − e^(−x) and w = e^x + e^(−x): what are ∂u/∂x and ∂w/∂x?
#
# Divide both terms above the line by w² separately.
#
# Do you see y in one of them?


# %% solution 1.4
class MyTanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):  # ∂u/∂x = w, ∂w/∂x = u: the slope is (w² − u²)/w² = 1 − y²
        return dy * (1 - self.y**2)


# %% [markdown]
# ## Layers in a row
#
# The encoder is `Dense(784, 128)`, `ReLU`, `Dense(128, 32)`, `ReLU`, `Dense(32, 2)`: it narrows
# step by step, to the 2 numbers of the code. The decoder is its mirror image, with a sigmoid at
# the end. The 128 and 32 numbers between are called **hidden units**, and such a row of layers a
# **neural network**.
#
# The forward pass goes from the first layer to the last. The backward pass goes from the last to
# the first: the `dx` of a layer is the `dy` of the layer before it. That is all there is to
# **backpropagation**.

# %%
from tinyvae import Parameters, ReLU, Sequential, Sigmoid

print(inspect.getsource(Sequential.forward))
print(inspect.getsource(Sequential.backward))

# %% [markdown]
# (`need_dx=False` leaves out the `dx` of the very first layer: it says how the loss depends on the
# picture itself, which no step of the training needs.)
#
# `Parameters` gives every layer its first, random weights. It lays them all into one long vector,
# `theta`, and the gradient into another, `grad`, in the same order. Each layer's `W` is a view into
# `theta`, so whoever changes `theta` changes all layers at once. (`"he"`, after Kaiming He, sets
# the size of the first weights so that the ReLU behind them neither blows up nor shrinks what
# passes.)

# %%
encoder = Sequential(Dense(784, 128, "he"), ReLU(), Dense(128, 32, "he"), ReLU(), Dense(32, 2))
decoder = Sequential(
    Dense(2, 32, "he"), ReLU(), Dense(32, 128, "he"), ReLU(), Dense(128, 784), Sigmoid()
)
parameters = Parameters({"encoder": encoder, "decoder": decoder}, seed=0)
print(f"{len(parameters.theta):,} weights, in {len(parameters)} arrays:")
for name, array in parameters.items():
    print(f"  {name:10}  {array.shape}")

# %% [markdown]
# ## Training
#
# Take a batch of 100 pictures. Forward: code them, decode them, and measure. Backward: the
# gradient. Then move every weight a little against its slope, by a rule that is called the
# **optimizer**. Repeat.
#
# The plainest step is `theta -= 0.001 * grad`. It has two weaknesses. A batch is a small sample,
# so its gradient is noisy. And one weight may have gradients a thousand times as large as
# another's, so that no step fits both. **Adam** helps with both, for every weight by itself:
#
# - m, a running mean of the gradients, is less noisy: keep a share β₁ of the old m, and add a
#   share 1 − β₁ of the new gradient g;
# - v, a running mean of their squares, in the same way with β₂, says how large they are;
# - m and v begin at 0, so after t steps they are too small: by 1 − β₁ᵗ and 1 − β₂ᵗ. Dividing by
#   that gives m̂ and v̂;
# - then step by the mean gradient, measured in its own size, times a number lr, the learning rate:
#
# $$\theta \leftarrow \theta - \text{lr} \cdot \frac{\hat m}{\sqrt{\hat v} + \epsilon}$$
#
# A weight whose gradients always point one way has m̂ ≈ √v̂, and moves by lr; one whose gradients
# go to and fro moves little. (ϵ only keeps 0/0 away.)
#
# ### Exercise 1.5: Adam in five lines
#
# `m` and `v` are those of the step before, `t` counts the steps from 1. Return new arrays.


# %% exercise 1.5
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = ...
    v = ...
    theta = ...
    return theta, m, v


# %% check 1.5
adam_step = check.adam_step(adam_step)

# %% [markdown] hint 1.5
# First write m and v: each is one sum of two products. Is the gradient squared in both?
#
# Then give the corrected means names of their own, as m and v themselves must be handed back
# uncorrected: why?
#
# Last, the step: where does ϵ stand, inside the root or outside?


# %% solution 1.5
def adam_step(theta, grad, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = theta - lr * m_hat / (np.sqrt(v_hat) + epsilon)
    return theta, m, v


# %% [markdown]
# This trains the autoencoder. One pass over all pictures is an **epoch**. (The package's `Adam` in
# `optim.py` computes the same; it is longer because it makes fewer passes over the memory.)

# %% long
from tinyvae.data import batches

rng = np.random.default_rng(0)
theta, grad = parameters.theta, parameters.grad
m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
history = []
for epoch in range(1, 16):
    total = 0.0
    for rows in batches(len(digits.x_train), 100, rng):
        x = digits.x_train[rows]  # (B, 784)
        x_hat = decoder.forward(encoder.forward(x))  # (B, 784)
        total += float(((x_hat - x) ** 2).sum())

        dx_hat = 2 / len(x) * (x_hat - x)  # (B, 784)
        dz = decoder.backward(dx_hat)  # (B, 2)
        encoder.backward(dz, need_dx=False)

        t += 1
        theta[...], m, v = adam_step(theta, grad, m, v, t, lr=0.004)
    history.append({"epoch": epoch, "loss": total / len(digits.x_train)})

for row in history[::2]:
    print(f"epoch {row['epoch']:2}: loss {row['loss']:.1f}")
average = digits.x_train.mean(axis=0)
always = ((digits.x_train - average) ** 2).sum(axis=1).mean()
print(f"to draw the same average picture every time would cost {always:.1f}")

# %% [markdown]
# ## What came back
#
# These are pictures that the network has never seen, and below each what was drawn from 2 numbers.

# %% long
x_test = digits.x_test[:20]
figures.reconstructions(x_test, decoder.forward(encoder.forward(x_test)), (28, 28))

# %% [markdown]
# Blurred, and some digits are taken for others. But 784 numbers became 2, and most pictures can
# still be read. Two numbers are a point in the plane, so we can look at all codes at once:

# %% long
figures.plane(
    encoder.forward(digits.x_test),
    digits.y_test,
    prior=False,
    title="All codes in one plane",
    subtitle="One point for each test picture, coloured by digit. The network was never told "
    "which digit is which.",
)

# %% [markdown]
# Some digits, such as 0 and 1, have a place of their own. Others, such as 4, 9, 5 and 8, lie in
# one heap, and some of these were taken for each other above. The loss does not ask for any order:
# where equal digits lie together, the decoder's work is easier.
#
# **In the playground:** open [an autoencoder that trains](playground.html#story=autoencoder), and
# watch the marks of equal digits find together. (The page lies beside this notebook; where it does
# not, `python -m tinyvae playground` writes it. What it says of a KL is for later.)

# %% [markdown]
# ## Three questions
#
# **a.** Why does `dW` sum over the examples of the batch, and `dx` over the outputs?
#
# **b.** A colleague doubles the batch, and forgets the 1/B in the loss. What happens to the
# gradient, and what to a step of Adam?
#
# **c.** A gradient check of your layer shows a relative error of 1e-11. What do you know now, and
# what do you not know?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** A weight acts on the loss through every example; an input through every output of its own
# example. The slopes of all ways are added.
#
# **b.** The gradient becomes twice as large. Adam divides by the size of the gradient, so its step
# hardly changes; a plain step would be twice as long.
#
# **c.** That backward is the slope of this forward at this point. Not that forward computes what
# you meant, nor that it holds at other points, such as at a kink.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - A layer is two functions: forward computes `y`, backward turns ∂loss/∂y into ∂loss/∂x and the
#   gradients of its weights.
# - The chain rule links them from the last to the first; central differences are a witness for
#   each.
# - An autoencoder trained this way turns a picture of 784 numbers into 2, and back, blurred.
#
# **Next:** the decoder draws a picture from any 2 numbers. So can we choose 2 numbers ourselves,
# and get a new digit? Notebook 2 tries it, and it goes wrong in an instructive way.
