"""The importance-weighted autoencoder: its gradient, its place between the ELBO and log p(x), and
the command that trains it. Witnesses: differences, PyTorch's autograd, a Gaussian known exactly."""

import json
import math

import numpy as np
import pytest
from witness import assert_model_gradient, relative_error

from tinyvae import IWAE, VAE, Adam, Dense, Sequential, evaluate, fit, load, save
from tinyvae.cli import train
from tinyvae.evaluate import passes
from tinyvae.train.runs import open_run

D, L = 6, 2
OPTIONS = {
    "fixed sigma": {"sigma": 0.6},
    "sigma auto": {"sigma": "auto"},
    "sigma auto, sigmoid output": {"sigma": "auto", "output": "sigmoid"},
    "bernoulli": {"likelihood": "bernoulli"},
    "weights": {"sigma": 0.6, "beta": 2.5, "reconstruction_weight": 0.4},
    "linear": {"sigma": 0.6, "hidden": ()},
}


def small(kind=IWAE, **options):
    defaults = {"hidden": (5,), "activation": "tanh", "dtype": "float64", "backend": "numpy"}
    return kind(D, L, **{**defaults, **options})


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradient_matches_differences(options, k, rng):
    for B in (1, 3):
        iwae = small(importance_samples=k, **options)
        x, eps = rng.random((B, D)), rng.standard_normal((B, k, L))
        assert_model_gradient(iwae, lambda: iwae.forward(x, eps=eps).loss)  # noqa: B023


