"""Real JAX VAEs under the audit: two lines each."""

import pytest

from tinyvae.audit import audit

jax = pytest.importorskip("jax")
jnp = jax.numpy


def reparameterize(rng, mean, logvar):
    return mean + jnp.exp(0.5 * logvar) * jax.random.normal(rng, logvar.shape)


def frozen_key(mean, logvar):
    return reparameterize(jax.random.PRNGKey(0), mean, logvar)


def without_half(key, mean, logvar):
    return mean + jnp.exp(logvar) * jax.random.normal(key, logvar.shape)


@jax.vmap
def kl_divergence(mean, logvar):
    return -0.5 * jnp.sum(1 + logvar - jnp.square(mean) - jnp.exp(logvar))


@jax.vmap
def cross_entropy(logits, labels):
    logits = jax.nn.log_sigmoid(logits)
    return -jnp.sum(labels * logits + (1.0 - labels) * jnp.log(-jnp.expm1(logits)))


def metrics(recon_x, x, mean, logvar):
    bce, kld = cross_entropy(recon_x, x).mean(), kl_divergence(mean, logvar).mean()
    return {"bce": bce, "kld": kld, "loss": bce + kld}


def latent_mean(recon_x, x, mean, logvar):
    kl = -0.5 * jnp.mean(1 + logvar - jnp.square(mean) - jnp.exp(logvar))
    return cross_entropy(recon_x, x).mean() + kl


def test_a_right_model_is_cleared():
    report = audit(sample=reparameterize, objective=metrics)
    assert report.ok and report.beta == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    "functions, name",
    [
        ({"sample": without_half}, "sampler-std"),
        ({"sample": frozen_key}, "sampler-frozen-noise"),
        ({"objective": latent_mean}, "kl-mean-over-latents"),
    ],
)
def test_wrong_models_are_convicted(functions, name):
    assert audit(**functions).names == [name]


def test_terms_apart_and_jitted():
    kl = jax.jit(lambda mu, logvar: kl_divergence(mu, logvar))
    report = audit(kl=kl, reconstruction=lambda x, y: jnp.sum((x - y) ** 2, axis=-1) / 2)
    assert not report.errors and report.beta == pytest.approx(1.0, rel=1e-3)
