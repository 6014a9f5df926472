"""The pieces around the loss: what the encoder and the decoder return, and a whole loss(x)."""

from collections.abc import Callable

import numpy as np

from tinyvae.audit import frameworks
from tinyvae.audit.calls import Function, numbers_in
from tinyvae.audit.findings import Finding, error, note


def sizes_to_try(function: Callable, given: object, kind: str, default: list[tuple]) -> list[tuple]:
    """Return shapes of one row: what was given, or what the code mentions, then the usual ones."""
    if given:
        return [given if isinstance(given, tuple) else (given,)]
    hints = numbers_in(function)
    return [*[(n,) for n in [*hints[kind], *hints["any"]] if n <= 16384][:12], *default]


def call_with_rows(
    function: Function, role: str, rows: int, shapes: list[tuple], dtype: str
) -> tuple[tuple, list[tuple[str, np.ndarray]]]:
    """Find the first shape that a function of one argument takes, and what it returns."""
    rng = np.random.default_rng(4)
    first: Exception | None = None
    for shape in dict.fromkeys(shapes):
        draw = rng.random if role == "x" else rng.standard_normal
        try:
            return shape, function(**{role: draw((rows, *shape)).astype(dtype)})
        except Exception as failure:
            first = first or failure
            function.settled = None
    raise first


IMAGES = [(784,), (64,), (1, 28, 28), (28, 28, 1), (28, 28), (3, 32, 32), (3, 64, 64), (32, 32, 3)]


def audit_encoder(encode: Callable, wrap, pixels, dtype: str) -> list[Finding]:
    """Check that mu and s have a row for each example, and the same shape."""
    function = Function(encode, "encode", ("x",), wrap)
    shapes = sizes_to_try(encode, pixels, "pixels", IMAGES)
    _, items = call_with_rows(function, "x", 7, shapes, dtype)
    arrays = [array for _, array in items]
    if len(arrays) < 2:
        raise ValueError(f"encode returned {len(arrays)} array; expected mu and s")
    for array in arrays[:2]:
        if array.shape[:1] != (7,) or array.shape != arrays[0].shape:
            found = ", ".join(str(a.shape) for a in arrays[:2])
            raise ValueError(f"encode returned the shapes {found} for 7 examples; expected (7, L)")
        if not np.isfinite(array).all():
            raise ValueError("encode returned NaN or infinity")
    return []


def audit_decoder(decode: Callable, form: str, wrap, latent, dtype: str) -> list[Finding]:
    """Judge whether the decoder returns what the loss takes: probabilities or logits."""
    function = Function(decode, "decode", ("z",), wrap)
    default = [(2,), (20,), (8,), (10,), (16,), (32,), (64,), (100,), (128,)]
    shapes = sizes_to_try(decode, latent, "latent", default)
    _, items = call_with_rows(function, "z", 64, shapes, dtype)
    x_hat = items[0][1]
    if len(x_hat) != 64:
        raise ValueError(f"decode returned {len(x_hat)} rows for 64 rows of z")
    low, high = float(x_hat.min()), float(x_hat.max())
    within = low >= 0 and high <= 1
    if form == "cross-entropy on logits" and within:
        text = f"the loss takes logits, but decode returns numbers in [{low:.3g}, {high:.3g}]"
        return [error("bce-double-sigmoid", text, low, 0.0)]
    if "cross-entropy" in form and "logits" not in form and not within:
        text = f"the loss takes probabilities, but decode returns [{low:.3g}, {high:.3g}]"
        return [error("bce-needs-sigmoid", text, low, 0.0)]
    return []


def scalar_loss(function: Function, x: np.ndarray) -> float:
    """Return a whole loss(x) as one number: the first item, averaged over rows."""
    array = function(x=x)[0][1]
    number = float(array.reshape(len(array), -1).sum(axis=1).mean()) if array.ndim else float(array)
    if not np.isfinite(number):
        raise ValueError(f"{function.name} returned {number}")
    return number


def audit_loss(loss: Callable, wrap, pixels, batch, dtype: str) -> list[Finding]:
    """Return whether a whole loss draws noise; its terms cannot be told apart from outside."""
    function = Function(loss, "loss", ("x",), wrap)
    shapes = sizes_to_try(loss, pixels, "pixels", IMAGES)
    shape, _ = call_with_rows(function, "x", batch or 7, shapes, dtype)
    x = np.random.default_rng(4).random((batch or 7, *shape)).astype(dtype)
    values = [scalar_loss(function, x) for _ in range(8)]
    text = "KL, reconstruction and their balance cannot be separated in a whole loss: pass "
    findings = [note("loss-whole", text + "objective=, or kl= and reconstruction=")]
    if np.ptp(values) <= 1e-9 * abs(values[0]):
        findings.append(error("loss-deterministic", "8 calls gave the same loss: no noise", 0.0))
    return findings


def as_parameters(parameters: object) -> dict[str, np.ndarray]:
    """Return named NumPy arrays that can be altered in place."""
    if parameters is None:
        raise ValueError("gradient needs parameters=: a mapping of names to NumPy arrays")
    if not hasattr(parameters, "keys"):
        parameters = {str(i): array for i, array in enumerate(parameters)}
    arrays = {str(name): parameters[name] for name in parameters}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise TypeError(f"parameters[{name!r}] must be a NumPy array of floats")
        if not array.flags.writeable:
            raise ValueError(
                f"parameters[{name!r}] is read-only: pass the array that the loss uses"
            )
    return arrays


def as_gradients(result: object, names: list[str]) -> dict[str, np.ndarray]:
    """Return what a gradient function returned, under the parameters' names."""
    if hasattr(result, "keys"):
        result = {str(name): result[name] for name in result}
    elif isinstance(result, (list, tuple)) and len(result) == len(names):
        result = dict(zip(names, result, strict=True))
    missing = [n for n in names if not isinstance(result, dict) or n not in result]
    if missing:
        raise ValueError(f"gradient returned nothing for {', '.join(missing[:4])}")
    arrays = {name: frameworks.to_numpy(result[name], "gradient") for name in names}
    return {name: array.astype(np.float64) for name, array in arrays.items()}
