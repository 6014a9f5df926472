"""Layers: values from the definition, gradients from central differences, weights in one vector."""

import math

import numpy as np
import pytest
from witness import assert_gradients, relative_error

from tinyvae.core.arrays import sigmoid
from tinyvae.core.layers import Dense, ReLU, Sequential, Sigmoid, Softplus, Tanh
from tinyvae.models import ACTIVATIONS, Parameters, mlp

# As (make, n_in, n_out). Widths of 1 and batches of 1 are where broadcasting hides errors.
LAYERS = {
    "dense": (lambda: Dense(4, 3), 4, 3),
    "dense one in": (lambda: Dense(1, 3), 1, 3),
    "dense one out": (lambda: Dense(4, 1), 4, 1),
    "relu": (ReLU, 3, 3),
    "tanh": (Tanh, 3, 3),
    "sigmoid": (Sigmoid, 3, 3),
    "softplus": (Softplus, 3, 3),
    "mlp": (lambda: mlp([4, 5, 6, 2], "tanh"), 4, 2),
}


def as_network(layer) -> Sequential:
    return layer if isinstance(layer, Sequential) else Sequential(layer)


@pytest.mark.parametrize("B", [1, 2, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_match_central_differences(name, B):
    make, n_in, n_out = LAYERS[name]
    rng = np.random.default_rng(B)
    network = as_network(make())
    parameters = Parameters({"layer": network}, dtype="float64", seed=B)
    x, dy = rng.standard_normal((B, n_in)), rng.standard_normal((B, n_out))

    network.forward(x)
    pairs = {"x": (x, network.backward(dy))}
    pairs |= {k: (parameters[k], parameters.gradients[k].copy()) for k in parameters}
    assert_gradients(lambda: (network.forward(x) * dy).sum(), pairs)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_agrees_with_float64(name, rng):
    make, n_in, n_out = LAYERS[name]
    x, dy = rng.standard_normal((6, n_in)), rng.standard_normal((6, n_out))
    found = {}
    for dtype in ("float32", "float64"):
        network = as_network(make())
        parameters = Parameters({"layer": network}, dtype=dtype)
        y = network.forward(x.astype(dtype))
        dx = network.backward(dy.astype(dtype))
        assert {y.dtype, dx.dtype, parameters.grad.dtype} == {np.dtype(dtype)}
        found[dtype] = y, dx, parameters.grad
    for single, double in zip(found["float32"], found["float64"], strict=True):
        assert relative_error(single, double) < 2e-6


def test_dense_is_a_weighted_sum_of_its_inputs(rng):
    layer = Dense(3, 2)
    Parameters({"layer": Sequential(layer)}, dtype="float64")
    layer.b[...] = [10.0, 20.0]
    x = rng.standard_normal((4, 3))
    y = layer.forward(x)
    for b in range(4):
        for j in range(2):
            weighted_sum = sum(x[b, i] * layer.W[i, j] for i in range(3)) + layer.b[j]
            assert y[b, j] == pytest.approx(weighted_sum, rel=1e-14)


@pytest.mark.parametrize(
    ("layer", "definition"),
    [
        (ReLU(), lambda x: max(x, 0.0)),
        (Tanh(), math.tanh),
        (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
        (Softplus(), lambda x: math.log(1 + math.exp(x))),
    ],
)
def test_activations_follow_their_definition(layer, definition):
    x = np.linspace(-8, 8, 33)[:, None]
    expected = [[definition(value)] for value in x[:, 0]]
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("layer", "y", "dx"),
    [
        (ReLU(), [0, 1e4], [0, 1]),
        (Tanh(), [-1, 1], [0, 0]),
        (Sigmoid(), [0, 1], [0, 0]),
        (Softplus(), [0, 1e4], [0, 1]),
    ],
)
def test_activations_are_exact_far_from_0_without_overflow(layer, y, dx, dtype):
    x = np.array([[-1e4, 1e4]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_array_equal(layer.forward(x), [y])
        np.testing.assert_array_equal(layer.backward(np.ones_like(x)), [dx])


@pytest.mark.parametrize("x", [-80.0, -30.0, -17.0])
def test_a_small_sigmoid_keeps_its_digits_in_float32(x):
    assert sigmoid(np.array([x], "float32"))[0] == pytest.approx(math.exp(x), rel=1e-6)


def test_relu_has_the_derivative_0_at_0():
    layer = ReLU()
    layer.forward(np.zeros((1, 2)))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 2))), 0.0)


def test_backward_writes_the_gradient_instead_of_adding_to_it(rng):
    network = mlp([3, 4, 2], "relu")
    parameters = Parameters({"net": network}, dtype="float64")
    dy = rng.standard_normal((5, 2))
    network.forward(rng.standard_normal((5, 3)))
    network.backward(dy)
    once = parameters.grad.copy()
    network.backward(dy)
    np.testing.assert_array_equal(parameters.grad, once)


def test_a_network_can_leave_out_the_gradient_of_its_input(rng):
    network = mlp([3, 4, 2], "tanh")
    parameters = Parameters({"net": network}, dtype="float64")
    dy = rng.standard_normal((5, 2))
    network.forward(rng.standard_normal((5, 3)))
    assert network.backward(dy).shape == (5, 3)
    whole = parameters.grad.copy()
    assert network.backward(dy, need_dx=False) is None
    np.testing.assert_array_equal(parameters.grad, whole)


class Residual(Sequential):
    """A layer made of layers: y = x + f(x)."""

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, dy):
        return dy + super().backward(dy)


