"""Would these tests notice a wrong VAE? Each error here is planted, and its witnesses must fail.

The errors are those that people make. `green` names checks that *pass* in spite of the error: a
gradient check compares the backward pass with the forward pass, and cannot see what both share.
That is why every formula has a second witness.
"""

import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType

import numpy as np
import pytest
import test_backends
import test_columns
import test_latent
import test_layers
import test_likelihood
import test_model
import test_optim
import test_ppca

from tinyvae.core import columns, likelihood, optim
from tinyvae.core.columns import Categorical, Columns, DiagonalGaussian
from tinyvae.core.latent import kl, kl_backward, reparameterize, reparameterize_backward
from tinyvae.core.layers import Dense, ReLU, Sigmoid, Tanh
from tinyvae.core.likelihood import Bernoulli, CalibratedGaussian, Gaussian, gaussian_nll
from tinyvae.core.model import Terms
from tinyvae.core.optim import SGD, Adam
from tinyvae.models import VAE


@pytest.fixture
def plant(monkeypatch) -> Callable[[FunctionType, FunctionType], None]:
    """Return a function that puts a wrong function in the place of a right one, everywhere."""

    def replace(right: FunctionType, wrong: FunctionType) -> None:
        if "." in right.__qualname__:
            owner, name = right.__qualname__.split(".")
            monkeypatch.setattr(getattr(sys.modules[right.__module__], owner), name, wrong)
            return
        for name, module in list(sys.modules.items()):
            users = name.startswith(("tinyvae", "test_")) and name != __name__
            if users and vars(module).get(right.__name__) is right:
                monkeypatch.setattr(module, right.__name__, wrong)

    return replace


def seeded(test: Callable, *arguments) -> Callable[[], None]:
    """Return a test that takes the generator `rng`, ready to be called, any number of times."""
    return lambda: test(*arguments, rng=np.random.default_rng(0))


def ppca() -> None:
    test_ppca.trained.cache_clear()
    try:
        test_ppca.test_a_linear_vae_reaches_the_exact_log_likelihood()
    finally:
        test_ppca.trained.cache_clear()


differences_vae = partial(test_model.test_vae_gradient_matches_differences, "fixed", 4, 2)
differences_z = seeded(test_latent.test_reparameterization_gradient_matches_differences, (5, 4))
differences_kl = seeded(test_latent.test_kl_gradient_matches_differences, (5, 4))
differences_nll = seeded(
    test_likelihood.test_gradient_of_the_batch_mean_matches_differences, "fixed", (5, 3)
)
differences_dense = partial(test_layers.test_gradients_match_central_differences, "dense", 7)
sampler = seeded(test_latent.test_z_has_the_mean_mu_and_the_standard_deviation_exp_half_logvar)
sampler_of_model = partial(
    test_latent.test_a_model_draws_z_from_q_independently_for_each_row_and_dimension, "float64"
)
monte_carlo = partial(test_latent.test_kl_agrees_with_monte_carlo, 0)
density = seeded(
    test_likelihood.test_gaussian_nll_is_minus_the_log_of_the_normal_density, "identity"
)
halves = seeded(test_model.test_the_loss_of_two_independent_halves_is_the_sum_of_their_losses)
doubled = partial(test_model.test_a_doubled_batch_has_the_same_loss_and_gradient, VAE, "fixed")
textbook = partial(test_optim.test_adam_follows_the_textbook_for_2000_steps, {}, "float64", 1e-12)
strict_step = test_backends.test_a_training_step_needs_nothing_that_cupy_lacks_and_copies_nothing

densities = {
    name: seeded(
        test_columns.test_nll_is_minus_the_log_of_the_density_of_what_was_observed, name, True
    )
    for name in ("per feature", "categorical", "mixed")
}
differences_columns = {
    name: seeded(
        test_columns.test_gradient_matches_differences_for_a_factor_of_each_row, name, 5, True
    )
    for name in densities
}
integrated = seeded(test_columns.test_a_missing_cell_is_one_that_is_integrated_over)
sigma_moves = seeded(
    test_columns.test_sigma_moves_towards_the_mean_squared_errors_of_what_was_observed
)
best_sigma = seeded(test_columns.test_the_mean_squared_errors_make_the_loss_smallest)

