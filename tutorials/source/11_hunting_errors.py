# ruff: noqa: E402, E501

# %% [markdown]
# # 11. Hunting errors
#
# **The question.** A VAE trains, the loss falls, pictures come out. How do you find out that
# something in it is wrong, and what?
#
# **At the end you can** read the symptoms of twelve common errors, say which of them a gradient
# check finds and why, let the audit name the others, and plant an error that only the audit can
# see.
#
# **Time:** about 35 minutes. **You need:** notebooks 4, 5, 6 and 8.

# %% [markdown]
# ## Thirteen patients
#
# One VAE in NumPy, 80 lines long, and twelve copies of it with one error planted in each. They
# train on the same digits, made half as large, in black and white, with two latent numbers.
# Nothing crashes.

# %%
import inspect

import numpy as np

from tinyvae import load_dataset
from tinyvae.exercises import lab

# %% long
digits = load_dataset("digits")
x_train, x_test = lab.small_pictures(digits.x_train), lab.small_pictures(digits.x_test)
patients = lab.train_all(x_train)  # name → model, history
lab.charts(patients, x_test, digits.y_test)

# %% [markdown]
# Take your time with this page, and compare each with the healthy one. What does the KL do? Where
# are the codes? What is drawn from the prior? Some are plainly ill (which?), some look nearly
# healthy. Such errors can be found in published code.
#
# The twelve errors, in alphabetical order:

# %%
from tinyvae.exercises import lab as check

for name in check.NAMES:
    print("-", name)

# %% [markdown]
# ### Exercise 11.1: which of them fail the gradient check?
#
# Before you run one: a gradient check compares backward with forward. For which of the twelve
# errors do the two *not* belong together? Guess the letters of the patients that will fail, as a
# string such as `"AB"`. (You may guess the errors first, and the letters from the symptoms.)

# %% exercise 11.1
letters = ...  # such as "AB"

# %% check 11.1
check.failing(letters)

# %% [markdown] hint 11.1
# Go through the list of errors. Which of them are made in forward, and copied faithfully by
# backward?
#
# Which can be in backward alone?
#
# There are three. Which symptoms would each of these have?

# %% solution 11.1
letters = "BFI"

# %% [markdown]
# Now run it, on a small new model of each kind. Its output is folded up.

# %% long covered
for name, (model, _) in patients.items():
    error = lab.gradient_check(model)
    print(f"{name:8} largest relative error {error:.0e}   {'passes' if error < 1e-5 else 'FAILS'}")

# %% [markdown]
# Nine of twelve errors pass with the error of rounding. In a framework with automatic
# differentiation all that are left would pass: there backward is made from forward, whatever
# forward is.
#
# ### Exercise 11.2: twelve diagnoses
#
# Name the error of each patient, with the words of the list above. Use what you have: the
# symptoms, the gradient check, `patients["C"][0].draw(mu, logvar, eps)` and `.kl(mu, logvar)`,
# which you can call with numbers of your own, and, where you are stuck,
# `print(lab.audit(patients["C"][0]))`. The check says how many are right, and gives a clue to the
# first that is wrong. Here is how to measure a draw:

# %% long
model, _ = patients["healthy"]
shape = (10_000, 2)
eps = np.random.default_rng(0).standard_normal(shape)
z = model.draw(np.zeros(shape), np.full(shape, 2.0), eps)
print(f"healthy, at logvar = 2: standard deviation {z.std():.2f}, where e^1 = 2.72 is right")

# %% exercise 11.2
diagnosis = {
    "A": ...,
    "B": ...,
    "C": ...,
    "D": ...,
    "E": ...,
    "F": ...,
    "G": ...,
    "H": ...,
    "I": ...,
    "J": ...,
    "K": ...,
    "L": ...,
}

# %% check 11.2
check.diagnoses(diagnosis)

# %% [markdown] hint 11.2
# Begin with the plain ones: a KL below zero, a reconstruction below 1, a printed KL that does not
# match where the codes are.
#
# Then the three that fail the gradient check. For the others, which of `draw`, `kl` and `nll`
# could be wrong?
#
# Draw 10,000 times at logvar = 2; compare a KL with the formula at one point.

