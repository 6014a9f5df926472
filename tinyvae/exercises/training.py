"""Checks of notebook 6: a step of training, what each term of the loss does to the latent plane,
the gradient of the Bernoulli loss, and a layer of one's own that learns.
"""

from typing import Any

import numpy as np

from tinyvae import gradcheck
from tinyvae.core.arrays import sigmoid, softplus
from tinyvae.core.layers import Dense, Sequential
from tinyvae.core.optim import Adam
from tinyvae.data import load_dataset
from tinyvae.exercises import judge
from tinyvae.exercises.judge import NotYet, Wrong
from tinyvae.models import VAE


class _WatchedVAE(VAE):
    """A VAE that notes which of its passes are called, and what goes in and comes out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.watch()
        super().__init__(*args, **kwargs)

    def watch(self) -> None:
        """Begin anew: the order of the calls, and what each forward pass got and returned."""
        self.calls, self.batches, self.returned = [], [], []
        self.slopes = self.slopes_at_step = None

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("forward")
        self.batches.append(np.copy(x))
        self.returned.append(super().forward(x, *args, **kwargs))
        return self.returned[-1]

    def backward(self) -> None:
        self.calls.append("backward")
        super().backward()
        self.slopes = self.parameters.grad.copy()


class _WatchedAdam(Adam):
    """Adam that notes its steps among the calls of a watched VAE."""

    def __init__(self, model: _WatchedVAE, lr: float) -> None:
        super().__init__(model.parameters, lr)
        self.model = model

    def step(self) -> None:
        self.model.calls.append("step")
        self.model.slopes_at_step = self.model.parameters.grad.copy()
        super().step()


def _train_step(model: Any, optimizer: Any, x: Any) -> Any:
    terms = model.forward(x)
    model.backward()
    optimizer.step()
    return terms


@judge.check("a step of training", reference=_train_step)
def train_step(step: Any) -> str:
    """Judge `step(model, optimizer, x)` → terms."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 8))  # (40, 8), in two dimensions
    model = _WatchedVAE(8, 2, hidden=(16,), sigma=0.5, backend="numpy")
    optimizer = _WatchedAdam(model, lr=0.01)
    losses = []
    for turn in range(60):
        model.watch()
        terms = judge.call(step, "terms", model, optimizer, x)
        if turn == 0:
            _judge_calls(model.calls)
            _judge_batch(model, x)
            _judge_terms(terms, model)
        losses.append(float(terms[0]))
    first, last = losses[0], losses[-1]
    if not last < 0.7 * first:
        raise Wrong(
            f"60 steps bring the loss of a small VAE from {first:.3g} to {last:.3g}; it must fall"
        )
    return f"60 steps bring the loss of a small VAE from {first:.0f} down to {last:.0f}"


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


def _last_forward(calls: list[str]) -> int:
    """Return which forward pass the gradient belongs to: the last before backward."""
    return calls[: calls.index("backward")].count("forward") - 1


def _judge_batch(model: _WatchedVAE, x: np.ndarray) -> None:
    batch = model.batches[_last_forward(model.calls)]
    if batch.shape != x.shape:
        raise Wrong(
            f"the last forward before backward gets {len(batch)} of the {len(x)} examples, and "
            "the gradient is theirs alone: give it the whole batch x"
        )
    if not np.allclose(batch, x):
        raise Wrong("the last forward before backward gets other numbers than x")
    if not np.array_equal(model.slopes, model.slopes_at_step):
        raise Wrong(
            "model.parameters.grad changes between backward and step: backward has written what "
            "step needs, so leave it as it is"
        )


def _judge_terms(terms: np.ndarray, model: _WatchedVAE) -> None:
    if terms.shape != (3,):
        raise Wrong("return all that forward returns: the loss and its two terms")
    if np.allclose(terms, model.returned[_last_forward(model.calls)]):
        return
    if any(np.allclose(terms, one) for one in model.returned):
        raise Wrong(
            "these are the terms of another forward; return those of the one before backward, "
            "which the gradient belongs to"
        )
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
            "b": "a code far from 0 costs ½ mu², and nothing is gained by it there",
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


@judge.check("the three latent planes")
def planes(reconstruction_alone: Any, kl_alone: Any, both: Any) -> str:
    """Judge three predictions, each "a", "b" or "c"."""
    given = zip(PLANES.items(), (reconstruction_alone, kl_alone, both), strict=True)
    mistakes = []
    for (name, (right, why)), answer in given:
        letter = judge.letter(answer)
        if letter not in ("a", "b", "c"):
            raise Wrong(f'{name}: answer "a", "b" or "c", not {answer!r}')
        if letter != right:
            mistakes.append(f"{name} is not {letter}: {why[letter]}")
    if mistakes:
        raise Wrong("\n  and ".join(mistakes))
    return "now run it, and look whether it comes true"


def _bernoulli(y: Any, x: Any) -> float:
    return float((softplus(y) - x * y).sum() / len(y))


def _bernoulli_backward(y: Any, x: Any) -> Any:
    return (sigmoid(y) - x) / len(y)


