"""The named errors: the line of code that usually causes each, and its correction."""

CATALOGUE: dict[str, tuple[str, str]] = {
    # The sampler
    "sampler-std": ("std = torch.exp(logvar)", "std = torch.exp(0.5 * logvar)"),
    "noise-scale": ("eps = 0.1 * torch.randn_like(std)", "eps = torch.randn_like(std)"),
    "noise-uniform": ("eps = torch.rand_like(std)", "eps = torch.randn_like(std)"),
    "noise-mean": ("eps with a mean other than 0", "eps = torch.randn_like(std)"),
    "sampler-mean": ("z = std * eps (without mu)", "z = mu + std * eps"),
    "noise-not-normal": ("eps from another distribution", "eps = torch.randn_like(std)"),
    "noise-shared-over-batch": ("eps = torch.randn(latent_dim)", "eps = torch.randn_like(std)"),
    "noise-shared-over-latents": ("eps = torch.randn(batch, 1)", "eps = torch.randn_like(std)"),
    "noise-repeats": ("noise drawn once and used again", "draw eps inside the sampler"),
    "sampler-frozen-noise": ("torch.manual_seed(0) in the sampler", "seed once, at the start"),
    "sampler-no-noise": ("return mu (evaluation mode?)", "call model.train() before the audit"),
    # The KL
    "kl-half": (
        "-torch.sum(1 + logvar - mu**2 - logvar.exp())",
        "-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())",
    ),
    "kl-sign": ("0.5 * torch.sum(1 + logvar - ...)", "-0.5 * torch.sum(1 + logvar - ...)"),
    "kl-log-sigma": (
        "1 + 2 * log_sigma - mu**2 - exp(2 * log_sigma), fed with logvar",
        "1 + logvar - mu**2 - exp(logvar)",
    ),
    "kl-std-not-var": (
        "1 + logvar - mu**2 - std",
        "1 + logvar - mu**2 - std**2",
    ),
    "kl-mu-not-squared": ("1 + logvar - mu - logvar.exp()", "1 + logvar - mu**2 - logvar.exp()"),
    "kl-missing-mu": ("1 + logvar - logvar.exp()", "1 + logvar - mu**2 - logvar.exp()"),
    "kl-missing-variance": ("1 + logvar - mu**2", "1 + logvar - mu**2 - logvar.exp()"),
    "kl-missing-log": ("1 - mu**2 - logvar.exp()", "1 + logvar - mu**2 - logvar.exp()"),
    "kl-form": ("another formula", "-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())"),
    "kl-mean-over-latents": ("kl.mean()", "kl.sum(dim=1).mean()"),
    "kl-missing": ("return reconstruction", "return reconstruction + beta * kl"),
    # The reconstruction and the balance
    "reconstruction-missing": ("return kl", "return reconstruction + beta * kl"),
    "reconstruction-sign": ("return kl - nll", "return kl + nll"),
    "bce-swapped": ("binary_cross_entropy(x, x_hat)", "binary_cross_entropy(x_hat, x)"),
    "bce-clipped": ("x_hat.clamp(0.01, 0.99)", "the loss on logits, which needs no clipping"),
    "bce-double-sigmoid": (
        "binary_cross_entropy_with_logits(sigmoid(y), x)",
        "binary_cross_entropy_with_logits(y, x)",
    ),
    "bce-needs-sigmoid": ("binary_cross_entropy(y, x)", "binary_cross_entropy(sigmoid(y), x)"),
    "pixel-mean": (
        "binary_cross_entropy(x_hat, x) + kl.sum(dim=1).mean()",
        "binary_cross_entropy(x_hat, x, reduction='sum') / len(x) + kl.sum(dim=1).mean()",
    ),
    "batch-reduction-mismatch": (
        "mse_loss(x_hat, x, reduction='sum') + kl.sum(dim=1).mean()",
        "divide both terms by the batch size, or neither",
    ),
    "beta-twice": ("loss = nll + beta * (beta * kl)", "loss = nll + beta * kl"),
    "beta-unused": ("loss = nll + kl", "loss = nll + beta * kl"),
    "beta-off": ("another weight than the stated beta", "loss = nll + beta * kl"),
    # Hand-written gradients
    "two-noises": (
        "eps drawn again (or left out) in the backward pass",
        "self.eps = eps in forward; dlogvar = dz * 0.5 * std * self.eps",
    ),
    "gradient-scale": ("a factor (1/B, 2, a sign) in the backward pass", "the loss's own factor"),
    "gradient-kl": (
        "the derivative of the KL",
        "dmu += beta * mu / B; dlogvar += beta * 0.5 * (exp(logvar) - 1) / B",
    ),
    "gradient-wrong": ("the backward pass of the blocks named", "derive it again, layer by layer"),
    # A whole loss
    "loss-deterministic": ("z = mu", "z = mu + std * eps, with new noise in every call"),
    "edge-reconstruction": (
        "torch.log(x_hat.clamp(1e-8, 1 - 1e-8))",
        "binary_cross_entropy_with_logits(y, x), or a clamp at 1e-6",
    ),
    "edge-kl": ("torch.log(torch.exp(0.5 * logvar) ** 2)", "logvar"),
    "gradient-cut": (
        ".detach(), .item(), .data, no_grad, or sample() for rsample()",
        "leave the tensor in the graph",
    ),
    # A whole step
    "wiring-z": ("x_hat = decode(mu)", "x_hat = decode(z)"),
    "wiring-swapped": ("return x_hat, logvar, mu", "return x_hat, mu, logvar"),
    "wiring-x": ("loss(x_hat, x_hat.detach())", "loss(x_hat, x)"),
    "head-shared": ("return self.fc1(h), self.fc1(h)", "return self.fc_mu(h), self.fc_logvar(h)"),
    "head-range": ("logvar = softplus(self.fc_logvar(h))", "logvar = self.fc_logvar(h)"),
    "data-range": ("x in [−1, 1] or [0, 255]", "x scaled to what the likelihood takes"),
    "kl-power": (
        "a factor B, L or D on one term",
        "the same sum and the same mean on both terms",
    ),
    # Without a line of code: what is not judged, and notes
    **dict.fromkeys(
        (
            "sampler objective kl reconstruction wiring heads kl-unknown kl-prior kl-schedule "
            "kl-free-bits kl-monte-carlo kl-constant reconstruction-unknown reconstruction-norm "
            "balance-unclear balance beta-unclear scale-read-as sizes-hard-coded is-elbo "
            "arguments-swapped terms-apart noise-given sigma-optimal loss-whole "
            "squared-error-no-half gradient-float32 gradient-scaled gradients step head-confined "
            "data target-hidden other-terms validation sigma-learned prior-learned"
        ).split(),
        ("", ""),
    ),
}

