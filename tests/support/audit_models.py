"""Whole models in the styles that people write them, right ones and wrong ones, each with a batch
and one training step: for the tests of the audit and its benchmark. PyTorch."""

import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional as F

D, H, L = 48, 24, 6


def images(*shape, low=0.0, high=1.0):
    generator = torch.Generator().manual_seed(1)
    return low + (high - low) * torch.rand(32, *(shape or (D,)), generator=generator)


def kl_rows(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1)


def kl_sum(mu, logvar):
    return kl_rows(mu, logvar).sum()


def bce(recon_x, x):
    return F.binary_cross_entropy(recon_x, x, reduction="sum")


def tutorial_loss(recon_x, x, mu, logvar):
    return bce(recon_x, x) + kl_sum(mu, logvar)


class Tutorial(nn.Module):
    """Two linear heads, sigmoid output, the loss beside the model."""

    output = staticmethod(torch.sigmoid)

    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(D, H), nn.Linear(H, L), nn.Linear(H, L)
        self.fc3, self.fc4 = nn.Linear(L, H), nn.Linear(H, D)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z):
        return self.output(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def tutorial(loss=tutorial_loss, x=None, **methods):
    """The tutorial's step with another loss, other data, or other methods."""
    model = type("Model", (Tutorial,), methods)()

    def step(model, x):
        recon_x, mu, logvar = model(x)
        return loss(recon_x, x, mu, logvar)

    return {"model": model, "x": images() if x is None else x, "step": step}


def logits_model(loss, x=None, **methods):
    return tutorial(loss, x, output=staticmethod(lambda y: y), **methods)


class Convolutional(nn.Module):
    """One head cut in two, batch normalisation, a loss in the forward pass as a dictionary."""

    def __init__(self, clamp=True):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(), nn.Flatten(),
            nn.Linear(8 * 16, 2 * L),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(L, 8 * 16), nn.Unflatten(1, (8, 4, 4)), nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 3, 2, 1, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x, weight=1.0):
        mu, log_var = torch.chunk(self.encoder(x), 2, dim=1)
        log_var = log_var.clamp(-8, 6)
        z = torch.randn_like(mu).mul(torch.exp(log_var / 2)).add(mu)
        nll = ((self.decoder(z) - x) ** 2).flatten(1).sum(1).mean()
        kl = kl_rows(mu, log_var).mean()
        return {"loss": nll + weight * kl, "recon": nll.detach(), "kl": kl.detach()}


