"""The models that one holds: `Autoencoder`, `VAE`, `IWAE`, from settings or from one's own layers.

The mathematics is in `tinyvae.core`. Here settings are checked, networks, likelihood and weights
made from them, and what a model is given, data and labels, becomes what its networks take.
"""

import copy
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.checks import by_keyword
from tinyvae.core import iwae, model
from tinyvae.core.arrays import Array, Ops
from tinyvae.core.columns import (
    Categorical,
    Columns,
    DiagonalGaussian,
    Fill,
    IndependentBernoulli,
    Mixed,
)
from tinyvae.core.copies import apply, duplicate
from tinyvae.core.layers import Dense, ReLU, Sequential, Sigmoid, Softplus, Tanh
from tinyvae.core.likelihood import Bernoulli, CalibratedGaussian, Gaussian
from tinyvae.core.model import Terms
from tinyvae.core.parameters import FlatParameters, first_weights, layers_of, weights_of
from tinyvae.device import Backend, get_backend, seed_sequence

# Each activation with the initialization of the Dense layer before it; softplus is close to ReLU.
ACTIVATIONS: dict[str, tuple[type, str]] = {
    "relu": (ReLU, "he"),
    "tanh": (Tanh, "glorot"),
    "sigmoid": (Sigmoid, "glorot"),
    "softplus": (Softplus, "he"),
}
SHARED = (
    "wait for it, or give each thread a copy (copy.deepcopy); encode, decode and sample may go on"
)
SIGMAS = ("auto", "per-feature")  # those that are learned; or a number


