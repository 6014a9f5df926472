"""The autoencoder and the variational autoencoder: one loss, and its gradient, from the parts.

Shapes: x, x_hat (B, D); mu, logvar, eps, z (B, L). Losses are in nats (natural logarithms) per
example: summed over data and latent dimensions, averaged over the batch. (A mean over pixels beside
a sum over latents, a common error, multiplies the weight of the KL by D.)
"""

from typing import Any, NamedTuple

import numpy as np

from tinyvae import checks, parts
from tinyvae.backend import Array, batch_mean
from tinyvae.device import Backend, get_backend, seed_sequence
from tinyvae.latent import kl, kl_backward, reparameterize, reparameterize_backward
from tinyvae.layers import ACTIVATIONS, Parameters, Sequential, mlp
from tinyvae.likelihood import Bernoulli, Gaussian
from tinyvae.threads import in_threads


class Terms(NamedTuple):
    """The loss, and its two terms before they are weighted, in nats per example."""

    loss: Array
    reconstruction: Array
    kl: Array

    @property
    def elbo(self) -> Array:
        """The evidence lower bound −(reconstruction + kl), whatever the weights are.

        Of a VAE it is at most log p(x), in expectation; of an Autoencoder it bounds nothing.
        """
        return -(self.reconstruction + self.kl)