def test_gradient_matches_differences_where_sigma_auto_is_at_its_floor(rng):
    iwae = small(importance_samples=3, hidden=())
    for name in ("decoder.0.W", "decoder.0.b"):
        iwae.parameters[name][...] *= 1e-8
    x, eps = np.zeros((3, D)), rng.standard_normal((3, 3, L))
    iwae.forward(x, eps=eps)
    iwae.backward()
    direction = rng.standard_normal(L * 2)
    found = iwae.parameters.gradients["encoder.0.b"] @ direction
    bias, step = iwae.parameters["encoder.0.b"], 1e-4
    bias += step * direction
    up = iwae.forward(x, eps=eps).loss
    bias -= 2 * step * direction
    down = iwae.forward(x, eps=eps).loss
    assert found == pytest.approx((up - down) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("dtype, limit", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("k", [2, 5, 50])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_loss_and_gradient_agree_with_autograd(options, k, dtype, limit, rng):
    """There the bound is written with distributions, and differentiated by autograd."""
    torch = pytest.importorskip("torch", reason="PyTorch, the witness, is not installed")
    from torch.distributions import Bernoulli, Independent, Normal

    iwae = small(importance_samples=k, dtype=dtype, **options)
    iwae.parameters.theta += 0.1 * rng.standard_normal(iwae.parameters.theta.shape)
    x = rng.random((4, D)).round().astype(dtype)
    eps = rng.standard_normal((4, k, L)).astype(dtype)
    loss = iwae.forward(x, eps=eps).loss
    iwae.backward()

    weights = {name: torch.tensor(w, requires_grad=True) for name, w in iwae.parameters.items()}

    def network(name, h):
        depth = sum(key.startswith(name) for key in weights) // 2
        for i in range(depth):
            h = h @ weights[f"{name}.{i}.W"] + weights[f"{name}.{i}.b"]
            h = torch.tanh(h) if i < depth - 1 else h
        return h

    target = torch.tensor(x)[:, None]  # (4, 1, D)
    mu, logvar = network("encoder", target).chunk(2, dim=-1)
    q = Normal(mu, torch.exp(logvar / 2))
    z = q.loc + q.scale * torch.tensor(eps)  # (4, k, L)
    y = network("decoder", z)
    if options.get("likelihood") == "bernoulli":
        p = Independent(Bernoulli(logits=y), 1)
    else:
        mean = torch.sigmoid(y) if options.get("output") == "sigmoid" else y
        auto = options["sigma"] == "auto"
        p = Independent(Normal(mean, (mean - target).square().mean().sqrt() if auto else 0.6), 1)
    log_ratio = (Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(dim=-1)
    log_w = iwae.reconstruction_weight * p.log_prob(target) + iwae.beta * log_ratio
    true = -(torch.logsumexp(log_w, dim=1) - math.log(k)).mean()
    true.backward()
    assert float(loss) == pytest.approx(true.item(), rel=limit)
    gradient = torch.cat([w.grad.flatten() for w in weights.values()]).numpy()
    assert relative_error(iwae.parameters.grad, gradient) <= limit


def test_a_conditional_gradient_matches_differences(rng):
    iwae = small(importance_samples=3, sigma=0.6, n_classes=3)
    x, eps, labels = rng.random((4, D)), rng.standard_normal((4, 3, L)), np.array([0, 2, 1, 2])
    assert_model_gradient(iwae, lambda: iwae.forward(x, eps=eps, labels=labels).loss)


def test_one_sample_gives_the_loss_and_the_gradient_of_the_vae(rng):
    iwae, vae = small(importance_samples=1, beta=0.7), small(VAE, beta=0.7)
    x, eps = rng.random((4, D)), rng.standard_normal((4, L))
    assert iwae.forward(x, eps=eps) == vae.forward(x, eps=eps) == iwae.forward(x, eps=eps[:, None])
    iwae.backward()
    vae.backward()
    assert np.array_equal(iwae.parameters.grad, vae.parameters.grad)


def test_equal_draws_count_as_one_whose_expectation_is_the_vaes_loss_and_gradient(rng):
    """log 1/2 (w + w) = log w: the general formula, with the KL estimated by one draw."""
    iwae, vae = small(importance_samples=2, sigma=0.6), small(VAE, sigma=0.6)
    x = rng.random((1, D))
    differences = []
    for _ in range(4000):
        eps = rng.standard_normal((1, 1, L))
        loss = iwae.forward(x, eps=np.repeat(eps, 2, axis=1)).loss
        iwae.backward()
        other = vae.forward(x, eps=eps[:, 0]).loss
        vae.backward()
        gradients = iwae.parameters.grad - vae.parameters.grad
        differences.append([loss - other, *gradients])
    differences = np.array(differences)
    assert differences[:, 0].std() > 0.1  # two estimates, indeed
    standard_error = differences.std(axis=0) / math.sqrt(len(differences))
    assert (np.abs(differences.mean(axis=0)) <= 4.5 * standard_error + 1e-12).all()


def test_an_example_does_not_depend_on_the_others_of_its_batch(rng):
    iwae = small(importance_samples=3, sigma=0.6)
    x, eps = rng.random((4, D)), rng.standard_normal((4, 3, L))
    alone = [iwae.forward(x[i : i + 1], eps=eps[i : i + 1]).loss for i in range(4)]
    assert iwae.forward(x, eps=eps).loss == pytest.approx(np.mean(alone), rel=1e-12)


def exact_log_likelihood(model, x):
    """Return the mean log p(x) of a linear model: x = z W + b + noise has N(b, WᵀW + σ² I)."""
    W, b = model.parameters["decoder.0.W"], model.parameters["decoder.0.b"]
    covariance = W.T @ W + model.sigma**2 * np.eye(D)
    distance = ((x - b) @ np.linalg.inv(covariance) * (x - b)).sum(axis=1)
    log_det = np.linalg.slogdet(covariance)[1]
    return float(np.mean(-0.5 * (D * math.log(2 * math.pi) + log_det + distance)))


def linear_gaussian(k):
    """Return a linear model with an encoder that does not fit it, and 40 of its own x."""
    rng = np.random.default_rng(7)
    iwae = small(importance_samples=k, hidden=(), sigma=0.5)
    iwae.parameters.theta[...] = 0.7 * rng.standard_normal(iwae.parameters.theta.shape)
    iwae.parameters["encoder.0.W"][:, L:] = 0.0
    iwae.parameters["encoder.0.b"][L:] = 0.0  # every q(z|x) as wide as the prior
    W, b = iwae.parameters["decoder.0.W"], iwae.parameters["decoder.0.b"]
    x = rng.standard_normal((40, L)) @ W + b + 0.5 * rng.standard_normal((40, D))
    return iwae, x


def bound(k, repeats):
    """Return the mean of the k-sample bound, its standard error, and the exact log likelihood."""
    iwae, x = linear_gaussian(k)
    bounds = [-float(iwae.forward(x).loss) for _ in range(repeats)]
    return np.mean(bounds), np.std(bounds) / math.sqrt(repeats), exact_log_likelihood(iwae, x)


def test_the_bound_rises_with_k_from_the_elbo_to_the_exact_log_likelihood():
    found = [bound(k, 2000 // k) for k in (1, 2, 5, 20, 200)] + [bound(5000, 4)]
    exact = found[0][2]
    means, errors = np.array([mean for mean, *_ in found]), np.array([e for _, e, _ in found])
    assert means[0] < exact - 1  # the encoder leaves room to close
    assert (np.diff(means) > 4 * errors[:-1]).all()
    assert (means <= exact + 4 * errors).all()
    assert means[-1] == pytest.approx(exact, abs=0.02)


def test_a_trained_iwae_stays_inside_the_exact_log_likelihood_and_above_the_vae():
    x, reached = linear_gaussian(1)[1], {}
    for k in (1, 10):
        iwae = small(importance_samples=k, hidden=(), sigma=0.5, seed=3)
        optimizer = Adam(iwae.parameters)
        for optimizer.lr in np.geomspace(0.05, 1e-3, 600).tolist():
            iwae.forward(x)
            iwae.backward()
            optimizer.step()
        found = evaluate.log_likelihood(iwae, x, samples=k, seed=1).log_likelihood.mean()
        reached[k] = found, exact_log_likelihood(iwae, x)
    assert reached[10][0] < reached[10][1] + 0.02
    assert reached[10][0] > reached[1][0] - 0.05


def test_on_a_trained_model_the_bound_does_not_fall_in_k(rng):
    x = (rng.random((200, D)) < rng.random((200, 1))).astype("float64")
    iwae = small(importance_samples=5, likelihood="bernoulli")
    fit(iwae, x, epochs=20, batch_size=50, lr=1e-2, progress=False)
    bounds = [
        evaluate.log_likelihood(iwae, x, samples=k).log_likelihood.mean()
        for k in (1, 2, 5, 50, 500)
    ]
    assert (np.diff(bounds) > -0.01).all()
    assert bounds[-1] - bounds[0] > 0.1


def test_it_is_saved_and_loaded_with_its_k(tmp_path):
    iwae = small(importance_samples=7, sigma=0.6, beta=0.5)
    loaded = load(save(iwae, tmp_path / "iwae"), backend="numpy")
    assert type(loaded) is IWAE
    assert (loaded.importance_samples, loaded.beta) == (7, 0.5)
    assert np.array_equal(loaded.parameters.theta, iwae.parameters.theta)


def test_layers_of_ones_own_can_be_trained_with_it(rng):
    iwae = IWAE(
        encoder=Sequential(Dense(D, 2 * L)), decoder=Sequential(Dense(L, D)), backend="numpy"
    )
    history = fit(iwae, rng.random((50, D), dtype="float32"), epochs=20, progress=False)
    assert history[-1]["loss"] < history[0]["loss"]


def test_what_it_cannot_train_with_is_refused_in_one_line(rng):
    with pytest.raises(ValueError, match="importance_samples must be a whole number of at least 1"):
        small(importance_samples=0)
    with pytest.raises(ValueError, match="no free bits"):
        small(free_bits=0.1)
    with pytest.raises(ValueError, match=r"\(4, 5, 2\), not \(4, 2\)"):
        small().forward(rng.random((4, D)), eps=rng.standard_normal((4, L)))
    with pytest.raises(RuntimeError, match="forward"):
        small().backward()


ARGUMENTS = ["--epochs", "2", "--hidden", "8", "--no-figures", "--quiet"]


def test_the_command_trains_resumes_and_keeps_an_iwae(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.random((60, D)).astype("float32"))
    arguments = ["--dataset", str(tmp_path / "x.npy"), *ARGUMENTS, "--objective", "iwae"]
    arguments += ["--importance-samples", "3"]
    assert train.main([*arguments, "--out", str(tmp_path / "run")]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["model"]["class"], config["model"]["importance_samples"]) == ("IWAE", 3)
    assert train.main(["--resume", str(tmp_path / "run"), "--epochs", "4", *ARGUMENTS[4:]]) == 0
    assert train.main([*arguments, "--out", str(tmp_path / "whole"), "--epochs", "4"]) == 0
    resumed, whole = (open_run(tmp_path / name).model for name in ("run", "whole"))
    assert np.array_equal(resumed.parameters.theta, whole.parameters.theta)


def test_its_validation_loss_is_its_own_bound(rng):
    iwae = small(importance_samples=5, sigma=0.6)
    x = rng.random((30, D))
    (row,) = fit(iwae, x, epochs=1, validation=x, progress=False)
    own = evaluate.log_likelihood(iwae, x, samples=5, seed=iwae.seed).log_likelihood.mean()
    assert row["val_loss"] == pytest.approx(-own, rel=1e-12)
    assert row["val_loss"] < row["val_reconstruction"] + row["val_kl"]


def test_its_validation_loss_has_its_weights(rng):
    k = 4
    iwae = small(importance_samples=k, sigma=0.6, beta=3.0, reconstruction_weight=0.5)
    x = rng.random((30, D))
    (row,) = fit(iwae, x, epochs=1, validation=x, progress=False)
    ((_, mu, logvar, eps, nll),) = passes.posterior_draws(iwae, x, None, k, iwae.seed)
    z = mu[:, None] + np.exp(0.5 * logvar)[:, None] * eps  # (30, k, L)
    log_p = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=2)
    log_q = -0.5 * (eps**2 + logvar[:, None] + np.log(2 * np.pi)).sum(axis=2)
    w = np.exp(3.0 * (log_p - log_q) - 0.5 * nll)  # (30, k)
    assert row["val_loss"] == pytest.approx(-np.log(w.mean(axis=1)).mean(), rel=1e-6)


def test_options_without_effect_are_told(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.random((30, D)).astype("float32"))
    data = ["--dataset", str(tmp_path / "x.npy"), *ARGUMENTS[:-1]]
    train.main([*data, "--importance-samples", "9", "--out", str(tmp_path / "a")])
    assert "--importance-samples has no effect with --objective elbo" in capsys.readouterr().err
    train.main([*data, "--objective", "iwae", "--free-bits", "1", "--out", str(tmp_path / "b")])
    assert "--free-bits has no effect with --objective iwae" in capsys.readouterr().err