class Autoencoder(model.AutoencoderLoss):
    """An autoencoder: a point z for each example, and no KL (`tinyvae.core.model.AutoencoderLoss`).

    Parameters
    ----------
    n_features, latent_dim, hidden, activation, likelihood, sigma, output, reconstruction_weight
    n_classes, columns, missing, encoder, decoder, backend, dtype, seed
        As of `VAE`.

    Raises
    ------
    TypeError, ValueError
        For an argument that is unknown, given by position where it needs its name, or unfit.
    """

    outputs_per_latent = 1  # the encoder gives z
    user = caller = 0  # the threads that are at work on it, and that called `forward` last
    missing: bool | str = False

    @by_keyword
    def __init__(
        self, n_features: int | None = None, latent_dim: int | None = None, *,
        hidden: int | tuple[int, ...] = (256,), activation: str = "relu",
        likelihood: Any = "gaussian", sigma: float | str = "auto", output: str = "identity",
        reconstruction_weight: float = 1.0, n_classes: int = 0,
        columns: Any = None, missing: bool | str = False,
        encoder: Any = None, decoder: Any = None,
        backend: str | Backend = "auto", dtype: str = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        C = self.n_classes = checks.integer("n_classes", n_classes, 0)
        columns = checks.columns(columns, likelihood)
        if columns and n_features is None:
            n_features = sum(n for _, n in columns)
        D, L = _widths(encoder, decoder, n_features, latent_dim, C)
        self.n_features, self.latent_dim = D, L
        self.reconstruction_weight = checks.number("reconstruction_weight", reconstruction_weight)
        self.dtype = checks.choice("dtype", dtype, ["float32", "float64"])
        self.backend, self.seed = get_backend(backend), checks.integer("seed", seed, 0)
        hidden = checks.widths("hidden", hidden)
        checks.choice("activation", activation, ACTIVATIONS)
        checks.choice("output", output, ["identity", "sigmoid"])
        learned = isinstance(sigma, str)
        sigma = checks.choice("sigma", sigma, SIGMAS) if learned else checks.sigma(sigma)
        self.config: dict[str, Any] | None = {  # what rebuilds the model from a file
            "n_features": D, "latent_dim": L, "hidden": hidden, "activation": activation,
            "likelihood": likelihood, "sigma": sigma, "output": output, "n_classes": C,
            "reconstruction_weight": self.reconstruction_weight, "dtype": dtype, "seed": self.seed,
        }  # fmt: skip
        if columns:
            self.config["columns"] = columns
        if encoder is not None or not isinstance(likelihood, str):
            self.config = None  # one's own layers and likelihoods can't be rebuilt
        ones = self.backend.xp.ones(D, dtype=dtype)
        self.columns = checks.columns_of(columns, likelihood, D)
        self.likelihood = _likelihood(likelihood, sigma, ones, self.columns)
        missing = checks.missing(missing)
        n_in = D + C + (D if missing == "mask" else 0)
        self.encoder = encoder or mlp([n_in, *hidden, self.outputs_per_latent * L], activation)
        self.decoder = decoder or mlp([L + C, *reversed(hidden), D], activation, "small")
        if output == "sigmoid":
            self.decoder = self._in_unit_interval(self.decoder)
        if missing:
            self._fill(missing)
        self.parameters: FlatParameters = Parameters(self.networks, self.backend, dtype, seed)
        self.take(self.backend.ops)
        self.noise = self.backend.generator(seed_sequence(seed, "eps"))
        self.draws = self.backend.generator(seed_sequence(seed, "sample", epoch=1))
        if encoder is not None:
            _check_outputs(self)

    def __repr__(self) -> str:
        hidden = self.config["hidden"] if self.config else ["…"]  # one's own layers or likelihood
        parts = ["-".join(map(str, [self.n_features, *hidden, self.latent_dim]))]
        likelihood, sigma = self.likelihood, self.sigma
        gaussian = isinstance(likelihood, Gaussian | DiagonalGaussian)
        name = "gaussian" if gaussian else type(likelihood).__name__
        parts.append("mixed" if isinstance(likelihood, Mixed) else name.lower())
        if gaussian:
            one = isinstance(sigma, float)
            parts.append(f"sigma {sigma:.2g}" if one else "a sigma of each feature")
        if self.missing:
            parts.append("missing cells")
        if self.n_classes:
            parts.append(f"{self.n_classes} classes")
        parts += [f"{self.parameters.theta.size:,} weights", self.dtype, self.backend.name]
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def networks(self) -> dict[str, Any]:
        """The encoder and the decoder, by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def fingerprint(self) -> str:
        """A hash of θ and sigma, by which a file can say which model it shows."""
        theta = self.backend.to_numpy(self.parameters.theta)
        return hashlib.sha256(theta.tobytes() + repr(self.sigma).encode()).hexdigest()[:16]

    @property
    def sigma(self) -> Any:
        """The standard deviation of p(x|z), in the units of x, an array (D,) if each feature has
        its own; None where no column is Gaussian."""
        return getattr(self.likelihood, "sigma", None)

    @by_keyword
    def forward(self, x: Array, *, labels: Array | None = None) -> Terms:
        """Return the loss of a batch, and remember what `backward` needs.

        Parameters
        ----------
        x : array (B, D)
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        Terms
        """
        x = self.as_batch(x)
        with self.in_use(), self.backend.session(self.parameters.theta.size):
            self.caller = self.user
            return self.loss(x, self.one_hot(labels, len(x)))

    def backward(self) -> None:
        """Write the gradient of the last `forward`'s loss into `parameters.grad`.

        Raises RuntimeError where there was none, or where it was another thread's.
        """
        if not self.B:
            raise RuntimeError("backward needs what forward remembers: call forward(x) before it")
        with self.in_use(), self.backend.session(self.parameters.theta.size):
            if self.caller != self.user:
                raise RuntimeError(f"the last forward was another thread's: {SHARED}")
            self.gradient()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep what this model remembers, and its weights, for this thread, in a `with` block.

        Raises RuntimeError where another thread has them. (`setdefault` is one step.)
        """
        me = threading.get_ident()
        before = vars(self).get("user")
        if vars(self).setdefault("user", me) != me:
            raise RuntimeError(f"another thread is training this model: {SHARED}")
        try:
            yield
        finally:
            if before != me:  # not within another such block
                del self.user

    @by_keyword
    def encode(self, x: Array, *, labels: Array | None = None) -> Any:
        """Return the code of x.

        Parameters
        ----------
        x : array (B, D)
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        array (B, L)
            z.
        """
        x = self.as_batch(x)
        with self.backend.session(self.parameters.theta.size):
            return apply(self.encoder, model.beside(x, self.one_hot(labels, len(x))))

    @by_keyword
    def decode(self, z: Array, *, labels: Array | None = None) -> Array:
        """Return the mean of p(x|z).

        Parameters
        ----------
        z : array (B, L)
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        array (B, D)
        """
        return self.likelihood.mean(self.decoder_output(z, labels=labels))

    @by_keyword
    def reconstruct(self, x: Array, *, labels: Array | None = None) -> Array:
        """Return the mean of p(x|z), decoded from the code of x; of a VAE, from mu.

        Parameters
        ----------
        x : array (B, D)
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        array (B, D)
        """
        return self.decode(self.codes(x, labels)[0], labels=labels)

    @by_keyword
    def decoder_output(self, z: Array, *, labels: Array | None = None) -> Array:
        """Return what the likelihood turns into p(x|z), such as logits.

        Parameters
        ----------
        z : array (B, L)
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        array (B, D)
            y.
        """
        z = self.as_batch(z, "z", self.latent_dim)
        with self.backend.session(self.parameters.theta.size):
            return apply(self.decoder, model.beside(z, self.one_hot(labels, len(z))))

    def codes(self, x: Array, labels: Array | None = None) -> tuple[Array, Array | None]:
        """Return the code z (B, L) and None; of a VAE, mu and logvar (B, L)."""
        return self.encode(x, labels=labels), None

    def as_batch(self, x: Array, name: str = "x", width: int | None = None) -> Array:
        """Return x, checked, as a batch of this model's backend and dtype."""
        x = x if self.backend.holds(x) else checks.host_array(x)
        if name == "x":
            self.check_x(name, x)
        else:
            checks.batch(name, x, width or self.n_features)
        return self.backend.asarray(x, self.dtype)

    def check_x(self, name: str, x: Array, missing: bool = False) -> None:
        """Raise ValueError unless this model takes the rows x (N, D), where cells may be missing if
        the model or `missing` says so."""
        unit, missing = isinstance(self.likelihood, Bernoulli), missing or bool(self.missing)
        checks.batch(name, x, self.n_features, unit=unit, missing=missing)
        if isinstance(self.likelihood, Categorical | Mixed) and isinstance(x, np.ndarray):
            checks.cells(name, x, self.columns)

    def accept_missing(self) -> None:
        """Let cells of x be missing from now on, as `missing=True` does; `fit(missing=True)` calls
        this.

        Under sigma="auto", all features then share one σ² that moves from step to step, as that of
        "per-feature" does. Raises ValueError for a likelihood of one's own.
        """
        if not self.missing:
            self._fill(True)

    def _fill(self, how: bool | str) -> None:
        """Begin the encoder with a `Fill`, and take a likelihood of observed cells."""
        self.likelihood = of_observed_cells(self.likelihood, self.backend.xp.ones(1, self.dtype))
        mask = self.n_features if how == "mask" else 0
        self.encoder, self.missing = Sequential(Fill(mask), self.encoder), how
        self.take(self.backend.ops)
        if self.config:
            self.config["missing"] = how

    def _in_unit_interval(self, decoder: Any) -> Any:
        """Return the decoder, with a Sigmoid at its end if x is Gaussian."""
        if isinstance(self.likelihood, Mixed):
            raise ValueError("output='sigmoid' is for likelihood='gaussian', not for 'mixed'")
        gaussian = isinstance(self.likelihood, Gaussian | DiagonalGaussian)
        return Sequential(decoder, Sigmoid()) if gaussian else decoder

    def one_hot(self, labels: Array | None, n: int) -> Array | None:
        """Return labels (n,), checked, one-hot (n, C); None for a model without."""
        labels = checks.labels(labels, n, self.n_classes)
        if labels is None:
            return None
        one_hot = self.backend.asarray(labels)[:, None] == self.backend.xp.arange(self.n_classes)
        return one_hot.astype(self.dtype)

    def on(self, ops: Ops) -> "Autoencoder":
        """Return a copy of this model, on the same weights, whose large operations are done by
        `ops`; what it remembers is its own."""
        twin, found = object.__new__(type(self)), {}  # type: ignore[var-annotated]
        vars(twin).update(vars(self))
        for name in ("encoder", "decoder", "likelihood"):
            setattr(twin, name, duplicate(getattr(self, name), found))
        twin.take(ops)
        return twin

    def __copy__(self) -> "Autoencoder":
        return copy.deepcopy(self)  # a copy that shared θ would be trained with this one

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "user"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.parameters.lay(weights_of(self.networks))  # copies of views are no views

    def take(self, ops: Ops) -> None:
        """Let `ops` do the large operations."""
        for part in (self, self.likelihood, *layers_of(self.encoder), *layers_of(self.decoder)):
            if hasattr(part, "ops"):
                part.ops = ops


class VAE(Autoencoder, model.VAELoss):
    """A variational autoencoder: x → encoder → mu, logvar → z → decoder → p(x|z).

    Its loss, and the bound that it is, are derived in `tinyvae.core.model.VAELoss`.

    Parameters
    ----------
    n_features, latent_dim : int
        D and L (2 unless given). May be left out where `encoder` and `decoder`, or `columns`, tell
        them.
    hidden : tuple of int
        Widths of the encoder's hidden layers, mirrored by the decoder; () for a linear model.
    activation : {"relu", "tanh", "sigmoid", "softplus"}
    likelihood : {"gaussian", "bernoulli", "categorical", "mixed"}, or an object of your own
        p(x|z); see `tinyvae.core.contracts.Likelihood`. "categorical" takes all columns for the
        one-hot categories of one variable, "mixed" is for tables: see `columns`.
    sigma : float, "auto" or "per-feature"
        The Gaussian's standard deviation, in the units of x; "auto" learns it
        (`tinyvae.core.likelihood.CalibratedGaussian`), "per-feature" learns one of each feature
        (`tinyvae.core.columns.DiagonalGaussian`), as "auto" does in a "mixed" table; in a loop of
        one's own, `model.likelihood.move()` then follows each step of the optimizer.
        `python -m tinyvae.train` takes 1/√2 and output="sigmoid" for data in [0, 1].
    output : {"identity", "sigmoid"}
        "sigmoid" keeps the Gaussian's mean in [0, 1]: the decoder then ends in a `Sigmoid`.
    beta : float
        Factor of the KL in the loss (Higgins et al. 2017).
    reconstruction_weight : float
        Factor of the reconstruction in the loss.
    free_bits : float
        Nats that each latent dimension may use at no cost: the loss counts max(free_bits, the
        dimension's mean KL over the batch) (Kingma et al. 2016). `Terms.kl` stays the KL itself.
    n_classes : int
        Above 0 the model is conditional (Sohn et al. 2015): encoder and decoder also see each
        example's label, one of 0 … n_classes − 1, as n_classes more inputs, one-hot.
    columns : list of (str, int), for likelihood "mixed"
        The variables from left to right: ("gaussian", n) or ("bernoulli", n) for n columns of that
        kind, ("categorical", K) for one variable, one-hot in K columns.
    missing : bool or "mask"
        Whether cells of x may be missing, NaN: they take no part in the likelihood, and the encoder
        sees 0, a standardised feature's mean. With "mask" it also sees which are observed.
    encoder, decoder : Sequential
        Your own layers, instead of `hidden` and `activation`.
    backend : {"auto", "numpy", "cupy"}
    dtype : {"float32", "float64"}
    seed : int
        Of all that is random, in training too.

    See Also
    --------
    tinyvae.fit : Train it.
    tinyvae.evaluate.elbo : Measure it.
    tinyvae.save : Keep it.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyvae import VAE, Adam
    >>> vae = VAE(6, 2, hidden=(16,), sigma=0.5, backend="numpy")
    >>> optimizer = Adam(vae.parameters, lr=1e-2)
    >>> x = np.random.default_rng(0).standard_normal((32, 6))
    >>> first = vae.forward(x)
    >>> for _ in range(50):
    ...     terms = vae.forward(x)
    ...     vae.backward()
    ...     optimizer.step()
    >>> bool(terms.loss < first.loss)
    True
    >>> mu, logvar = vae.encode(x)
    >>> mu.shape, vae.decode(mu).shape, vae.sample(5, seed=0).shape
    ((32, 2), (32, 6), (5, 6))
    """

    outputs_per_latent = 2  # the encoder gives mu and logvar

    @by_keyword
    def __init__(
        self, n_features: int | None = None, latent_dim: int | None = None, *,
        hidden: int | tuple[int, ...] = (256,), activation: str = "relu",
        likelihood: Any = "gaussian", sigma: float | str = "auto", output: str = "identity",
        beta: float = 1.0, reconstruction_weight: float = 1.0, free_bits: float = 0.0,
        n_classes: int = 0, columns: Any = None, missing: bool | str = False,
        encoder: Any = None, decoder: Any = None,
        backend: str | Backend = "auto", dtype: str = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            n_features, latent_dim, hidden=hidden, activation=activation, likelihood=likelihood,
            sigma=sigma, output=output, reconstruction_weight=reconstruction_weight,
            n_classes=n_classes, columns=columns, missing=missing, encoder=encoder,
            decoder=decoder, backend=backend, dtype=dtype, seed=seed,
        )  # fmt: skip
        self.beta = checks.number("beta", beta)
        self.free_bits = checks.number("free_bits", free_bits)
        if self.config:
            self.config |= {"beta": self.beta, "free_bits": self.free_bits}

    @by_keyword
    def forward(self, x: Array, *, eps: Array | None = None, labels: Array | None = None) -> Terms:
        """Return the loss of a batch, and remember what `backward` needs.

        Parameters
        ----------
        x : array (B, D)
        eps : array (B, L), or (B, k, L) of an IWAE
            The noise, drawn from N(0, I) where it is left out; passed in, it makes the loss an
            ordinary function of the weights.
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        Terms
        """
        x = self.as_batch(x)
        with self.in_use(), self.backend.session(self.parameters.theta.size):
            self.caller = self.user
            eps = self.draw_eps(len(x)) if eps is None else self.as_eps(eps, len(x))
            return self.loss(x, self.one_hot(labels, len(x)), eps)

    @by_keyword
    def encode(self, x: Array, *, labels: Array | None = None) -> tuple[Array, Array]:
        """Return mu and logvar of q(z|x).

        Parameters
        ----------
        x : array (B, D)
        labels : array (B,) of int
            For a conditional model.

        Returns
        -------
        mu, logvar : arrays (B, L)
        """
        return self.split(super().encode(x, labels=labels))

    @by_keyword
    def sample(
        self, n: int, *, seed: int | None = None, noise: bool = False, temperature: float = 1.0,
        labels: Array | None = None,
    ) -> Array:  # fmt: skip
        """Return new examples: z from the prior, decoded to the mean of p(x|z).

        Parameters
        ----------
        n : int
            How many.
        seed : int
            Makes the draw repeatable.
        noise : bool
            Whether to draw from p(x|z) too, instead of taking its mean.
        temperature : float
            Standard deviation of z; 1 is the prior's.
        labels : array (n,) of int
            For a conditional model.

        Returns
        -------
        array (n, D)
        """
        shape = (checks.integer("n", n, 1), self.latent_dim)
        rng = self.draws if seed is None else self.backend.generator(seed_sequence(seed, "sample"))
        z = rng.standard_normal(shape, dtype=np.dtype(self.dtype))
        z *= checks.number("temperature", temperature)
        y = self.decoder_output(z, labels=labels)
        return self.likelihood.sample(y, rng) if noise else self.likelihood.mean(y)

    def codes(self, x: Array, labels: Array | None = None) -> tuple[Array, Array | None]:
        """Return mu and logvar (B, L) of q(z|x)."""
        return self.encode(x, labels=labels)

    def eps_shape(self, B: int) -> tuple[int, ...]:
        """Return the shape of a batch's noise, (B, L)."""
        return B, self.latent_dim

    def draw_eps(self, B: int) -> Array:
        """Return the noise of a batch."""
        shape, dtype = self.eps_shape(B), np.dtype(self.dtype)
        return self.backend.asarray(self.noise.standard_normal(shape, dtype=dtype))

    def as_eps(self, eps: Array, B: int) -> Array:
        """Return eps, checked, as the noise of a batch."""
        eps = self.as_batch(eps, "eps", self.latent_dim)
        if len(eps) != B:
            raise ValueError(f"eps must have a row for each of {B} examples, not {len(eps)}")
        return eps


class IWAE(VAE, iwae.IWAELoss):
    """An importance-weighted autoencoder: a VAE with a tighter bound, derived in
    `tinyvae.core.iwae.IWAELoss`.

    Parameters
    ----------
    n_features, latent_dim, hidden, activation, likelihood, sigma, output, beta
    reconstruction_weight
        As of `VAE`. Under sigma="auto", σ² is the mean squared error over all draws of the batch.
    free_bits : float
        Refused above 0: the bound has no KL of a dimension to count.
    importance_samples : int
        k.
    n_classes, columns, missing, encoder, decoder, backend, dtype, seed
        As of `VAE`.
    """

    @by_keyword
    def __init__(
        self, n_features: int | None = None, latent_dim: int | None = None, *,
        hidden: int | tuple[int, ...] = (256,), activation: str = "relu",
        likelihood: Any = "gaussian", sigma: float | str = "auto", output: str = "identity",
        beta: float = 1.0, reconstruction_weight: float = 1.0, free_bits: float = 0.0,
        importance_samples: int = 5, n_classes: int = 0, columns: Any = None,
        missing: bool | str = False, encoder: Any = None, decoder: Any = None,
        backend: str | Backend = "auto", dtype: str = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            n_features, latent_dim, hidden=hidden, activation=activation, likelihood=likelihood,
            sigma=sigma, output=output, beta=beta, reconstruction_weight=reconstruction_weight,
            free_bits=free_bits, n_classes=n_classes, columns=columns, missing=missing,
            encoder=encoder, decoder=decoder, backend=backend, dtype=dtype, seed=seed,
        )  # fmt: skip
        if self.free_bits:
            remedy = "take a VAE, or free_bits=0"
            raise ValueError(f"an IWAE has no free bits, not free_bits={self.free_bits}: {remedy}")
        k = self.importance_samples = checks.integer("importance_samples", importance_samples, 1)
        if self.config:
            self.config |= {"importance_samples": k}

    def eps_shape(self, B: int) -> tuple[int, ...]:
        """Return the shape of a batch's noise, (B, k, L)."""
        return B, self.importance_samples, self.latent_dim

    def as_eps(self, eps: Array, B: int) -> Array:
        """Return eps, checked, as the noise of a batch."""
        shape = self.eps_shape(B)
        eps = eps if isinstance(eps, self.backend.xp.ndarray) else np.asarray(eps)
        if eps.shape != shape and not (shape[1] == 1 and eps.shape == (B, self.latent_dim)):
            wanted = f"(examples, importance_samples, latent_dim) = {shape}"
            raise ValueError(f"eps must have the shape {wanted}, not {tuple(eps.shape)}")
        return self.as_batch(eps.reshape(-1, self.latent_dim), "eps", shape[2]).reshape(shape)


def mlp(widths: list[int], activation: str, last: str = "glorot") -> Sequential:
    """Return Dense layers of these widths, with the activation between them, none at the end."""
    make_activation, initialization = ACTIVATIONS[activation]
    layers: list[Any] = []
    for n_in, n_out in pairwise(widths[:-1]):
        layers += [Dense(n_in, n_out, initialization), make_activation()]
    return Sequential(*layers, Dense(widths[-2], widths[-1], last))


class Parameters(FlatParameters):
    """The weights of some networks as one vector θ, and their gradient as one vector g.

    See `tinyvae.core.parameters.FlatParameters`; here they get first values and a backend.

    Parameters
    ----------
    networks : dict from a name ("encoder") to a Sequential
    backend : {"numpy", "cupy", "auto"}
    dtype : {"float32", "float64"}
    seed : int
        Of the first values.
    """

    def __init__(
        self, networks: dict[str, Any], backend: str | Backend = "numpy", dtype: str = "float32",
        seed: int = 0,
    ) -> None:  # fmt: skip
        backend = get_backend(backend)
        weights = first_weights(networks, np.random.default_rng(seed_sequence(seed, "weights")))
        theta = backend.xp.zeros(sum(value.size for *_, value in weights), dtype=dtype)
        super().__init__(weights, theta, backend.xp.zeros_like(theta))
        self.ops = backend.ops


def _widths(
    encoder: Any, decoder: Any, n_features: int | None, latent_dim: int | None, n_classes: int
) -> tuple[int, int]:
    """Return (n_features, latent_dim); what is not given is read off the first layers."""
    if encoder is None and decoder is None:
        latent_dim = 2 if latent_dim is None else latent_dim
    else:
        for network in (encoder, decoder):
            if not hasattr(network, "layers"):
                remedy = "give both as Sequential(…), or neither"
                raise ValueError(f"encoder and decoder go together, not {network!r}: {remedy}")
        n_features = _width("n_features", n_features, encoder, n_classes)
        latent_dim = _width("latent_dim", latent_dim, decoder, n_classes)
    return checks.integer("n_features", n_features, 1), checks.integer("latent_dim", latent_dim, 1)


def _width(name: str, width: int | None, network: Any, n_classes: int) -> int:
    """Return the width if it is given, else the network's inputs that are no labels."""
    if width is not None:
        return width
    first = getattr(network.layers[0], "shapes", {}) if network.layers else {}
    if "W" not in first:
        raise ValueError(f"the first layer does not tell its width: give {name} too")
    return first["W"][0] - n_classes


def _likelihood(value: Any, sigma: Any, ones: Array, columns: list) -> Any:
    """Return one of the likelihoods by name, or one's own if it has what a model calls."""
    if isinstance(value, str):
        checks.choice("likelihood", value, checks.LIKELIHOODS)
        learned = isinstance(sigma, str)
        if value == "mixed":
            gaussian = any(kind == "gaussian" for kind, _ in columns)
            return Mixed(ones if learned else ones * sigma**2, columns, learned and gaussian)
        if value == "gaussian":
            if sigma == "per-feature":
                return DiagonalGaussian(ones)
            return CalibratedGaussian() if sigma == "auto" else Gaussian(sigma)
        return Categorical() if value == "categorical" else Bernoulli()
    lacks = [name for name in ("forward", "backward") if not hasattr(value, name)]
    if lacks or isinstance(value, type):
        names = ", ".join(map(repr, checks.LIKELIHOODS))
        wanted = f"one of {names} or an object with forward(y, x) and backward(dnll)"
        raise ValueError(f"likelihood must be {wanted}, not {value!r}")
    return value


def of_observed_cells(likelihood: Any, one: Array) -> Columns:
    """Return a model's likelihood as one that knows its cells, and sums over those observed.

    `one` (1,) holds a 1, on the backend. Raises ValueError for a likelihood of one's own.
    """
    if isinstance(likelihood, Columns):
        return likelihood
    if isinstance(likelihood, Gaussian):
        found = DiagonalGaussian(one, moves=isinstance(likelihood, CalibratedGaussian))
        found.sigma = likelihood.sigma
        return found
    if isinstance(likelihood, Bernoulli):
        return IndependentBernoulli()
    kind = type(likelihood).__name__
    remedy = "missing cells and shares are for those of tinyvae"
    raise ValueError(f"the cells of your own likelihood {kind} are not known: {remedy}")


def _check_outputs(model: Autoencoder) -> None:
    """Raise ValueError unless a model's networks take and give rows of the widths it needs."""
    D, L, C = model.n_features, model.latent_dim, model.n_classes
    widths = {"encoder": (D + C, model.outputs_per_latent * L), "decoder": (L + C, D)}
    for name, (n_in, n_out) in widths.items():
        zeros = model.backend.xp.zeros((1, n_in), dtype=model.dtype)
        try:
            shape = model.networks[name].forward(zeros).shape
        except ValueError as error:
            reason = checks.first_line(error)
            raise ValueError(f"the {name} cannot take {n_in} inputs: {reason}") from None
        if tuple(shape) != (1, n_out):
            raise ValueError(f"the {name} must end in {n_out} outputs, not {shape[-1]}")
