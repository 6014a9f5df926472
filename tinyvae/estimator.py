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
    raise ImportError("VAEEstimator needs scikit-learn: pip install scikit-learn") from None

from tinyvae import checks, evaluate
from tinyvae.data.blocks import blocks
from tinyvae.models import VAE
from tinyvae.train.checkpoint import build, model_config
from tinyvae.train.loop import fit

ELBO_SAMPLES = 10  # draws of z per example behind a score
STEPS = 2700  # that "auto" makes of few rows, in at most 600 epochs
LEAST_ROWS = 10  # of which some are held out
BLOCK = 10_000  # rows that pass through the model at once
FLOATS = [np.float64, np.float32]


@dataclass(eq=False, repr=False)  # scikit-learn has its own of both
class VAEEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A variational autoencoder with scikit-learn's interface.

    `transform` gives the posterior means mu (N, L), `inverse_transform` decodes, `sample` draws new
    rows, and `score` is the ELBO or log p(x), so that larger is better and scores of different
    `beta` compare. Training uses no labels. Where sigma is learnt, the model sees each feature with
    mean 0 and standard deviation 1, and what the estimator takes and returns stays in the units of
    X, scores too; images are best scaled to [0, 1] first, with a fixed sigma.

    Parameters
    ----------
    latent_dim : int, default=2
    hidden : tuple of int, default=(256,)
        Widths of the encoder's hidden layers, mirrored by the decoder; () for a linear model.
    activation : {"relu", "tanh", "sigmoid", "softplus"}, default="relu"
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        "bernoulli" is for data in [0, 1].
    sigma : float, "auto" or "per-feature", default="per-feature"
        Standard deviation of the Gaussian; "auto" learns one, "per-feature" one of each feature.
    output : {"identity", "sigmoid"}, default="identity"
        "sigmoid" keeps the Gaussian's mean in [0, 1].
    beta, reconstruction_weight : float, default=1.0
        Factors of the two terms of the training loss.
    free_bits : float, default=0.0
        Nats that each latent dimension may use at no cost.
    epochs : int or "auto", default="auto"
        At most so many, with early stopping; "auto" takes 60, and up to 600 of few rows.
    early_stopping : bool, default=True
        Hold out `validation_fraction` of the rows (at least 10 must be there), stop after
        `n_iter_no_change` epochs in a row without a better ELBO on them, and keep the weights of
        the best epoch.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=20
    batch_size : int, default=128
    lr : float, default=1e-3
    lr_schedule : {"constant", "step", "cosine"}, default="constant"
    optimizer : {"adam", "sgd"}, default="adam"
    kl_warmup : float, default=0
        Epochs over which the factor of the KL rises to `beta`.
    standardize : "auto" or bool, default="auto"
        Whether the model sees features with mean 0 and standard deviation 1; a fixed sigma is then
        in their units. "auto" does so for a Gaussian with output "identity" whose sigma is learnt.
    importance_samples : int, default=0
        With 0, scores are the ELBO (10 draws of z per row); above, log p(x) by importance sampling
        with so many draws, a higher and tighter bound.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the weights; "auto" takes that of the data in `fit`.
    backend : {"auto", "numpy", "cupy"}, default="auto"
    random_state : int, RandomState instance or None, default=None
    verbose : bool, default=False
        Show a progress bar in a terminal or a notebook, and a line an epoch elsewhere.

    Attributes
    ----------
    model_ : tinyvae.VAE
        Of the rows `(X - mean_) / scale_`.
    mean_, scale_ : arrays (D,)
        0 and 1 where X is not standardised; the scale of a constant feature is 1.
    history_ : list of dict
        One row an epoch, as `tinyvae.fit` returns it.
    n_iter_ : int
        The epoch whose weights the model has.
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
    sigma: float | str = "per-feature"
    output: str = "identity"
    beta: float = 1.0
    reconstruction_weight: float = 1.0
    free_bits: float = 0.0
    epochs: int | str = "auto"
    early_stopping: bool = True
    validation_fraction: float = 0.1
    n_iter_no_change: int = 20
    batch_size: int = 128
    lr: float = 1e-3
    lr_schedule: str = "constant"
    optimizer: str = "adam"
    kl_warmup: float = 0
    standardize: bool | str = "auto"
    importance_samples: int = 0
    dtype: str = "auto"
    backend: str = "auto"
    random_state: Any = None
    verbose: bool = False

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array or data frame (N, D)
        y : ignored

        Returns
        -------
        VAEEstimator
            The estimator itself.
        """
        X = validate_data(self, checks.unmasked(X), dtype=FLOATS)
        checks.integer("importance_samples", self.importance_samples, 0)
        checks.choice("dtype", self.dtype, ["auto", "float32", "float64"])
        checks.choice("optimizer", self.optimizer, ["adam", "sgd"])
        self.mean_, self.scale_ = self._units(X)
        X = self._standardized(X)
        model = VAE(
            X.shape[1], self.latent_dim, hidden=self.hidden, activation=self.activation,
            likelihood=self.likelihood, sigma=self.sigma, output=self.output,
            reconstruction_weight=self.reconstruction_weight,
            beta=self.beta, free_bits=self.free_bits, backend=self.backend,
            dtype=X.dtype.name if self.dtype == "auto" else self.dtype,
            seed=_seed(self.random_state),
        )  # fmt: skip
        x, held_out = self._split(X, model.seed)
        self.history_ = fit(
            model, x, epochs=self._epochs(len(x)), batch_size=self.batch_size, lr=self.lr,
            lr_schedule=self.lr_schedule, optimizer=self.optimizer, kl_warmup=self.kl_warmup,
            progress=self.verbose, validation=held_out,
            patience=None if held_out is None else self.n_iter_no_change,
        )  # fmt: skip
        self.n_iter_ = self.history_.best_epoch or len(self.history_)
        self.model_ = model
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the posterior means, in the precision of X.

        Parameters
        ----------
        X : array or data frame (N, D)

        Returns
        -------
        array (N, L)
            mu.
        """
        X = self._rows(X)
        parts = [self.model_.encode(X[rows])[0] for rows in blocks(len(X), BLOCK)]
        return np.concatenate([self._to_numpy(mu, X.dtype) for mu in parts])

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return what codes decode to, in the units of X.

        Parameters
        ----------
        X : array (N, L)
            Codes.

        Returns
        -------
        array (N, D)
            x_hat.
        """
        check_is_fitted(self)
        Z = check_array(X, dtype=FLOATS, input_name="X")
        n, L = Z.shape[1], self.model_.latent_dim
        if n != L:
            raise ValueError(f"X has {n} columns, but codes of this VAE have {L}")
        parts = [self.model_.decode(Z[rows]) for rows in blocks(len(Z), BLOCK)]
        return np.concatenate([self._in_units(x_hat, Z.dtype) for x_hat in parts])

    def score_samples(self, X: Any) -> np.ndarray:
        """Return a score of each row, in nats: its ELBO, or its importance-sampled log p(x).

        `importance_samples` chooses. The draws follow from the row and from `random_state` alone.

        Parameters
        ----------
        X : array or data frame (N, D)

        Returns
        -------
        array (N,)
        """
        X = self._rows(X)
        seed, S = self.model_.seed, self.importance_samples
        if S:
            value = evaluate.log_likelihood(self.model_, X, samples=S, seed=seed).log_likelihood
        else:
            value = evaluate.elbo_per_example(self.model_, X, samples=ELBO_SAMPLES, seed=seed).elbo
        return value - np.log(self.scale_).sum()  # a density of X: p(x) dx = p(u) du, u = x / scale

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples` over the rows; larger is better.

        Parameters
        ----------
        X : array or data frame (N, D)
        y : ignored

        Returns
        -------
        float
        """
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, random_state: Any = None, noise: bool = False
    ) -> np.ndarray:
        """Return new rows: means of p(x|z) at draws of z from the prior.

        Parameters
        ----------
        n_samples : int
        random_state : int, RandomState instance or None
        noise : bool
            Whether to draw from p(x|z) instead of taking its mean: a draw from the model's p(x).

        Returns
        -------
        array (n_samples, D)
            In the units of X.
        """
        check_is_fitted(self)
        x = self.model_.sample(n_samples, seed=_seed(random_state), noise=noise)
        return self._in_units(x, x.dtype)

    def _epochs(self, n_rows: int) -> int:
        """Return the number of epochs: with "auto", more of few rows, whose epochs are short."""
        if self.epochs != "auto":
            return checks.integer("epochs", cast(Any, self.epochs), 1)
        return min(600, max(60, STEPS // -(-n_rows // self.batch_size)))

    def _split(self, X: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the rows to train on, and those that stop the training, or None."""
        checks.flag("early_stopping", self.early_stopping)
        part = checks.fraction("validation_fraction", self.validation_fraction)
        checks.integer("n_iter_no_change", self.n_iter_no_change, 1)
        if not self.early_stopping or len(X) < LEAST_ROWS:
            return X, None
        held_out = min(max(1, round(len(X) * part)), len(X) - 1)
        order = np.random.default_rng(seed).permutation(len(X))
        return X[np.sort(order[held_out:])], X[np.sort(order[:held_out])]

    def _rows(self, X: Any) -> np.ndarray:
        """Return X (N, D), checked, as the model sees it, where the estimator is fitted."""
        check_is_fitted(self)
        X = validate_data(self, checks.unmasked(X), dtype=FLOATS, reset=False)
        return self._standardized(X)

    def _units(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the scale (D,) by which X (N, D) is standardised."""
        D, in_unit = X.shape[1], self.likelihood == "bernoulli" or self.output == "sigmoid"
        if self.standardize not in ("auto", True, False):
            checks.choice("standardize", self.standardize, ["auto", "True", "False"])
        if self.standardize is True and in_unit:
            remedy = "leave it out, or take the gaussian likelihood with output='identity'"
            raise ValueError(f"standardize=True takes rows out of [0, 1]: {remedy}")
        learnt = isinstance(self.sigma, str) and not in_unit
        if not (learnt if self.standardize == "auto" else self.standardize):
            return np.zeros(D), np.ones(D)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
        if not np.isfinite(std).all():
            column = int(np.argmin(np.isfinite(std)))
            problem = f"X has values up to {np.abs(X[:, column]).max():g} in column {column}"
            raise ValueError(f"{problem} (counted from 0), too large to standardise: divide them")
        constant = X.min(axis=0) == X.max(axis=0)
        return np.where(constant, X[0], mean), np.where(constant | (std == 0), 1.0, std)

    def _standardized(self, X: np.ndarray) -> np.ndarray:
        """Return X (N, D) as the model sees it, in the precision of X."""
        return ((X - self.mean_) / self.scale_).astype(X.dtype)

    def _in_units(self, x: Any, dtype: np.dtype) -> np.ndarray:
        """Return what the model decoded (N, D), on the host, in the units of X."""
        return (self._to_numpy(x) * self.scale_ + self.mean_).astype(dtype)

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
