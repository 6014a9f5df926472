"""Measure a trained model: the ELBO and its terms, log p(x) by importance sampling, KL per latent
dimension, active units, mutual information. Everything is in nats per example; functions take
NumPy, or rows that are read lazily, and return NumPy.
An example's result depends on its row and the seed alone (`tinyvae.evaluate.passes`).
"""

import textwrap
from typing import Any, NamedTuple

import numpy as np

from tinyvae import checks
from tinyvae.checks import by_keyword
from tinyvae.core.arrays import Array
from tinyvae.core.latent import kl
from tinyvae.core.likelihood import Bernoulli
from tinyvae.data.dataset import counted
from tinyvae.data.progress import bar
from tinyvae.evaluate.information import mutual_information, standard_error
from tinyvae.evaluate.laplace import near_posterior
from tinyvae.evaluate.passes import (
    Weights,
    checked,
    lacking,
    log_weights,
    posterior,
    posterior_draws,
    same_noise,
)
from tinyvae.models import IWAE, VAE, Autoencoder

ELBO_SAMPLES = 10  # draws per example behind the ELBO that `evaluate` reports
GREY = "x has grey values, of which a Bernoulli is no normalised likelihood: binarize to compare"
KL_ROWS = 2000  # validation rows whose KL of each latent dimension `fit` notes after every epoch
FEW = 10  # effective samples, below which log p(x) is not to be trusted


class Elbo(NamedTuple):
    """The evidence lower bound and its terms: elbo = −(reconstruction + kl), in nats.

    Parameters
    ----------
    elbo, reconstruction, kl : floats, means over the data, or arrays (N,)
    """

    elbo: Any
    reconstruction: Any
    kl: Any


class LogLikelihood(NamedTuple):
    """log p(x) of each example, in nats, its Monte Carlo error, and how many samples carry it.

    Parameters
    ----------
    log_likelihood, standard_error, effective_samples : arrays (N,)
    """

    log_likelihood: np.ndarray
    standard_error: np.ndarray
    effective_samples: np.ndarray


@by_keyword
def elbo(
    model: Autoencoder, x: Array, *, samples: int = 1, seed: int = 0, labels: Array | None = None
) -> Elbo:
    """Return the evidence lower bound and its two terms, as means over the data.

    The reconstruction −log p(x|z) is a mean over draws of z ~ q(z|x), at the model's stored sigma;
    the KL is the closed form. For an Autoencoder, z is the code and the kl is 0.

    Parameters
    ----------
    model : VAE or Autoencoder
    x : array (N, D) of floats, or rows that are read lazily
    samples : int
        Draws of z for each example.
    seed : int
        An example's draws depend on it and on the example's row alone.
    labels : array (N,) of int
        For a conditional model.

    Returns
    -------
    Elbo
        Of floats, in nats per example.

    Raises
    ------
    ValueError
        For unfit x, labels, samples or seed.

    Examples
    --------
    >>> from tinyvae import VAE, evaluate, load_dataset
    >>> x = load_dataset("digits").x_test[:50]
    >>> vae = VAE(784, 2, hidden=(16,), likelihood="bernoulli", backend="numpy")
    >>> terms = evaluate.elbo(vae, x, samples=10)
    >>> abs(terms.elbo + terms.reconstruction + terms.kl) < 1e-9
    True
    """
    per_example = elbo_per_example(model, x, samples=samples, seed=seed, labels=labels)
    return Elbo(*(float(term.mean()) for term in per_example))


