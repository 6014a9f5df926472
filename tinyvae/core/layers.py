"""The layers of the encoder and the decoder, and the two flat vectors that hold their weights.

`forward(x)` remembers what the backward pass needs. `backward(dy)` gets dy = ∂loss/∂y and applies
the chain rule: it returns dx = ∂loss/∂x and writes (not adds) ∂loss/∂W and ∂loss/∂b.
Everywhere, dfoo stands for ∂loss/∂foo and has the shape of foo, or one that broadcasts to it.
"""

from collections import UserDict
from itertools import pairwise
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import Array, array_module, relu, sigmoid, softplus
from tinyvae.device import Backend, get_backend
from tinyvae.threads import matmul, matmul_into
from tinyvae.weights import check_shape, find_weights


class Dense:
    """y = x W + b: every output is a weighted sum of all inputs, plus a constant.

    With indices, and n for the example, y_nj = Σ_i x_ni W_ij + b_j. A change of W_ij changes y_nj
    by x_ni in every example of the batch, so by the chain rule

        ∂loss/∂W_ij = Σ_n x_ni dy_nj        that is    dW = xᵀ dy
        ∂loss/∂b_j  = Σ_n dy_nj             that is    db = Σ_batch dy
        ∂loss/∂x_ni = Σ_j dy_nj W_ij        that is    dx = dy Wᵀ

    The first weights have the standard deviation √(2 / (n_in + n_out)) (`initialization="glorot"`,
    Glorot & Bengio 2010), or √(2 / n_in) ("he", He et al. 2015), which makes up for a ReLU that
    sets half of the values to 0, or 0.3 of Glorot's ("small"), with which a decoder's output starts
    near 0, whatever z: the middle of the data, where a sigmoid follows.
    """

    def __init__(self, n_in: int, n_out: int, initialization: str = "glorot") -> None:
        n_in, n_out = checks.integer("n_in", n_in, 1), checks.integer("n_out", n_out, 1)
        self.shapes = {"W": (n_in, n_out), "b": (n_out,)}
        choices = ["glorot", "he", "small"]
        self.initialization = checks.choice("initialization", initialization, choices)

    def initialize(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return first values for W and b, drawn on the host (the same for every backend)."""
        n_in, n_out = self.shapes["W"]
        he, glorot = np.sqrt(2 / n_in), np.sqrt(2 / (n_in + n_out))
        scale = {"he": he, "glorot": glorot, "small": 0.3 * glorot}[self.initialization]
        return {"W": rng.standard_normal((n_in, n_out)) * scale, "b": np.zeros(n_out)}

    def forward(self, x: Array) -> Array:  # x (B, n_in)
        self.x = x
        y = matmul(x, self.W)  # (B, n_out)
        y += self.b
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:  # dy (B, n_out)
        matmul_into(self.dW, self.x.T, dy)  # (n_in, n_out)
        dy.sum(axis=0, out=self.db)  # (n_out,)
        return matmul(dy, self.W.T) if need_dx else None  # (B, n_in)


class ReLU:
    """y = max(x, 0); dx = dy where x > 0, else 0 (the derivative at 0 is set to 0)."""

    def forward(self, x: Array) -> Array:
        self.y = relu(x)
        return self.y

    def backward(self, dy: Array) -> Array:
        return dy * (self.y > 0)


class Tanh:
    """y = tanh x; dx = dy (1 − y²)."""

    def forward(self, x: Array) -> Array:
        self.y = array_module(x).tanh(x)
        return self.y

    def backward(self, dy: Array) -> Array:
        return dy * (1.0 - self.y * self.y)


class Sigmoid:
    """y = 1 / (1 + e^(−x)); dx = dy y (1 − y)."""

    def forward(self, x: Array) -> Array:
        self.y = sigmoid(x)
        return self.y

    def backward(self, dy: Array) -> Array:
        return dy * self.y * (1.0 - self.y)


class Softplus:
    """y = log(1 + e^x), a smooth ReLU; dx = dy sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        self.x = x
        return softplus(x)

    def backward(self, dy: Array) -> Array:
        return dy * sigmoid(self.x)


# Each activation with the initialization of the Dense layer before it; softplus is close to ReLU.
ACTIVATIONS = {
    "relu": (ReLU, "he"),
    "tanh": (Tanh, "glorot"),
    "sigmoid": (Sigmoid, "glorot"),
    "softplus": (Softplus, "he"),
}


class Sequential:
    """Layers one after another: y = f_n(… f_2(f_1(x))).

    The backward pass is the chain rule from the last layer to the first: the dx of one layer is
    the dy of the layer before it. A layer is any object with `forward(x)` and `backward(dy)`; one
    with parameters also has `shapes = {"W": (n_in, n_out), "b": (n_out,)}` or the like, and
    `Parameters` gives it W, b, dW, db. One that is made of layers has them in `layers`.
    """

    def __init__(self, *layers: Any) -> None:
        nested = [layer.layers if type(layer) is Sequential else [layer] for layer in layers]
        self.layers = [checks.layer(layer) for some in nested for layer in some]

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        """Return dx, or None with `need_dx=False` where a `Dense` comes first: a product less."""
        for layer in reversed(self.layers):
            first = layer is self.layers[0] and isinstance(layer, Dense)
            dy = layer.backward(dy, need_dx) if first else layer.backward(dy)
        return dy


def mlp(widths: list[int], activation: str, last: str = "glorot") -> Sequential:
    """Return Dense layers of these widths, with the activation between them, none at the end."""
    make_activation, initialization = ACTIVATIONS[activation]
    layers = []
    for n_in, n_out in pairwise(widths[:-1]):
        layers += [Dense(n_in, n_out, initialization), make_activation()]
    return Sequential(*layers, Dense(widths[-2], widths[-1], last))


class Parameters(UserDict):
    """All weights of a model as one vector θ, and their gradient as one vector g.

    Every layer's W and b is a view into θ (`theta`), its dW and db the same view into g (`grad`),
    so a step of an optimizer is a few operations on two vectors, and a gradient check moves θ[i]
    and looks at g[i]. The dict goes from "encoder.0.W" to the view into θ, in its order, and
    `gradients` from the same names to the views into g; 0, 1, … number the layers with parameters
    of each network. Assigning to a name copies into θ.
    """

    def __init__(
        self, networks: dict[str, Sequential], backend: str | Backend = "numpy",
        dtype: str = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        backend = get_backend(backend)
        weights = find_weights(networks, seed)  # (name, layer, attribute, first value) of each
        self.theta = backend.xp.zeros(sum(value.size for *_, value in weights), dtype=dtype)
        self.grad = backend.xp.zeros_like(self.theta)
        self.data, self.gradients, start = {}, {}, 0
        for name, layer, attribute, value in weights:
            stop = start + value.size
            view = self.theta[start:stop].reshape(value.shape)
            view[...] = backend.asarray(value, dtype)
            self.data[name] = view
            self.gradients[name] = self.grad[start:stop].reshape(value.shape)
            setattr(layer, attribute, view)
            setattr(layer, "d" + attribute, self.gradients[name])
            start = stop

    def __setitem__(self, name: str, value: Array) -> None:
        check_shape(name, value, self)
        self[name][...] = array_module(self.theta).asarray(value)