# %% solution 11.2
diagnosis = {
    "A": "mean over pixels",
    "B": "other noise in backward",
    "C": "sigma is exp(logvar)",
    "D": "sign of the KL",
    "E": "no noise",
    "F": "KL not in the gradient",
    "G": "uniform noise",
    "H": "KL without its half",
    "I": "half missing in dlogvar",
    "J": "KL divided by the batch size twice",
    "K": "one noise for the whole batch",
    "L": "KL takes logvar for log sigma",
}

# %% [markdown]
# And the audit, on all of them. It knows no code: it draws, and calls the functions with numbers.

# %% long covered
for name, (model, _) in patients.items():
    report = lab.audit(model)
    found = report.errors[0] if report.errors else None
    print(f"{name:8}", f"{found.name}: {found.message[:74]}" if found else "no error found")

# %% [markdown]
# ## Repair
#
# The remedy is a line or two. Here is the code of one patient; its two methods stand for those of
# the healthy VAE. What must they say?

# %%
from tinyvae.exercises.byhand import PATIENTS, HandVAE

print(inspect.getsource(PATIENTS["C"][0]))
print(inspect.getsource(HandVAE.draw))
print(inspect.getsource(HandVAE.through_draw))

# %% [markdown]
# | symptom | likely cause | test |
# |---|---|---|
# | the same picture for every z, KL 0 | a mean over pixels beside a sum over latents; beta too large | audit: balance |
# | KL below 0 | sign of the KL | look at the curve |
# | KL printed small, codes far outside | the KL is divided once too often, or not in the gradient | audit; gradient check |
# | good pictures at a tiny KL | no noise in z | draw twice at the same mu |
# | codes drown in noise | another noise in backward | gradient check with eps held still |
# | all nearly right | σ = exp(logvar), a lost ½, log σ taken for log σ² | audit: sampler, KL |
#
# ### Exercise 11.3: an error of your own
#
# The best way to know an error is to make one. Write a subclass of `HandVAE` with an error of your
# own, or one of the twelve: the gradient check must pass, and the audit must refuse it. You may
# change `draw`, `kl` or `nll`, and what belongs to it: `through_draw(dz)` returns dmu, dlogvar,
# `through_kl()` the slopes of one example's KL along mu and logvar. (`self.mu`, `self.logvar` and
# `self.eps` are those of the last forward pass.)


# %% exercise 11.3
class MyPatient(HandVAE): ...


# %% check 11.3
check.planted(MyPatient)

# %% [markdown] hint 11.3
# Choose one term of the KL, and give it a wrong factor: what are its slopes then?
#
# Or change σ in `draw` to something else that is positive: what is its slope along logvar?
#
# Both passes must change together.


# %% solution 11.3
class MyPatient(HandVAE):
    def kl(self, mu, logvar):  # the squared mean counts twice
        return 0.5 * (2 * mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)

    def through_kl(self):
        return 2 * self.mu, 0.5 * (np.exp(self.logvar) - 1)


# %% [markdown]
# ## Three questions
#
# **a.** Patients E and F differ from the healthy VAE in one line each. Which of them is nearly an
# autoencoder of notebook 2, and why does the noise still matter in the other? **b.** Why does J
# print a small KL although its codes are far outside? **c.** A colleague says: "My loss falls and
# the pictures look fine, so the code is right." Which three patients would you show?
#
# <details><summary><b>Answers</b></summary>
#
# **a.** E: without noise a picture owns a point, and σ serves only to make the KL cheap. In F the
# KL costs nothing, but the noise is drawn: the encoder must make σ small itself. **b.** What is
# printed is divided by the batch size, 100, once more; what is true of the codes is a hundred times
# as much. **c.** C, H, L, for example: their pictures are those of the healthy one, and their ELBO
# means nothing.
#
# </details>

# %% [markdown]
# ## In three lines
#
# - A falling loss shows little: most of the twelve learn to draw digits.
# - A gradient check finds what backward does differently from forward; nine of twelve errors are
#   in both.
# - For these you need a second witness: draws that are measured, a KL by definition, and what was
#   summed and what was averaged. That is what the audit does.
#
# **Next:** you have seen the whole of a VAE, and twelve ways to get it wrong. Notebook 12 asks for
# yours.
