"""The autoencoder and the variational autoencoder: one loss, and its gradient, from the parts.

Shapes: x, x_hat (B, D); mu, logvar, eps, z (B, L). Losses are in nats (natural logarithms) per
example: summed over data and latent dimensions, averaged over the batch. (A mean over pixels beside
a sum over latents, a common error, multiplies the weight of the KL by D.)
"""

from typing import Any, NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.assembly import Assembly
from tinyvae.core.arrays import Array, batch_mean
from tinyvae.core.latent import kl, kl_backward, reparameterize, reparameterize_backward
from tinyvae.device import seed_sequence
from tinyvae.threads import in_threads


class Terms(NamedTuple):
    """The loss, and its two terms before they are weighted, in nats per example."""

    loss: Array
    reconstruction: Array
    kl: Array

    @property
    def elbo(self) -> Array:
        """The evidence lower bound −(reconstruction + kl), whatever the weights are: of a VAE at
        most log p(x), in expectation; of an Autoencoder it bounds nothing."""
        return -(self.reconstruction + self.kl)


class Autoencoder(Assembly):
    """x → encoder → z → decoder → x_hat: a point z for each example, and no KL.

        loss = reconstruction_weight · mean over the batch of −log p(x|z)

    The encoder's layers have the widths D, *hidden, L (a VAE's: 2L, for mu and logvar), the
    decoder's L, *reversed(hidden), D. Where there are labels, both see them too, as C more inputs.
    `tinyvae.assembly` puts them together, and describes the arguments.
    """

    outputs_per_latent = 1  # the encoder gives z
    B = 0  # examples in the last `forward`; 0 where the layers no longer remember one

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
        Those of `Autoencoder`: see `tinyvae.assembly`.
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
            self.config |= {"beta": self.beta, "free_bits": self.free_bits}

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
