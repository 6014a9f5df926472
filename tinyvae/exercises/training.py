"""Checks of notebook 6: a step of training, what each term of the loss does to the latent plane,
the Bernoulli loss on logits, and a layer of one's own that learns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.backend import softplus
from tinyvae.data import load_dataset
from tinyvae.exercises import core
from tinyvae.exercises.core import NotYet, Wrong
from tinyvae.layers import Dense, Sequential
from tinyvae.model import VAE
from tinyvae.optim import Adam


class _WatchedVAE(VAE):
    """A VAE that notes which of its passes are called, and what the forward pass returns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.calls, self.returned = [], []
        super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("forward")
        self.returned.append(super().forward(*args, **kwargs))
        return self.returned[-1]

    def backward(self) -> None:
        self.calls.append("backward")
        super().backward()


class _WatchedAdam(Adam):
    """Adam that notes its steps among the calls of a watched VAE."""

    def __init__(self, model: _WatchedVAE, lr: float) -> None:
        super().__init__(model.parameters, lr)
        self.calls = model.calls

    def step(self) -> None:
        self.calls.append("step")
        super().step()


@core.check("a step of training")
def train_step(step: Any) -> str:
    """Judge `step(model, optimizer, x)` → terms."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 8))  # (40, 8), in two dimensions
    model = _WatchedVAE(8, 2, (16,), sigma=0.5)
    optimizer = _WatchedAdam(model, lr=0.01)
    losses = []
    for turn in range(60):
        model.calls.clear()
        model.returned.clear()
        terms = core.call(step, "terms", model, optimizer, x)
        if turn == 0:
            _judge_calls(model.calls)
            _judge_terms(terms, model.returned)
        losses.append(float(terms[0]))
    return f"60 steps bring the loss of a small VAE from {losses[0]:.0f} down to {losses[-1]:.0f}"


def _judge_calls(calls: list[str]) -> None:
    if "forward" not in calls:
        raise Wrong("model.forward is never called")
    if "backward" not in calls:
        raise Wrong("model.backward is missing: the gradient is not that of this batch")
    if "step" not in calls:
        raise Wrong("optimizer.step is never called: the weights do not move")
    if calls.count("step") > 1 or calls.count("backward") > 1:
        twice = max(("step", "backward"), key=calls.count)
        raise Wrong(f"{twice} is called {calls.count(twice)} times: each once is enough")
    if calls.index("step") < calls.index("backward"):
        raise Wrong("step comes before backward: it uses the gradient of the batch before")


def _judge_terms(terms: np.ndarray, returned: list) -> None:
    if terms.shape != (3,):
        raise Wrong("return all that forward returns: the loss and its two terms")
    if not any(np.allclose(terms, one) for one in returned):
        raise Wrong("what is returned is not what forward gave")


# What each loss makes of the latent plane, and why the other two answers are wrong.
PLANES = {
    "reconstruction alone": (
        "b",
        {
            "a": "the decoder needs codes that differ, or it can draw only one picture",
            "c": "nothing holds the codes near 0 there: the KL was the only term that did",
        },
    ),
    "KL alone": (
        "a",
        {
            "b": "a code far from 0 costs ½ mu², and nobody gains from it there",
            "c": "to tell digits apart helps the reconstruction only, which does not count there",
        },
    ),
    "both": (
        "c",
        {
            "a": "the reconstruction loses far more than the few nats that this would save",
            "b": "a code ten units from 0 costs ½ · 10² = 50 nats, more than it can gain",
        },
    ),
}


@core.check("the three latent planes")
def planes(reconstruction_alone: Any, kl_alone: Any, both: Any) -> str:
    """Judge three predictions, each "a", "b" or "c"."""
    given = zip(PLANES.items(), (reconstruction_alone, kl_alone, both), strict=True)
    mistakes = []
    for (name, (right, why)), answer in given:
        letter = str(answer).strip().lower()
        if letter not in ("a", "b", "c"):
            raise Wrong(f'{name}: answer "a", "b" or "c", not {answer!r}')
        if letter != right:
            mistakes.append(f"{name} is not {letter}: {why[letter]}")
    if mistakes:
        raise Wrong("\n  and ".join(mistakes))
    return "now run it, and look whether it comes true"


@core.check("the Bernoulli loss on logits")
def bernoulli_nll(loss: Any) -> str:
    """Judge `loss(y, x)` → nll (B,), for logits y and pixels x (B, D)."""
    B, D = 5, 4
    y, draws = core.draw((B, D), (B, D))
    y, x = 2 * y, (draws > 0).astype(float)
    given = core.call(loss, "nll", y, x, shapes={"nll": (B,)})
    right = (softplus(y) - x * y).sum(axis=1)
    for words, value in _wrong_losses(y, x).items():
        if np.allclose(given, value, rtol=1e-6):
            raise Wrong(words)
    core.same("nll", given, right, sizes={"D": D, "B": B})
    for logit, pixel in ((800.0, 0.0), (-800.0, 1.0), (800.0, 1.0), (-800.0, 0.0), (40.0, 0.0)):
        _judge_extreme(loss, logit, pixel)
    return "right for all logits tried, from −800 to 800"


def _wrong_losses(y: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return what known mistakes give, (B,), under the words for them."""
    flipped = "the white and the black pixels are swapped: log p belongs to x = 1"
    with np.errstate(all="ignore"):
        as_p = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=1)
    return {
        "the part x y is missing": softplus(y).sum(axis=1),
        "x y must be subtracted, not added": (softplus(y) + x * y).sum(axis=1),
        flipped: (softplus(y) - (1 - x) * y).sum(axis=1),
        "the pixels with x = 0 count too: (1 − x) log(1 − p) is missing": (x * softplus(-y)).sum(1),
        "the pixels with x = 1 count too: x log p is missing": ((1 - x) * softplus(y)).sum(axis=1),
        "y are logits, not probabilities: p = sigmoid(y)": as_p,
        "y and x are swapped": (softplus(x) - x * y).sum(axis=1),
        "this is the squared error": ((1 / (1 + np.exp(-y)) - x) ** 2).sum(axis=1),
        "the part log(1 + e^(−|y|)) of softplus is missing": (np.maximum(y, 0) - x * y).sum(axis=1),
        "in softplus the exponent has the wrong sign: e^(−|y|), not e^|y|": (
            np.maximum(y, 0) + softplus(np.abs(y)) - x * y
        ).sum(axis=1),
        "softplus is log(1 + e^(−|y|)) + max(y, 0): the maximum is missing": (
            softplus(-np.abs(y)) - x * y
        ).sum(axis=1),
    }


