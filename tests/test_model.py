"""The models: a loss in nats per example, its gradient, and the ways through a model."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
from witness import assert_model_gradient, relative_error

from tinyvae import evaluate
from tinyvae.core.layers import Dense, ReLU, Sequential, Tanh
from tinyvae.core.likelihood import Gaussian
from tinyvae.core.optim import Adam
from tinyvae.models import IWAE, VAE, Autoencoder

LIKELIHOODS = {
    "fixed": {"sigma": 0.5},
    "auto": {"sigma": "auto"},
    "sigmoid": {"sigma": 0.5, "output": "sigmoid"},
    "bernoulli": {"likelihood": "bernoulli"},
}
ACTIVATIONS = ["relu", "tanh", "sigmoid", "softplus"]


def make(model=VAE, n_features=5, latent_dim=2, hidden=(4,), dtype="float64", **options):
    return model(n_features, latent_dim, hidden=hidden, dtype=dtype, backend="numpy", **options)


def batch(B=6, D=5, L=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((B, D)), rng.standard_normal((B, L))


# Gradients


@pytest.mark.parametrize(("B", "L"), [(1, 1), (1, 3), (5, 1), (4, 2)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_vae_gradient_matches_differences(likelihood, B, L):
    vae = make(latent_dim=L, activation="tanh", beta=0.7, **LIKELIHOODS[likelihood], seed=B)
    x, eps = batch(B, 5, L)
    assert_model_gradient(vae, lambda: vae.forward(x, eps=eps).loss)


@pytest.mark.parametrize("hidden", [(), (4,), (4, 3, 2)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_vae_gradient_matches_differences_at_any_depth(activation, hidden):
    vae = make(activation=activation, hidden=hidden, reconstruction_weight=0.3, seed=1)
    x, eps = batch()
    assert_model_gradient(vae, lambda: vae.forward(x, eps=eps).loss)


@pytest.mark.parametrize(("B", "L"), [(1, 1), (4, 2)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_autoencoder_gradient_matches_differences(likelihood, B, L):
    model = make(Autoencoder, latent_dim=L, activation="softplus", **LIKELIHOODS[likelihood])
    x, _ = batch(B, 5, L)
    assert_model_gradient(model, lambda: model.forward(x).loss)


@pytest.mark.parametrize("model", [VAE, Autoencoder])
def test_conditional_gradient_matches_differences(model):
    conditional = make(model, n_classes=3, activation="tanh", sigma=0.5)
    x, eps = batch(4)
    noise = {"eps": eps} if model is VAE else {}
    labels = [0, 2, 1, 2]
    assert_model_gradient(conditional, lambda: conditional.forward(x, labels=labels, **noise).loss)


def test_free_bits_gradient_matches_differences_on_both_sides_of_the_bound():
    vae = make(latent_dim=4, activation="tanh", free_bits=0.3, beta=1.5)
    x, eps = batch(L=4)
    vae.parameters["encoder.1.b"][...] = [0, 0, 2, 2, 0, 0, 0, 0]  # mu of the last two: KL ≈ 2
    assert_model_gradient(vae, lambda: vae.forward(x, eps=eps).loss)
    np.testing.assert_array_equal(vae.counts, [False, False, True, True])


@pytest.mark.parametrize("weights", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_either_weight_may_be_0(weights):
    reconstruction_weight, beta = weights
    vae = make(beta=beta, reconstruction_weight=reconstruction_weight, activation="tanh")
    x, eps = batch()
    terms = vae.forward(x, eps=eps)
    expected = reconstruction_weight * terms.reconstruction + beta * terms.kl
    assert terms.loss == pytest.approx(expected, abs=1e-15)
    assert_model_gradient(vae, lambda: vae.forward(x, eps=eps).loss)


def test_gradient_of_ones_own_layers_and_likelihood_matches_differences():
    class Laplace:
        """|x − y| + log 2: two methods are all that training needs."""

        sigma = None

        def forward(self, y, x):
            self.sign = np.sign(y - x)
            return (np.abs(y - x) + math.log(2)).sum(axis=1)

        def backward(self, dnll):
            return dnll * self.sign

    vae = VAE(
        encoder=Sequential(Dense(5, 3), Tanh(), Dense(3, 4)),
        decoder=Sequential(Dense(2, 5)),
        likelihood=Laplace(),
        backend="numpy",
        dtype="float64",
    )
    assert (vae.n_features, vae.latent_dim) == (5, 2)
    x, eps = batch()
    assert_model_gradient(vae, lambda: vae.forward(x, eps=eps).loss)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_float32_stays_float32_and_agrees_with_float64(likelihood):
    x, eps = batch()
    found = []
    for dtype in ("float32", "float64"):
        vae = make(dtype=dtype, hidden=(8, 6), **LIKELIHOODS[likelihood])
        terms = vae.forward(x, eps=eps)
        vae.backward()
        assert {term.dtype for term in terms} == {vae.parameters.grad.dtype} == {np.dtype(dtype)}
        found.append([*terms, vae.parameters.grad])
    for single, double in zip(*found, strict=True):
        assert relative_error(single, double) < 1e-5


def test_backward_writes_the_gradient_instead_of_adding_to_it():
    vae = make()
    x, eps = batch()
    vae.forward(x, eps=eps)
    vae.backward()
    once = vae.parameters.grad.copy()
    vae.backward()
    np.testing.assert_array_equal(vae.parameters.grad, once)


# The loss and its units


@pytest.mark.parametrize("model", [VAE, Autoencoder])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_doubled_batch_has_the_same_loss_and_gradient(model, likelihood):
    found = []
    for copies in (1, 2):
        vae = make(model, beta=0.7, **LIKELIHOODS[likelihood]) if model is VAE else make(model)
        arrays = batch() if model is VAE else batch()[:1]
        named = dict(zip(("x", "eps"), arrays, strict=False))
        terms = vae.forward(**{k: np.tile(array, (copies, 1)) for k, array in named.items()})
        vae.backward()
        found.append([*terms, vae.parameters.grad])
    for doubled, single in zip(*reversed(found), strict=True):
        np.testing.assert_allclose(doubled, single, rtol=1e-12, atol=1e-14)


def linear_vae(D: int, L: int, W: np.ndarray, **options) -> VAE:
    """Return a linear VAE whose decoder, and whose encoder's mu, are given by W (L, D)."""
    vae = make(VAE, D, L, hidden=(), sigma=0.5, **options)
    vae.parameters["encoder.0.W"][...] = np.hstack([W.T, 0.1 * W.T])
    vae.parameters["decoder.0.W"][...] = W
    return vae


