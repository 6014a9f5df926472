"""Answers to the exercises of notebook 11, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: E402, F401, F811, F821

# %% wrong 11.1: C: forward and backward share the error there
letters = "BCFI"

# %% wrong 11.1: 2 are missing
letters = "B"

# %% wrong 11.1: one is missing
letters = "B, F"

# %% wrong 11.1: name letters from A to L
letters = "none"[:0] + "xyz"

# %% right 11.1
letters = "b, f and i"[:4] + "FI"

# %% right 11.1
letters = ["I", "F", "B"]

# %% wrong 11.2: is none of the names in the list
diagnosis = {"A": "a broken decoder"}

# %% wrong 11.2: 0 of 12 are right; D is not it: a KL is never negative
diagnosis = {"D": "no noise"}

# %% wrong 11.2: give a dictionary
diagnosis = "no noise"

# %% open 11.2: all 1 are right so far
diagnosis = {"E": "no noise", "A": ...}

# %% wrong 11.3: hand over a class made from HandVAE
MyPatient = HandVAE(4, 2, 3)


# %% wrong 11.3: the gradient check sees it
class MyPatient(HandVAE):
    def kl(self, mu, logvar):
        return (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


# %% wrong 11.3: the audit finds nothing wrong either
class MyPatient(HandVAE):
    def kl(self, mu, logvar):
        return -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)


# %% open 11.3: change draw, kl or nll
class MyPatient(HandVAE):
    pass


# %% right 11.3
from tinyvae.exercises.byhand import NoNoise as MyPatient

# %% wrong 11.2: there is no patient 'Z'
diagnosis = {"Z": "no noise"}


# %% right 11.1
letters = "f, i and b"


# %% right 11.1
letters = ["B", "F", "I"]


# %% wrong 11.1: E: forward and backward share the error there, so they agree
letters = "BFIE"


# %% wrong 11.1: C: forward and backward share the error there, so they agree
letters = {"C"}


# %% wrong 11.1: name letters from A to L
letters = 5

# %% right 11.1
letters = ("B", "f", "I")

# %% right 11.2
diagnosis = {
    "a": "Mean over pixels",
    "b": "other noise in backward ",
    "c": "sigma is exp(logvar)",
    "d": "sign of the kl",
    "e": "no noise",
    "f": "KL not in the gradient",
    "g": "uniform noise",
    "h": "KL without its half",
    "i": "half missing in dlogvar",
    "j": "KL divided by the batch size twice",
    "k": "one noise for the whole batch",
    "l": "KL takes logvar for log sigma",
}
