"""Cross-entropies over classes: of tokens, of one-hot data, or of targets that are not seen."""

import numpy as np

from tinyvae.audit.findings import note
from tinyvae.audit.forms import Reconstruction
from tinyvae.audit.measure import Term


def _log_softmax(y: np.ndarray) -> np.ndarray:
    y = y - y.max(axis=-1, keepdims=True)
    return y - np.log(np.exp(y).sum(axis=-1, keepdims=True))


def categorical(term: Term) -> Reconstruction | None:
    """Find a cross-entropy over classes, of tokens or of one-hot data."""
    pixels, B, rng = term.sizes.pixels, term.sizes.B, np.random.default_rng(8)
    labels = term.function.labels(B)
    places = [term.tokens] if term.tokens else ["last", "first"]
    for place in places if len(pixels) > 1 or labels is not None else ():
        flat = labels is not None and int(np.prod(pixels)) // int(np.prod(labels.shape[1:]))
        shape = (*labels.shape[1:], flat) if flat else pixels
        if place == "first" and flat:
            shape = (flat, *labels.shape[1:])
        K = shape[-1 if place == "last" else 0]
        if int(np.prod(shape)) != int(np.prod(pixels)) or K < 2:
            continue
        rows = []
        for _ in range(7):
            y = rng.standard_normal((B, *shape))
            scores = y if place == "last" else np.moveaxis(y, 1, -1)
            chosen = labels
            if labels is None:
                chosen = rng.integers(1 if term.tokens else 0, K, scores.shape[:-1])
            one_hot = np.eye(K)[chosen]
            x = one_hot if place == "last" else np.moveaxis(one_hot, -1, 1)
            x = chosen if term.tokens else x
            seen = term(x=x.reshape(B, *pixels) if x.size == y.size else x,
                        x_hat=y.reshape(B, *pixels))  # fmt: skip
            logs = _log_softmax(scores)
            entry = -np.take_along_axis(logs, chosen[..., None], -1)[..., 0]
            plain = -np.take_along_axis(scores, chosen[..., None], -1)[..., 0]
            shown = chosen != 0
            rows.append((seen, entry.sum(), (entry * shown).sum(), plain.sum()))
        seen, *columns = np.array(rows).T
        for column in columns:
            basis = np.stack([column, np.ones_like(column)], axis=1)
            (a, c), *_ = np.linalg.lstsq(basis, seen, rcond=None)
            if np.abs(basis @ (a, c) - seen).max() < 1e-4 * np.ptp(seen):
                term.sizes = term.sizes._replace(classes=K)
                form = "cross-entropy over categories"
                return Reconstruction(form, float(a), categories=place)
    return None


def by_logits(term: Term) -> Reconstruction | None:
    """Find a cross-entropy over classes, whatever the tokens: a shift, or teacher forcing."""
    pixels, rng = term.sizes.pixels, np.random.default_rng(9)
    for place in ("last", "first") if len(pixels) > 1 and term.function.followed else ():
        axis = -1 if place == "last" else 0
        K, seen, expected = pixels[axis], [], []
        for scale in (0.5, 1.0, 1.5, 2.0):
            v, d = scale * rng.standard_normal((2, K))
            center = np.full(pixels, 0.0) + (v if place == "last" else v[:, None])
            turn = d if place == "last" else d[:, None]
            f = [term(x_hat=center + h * turn, x=term.target) for h in (1, -1, 0)]
            seen.append([f[0] + f[1] - 2 * f[2], term(x_hat=center + 1, x=term.target) - f[2]])
            expected.append(_log_sum(v + d) + _log_sum(v - d) - 2 * _log_sum(v))
        (bend, shift), expected = np.array(seen).T, np.array(expected)
        a = float(bend @ expected / (expected @ expected))
        tolerance = 1e-3 * np.abs(bend).max() + 1e-5 * abs(f[2])
        if a > 0 and max(np.abs(bend - a * expected).max(), np.abs(shift).max()) <= tolerance:
            term.sizes = term.sizes._replace(classes=K)
            cells = term.sizes.B * term.sizes.D
            found = Reconstruction("cross-entropy over categories", a / cells, categories=place)
            text = "the tokens are not those of x: the form was read from x_hat alone"
            found.findings.append(note("target-hidden", text))
            return found
    return None


def _log_sum(v: np.ndarray) -> float:
    return float(np.log(np.exp(v).sum()))