def test_the_loss_of_two_independent_halves_is_the_sum_of_their_losses(rng):
    """Sums over data and latent dimensions: a mean over either would give the mean instead."""
    x, eps = batch(6, 7, 3)
    W = rng.standard_normal((3, 7))
    W[:1, 4:] = W[1:, :4] = 0  # latent 0 belongs to features 0 … 3, latents 1 and 2 to the others
    whole = linear_vae(7, 3, W).forward(x, eps=eps)
    left = linear_vae(4, 1, W[:1, :4]).forward(x[:, :4], eps=eps[:, :1])
    right = linear_vae(3, 2, W[1:, 4:]).forward(x[:, 4:], eps=eps[:, 1:])
    for found, one, other in zip(whole, left, right, strict=True):
        assert found == pytest.approx(one + other, rel=1e-12)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.3, 4.0), (0.0, 0.0)])
def test_elbo_is_minus_reconstruction_minus_kl_whatever_the_weights(weights):
    x, eps = batch()
    plain = make().forward(x, eps=eps)
    terms = make(reconstruction_weight=weights[0], beta=weights[1]).forward(x, eps=eps)
    assert terms.elbo == -(plain.reconstruction + plain.kl) == -plain.loss
    assert terms.loss == pytest.approx(
        weights[0] * plain.reconstruction + weights[1] * plain.kl, abs=1e-15
    )