WORDS = {  # PyTorch's words in other frameworks, the longest first
    "jax": [
        ("torch.randn_like(std)", "jax.random.normal(key, std.shape)"),
        ("torch.rand_like(std)", "jax.random.uniform(key, std.shape)"),
        ("torch.manual_seed(0) in the sampler", "PRNGKey(0) in the sampler"),
        ("seed once, at the start", "split the key for every step"),
        (".detach(), .item(), .data, no_grad, or sample() for rsample()", "stop_gradient"),
        ("call model.train() before the audit", "pass the flag of training mode"),
        ("torch.", "jnp."),
    ],
    "tensorflow": [
        ("torch.randn_like(std)", "tf.random.normal(tf.shape(std))"),
        ("torch.rand_like(std)", "tf.random.uniform(tf.shape(std))"),
        ("torch.manual_seed(0) in the sampler", "a fixed seed in the sampler"),
        (
            ".detach(), .item(), .data, no_grad, or sample() for rsample()",
            "stop_gradient, .numpy()",
        ),
        ("call model.train() before the audit", "pass training=True"),
        ("torch.sum", "tf.reduce_sum"),
        ("torch.", "tf."),
    ],
    "numpy": [
        ("torch.randn_like(std)", "rng.standard_normal(std.shape)"),
        ("torch.rand_like(std)", "rng.random(std.shape)"),
        ("torch.manual_seed(0) in the sampler", "default_rng(0) in the sampler"),
        ("call model.train() before the audit", "draw noise"),
        ("logvar.exp()", "np.exp(logvar)"),
        ("torch.", "np."),
    ],
}
WORDS["keras"] = WORDS["tensorflow"]


def in_framework(text: str, framework: str) -> str:
    """Return a line of PyTorch in the words of another framework."""
    for torch, other in WORDS.get(framework, ()):
        text = text.replace(torch, other)
    return text
