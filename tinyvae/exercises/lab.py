"""Checks and pictures of the lab: twelve VAEs with one planted error each, their symptoms, and who
finds them."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyvae.exercises import byhand, judge
from tinyvae.exercises.byhand import PATIENTS, HandVAE
from tinyvae.exercises.judge import NotYet, Wrong
from tinyvae.figures.picture import ACCENT, GREY, INK, MARGIN, Picture, mark, page, panel, styled

NAMES = sorted(words for _, words in PATIENTS.values())
FAILING = {"B", "F", "I"}  # the error is in the backward pass alone

# What to look at again, where a diagnosis is wrong.
CLUES = {
    "A": "the reconstruction is below 1 nat for all pixels, and the KL is 0",
    "B": "the gradient check fails, in the encoder alone, and the codes drown in noise",
    "C": "the gradient check passes; measure the standard deviation of its draws",
    "D": "a KL is never negative",
    "E": "it reconstructs as well as the healthy one at a tenth of the KL: what does the decoder "
    "see that the KL does not count",
    "F": "the codes lie far outside the circles, as with beta = 0, though the loss counts the KL",
    "G": "the gradient check passes; look at the mean and the shape of its noise",
    "H": "it behaves as with a beta of 2, and the gradient check passes",
    "I": "the gradient check fails, in the encoder alone; its KL is larger than the healthy one's",
    "J": "the printed KL is almost 0, but the codes lie far outside the circles",
    "K": "the gradient check passes; compare the noise of two rows of one batch",
    "L": "the gradient check passes, and the draws are right; try its KL at logvar = 1",
}


def small_pictures(x: np.ndarray) -> np.ndarray:
    """Return pictures (N, 784) in half the size and in black and white, (N, 196)."""
    return (x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)) > 0.4).astype(float).reshape(-1, 196)


def train_all(x: np.ndarray, epochs: int = 12) -> dict[str, tuple[HandVAE, list]]:
    """Train a healthy VAE and all patients, L = 2, on x (N, D); return name → model, history."""
    kinds = {"healthy": HandVAE} | {letter: kind for letter, (kind, _) in PATIENTS.items()}
    trained = {}
    for name, kind in kinds.items():
        model = kind(x.shape[1], 2, 64, seed=0)
        trained[name] = model, byhand.train(model, x, epochs)
    return trained


@styled
def charts(
    trained: Mapping[str, tuple[HandVAE, list]], x: np.ndarray, labels: np.ndarray, columns: int = 2
) -> Picture:
    """Draw of each model both terms by epoch, a draw z of each image, and draws from the prior."""
    rng = np.random.default_rng(4)
    eps, prior = rng.standard_normal((len(x), 2)), rng.standard_normal((16, 2))
    side, width, height = 1.6, 5.0, 2.15
    rows = -(-len(trained) // columns)
    fig = page(
        2 * MARGIN + columns * width, 0.95 + rows * height, "Symptoms",
        "Both terms in nats by epoch; a draw z of each test image, with the prior's circles; and "
        "draws from the prior, decoded.",
    )  # fmt: skip
    for i, (name, (model, history)) in enumerate(trained.items()):
        left, top = MARGIN + (i % columns) * width, 1.0 + (i // columns) * height
        W, H = fig.get_size_inches()
        fig.text(left / W, 1 - top / H, name, size=11, weight="bold", va="top")
        for j, (words, color) in enumerate((("reconstruction", INK), ("KL", ACCENT))):
            ax = panel(fig, left, top + 0.45 + 0.8 * j, 0.95, 0.4)
            values = [terms[j] for terms in history]
            ax.plot(values, color=color, lw=1.4)
            ax.set(xticks=[], yticks=[])
            last = f"{values[-1]:,.0f}" if abs(values[-1]) > 999 else f"{values[-1]:.3g}"
            ax.set_title(f"{words} {last}".replace("-", "−"), size=7.5, color=color, pad=3)
        mu, logvar = model.encode(x)
        z = model.draw(mu, logvar, eps)
        ax = panel(fig, left + 1.3, top + 0.1, side, side)
        for c in np.unique(labels):
            marker, color = mark(int(c))
            ax.scatter(*z[labels == c].T, s=4, marker=marker, color=color, lw=0)
        angles = np.linspace(0, 2 * np.pi, 100)
        for r in (1, 2, 3):
            ax.plot(r * np.cos(angles), r * np.sin(angles), color=GREY, lw=0.6, ls=":")
        outside = int((np.abs(z) > 5).any(axis=1).sum())
        ax.set(xlim=(-5, 5), ylim=(-5, 5), xticks=[], yticks=[])
        ax.set_xlabel(f"{outside} outside" if outside else "", size=7, labelpad=1)
        images = 0.5 + 0.5 * np.tanh(0.5 * model.decode(prior))  # the sigmoid, without overflow
        n = round(x.shape[1] ** 0.5)
        sheet = images.reshape(4, 4, n, n).swapaxes(1, 2).reshape(4 * n, 4 * n)
        ax = panel(fig, left + 1.3 + side + 0.12, top + 0.1, side, side)
        ax.imshow(1 - sheet, cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return fig


def gradient_check(model: HandVAE) -> float:
    """Return the largest relative error of a small new VAE of the same kind."""
    rng = np.random.default_rng(2)
    x, eps = (rng.random((7, 12)) > 0.5).astype(float), rng.standard_normal((7, 2))
    return max(byhand.relative_errors(type(model)(12, 2, 5, seed=1), x, eps).values())


def audit(model: HandVAE) -> Any:
    """Return the audit's report on a VAE: its draw, its two terms, and its gradient."""
    from tinyvae.audit import audit

    small = type(model)(12, 2, 5, seed=1)
    state = {"rng": np.random.default_rng(0)}

    def sample(mu: Any, logvar: Any) -> Any:
        small.eps = state["rng"].standard_normal(mu.shape)
        return small.draw(mu, logvar, small.eps)

    def seed(number: int) -> None:
        state["rng"] = np.random.default_rng(number)

    def loss(x: Any) -> float:
        return small.forward(x, state["rng"].standard_normal((len(x), 2)))[0]

    def gradient(x: Any) -> dict:
        loss(x)
        small.backward()
        return small.slopes

    terms = audit(
        sample=sample,
        kl=lambda mu, logvar: small.kl(mu, logvar).mean(),
        reconstruction=lambda x, logits: small.nll(x, logits).mean(),
    )
    if terms.errors:
        return terms
    whole = {"loss": loss, "gradient": gradient, "parameters": small.weights, "seed": seed}
    return audit(**whole, pixels=12)