def test_an_autoencoder_has_no_kl_and_no_noise():
    x, _ = batch()
    model = make(Autoencoder)
    first, second = model.forward(x), model.forward(x)
    assert first.kl == 0 and first.loss == first.reconstruction == second.loss


def test_an_autoencoder_is_the_same_network_without_the_sampling(rng):
    """A VAE whose σ is 0 reconstructs as the autoencoder of the same weights."""
    x, _ = batch()
    autoencoder, vae = make(Autoencoder), make(VAE)
    for name, view in vae.parameters.items():
        given = autoencoder.parameters[name]
        view[..., : given.shape[-1]] = given
    vae.parameters["encoder.1.W"][:, 2:] = 0
    vae.parameters["encoder.1.b"][2:] = -200  # logvar: σ = e^(−100)
    terms = vae.forward(x, eps=rng.standard_normal((6, 2)))
    assert terms.reconstruction == pytest.approx(autoencoder.forward(x).reconstruction, rel=1e-12)
    np.testing.assert_allclose(vae.reconstruct(x), autoencoder.reconstruct(x), rtol=1e-12)


def test_free_bits_count_the_larger_of_the_bound_and_each_dimensions_kl():
    x, eps = batch(L=4)
    plain, free = (make(latent_dim=4, free_bits=bits) for bits in (0.0, 0.3))
    for vae in (plain, free):
        vae.parameters["encoder.1.b"][...] = [0, 0, 2, 2, 0, 0, 0, 0]
    mu, logvar = plain.encode(x)
    per_dimension = [
        np.mean([(m * m + math.exp(v) - 1 - v) / 2 for m, v in zip(*column, strict=True)])
        for column in zip(mu.T, logvar.T, strict=True)
    ]
    terms = free.forward(x, eps=eps)
    assert terms.kl == pytest.approx(sum(per_dimension)) == plain.forward(x, eps=eps).kl
    counted = sum(max(0.3, value) for value in per_dimension)
    assert terms.loss == pytest.approx(terms.reconstruction + counted)


def test_auto_sigma_in_training_is_the_batchs_mean_squared_error():
    x, eps = batch()
    vae = make(sigma="auto")
    vae.forward(x, eps=eps)
    x_hat = vae.decode(vae.mu + np.exp(vae.logvar / 2) * eps)
    assert vae.likelihood.variance == pytest.approx(np.mean((x - x_hat) ** 2), rel=1e-12)


# Encode, decode, sample


def test_shapes_types_and_the_two_ways_through_a_model():
    x, eps = batch()
    vae, autoencoder = make(dtype="float32"), make(Autoencoder, dtype="float32")
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == autoencoder.encode(x).shape == (6, 2)
    assert vae.decode(eps).shape == vae.reconstruct(x).shape == vae.sample(6).shape == (6, 5)
    np.testing.assert_array_equal(vae.reconstruct(x), vae.decode(mu))
    np.testing.assert_array_equal(
        autoencoder.reconstruct(x), autoencoder.decode(autoencoder.encode(x))
    )
    for array in (mu, logvar, vae.decode(eps), vae.sample(3), vae.sample(3, noise=True)):
        assert array.dtype == np.float32


@pytest.mark.parametrize("likelihood", ["sigmoid", "bernoulli"])
def test_decoded_means_are_probabilities_where_the_likelihood_says_so(likelihood):
    x_hat = make(**LIKELIHOODS[likelihood]).decode(1e6 * batch()[1])
    assert x_hat.min() >= 0 and x_hat.max() <= 1


def test_samples_are_decoded_draws_from_the_prior():
    vae = make(VAE, 2, 2, hidden=())
    vae.parameters["decoder.0.W"][...] = np.eye(2)  # x_hat = z
    z = vae.sample(40_000, seed=1)
    assert np.abs(z.mean(axis=0)).max() < 4 / 200 and np.abs(z.std(axis=0) - 1).max() < 0.015
    assert vae.sample(40_000, seed=1, temperature=0.5).std() == pytest.approx(0.5, rel=0.015)
    np.testing.assert_array_equal(vae.sample(3, temperature=0), vae.decode(np.zeros((3, 2))))
    vae.likelihood.sigma = 2.0  # noise adds the variance of p(x|z): 1 + 4
    assert vae.sample(40_000, seed=1, noise=True).var() == pytest.approx(5, rel=0.03)