def _judge_extreme(loss: Any, logit: float, pixel: float) -> None:
    """Judge the loss at one large logit, where e^y overflows or 1 − p is rounded to 0."""
    given = core.call(loss, "nll", np.full((1, 1), logit), np.full((1, 1), pixel)).item()
    right = max(logit, 0.0) - pixel * logit
    if abs(given - right) <= 1e-6 * max(right, 1e-3):
        return
    where = f"for y = {logit:g} and x = {pixel:g}".replace("-", "−")
    if not abs(given) < 1e100:
        raise Wrong(
            f"small logits are right, but {where} it is {given:g}, not {right:g}: on the way e^y "
            "grows beyond all floats, or p is rounded to 0 or 1"
        )
    raise Wrong(
        f"small logits are right, but {where} it is {given:.4g}, not {right:g}: is p clipped? That "
        "hides how wrong the model is, and takes its gradient away"
    )


def _prelu(x: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, a * x)


@core.check("a layer of your own that learns")
def prelu_layer(make: Any) -> str:
    """Judge a class with `make(n)`, `shapes`, `forward(x)` and `backward(dy)`."""
    layer = _made(make, 4)
    layer.a, layer.da = np.array([0.25, -0.5, 0.1, 1.5]), np.zeros(4)
    (x,) = core.draw((5, 4))
    y = core.call(layer.forward, "y", x, shapes={"y": x.shape})
    if np.allclose(y, np.maximum(x, layer.a * x)):
        raise Wrong("y = max(x, a x) is the same only as long as 0 < a < 1; a is free to change")
    if np.allclose(y, _prelu(x, 0.25)):
        raise Wrong("it multiplies by 0.25 whatever self.a is")
    core.same("y", y, _prelu(x, layer.a), relatives={"x": x})
    _judge_slopes(layer, x)
    alone = core.by_differences(gradcheck.check(layer, x))

    layers = {
        "encoder": Sequential(Dense(6, 4), _made(make, 4), Dense(4, 4)),
        "decoder": Sequential(Dense(2, 4), _made(make, 4), Dense(4, 6)),
    }
    model = VAE(**layers, sigma=1.0, dtype="float64")
    x, eps = core.draw((5, 6), (5, 2))
    core.by_differences(gradcheck.check(model, x, eps=eps))
    return f"each of dx and da {alone}. {_trained_with(make)}"


def _judge_slopes(layer: Any, x: np.ndarray) -> None:
    """Name the mistake in da, if it is a known one."""
    (dy,) = core.draw(x.shape, seed=3)
    core.call(layer.backward, "dx", dy, shapes={"dx": x.shape})
    wrong = {
        "da: where x > 0 y does not depend on a, so these entries add nothing": dy * x,
        "da: the factor x is missing": np.where(x > 0, 0, dy),
        "da: the factor dy is missing": np.where(x > 0, 0, x),
        "da: it counts where x > 0, but a acts where x ≤ 0": np.where(x > 0, dy * x, 0),
    }
    for words, value in wrong.items():
        if np.allclose(layer.da, value.sum(axis=0)):
            raise Wrong(words)


def _made(make: Any, n: int) -> Any:
    """Return a layer, or raise in words where it can't be made or says not what it holds."""
    if not isinstance(make, type):
        raise Wrong("hand over the class itself, without (…)")
    try:
        layer = make(n)
    except Exception as error:
        raise Wrong(f"{make.__name__}({n}) stops with {type(error).__name__}: {error}") from None
    shapes = getattr(layer, "shapes", None)
    if shapes is None:
        raise NotYet("self.shapes is missing: it tells the model which weights the layer has")
    if shapes != {"a": (n,)}:
        raise Wrong(f'self.shapes is {shapes}, and should be {{"a": ({n},)}}')
    return layer


def _trained_with(make: Any) -> str:
    """Train a VAE with the layer inside for some steps; return what became of it, in words."""
    x = load_dataset("digits").x_train[:1000, ::4]  # (1000, 196)
    encoder = Sequential(Dense(196, 32, "he"), _made(make, 32), Dense(32, 4))
    decoder = Sequential(Dense(2, 32, "he"), _made(make, 32), Dense(32, 196))
    model = VAE(encoder=encoder, decoder=decoder, sigma=0.5**0.5)
    optimizer, first = Adam(model.parameters, lr=0.01), model.forward(x[:100]).loss
    for start in range(0, 3000, 100):
        rows = slice(start % 1000, start % 1000 + 100)
        last = model.forward(x[rows]).loss
        model.backward()
        optimizer.step()
    a = model.parameters["encoder.1.a"]
    return (
        f"In a VAE, 30 steps bring the loss from {first:.0f} to {last:.0f}, and the slopes a from "
        f"{0.25:g} to between {a.min():.2f} and {a.max():.2f}".replace("-", "−")
    )
