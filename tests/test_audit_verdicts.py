"""What "right", "wrong" and "not judged" mean: one verdict for one piece of code."""

import numpy as np
import pytest

from tinyvae.audit import assert_vae, audit

torch = pytest.importorskip("torch")
F = torch.nn.functional
Normal, kl_divergence = torch.distributions.Normal, torch.distributions.kl_divergence


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def draw(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


def kl(mu, s):
    return -0.5 * torch.sum(1 + s - mu**2 - s.exp())


def bce(y, x):
    return F.binary_cross_entropy(y, x, reduction="sum")


def judged(loss, **options):
    return audit(sample=draw, objective=lambda x, x_hat, mu, s: loss(x, x_hat, mu, s), **options)


def opened(report):
    return [f.name for f in report.findings if f.kind == "not judged"]


def test_a_part_is_not_judged_and_says_what_is_missing():
    report = audit(sample=draw)
    assert report.state == "not judged" and not report.ok
    assert [f.name for f in report.not_judged] == ["objective", "wiring", "heads"]
    assert str(report).startswith("not judged: no error found in sample, but not all of it")
    assert opened(audit(kl=kl)) == ["sampler", "reconstruction"]
    assert opened(audit(sample=draw, kl=kl)) == ["reconstruction"]
    assert audit(sample=draw, kl=kl, reconstruction=lambda x, y: bce(y, x)).ok


def test_an_allowed_finding_stays_in_the_report():
    mean = lambda x, y, mu, s: bce(y, x) / len(x) - 0.5 * torch.mean(1 + s - mu**2 - s.exp())  # noqa: E731
    assert judged(mean).names == ["kl-mean-over-latents"]
    report = judged(mean, allow=["kl-mean-over-latents"])
    assert report.ok and "✓ allowed  kl-mean-over-latents" in str(report)
    with pytest.raises(ValueError, match="allow: no finding is named 'kl-typo'"):
        judged(mean, allow=["kl-typo"])


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y, mu, s: bce(y, x) / len(x) + kl(mu, s) / len(x) / x[0].numel(),
        lambda x, y, mu, s: bce(y, x) / len(x) + kl(mu, s) / len(x) * mu.shape[1],
        lambda x, y, mu, s: bce(y, x) / len(x) + kl(mu, s) / len(x) / mu.shape[1] ** 2,
        lambda x, y, mu, s: x[0].numel() * bce(y, x) + kl(mu, s),
    ],
)
@pytest.mark.parametrize("beta", [None, 1.0])
def test_any_power_that_is_left_over_is_an_error(loss, beta):
    assert judged(loss, beta=beta).names == ["kl-power"]


def test_a_squared_error_leaves_a_note_unless_a_beta_was_stated():
    loss = lambda x, y, mu, s: F.mse_loss(y, x) + kl(mu, s) / len(x)  # noqa: E731
    assert judged(loss).ok
    assert "pixel-mean" in judged(loss, beta=1.0).names


def test_words_come_from_the_measured_power():
    report = audit(kl=lambda mu, s: kl(mu, s) * len(mu))
    assert "summed over the batch and multiplied by the batch size" in str(report)


@pytest.mark.parametrize("number", [500, 500.0, 60])
def test_a_number_in_the_source_acquits_nobody(number):
    loss = lambda x, y, mu, s: number * F.binary_cross_entropy(y, x) + kl(mu, s) / len(x)  # noqa: E731
    assert judged(loss).names == ["pixel-mean"]
    assert judged(loss, pixels=int(number)).ok


def test_an_unknown_reconstruction_is_not_judged_but_its_powers_are():
    def loss(x, y, mu, s):
        return (torch.log1p((1 + x) * (x - y) ** 2).sum() + kl(mu, s)) / len(x)

    assert opened(judged(loss)) == ["reconstruction-unknown"]
    wrong = judged(
        lambda x, y, mu, s: torch.log1p((1 + x) * (x - y) ** 2).sum() + kl(mu, s) / len(x)
    )
    assert wrong.names == ["batch-reduction-mismatch"]


SIGMAS = {
    "softplus + floor": lambda s: 0.1 + 0.9 * F.softplus(s),
    "softplus + 0.1": lambda s: F.softplus(s) + 0.1,
    "sigmoid": lambda s: 0.1 + 0.9 * torch.sigmoid(s),
    "clamped": lambda s: torch.exp(0.5 * s.clamp(-2, 1)),
    "variance": lambda s: F.softplus(s).sqrt(),
    "5 tanh": lambda s: torch.exp(5 * torch.tanh(s / 5)),
}