def test_a_seed_repeats_a_sample():
    vae = make()
    np.testing.assert_array_equal(vae.sample(3, seed=1), vae.sample(3, seed=1))
    assert (vae.sample(3, seed=1) != vae.sample(3, seed=2)).any()
    assert (vae.sample(3) != vae.sample(3)).any()


def test_a_conditional_model_needs_and_uses_labels():
    vae = make(n_classes=3)
    x, eps = batch()
    assert vae.parameters["encoder.0.W"].shape == (5 + 3, 4)
    assert vae.parameters["decoder.0.W"].shape == (2 + 3, 4)
    zeros, ones = np.zeros(6, int), np.ones(6, int)
    assert vae.forward(x, eps=eps, labels=zeros).loss != vae.forward(x, eps=eps, labels=ones).loss
    assert (vae.sample(6, seed=1, labels=zeros) != vae.sample(6, seed=1, labels=ones)).any()
    # Label c adds row c of the lower part of W, as if it were a bias of its own.
    z = np.zeros((1, 2))
    bias = vae.parameters["decoder.0.W"][2 + 1]
    hidden = np.maximum(bias, 0) @ vae.parameters["decoder.1.W"]
    np.testing.assert_allclose(vae.decode(z, labels=[1])[0], hidden, rtol=1e-12)


def test_hidden_layers_are_mirrored_and_may_be_none():
    vae = make(hidden=(4, 3))
    shapes = [view.shape for view in vae.parameters.values() if view.ndim == 2]
    assert shapes == [(5, 4), (4, 3), (3, 4), (2, 3), (3, 4), (4, 5)]
    assert [*make(hidden=()).parameters] == [
        f"{network}.0.{a}" for network in ("encoder", "decoder") for a in "Wb"
    ]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_of_any_width_are_taken(dtype):
    x, eps = batch()
    terms = make(dtype="float32").forward(x.astype(dtype), eps=eps.astype(dtype))
    assert terms.loss.dtype == np.float32


def test_the_seed_fixes_the_whole_model():
    x, _ = batch()
    losses = [float(make(seed=seed).forward(x).loss) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_an_example_is_encoded_alike_in_any_batch():
    x, _ = batch()
    np.testing.assert_allclose(make().encode(x)[0][2:3], make().encode(x[2:3])[0], rtol=1e-12)


# Bad input: one clear line that names the argument, its value and the remedy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_features": 0}, "n_features must be a whole number of at least 1, not 0"),
        ({"n_features": None}, "n_features must be a whole number of at least 1, not None"),
        ({"n_features": 2.5}, "n_features must be a whole number of at least 1, not 2.5"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1, not 0"),
        ({"latent_dim": True}, "latent_dim must be a whole number of at least 1, not True"),
        ({"hidden": "256"}, "hidden must be a sequence of layer widths such as (256,), not '256'"),
        ({"hidden": (4, 0)}, "each width in hidden must be a whole number of at least 1, not 0"),
        ({"hidden": None}, "hidden must be a sequence of layer widths"),
        ({"activation": "gelu"}, "activation must be one of relu, tanh, sigmoid, softplus, not"),
        (
            {"likelihood": "laplace"},
            "likelihood must be one of gaussian, bernoulli, categorical, mixed, not 'laplace'",
        ),
        ({"sigma": 0}, "sigma (or 'auto') must be a finite number above 0, not 0"),
        ({"output": "tanh"}, "output must be one of identity, sigmoid, not 'tanh'"),
        ({"beta": -1}, "beta must be a finite number of at least 0, not -1"),
        ({"beta": math.nan}, "beta must be a finite number of at least 0, not nan"),
        ({"beta": "1"}, "beta must be a finite number of at least 0, not '1'"),
        ({"free_bits": math.inf}, "free_bits must be a finite number of at least 0, not inf"),
        ({"reconstruction_weight": -0.1}, "reconstruction_weight must be a finite number"),
        ({"n_classes": -1}, "n_classes must be a whole number of at least 0, not -1"),
        ({"backend": "torch"}, "backend must be one of auto, numpy, cupy, not 'torch'"),
        ({"dtype": "int8"}, "dtype must be one of float32, float64, not 'int8'"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"seed": None}, "seed must be a whole number of at least 0, not None"),
        ({"encoder": Sequential(Dense(5, 4))}, "encoder and decoder go together"),
        (
            {"encoder": Sequential(Tanh()), "decoder": Sequential(Dense(2, 5)), "n_features": None},
            "the first layer does not tell its width: give n_features too",
        ),
    ],
)
def test_a_wrong_option_is_named_in_one_line(options, words):
    with pytest.raises(ValueError) as error:
        VAE(**{"n_features": 5, "backend": "numpy"} | options)
    assert words in str(error.value) and "\n" not in str(error.value)