PLANTED, SEEN_BY_AUTOGRAD = {}, {}


def planted(
    error: str,
    red: list,
    green: tuple = (),
    raises: type | tuple = AssertionError,
    autograd: str | None = None,
) -> Callable:
    """Register an error: what turns red, what stays green, and where autograd sees it."""

    def register(plant_it: Callable) -> Callable:
        PLANTED[error] = (plant_it, red, green, raises)
        if autograd:
            SEEN_BY_AUTOGRAD[error] = (plant_it, autograd)
        return plant_it

    return register


# Errors that forward and backward pass share: no gradient check sees them


@planted(
    "σ = exp(logvar)",
    red=[sampler, sampler_of_model, ppca],
    autograd="fixed",
    green=(differences_z, differences_vae),
)
def _(plant):
    plant(reparameterize, lambda mu, logvar, eps: mu + np.exp(logvar) * eps)
    plant(reparameterize_backward, lambda dz, logvar, eps: (dz, dz * eps * np.exp(logvar)))


@planted(
    "one row of noise for the whole batch", red=[sampler_of_model, sampler], green=(differences_z,)
)
def _(plant):
    def same(eps):
        return np.broadcast_to(eps[:1], eps.shape)

    plant(reparameterize, lambda mu, logvar, eps: reparameterize(mu, logvar, same(eps)))
    plant(
        reparameterize_backward,
        lambda dz, logvar, eps: reparameterize_backward(dz, logvar, same(eps)),
    )


@planted(
    "KL without its ½", red=[monte_carlo], autograd="fixed", green=(differences_kl, differences_vae)
)
def _(plant):
    plant(kl, lambda mu, logvar: 2 * kl(mu, logvar))
    plant(kl_backward, lambda dkl, mu, logvar: kl_backward(2 * dkl, mu, logvar))


@planted("KL averaged over latents", red=[halves, monte_carlo], green=(differences_vae,))
def _(plant):
    plant(kl, lambda mu, logvar: kl(mu, logvar) / mu.shape[-1])
    plant(kl_backward, lambda dkl, mu, logvar: kl_backward(dkl / mu.shape[-1], mu, logvar))


@planted(
    "reconstruction averaged over pixels",
    red=[halves, density],
    autograd="fixed",
    green=(differences_nll, differences_vae),
)
def _(plant):
    forward, backward = Gaussian.forward, Gaussian.backward
    plant(forward, lambda self, y, x: forward(self, y, x) / x.shape[1])
    plant(backward, lambda self, dnll: backward(self, dnll) / self.error.shape[1])


@planted(
    "loss summed over the batch",
    red=[doubled],
    autograd="fixed",
    green=(differences_nll, differences_vae),
)
def _(plant):
    forward, backward = Gaussian.forward, Gaussian.backward
    plant(forward, lambda self, y, x: forward(self, y, x) * len(x))
    plant(backward, lambda self, dnll: backward(self, dnll) * len(self.error))


@planted(
    "σ in the place of σ²",
    red=[density],
    autograd="fixed",
    green=(differences_nll, differences_vae),
)
def _(plant):
    init = Gaussian.__init__

    def wrong(self, sigma):
        init(self, sigma)
        self.sigma **= 0.5

    plant(init, wrong)


@planted(
    "Gaussian without its normalisation", red=[density], autograd="fixed", green=(differences_nll,)
)
def _(plant):
    def wrong(squared_error, variance, D):
        return 0.5 * squared_error / variance

    plant(gaussian_nll, wrong)


# Errors of the backward pass alone


