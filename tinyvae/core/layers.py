"""The layers: `layer(x)` is the forward pass alone, `forward(x)` also remembers what the backward
pass needs. `backward(dy)` gets dy = ∂loss/∂y and applies the chain rule: it returns dx = ∂loss/∂x
and writes (not adds) ∂loss/∂W and ∂loss/∂b. Everywhere, dfoo stands for ∂loss/∂foo.
"""

from typing import Any

import numpy as np

from tinyvae.core import values
from tinyvae.core.arrays import Array, Ops, array_module, relu, sigmoid, softplus
from tinyvae.core.copies import apply


class Dense:
    """y = x W + b: every output is a weighted sum of all inputs, plus a constant.

    With indices, and n for the example, y_nj = Σ_i x_ni W_ij + b_j. A change of W_ij changes y_nj
    by x_ni in every example of the batch, so by the chain rule

        ∂loss/∂W_ij = Σ_n x_ni dy_nj        that is    dW = xᵀ dy
        ∂loss/∂b_j  = Σ_n dy_nj             that is    db = Σ_batch dy
        ∂loss/∂x_ni = Σ_j dy_nj W_ij        that is    dx = dy Wᵀ

    Parameters
    ----------
    n_in, n_out : int
    initialization : {"glorot", "he", "small"}
        The first weights' standard deviation: √(2 / (n_in + n_out)) (Glorot & Bengio 2010); or
        √(2 / n_in) (He et al. 2015), which makes up for a ReLU that sets half of the values to 0;
        or 0.3 of Glorot's, with which a decoder's output starts near 0, whatever z.
    """

    W: Array  # (n_in, n_out); `Parameters` makes these four views into θ and g
    b: Array  # (n_out,)
    dW: Array
    db: Array
    ops: Ops = Ops()

    def __init__(self, n_in: int, n_out: int, initialization: str = "glorot") -> None:
        n_in, n_out = values.integer("n_in", n_in, 1), values.integer("n_out", n_out, 1)
        self.shapes = {"W": (n_in, n_out), "b": (n_out,)}
        choices = ["glorot", "he", "small"]
        self.initialization = values.choice("initialization", initialization, choices)
        self.W, self.b = Dense.initialize(self, np.random.default_rng(0)).values()  # till then
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def initialize(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return first values for W and b, drawn on the host (the same for every backend)."""
        n_in, n_out = self.shapes["W"]
        he, glorot = np.sqrt(2 / n_in), np.sqrt(2 / (n_in + n_out))
        scale = {"he": he, "glorot": glorot, "small": 0.3 * glorot}[self.initialization]
        return {"W": rng.standard_normal((n_in, n_out)) * scale, "b": np.zeros(n_out)}

    def __call__(self, x: Array) -> Array:  # x (B, n_in)
        y = self.ops.matmul(x, self.W)  # (B, n_out)
        y += self.b
        return y

    def forward(self, x: Array) -> Array:
        self.x = x
        return self(x)

    def backward(self, dy: Array, need_dx: bool = True) -> Any:  # dy (B, n_out)
        self.ops.matmul(self.x.T, dy, out=self.dW)  # (n_in, n_out)
        dy.sum(axis=0, out=self.db)  # (n_out,)
        return self.ops.matmul(dy, self.W.T) if need_dx else None  # (B, n_in)


class Activation:
    """y = f(x), element by element; what is remembered tells the derivative."""

    __call__: Any

    def forward(self, x: Array) -> Array:
        self.x, self.y = x, self(x)
        return self.y


class ReLU(Activation):
    """y = max(x, 0); dx = dy where x > 0, else 0 (the derivative at 0 is set to 0)."""

    def __call__(self, x: Array) -> Array:
        return relu(x)

    def backward(self, dy: Array) -> Array:
        return dy * (self.y > 0)


class Tanh(Activation):
    """y = tanh x; dx = dy (1 − y²)."""

    def __call__(self, x: Array) -> Array:
        return array_module(x).tanh(x)

    def backward(self, dy: Array) -> Array:
        return dy * (1.0 - self.y * self.y)


class Sigmoid(Activation):
    """y = 1 / (1 + e^(−x)); dx = dy y (1 − y)."""

    def __call__(self, x: Array) -> Array:
        return sigmoid(x)

    def backward(self, dy: Array) -> Array:
        return dy * self.y * (1.0 - self.y)


class Softplus(Activation):
    """y = log(1 + e^x), a smooth ReLU; dx = dy sigmoid(x)."""

    def __call__(self, x: Array) -> Array:
        return softplus(x)

    def backward(self, dy: Array) -> Array:
        return dy * sigmoid(self.x)


class Sequential:
    """Layers one after another: y = f_n(… f_2(f_1(x))). The backward pass is the chain rule from
    the last layer to the first: the dx of one layer is the dy of the layer before it.

    Parameters
    ----------
    *layers : objects with the methods of `tinyvae.core.contracts.Layer`
    """

    def __init__(self, *layers: Any) -> None:
        nested = [layer.layers if type(layer) is Sequential else [layer] for layer in layers]
        self.layers: list[Any] = [values.layer(layer) for some in nested for layer in some]

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = apply(layer, x)  # layer(x), also of one's own that has no __call__
        return x

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array, need_dx: bool = True) -> Any:
        """Return dx, or None with `need_dx=False` where a `Dense` comes first: a product less."""
        for layer in reversed(self.layers):
            spared = not need_dx and layer is self.layers[0] and isinstance(layer, Dense)
            dy = layer.backward(dy, False) if spared else layer.backward(dy)
        return dy