@pytest.mark.parametrize("form", SIGMAS)
def test_sigma_is_measured(form):
    sigma = SIGMAS[form]

    def sample(mu, s):
        return mu + sigma(s) * torch.randn_like(mu)

    def loss(x, x_hat, mu, s):
        return bce(x_hat, x) + kl_divergence(Normal(mu, sigma(s)), Normal(0.0, 1.0)).sum()

    assert audit(sample=sample, objective=loss).ok
    alone = audit(sample=sample, objective=lambda x, x_hat, mu, s: bce(x_hat, x) + kl(mu, s))
    assert alone.names == ["sampler-std"]


def test_names_count():
    def by_log_std(mu, log_std):
        return kl_divergence(Normal(mu, log_std.exp()), Normal(0.0, 1.0)).sum()

    assert not audit(kl=by_log_std).errors
    report = audit(
        sample=lambda mu, std: mu + std * torch.randn_like(mu),
        objective=lambda x, x_hat, mu, log_var: bce(x_hat, x) + kl(mu, log_var),
    )
    assert report.ok


class Schedule:
    """A weight that moves with every call."""

    def __init__(self, start=0):
        self.step = start

    def loss(self, x, x_hat, mu, logvar):
        self.step += 1
        return bce(x_hat, x) + min(1.0, 0.01 * (self.step - 1)) * kl(mu, logvar)


class Zero:
    """A weight that the training loop sets later."""

    def __init__(self):
        self.kl_weight = 0.0

    def loss(self, x, x_hat, mu, logvar):
        return bce(x_hat, x) + self.kl_weight * kl(mu, logvar)


def test_schedules_are_never_a_missing_kl():
    for options in ({}, {"beta": 4.0}):
        report = audit(sample=draw, objective=Schedule().loss, **options)
        assert report.ok and "a schedule; now" in str(report)
    assert opened(audit(sample=draw, objective=Zero().loss)) == ["kl-schedule"]


@pytest.mark.parametrize(
    "loss, beta",
    [
        (lambda x, y, mu, s: bce(y, x) / len(x) + 100 * abs(kl(mu, s) / len(x) - 20), 100),
        (lambda x, y, mu, s: bce(y, x) / len(x) + 1e-8 * kl(mu, s) / len(x), 1e-8),
        (lambda x, y, mu, s: bce((y + 1) / 2, (x + 1) / 2) + kl(mu, s), 1),
        (lambda x, y, mu, s: bce(y, (x > 0).float()) + kl(mu, s), 1),
        (lambda x, y, mu, s: ((x - torch.sigmoid(y)) ** 2).sum() + kl(mu, s), 0.5),
        (lambda x, y, mu, s: bce(y, x) - 0.5 * (1 + s - mu**2 - s.exp()).sum((1, 2, 3)).sum(), 1),
        (lambda x, y, mu, s: -(x * F.log_softmax(y, -1)).sum() + kl(mu, s), 1),
    ],
)
def test_families_are_right(loss, beta):
    sizes = {"pixels": (6, 4)} if beta == 1 and "log_softmax" in loss.__code__.co_names else {}
    report = judged(loss, **sizes)
    assert report.ok and report.beta == pytest.approx(beta, rel=2e-3), str(report)


def test_tokens():
    def loss(logits, tokens, mu, logvar):
        nll = F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none").sum(1)
        return nll.mean() + kl(mu, logvar) / len(mu)

    report = audit(sample=draw, objective=lambda x, x_hat, mu, s: loss(x_hat, x, mu, s))
    assert report.ok and report.beta == pytest.approx(1, rel=1e-3), str(report)


def test_other_priors():
    def to(mean, std):
        return lambda mu, s: kl_divergence(Normal(mu, torch.exp(s / 2)), Normal(mean, std)).sum()

    rest = {"sample": draw, "reconstruction": lambda x, y: bce(y, x)}
    assert audit(kl=to(0.5, 2.0), prior=(0.5, 2.0), **rest).ok
    report = audit(kl=to(0.5, 2.0), **rest)
    assert opened(report) == ["kl-prior"] and "pass prior=(0.5, 2)" in str(report)
    assert "kl-prior" in opened(audit(kl=to(0.0, 3.0), **rest))


def test_missing_terms_are_missing():
    report = audit(kl=lambda mu, s: 0.5 * (mu**2).sum(1).mean())
    assert report.names == ["kl-missing-variance", "kl-missing-log"]


def clipped(low, high):
    def loss(x, y, mu, s):
        y = y.clamp(low, high)
        return -(x * torch.log(y) + (1 - x) * torch.log(1 - y)).sum() + kl(mu, s)

    return loss


def by_sigma(x, y, mu, s):
    sigma = torch.exp(0.5 * s)
    return bce(y, x) + 0.5 * (mu**2 + sigma**2 - 1 - torch.log(sigma**2)).sum()