@planted("fresh noise in the backward pass", red=[differences_vae], autograd="fixed")
def _(plant):
    rng = np.random.default_rng(0)

    def wrong(dz, logvar, eps):
        return reparameterize_backward(dz, logvar, rng.standard_normal(eps.shape))

    plant(reparameterize_backward, wrong)


@planted("a lost ½ in dz/dlogvar", red=[differences_z, differences_vae], autograd="fixed")
def _(plant):
    plant(
        reparameterize_backward,
        lambda dz, logvar, eps: (dz, 2 * reparameterize_backward(dz, logvar, eps)[1]),
    )


@planted("a lost ½ in dKL/dlogvar", red=[differences_kl, differences_vae], autograd="fixed")
def _(plant):
    plant(kl_backward, lambda dkl, mu, logvar: (dkl * mu, dkl * (np.exp(logvar) - 1)))


@planted("a wrong sign of dKL/dmu", red=[differences_kl, differences_vae])
def _(plant):
    plant(kl_backward, lambda dkl, mu, logvar: (-dkl * mu, kl_backward(dkl, mu, logvar)[1]))


@planted("a wrong sign of logvar in the KL", red=[monte_carlo, differences_kl])
def _(plant):
    plant(kl, lambda mu, logvar: 0.5 * (mu**2 + np.exp(logvar) - 1 + logvar))


@planted("a gradient not divided by the batch", red=[differences_vae])
def _(plant):
    backward = Gaussian.backward
    plant(backward, lambda self, dnll: backward(self, dnll * len(self.error)))


@planted("a gradient without beta", red=[differences_vae])  # beta is 0.7 there
def _(plant):
    gradient = VAE.gradient

    def wrong(self):
        beta, self.beta = self.beta, 1.0
        gradient(self)
        self.beta = beta

    plant(gradient, wrong)


@planted(
    "no derivative of the output's sigmoid",
    red=[partial(test_model.test_vae_gradient_matches_differences, "sigmoid", 4, 2)],
    green=(differences_vae,),
)
def _(plant):
    plant(Sigmoid.backward, lambda self, dy: dy)


@planted(
    "σ² from a sum over features",
    red=[
        seeded(
            test_likelihood.test_auto_sigma_is_the_root_mean_squared_error_for_data_of_any_scale,
            1.0,
        ),
        seeded(test_likelihood.test_no_other_sigma_makes_the_batch_more_likely),
    ],
    autograd="auto",
)
def _(plant):
    forward = CalibratedGaussian.forward

    def wrong(self, y, x):
        forward(self, y, x)
        self.variance = self.variance * x.shape[1]
        return gaussian_nll((self.error**2).sum(axis=1), self.variance, x.shape[1])

    plant(forward, wrong)


@planted(
    "Bernoulli's gradient with a wrong sign",
    red=[partial(test_model.test_vae_gradient_matches_differences, "bernoulli", 4, 2)],
)
def _(plant):
    plant(Bernoulli.backward, lambda self, dnll: dnll * (self.x - self.p))


@planted(
    "Bernoulli by logarithms of probabilities",
    red=[partial(test_likelihood.test_bernoulli_is_stable_for_any_logit, "float32")],
    green=(
        seeded(
            test_likelihood.test_gradient_of_the_batch_mean_matches_differences,
            "bernoulli",
            (5, 3),
        ),
    ),
)
def _(plant):
    def wrong(p, y, x):
        p = np.clip(p, 1e-7, 1 - 1e-7)
        return -(x * np.log(p) + (1 - x) * np.log(1 - p))

    plant(likelihood.cross_entropy, wrong)


# Tables


@planted(
    "σ_d in the place of σ_d²",
    red=[densities["per feature"], densities["mixed"]],
    green=(differences_columns["per feature"],),
)
def _(plant):
    cells, slope = DiagonalGaussian.cells, DiagonalGaussian.slope

    def of_root(method):
        return lambda self, y, x: method(DiagonalGaussian(self.variance**0.5), y, x)

    plant(cells, of_root(cells))
    plant(slope, of_root(slope))


