"""Wrap a VAE as a scikit-learn transformer and density model, for a Pipeline, a GridSearchCV or
cross_val_score. Needs the extra `sklearn`, which nothing else needs.
"""

from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

try:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        DensityMixin,
        TransformerMixin,
    )
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError("VAEEstimator needs scikit-learn: pip install 'tinyvae[sklearn]'") from None

from tinyvae import checks, evaluate
from tinyvae.models import VAE
from tinyvae.train.checkpoint import build, model_config
from tinyvae.train.loop import fit

ELBO_SAMPLES = 10  # draws of z per example behind a score
FLOATS = [np.float64, np.float32]


@dataclass(eq=False, repr=False)  # scikit-learn has its own of both
class VAEEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A variational autoencoder with scikit-learn's interface.

    `transform` gives the posterior means mu (N, L), `inverse_transform` decodes, `sample` draws new
    rows, and `score` is the ELBO or log p(x), so that larger is better and scores of different
    `beta` compare. Training keeps no rows apart and uses no labels; scale the data first (for
    instance with StandardScaler, or images to [0, 1]).

    Parameters
    ----------
    latent_dim : int, default=2
    hidden : tuple of int, default=(256,)
        Widths of the encoder's hidden layers, mirrored by the decoder; () for a linear model.
    activation : {"relu", "tanh", "sigmoid", "softplus"}, default="relu"
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        "bernoulli" is for data in [0, 1].
    sigma : float or "auto", default="auto"
        Standard deviation of the Gaussian; "auto" learns it.
    output : {"identity", "sigmoid"}, default="identity"
        "sigmoid" keeps the Gaussian's mean in [0, 1].
    beta, reconstruction_weight : float, default=1.0
        Factors of the two terms of the training loss.
    free_bits : float, default=0.0
        Nats that each latent dimension may use at no cost.
    epochs : int, default=50
    batch_size : int, default=128
    lr : float, default=1e-3
    lr_schedule : {"constant", "step", "cosine"}, default="constant"
    optimizer : {"adam", "sgd"}, default="adam"
    kl_warmup : float, default=0
        Epochs over which the factor of the KL rises to `beta`.
    importance_samples : int, default=0
        With 0, scores are the ELBO (10 draws of z per row); above, log p(x) by importance sampling
        with so many draws, a higher and tighter bound.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the weights; "auto" takes that of the data in `fit`.
    backend : {"auto", "numpy", "cupy"}, default="auto"
    random_state : int, RandomState instance or None, default=None
    verbose : bool, default=False
        Show a progress bar where the output is a terminal.

    Attributes
    ----------
    model_ : tinyvae.VAE
    history_ : list of dict
        One row an epoch, as `tinyvae.fit` returns it.
    n_features_in_, feature_names_in_
        What `fit` saw.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyvae.estimator import VAEEstimator
    >>> X = np.random.default_rng(0).standard_normal((200, 8))
    >>> Z = VAEEstimator(latent_dim=2, hidden=(16,), epochs=5, random_state=0).fit_transform(X)
    >>> Z.shape
    (200, 2)
    """

    latent_dim: int = 2
    hidden: tuple[int, ...] = (256,)
    activation: str = "relu"
    likelihood: str = "gaussian"
    sigma: float | str = "auto"
    output: str = "identity"
    beta: float = 1.0
    reconstruction_weight: float = 1.0
    free_bits: float = 0.0
    epochs: int = 50
    batch_size: int = 128
    lr: float = 1e-3
    lr_schedule: str = "constant"
    optimizer: str = "adam"
    kl_warmup: float = 0
    importance_samples: int = 0
    dtype: str = "auto"
    backend: str = "auto"
    random_state: Any = None
    verbose: bool = False

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on the rows of X (N, D); y is ignored. Return the estimator itself."""
        X = validate_data(self, checks.unmasked(X), dtype=FLOATS)
        checks.integer("importance_samples", self.importance_samples, 0)
        checks.choice("dtype", self.dtype, ["auto", "float32", "float64"])
        checks.choice("optimizer", self.optimizer, ["adam", "sgd"])
        model = VAE(
            X.shape[1], self.latent_dim, hidden=self.hidden, activation=self.activation,
            likelihood=self.likelihood, sigma=self.sigma, output=self.output,
            reconstruction_weight=self.reconstruction_weight,
            beta=self.beta, free_bits=self.free_bits, backend=self.backend,
            dtype=X.dtype.name if self.dtype == "auto" else self.dtype,
            seed=_seed(self.random_state),
        )  # fmt: skip
        self.history_ = fit(
            model, X, epochs=self.epochs, batch_size=self.batch_size, lr=self.lr,
            lr_schedule=self.lr_schedule, optimizer=self.optimizer, kl_warmup=self.kl_warmup,
            progress=self.verbose,
        )  # fmt: skip
        self.model_ = model
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the posterior means mu (N, L) of X (N, D), in the precision of X."""
        X = self._rows(X)
        return self._to_numpy(self.model_.encode(X)[0], X.dtype)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return x_hat (N, D), decoded from codes (N, L)."""
        check_is_fitted(self)
        Z = check_array(X, dtype=FLOATS, input_name="X")
        n, L = Z.shape[1], self.model_.latent_dim
        if n != L:
            raise ValueError(f"X has {n} columns, but codes of this VAE have {L}")
        return self._to_numpy(self.model_.decode(Z), Z.dtype)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return a score of each row (N,), in nats: its ELBO, or its importance-sampled log p(x).

        `importance_samples` chooses. The draws follow from the row and from `random_state` alone.
        """
        X = self._rows(X)
        seed, S = self.model_.seed, self.importance_samples
        if S:
            return evaluate.log_likelihood(self.model_, X, samples=S, seed=seed).log_likelihood
        return evaluate.elbo_per_example(self.model_, X, samples=ELBO_SAMPLES, seed=seed).elbo

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples` over the rows of X; larger is better."""
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, random_state: Any = None, noise: bool = False
    ) -> np.ndarray:
        """Return new rows (n_samples, D): means of p(x|z) at draws of z from the prior.

        With `noise`, a draw from p(x|z) instead of its mean: a draw from the model's p(x).
        """
        check_is_fitted(self)
        return self._to_numpy(self.model_.sample(n_samples, seed=_seed(random_state), noise=noise))

    def _rows(self, X: Any) -> np.ndarray:
        """Return X (N, D), checked, where the estimator is fitted."""
        check_is_fitted(self)
        return validate_data(self, checks.unmasked(X), dtype=FLOATS, reset=False)

    def _to_numpy(self, array: Any, dtype: np.dtype | None = None) -> np.ndarray:
        return np.array(self.model_.backend.to_numpy(array), dtype=dtype)

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent_dim

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict:
        """Return what copies and worker processes need: the model as its configuration and θ."""
        state = dict(super().__getstate__())
        if model := state.pop("model_", None):
            theta = model.backend.to_numpy(model.parameters.theta)
            state["_model"] = (model_config(model), theta, model.sigma)
        return state

    def __setstate__(self, state: dict) -> None:
        """Build the model again."""
        config, theta, sigma = state.pop("_model", (None, None, None))
        super().__setstate__(state)
        if config:
            self.model_ = cast(VAE, build(config, self.backend))
            self.model_.parameters.theta[:] = self.model_.backend.asarray(theta)
            self.model_.likelihood.sigma = sigma


def _seed(random_state: Any) -> int:
    """Return a seed drawn from what scikit-learn takes for a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
