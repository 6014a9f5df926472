"""Wrap a VAE as a scikit-learn transformer, density model and outlier detector, for a Pipeline, a
GridSearchCV or cross_val_score. Needs the extra `sklearn`, which nothing else needs.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

try:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        OutlierMixin,
        TransformerMixin,
    )
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_array, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
except ImportError:
    raise ImportError("VAEEstimator needs scikit-learn: pip install scikit-learn") from None

from tinyvae import checks, evaluate
from tinyvae.data.preparation import CHOOSING
from tinyvae.evaluate.passes import by_blocks
from tinyvae.models import VAE
from tinyvae.train import recipes
from tinyvae.train.checkpoint import build, model_config
from tinyvae.train.loop import fit

ELBO_SAMPLES = 10  # draws of z per example behind a score
FLOATS = [np.float64, np.float32]


@dataclass(eq=False, repr=False)  # scikit-learn has its own of both
class VAEEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, BaseEstimator):
    """A variational autoencoder with scikit-learn's interface.

    `transform` gives the posterior means mu (N, L), `inverse_transform` decodes, `sample` draws new
    rows, `score_samples` tells how likely a row is and `predict` which rows are outliers, `impute`
    fills in missing cells. Where sigma is learnt, the model sees each feature with mean 0 and
    standard deviation 1, and what the estimator takes and returns stays in the units of X, scores
    too; images are best scaled to [0, 1] first, with a fixed sigma.

    Cells of X may be missing, NaN: the model learns from those that are observed, its encoder sees
    which they are, and the score of a row is that of its observed cells. They are taken to be
    missing at random.

    Parameters
    ----------
    latent_dim : int, default=2
    hidden : tuple of int or "auto", default="auto"
        Widths of the encoder's hidden layers, mirrored by the decoder; () for a linear model, which
        "auto" takes for fewer than 100 rows; for more it takes (64, 64).
    activation : {"relu", "tanh", "sigmoid", "softplus"}, default="softplus"
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        "bernoulli" is for data in [0, 1].
    sigma : float, "auto" or "per-feature", default="per-feature"
        Standard deviation of the Gaussian; "auto" learns one, "per-feature" one of each feature.
        With the latter a small code may go to features that are nearly constant, as pixels at the
        rim of images are, whose few other values are rare and tell much; "auto" sees the whole.
    output : {"identity", "sigmoid"}, default="identity"
        "sigmoid" keeps the Gaussian's mean in [0, 1].
    conditional : bool, default=False
        Whether encoder and decoder see y too, a class of each row, which all methods then need.
    beta, reconstruction_weight : float, default=1.0
        Factors of the two terms of the training loss.
    free_bits : float, default=0.0
        Nats that each latent dimension may use at no cost.
    epochs : int or "auto", default="auto"
        At most so many, with early stopping; "auto" takes 60, and up to 600 of few rows; twice as
        many where cells are missing.
    early_stopping : bool, default=True
        Hold out `validation_fraction` of the rows (at least 10 must be there), stop after
        `n_iter_no_change` epochs in a row without a better ELBO on them (where cells are missing,
        log p(x)), and keep the weights of the best epoch. With lr_schedule="step" the rate first
        falls, and the wait begins anew.
    validation_fraction : float, default=0.15
        With 0, no rows are held out, and the training does not stop early.
    n_iter_no_change : int or "auto", default="auto"
        "auto" takes 10 to 30, fewer of many rows; three times as many where cells are missing.
    batch_size : int, default=32
    lr : float or "auto", default="auto"
        "auto" takes 0.003, or half of it where cells are missing; for a linear model 0.03, and less
        of more than 66 features.
    lr_schedule : {"constant", "step", "cosine"}, default="step"
    optimizer : {"adam", "sgd"}, default="adam"
    kl_warmup : float, default=0
        Epochs over which the factor of the KL rises to `beta`.
    standardize : "auto" or bool, default="auto"
        Whether the model sees features with mean 0 and standard deviation 1; a fixed sigma is then
        in their units. "auto" does so for a Gaussian with output "identity" whose sigma is learnt.
    importance_samples : int, default=0
        With 0, scores are the ELBO (10 draws of z per row); above, log p(x) by importance sampling
        with so many draws, a higher and tighter bound.
    contamination : float, default=0.1
        The part of the training rows, in (0, 0.5], that `predict` calls outliers.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the weights; "auto" takes that of the data in `fit`.
    backend : {"auto", "numpy", "cupy"}, default="auto"
    threads : int or "auto", default="auto"
        How many cores the training may use.
    random_state : int, RandomState instance or None, default=None
    verbose : bool, default=False
        Show a progress bar in a terminal or a notebook, and a line an epoch elsewhere.

    Attributes
    ----------
    model_ : tinyvae.VAE
        Of the rows `(X - mean_) / scale_`.
    mean_, scale_ : arrays (D,)
        0 and 1 where X is not standardised; the scale of a constant feature is 1.
    classes_ : array (C,)
        The classes in y, of a conditional model.
    history_ : list of dict
        One row an epoch, as `tinyvae.fit` returns it.
    n_iter_ : int
        How many epochs were trained.
    best_epoch_ : int
        The one whose weights the model has.
    offset_ : float
        The score below which a row is an outlier.
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
    hidden: tuple[int, ...] | str = "auto"
    activation: str = "softplus"
    likelihood: str = "gaussian"
    sigma: float | str = "per-feature"
    output: str = "identity"
    conditional: bool = False
    beta: float = 1.0
    reconstruction_weight: float = 1.0
    free_bits: float = 0.0
    epochs: int | str = "auto"
    early_stopping: bool = True
    validation_fraction: float = CHOOSING
    n_iter_no_change: int | str = "auto"
    batch_size: int = 32
    lr: float | str = "auto"
    lr_schedule: str = "step"
    optimizer: str = "adam"
    kl_warmup: float = 0
    standardize: bool | str = "auto"
    importance_samples: int = 0
    contamination: float = 0.1
    dtype: str = "auto"
    backend: str = "auto"
    threads: int | str = "auto"
    random_state: Any = None
    verbose: bool = False

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row; ignored by any other.

        Returns
        -------
        VAEEstimator
            The estimator itself.
        """
        checks.flag("conditional", self.conditional)
        X = self._validated(X)
        labels = self._classes(X, y)
        checks.integer("importance_samples", self.importance_samples, 0)
        checks.integer("batch_size", self.batch_size, 1)
        checks.choice("dtype", self.dtype, ["auto", "float32", "float64"])
        checks.choice("optimizer", self.optimizer, ["adam", "sgd"])
        checks.choice("likelihood", self.likelihood, ["gaussian", "bernoulli"])
        if not 0 < checks.number("contamination", self.contamination) <= 0.5:
            raise ValueError(f"contamination must lie in (0, 0.5], not {self.contamination!r}")
        missing = bool(np.isnan(X).any())
        if missing:
            checks.observed_columns("X", X)
        if self.likelihood == "bernoulli":
            checks.unit_interval("X", np.nanmin(X), np.nanmax(X))
        self.mean_, self.scale_ = self._units(X)
        u = self._standardized(X)
        given = None if self.hidden == "auto" else checks.widths("hidden", self.hidden)
        recipe = recipes.table(len(X), X.shape[1], given, missing)
        rate = recipe["lr"] if self.lr == "auto" else cast(float, self.lr)
        model = VAE(
            X.shape[1], self.latent_dim, hidden=recipe["hidden"], activation=self.activation,
            likelihood=self.likelihood, sigma=self.sigma, output=self.output,
            reconstruction_weight=self.reconstruction_weight,
            n_classes=0 if labels is None else len(self.classes_),
            beta=self.beta, free_bits=self.free_bits, backend=self.backend,
            dtype=X.dtype.name if self.dtype == "auto" else self.dtype,
            seed=_seed(self.random_state), missing="mask" if missing else False,
        )  # fmt: skip
        train, held_out = self._split(u, model.seed)
        most = self._epochs(len(train), missing)
        wait = self._patience(len(train), missing) if len(held_out) else None
        of_labels: dict[str, Any] = {}
        if labels is not None:
            of_labels = {"labels": labels[train], "validation_labels": labels[held_out]}
        self.history_ = fit(
            model, u[train], epochs=most, batch_size=self.batch_size, lr=rate,
            lr_schedule=self.lr_schedule, optimizer=self.optimizer,
            kl_warmup=self.kl_warmup, progress=self.verbose, threads=self.threads, missing=missing,
            validation=u[held_out] if wait else None, patience=wait, **of_labels,
        )  # fmt: skip
        self.n_iter_ = len(self.history_)
        self.best_epoch_ = self.history_.best_epoch or self.n_iter_
        if wait and self.n_iter_ == most:
            problem = f"{self.n_iter_} epochs are over, and epoch {self.best_epoch_} was the best"
            warnings.warn(f"{problem}: more may be better", ConvergenceWarning, stacklevel=2)
        model.accept_missing()  # in rows to come
        self.model_ = model
        self.offset_ = float(np.quantile(self._scores(X, labels), self.contamination))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Train, and return the posterior means of the rows.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        array (N, L)
            mu.
        """
        return self.fit(X, y).transform(X, y if self.conditional else None)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Train, and return which rows are outliers.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        array (N,) of int
            1, or −1 for an outlier.
        """
        return self.fit(X, y).predict(X, y if self.conditional else None)

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Return the posterior means, in the precision of X.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        array (N, L)
            mu.
        """
        X, labels = self._rows(X, y)
        mu, _ = by_blocks(self.model_, self.model_.encode, self._standardized(X), labels)
        return mu.astype(X.dtype)

    def inverse_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Return what codes decode to, in the units of X.

        Parameters
        ----------
        X : array (N, L)
            Codes.
        y : array (N,), for a conditional model
            The class of each row.

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
        (x_hat,) = by_blocks(self.model_, self.model_.decode, Z, self._labels(y, len(Z)))
        return self._in_units(x_hat, Z.dtype)

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        """Return a score of each row, in nats: its ELBO, or its importance-sampled log p(x).

        `importance_samples` chooses. The draws follow from the row and from `random_state` alone.
        Of a row with missing cells it is that of its observed ones, a density of fewer dimensions.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        array (N,)
        """
        return self._scores(*self._rows(X, y))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples` over the rows of X; larger is better.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        float
        """
        return float(self.score_samples(X, y).mean())

    def decision_function(self, X: Any, y: Any = None) -> np.ndarray:
        """Return `score_samples` minus `offset_`.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        array (N,)
            Below 0 for an outlier.
        """
        return self.score_samples(X, y) - self.offset_

    def predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Return which rows are outliers.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.

        Returns
        -------
        array (N,) of int
            1, or −1 for an outlier.
        """
        return np.where(self.decision_function(X, y) < 0, -1, 1)

    def impute(self, X: Any, y: Any = None, samples: int = 1000) -> np.ndarray:
        """Return X with its missing cells filled in by their means given the observed ones.

        See `tinyvae.evaluate.impute`, which draws them too.

        Parameters
        ----------
        X : array or data frame (N, D)
            NaN where a cell is missing.
        y : array (N,), for a conditional model
            The class of each row.
        samples : int
            Draws of z for each row.

        Returns
        -------
        array (N, D)
        """
        X, labels = self._rows(X, y)
        model, u = self.model_, self._standardized(X)
        found = evaluate.impute(model, u, samples=samples, seed=model.seed, labels=labels)
        return np.where(np.isnan(X), self._in_units(found.x, X.dtype), X)

    def sample(
        self, n_samples: int = 1, random_state: Any = None, noise: bool = False, y: Any = None
    ) -> np.ndarray:
        """Return new rows: means of p(x|z) at draws of z from the prior.

        Parameters
        ----------
        n_samples : int
        random_state : int, RandomState instance or None
        noise : bool
            Draw from p(x|z) instead of taking its mean: a draw from the model's p(x).
        y : array (n_samples,), for a conditional model
            The class of each row.

        Returns
        -------
        array (n_samples, D)
        """
        check_is_fitted(self)
        labels = self._labels(y, n_samples)
        x = self.model_.sample(n_samples, seed=_seed(random_state), noise=noise, labels=labels)
        return self._in_units(x, x.dtype)

    def _epochs(self, n_rows: int, missing: bool) -> int:
        """Return the number of epochs: with "auto", more of few rows, whose epochs are short."""
        if self.epochs != "auto":
            return checks.integer("epochs", cast(Any, self.epochs), 1)
        return recipes.epochs(n_rows, self.batch_size, missing)

    def _patience(self, n_rows: int, missing: bool) -> int:
        """Return how many epochs without a better one are waited for."""
        if self.n_iter_no_change != "auto":
            return checks.integer("n_iter_no_change", cast(Any, self.n_iter_no_change), 1)
        return recipes.patience(n_rows, self.batch_size, missing)

    def _split(self, X: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows are trained on, and which stop the training, maybe none.

        The first rows of the random order in which a column is observed are not held out.
        """
        checks.flag("early_stopping", self.early_stopping)
        part = checks.fraction("validation_fraction", self.validation_fraction)
        order = np.random.default_rng(seed).permutation(len(X))
        if not self.early_stopping or not part or len(X) < recipes.LEAST_ROWS:
            return np.arange(len(X)), order[:0]
        needed = np.argmax(~np.isnan(X[order]), axis=0)  # (D,)
        free = order[np.setdiff1d(np.arange(len(X)), needed)]
        held_out = np.sort(free[: max(1, round(len(X) * part))])
        return np.setdiff1d(np.arange(len(X)), held_out), held_out

    def _validated(self, X: Any, reset: bool = True) -> np.ndarray:
        """Return X (N, D) as an array, in which a missing cell is NaN."""
        X = checks.host_array(X) if isinstance(X, np.ma.MaskedArray) else X
        _check_numbers(X)
        how: dict[str, Any] = {"dtype": FLOATS, "order": "C", "ensure_all_finite": "allow-nan"}
        return validate_data(self, X, reset=reset, **how)

    def _rows(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return X (N, D) and labels, checked, where the estimator is fitted."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return X, self._labels(y, len(X))

    def _classes(self, X: np.ndarray, y: Any) -> np.ndarray | None:
        """Return the label of each row (N,), and keep the classes; None if it is not for them."""
        if not self.conditional:
            return None
        if y is None:
            raise ValueError(
                "a conditional model requires y to be passed, but the target y is None"
            )
        check_consistent_length(X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(column_or_1d(y), return_inverse=True)
        return labels

    def _labels(self, y: Any, n: int) -> np.ndarray | None:
        """Return the label of each row (n,), for a conditional model."""
        if not self.model_.n_classes:
            return None
        if y is None:
            raise ValueError(f"this model is conditional: give y, a class of each of {n} rows")
        y = column_or_1d(y)
        unknown = y[~np.isin(y, self.classes_)].tolist()
        if unknown or len(y) != n:
            found = f"has the class {unknown[0]!r}" if unknown else f"has {len(y)} rows for {n}"
            shown = ", ".join(map(str, self.classes_[:10]))
            raise ValueError(f"y {found}: it takes a class of each row, of {shown}")
        return np.searchsorted(self.classes_, y)

    def _scores(self, X: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Return the scores (N,) of checked rows."""
        how: dict[str, Any] = {"seed": self.model_.seed, "labels": labels}
        u, S = self._standardized(X), self.importance_samples
        if S:
            value = evaluate.log_likelihood(self.model_, u, samples=S, **how).log_likelihood
        else:
            value = evaluate.elbo_per_example(self.model_, u, samples=ELBO_SAMPLES, **how).elbo
        # A density of the observed cells of X: p(x) dx = p(u) du, u = x / scale.
        return value - ~np.isnan(X) @ np.log(self.scale_)

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
            double = X.astype(float)  # nanstd takes its differences in the precision of X
            mean, std = np.nanmean(double, axis=0), np.nanstd(double, axis=0)
        if not np.isfinite(std).all():
            column = int(np.argmin(np.isfinite(std)))
            problem = f"X has values up to {np.nanmax(np.abs(X[:, column])):g} in column {column}"
            raise ValueError(f"{problem} (counted from 0), too large to standardise: divide them")
        low = np.nanmin(X, axis=0)
        constant = low == np.nanmax(X, axis=0)
        if (tiny := ~constant & (std == 0)).any():
            place = f"column {int(np.argmax(tiny))} (counted from 0)"
            raise ValueError(f"X has differences in {place} too small to standardise: multiply it")
        return np.where(constant, low, mean), np.where(constant, 1.0, std)

    def _standardized(self, X: np.ndarray) -> np.ndarray:
        """Return X (N, D) as the model sees it, in the precision of X."""
        return ((X - self.mean_) / self.scale_).astype(X.dtype)

    def _in_units(self, x: Any, dtype: np.dtype) -> np.ndarray:
        """Return what the model decoded (N, D), on the host, in the units of X."""
        return (self.model_.backend.to_numpy(x) * self.scale_ + self.mean_).astype(dtype)

    @property
    def _n_features_out(self) -> int:
        return self.model_.latent_dim

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = self.conditional
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


def _check_numbers(X: Any) -> None:
    """Raise ValueError where a data frame has a column of words or dates."""
    for name in X.select_dtypes(exclude=["number", "bool"]) if hasattr(X, "select_dtypes") else ():
        try:
            X[name].astype(float)
        except (TypeError, ValueError):
            remedy = "encode it, as scikit-learn's OneHotEncoder does, or leave it out"
            raise ValueError(f"column {name!r} of X does not hold numbers: {remedy}") from None


def _seed(random_state: Any) -> int:
    """Return a seed drawn from what scikit-learn takes for a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