def with_nan() -> np.ndarray:
    x = np.zeros((4, 5))
    x[2, 3] = math.nan
    return x


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(5), "x must have the shape (examples, 5), not (5,)"),
        (np.zeros((4, 6)), "x must have the shape (examples, 5), not (4, 6)"),
        (np.zeros((0, 5)), "x must have the shape (examples, 5), not (0, 5)"),
        (np.zeros((4, 5, 1)), "x must have the shape (examples, 5), not (4, 5, 1)"),
        ([[0, 1, 2, 3, 4]], "a model takes floats: divide images by 255, or call .astype"),
        (np.zeros((4, 5), "uint8"), "x has the dtype uint8; a model takes floats: divide"),
        (np.zeros((4, 5), bool), "x has the dtype bool; a model takes floats"),
        (np.zeros((4, 5), complex), "x has the dtype complex128; a model takes floats"),
        ([["a"] * 5], "x has the dtype <U1; a model takes floats"),
        (with_nan(), "x holds nan in row 2, column 3: remove or replace it first"),
        (np.full((4, 5), math.inf), "x holds inf in row 0, column 0: remove or replace it first"),
    ],
)
@pytest.mark.parametrize("method", ["forward", "encode", "reconstruct"])
def test_wrong_data_is_named_in_one_line(method, x, words):
    with pytest.raises(ValueError) as error:
        getattr(make(), method)(x)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.decode(np.zeros((3, 5))), "z must have the shape (examples, 2), not (3, 5)"),
        (lambda m: m.decode(np.zeros((3, 2), int)), "z has the dtype int64; a model takes floats"),
        (lambda m: m.sample(0), "n must be a whole number of at least 1, not 0"),
        (lambda m: m.sample(2, seed=-1), "seed must be a whole number of at least 0, not -1"),
        (lambda m: m.sample(2, temperature=-1.0), "temperature must be a finite number of at"),
        (
            lambda m: m.forward(batch()[0], eps=np.zeros((6, 3))),
            "eps must have the shape (examples, 2), not (6, 3)",
        ),
    ],
)
def test_a_wrong_argument_of_a_method_is_named(call, words):
    with pytest.raises(ValueError) as error:
        call(make())
    assert words in str(error.value) and "\n" not in str(error.value)


def test_one_row_of_noise_is_not_spread_over_the_batch():
    with pytest.raises(ValueError, match="eps must have a row for each of 6 examples, not 1"):
        make().forward(batch()[0], eps=np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "this model is conditional: give labels, one of 0 … 2 for each of 6 examples"),
        ([0, 1], "labels must be 6 whole numbers, not int64 of the shape (2,)"),
        ([0.5] * 6, "labels must be 6 whole numbers, not float64 of the shape (6,)"),
        ([0, 1, 2, 3, 0, 1], "label 3 is not one of 0 … 2"),
        ([0, 1, 2, -1, 0, 1], "label -1 is not one of 0 … 2"),
    ],
)
def test_wrong_labels_are_named(labels, words):
    with pytest.raises(ValueError) as error:
        make(n_classes=3).forward(batch()[0], labels=labels)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_bernoulli_takes_data_in_the_unit_interval():
    with pytest.raises(ValueError, match=r"x spans \[-2, 0\], but likelihood 'bernoulli' takes"):
        make(likelihood="bernoulli").forward(np.linspace(-2, 0, 10).reshape(2, 5))