@planted(
    "a missing cell's normalisation counted",
    red=[densities["per feature"], integrated],
    green=(differences_columns["per feature"],),
)
def _(plant):
    def wrong(self, y, x):
        m = np.isnan(x)
        return self.cells(y, np.where(m, y, x))  # no error, but still ½ log 2πσ²

    plant(Columns.observed_cells, wrong)


@planted(
    "a missing cell read as 0",
    red=[differences_columns["per feature"], differences_columns["mixed"]],
    green=(densities["mixed"],),
)
def _(plant):
    def wrong(self, dnll):
        self.dnll = dnll
        return self.slope(self.y, np.nan_to_num(self.x)) * dnll

    plant(Columns.backward, wrong)


@planted(
    "missing cells counted among the squares",
    red=[sigma_moves, best_sigma],
    green=(differences_columns["per feature"],),
)
def _(plant):
    def wrong(self, y, x):
        error = np.nan_to_num(x - y)
        return np.concatenate([error**2, np.ones_like(error)], axis=1)

    plant(DiagonalGaussian.squares, wrong)


@planted("x − p of the categories", red=[differences_columns["categorical"]])
def _(plant):
    slope = Categorical.slope
    plant(slope, lambda self, y, x: -slope(self, y, x))


@planted(
    "categories averaged over their columns",
    red=[densities["categorical"], densities["mixed"]],
    green=(differences_columns["categorical"],),
)
def _(plant):
    cells, slope = Categorical.cells, Categorical.slope
    plant(cells, lambda self, y, x: cells(self, y, x) / x.shape[1])
    plant(slope, lambda self, y, x: slope(self, y, x) / x.shape[1])


@planted(
    "softmax without the largest y taken out",
    red=[partial(test_columns.test_categories_are_stable_for_any_logit, "float64")],
    green=(differences_columns["categorical"], densities["categorical"]),
    raises=(AssertionError, FloatingPointError),
)
def _(plant):
    plant(columns.log_softmax, lambda y: y - np.log(np.exp(y).sum(axis=1, keepdims=True)))


# Layers


@planted("db averaged over the batch", red=[differences_dense], autograd="fixed")
def _(plant):
    backward = Dense.backward

    def wrong(self, dy, need_dx=True):
        dx = backward(self, dy, need_dx)
        self.db /= len(dy)
        return dx

    plant(backward, wrong)


@planted(
    "gradients added instead of written",
    red=[
        seeded(test_layers.test_backward_writes_the_gradient_instead_of_adding_to_it),
        test_model.test_backward_writes_the_gradient_instead_of_adding_to_it,
    ],
    green=(differences_dense, differences_vae),  # the first backward pass of a model is right
)
def _(plant):
    backward = Dense.backward

    def wrong(self, dy, need_dx=True):
        before = self.dW.copy()
        dx = backward(self, dy, need_dx)
        self.dW += before
        return dx

    plant(backward, wrong)


@planted(
    "ReLU's mask from dy in the place of y",
    red=[partial(test_layers.test_gradients_match_central_differences, "relu", 7)],
    autograd="fixed",
)
def _(plant):
    plant(ReLU.backward, lambda self, dy: dy * (dy > 0))


@planted(
    "tanh' = 1 − y in the place of 1 − y²",
    red=[partial(test_layers.test_gradients_match_central_differences, "tanh", 7)],
)
def _(plant):
    plant(Tanh.backward, lambda self, dy: dy * (1 - self.y))


@planted(
    "first weights of standard deviation 1",
    red=[
        partial(test_layers.test_first_weights_have_the_spread_that_the_activation_wants, "relu"),
        seeded(
            test_layers.test_an_activation_after_its_own_initialization_keeps_the_scale_of_the_signal
        ),
    ],
    green=(differences_dense,),
)
def _(plant):
    def wrong(self, rng):
        return {name: rng.standard_normal(shape) for name, shape in self.shapes.items()}

    plant(Dense.initialize, wrong)


