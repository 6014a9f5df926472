"""Judge one training step of a whole model: its wiring, its heads, its gradients and its data."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyvae.audit.findings import Finding, error, note, unjudged, unseen, value
from tinyvae.audit.follow import Pieces, Step
from tinyvae.audit.forms import Reconstruction
from tinyvae.audit.frameworks import to_numpy
from tinyvae.audit.measure import LOSS_KEYS, Term
from tinyvae.audit.probe import StepFunction, fixed_noise
from tinyvae.audit.scales import READINGS

FAR = (-60.0, -20.0, 20.0, 60.0)  # where confined heads have reached their ends


class Heads:
    """What z does when the encoder's outputs move, under one noise.

    Attributes
    ----------
    mean, spread : the groups of keys that move the mean of z, and its spread
    """

    def __init__(self, step: Step, pieces: Pieces, beta: float | None) -> None:
        self.step, self.pieces = step, pieces
        self.sample = StepFunction(step, pieces, "sample", beta)
        self.B = step.B
        self.kinds = [self._kind(group) for group in pieces.heads]

    def z(self, constants: dict[int, float], noise: float | None = None) -> np.ndarray:
        """Return z where the groups of heads hold constants."""
        replace = fixed_noise(self.step, self.pieces, self.B, 3, noise)
        for number, group in enumerate(self.pieces.heads):
            for key in group:
                constant = constants.get(number, 0.3)
                replace[key] = np.full(self.step.graph.shape(key), constant, np.float32)
        trace = self.step.tape.run(self.step.x, replace, self.pieces.z, seed=3)
        return np.asarray(to_numpy(trace.values[self.pieces.z], "z"), np.float64)

    def _kind(self, group: list) -> str:
        number = self.pieces.heads.index(group)
        up, down = (self.z({number: 0.8}, noise) - self.z({}, noise) for noise in (1.0, -1.0))
        moved, spread = np.abs(up + down).mean(), np.abs(up - down).mean()
        if np.array_equal(up, down):  # this noise cannot be replaced
            moved, spread = 2 * abs(up.mean()), 2 * up.std()
        if not moved + spread > 1e-6:
            return "none"
        if spread < 0.1 * moved:
            return "mean"
        return "spread" if moved < 0.6 * spread else "both"

    def order(self) -> Finding | None:
        """Put mu's group first and s's second; return why that cannot be done."""
        heads, kinds, size = self.pieces.heads, self.kinds, self.step.graph.size
        if sorted(kinds) == ["mean", "spread"]:
            if kinds[0] == "spread":
                self.pieces.heads = heads[::-1]
            if self.pieces.used:
                return None
            text = "noise is drawn, but z does not reach the decoder: it is given mu, or nothing"
            return error("wiring-z", text)
        if kinds == ["both"] and size(heads[0][0]) == size(self.pieces.z):
            return error("head-shared", "mu and s are one and the same layer's output")
        if kinds == ["mean"]:
            text = "σ of z does not come from the encoder: a fixed or a learned σ?"
        elif kinds == ["spread"] and self._alike(heads[0]):
            return error("sampler-mean", "the mean of z does not move with mu", 0.0, 1.0)
        else:
            text = f"z is made from {len(heads)} layers' outputs that are not a mean and a spread"
        return unjudged("heads", text)

    def _alike(self, head: list) -> bool:
        """Return whether the loss sees another layer's output of the size of a head."""
        size = self.step.graph.size
        return any(size(group[0]) == size(head[0]) for group in self.pieces.others)

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of z at far values of mu, and σ at far values of s, where measurable."""
        mean = np.array([self.z({0: far}, 0.0).mean() for far in FAR])
        with np.errstate(all="ignore"):
            sigma = np.array(
                [np.abs(self.z({1: far}, 1.0) - self.z({1: far}, 0.0)).mean() for far in FAR]
            )
        return mean, sigma


def audit_heads(heads: Heads) -> list[Finding]:
    """Return an error where the heads cannot reach one sign of mu, or one side of σ = 1."""
    if not fixed_noise(heads.step, heads.pieces, 1, 0):
        return []
    mean, sigma = heads.ranges()
    found = []
    if np.isfinite(mean).all():
        if mean.min() >= -1e-6 or mean.max() <= 1e-6:
            sign = "negative" if mean.min() >= -1e-6 else "positive"
            text = f"mu is never {sign}: it lies in [{mean.min():.3g}, {mean.max():.3g}]"
            found.append(error("head-range", text))
        elif abs(mean[0] - mean[1]) < 0.1 * abs(mean[0]) and abs(mean[3] - mean[2]) < 0.1 * mean[3]:
            text = f"mu is confined to [{mean[0]:.3g}, {mean[3]:.3g}]"
            found.append(note("head-confined", text))
    low, high = np.nanmin(sigma), np.nanmax(sigma)
    if low >= 0.99 or high < 0.97:
        side = "below" if low >= 0.99 else "above"
        text = f"σ is never {side} 1: it lies in [{low:.3g}, {high:.3g}]"
        found.append(error("head-range", text))
    elif low > 1e-3 and high < 1e3:
        found.append(note("head-confined", f"σ is confined to [{low:.3g}, {high:.3g}]"))
    return found


def averaged(step: Step, pieces: Pieces, latents: tuple, pixels: tuple) -> dict[str, bool]:
    """Return whether the KL is averaged over the latents, and the reconstruction over pixels."""
    graph, B = step.graph, step.B
    L, D = int(np.prod(latents)), int(np.prod(pixels))
    outputs = {key for group in pieces.outputs for key in group}
    behind = graph.descendants(outputs | {pieces.z})
    heads = graph.descendants({key for group in pieces.heads for key in group}) - behind
    late = graph.descendants(outputs)

    def mean(among: set, size: int) -> bool:
        counts = [op.mean for i, op in enumerate(graph.ops) if (i, 0) in among]
        return size > 1 and any(count in (size, B * size) for count in counts)

    tokens = [D // n for n in {pixels[0], pixels[-1]}] if len(pixels) > 1 else []
    data = step.data
    tokens += [int(np.prod(data.shape[1:]))] if data.dtype.kind in "iu" else []
    return {"L": mean(heads, L), "D": any(mean(late, size) for size in (D, *tokens))}


def audit_data(step: Step, found: Reconstruction | None) -> list[Finding]:
    """Return an error where the data lie outside of what the likelihood or the decoder can give."""
    x = step.data
    hidden = found is not None and any(f.name == "target-hidden" for f in found.findings)
    if found is None or hidden or x.dtype.kind != "f":
        return []
    low, high = float(x.min()), float(x.max())
    form = found.form
    signed = "[−1, 1]" in form or "tanh" in form or "2 sigmoid" in form
    bounded = "cross-entropy" in form or "sigmoid" in form or "tanh" in form
    if not bounded or "binarised" in form or "categories" in form:
        return []
    floor = -1.0 if signed else 0.0
    if low < floor - 1e-3 or high > 1 + 1e-3:
        text = f"x lies in [{low:.3g}, {high:.3g}], but the reconstruction ({form}) takes "
        text += f"[{floor:g}, 1]"
        return [error("data-range", text, high)]
    return [value("data", f"x lies in [{low:.3g}, {high:.3g}]")]


def audit_parameters(step: Step, pieces: Pieces) -> list[Finding]:
    """Return an error where weights move the loss, but no gradient reaches them (PyTorch)."""
    if step.tape.framework != "torch":
        return []
    import torch

    noise = fixed_noise(step, pieces, step.B, 5)

    def run() -> Any:
        trace = step.tape.run(step.x, noise, seed=5, gradients=True)
        return trace.items[pieces.loss][1]

    loss = run()
    if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        text = "the loss carries no gradient: .item(), no_grad or .detach()"
        return [error("gradient-cut", text)]
    weights = [p for p in step.tape.parameters if p.requires_grad]
    gradients = torch.autograd.grad(loss.sum(), weights, allow_unused=True)
    names = _names(step.tape.model)
    base, cut = float(loss.sum().detach()), []
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None and bool(gradient.abs().max() > 0):
            continue
        with torch.no_grad():
            before = weight.clone()
            weight += 0.1 * torch.randn_like(weight) + 0.01
            saved, step.tape.saved = step.tape.saved, [p.clone() for p in step.tape.parameters]
            moved = abs(float(run().sum()) - base)
            step.tape.saved = saved
            weight.copy_(before)
        if moved > 1e-4 * abs(base):
            cut.append(names.get(id(weight), f"a weight of shape {tuple(weight.shape)}"))
    if not cut:
        return []
    text = f"no gradient reaches {', '.join(cut[:4])}{' …' * (len(cut) > 4)}, though the loss moves"
    return [error("gradient-cut", text)]


def _names(model: Any) -> dict[int, str]:
    named = getattr(model, "named_parameters", None)
    return {id(p): name for name, p in named()} if callable(named) else {}


def audit_second_output(function: StepFunction, term: Term, found: Reconstruction) -> list[Finding]:
    """Return what keeps a decoder with two outputs, a mean and a variance, from being judged."""
    if len(function.pieces.outputs) < 2:
        return []
    if len(function.pieces.outputs) == 2 and found.form == "squared error":
        B, pixels = term.sizes.B, term.sizes.pixels
        d, v = (a.ravel() for a in np.meshgrid([0.0, 0.4, 0.8], [-1.0, 0.0, 1.5]))
        seen = []
        for gap, second in zip(d, v, strict=True):
            function.second = float(second)
            seen.append(term(x=0.9, x_hat=0.9 - gap))
        function.second = 0.0
        for sigma in READINGS.values():
            with np.errstate(all="ignore"):
                nll = 0.5 * np.square(d / sigma(v)) + np.log(sigma(v))
            if not np.isfinite(nll).all():
                continue
            columns = np.stack([nll, np.ones_like(nll)], axis=1)
            c, *_ = np.linalg.lstsq(columns, np.array(seen), rcond=None)
            if np.abs(columns @ c - seen).max() < 1e-3 * np.ptp(seen):
                found.weight = abs(float(c[0])) / (B * int(np.prod(pixels)))
                return [note("sigma-learned", "the decoder gives σ too: a Gaussian likelihood")]
    text = "the decoder has further outputs, whose part in the likelihood was not recognised"
    return [unjudged("reconstruction-unknown", text)]


def audit_validation(step: Step) -> Finding:
    """Return whether the model's validation_step gives what the training step gives."""
    own = getattr(step.tape.model, "validation_step", None)
    if not callable(own):
        return unseen("validation", "only the training step was followed, no evaluation")
    losses = []
    try:
        for function in (step.step, lambda model, x: model.validation_step(x, 0)):
            items = type(step.tape)(function, step.tape.model).run(step.x, seed=9).items
            number = [i for i, (name, *_) in enumerate(items) if LOSS_KEYS.fullmatch(name)]
            losses.append(float(to_numpy(items[(number or [0])[0]][1], "it").sum()))
    except Exception as failure:
        why = "it returns nothing" if isinstance(failure, IndexError) else str(failure)
        text = f"validation_step was not compared ({' '.join(why.split())[:120]}): let it return "
        return unseen("validation", text + "its loss")
    if abs(losses[1] - losses[0]) <= 1e-5 * abs(losses[0]):
        return value("validation", "validation_step gives the training step's loss")
    text = f"validation_step gives {losses[1]:.4g} where the training step gives {losses[0]:.4g}, "
    return note("validation", text + "under one noise: another objective, or another sampler")


def usual_step(model: Any) -> tuple[Callable, str]:
    """Return a step for a model without one, by the names that people use, and what it is."""
    for name in ("training_step", "compute_loss", "loss", "elbo"):
        if callable(getattr(model, name, None)):
            if name == "training_step":
                return lambda m, x: m.training_step(x, 0), "model.training_step(x, 0)"
            return (lambda m, x, name=name: getattr(m, name)(x)), f"model.{name}(x)"
    raise ValueError(
        "the model has no training_step, compute_loss or loss: pass step=lambda model, x: loss"
    )