class Spatial(nn.Module):
    """A latent image, a diagonal Gaussian as an object."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 6, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, 1, 1), nn.SiLU(), nn.ConvTranspose2d(8, 1, 2, 2)
        )

    def step(self, x, factor=0.5):
        mean, logvar = torch.chunk(self.encoder(x), 2, dim=1)
        logvar = torch.clamp(logvar, -30.0, 20.0)
        z = mean + torch.exp(factor * logvar) * torch.randn(mean.shape)
        nll = torch.abs(x - self.decoder(z)).sum() / len(x)
        kl = 0.5 * torch.sum(mean**2 + logvar.exp() - 1.0 - logvar, dim=[1, 2, 3])
        return nll + 1e-2 * kl.mean()


class Distributions(nn.Module):
    """Normal(…).rsample and kl_divergence, σ by softplus and a floor."""

    def __init__(self, draw="rsample", floor=0.1, kl_floor=None):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(D, H), nn.ELU(), nn.Linear(H, 2 * L))
        self.decoder = nn.Sequential(nn.Linear(L, H), nn.ELU(), nn.Linear(H, D))
        self.draw, self.floor = draw, floor
        self.kl_floor = floor if kl_floor is None else kl_floor

    def elbo(self, x):
        mean, raw = self.encoder(x).split(L, dim=-1)
        q = Normal(mean, F.softplus(raw) + self.floor)
        z = getattr(q, self.draw)()
        p = Independent(Normal(self.decoder(z), torch.ones(())), 1)
        q = Normal(mean, F.softplus(raw) + self.kl_floor)
        kl = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
        return (p.log_prob(x) - kl).mean()


class MonteCarlo(nn.Module):
    """log q(z|x) − log p(z) at the sample."""

    def __init__(self, wrong=False):
        super().__init__()
        self.body, self.mu, self.std = nn.Linear(D, H), nn.Linear(H, L), nn.Linear(H, L)
        self.decoder, self.wrong = nn.Linear(L, D), wrong

    def loss(self, x):
        h = torch.tanh(self.body(x))
        q = Normal(self.mu(h), self.std(h).exp())
        z = q.rsample()
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(1)
        log_p = Normal(0.0, 1.0).log_prob(z).sum(1) * (0.5 if self.wrong else 1.0)
        return (nll + q.log_prob(z).sum(1) - log_p).mean()


class Conditional(nn.Module):
    """Labels joined to x and to z; a batch of images and labels."""

    def __init__(self):
        super().__init__()
        self.fc1, self.mu, self.logvar = nn.Linear(D + 10, H), nn.Linear(H, L), nn.Linear(H, L)
        self.fc2, self.fc3 = nn.Linear(L + 10, H), nn.Linear(H, D)

    def loss(self, batch, decode_mu=False):
        x, y = batch
        y = F.one_hot(y, 10).float()
        h = F.elu(self.fc1(torch.cat([x, y], 1)))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        z = mu if decode_mu else z
        x_hat = torch.sigmoid(self.fc3(F.elu(self.fc2(torch.cat((z, y), 1)))))
        return (bce(x_hat, x) + kl_sum(mu, logvar)) / x.shape[0]


class Prior(Tutorial):
    """A network gives the prior of each label."""

    def __init__(self):
        super().__init__()
        self.prior = nn.Linear(10, 2 * L)

    def loss(self, batch, wrong=False):
        x, y = batch
        recon_x, mu, logvar = self(x)
        mu_p, logvar_p = self.prior(F.one_hot(y, 10).float()).chunk(2, 1)
        scale = 1.0 if wrong else logvar_p.exp()
        kl = logvar_p - logvar + (logvar.exp() + (mu - mu_p) ** 2) / scale - 1
        return bce(recon_x, x) + 0.5 * kl.sum()


class Heteroscedastic(nn.Module):
    """The decoder gives a mean and a logarithm of a variance."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(D, 2 * L), nn.Linear(L, 2 * D)

    def loss(self, x):
        mu, logvar = self.encoder(x).chunk(2, 1)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        mean, log_variance = self.decoder(torch.tanh(z)).chunk(2, 1)
        nll = F.gaussian_nll_loss(mean, x, log_variance.exp(), reduction="sum")
        return (nll + kl_sum(mu, logvar)) / len(x)