# The loss, the optimizers, the device


@planted(
    "elbo = −loss",
    red=[
        partial(
            test_model.test_elbo_is_minus_reconstruction_minus_kl_whatever_the_weights, (0.3, 4.0)
        )
    ],
    green=(
        partial(
            test_model.test_elbo_is_minus_reconstruction_minus_kl_whatever_the_weights, (1.0, 1.0)
        ),
    ),
)
def _(plant):
    plant(Terms.elbo.fget, property(lambda self: -self.loss))


@planted("Adam without bias correction", red=[textbook])
def _(plant):
    step = Adam.step

    def wrong(self):
        t, self.t = self.t, 10**6
        step(self)
        self.t = t + 1

    plant(step, wrong)


@planted("Adam's ε under the root", red=[textbook])
def _(plant):
    def wrong(self):
        self.t += 1
        self.M[...] = self.beta1 * self.M + self.grad
        self.V[...] = self.beta2 * self.V + self.grad**2
        m = self.M * (1 - self.beta1) / (1 - self.beta1**self.t)
        v = self.V * (1 - self.beta2) / (1 - self.beta2**self.t)
        self.theta -= self.lr * m / np.sqrt(v + self.epsilon)

    plant(Adam.step, wrong)


@planted(
    "momentum that dampens the gradient",
    red=[partial(test_optim.test_sgd_follows_its_recurrence, 0.9, "float64", 1e-13)],
    green=(partial(test_optim.test_sgd_follows_its_recurrence, 0.0, "float64", 1e-13),),
)
def _(plant):
    def wrong(self):
        self.u[...] = self.momentum * self.u + (1 - self.momentum) * self.grad
        self.theta -= self.lr * self.u

    plant(SGD.step, wrong)


@planted(
    "float64 slips into a float32 model",
    red=[partial(strict_step, "free bits", "float32")],
    green=(differences_vae,),
    raises=TypeError,
)
def _(plant):
    forward = VAE.forward

    def wrong(self, *args, **kwargs):
        terms = forward(self, *args, **kwargs)
        if self.free_bits:
            self.counts = self.counts > 0.5  # booleans times a number are float64
        return terms

    plant(forward, wrong)


@planted(
    "a copy to the host in every step",
    red=[partial(strict_step, "gaussian", "float32")],
    green=(differences_vae,),
    raises=TypeError,
)
def _(plant):
    forward = VAE.forward

    def wrong(self, *args, **kwargs):
        terms = forward(self, *args, **kwargs)
        float(terms.loss)
        return terms

    plant(forward, wrong)


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_turns_its_witnesses_red(error, plant):
    plant_it, red, green, raises = PLANTED[error]
    plant_it(plant)
    for witness in green:
        witness()
    for witness in red:
        with pytest.raises(raises):
            witness()


@pytest.mark.parametrize("error", SEEN_BY_AUTOGRAD)
def test_autograd_notices_a_planted_error(error, plant):
    pytest.importorskip("torch", reason="PyTorch, the witness of this test, is not installed")
    import test_torch_parity

    plant_it, likelihood = SEEN_BY_AUTOGRAD[error]
    agrees = partial(
        test_torch_parity.test_vae_agrees_with_autograd, 1, "relu", likelihood, "float64"
    )
    agrees()
    plant_it(plant)
    with pytest.raises(AssertionError):
        agrees()


def test_moments_that_are_never_flushed_are_noticed(monkeypatch):
    monkeypatch.setattr(optim, "TINY", 0.0)
    with pytest.raises(AssertionError, match="denormal"):
        test_optim.test_adam_flushes_moments_before_they_become_denormal("float32")


def test_every_witness_is_green_on_the_package_as_it_is():
    for _, red, green, _ in PLANTED.values():
        for witness in [*red, *green]:
            if witness is not ppca:
                witness()
