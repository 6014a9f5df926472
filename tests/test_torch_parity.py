"""PyTorch's autograd as the witness: the same weights and noise give the same loss and gradients.

The VAE is written here in PyTorch's own words, from its distributions, and differentiated by its
autograd, so that no formula and no derivative is shared with the package.
"""

import numpy as np
import pytest

from tinyvae.models import VAE, Autoencoder

torch = pytest.importorskip("torch", reason="PyTorch, the witness of these tests, is not installed")
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence  # noqa: E402
from torch.nn import functional as F  # noqa: E402

ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
}
LIKELIHOODS = {
    "fixed": {"sigma": 0.6},
    "auto": {"sigma": "auto"},
    "sigmoid": {"sigma": 0.4, "output": "sigmoid"},
    "bernoulli": {"likelihood": "bernoulli"},
}
DEPTHS = {0: (), 1: (7,), 2: (8, 6), 3: (9, 7, 5)}
LIMITS = {"float64": 1e-10, "float32": 1e-5}
D, L = 6, 3


def network(weights: dict, name: str, h, activation: str):
    """Apply the dense layers called name.0, name.1, … with the activation between them."""
    depth = sum(key.startswith(name) and key.endswith("W") for key in weights)
    for i in range(depth):
        h = F.linear(h, weights[f"{name}.{i}.W"].T, weights[f"{name}.{i}.b"])
        if i < depth - 1:
            h = ACTIVATIONS[activation](h)
    return h


def p_of_x(y, x, sigma: float | str = "auto", output: str = "identity", likelihood: str = ""):
    """Return p(x|z) as a distribution over whole examples."""
    if likelihood == "bernoulli":
        return Independent(Bernoulli(logits=y, validate_args=False), 1, validate_args=False)
    mean = torch.sigmoid(y) if output == "sigmoid" else y
    # autograd goes through σ here: that it need not is part of what is tested
    scale = F.mse_loss(mean, x).sqrt() if sigma == "auto" else sigma
    return Independent(Normal(mean, scale), 1)


def with_labels(array, labels, n_classes: int):
    if labels is None:
        return array
    return torch.cat([array, F.one_hot(torch.tensor(labels), n_classes).to(array.dtype)], dim=1)


def torch_terms(model, x, eps, labels, options):
    """Return (reconstruction, kl by dimension, weights by name) of the same model in PyTorch."""
    weights = {k: torch.tensor(v, requires_grad=True) for k, v in model.parameters.items()}
    x = torch.tensor(x)
    activation = model.config["activation"]
    h = network(weights, "encoder", with_labels(x, labels, model.n_classes), activation)
    kl = torch.zeros((), dtype=x.dtype)
    if eps is not None:
        mu, logvar = h.chunk(2, dim=1)
        q = Normal(mu, torch.exp(logvar / 2))
        h = q.loc + q.scale * torch.tensor(eps)
        kl = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).mean(dim=0)
    y = network(weights, "decoder", with_labels(h, labels, model.n_classes), activation)
    return -p_of_x(y, x, **options).log_prob(x).mean(), kl, weights


def assert_parity(model, B: int, options: dict, free_bits: float = 0.0, labels=None) -> None:
    """Hold that loss, terms and every gradient agree with PyTorch to the limit of the dtype."""
    rng = np.random.default_rng(B)
    model.parameters.theta += 0.1 * rng.standard_normal(model.parameters.theta.size)
    x, eps = rng.random((B, D)).astype(model.dtype), None
    if "likelihood" in options:
        x = x.round()
    noise = {}
    if isinstance(model, VAE):
        noise["eps"] = eps = rng.standard_normal((B, L)).astype(model.dtype)
    terms = model.forward(x, labels=labels, **noise)
    model.backward()

    reconstruction, kl, weights = torch_terms(model, x, eps, labels, options)
    loss = model.reconstruction_weight * reconstruction
    loss = loss + getattr(model, "beta", 0.0) * kl.clamp(min=free_bits).sum()
    loss.backward()

    limit = LIMITS[model.dtype]
    for found, true in zip(terms, (loss, reconstruction, kl.sum()), strict=True):
        assert abs(float(found) - true.item()) <= limit * max(1.0, abs(loss.item()))
    gradient = torch.cat([w.grad.flatten() for w in weights.values()]).numpy().astype("float64")
    difference = np.linalg.norm(model.parameters.grad.astype("float64") - gradient)
    assert difference <= limit * np.linalg.norm(gradient)
    for name, weight in weights.items():  # and no small array hides behind a large one
        true = weight.grad.numpy()
        difference = np.linalg.norm(model.parameters.gradients[name] - true)
        assert difference <= 10 * limit * max(np.linalg.norm(true), 1e-3 * np.linalg.norm(gradient))


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_vae_agrees_with_autograd(depth, activation, likelihood, dtype):
    options = LIKELIHOODS[likelihood]
    for B in (1, 2, 16):
        model = VAE(
            D,
            L,
            hidden=DEPTHS[depth],
            activation=activation,
            **options,
            dtype=dtype,
            backend="numpy",
        )
        assert_parity(model, B, options)


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("depth", [0, 2])
def test_autoencoder_agrees_with_autograd(depth, likelihood, dtype):
    options = LIKELIHOODS[likelihood]
    for B in (1, 5):
        model = Autoencoder(D, L, hidden=DEPTHS[depth], **options, dtype=dtype, backend="numpy")
        assert_parity(model, B, options)


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize(
    "options",
    [
        {"beta": 4.0, "reconstruction_weight": 0.3},
        {"beta": 0.0},
        {"reconstruction_weight": 0.0},
        {"free_bits": 0.075},
        {"hidden": ()},
        {"n_classes": 3},
    ],
)
def test_weights_free_bits_and_labels_agree_with_autograd(options, dtype):
    model = VAE(**{"n_features": D, "latent_dim": L, "hidden": (7,), "sigma": 0.6, "dtype": dtype,
                   "backend": "numpy"} | options)  # fmt: skip
    labels = [0, 2, 1, 1, 0] if "n_classes" in options else None
    assert_parity(model, 5, {"sigma": 0.6}, options.get("free_bits", 0.0), labels)
    if "free_bits" in options:
        assert 0 < model.counts.sum() < L  # both sides of the bound were compared


