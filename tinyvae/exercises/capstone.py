"""Checks of the capstone: a whole VAE of the reader's own, and a loop that reaches an ELBO."""

from functools import cache
from typing import Any

import numpy as np

from tinyvae.data import load_dataset
from tinyvae.exercises import byhand, judge
from tinyvae.exercises.byhand import HandVAE
from tinyvae.exercises.judge import NotYet, Wrong

SIZES = {"n_features": 6, "latent_dim": 2, "hidden": 4}
METHODS = ("encode", "draw", "decode", "nll", "kl", "forward", "backward")
REACH = -150.0  # nats for a test picture; the notebook's solution gets about −145


@judge.check("a VAE of your own", reference=HandVAE)
def vae(kind: Any) -> str:
    """Judge a class: its parts, by the audit too, its loss, and its gradient by differences."""
    model = _made(kind)
    rng = np.random.default_rng(12)
    x = (rng.random((5, 6)) > 0.5).astype(float)
    eps = rng.standard_normal((5, 2))
    mu, logvar, y = _judge_parts(model, x, eps)
    _judge_audit(model)
    kl = judge.call(model.kl, "kl", mu, logvar)
    right = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    judge.same("kl", kl, right, sizes={"B": 5, "L": 2})
    _judge_forward(model, x, eps, mu, logvar, y)
    worst = _judge_backward(model, x, eps)
    numbers = sum(w.size for w in model.weights.values())
    return (
        f"all {numbers} slopes agree with central differences to {worst:.0e}, and the audit finds "
        "nothing wrong in what they are the slopes of"
    )


def _made(kind: Any) -> Any:
    if not isinstance(kind, type):
        raise Wrong("hand over the class itself, without (…)")
    try:
        model = kind(**SIZES, seed=1)
    except Exception as error:
        raise Wrong(
            f"{kind.__name__}(n_features=6, latent_dim=2, hidden=4, seed=1) stops with "
            f"{type(error).__name__}: {error}"
        ) from None
    if not getattr(model, "weights", None) or any(judge.is_gap(w) for w in model.weights.values()):
        raise NotYet("self.weights is still empty: a dictionary from names to arrays")
    if not any(np.any(w) for w in model.weights.values()):
        raise Wrong("all first weights are 0, so all units of a layer stay alike: draw them")
    judge.methods(model, *METHODS)
    return model


def _judge_parts(model: Any, x: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, ...]:
    shapes = {"mu": (5, 2), "logvar": (5, 2)}
    mu, logvar = judge.call(model.encode, "mu, logvar", x, shapes=shapes)
    z = judge.call(model.draw, "z", mu, logvar, eps, shapes={"z": (5, 2)})
    if not np.allclose(judge.call(model.draw, "z", mu, logvar, 0 * eps), mu):
        raise Wrong("with eps = 0, draw must give mu: eps is the only noise, and nothing is added")
    y = judge.call(model.decode, "y", z, shapes={"y": (5, 6)})
    nll = judge.call(model.nll, "nll", x, y, shapes={"nll": (5,)})
    right = (np.logaddexp(0, y) - x * y).sum(axis=1)
    if np.allclose(nll * 6, right):
        raise Wrong("nll is a mean over the pixels: it makes beta D times too large (notebook 8)")
    judge.same("nll", nll, right, sizes={"D": 6})
    large = np.full((1, 6), 1000.0)
    if not np.isfinite(judge.call(model.nll, "nll", np.zeros((1, 6)), large)).all():
        raise Wrong("nll is not finite at logits of 1000: log(1 + e^y) as in exercise 3.2")
    judge.call(model.kl, "kl", mu, logvar, shapes={"kl": (5,)})
    return mu, logvar, y


def _judge_audit(model: Any) -> None:
    """Let the audit judge what a gradient check cannot see."""
    from tinyvae.audit import audit

    rng = np.random.default_rng(3)
    report = audit(
        sample=lambda mu, logvar: model.draw(mu, logvar, rng.standard_normal(mu.shape)),
        kl=lambda mu, logvar: model.kl(mu, logvar).mean(),
    )
    if report.errors:
        error = report.errors[0]
        raise Wrong(f"the audit finds {error.name}: {error.message}")


def _judge_forward(model: Any, x, eps, mu, logvar, y) -> None:
    shapes = {"loss": (), "reconstruction": (), "kl": ()}
    gives = "loss, reconstruction, kl"
    loss, reconstruction, kl = judge.call(model.forward, gives, x, eps, shapes=shapes)
    right = model.nll(x, y).mean(), model.kl(mu, logvar).mean()
    judge.same("reconstruction", reconstruction, right[0], sizes={"B": 5, "D": 6})
    judge.same("kl", kl, right[1], sizes={"B": 5, "L": 2})
    judge.same("loss", loss, sum(right))