class Pooled(nn.Module):
    """Heads by global pooling."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(1, 2 * L, 3, padding=1), nn.Linear(L, 64)

    def loss(self, x):
        mu, logvar = self.encoder(x).mean((2, 3)).chunk(2, 1)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        return bce(torch.sigmoid(self.decoder(z)).view_as(x), x) + kl_sum(mu, logvar)


class Graph(nn.Module):
    """A graph autoencoder: the decoder is an inner product."""

    def __init__(self):
        super().__init__()
        self.base, self.mu, self.log_std = (
            nn.Linear(D, H), nn.Linear(H, L), nn.Linear(H, L)
        )  # fmt: skip

    def loss(self, x, adjacency):
        h = torch.relu(adjacency @ self.base(x))
        mu, log_std = adjacency @ self.mu(h), adjacency @ self.log_std(h)
        z = mu + torch.randn_like(log_std) * torch.exp(log_std)
        nll = F.binary_cross_entropy_with_logits(z @ z.T, adjacency, reduction="sum")
        kl = -0.5 * torch.sum(1 + 2 * log_std - mu**2 - log_std.exp() ** 2)
        return nll + kl


class Text(nn.Module):
    """Tokens in, logits over a vocabulary out."""

    def __init__(self, vocabulary=11, length=7, reduction="sum"):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, H)
        self.gru, self.mu, self.logvar = (
            nn.GRU(H, H, batch_first=True), nn.Linear(H, L), nn.Linear(H, L)
        )  # fmt: skip
        self.out, self.shape = nn.Linear(L, length * vocabulary), (length, vocabulary)
        self.reduction = reduction

    def loss(self, tokens):
        _, h = self.gru(self.embed(tokens))
        mu, logvar = self.mu(h[0]), self.logvar(h[0])
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        logits = self.out(z).view(-1, *self.shape)
        nll = F.cross_entropy(
            logits.reshape(-1, self.shape[1]), tokens.reshape(-1), reduction=self.reduction
        )
        nll = nll / len(tokens) if self.reduction == "sum" else nll
        return nll + kl_rows(mu, logvar).mean()


class TeacherForced(nn.Module):
    """The tokens so far give the next one; rows and places are merged."""

    def __init__(self, reduction="sum"):
        super().__init__()
        self.embed, self.mu, self.logvar = nn.Embedding(11, H), nn.Linear(H, L), nn.Linear(H, L)
        self.begin, self.out, self.reduction = nn.Linear(L, H), nn.Linear(H, 11), reduction
        self.gru = nn.GRU(H, H, batch_first=True)

    def loss(self, tokens):
        embedded = self.embed(tokens)
        h = embedded.mean(1)
        mu, logvar = self.mu(torch.tanh(h)), self.logvar(torch.tanh(h))
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        states, _ = self.gru(embedded[:, :-1], self.begin(z)[None])
        logits = self.out(states.reshape(-1, H))
        nll = F.cross_entropy(logits, tokens[:, 1:].reshape(-1), reduction=self.reduction)
        return (nll / len(tokens) if self.reduction == "sum" else nll) + kl_rows(mu, logvar).mean()


class Segmentation(nn.Module):
    """The prior sees the image, the posterior the mask too; the mask is the target."""

    def __init__(self):
        super().__init__()
        self.prior, self.posterior = nn.Linear(D, 2 * L), nn.Linear(2 * D, 2 * L)
        self.decoder = nn.Linear(L + D, D)

    def loss(self, batch):
        image, mask = batch
        p, q = (
            Normal(pair[:, :L], pair[:, L:].exp())
            for pair in (self.prior(image), self.posterior(torch.cat([image, mask], 1)))
        )
        y = self.decoder(torch.cat([q.rsample(), image], 1))
        nll = F.binary_cross_entropy_with_logits(y, mask, reduction="sum") / len(mask)
        return nll + kl_divergence(q, p).sum(1).mean()


class Weighted(Tutorial):
    """A β of 2, under its name."""

    beta = 2.0

    def loss(self, x):
        recon_x, mu, logvar = self(x)
        return 0.5 * ((recon_x - x) ** 2).sum() + self.beta * kl_sum(mu, logvar)


class Quantised(nn.Module):
    """A vector-quantised autoencoder: no VAE."""

    def __init__(self):
        super().__init__()
        self.encoder, self.codes, self.decoder = (
            nn.Linear(D, L), nn.Embedding(7, L), nn.Linear(L, D)
        )  # fmt: skip

    def loss(self, x):
        h = self.encoder(x)
        code = self.codes(torch.cdist(h, self.codes.weight).argmin(1))
        x_hat = self.decoder(h + (code - h).detach())
        return F.mse_loss(x_hat, x) + F.mse_loss(code, h.detach()) + F.mse_loss(h, code.detach())


class Classifier(Tutorial):
    """A classifier beside the VAE."""

    def __init__(self):
        super().__init__()
        self.classify = nn.Linear(D, 10)

    def loss(self, x):
        return tutorial_loss(*(lambda r, mu, s: (r, x, mu, s))(*self(x))) + F.cross_entropy(
            self.classify(x), torch.arange(len(x)) % 10
        )


def discrepancy(r, x, mu, s):
    """A Wasserstein autoencoder's loss."""
    prior = torch.randn_like(mu)

    def kernel(a, b):
        return torch.exp(-((a[:, None] - b[None]) ** 2).mean(-1)).mean()

    return bce(r, x) + kernel(mu, mu) + kernel(prior, prior) - 2 * kernel(mu, prior)


def total_correlation(model, x):
    """A Monte Carlo KL, and a term that is 0 where all examples are alike."""
    mu, logvar = model.encode(x)
    z = model.reparameterize(mu, logvar)
    every = -0.5 * (logvar + (z[:, None] - mu) ** 2 / logvar.exp())  # (B, B, L)
    joint = torch.logsumexp(every.sum(2), 1) + (L - 1) * torch.log(torch.tensor(float(len(x))))
    correlation = joint - torch.logsumexp(every, 1).sum(1)
    own = -0.5 * (logvar + (z - mu) ** 2 / logvar.exp()).sum(1)
    return bce(model.decode(z), x) + (own + 0.5 * z.square().sum(1) + 5 * correlation).sum()