@by_keyword
def elbo_per_example(
    model: Autoencoder, x: Array, *, samples: int = 1, seed: int = 0, labels: Array | None = None
) -> Elbo:
    """Return the evidence lower bound of each example and its two terms, arrays (N,).

    Parameters
    ----------
    model, x, samples, seed, labels : as of `elbo`, which tells the errors too
    """
    samples = checks.integer("samples", samples, 1)
    x, labels = checked(model, x, labels)
    reconstruction, divergence = np.zeros((2, len(x)))
    for rows, mu, logvar, eps, nll in posterior_draws(model, x, labels, samples, seed):
        reconstruction[rows] += model.backend.to_numpy(nll.sum(axis=1)) / samples
        if logvar is not None:  # counted once for each draw, as the nll is
            share = eps.shape[1] / samples
            divergence[rows] += model.backend.to_numpy(kl(mu, logvar).sum(axis=1)) * share
    return Elbo(-(reconstruction + divergence), reconstruction, divergence)


@by_keyword
def log_likelihood(
    model: VAE,
    x: Array,
    *,
    samples: int = 500,
    seed: int = 0,
    labels: Array | None = None,
    progress: bool = False,
) -> LogLikelihood:
    """Return log p(x) of each example by importance sampling (Burda et al. 2016), arrays (N,).

        log p(x) ≈ log 1/S Σ_s w_s,     w_s = p(x|z_s) p(z_s) / q(z_s|x),     z_s ~ q(z|x)

    In expectation it is a lower bound that rises with S (`samples`) from the ELBO to log p(x).
    The sums run over blocks, scaled by the largest weight so far, so memory does not grow with S.
    Of a row with missing cells, of which q(z|x) may know little, the draws are those of `impute`.

    Parameters
    ----------
    model : VAE
    x : as of `elbo`
    samples : int
        S, draws of z for each example.
    seed, labels : as of `elbo`
    progress : bool
        Show a progress bar, if the output is a terminal.

    Returns
    -------
    LogLikelihood
        `standard_error` is that of the logarithm of the mean weight (the delta method; NaN for one
        sample); `effective_samples` is (Σw)² / Σw², between 1 and S. Where it is small, a few
        weights decide: log p(x) is then likely too low and its standard error too.

    Raises
    ------
    ValueError
        For an Autoencoder, which has no distribution, and for unfit x, labels or samples.

    Examples
    --------
    >>> from tinyvae import VAE, evaluate, load_dataset
    >>> x = load_dataset("digits").x_test[:50]
    >>> vae = VAE(784, 2, hidden=(16,), likelihood="bernoulli", backend="numpy")
    >>> evaluate.log_likelihood(vae, x, samples=20).log_likelihood.shape
    (50,)
    """
    if not isinstance(model, VAE):
        raise ValueError("an Autoencoder has no distribution over z, so no log p(x): train a VAE")
    S = checks.integer("samples", samples, 1)
    x, labels = checked(model, x, labels)
    gaps = lacking(model, x)
    if not gaps.any():
        log_mean, effective = _mean_weight(model, x, labels, S, seed, progress)
    else:
        log_mean, effective = np.empty(len(x)), np.empty(len(x))
        for some, found in ((~gaps, _mean_weight), (gaps, _mean_weight_near)):
            of_some = None if labels is None else labels[some]
            if some.any():
                log_mean[some], effective[some] = found(model, x[some], of_some, S, seed, progress)
    # Var(mean w) / (mean w)² with the unbiased variance of w; rounding may leave it just below 0.
    variance = np.maximum(S / effective - 1, 0) / (S - 1) if S > 1 else np.full(len(x), np.nan)
    return LogLikelihood(log_mean, np.sqrt(variance), effective)


@by_keyword
def own_bound(model: IWAE, x: Array, *, seed: int = 0, labels: Array | None = None) -> np.ndarray:
    """Return the bound that an IWAE is trained by, minus its loss, of each example (N,): with its
    number of draws, its beta and its reconstruction_weight.

    Parameters
    ----------
    model : IWAE
    x, seed, labels : as of `elbo`, which tells the errors too
    """
    k, weights = model.importance_samples, (model.beta, model.reconstruction_weight)
    return _mean_weight(model, *checked(model, x, labels), k, seed, weights=weights)[0]


