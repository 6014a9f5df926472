"""What a layer, a likelihood and an optimizer must have to take part in a model: one's own too."""

from typing import Any, Protocol

from tinyvae.core.arrays import Array


class Layer(Protocol):
    """What a network is made of: any object with these two methods. One with weights also has
    `shapes = {"W": (n_in, n_out), …}`, and gets W and dW from `Parameters`; one that is made of
    layers has them in `layers`."""

    def forward(self, x: Array) -> Array: ...
    def backward(self, dy: Array) -> Array: ...


class Likelihood(Protocol):
    """What a model asks of p(x|z), for the decoder's output y and the data x, (B, D) each.

    `forward` returns nll = −log p(x|z) (B,) and remembers what `backward` needs, which returns
    dy (B, D) from dnll, a number or (B, 1): enough to train. `nll`, which remembers nothing, is for
    evaluation; `mean` (B, D) for decoding, and `sample` (B, D) for draws. A `sigma`, if there is
    one, is kept in checkpoints.
    """

    def forward(self, y: Array, x: Array) -> Array: ...
    def backward(self, dnll: Any) -> Array: ...
    def nll(self, y: Array, x: Array) -> Array: ...
    def mean(self, y: Array) -> Array: ...
    def sample(self, y: Array, rng: Any) -> Array: ...


class Optimizer(Protocol):
    """What `fit` asks of an optimizer; `state` and `set_state` where a run folder is to be left."""

    lr: float

    def step(self) -> None: ...
    def state(self) -> dict[str, Array]: ...
    def set_state(self, state: dict[str, Array]) -> None: ...