class Annealed(Tutorial):
    """A weight that grows with every step."""

    steps = 0

    def training_step(self, x, number):
        self.steps += 1
        recon_x, mu, logvar = self(x)
        return bce(recon_x, x) / len(x) + min(1.0, self.steps / 1000) * kl_rows(mu, logvar).mean()


def tokens():
    return torch.randint(0, 11, (32, 7), generator=torch.Generator().manual_seed(2))


def whole(model, x=None, step=None):
    return {"model": model, "x": images() if x is None else x, "step": step}


def adjacency():
    a = torch.rand(20, 20, generator=torch.Generator().manual_seed(3)) < 0.2
    return (a | a.T | torch.eye(20, dtype=torch.bool)).float()


def conditional(**options):
    labels = torch.arange(32) % 10
    return whole(Conditional(), (images(), labels), lambda m, b: m.loss(b, **options))


def conditional_prior(**options):
    labels = torch.arange(32) % 10
    return whole(Prior(), (images(), labels), lambda m, b: m.loss(b, **options))


GRAPH = adjacency()

RIGHT = {
    "tutorial": tutorial,
    "tutorial, β = 4": lambda: {**tutorial(
        lambda r, x, mu, s: bce(r, x) / len(x) + 4 * kl_rows(mu, s).mean()), "beta": 4.0},
    "mean over both": lambda: tutorial(
        lambda r, x, mu, s: F.mse_loss(r, x) + kl_rows(mu, s).mean() / D),
    "mean times the number of pixels": lambda: tutorial(
        lambda r, x, mu, s: D * F.binary_cross_entropy(r, x) + kl_rows(mu, s).mean()),
    "logits": lambda: logits_model(
        lambda y, x, mu, s: F.binary_cross_entropy_with_logits(y, x, reduction="sum")
        + kl_sum(mu, s)),
    "squared error of a sigmoid": lambda: tutorial(
        lambda r, x, mu, s: 0.5 * ((r - x) ** 2).sum() + kl_sum(mu, s)),
    "squared error, any data": lambda: logits_model(
        lambda r, x, mu, s: F.mse_loss(r, x, reduction="sum") + kl_sum(mu, s),
        images(low=-3, high=3)),
    "data in [−1, 1]": lambda: logits_model(
        lambda r, x, mu, s: ((torch.tanh(r) - x) ** 2).sum() + kl_sum(mu, s), images(low=-1)),
    "cross-entropy of data in [−1, 1]": lambda: tutorial(
        lambda r, x, mu, s: bce(r, (x + 1) / 2) + kl_sum(mu, s), images(low=-1)),
    "binarised targets": lambda: tutorial(
        lambda r, x, mu, s: bce(r, (x > 0.5).float()) + kl_sum(mu, s)),
    "binary data": lambda: tutorial(x=images().round()),
    "clipped logarithms": lambda: tutorial(
        lambda r, x, mu, s: -(x * torch.log(r + 1e-6) + (1 - x) * torch.log(1 - r + 1e-6)).sum()
        + kl_sum(mu, s)),
    "free bits": lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) / len(x)
        + torch.clamp(0.5 * (mu**2 + s.exp() - 1 - s), min=0.5).sum(1).mean()),
    "capacity": lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) / len(x) + 10 * (kl_rows(mu, s).mean() - 25).abs()),
    "tiny weight": lambda: logits_model(
        lambda r, x, mu, s: F.mse_loss(r, x) + 1e-6 * kl_rows(mu, s).mean()),
    "new_empty().normal_()": lambda: tutorial(
        reparameterize=lambda self, mu, s: s.mul(0.5).exp_().new_empty(mu.shape).normal_()
        .mul(s.mul(0.5).exp_()).add_(mu)),
    "clamped logvar": lambda: tutorial(
        encode=lambda self, x: (self.fc21(h := F.relu(self.fc1(x))), self.fc22(h).clamp(-4, 2))),
    "5 tanh(s / 5)": lambda: tutorial(
        encode=lambda self, x: (self.fc21(h := F.relu(self.fc1(x))),
                                10 * torch.tanh(self.fc22(h) / 5))),
    "a sample axis": lambda: tutorial(
        lambda r, x, mu, s: F.binary_cross_entropy(r, x.expand_as(r), reduction="none").sum(-1)
        .mean(0).sum() + kl_sum(mu, s),
        reparameterize=lambda self, mu, s: mu + torch.exp(s / 2) * torch.randn(3, *mu.shape)),
    "an optimizer in the step": lambda: {**tutorial(), "step": _with_optimizer},
    "convolutional": lambda: whole(Convolutional(), images(1, 8, 8, low=-1), lambda m, x: m(x)),
    "latent images": lambda: whole(Spatial(), images(1, 8, 8), lambda m, x: m.step(x)),
    "distributions": lambda: whole(Distributions(), images(), lambda m, x: -m.elbo(x)),
    "distributions without a floor": lambda: whole(
        Distributions(floor=0.0), images(), lambda m, x: -m.elbo(x)),
    "the ELBO itself": lambda: whole(Distributions(), images(), lambda m, x: m.elbo(x)),
    "Monte Carlo KL": lambda: whole(MonteCarlo(), images(), lambda m, x: m.loss(x)),
    "conditional": conditional,
    "learned prior": lambda: conditional_prior(),
    "a decoder's own σ": lambda: whole(Heteroscedastic(), images(low=-2, high=2),
                                       lambda m, x: m.loss(x)),
    "pooled heads": lambda: whole(Pooled(), images(1, 8, 8), lambda m, x: m.loss(x)),
    "scaled inside": lambda: tutorial(
        lambda r, x, mu, s: bce(r, x / 255) + kl_sum(mu, s), images(high=255.0)),
    "drawn targets": lambda: tutorial(
        lambda r, x, mu, s: bce(r, torch.bernoulli(x)) + kl_sum(mu, s)),
    "graph": lambda: whole(Graph(), images()[:20], lambda m, x: m.loss(x, GRAPH)),
    "text": lambda: whole(Text(), tokens(), lambda m, x: m.loss(x)),
    "a schedule": lambda: whole(Annealed(), images()),
    "evaluation metrics beside": lambda: tutorial(
        lambda r, x, mu, s: (bce(r, x) + kl_sum(mu, s), bce(r, x).item(), kl_sum(mu, s).item())),
    "the body of a loop": lambda: {**tutorial(), "step": _loop},
    "two passes in a step": lambda: {**tutorial(), "step": lambda m, x: (
        m(x), tutorial_loss(*(lambda r, mu, s: (r, x, mu, s))(*m(x))))[1]},
    "Huber, δ = 0.3": lambda: logits_model(
        lambda r, x, mu, s: F.huber_loss(r, x, reduction="sum", delta=0.3) + kl_sum(mu, s)),
    "a factor of the covariance": lambda: tutorial(reparameterize=lambda self, mu, s:
        torch.distributions.MultivariateNormal(mu, torch.diag_embed(s.exp())).rsample()),
    "teacher forcing": lambda: whole(TeacherForced(), tokens(), lambda m, x: m.loss(x)),
    "segmentation": lambda: whole(Segmentation(), (images(), images().round()),
                                  lambda m, b: m.loss(b)),
    "β = 2 under its name": lambda: whole(Weighted(), images()),
    "one head cut by slices": lambda: tutorial(
        encode=lambda self, x: (
            (h := torch.cat([self.fc21(g := F.relu(self.fc1(x))), self.fc22(g)], 1))[:, :L],
            h[:, L:])),
}  # fmt: skip


