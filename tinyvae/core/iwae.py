"""The importance-weighted autoencoder (Burda et al. 2016): a VAE with a tighter bound on log p(x).

Where a VAE asks one draw of z to explain x, an IWAE asks k draws together. Its loss and gradient
stand here; encoder, decoder, likelihood and all else are the VAE's.
"""

from typing import Any

from tinyvae.core.arrays import Array, array_module
from tinyvae.core.latent import kl, reparameterize, reparameterize_backward
from tinyvae.core.likelihood import MIN_VARIANCE, CalibratedGaussian
from tinyvae.core.model import Terms, VAELoss, beside


class IWAELoss(VAELoss):
    """x → encoder → mu, logvar → z_1 … z_k → decoder → p(x|z_1) … p(x|z_k).

        log w_i = reconstruction_weight · log p(x|z_i) + beta · (log p(z_i) − log q(z_i|x))
        loss    = − mean over the batch of log 1/k Σ_i w_i,       z_i = mu + exp(½ logvar) eps_i

    With both weights 1, w_i is an unbiased estimate of p(x), so by Jensen's inequality −loss is, in
    expectation, a lower bound on log p(x). It is the ELBO at k = 1 and never falls as k grows: the
    mean of k weights is itself a mean over their subsets, and the logarithm is concave.

    **The gradient.** As ∂w = w ∂ log w, and with the normalised weights ŵ_i = w_i / Σ_j w_j,

        ∂ log 1/k Σ_i w_i = Σ_i w_i ∂ log w_i / Σ_j w_j = Σ_i ŵ_i ∂ log w_i
        hence   ∂loss/∂ log w_i = − ŵ_i / B     of each example

    so every draw gives its own gradient, and counts as much as it explains its example.

    At k = 1 this class *is* the VAE, with the KL in closed form: the one log w has the same
    expectation, and so has its gradient, but more noise.
    """

    def loss(self, x: Array, c: Array | None = None, eps: Any = None) -> Terms:
        """Return the loss of a batch with the noise eps (B, k, L), and remember what `gradient`
        needs.

        `reconstruction` is the mean over all draws, and `kl` the closed form, so that `elbo` is
        that of the same q(z|x).
        """
        k, L, xp = self.importance_samples, self.latent_dim, array_module(x)
        if k == 1:
            return super().loss(x, c, eps.reshape(len(x), L))
        mu, logvar = self.split(self.encoder.forward(beside(x, c)))  # (B, L) each
        z = reparameterize(mu[:, None], logvar[:, None], eps)  # (B, k, L)
        repeated = None if c is None else repeat(c, k)  # (B k, C)
        y = self.decoder.forward(beside(z.reshape(-1, L), repeated))  # (B k, D)
        target = repeat(x, k)  # (B k, D)
        nll = self.likelihood.forward(y, target).reshape(len(x), k)
        # log p(z) = −½ Σ z² and log q(z|x) = −½ Σ (eps² + logvar); both lack the same constant.
        log_ratio = 0.5 * (eps * eps - z * z + logvar[:, None]).sum(axis=2)  # (B, k)
        log_w = self.beta * log_ratio - self.reconstruction_weight * nll
        highest = log_w.max(axis=1, keepdims=True)  # (B, 1), taken out so that nothing overflows
        w = xp.exp(log_w - highest)
        total = w.sum(axis=1, keepdims=True)
        bound = highest + xp.log(total / k)  # (B, 1)
        self.B, self.mu, self.logvar, self.eps = len(x), mu, logvar, eps
        self.z, self.w_hat = z, w / total
        return Terms(-bound.mean(), nll.mean(), kl(mu, logvar).sum(axis=1).mean())

    def gradient(self) -> None:
        """Write the gradient of the last loss into the dW and db of all layers.

        log w_i = … + beta · ½ Σ (eps² − z² + logvar) depends on mu and logvar through z, with
        ∂/∂z = −beta z, and on logvar also directly, with ½ beta for each of the k draws, whose ŵ
        add up to 1.
        """
        if self.importance_samples == 1:
            return super().gradient()
        dz = self.backward_to_code(self._dnll().reshape(-1, 1))  # (B k, L)
        scale = self.beta / self.B
        dz = dz.reshape(self.z.shape) + scale * self.w_hat[:, :, None] * self.z  # (B, k, L)
        dmu, dlogvar = reparameterize_backward(dz, self.logvar[:, None], self.eps)
        dh = [dmu.sum(axis=1), dlogvar.sum(axis=1) - 0.5 * scale]  # (B, L) each
        self.encoder.backward(array_module(dz).concatenate(dh, axis=1), need_dx=False)

    def _dnll(self) -> Array:
        """Return B · ∂loss/∂nll (B, k), before the reconstruction's weight: ŵ.

        Under a calibrated σ², y acts on the loss through σ² too. Let s_i be the squared error of a
        draw over its D features, so that nll_i = ½ D (s_i / σ² + log 2πσ²) and σ² = mean s:

            ∂loss/∂σ² = mean_b Σ_i ŵ_i ∂nll_i/∂σ² = ½ D / σ² · mean_b Σ_i ŵ_i (1 − s_i / σ²)

        A draw's s_i moves σ² by 1 / (B k) of its own change, and its nll by ½ D / σ²: the way
        through σ² adds the same mean_b Σ_i ŵ_i (1 − s_i / σ²) / k to every ŵ. (It is 0 where all ŵ
        are 1/k, as in a VAE.)
        """
        likelihood = self.likelihood
        if not isinstance(likelihood, CalibratedGaussian):
            return self.w_hat
        s = (likelihood.error * likelihood.error).mean(axis=1).reshape(self.w_hat.shape)
        excess = (self.w_hat * (1.0 - s / likelihood.variance)).sum(axis=1)  # (B,)
        free = likelihood.variance > MIN_VARIANCE  # at its floor, σ² is a constant
        return self.w_hat + free * likelihood.ops.batch_mean(excess) / self.importance_samples


def repeat(rows: Array, k: int) -> Array:
    """Return each of the rows (B, n) k times (B k, n)."""
    B, n = rows.shape
    return array_module(rows).broadcast_to(rows[:, None], (B, k, n)).reshape(B * k, n)