# Tables: each variable by a distribution of PyTorch, and missing cells taken out of the sum


COLUMNS = [("gaussian", 2), ("categorical", 3), ("bernoulli", 1)]  # D columns in all
TABLES = {
    "per feature": {"sigma": "per-feature"},
    "categorical": {"likelihood": "categorical"},
    "mixed": {"likelihood": "mixed", "columns": COLUMNS},
}


def log_p_of_table(y, x, sigma, columns):
    """Return log p(x|z) of each row (B,): sums over its observed cells and variables."""
    total, start = torch.zeros(len(x), dtype=y.dtype), 0
    for kind, n in columns:
        logits, cells = y[:, start : start + n], x[:, start : start + n]
        known = ~torch.isnan(cells)
        filled = torch.where(known, cells, torch.zeros_like(cells))
        if kind == "categorical":
            log_p = torch.distributions.Categorical(logits=logits).log_prob(filled.argmax(dim=1))
            total = total + torch.where(known[:, 0], log_p, torch.zeros_like(log_p))
        else:
            scale = (
                torch.tensor(sigma[start : start + n], dtype=y.dtype) if sigma is not None else 1
            )
            p = Normal(logits, scale) if kind == "gaussian" else Bernoulli(logits=logits)
            total = total + (p.log_prob(filled) * known).sum(dim=1)
        start += n
    return total


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("missing", [False, True, "mask"])
@pytest.mark.parametrize("name", TABLES)
def test_tables_agree_with_autograd(name, missing, dtype):
    model = VAE(D, L, hidden=(7,), activation="tanh", missing=missing, **TABLES[name], dtype=dtype,
                backend="numpy")  # fmt: skip
    rng = np.random.default_rng(2)
    model.parameters.theta += 0.1 * rng.standard_normal(model.parameters.theta.size)
    if model.likelihood.moves:
        model.likelihood.sigma = rng.uniform(0.4, 2.0, D)
    x, eps = rng.random((5, D)).astype(dtype), rng.standard_normal((5, L)).astype(dtype)
    if name == "mixed":
        x[:, 2:5], x[:, 5] = np.eye(3)[[0, 2, 1, 1, 0]], [0, 1, 1, 0, 1]
    if name == "categorical":
        x[:] = np.eye(D)[[0, 5, 1, 1, 3]]
    if missing and name == "categorical":
        x[2] = np.nan
    elif missing:
        x[0, 1] = x[1, 5] = x[3, 2:5] = np.nan
    terms = model.forward(x, eps=eps)
    model.backward()

    weights = {k: torch.tensor(v, requires_grad=True) for k, v in model.parameters.items()}
    data = torch.tensor(x)
    seen = torch.nan_to_num(data)
    if missing == "mask":
        seen = torch.cat([seen, (~torch.isnan(data)).to(data.dtype)], dim=1)
    mu, logvar = network(weights, "encoder", seen, "tanh").chunk(2, dim=1)
    q = Normal(mu, torch.exp(logvar / 2))
    y = network(weights, "decoder", q.loc + q.scale * torch.tensor(eps), "tanh")
    log_p = log_p_of_table(y, data, model.sigma, model.columns)
    kl = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(dim=1)
    loss = (kl - log_p).mean()
    loss.backward()

    limit = LIMITS[dtype]
    assert abs(float(terms.loss) - loss.item()) <= limit * max(1.0, abs(loss.item()))
    for key, weight in weights.items():
        true = weight.grad.numpy()
        difference = np.linalg.norm(model.parameters.gradients[key] - true)
        assert difference <= 10 * limit * np.linalg.norm(true)