def _mean_weight(
    model: VAE, x: Array, labels: Array | None, S: int, seed: int, progress: bool = False,
    weights: tuple[float, float] = (1.0, 1.0),
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the logarithm of each example's mean weight, and its effective samples, (N,) each."""
    sums = Weights(len(x))
    with bar(progress, total=len(x), unit="example") as shown:
        for rows, mu, logvar, eps, nll in posterior_draws(model, x, labels, S, seed):
            log_w = model.backend.to_numpy(log_weights(mu, logvar, eps, nll, *weights))
            sums.add(rows, log_w.astype(float))  # (R, s)
            shown.update(log_w.size / S)
    return sums.log_mean(S), sums.effective_samples


def _mean_weight_near(
    model: VAE, x: np.ndarray, labels: Array | None, S: int, seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of rows with missing cells, by draws near each row's own posterior."""
    sums = Weights(len(x))
    with bar(progress, total=len(x), unit="example") as shown:
        for _, w, *_ in near_posterior(model, x, labels, S, seed, sums):
            shown.update(w.size / S)
    return sums.log_mean(S), sums.effective_samples


@by_keyword
def kl_per_dimension(model: Autoencoder, x: Array, *, labels: Array | None = None) -> np.ndarray:
    """Return the mean over the data of each latent dimension's KL(q(z|x) ‖ N(0, 1)), (L,).

    The sum is the KL of the ELBO; for an Autoencoder, zeros.

    Parameters
    ----------
    model, x, labels : as of `elbo`, which tells the errors too
    """
    mu, logvar = posterior(model, *checked(model, x, labels))
    return np.zeros(model.latent_dim) if logvar is None else kl(mu, logvar).mean(axis=0)


@by_keyword
def active_units(
    model: Autoencoder, x: Array, *, threshold: float = 0.01, labels: Array | None = None
) -> np.ndarray:
    """Return which latent dimensions follow the data, (L,) booleans; `.sum()` counts them.

    A unit is active where the variance over the data of its mu is above `threshold` (Burda et al.
    2016, section 4.3).

    Parameters
    ----------
    model, x : as of `elbo`, which tells the errors too
    threshold : float
        In squared units of mu.
    labels : as of `elbo`
    """
    mu, _ = posterior(model, *checked(model, x, labels))
    return mu.var(axis=0) > checks.number("threshold", threshold)


@by_keyword
def evaluate(
    model: Autoencoder,
    x: Array,
    *,
    samples: int = 500,
    seed: int = 0,
    labels: Array | None = None,
    progress: bool = False,
) -> dict:
    """Return all of the above for the data x (N, D), as a dict that JSON can hold.

    Standard errors `…_standard_error` say how far another N examples would move a mean;
    `monte_carlo_error` how far other samples of z would move the log likelihood's. What lessens
    the trust in a number is told in `warnings`, a list of sentences.

    Parameters
    ----------
    model : VAE or Autoencoder
    x, samples, seed, labels, progress : as of `log_likelihood`, which tells the errors too
    """
    checks.integer("samples", samples, 1)
    x, labels = checked(model, x, labels)
    few_samples = min(samples, ELBO_SAMPLES)
    bound = elbo_per_example(model, x, samples=few_samples, seed=seed, labels=labels)
    N, sigma = len(x), model.sigma
    sigma = sigma.tolist() if isinstance(sigma, np.ndarray) else sigma
    result: dict[str, Any] = {"examples": N, "samples": samples, "seed": seed, "sigma": sigma}
    result |= {name: float(values.mean()) for name, values in bound._asdict().items()}
    result["elbo_standard_error"] = standard_error(bound.elbo)
    some = np.asarray(x[:1000])
    grey = isinstance(model.likelihood, Bernoulli) and ((some > 0) & (some < 1)).any()
    warnings = result["warnings"] = [GREY] if grey else []
    if not isinstance(model, VAE):
        warnings.append("an Autoencoder has no distribution over z: no KL, no ELBO, no log p(x)")
        return {name: value for name, value in result.items() if name[:4] not in ("elbo", "kl")}

    estimate = log_likelihood(
        model, x, samples=samples, seed=seed, labels=labels, progress=progress
    )
    # Equal rows have the same draws, so their errors don't cancel but add up.
    errors = np.bincount(same_noise(x), estimate.standard_error)
    few = int((estimate.effective_samples < FEW).sum())
    if few:
        warnings.append(
            f"fewer than {FEW} effective samples for {few} of {counted(N, 'example')}, whose"
            " log p(x) is likely too low; more samples help"
        )
    result |= {
        "log_likelihood": float(estimate.log_likelihood.mean()),
        "log_likelihood_standard_error": standard_error(estimate.log_likelihood),
        "monte_carlo_error": None if samples == 1 else float(np.linalg.norm(errors)) / N,
        "effective_samples_median": float(np.median(estimate.effective_samples)),
        "effective_samples_least": float(estimate.effective_samples.min()),
        "examples_with_few_effective_samples": few,
        "kl_per_dimension": kl_per_dimension(model, x, labels=labels).tolist(),
        "active_units": int(active_units(model, x, labels=labels).sum()),
    }
    information = mutual_information(model, x, labels=labels, seed=seed)
    result |= information._asdict()
    limit = information.information_limit
    if limit - information.mutual_information < 1:
        warnings.append(
            f"the mutual information is near the most that {counted(N, 'example')} can"
            f" show (log N = {limit:.2f}): the data may hold more, and the aggregate KL less"
        )
    return result


TABLE = {
    "elbo": "ELBO",
    "elbo_in_data_units": "  in the data's own units",
    "reconstruction": "  reconstruction −log p(x|z)",
    "kl": "  KL(q(z|x) ‖ p(z))",
    "log_likelihood": "log p(x), {samples:,} samples",
    "log_likelihood_in_data_units": "  in the data's own units",
    "effective_samples_median": "  effective samples, median",
    "effective_samples_least": "  effective samples, least",
    "mutual_information": "mutual information I(x; z)",
    "aggregate_kl": "aggregate KL(q(z) ‖ p(z))",
    "active_units": "active units",
    "kl_per_dimension": "KL of each latent dimension, largest first",
    "mutual_information_gap": "mutual information gap (0 to 1)",
}


def table(result: dict) -> str:
    """Return what `evaluate` found as lines to print.

    Parameters
    ----------
    result : dict
        What `evaluate` returned, which may hold "mutual_information_gap" too, and the nats of a
        table in the data's own units.
    """
    examples = counted(result["examples"], "example")
    lines = [f"{examples}, nats per example, ± standard error over the examples"]
    for key, name in TABLE.items():
        value, error = result.get(key), result.get(f"{key}_standard_error")
        if value is None:
            continue
        if key == "active_units":
            text = f"{name:<34}{value:>7} of {len(result['kl_per_dimension'])}"
        elif key == "kl_per_dimension":
            order = sorted(enumerate(value), key=lambda pair: -pair[1])
            # The no-break space keeps a number with its dimension where the line is wrapped.
            kls = ", ".join(f"z{j + 1}:\N{NO-BREAK SPACE}{kl:.2f}" for j, kl in order)
            text = textwrap.fill(f"{name}: {kls}", 100, subsequent_indent="  ")
        else:
            plus_minus = "" if error is None else f" ± {error:.2f}"
            text = f"{name.format(**result):<34}{value:>10.2f}{plus_minus:<9}"
            if key == "log_likelihood" and result["monte_carlo_error"] is not None:
                text += f" (from the samples alone ± {result['monte_carlo_error']:.3f})"
        lines.append(text.rstrip())
    return "\n".join(lines + [f"note: {warning}" for warning in result["warnings"]])