@judge.check("the backward pass of the Bernoulli loss", reference=_bernoulli_backward)
def bernoulli_backward(backward: Any) -> str:
    """Judge `backward(y, x)` → dy of the batch's mean loss, for logits y and pixels x (B, D)."""
    for B, D in ((5, 4), (2, 3)):
        y, draws = judge.draw((B, D), (B, D))
        y, x = 2 * y, (draws > 0).astype(float)
        dy = judge.call(backward, "dy", y, x, shapes={"dy": y.shape})
        judge.named_mistake(dy, _wrong_slopes(y, x))
        judge.named_mistake(B * dy, _wrong_slopes(y, x))
        judge.same("dy", dy, (sigmoid(y) - x) / B, sizes={"B": B, "D": D})
    for logit in (800.0, -800.0):
        _judge_extreme(backward, logit)

    def gradient(y: Any) -> Any:
        return judge.call(backward, "dy", y, x)

    report = gradcheck.check(lambda y: _bernoulli(y, x), gradient, y, tolerance=judge.TOLERANCE)
    return f"dy {judge.by_differences(report)}, and it is right for y = 800 and −800"


def _wrong_slopes(y: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return what known mistakes give for B · dy under the words for them."""
    p = sigmoid(y)
    return {
        "dy lacks −x: x y has the slope x along y": p,
        "the exponent in p has the wrong sign: p = 1/(1 + e^(−y))": 1 - p - x,
        "y are logits: the difference is p − x with p = sigmoid(y), not y − x": y - x,
        "this is the slope along p; along y it is p − x": (p - x) / (p * (1 - p)),
        "p − x is the slope along y already; it needs no p (1 − p)": (p - x) * p * (1 - p),
        "that belongs to a squared error; here it is p − x": 2 * (p - x) * p * (1 - p),
        "x y must be subtracted in the loss, so dy has −x, not + x": p + x,
        "this is log(1 + e^y) − x; its slope is wanted": softplus(y) - x,
    }


def _judge_extreme(backward: Any, logit: float) -> None:
    """Judge dy at a large logit, where e^y overflows, or is rounded to 0."""
    y, x = np.full((1, 2), logit), np.array([[0.0, 1.0]])
    dy, right = judge.call(backward, "dy", y, x), (sigmoid(y) - x)
    if np.allclose(dy, right, atol=1e-6):
        return
    where = f"small logits are right, but for y = {logit:g}".replace("-", "−")
    if not np.isfinite(dy).all():
        raise Wrong(f"{where} dy is {dy[0, 0]:g}: e^800 is inf, and inf/inf is no number")
    raise Wrong(
        f"{where} and x = 0, 1 dy is {dy[0, 0]:g}, {dy[0, 1]:g}, not {right[0, 0]:g}, "
        f"{right[0, 1]:g}"
    )


def _prelu(x: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, a * x)


@judge.check("a layer of your own that learns")
def prelu_layer(make: Any) -> str:
    """Judge a class with `make(n)`, `shapes`, `forward(x)` and `backward(dy)`."""
    layer = _made(make, 4)
    layer.a, layer.da = np.array([0.25, -0.5, 0.1, 1.5]), np.zeros(4)
    (x,) = judge.draw((5, 4))
    y = judge.call(layer.forward, "y", x, shapes={"y": x.shape})
    if np.allclose(y, np.maximum(x, layer.a * x)):
        raise Wrong("y = max(x, a x) is the same only as long as 0 < a < 1; a is free to change")
    if np.allclose(y, _prelu(x, 0.25)):
        raise Wrong("it multiplies by 0.25 whatever self.a is")
    judge.same("y", y, _prelu(x, layer.a), relatives={"x": x})
    _judge_slopes(layer, x)
    alone = judge.by_differences(gradcheck.check(layer, x, tolerance=judge.TOLERANCE))

    layers = {
        "encoder": Sequential(Dense(6, 4), _made(make, 4), Dense(4, 4)),
        "decoder": Sequential(Dense(2, 4), _made(make, 4), Dense(4, 6)),
    }
    model = VAE(**layers, sigma=1.0, dtype="float64", backend="numpy")
    x, eps = judge.draw((5, 6), (5, 2))
    judge.by_differences(gradcheck.check(model, x, eps=eps, tolerance=judge.TOLERANCE))
    return f"each of dx and da {alone}. {_trained_with(make)}"


def _judge_slopes(layer: Any, x: np.ndarray) -> None:
    """Name the mistake in da, if it is a known one."""
    (dy,) = judge.draw(x.shape, seed=3)
    judge.call(layer.backward, "dx", dy, shapes={"dx": x.shape})
    wrong = {
        "da: where x > 0 y does not depend on a, so these entries add nothing": dy * x,
        "da: the factor x is missing": np.where(x > 0, 0, dy),
        "da: the factor dy is missing": np.where(x > 0, 0, x),
        "da: it counts where x > 0, but a acts where x ≤ 0": np.where(x > 0, dy * x, 0),
    }
    judge.named_mistake(layer.da, {words: value.sum(axis=0) for words, value in wrong.items()})


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
    model = VAE(encoder=encoder, decoder=decoder, sigma=0.5**0.5, backend="numpy")
    optimizer, first = Adam(model.parameters, lr=0.01), model.forward(x[:100]).loss
    a = model.parameters["encoder.1.a"]
    began = _span(a)
    for start in range(0, 3000, 100):
        rows = slice(start % 1000, start % 1000 + 100)
        last = model.forward(x[rows]).loss
        model.backward()
        optimizer.step()
    return (
        f"In a VAE, 30 steps bring the loss from {first:.0f} to {last:.0f}, and the slopes a from "
        f"{began} to {_span(a)}"
    )


def _span(a: np.ndarray) -> str:
    """Return "0.25", or "between 0.20 and 0.31" where the values differ."""
    low, high = (f"{value:.2f}".replace("-", "−") for value in (a.min(), a.max()))
    return low if low == high else f"between {low} and {high}"
