"""Independent witnesses that the tests share: numbers found without the package's own formulas."""

from collections.abc import Callable

import numpy as np


def central_differences(f: Callable[[], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Return ∂f/∂x, where f() reads x: every entry of x is moved, in place, up and down."""
    gradient = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + step
        up = float(f())
        x[i] = kept - step
        down = float(f())
        x[i] = kept
        gradient[i] = (up - down) / (2 * step)
    return gradient


def relative_error(found: np.ndarray, true: np.ndarray) -> float:
    """Return ‖found − true‖ / ‖true‖ (or ‖found‖ where the truth is 0), in float64."""
    found, true = np.asarray(found, "float64"), np.asarray(true, "float64")
    assert found.shape == true.shape
    return float(np.linalg.norm(found - true) / (np.linalg.norm(true) or 1.0))


def assert_gradients(
    f: Callable[[], float], pairs: dict[str, tuple], limit: float = 1e-7, step: float = 1e-5
) -> None:
    """Hold that each (x, dx) of `pairs` has dx = ∂f/∂x, by central differences."""
    for name, (x, dx) in pairs.items():
        error = relative_error(dx, central_differences(f, x, step))
        assert error <= limit, f"{name}: relative error {error:.1e}"


def assert_model_gradient(model, forward: Callable[[], float], limit: float = 1e-7) -> None:
    """Hold that a model's backward pass gives the gradient of `forward()`, weight by weight.

    All weights are moved first: a bias of exactly 0 behind dead units stands on ReLU's kink.
    """
    parameters = model.parameters
    parameters.theta += 0.2 * np.random.default_rng(1).standard_normal(parameters.theta.shape)
    forward()
    model.backward()
    pairs = {name: (parameters[name], parameters.gradients[name].copy()) for name in parameters}
    assert_gradients(forward, pairs, limit)