def test_edges():
    assert judged(clipped(1e-6, 1 - 1e-6)).ok
    report = judged(clipped(1e-8, 1 - 1e-8))
    assert report.names == ["edge-reconstruction"] and "is 1 in float32" in str(report)
    assert judged(by_sigma).names == ["edge-kl"]
    overflow = lambda x, y, mu, s: (torch.log(1 + y.exp()) - x * y).sum() + kl(mu, s)  # noqa: E731
    assert judged(overflow).names == ["edge-reconstruction"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y, mu, s: bce(y, x) + kl(mu, s).detach(),
        lambda x, y, mu, s: bce(y, x) + kl(mu.data, s.data),
        lambda x, y, mu, s: bce(y, x) + kl(mu, s).item(),
        lambda x, y, mu, s: bce(y.detach(), x) + kl(mu, s),
        torch.no_grad()(lambda x, y, mu, s: bce(y, x) + kl(mu, s)),
    ],
)
def test_gradients_that_are_cut(loss):
    assert judged(loss).names == ["gradient-cut"]


@pytest.mark.parametrize(
    "sample, right",
    [
        (lambda mu, s: Normal(mu, torch.exp(s / 2)).rsample(), True),
        (lambda mu, s: Normal(mu, torch.exp(s / 2)), True),
        (lambda mu, s: Normal(mu, torch.exp(s / 2)).rsample((3,)), True),
        (lambda mu, s: Normal(mu, torch.exp(s / 2)).sample(), False),
        (lambda mu, s: mu + torch.exp(s / 2).detach() * torch.randn_like(mu), False),
        (torch.no_grad()(draw), False),
    ],
)
def test_gradients_through_the_sampler(sample, right):
    report = audit(sample=sample)
    assert report.names == ([] if right else ["gradient-cut"])


def test_a_scaled_gradient_is_not_judged():
    loss = lambda x, y, mu, s: bce(y, x) + 0.8 * kl(mu, s) + 0.2 * kl(mu, s).detach()  # noqa: E731
    assert opened(judged(loss)) == ["gradient-scaled"]


def test_jax_gradients_are_looked_at():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def kl_stopped(mu, logvar):
        logvar = jax.lax.stop_gradient(logvar)
        return -0.5 * jnp.sum(1 + logvar - mu**2 - jnp.exp(logvar))

    assert audit(kl=kl_stopped).names == ["gradient-cut"]


def test_numpy_has_no_gradient_to_cut():
    rng = np.random.default_rng(0)
    report = audit(sample=lambda mu, s: mu + np.exp(s / 2) * rng.standard_normal(mu.shape))
    assert not report.errors


def test_assert_vae_raises_with_the_report(tmp_path):
    def mean(x, x_hat, mu, s):
        return bce(x_hat, x) / len(x) - 0.5 * torch.mean(1 + s - mu**2 - s.exp())

    with pytest.raises(AssertionError, match="wrong: 1 error found in sample, objective"):
        assert_vae(sample=draw, objective=mean)
    with pytest.raises(AssertionError, match="not judged"):
        assert_vae(sample=draw)
    contract = tmp_path / "pyproject.toml"
    contract.write_text('[tool.tinyvae.audit]\nallow = ["kl-mean-over-latents"]\n')
    assert assert_vae(sample=draw, objective=mean, contract=contract).state == "right"


def of_both(mu_q, lv_q, mu_p, lv_p):
    return 0.5 * torch.sum(lv_p - lv_q + (lv_q.exp() + (mu_q - mu_p) ** 2) / lv_p.exp() - 1)


def without_its_variance(mu_q, lv_q, mu_p, lv_p):
    return 0.5 * torch.sum(lv_p - lv_q + lv_q.exp() + (mu_q - mu_p) ** 2 - 1)


def test_learned_priors():
    rest = {"sample": draw, "reconstruction": lambda x, y: bce(y, x)}
    report = audit(kl=of_both, **rest)
    assert report.ok and "prior-learned" in [f.name for f in report.findings]
    assert audit(kl=without_its_variance, **rest).names == ["kl-form"]


def test_further_arguments_are_filled_or_the_line_to_paste_is_printed():
    def annealed(recon_x, x, mu, logvar, anneal, global_step):
        return bce(recon_x, x) + anneal * min(1.0, global_step / 1000) * kl(mu, logvar)

    report = audit(sample=draw, objective=annealed, beta=3.0)
    assert report.ok and report.beta == pytest.approx(3.0)
    with pytest.raises(TypeError, match=r"pass lambda x, x_hat, mu, s: f\(x_hat, x, mu, s, sto"):
        audit(objective=lambda recon_x, x, mu, logvar, storer: 0.0)