@judge.check("who fails the gradient check")
def failing(answer: Any) -> str:
    """Judge the letters of the patients that a gradient check finds."""
    text = answer if isinstance(answer, str) or not np.iterable(answer) else " ".join(answer)
    text = re.sub(r"\b(and|letters?|patients?)\b", "", str(text), flags=re.I)
    letters = set(text.upper()) & set(PATIENTS)
    if not letters:
        raise Wrong('name letters from A to L, such as "AB"')
    missed, wrong = FAILING - letters, letters - FAILING
    if not missed and not wrong:
        return "the error of these three is in the backward pass alone; of all others, in both"
    words = []
    if wrong:
        words.append(
            f"{', '.join(sorted(wrong))}: forward and backward share the error there, so they agree"
        )
    if missed:
        number = "one is" if len(missed) == 1 else f"{len(missed)} are"
        words.append(f"{number} missing: where does backward differ from the slope of forward")
    raise Wrong("; ".join(words))


@judge.check("twelve diagnoses")
def diagnoses(answer: Any) -> str:
    """Judge a dictionary from letters to names of errors."""
    if not isinstance(answer, Mapping):
        raise Wrong('give a dictionary, {"A": "…", …}')
    plain = {name.casefold(): name for name in NAMES}
    given = {
        str(k).strip().upper(): plain.get(str(v).strip().casefold(), v)
        for k, v in answer.items()
        if not judge.is_gap(v)
    }
    if not given:
        raise NotYet("write the name of an error beside each letter")
    if unknown := sorted(set(given) - set(PATIENTS)):
        raise Wrong(f"there is no patient {unknown[0]!r}; they are A to L")
    if unknown := [v for v in given.values() if v not in NAMES]:
        raise Wrong(f"{unknown[0]!r} is none of the names in the list")
    wrong = [letter for letter, words in given.items() if PATIENTS[letter][1] != words]
    if wrong:
        clue = f"{wrong[0]} is not it: {CLUES[wrong[0]]}"
        raise Wrong(f"{len(given) - len(wrong)} of {len(PATIENTS)} are right; {clue}")
    if len(given) < len(PATIENTS):
        open_ = ", ".join(sorted(set(PATIENTS) - set(given)))
        raise NotYet(f"all {len(given)} are right so far; {open_} are open")
    return "all twelve"


@judge.check("an error of your own making")
def planted(kind: Any) -> str:
    """Judge a subclass of `HandVAE` whose gradient check passes and which the audit refuses."""
    if not (isinstance(kind, type) and issubclass(kind, HandVAE)):
        raise Wrong("hand over a class made from HandVAE")
    if kind is HandVAE or not set(vars(kind)) & {"draw", "kl", "nll", "through_draw", "through_kl"}:
        raise NotYet("change draw, kl or nll, and what belongs to it in the way back")
    try:
        error = gradient_check(kind(12, 2, 5))
    except Exception as problem:
        raise Wrong(f"it stops with {type(problem).__name__}: {problem}") from None
    if not error < 1e-5:
        raise Wrong(
            f"the gradient check sees it, relative error {error:.0e}: backward must be the slope "
            "of the wrong forward"
        )
    report = audit(kind(12, 2, 5))
    if not report.errors:
        raise Wrong("the audit finds nothing wrong either: is it an error, or another right form?")
    return f"no gradient check sees it, and the audit names it: {report.errors[0].name}"