class Autoencoder:
    """x → encoder → z → decoder → x_hat: a point z for each example, and no KL.

    Parameters
    ----------
    n_features, latent_dim : int
        D and L. May be left out where `encoder` and `decoder` tell them.
    hidden : tuple of int
        Widths of the encoder's hidden layers, mirrored by the decoder; () for a linear model.
    activation : {"relu", "tanh", "sigmoid", "softplus"}
    likelihood : {"gaussian", "bernoulli"}, or an object with the methods of those classes
    sigma, output
        For the Gaussian: see `tinyvae.likelihood.Gaussian`.
    reconstruction_weight : float
        Factor of the reconstruction in the loss.
    n_classes : int
        Above 0 the model is conditional (Sohn et al. 2015): encoder and decoder also see each
        example's label, one of 0 … n_classes − 1, as n_classes more inputs, one-hot.
    encoder, decoder : Sequential
        Your own layers, instead of `hidden` and `activation`.
    backend, dtype, seed
        "auto", "numpy" or "cupy"; "float32" or "float64"; the seed of first weights and noise.
    """

    outputs_per_latent = 1  # the encoder gives z
    B = 0  # examples in the last `forward`; 0 where the layers no longer remember one

    def __init__(
        self, n_features: int | None = None, latent_dim: int | None = None,
        hidden: tuple[int, ...] = (256,), activation: str = "relu",
        likelihood: Any = "gaussian", sigma: float | str = "auto", output: str = "identity",
        reconstruction_weight: float = 1.0, n_classes: int = 0, *,
        encoder: Sequential | None = None, decoder: Sequential | None = None,
        backend: str | Backend = "auto", dtype: str = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        C = self.n_classes = checks.integer("n_classes", n_classes, 0)
        D, L = parts.widths(encoder, decoder, n_features, latent_dim, C)
        self.n_features, self.latent_dim = D, L
        self.reconstruction_weight = checks.number("reconstruction_weight", reconstruction_weight)
        self.dtype = checks.choice("dtype", dtype, ["float32", "float64"])
        self.backend, self.seed = get_backend(backend), seed
        hidden = checks.widths("hidden", hidden)
        checks.choice("activation", activation, ACTIVATIONS)
        self.config = {  # what rebuilds the model from a file
            "n_features": D, "latent_dim": L, "hidden": hidden, "activation": activation,
            "likelihood": likelihood, "sigma": sigma, "output": output, "n_classes": C,
            "reconstruction_weight": reconstruction_weight, "dtype": dtype, "seed": seed,
        }  # fmt: skip
        if encoder is not None or not isinstance(likelihood, str):
            self.config = None  # one's own layers and likelihoods can't be rebuilt
        named = {"gaussian": Gaussian(sigma, output), "bernoulli": Bernoulli()}
        self.likelihood = parts.likelihood(likelihood, named)
        self.encoder = encoder or mlp([D + C, *hidden, self.outputs_per_latent * L], activation)
        self.decoder = decoder or mlp([L + C, *reversed(hidden), D], activation, "small")
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        self.parameters = Parameters(networks, self.backend, dtype, seed)
        self.noise = self.backend.generator(seed_sequence(seed, "eps"))
        if encoder is not None:
            parts.check_outputs(self)

    @in_threads
    def forward(self, x: Array, labels: Array | None = None) -> Terms:
        """Return the loss of a batch x (B, D), and remember what `backward` needs."""
        x = self.as_batch(x)
        z = self.encoder.forward(self.with_labels(x, labels))  # (B, L)
        y = self.decoder.forward(self.with_labels(z, labels))  # (B, D)
        self.B = len(x)
        reconstruction = self.likelihood.forward(y, x).sum() / self.B
        loss = self.reconstruction_weight * reconstruction
        return Terms(loss, reconstruction, 0 * reconstruction)

    @in_threads
    def backward(self) -> None:
        """Write the gradient of the last `forward`'s loss into `parameters.grad`."""
        self.encoder.backward(self.backward_to_code(), need_dx=False)

    def backward_to_code(self, weights: Array | float = 1.0) -> Array:
        """Return dz (B, L), from the last `forward`'s loss back through the decoder.

        `weights` (B, 1) say how much each row's nll counts, where that is not the same for all.
        """
        if not self.B:
            raise RuntimeError("backward needs what forward remembers: call forward(x) before it")
        dy = self.likelihood.backward(weights * (self.reconstruction_weight / self.B))  # (B, D)
        return self.decoder.backward(dy)[:, : self.latent_dim]  # a label has no gradient

    def encode(self, x: Array, labels: Array | None = None) -> Array:
        """Return the code z (B, L) of x (B, D)."""
        self.B = 0
        return self.encoder.forward(self.with_labels(self.as_batch(x), labels))

    def decoder_output(self, z: Array, labels: Array | None = None) -> Array:
        """Return y (B, D), which the likelihood turns into p(x|z)."""
        self.B = 0
        z = self.as_batch(z, "z", self.latent_dim)
        return self.decoder.forward(self.with_labels(z, labels))

    def decode(self, z: Array, labels: Array | None = None) -> Array:
        """Return x_hat (B, D), the mean of p(x|z)."""
        return self.likelihood.mean(self.decoder_output(z, labels))

    def reconstruct(self, x: Array, labels: Array | None = None) -> Array:
        """Return x_hat (B, D), decoded from the code of x."""
        return self.decode(self.encode(x, labels), labels)

    def as_batch(self, x: Array, name: str = "x", width: int | None = None) -> Array:
        """Return x, checked, as a batch of this model's backend and dtype."""
        x = x if isinstance(x, self.backend.xp.ndarray) else np.asarray(x)
        unit = name == "x" and isinstance(self.likelihood, Bernoulli)
        checks.batch(name, x, width or self.n_features, unit=unit)
        return self.backend.asarray(x, self.dtype)

    def with_labels(self, array: Array, labels: Array | None) -> Array:
        """Return `array` (B, n) with one-hot labels beside it (B, n + C), if n_classes C > 0."""
        labels = checks.labels(labels, len(array), self.n_classes)
        if not self.n_classes:
            return array
        xp = self.backend.xp
        one_hot = self.backend.asarray(labels)[:, None] == xp.arange(self.n_classes)  # (B, C)
        return xp.concatenate([array, one_hot.astype(array.dtype)], axis=1)


class VAE(Autoencoder):
    """x → encoder → mu, logvar → z = mu + exp(½ logvar) eps → decoder → p(x|z).

        loss = reconstruction_weight · reconstruction + beta · kl
        reconstruction = mean over the batch of −log p(x|z),    z ~ q(z|x), one draw
        kl             = mean over the batch of KL(q(z|x) ‖ N(0, I))

    With both weights 1, −loss is the evidence lower bound (Kingma & Welling 2014). For any q(z|x),
    as the logarithm is concave (Jensen's inequality: log of a mean ≥ mean of logs),

        log p(x) = log E_q[ p(x|z) p(z) / q(z|x) ]          E_q: mean over draws z ~ q(z|x)
                 ≥ E_q[ log p(x|z) ] − E_q[ log q(z|x) − log p(z) ]

    and the last mean is the KL.

    Parameters
    ----------
    *args, **kwargs
        Those of `Autoencoder`.
    beta : float
        Factor of the KL (Higgins et al. 2017).
    free_bits : float
        Nats that each latent dimension may use at no cost: the loss counts max(free_bits, the
        dimension's mean KL over the batch) (Kingma et al. 2016). `Terms.kl` stays the KL itself.
    """

    outputs_per_latent = 2  # the encoder gives mu and logvar
    batch_mean = staticmethod(batch_mean)

    def __init__(
        self, *args: Any, beta: float = 1.0, free_bits: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.beta = checks.number("beta", beta)
        self.free_bits = checks.number("free_bits", free_bits)
        if self.config:
            self.config |= {"beta": beta, "free_bits": free_bits}

    @in_threads
    def forward(self, x: Array, eps: Array | None = None, labels: Array | None = None) -> Terms:
        """Return the loss of a batch x (B, D), and remember what `backward` needs.

        The noise eps (B, L) is drawn from N(0, I) where it is left out; passed in, it makes the
        loss an ordinary function of the weights. `labels` (B,) are for a conditional model.
        """
        x = self.as_batch(x)
        if eps is None:
            eps = self.noise.standard_normal((len(x), self.latent_dim), dtype=x.dtype)
            eps = self.backend.asarray(eps)
        elif len(eps := self.as_batch(eps, "eps", self.latent_dim)) != len(x):
            raise ValueError(f"eps must have a row for each of {len(x)} examples, not {len(eps)}")
        mu, logvar = self.split(self.encoder.forward(self.with_labels(x, labels)))  # (B, L) each
        z = reparameterize(mu, logvar, eps)  # (B, L)
        y = self.decoder.forward(self.with_labels(z, labels))  # (B, D)
        self.B, self.mu, self.logvar, self.eps = len(x), mu, logvar, eps

        reconstruction = self.likelihood.forward(y, x).sum() / self.B
        kl_per_dimension = self.batch_mean(kl(mu, logvar))  # (L,)
        counted, self.counts = kl_per_dimension, 1.0
        if self.free_bits:
            counted = self.backend.xp.maximum(kl_per_dimension, self.free_bits)
            self.counts = (kl_per_dimension > self.free_bits).astype(mu.dtype)
        loss = self.reconstruction_weight * reconstruction + self.beta * counted.sum()
        return Terms(loss, reconstruction, kl_per_dimension.sum())

    @in_threads
    def backward(self) -> None:
        """Write the gradient of the last `forward`'s loss into `parameters.grad`.

        mu and logvar act on the loss in two ways, through z and through the KL: the two add up.
        """
        dz = self.backward_to_code()  # (B, L)
        dmu, dlogvar = reparameterize_backward(dz, self.logvar, self.eps)
        dkl = self.counts * (self.beta / self.B)  # 0 where a dimension still has free bits
        dmu_kl, dlogvar_kl = kl_backward(dkl, self.mu, self.logvar)
        dh = self.backend.xp.concatenate([dmu + dmu_kl, dlogvar + dlogvar_kl], axis=1)  # (B, 2L)
        self.encoder.backward(dh, need_dx=False)

    def encode(self, x: Array, labels: Array | None = None) -> tuple[Array, Array]:
        """Return mu and logvar (B, L) of q(z|x)."""
        return self.split(super().encode(x, labels))

    def split(self, h: Array) -> tuple[Array, Array]:
        """Return mu and logvar (B, L), the halves of the encoder's output h (B, 2L)."""
        return h[:, : self.latent_dim], h[:, self.latent_dim :]

    def reconstruct(self, x: Array, labels: Array | None = None) -> Array:
        """Return x_hat (B, D), decoded from mu."""
        return self.decode(self.encode(x, labels)[0], labels)

    def sample(
        self, n: int, seed: int | None = None, noise: bool = False, temperature: float = 1.0,
        labels: Array | None = None,
    ) -> Array:  # fmt: skip
        """Return n new examples (n, D): z from the prior, decoded to the mean of p(x|z).

        `seed` makes the draw repeatable, `noise` draws from p(x|z) too, `temperature` is the
        standard deviation of z (1 for the prior), `labels` (n,) are for a conditional model.
        """
        shape = (checks.integer("n", n, 1), self.latent_dim)
        rng = self.noise if seed is None else self.backend.generator(seed_sequence(seed, "sample"))
        z = rng.standard_normal(shape, dtype=np.dtype(self.dtype))
        z *= checks.number("temperature", temperature)
        y = self.decoder_output(z, labels)
        return self.likelihood.sample(y, rng) if noise else self.likelihood.mean(y)

    @property
    def sigma(self) -> float | None:
        """The standard deviation of p(x|z), in the units of x; None for Bernoulli."""
        return self.likelihood.sigma
