"""The audit clears right VAEs and convicts each planted error under its own name."""

import json
import sys
from types import SimpleNamespace

import audit_zoo as zoo
import numpy as np
import pytest

from tinyvae.audit import audit
from tinyvae.audit.statistics import LOG_ALPHA, chi_square_bounds, distance_from_normal


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", ["sum", "mean"])
@pytest.mark.parametrize("form", zoo.RECONSTRUCTIONS)
def test_right_models_are_cleared(rng, form, batch, dtype):
    objective = zoo.objective(reconstruction=zoo.RECONSTRUCTIONS[form], batch=batch)
    report = audit(sample=zoo.sampler(rng), objective=objective, dtype=dtype)
    assert report.ok
    assert report.beta == pytest.approx(0.5 if form == "squared error" else 1.0, rel=1e-3)


@pytest.mark.parametrize("error", zoo.SAMPLERS)
def test_each_error_of_a_sampler_is_named(rng, error):
    name, make = zoo.SAMPLERS[error]
    assert audit(sample=make(rng)).names == [name]


@pytest.mark.parametrize("error", zoo.LOSSES)
def test_each_error_of_a_loss_is_named(error):
    name, changes = zoo.LOSSES[error]
    assert audit(objective=zoo.objective(**changes)).names == [name]


@pytest.mark.parametrize("form", zoo.RECONSTRUCTIONS)
@pytest.mark.parametrize("error", zoo.BETAS)
def test_a_stated_beta_is_held(error, form):
    name, changes = zoo.BETAS[error]
    reconstruction = zoo.RECONSTRUCTIONS[form]
    assert not audit(
        objective=zoo.objective(reconstruction=reconstruction, beta=3.0), beta=3.0
    ).errors
    wrong = zoo.objective(reconstruction=reconstruction, **changes)
    assert audit(objective=wrong, beta=3.0).names == [name]


def test_a_beta_without_effect_is_told_with_the_weights_that_the_values_have():
    objective = zoo.objective(reconstruction=zoo.RECONSTRUCTIONS["squared error"])
    report = audit(objective=objective, beta=4)
    messages = {finding.name: finding.message for finding in report.findings}
    assert messages["beta-unused"].startswith("the KL has the weight 1, effective β = 0.5: ")
    assert messages["kl"].startswith("weight 1,")
    assert messages["balance"].startswith("effective β = 0.5 ")


def test_a_stated_beta_is_held_against_the_same_effective_beta_where_that_has_sizes():
    loss = zoo.objective(reconstruction=zoo.RECONSTRUCTIONS["squared error"], pixels="mean")
    report = audit(objective=loss, beta=4, pixels=784)
    told = [f.message for f in report.findings if "effective β" in f.message]
    assert len(told) == 2 and all("effective β = D/2" in message for message in told)


@pytest.mark.parametrize("beta", ["x", -1.0, float("nan")])
def test_a_beta_that_is_no_weight_is_refused(beta):
    with pytest.raises(ValueError, match=r"^beta must be a finite number of at least 0, not"):
        audit(objective=zoo.objective(), beta=beta)


@pytest.mark.parametrize("heads", ["apart", "together"])
@pytest.mark.parametrize("error", zoo.GRADIENTS)
def test_each_error_of_a_gradient_is_named(error, heads):
    model = zoo.HandWritten(error, heads)
    before = {name: array.copy() for name, array in model.p.items()}
    assert audit(**model.arguments()).names == [zoo.GRADIENTS[error]]
    assert all((model.p[name] == array).all() for name, array in before.items())


@pytest.mark.parametrize("heads", ["apart", "together"])
def test_a_right_gradient_is_cleared(heads):
    assert not audit(**zoo.HandWritten("", heads).arguments()).errors


def test_a_gradient_of_the_last_loss_that_draws_from_numpys_global_state():
    model = zoo.HandWritten()
    model.rng = np.random
    arguments = {"loss": model.forward, "parameters": model.p, "pixels": 12}
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert not audit(gradient=lambda: model.backward(model.x), **arguments).errors
    assert not audit(gradient=model.backward, **arguments).errors
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_a_mean_squared_error_beside_a_summed_kl_is_a_choice_with_a_number():
    objective = zoo.objective(reconstruction=zoo.RECONSTRUCTIONS["squared error"], pixels="mean")
    report = audit(objective=objective, pixels=784)
    assert not report.errors and report.beta == pytest.approx(392, rel=1e-3)
    assert "effective β = D/2 = 392" in str(report)


def test_sizes_in_the_code_acquit_only_where_they_were_passed():
    def loss(x, x_hat, mu, logvar):
        nll = zoo.cross_entropy(x, x_hat).mean()
        return nll + zoo.right_kl(mu, logvar).sum() / (100 * 784)  # Python stores the product

    assert audit(objective=loss).names == ["batch-reduction-mismatch", "pixel-mean"]
    report = audit(objective=loss, batch=100, pixels=784)
    assert not report.errors and "right at these sizes" in str(report)


def test_a_function_that_insists_on_its_sizes_is_read_by_the_number():
    def loss(x, x_hat, mu, logvar):
        assert x.shape == (16, 8) and mu.shape == (16, 2)
        return zoo.cross_entropy(x, x_hat).sum(1).mean() + zoo.right_kl(mu, logvar).sum() / 32

    report = audit(objective=loss, batch=16, pixels=8, latent=2)
    assert "1/32 in place of 1/(B·L)" not in str(report) and report.beta == pytest.approx(0.5)


