"""The latent space: how z is drawn from q(z|x), and how far q(z|x) is from the prior N(0, I).

An example x is described by a code z of L numbers, from which the decoder restores it. The prior
p(z) = N(0, I) is what codes are expected to look like before an x is seen: standard normal, each
dimension by itself. The encoder answers an x not with a point but with a distribution, the
(approximate) posterior q(z|x) = N(mu, σ²), with one mu and one logvar = log σ² (any real number is
a valid logvar) for each dimension. This σ is the encoder's; the decoder's, in `likelihood.py`, is
another. E_q[…] is the mean over draws z ~ q(z|x). Arrays are (B, L) for B examples, or broadcast.
"""

from tinyvae.core.arrays import Array, array_module


def reparameterize(mu: Array, logvar: Array, eps: Array) -> Array:
    """Return z = mu + σ eps (B, L), a draw from N(mu, σ²) if eps is a draw from N(0, 1).

    Drawing z itself leaves nothing to differentiate: how does a random draw depend on mu? Here the
    randomness comes from outside, as eps, and z is an ordinary function of mu and logvar (Kingma &
    Welling 2014, section 2.4).

    logvar = log σ², so σ = exp(½ logvar). Without the ½ the noise would have the standard deviation
    σ², a mistake that no gradient check can see: forward and backward pass would agree on it.
    """
    sigma = array_module(logvar).exp(0.5 * logvar)  # (B, L)
    return mu + sigma * eps


def reparameterize_backward(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """Return dmu, dlogvar (B, L) from dz = ∂loss/∂z, for the *same* eps as in the forward pass.

    With z = mu + exp(½ logvar) eps,

        ∂z/∂mu     = 1                      dmu     = dz
        ∂z/∂logvar = ½ exp(½ logvar) eps    dlogvar = dz · ½ σ eps
    """
    sigma = array_module(logvar).exp(0.5 * logvar)  # (B, L)
    return dz, dz * (0.5 * sigma * eps)


def kl(mu: Array, logvar: Array) -> Array:
    """Return KL(N(mu, σ²) ‖ N(0, 1)) of each example and latent dimension (B, L), in nats.

    KL(q‖p) = E_q[log q(z) − log p(z)]. Both logarithms hold −½ log 2π, which cancels:

        log q(z) = −½ log σ² − ½ (z − mu)² / σ² − …     with E_q[(z − mu)²] = σ²
        log p(z) = −½ z² − …                            with E_q[z²] = mu² + σ²

        KL = −½ log σ² − ½ + ½ (mu² + σ²) = ½ (mu² + σ² − 1 − logvar)

    (Kingma & Welling 2014, appendix B; `expm1` is σ² − 1 in all its digits where σ is near 1.) It
    is 0 where mu = 0 and σ = 1, else positive; the sum over the dimensions is an example's KL.
    """
    return 0.5 * (mu * mu + (array_module(logvar).expm1(logvar) - logvar))


def kl_backward(dkl: Array | float, mu: Array, logvar: Array) -> tuple[Array, Array]:
    """Return dmu, dlogvar (B, L) from dkl = ∂loss/∂kl, (B, L), (L,) or one number.

        ∂kl/∂mu     = mu                        dmu     = dkl · mu
        ∂kl/∂logvar = ½ (exp(logvar) − 1)       dlogvar = dkl · ½ (σ² − 1)

    dkl is 1/B where the loss is the mean over the batch of the sum over the dimensions.
    """
    return dkl * mu, dkl * (0.5 * array_module(logvar).expm1(logvar))