def test_a_layer_made_of_layers_keeps_its_own_forward_and_backward(rng):
    block = Residual(Dense(3, 5), Tanh(), Dense(5, 3))
    network = Sequential(Dense(4, 3), block, Dense(3, 2))
    parameters = Parameters({"net": network}, dtype="float64")
    assert [name for name in parameters if name.endswith("W")] == [f"net.{i}.W" for i in range(4)]
    x, dy = rng.standard_normal((6, 4)), rng.standard_normal((6, 2))
    first, _, last = network.layers
    h = first.forward(x)
    np.testing.assert_allclose(network.forward(x), last.forward(block.forward(h)), rtol=1e-12)
    network.forward(x)
    pairs = {"x": (x, network.backward(dy))}
    pairs |= {k: (parameters[k], parameters.gradients[k].copy()) for k in parameters}
    assert_gradients(lambda: (network.forward(x) * dy).sum(), pairs)


@pytest.mark.parametrize("given", [[Dense(3, 2), ReLU()], 3, None, Dense])
def test_what_is_no_layer_is_refused_when_a_network_is_made(given):
    with pytest.raises(ValueError, match=r"is no layer.*: give layers one by one"):
        Sequential(given)


def test_no_layer_at_all_is_the_identity(rng):
    x = rng.standard_normal((2, 3))
    network = Sequential()
    assert network.forward(x) is x
    assert network.backward(x) is x


class Scale:
    """A learner's own layer, y = s x: two methods and `shapes`, nothing else."""

    def __init__(self, n):
        self.shapes = {"s": (n,)}

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, dy):
        self.ds[...] = (dy * self.x).sum(axis=0)
        return dy * self.s


@pytest.mark.parametrize("need_dx", [True, False])
def test_a_layer_of_ones_own_needs_forward_backward_and_shapes(rng, need_dx):
    own = Scale(3)
    network = Sequential(own, Dense(3, 2))
    parameters = Parameters({"net": network}, dtype="float64")
    own.s[...] = [1.0, 2.0, 3.0]
    x, dy = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    network.forward(x)
    network.backward(dy, need_dx=need_dx)
    pairs = {k: (parameters[k], parameters.gradients[k].copy()) for k in parameters}
    assert list(pairs) == ["net.0.s", "net.1.W", "net.1.b"]
    assert_gradients(lambda: (network.forward(x) * dy).sum(), pairs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_first_weights_have_the_spread_that_the_activation_wants(activation):
    n_in, n_hidden, n_out = 300, 200, 100
    parameters = Parameters({"net": mlp([n_in, n_hidden, n_out], activation)}, seed=1)
    he = activation in ("relu", "softplus")
    hidden = math.sqrt(2 / n_in) if he else math.sqrt(2 / (n_in + n_hidden))
    last = math.sqrt(2 / (n_hidden + n_out))  # no activation follows the last layer
    # A standard deviation estimated from n draws is off by about 1 / √(2n): 0.3 % and 0.5 % here.
    assert parameters["net.0.W"].std() == pytest.approx(hidden, rel=0.015)
    assert parameters["net.1.W"].std() == pytest.approx(last, rel=0.025)
    assert not parameters["net.0.b"].any() and not parameters["net.1.b"].any()


def test_a_decoder_starts_near_the_middle_whatever_z():
    small = Parameters({"net": mlp([20, 400, 784], "relu", "small")}, seed=1)["net.1.W"].std()
    assert small == pytest.approx(0.3 * math.sqrt(2 / (400 + 784)), rel=0.01)


def test_an_activation_after_its_own_initialization_keeps_the_scale_of_the_signal(rng):
    x = rng.standard_normal((200, 400))
    for _ in range(5):
        network = Sequential(Dense(400, 400, "he"), ReLU())
        Parameters({"net": network}, dtype="float64", seed=int(rng.integers(1000)))
        x = network.forward(x)
    assert (x * x).mean() == pytest.approx(1.0, rel=0.3)  # unscaled weights would give 200⁵


def test_weights_and_gradients_are_views_into_two_vectors():
    encoder, decoder = mlp([4, 3, 2], "relu"), mlp([2, 4], "relu")
    parameters = Parameters({"encoder": encoder, "decoder": decoder})
    names = ["encoder.0.W", "encoder.0.b", "encoder.1.W", "encoder.1.b"]
    names += ["decoder.0.W", "decoder.0.b"]
    assert list(parameters) == names == list(parameters.gradients)
    assert parameters.theta.shape == parameters.grad.shape == (4 * 3 + 3 + 3 * 2 + 2 + 2 * 4 + 4,)

    parameters.theta[...] = np.arange(len(parameters.theta))
    np.testing.assert_array_equal(encoder.layers[0].W.ravel(), np.arange(12))
    np.testing.assert_array_equal(decoder.layers[0].b, parameters["decoder.0.b"])
    np.testing.assert_array_equal(
        np.concatenate([view.ravel() for view in parameters.values()]), parameters.theta
    )
    decoder.layers[0].dW[...] = 7
    assert (parameters.grad == 7).sum() == parameters.gradients["decoder.0.W"].size == 8


def test_the_seed_fixes_the_first_weights_whatever_the_precision():
    def first(**options):
        return Parameters({"net": mlp([4, 3, 2], "relu")}, **options).theta

    np.testing.assert_array_equal(first(seed=3), first(seed=3))
    np.testing.assert_array_equal(first(seed=3), first(seed=3, dtype="float64").astype("float32"))
    assert (first(seed=3) != first(seed=4)).any()


def test_a_layer_may_bring_its_own_first_values():
    layer = Scale(3)
    layer.s = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(Parameters({"net": Sequential(layer)}).theta, [1, 2, 3])


def test_a_layer_object_may_stand_only_once():
    layer = Dense(3, 3)
    with pytest.raises(ValueError, match=r"net\.1: this layer object already stands elsewhere"):
        Parameters({"net": Sequential(layer, layer)})