def _loop(model, x):
    """The body of a training loop, which returns a number for the log."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    recon_x, mu, logvar = model(torch.autograd.Variable(x))
    loss = tutorial_loss(recon_x, x, mu, logvar)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item()}


def _with_optimizer(model, x):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    loss = tutorial_loss(*(lambda r, mu, s: (r, x, mu, s))(*model(x)))
    loss.backward()
    optimizer.step()
    return loss


def _sampler(draw):
    return lambda: tutorial(reparameterize=lambda self, mu, s: draw(mu, s))


def _heads(pair):
    return lambda: tutorial(encode=lambda self, x: pair(self, F.relu(self.fc1(x))))


WRONG = {
    "σ = exp(logvar)": (
        "sampler-std", _sampler(lambda mu, s: mu + torch.exp(s) * torch.randn_like(mu))),
    "uniform noise": (
        "noise-uniform", _sampler(lambda mu, s: mu + torch.exp(s / 2) * torch.rand_like(mu))),
    "noise × 0.1": (
        "noise-scale", _sampler(lambda mu, s: mu + 0.1 * torch.exp(s / 2) * torch.randn_like(mu))),
    "one noise for the batch": ("noise-shared-over-batch", _sampler(
        lambda mu, s: mu + torch.exp(s / 2) * torch.randn(mu.shape[1]))),
    "a floor in the sampler alone": ("sampler-std", _sampler(
        lambda mu, s: mu + (torch.exp(s / 2) + 0.3) * torch.randn_like(mu))),
    "detached std": ("gradient-cut", _sampler(
        lambda mu, s: mu + torch.exp(s / 2).detach() * torch.randn_like(mu))),
    "sample() for rsample()": ("gradient-cut", _sampler(
        lambda mu, s: Normal(mu, torch.exp(s / 2)).sample())),
    "no noise": ("loss-deterministic", _sampler(lambda mu, s: mu)),
    "decode(mu)": ("wiring-z", lambda: tutorial(forward=_decodes_mu)),
    "conditional, decode(mu)": ("wiring-z", lambda: conditional(decode_mu=True)),
    "mu and logvar returned exchanged": ("wiring-swapped", lambda: tutorial(forward=_exchanged)),
    "mu and logvar exchanged in the sampler": ("wiring-swapped", lambda: tutorial(
        forward=lambda self, x: (
            self.decode(self.reparameterize(*(pair := self.encode(x))[::-1])), *pair))),
    "one head twice": ("head-shared", _heads(lambda self, h: (self.fc21(h), self.fc21(h)))),
    "softplus(logvar)": (
        "head-range", _heads(lambda self, h: (self.fc21(h), F.softplus(self.fc22(h))))),
    "relu(mu)": ("head-range", _heads(lambda self, h: (F.relu(self.fc21(h)), self.fc22(h)))),
    "KL without ½": ("kl-half", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) + 2 * kl_sum(mu, s))),
    "sign of the KL": ("kl-sign", lambda: tutorial(lambda r, x, mu, s: bce(r, x) - kl_sum(mu, s))),
    "KL with a mean": ("kl-mean-over-latents", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) / len(x) - 0.5 * torch.mean(1 + s - mu**2 - s.exp()))),
    "KL without logvar": ("kl-missing-log", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) - 0.5 * torch.sum(1 - mu**2 - s.exp()))),
    "KL of σ": ("kl-std-not-var", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) - 0.5 * torch.sum(1 + s - mu**2 - torch.exp(s / 2)))),
    "no KL": ("kl-missing", lambda: tutorial(lambda r, x, mu, s: bce(r, x))),
    "KL detached": ("gradient-cut", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) + kl_sum(mu, s).detach())),
    "KL.item()": ("gradient-cut", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) + kl_sum(mu, s).item())),
    "encoder under no_grad": ("gradient-cut", lambda: tutorial(
        encode=lambda self, x: (self.fc21(h := F.relu(self.fc1(x)).detach()), self.fc22(h)))),
    "mean over pixels": ("pixel-mean", lambda: tutorial(
        lambda r, x, mu, s: F.binary_cross_entropy(r, x) + kl_rows(mu, s).mean())),
    "500 × a mean over pixels": ("pixel-mean", lambda: tutorial(
        lambda r, x, mu, s: 500 * F.binary_cross_entropy(r, x) + kl_rows(mu, s).mean())),
    "sum beside mean over the batch": ("batch-reduction-mismatch", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x) + kl_rows(mu, s).mean())),
    "mse mean beside a sum": ("batch-reduction-mismatch", lambda: tutorial(
        lambda r, x, mu, s: F.mse_loss(r, x) + kl_sum(mu, s))),
    "arguments of the cross-entropy": ("bce-swapped", lambda: tutorial(
        lambda r, x, mu, s: bce(x, r) + kl_sum(mu, s))),
    "sigmoid twice": ("bce-double-sigmoid", lambda: tutorial(
        lambda r, x, mu, s: F.binary_cross_entropy_with_logits(r, x, reduction="sum")
        + kl_sum(mu, s))),
    "no sigmoid": ("bce-needs-sigmoid", lambda: logits_model(
        lambda r, x, mu, s: -(x * torch.log(r.clamp(1e-6)) + (1 - x)
                              * torch.log((1 - r).clamp(1e-6))).sum() + kl_sum(mu, s))),
    "data in [0, 255]": ("data-range", lambda: logits_model(
        lambda y, x, mu, s: F.binary_cross_entropy_with_logits(y, x, reduction="sum")
        + kl_sum(mu, s), images(high=255.0).round())),
    "data in [−1, 1] under a sigmoid": ("data-range", lambda: tutorial(
        lambda r, x, mu, s: ((r - x) ** 2).sum() + kl_sum(mu, s), images(low=-1))),
    "log(1e-8 + 1 − y)": ("edge-reconstruction", lambda: tutorial(
        lambda r, x, mu, s: -(x * torch.log(1e-8 + r) + (1 - x) * torch.log(1e-8 + 1 - r)).sum()
        + kl_sum(mu, s))),
    "sampler's floor, distributions": ("sampler-std", lambda: whole(
        Distributions(floor=0.5, kl_floor=0.0), images(), lambda m, x: -m.elbo(x))),
    "sample(), distributions": ("gradient-cut", lambda: whole(
        Distributions(draw="sample"), images(), lambda m, x: -m.elbo(x))),
    "Monte Carlo KL, wrong": ("kl-log-sigma", lambda: whole(
        MonteCarlo(wrong=True), images(), lambda m, x: m.loss(x))),
    "σ = exp(logvar), latent images": ("sampler-std", lambda: whole(
        Spatial(), images(1, 8, 8), lambda m, x: m.step(x, factor=1.0))),
    "β stated, not used": ("beta-unused", lambda: {**tutorial(), "beta": 4.0}),
    "decode(z.detach())": ("gradient-cut", lambda: tutorial(
        forward=lambda self, x: (
            self.decode(self.reparameterize(*(pair := self.encode(x))).detach()), *pair))),
    "x_hat beside another target": ("wiring-x", lambda: tutorial(
        lambda r, x, mu, s: bce(r, torch.full_like(x, 0.5)) + kl_sum(mu, s))),
    "learned prior without its variance": ("kl-form", lambda: conditional_prior(wrong=True)),
    "one number for a row": ("noise-shared-over-latents", _sampler(
        lambda mu, s: mu + torch.exp(s / 2) * torch.randn(len(mu), 1))),
    "mu left out": ("sampler-mean", _sampler(lambda mu, s: torch.exp(s / 2) * torch.randn_like(s))),
    "z by NumPy": ("gradient-cut", _sampler(lambda mu, s: torch.from_numpy(
        (mu + torch.exp(s / 2) * torch.randn_like(mu)).detach().numpy()))),
    "a loss made anew": ("gradient-cut", lambda: tutorial(lambda r, x, mu, s: torch.tensor(
        tutorial_loss(r, x, mu, s).item(), requires_grad=True))),
    "KL(p ‖ q)": ("kl-form", lambda: tutorial(lambda r, x, mu, s: bce(r, x) + kl_divergence(
        Normal(0.0, 1.0), Normal(mu, torch.exp(s / 2))).sum())),
    "rows shuffled": ("wiring-x", lambda: tutorial(
        lambda r, x, mu, s: bce(r, x[torch.randperm(len(x))]) + kl_sum(mu, s))),
    "teacher forcing, mean over tokens": ("pixel-mean", lambda: whole(
        TeacherForced(reduction="mean"), tokens(), lambda m, x: m.loss(x))),
    "text, mean over tokens": ("pixel-mean", lambda: whole(
        Text(reduction="mean"), tokens(), lambda m, x: m.loss(x))),
}  # fmt: skip


def _decodes_mu(self, x):
    mu, logvar = self.encode(x)
    self.reparameterize(mu, logvar)
    return self.decode(mu), mu, logvar


def _exchanged(self, x):
    mu, logvar = self.encode(x)
    return self.decode(self.reparameterize(mu, logvar)), logvar, mu


OPEN = {  # what is no plain VAE: not judged, never accused, never called right
    "vector-quantised": lambda: whole(Quantised(), images()),
    "a classifier beside": lambda: whole(Classifier(), images()),
    "Wasserstein": lambda: tutorial(discrepancy, forward=lambda self, x: (
        self.decode(self.encode(x)[0]), *self.encode(x))),
    "total correlation": lambda: {**tutorial(), "step": total_correlation},
    "rows as columns": lambda: tutorial(lambda r, x, mu, s: kl_sum(mu, s)
        + bce(r, x.view(-1, 6, 8).transpose(1, 2).reshape(-1, D))),
}  # fmt: skip