def _judge_backward(model: Any, x: np.ndarray, eps: np.ndarray) -> float:
    """Return the largest relative error of the slopes; raise Wrong where one is too large."""
    model.forward(x, eps)
    try:
        model.backward()
    except Exception as error:
        raise Wrong(f"backward stops with {type(error).__name__}: {error}") from None
    slopes = getattr(model, "slopes", {})
    missing = [name for name in model.weights if judge.is_gap(slopes.get(name))]
    if len(missing) == len(model.weights):
        raise NotYet(
            "self.slopes is still empty: backward fills it, under the names of the weights"
        )
    if missing:
        raise Wrong(f"backward leaves no self.slopes[{missing[0]!r}]")
    for name, w in model.weights.items():
        judge.same_shape(f"slopes[{name!r}]", np.asarray(slopes[name]), np.shape(w))
    pairs = byhand.directional_slopes(model, x, eps)
    errors = {name: float(np.abs(p[:, 0] / p[:, 1] - 1).max()) for name, p in pairs.items()}
    wrong = [name for name, error in errors.items() if not error < judge.TOLERANCE]
    if wrong:
        _name_factor(wrong, np.concatenate([pairs[name] for name in wrong]), len(x))
        fine = [name for name in errors if name not in wrong]
        there = f"; right are {', '.join(fine)}" if fine else ""
        raise Wrong(
            f"the slopes of {', '.join(wrong)} are not those of the loss{there}. Backward goes "
            "from the output to the input: look at the step before the first wrong one"
        )
    return max(errors.values())


def _name_factor(wrong: list[str], pairs: np.ndarray, B: int) -> None:
    """Raise Wrong where the slopes (n, 2) are all wrong by one known factor."""
    factor = float(np.median(pairs[:, 0] / pairs[:, 1]))
    if not np.allclose(pairs[:, 0], factor * pairs[:, 1], rtol=1e-4):
        return
    known = {
        float(B): f"the mean over the B = {B} examples has a 1/B, which is missing",
        1.0 / B: f"divided by B = {B} once too often",
        -1.0: "the sign is flipped",
        2.0: "does backward add to the slopes of the call before, or is a ½ missing",
        0.5: "a ½ too many",
    }
    for value, words in known.items():
        if np.isclose(factor, value, rtol=1e-4):
            names = ", ".join(wrong)
            raise Wrong(f"the slopes of {names} are {factor:.3g} times the right ones: {words}")


@cache
def _pictures() -> tuple[np.ndarray, np.ndarray]:
    digits = load_dataset("digits")
    return tuple((x > 0.5).astype(float) for x in (digits.x_train[:1500], digits.x_test))


def train(vae: Any, x: Any, epochs: int, lr: float = 0.005, seed: int = 0) -> list[float]:
    """Train a VAE by hand, in place; return the mean loss of each epoch."""
    return [float(sum(terms)) for terms in byhand.train(vae, x, epochs, lr=lr, seed=seed)]


@judge.check("a training that reaches an ELBO", reference=train)
def training(train: Any) -> str:
    """Judge `train(vae, x, epochs, lr, seed)`, which trains a VAE in place."""
    x, x_test = _pictures()
    model = HandVAE(784, 8, 64, seed=0)
    before = {name: w.copy() for name, w in model.weights.items()}
    try:
        with np.errstate(all="ignore"):
            result = train(model, x, 10, 0.005, 0)
    except Exception as error:
        raise Wrong(f"{getattr(train, '__name__', 'train')} stops with "
                    f"{type(error).__name__}: {error}") from None  # fmt: skip
    if all(np.array_equal(before[name], w) for name, w in model.weights.items()):
        if judge.is_gap(result):
            raise NotYet("the weights do not move yet")
        raise Wrong(
            "the weights of vae do not move: write into them, w[...] = …, or vae.weights[…] ="
        )
    rng = np.random.default_rng(5)
    with np.errstate(all="ignore"):
        draws = [model.forward(x_test, rng.standard_normal((len(x_test), 8)))[0] for _ in range(5)]
    elbo = -float(np.mean(draws))
    if not elbo > -1e5:
        raise Wrong("the loss explodes in the training: is the step too large, or its sign +?")
    if elbo < REACH:
        raise Wrong(
            f"after 10 epochs the ELBO of test pictures is {elbo:.1f} nats; {REACH:.0f} can be "
            "reached with Adam: is each batch used, shuffled, and t counted over all steps?"
        )
    return f"after 10 epochs the ELBO of 500 test pictures is {elbo:.1f} nats"