def test_a_likelihood_of_ones_own_is_taken_as_it_is():
    likelihood = Gaussian(0.25)
    assert make(likelihood=likelihood).sigma == 0.25


@pytest.mark.parametrize("model", [VAE, Autoencoder])
def test_backward_before_forward_is_a_clear_error(model):
    with pytest.raises(RuntimeError, match="call forward"):
        make(model).backward()


class Doubling:
    """A layer of one's own: two methods."""

    def forward(self, x):
        self.x = x
        return 2 * x

    def backward(self, dy):
        assert len(dy) == len(self.x)
        return 2 * dy


class Residual(Sequential):
    """y = x + f(x), made of layers, with a `forward` of its own."""

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, dy, need_dx=True):
        return dy + super().backward(dy)


class Leaky(ReLU):
    """A ReLU of one's own, with a `forward` and a `backward`, but the `__call__` of its base."""

    def forward(self, x):
        self.slope = np.where(x > 0, 1.0, 0.1)
        return self.slope * x

    def backward(self, dy):
        return self.slope * dy


def with_own_layers(*layers):
    encoder = Sequential(Dense(4, 3), *layers, Dense(3, 4))
    decoder = Sequential(Dense(2, 3), Tanh(), Dense(3, 4))
    return VAE(encoder=encoder, decoder=decoder, sigma=0.5, dtype="float64", backend="numpy")


NETWORKS = {
    "layers of the package": lambda: VAE(4, 2, hidden=(3,), dtype="float64", backend="numpy"),
    "two methods": lambda: with_own_layers(Doubling()),
    "a layer of layers": lambda: with_own_layers(Residual(Dense(3, 3), Tanh())),
    "a subclass": lambda: with_own_layers(Leaky()),
}


@pytest.mark.parametrize("between", ["encode", "reconstruct", "elbo"])
@pytest.mark.parametrize("network", NETWORKS)
def test_what_forward_remembers_is_kept_whatever_is_computed_before_backward(network, between, rng):
    x, eps = rng.random((5, 4)), rng.standard_normal((5, 2))
    vae = NETWORKS[network]()
    vae.forward(x, eps=eps)
    vae.backward()
    expected = vae.parameters.grad.copy()
    vae.forward(x, eps=eps)
    if between == "elbo":
        evaluate.elbo(vae, x[:2])
    else:
        getattr(vae, between)(x[:2])
    vae.backward()
    np.testing.assert_array_equal(vae.parameters.grad, expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_codes_are_those_of_the_forward_pass(network, rng):
    x = rng.random((5, 4))
    vae = NETWORKS[network]()
    mu, logvar = vae.encode(x)
    vae.forward(x)
    np.testing.assert_array_equal(np.hstack([mu, logvar]), np.hstack([vae.mu, vae.logvar]))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda v, x: VAE(4, 2, (3,)), "write hidden=(3,)"),
        (lambda v, x: v.forward(x, None), "write eps=None"),
        (lambda v, x: v.encode(x, None), "write labels=None"),
        (lambda v, x: v.sample(3, 7), "write seed=7"),
        (lambda v, x: evaluate.elbo(v, x, 5), "write samples=5"),
        (lambda v, x: evaluate.log_likelihood(v, x, 5), "write samples=5"),
        (lambda v, x: evaluate.active_units(v, x, 0.1), "write threshold=0.1"),
        (lambda v, x: v.encode(x, label=None), "encode has no argument 'label': did you mean la"),
    ],
)
def test_what_is_given_by_position_names_the_keyword(call, line, rng):
    vae = VAE(4, 2, hidden=(3,), backend="numpy")
    with pytest.raises(TypeError) as error:
        call(vae, rng.random((5, 4)))
    assert line in str(error.value) and "\n" not in str(error.value)


