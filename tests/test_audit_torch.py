"""Real PyTorch VAEs under the audit, written the ways people write them: two lines each."""

import pytest

from tinyvae.audit import audit

torch = pytest.importorskip("torch")
F = torch.nn.functional
Normal = torch.distributions.Normal


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small arrays on busy cores: threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Model(torch.nn.Module):
    """The sampler of many tutorials: noise only in training mode."""

    def reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        std = logvar.mul(0.5).exp_()
        eps = std.new_empty(std.size()).normal_()
        return eps.mul(std).add_(mu)


class Sampling(torch.nn.Module):
    """One argument that holds both."""

    def forward(self, inputs):
        mean, log_var = inputs
        return mean + torch.exp(log_var / 2) * torch.randn(mean.shape[0], mean.shape[1])


def reparameterize(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


def without_half(mu, logvar):
    return mu + torch.exp(logvar) * torch.randn_like(mu)


def uniform(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.rand_like(mu)


def one_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape[1])


def std_sampler(mean, std):
    return Normal(mean, std).rsample()


SAMPLERS = [
    (Model().reparameterize, []),
    (Model().eval().reparameterize, ["sampler-no-noise"]),
    (Sampling(), []),
    (reparameterize, []),
    (without_half, ["sampler-std"]),
    (uniform, ["noise-uniform"]),
    (one_noise, ["noise-shared-over-batch"]),
]


@pytest.mark.parametrize("sample, names", SAMPLERS)
def test_samplers(sample, names):
    assert audit(sample=sample).names == names


def kl_sum(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def official(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return bce + kl_sum(mu, logvar)


def dictionary(recons, inputs, mu, log_var, kld_weight):
    nll = F.mse_loss(recons, inputs)
    kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
    return {"loss": nll + kld_weight * kld, "Reconstruction_Loss": nll.detach(), "KLD": -kld}


def images(x, x_logit, mean, logvar):
    nll = F.binary_cross_entropy_with_logits(x_logit, x, reduction="none").sum(dim=(1, 2, 3))
    kl = torch.distributions.kl_divergence(Normal(mean, torch.exp(logvar / 2)), Normal(0.0, 1.0))
    return (nll + kl.sum(dim=1)).mean(), nll.mean(), kl.sum(dim=1).mean()


def textbook(x, x_hat, mean, log_var):
    return ((x - x_hat) ** 2).sum() - torch.sum(1 + log_var - mean**2 - log_var.exp())


def two_items(output, target, mu, logvar):
    return F.mse_loss(output, target, reduction="sum") / len(target), kl_sum(mu, logvar) / len(mu)


def outputs_together(x, outputs):
    x_hat, mu, logvar = outputs
    return F.mse_loss(x_hat, x, reduction="sum") + kl_sum(mu, logvar)


def elbo(x, x_hat, mu, logvar):
    log_likelihood = Normal(x_hat, 1.0).log_prob(x).flatten(1).sum(1)
    return (log_likelihood - (mu**2 + logvar.exp() - 1 - logvar).sum(1) / 2).mean()


def binary_only(x, probs, mu, logvar):
    nll = -torch.distributions.Bernoulli(probs).log_prob(x).sum(-1)
    return torch.mean(nll) + kl_sum(mu, logvar) / len(mu)


def mean_of_everything(recon, x, mu, logvar):
    return F.mse_loss(recon, x) - 0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())


def batch_dependent(recon_x, x, mu, logvar):
    return F.mse_loss(recon_x, x) + kl_sum(mu, logvar)


def pixel_mean(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x) + kl_sum(mu, logvar) / x.shape[0]


def latent_mean(recon_x, x, mu, logvar):
    nll = F.binary_cross_entropy(recon_x, x, reduction="none").sum(1).mean()
    return nll - 0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())


def swapped(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(x, recon_x, reduction="sum") + kl_sum(mu, logvar)


def no_half(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x, reduction="sum") + 2 * kl_sum(mu, logvar)


def wrong_sign(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x, reduction="sum") - kl_sum(mu, logvar)


LOSSES = [
    (official, [], 1.0),
    (dictionary, [], 29 / 2),
    (images, [], 1.0),
    (textbook, [], 1.0),
    (two_items, [], 0.5),
    (outputs_together, [], 0.5),
    (elbo, [], 1.0),
    (binary_only, [], 1.0),
    (mean_of_everything, [], 29 / 2 / 5),
    (batch_dependent, ["batch-reduction-mismatch"], 13 * 29 / 2),
    (pixel_mean, ["pixel-mean"], 29.0),
    (latent_mean, ["kl-mean-over-latents"], 0.2),
    (swapped, ["bce-swapped"], 1.0),
    (no_half, ["kl-half"], 2.0),
    (wrong_sign, ["kl-sign"], 1.0),
]


@pytest.mark.parametrize("loss, names, beta", LOSSES)
def test_losses(loss, names, beta):
    report = audit(objective=loss)
    assert report.names == names and report.beta == pytest.approx(beta, rel=1e-3)


def test_a_softplus_std_that_sampler_and_kl_share():
    def sample(mu, rho):
        return mu + F.softplus(rho) * torch.randn_like(mu)

    def kl(mu, rho):
        q = Normal(mu, F.softplus(rho))
        return torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum(1).mean()

    report = audit(sample=sample, kl=kl)
    assert not report.errors and "scale-read-as" in [f.name for f in report.findings]


def test_a_standard_deviation_declared_or_found():
    def kl(mu, std):
        return (0.5 * (mu**2 + std**2 - 1) - torch.log(std)).sum(dim=1)

    assert not audit(sample=std_sampler, kl=kl, scale="std").errors
    assert not audit(sample=std_sampler, kl=kl).errors
    assert not audit(sample=std_sampler).errors


def test_a_kl_against_a_sampler_that_disagrees():
    def kl(mu, log_sigma):
        return (0.5 * (mu**2 + torch.exp(2 * log_sigma) - 1) - log_sigma).sum(1).mean()

    assert audit(sample=reparameterize, kl=kl).names == ["kl-log-sigma"]


def test_monte_carlo_kls():
    def with_z(z, mu, std):
        q, p = Normal(mu, std), Normal(torch.zeros_like(mu), torch.ones_like(std))
        return (q.log_prob(z) - p.log_prob(z)).sum(-1)

    def draws_itself(mu, logvar):
        q = Normal(mu, torch.exp(logvar / 2))
        z = q.rsample()
        return (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1).mean()

    def doubled(mu, logvar):
        return 2 * draws_itself(mu, logvar)

    assert not audit(kl=with_z, scale="std").errors
    assert not audit(kl=draws_itself).errors
    assert audit(kl=doubled).names == ["kl-half"]


def test_decoders_that_do_not_fit_the_loss():
    weights = torch.randn(2, 784)

    def probabilities(z):
        return torch.sigmoid(z @ weights)

    def logits(x, y, mu, logvar):
        nll = F.binary_cross_entropy_with_logits(y, x, reduction="sum")
        return nll + kl_sum(mu, logvar)

    assert not audit(objective=official, decode=probabilities).errors
    assert audit(objective=logits, decode=probabilities).names == ["bce-double-sigmoid"]
    unbounded = audit(objective=official, decode=lambda z: z @ weights)
    assert unbounded.names == ["bce-needs-sigmoid"]


def test_half_precision_is_refused():
    with pytest.raises(ValueError, match="float16, too coarse"):
        audit(sample=lambda mu, s: reparameterize(mu, s).half())
