"""`audit`: judge a VAE from its functions alone, whatever they are written in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.audit import frameworks, scales
from tinyvae.audit.catalogue import CATALOGUE
from tinyvae.audit.findings import Finding, Report, unjudged, unseen
from tinyvae.audit.gradient import audit_gradient
from tinyvae.audit.stepwise import audit_step
from tinyvae.audit.together import Together
from tinyvae.audit.whole import audit_decoder, audit_encoder, audit_loss


def audit(
    model: Any = None,
    x: Any = None,
    *,
    step: Callable | None = None,
    sample: Callable | None = None,
    objective: Callable | None = None,
    kl: Callable | None = None,
    reconstruction: Callable | None = None,
    encode: Callable | None = None,
    decode: Callable | None = None,
    loss: Callable | None = None,
    seed: Callable | None = None,
    gradient: Callable | None = None,
    parameters: Mapping[str, Any] | None = None,
    beta: float | None = None,
    prior: tuple[float, float] = (0.0, 1.0),
    scale: str | None = None,
    wrap: Callable | None = None,
    batch: int | None = None,
    latent: int | tuple[int, ...] | None = None,
    pixels: int | tuple[int, ...] | None = None,
    dtype: str = "float32",
    allow: Sequence[str] = (),
) -> Report:
    """Tell whether a VAE is right, and if not, name the error, its usual cause and its correction.

    Parameters
    ----------
    model, x : the model and a batch of its data, as the training loop has them
        One real training step is followed; nothing else needs to be passed.
    step : function (model, x) → loss
        One training step: everything from the batch to the loss. Left out, the model's own
        `training_step`, `compute_loss` or `loss` is taken.
    sample : function (mu, s) → z
        The reparameterization; s is the encoder's second output.
    objective : function (x, x_hat, mu, s) → loss
        The usual loss function. Parameters named in a telling way (recon_x, x, mu, logvar) may
        stand in any order. Of several returned items the loss is the one that depends on all.
    kl, reconstruction : functions (mu, s) → KL and (x, x_hat) → loss
        The same, apart.
    encode, decode : functions x → (mu, s) and z → x_hat
    loss : function x → loss
        A whole forward pass with its own noise, for `gradient`, or when nothing smaller exists.
    seed : function (int) → None
        Holds the noise of `loss` and `gradient` still; NumPy's global state where left out.
    gradient : function x → {name: array} or list of arrays
        The hand-written gradient of `loss`.
    parameters : {name: NumPy array} or list
        The weights that `loss` uses, altered in place and put back.
    beta : float
        The weight that the KL is meant to have. State it to have it checked, best at β = 3.
    prior : (mean, standard deviation)
        Of the prior p(z).
    scale : {"logvar", "logstd", "std", "var"}
        What s is. Where left out, σ is measured from the sampler's draws; without a sampler the
        parameter's name tells (`logvar`, `log_sigma`, `std`, …).
    wrap : function (NumPy array) → array
        Makes what your functions take, where trying the loaded frameworks fails.
    batch, latent, pixels : int, int or tuple, int or tuple
        Sizes, for functions that insist on them; `latent` and `pixels` may be shapes.
    dtype : {"float32", "float64"}
    allow : names of findings
        Errors, or things not judged, that are accepted: they stay in the report.

    Returns
    -------
    Report
        Print it; `report.state` is "right", "wrong" or "not judged"; `report.ok`, `report.errors`,
        `report.not_judged`, `report.beta`, `report.to_dict()`.

    Raises
    ------
    ValueError, TypeError
        One line on the argument that cannot be audited: it raised (its message is kept), returned
        NaN or a wrong shape, or is no function.

    Notes
    -----
    "Right" needs a sampler and a whole objective (or kl and reconstruction), all recognised.

    Random statistics are held to bounds that a right model leaves with probability below 1e-11
    each: Laurent and Massart's (2000) for χ² sums, Massart's (1990) for the distance from the
    normal distribution, 6.81 and (Monte Carlo KLs, t-distributed) 12
    standard errors for means. An audit makes fewer than 60 such
    tests: a false alarm in fewer than 1e-9 of all audits. Formulas without noise are fitted within
    rounding, and their factors must agree to 0.5 %.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyvae.audit import audit
    >>> def sample(mu, logvar):
    ...     return mu + np.exp(logvar) * np.random.standard_normal(mu.shape)
    >>> audit(sample=sample).state
    'wrong'
    """
    if scale is not None:
        scales.check(scale)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise ValueError(f"batch must be a whole number of at least 1, not {batch!r}")
    latent, pixels = _shape("latent", latent), _shape("pixels", pixels)
    if beta is not None:
        checks.number("beta", beta)
    unknown = [name for name in allow if name not in CATALOGUE]
    if unknown:
        raise ValueError(f"allow: no finding is named {unknown[0]!r}")
    if isinstance(prior, (int, float)) or len(tuple(prior)) != 2 or not prior[1] > 0:
        raise ValueError(f"prior must be (mean, standard deviation), not {prior!r}")
    settings = (beta, tuple(prior), scale, wrap, batch, latent, pixels, dtype)
    if model is not None or step is not None:
        given = {"sample": sample, "objective": objective, "kl": kl, "loss": loss}
        given |= {"reconstruction": reconstruction, "encode": encode, "decode": decode}
        extra = [name for name, f in given.items() if f is not None]
        if extra:
            raise ValueError(f"pass a model with step=, or functions: leave out {extra[0]}=")
        with np.errstate(all="ignore"), frameworks.kept_seeds():
            return audit_step(model, x, step, settings, tuple(allow))
    if not any((sample, objective, kl, reconstruction, encode, loss, gradient)):
        raise ValueError("nothing to audit: pass a model with x and step=, or sample=, objective=")
    functions = {
        "sample": sample, "objective": objective, "kl": kl, "reconstruction": reconstruction
    }  # fmt: skip
    audited = Together(functions, *settings)
    # A probe at the edge may overflow in somebody's NumPy code.
    with np.errstate(all="ignore"), frameworks.kept_seeds():
        findings = audited.run()
    checked = audited.checked
    if encode is not None:
        findings += audit_encoder(encode, wrap, pixels, dtype)
        checked.append("encode")
    if decode is not None and audited.reconstruction:
        findings += audit_decoder(decode, audited.reconstruction.form, wrap, latent, dtype)
        checked.append("decode")
    if gradient is not None:
        findings += audit_gradient(loss, gradient, parameters, seed, wrap, pixels, batch)
        checked.append("gradient")
    elif loss is not None:
        findings += audit_loss(loss, wrap, pixels, batch, dtype)
        checked.append("loss")
    findings += _left_out(set(audited.functions))
    return Report(findings, checked, audited.beta_found, tuple(allow), audited.framework)


def _shape(name: str, size: object) -> tuple[int, ...] | None:
    if size is None:
        return None
    shape = (size,) if isinstance(size, int) else tuple(size)
    if not shape or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise ValueError(f"{name} must be a whole number of at least 1, or a shape, not {size!r}")
    return shape


def _left_out(given: set[str]) -> list[Finding]:
    """Return what keeps the functions that were given from being a whole VAE."""
    found = []
    if "sample" not in given:
        found.append(unjudged("sampler", "no sampler was given: pass sample="))
    if "objective" not in given:
        missing = [name for name in ("kl", "reconstruction") if name not in given]
        if len(missing) == 2:
            text = "no loss was given: pass objective=, or kl= and reconstruction="
            found.append(unjudged("objective", text))
        elif missing:
            found.append(unjudged(missing[0], f"was not given: pass {missing[0]}= or objective="))
    where = "is outside of the functions that were given: pass the model, x and step="
    return [*found, *(unseen(name, where) for name in ("wiring", "heads"))]
