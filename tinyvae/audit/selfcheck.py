"""tinyvae's own VAE under the audit, through its public methods alone."""

import numpy as np

from tinyvae.audit.findings import Report
from tinyvae.audit.verdict import audit


class Fixed:
    """A stand-in network that gives out what it was made with, and remembers what it saw."""

    def __init__(self, output: np.ndarray) -> None:
        self.output = output

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the fixed output."""
        self.seen = x
        return self.output


class Probe:
    """A VAE whose encoder and decoder give out whatever the audit asks for."""

    def __init__(self, dtype: str, **options) -> None:
        self.dtype, self.options = dtype, options
        self.noise = np.random.default_rng(0)

    def _forward(self, x: np.ndarray, y: np.ndarray, mu: np.ndarray, logvar: np.ndarray):
        from tinyvae.models import VAE

        sizes = {"n_features": x.shape[1], "latent_dim": mu.shape[1], "hidden": ()}
        vae = VAE(**sizes, backend="numpy", dtype=self.dtype, **self.options)
        vae.noise = self.noise
        vae.encoder, vae.decoder = Fixed(np.concatenate([mu, logvar], axis=1)), Fixed(y)
        return vae, vae.forward(x)

    def objective(self, x, x_hat, mu, logvar):
        """Return the loss of `VAE.forward`."""
        return self._forward(x, x_hat, mu, logvar)[1].loss

    def sample(self, mu, logvar):
        """Return the z that `VAE.forward` gives its decoder."""
        x = np.zeros((len(mu), 1), self.dtype)
        return self._forward(x, x, mu, logvar)[0].decoder.seen


class Gradients:
    """A small VAE with its hand-written gradient."""

    def __init__(self, **options) -> None:
        from tinyvae.models import VAE

        sizes = {"n_features": 11, "latent_dim": 3, "hidden": (7,)}
        self.vae = VAE(**sizes, backend="numpy", dtype="float64", **options)

    def seed(self, number: int) -> None:
        """Hold the noise still."""
        self.vae.noise = np.random.default_rng(number)

    def loss(self, x):
        """Return the loss with the next noise."""
        return self.vae.forward(x).loss

    def gradient(self, x):
        """forward and backward, then the gradient by name."""
        self.vae.forward(x)
        self.vae.backward()
        return {name: array.copy() for name, array in self.vae.parameters.gradients.items()}

    def arguments(self) -> dict:
        """Return what `audit` takes."""
        names = {name: self.vae.parameters[name] for name in self.vae.parameters}
        functions = {"loss": self.loss, "gradient": self.gradient, "seed": self.seed}
        return {**functions, "parameters": names, "pixels": 11}


def audit_tinyvae() -> dict[str, Report]:
    """Audit sampler, KL, likelihoods, balance and gradients of `tinyvae.VAE`.

    Returns
    -------
    dict of str to Report
        One report for each way to set the model up.
    """
    forms = {
        "Gaussian, σ = 1": {"likelihood": "gaussian", "sigma": 1.0},
        "Gaussian, σ = 1/√2": {"likelihood": "gaussian", "sigma": 0.5**0.5},
        "Gaussian, σ = auto": {"likelihood": "gaussian", "sigma": "auto"},
        "Bernoulli": {"likelihood": "bernoulli"},
    }
    reports = {}
    for dtype in ("float32", "float64"):
        for name, options in forms.items():
            probe = Probe(dtype, beta=3.0, **options)
            arguments = {"objective": probe.objective, "sample": probe.sample}
            reports[f"{name}, β = 3, {dtype}"] = audit(**arguments, beta=3.0, dtype=dtype)
    for name, options in forms.items():
        for activation in ("relu", "tanh"):
            model = Gradients(activation=activation, beta=3.0, **options)
            probe = Probe("float64", beta=3.0, **options)
            whole = {"objective": probe.objective, "sample": probe.sample, "dtype": "float64"}
            reports[f"{name}, gradients, {activation}"] = audit(**whole, **model.arguments())
    return reports
