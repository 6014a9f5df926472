"""The autoencoder and the variational autoencoder: one loss, and its gradient, from the parts.

Shapes: x (B, D); mu, logvar, eps, z (B, L); c (B, C), the labels one-hot, if there are any. Losses
are in nats per example: summed over data and latent dimensions, averaged over the batch. (A mean
over pixels beside a sum over latents, a common error, multiplies the weight of the KL by D.)
"""

from typing import Any, NamedTuple

from tinyvae.core.arrays import Array, Ops, array_module
from tinyvae.core.latent import kl, kl_backward, reparameterize, reparameterize_backward


class Terms(NamedTuple):
    """The loss, and its two terms before they are weighted, in nats per example."""

    loss: Array  # one number each, on the model's backend
    reconstruction: Array
    kl: Array

    @property
    def elbo(self) -> Array:
        """The evidence lower bound −(reconstruction + kl), whatever the weights; of a VAE."""
        return -(self.reconstruction + self.kl)


class AutoencoderLoss:
    """x → encoder → z → decoder → y: a point z for each example, and no KL.

        loss = reconstruction_weight · mean over the batch of −log p(x|z)

    The encoder's layers have the widths `D, *hidden, L` (a VAE's: 2L, for mu and logvar), the
    decoder's `L, *reversed(hidden), D`. Labels, where there are any, are C more inputs of both.
    """

    encoder: Any
    decoder: Any
    likelihood: Any
    latent_dim: int
    reconstruction_weight, beta, free_bits, importance_samples = 1.0, 1.0, 0.0, 1
    ops, B = Ops(), 0  # B: examples in the last batch

    def loss(self, x: Array, c: Array | None = None) -> Terms:
        """Return the loss of a batch, and remember what `gradient` needs."""
        z = self.encoder.forward(beside(x, c))  # (B, L)
        y = self.decoder.forward(beside(z, c))  # (B, D)
        self.B = len(x)
        reconstruction = self.likelihood.forward(y, x).sum() / self.B
        return Terms(
            self.reconstruction_weight * reconstruction, reconstruction, 0 * reconstruction
        )

    def gradient(self) -> None:
        """Write the gradient of the last loss into the dW and db of all layers."""
        self.encoder.backward(self.backward_to_code(), need_dx=False)

    def backward_to_code(self, weights: Any = 1.0) -> Array:
        """Return dz (B, L) from the last loss; `weights` (B, 1) say how much each row counts."""
        dy = self.likelihood.backward(weights * (self.reconstruction_weight / self.B))  # (B, D)
        return self.decoder.backward(dy)[:, : self.latent_dim]  # a label has no gradient


class VAELoss(AutoencoderLoss):
    """x → encoder → mu, logvar → z = mu + exp(½ logvar) eps → decoder → p(x|z).

        loss = reconstruction_weight · reconstruction + beta · kl
        reconstruction = mean over the batch of −log p(x|z),    z ~ q(z|x), one draw
        kl             = mean over the batch of KL(q(z|x) ‖ N(0, I))

    With both weights 1, −loss is in expectation the evidence lower bound (Kingma & Welling 2014).
    For any q(z|x), as the logarithm is concave (Jensen: log of a mean ≥ mean of logs),

        log p(x) = log E_q[ p(x|z) p(z) / q(z|x) ]          E_q: mean over draws z ~ q(z|x)
                 ≥ E_q[ log p(x|z) ] − E_q[ log q(z|x) − log p(z) ]

    and the last mean is the KL. With `free_bits`, the loss counts max(free_bits, the dimension's
    mean KL over the batch) for each latent dimension (Kingma et al. 2016).
    """

    def loss(self, x: Array, c: Array | None = None, eps: Any = None) -> Terms:
        """Return the loss of a batch with the noise eps, and remember what `gradient` needs."""
        mu, logvar = self.split(self.encoder.forward(beside(x, c)))  # (B, L) each
        z = reparameterize(mu, logvar, eps)  # (B, L)
        y = self.decoder.forward(beside(z, c))  # (B, D)
        self.B, self.mu, self.logvar, self.eps = len(x), mu, logvar, eps

        reconstruction = self.likelihood.forward(y, x).sum() / self.B
        kl_per_dimension = self.ops.batch_mean(kl(mu, logvar))  # (L,)
        counted, self.counts = self.above_free_bits(kl_per_dimension)
        loss = self.reconstruction_weight * reconstruction + self.beta * counted.sum()
        return Terms(loss, reconstruction, kl_per_dimension.sum())

    def gradient(self) -> None:
        """Write the gradient of the last loss into the dW and db of all layers.

        mu and logvar act on the loss in two ways, through z and through the KL: the two add up.
        """
        dz = self.backward_to_code()  # (B, L)
        dmu, dlogvar = reparameterize_backward(dz, self.logvar, self.eps)
        dkl = self.counts * (self.beta / self.B)  # 0 where a dimension still has free bits
        dmu_kl, dlogvar_kl = kl_backward(dkl, self.mu, self.logvar)
        dh = [dmu + dmu_kl, dlogvar + dlogvar_kl]
        self.encoder.backward(array_module(dz).concatenate(dh, axis=1), need_dx=False)

    def above_free_bits(self, kl_per_dimension: Array) -> tuple[Array, Any]:
        """Return what the loss counts of each dimension's KL (L,), and the derivative of that."""
        if not self.free_bits:
            return kl_per_dimension, 1.0
        above = (kl_per_dimension > self.free_bits).astype(kl_per_dimension.dtype)
        return array_module(above).maximum(kl_per_dimension, self.free_bits), above

    def split(self, h: Array) -> tuple[Array, Array]:
        """Return mu and logvar (B, L), the halves of the encoder's output h (B, 2L)."""
        return h[:, : self.latent_dim], h[:, self.latent_dim :]


def beside(array: Array, c: Array | None) -> Array:
    """Return an array (B, n) with the labels c (B, C) beside it, if there are any."""
    return array if c is None else array_module(array).concatenate([array, c], axis=1)