def test_layers_alone_can_run(rng):
    x = rng.standard_normal((5, 4))
    layer = Dense(4, 3)
    y = layer.forward(x)
    assert y.shape == (5, 3) and layer.backward(y).shape == (5, 4)
    np.testing.assert_allclose(layer.dW, x.T @ y)


def test_a_network_within_a_network_is_the_same_as_its_layers(rng):
    def build(encoder):
        return VAE(encoder=encoder, decoder=Sequential(Dense(2, 4)), backend="numpy", seed=1)

    flat = build(Sequential(Dense(4, 3), Tanh(), Dense(3, 4)))
    nested = build(Sequential(Sequential(Dense(4, 3), Tanh()), Dense(3, 4)))
    x, eps = rng.random((5, 4)), rng.standard_normal((5, 2))
    assert list(nested.parameters) == list(flat.parameters)
    assert nested.forward(x, eps=eps) == flat.forward(x, eps=eps)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VAE(8, latent=3), "VAE has no argument 'latent': did you mean latent_dim?"),
        (lambda: VAE(8, free_bit=1), "VAE has no argument 'free_bit': did you mean free_bits?"),
        (
            lambda: IWAE(8, samples=5),
            "IWAE has no argument 'samples': did you mean importance_samples?",
        ),
        (
            lambda: Autoencoder(8, beta=2),
            "Autoencoder has no argument 'beta': it takes n_features, ",
        ),
    ],
)
def test_an_unknown_argument_is_told_with_the_class_and_the_closest_name(make, message):
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        make()


def test_an_unknown_argument_of_ones_own_class_is_told_with_what_its_bases_take():
    class Small(VAE):
        def __init__(self, n_features, width=4, **options):
            super().__init__(n_features, hidden=(width,), **options)

    with pytest.raises(TypeError, match=r"^Small has no argument 'n': it takes n_features, .*beta"):
        Small(5, n=1)
    with pytest.raises(TypeError, match=r"did you mean free_bits\?"):
        Small(5, free_bit=1)


def test_a_model_is_printed_in_a_line():
    vae = VAE(784, 2, sigma=0.7071, backend="numpy")
    assert repr(vae) == "VAE(784-256-2, gaussian, sigma 0.71, 404,244 weights, float32, numpy)"
    networks = {"encoder": Sequential(Dense(5, 2)), "decoder": Sequential(Dense(4, 3))}
    own = Autoencoder(likelihood="bernoulli", n_classes=2, backend="numpy", **networks)
    assert repr(own) == "Autoencoder(3-…-2, bernoulli, 2 classes, 27 weights, float32, numpy)"


@pytest.mark.parametrize("value", [None, "text"])
def test_what_is_no_array_is_named(value):
    message = rf"^x must be an array of the shape \(examples, 5\), not {value!r}$"
    with pytest.raises(ValueError, match=message):
        make().encode(value)


COPIES = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("model", [VAE, Autoencoder, IWAE])
def test_a_copy_of_a_model_is_whole_and_shares_nothing(model, how, rng):
    original = make(model, sigma="auto")
    x = rng.random((6, 5))
    original.forward(x)
    found = COPIES[how](original)
    before = original.parameters.theta.copy()
    np.testing.assert_array_equal(found.parameters.theta, before)
    found.parameters.theta += 1.0
    np.testing.assert_array_equal(found.encoder.layers[0].W, found.parameters["encoder.0.W"])
    found.forward(x)
    found.backward()
    assert np.any(found.parameters.grad) and np.any(found.encoder.layers[0].dW)
    np.testing.assert_array_equal(original.parameters.theta, before)
    assert not np.any(original.parameters.grad)
    assert found.sigma != original.sigma


def test_a_model_and_its_optimizer_are_copied_together(rng):
    vae = make()
    copied, optimizer = copy.deepcopy((vae, Adam(vae.parameters)))
    assert optimizer.parameters is copied.parameters
    before = copied.parameters["decoder.0.W"].copy()
    copied.forward(rng.random((6, 5)))
    copied.backward()
    optimizer.step()
    assert np.any(copied.decoder.layers[0].W != before)