@pytest.mark.parametrize("pixels", [(1, 28, 28), (3, 256, 256)])
def test_large_images_do_not_drown_the_kl(pixels):
    objective = zoo.objective(reconstruction=zoo.logits)
    report = audit(objective=objective, pixels=pixels, batch=2)
    assert not report.errors and report.beta == pytest.approx(1.0, rel=2e-3)


def test_free_bits_are_a_note():
    def kl(mu, logvar):
        return np.maximum(zoo.right_kl(mu, logvar), 0.25)

    report = audit(kl=lambda mu, logvar: kl(mu, logvar).sum(1).mean())
    assert not report.errors and "kl-free-bits" in str(report)


def test_one_latent_and_one_example():
    rng = np.random.default_rng(0)
    assert not audit(sample=zoo.sampler(rng), batch=1, latent=1).errors
    wrong = zoo.sampler(rng, zoo.STDS["exp(logvar)"])
    assert audit(sample=wrong, batch=1, latent=1).names == ["sampler-std"]


def test_a_whole_loss_says_what_it_hides():
    rng = np.random.default_rng(0)
    noisy = audit(loss=lambda x: (x**2).sum() + rng.standard_normal(), pixels=4)
    assert noisy.state == "not judged" and "cannot be separated" in str(noisy)
    assert audit(loss=lambda x: (x**2).sum(), pixels=4).names == ["loss-deterministic"]


def test_the_report_reads_as_text_html_and_dictionary():
    report = audit(sample=zoo.sampler(np.random.default_rng(0), zoo.STDS["exp(logvar)"]))
    assert str(report).startswith("wrong: 1 error found in sample\n✗ error  sampler-std: σ is")
    assert "write    std = np.exp(0.5 * logvar)" in str(report)
    assert "<b>sampler-std</b>" in report._repr_html_()
    found = json.loads(json.dumps(report.to_dict()))["findings"][0]
    assert found["name"] == "sampler-std" and found["statistic"] == pytest.approx(1.0, abs=0.02)


def nothing(mu, s):
    raise RuntimeError("no such\nthing")


@pytest.mark.parametrize(
    "arguments, kind, text",
    [
        ({}, ValueError, "nothing to audit"),
        ({"sample": 3}, TypeError, "sample must be a function, not 3"),
        ({"kl": zoo.right_kl, "scale": "sigma"}, ValueError, "logvar, logstd, std, var, not 'sig"),
        ({"kl": zoo.right_kl, "dtype": "float16"}, ValueError, "dtype must be float32 or float64"),
        ({"kl": zoo.right_kl, "latent": 0}, ValueError, "latent must be a whole number"),
        ({"sample": nothing}, ValueError, r"sample raised RuntimeError: no such thing \(it was gi"),
        ({"sample": lambda mu, s: mu * np.nan}, ValueError, "sample returned NaN or infinity at s"),
        ({"sample": lambda mu, s: mu[:-1]}, ValueError, "no z of mu's shape"),
        ({"sample": lambda mu, s: "z"}, TypeError, "sample returned a str, not an array"),
        ({"sample": lambda mu, s: mu.astype("f2")}, ValueError, "float16, too coarse"),
        ({"kl": lambda mu, s: mu.sum() * np.nan}, ValueError, "kl returned NaN or infinity"),
        ({"kl": lambda mu, s: mu[:3]}, ValueError, r"kl returned the shape \(3, 5\)"),
        ({"kl": lambda a, b, c: a}, TypeError, r"kl takes \(a, b, c\), but"),
        ({"loss": np.sum, "gradient": np.cos, "pixels": 4}, ValueError, "needs parameters="),
        ({"gradient": np.cos}, ValueError, "gradient needs loss="),
        ({"encode": lambda x: x, "pixels": 4}, ValueError, "encode returned 1 array"),
    ],
)
def test_bad_input_gets_one_line(arguments, kind, text):
    with pytest.raises(kind, match=text) as raised:
        audit(**arguments)
    assert "\n" not in str(raised.value)


def test_a_cupy_without_a_gpu_does_not_hide_why_a_function_fails(monkeypatch):
    def asarray(array):
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(asarray=asarray))
    with pytest.raises(ValueError, match="sample raised RuntimeError: no such thing"):
        audit(sample=nothing)


def test_a_loss_with_noise_that_no_seed_holds():
    arguments = zoo.HandWritten().arguments() | {"seed": lambda number: None}
    with pytest.raises(ValueError, match="differs between two calls with the same seed"):
        audit(**arguments)


def test_the_bounds_are_honest_on_a_small_scale(rng):
    """At this level nothing of 2,000 samples leaves the bounds; a 5 % wrong σ does."""
    sums = rng.chisquare(20_000, 2_000)
    low, high = chi_square_bounds(20_000)
    assert ((low < sums) & (sums < high)).all() and high < 20_000 * 1.05**2
    distance, threshold = distance_from_normal(rng.standard_normal(20_000))
    assert distance < threshold < distance_from_normal(rng.laplace(0, 0.7, 20_000))[0]
    assert np.exp(-LOG_ALPHA) == pytest.approx(1e-11)


def test_a_weight_that_moves_with_every_call_is_held_still():
    class Annealed:
        step = 0

        def loss(self, x, x_hat, mu, logvar):
            self.step += 1
            return zoo.objective(beta=0.001 * self.step)(x, x_hat, mu, logvar)

    model = Annealed()
    model.step = 500
    report = audit(objective=model.loss)
    assert not report.errors and 0.5 < report.beta < 0.6
