"""`audit`: judge a VAE from its functions alone, whatever they are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.audit import balance, scales
from tinyvae.audit.calls import Function
from tinyvae.audit.divergence import KL, audit_kl
from tinyvae.audit.findings import Finding, Report, note
from tinyvae.audit.frameworks import TooCoarse
from tinyvae.audit.gradient import audit_gradient
from tinyvae.audit.measure import Term
from tinyvae.audit.reconstruction import Reconstruction, audit_reconstruction
from tinyvae.audit.sampler import audit_sampler
from tinyvae.audit.whole import audit_decoder, audit_encoder, audit_loss

READING_ERRORS = {"sampler-std", "kl-log-sigma", "kl-std-not-var", "kl-form", "kl-missing-log"}


def audit(
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
    scale: str = "logvar",
    wrap: Callable | None = None,
    batch: int | None = None,
    latent: int | None = None,
    pixels: int | tuple[int, ...] | None = None,
    dtype: str = "float32",
) -> Report:
    """Tell whether a VAE is right, and if not, name the error, its usual cause and its correction.

    Parameters
    ----------
    sample : function (mu, s) → z
        The reparameterization; s is the encoder's second output, read as `scale` says.
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
    scale : {"logvar", "logstd", "std", "var"}
        What s is.
    wrap : function (NumPy array) → array
        Makes what your functions take, where trying the loaded frameworks fails.
    batch, latent, pixels : int, int, int or tuple
        Sizes, for functions that insist on them; `pixels` may be an image's shape.
    dtype : {"float32", "float64"}

    Returns
    -------
    Report
        Print it; `report.ok`, `report.errors`, `report.beta`, `report.to_dict()`.

    Raises
    ------
    ValueError, TypeError
        One line on the argument that cannot be audited: it raised (its message is kept), returned
        NaN or a wrong shape, or is no function.

    Notes
    -----
    Random statistics are held to bounds that a right model leaves with probability below 1e-11
    each: Laurent and Massart's (2000) for χ² sums, Massart's (1990) for the distance from the
    normal distribution, 6.81 and (Monte Carlo KLs, t-distributed) 12
    standard errors for means. An audit makes fewer than 60 such
    tests: a false alarm in fewer than 1e-9 of all audits. Formulas without noise are fitted within
    rounding, and their factors must agree to 0.5 %.
    """
    scales.check(scale)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
    for name, number in (("batch", batch), ("latent", latent)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, not {number!r}")
    if beta is not None:
        checks.number("beta", beta)
    pixels = (pixels,) if isinstance(pixels, int) else pixels and tuple(pixels)
    if not any((sample, objective, kl, reconstruction, encode, loss, gradient)):
        raise ValueError("nothing to audit: pass sample=, objective=, kl=, … as functions")
    audited = _Audit(
        {"sample": sample, "objective": objective, "kl": kl, "reconstruction": reconstruction},
        beta, wrap, batch, latent, pixels, dtype,
    )  # fmt: skip
    with np.errstate(all="ignore"):  # a probe at the edge may overflow in somebody's NumPy code
        findings = audited.run(scale)
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
    return Report(findings, checked, audited.beta_found)


class _Audit:
    """The functions of a sampler and a loss, judged together under one reading of s."""

    def __init__(self, functions, beta, wrap, batch, latent, pixels, dtype) -> None:
        self.functions = {name: f for name, f in functions.items() if f is not None}
        self.beta, self.wrap, self.dtype = beta, wrap, dtype
        self.batch, self.latent, self.pixels = batch, latent, pixels
        self.checked = list(self.functions)
        self.reconstruction: Reconstruction | None = None
        self.beta_found: float | None = None

    def run(self, scale: str) -> list[Finding]:
        """Judge under the stated scale; if all fails alike, under another on which both agree."""
        findings, failure = [], None
        try:
            findings = self._judge(scale)
        except TooCoarse:
            raise
        except ValueError as raised:
            failure = raised
        kept = self.reconstruction, self.beta_found
        both = "sample" in self.functions and {"objective", "kl"} & set(self.functions)
        suspects = {f.name for f in findings if f.kind == "error"} & READING_ERRORS
        if failure or (both and "sampler-std" in suspects and len(suspects) > 1):
            for other in (name for name in scales.READINGS if name != scale):
                try:
                    again = self._judge(other)
                except ValueError:
                    continue
                if {f.name for f in again if f.kind == "error"} & READING_ERRORS:
                    continue
                if not both:
                    raise ValueError(f"{failure}; scale='{other}' would do") from failure
                text = f"sampler and KL agree that σ = {scales.WORDS[other]} (stated: {scale})"
                return [*again, note("scale-read-as", text)]
            self.reconstruction, self.beta_found = kept
        if failure:
            raise failure
        return findings

    def _judge(self, scale: str) -> list[Finding]:
        findings: list[Finding] = []
        if "sample" in self.functions:
            function = self._function("sample", ("mu", "s"))
            findings += audit_sampler(function, scale, self.batch, self.latent, self.dtype)
        terms = {
            name: self._term(name, roles, scale)
            for name, roles in {
                "objective": ("x", "x_hat", "mu", "s"),
                "kl": ("mu", "s"),
                "reconstruction": ("x", "x_hat"),
            }.items()
            if name in self.functions
        }
        if "objective" in terms:
            findings += self._loss(terms["objective"], terms["objective"])
        if "kl" in terms or "reconstruction" in terms:
            findings += self._loss(terms.get("kl"), terms.get("reconstruction"))
        return findings

    def _loss(self, kl_term: Term | None, rec_term: Term | None) -> list[Finding]:
        kl: KL | None = audit_kl(kl_term) if kl_term else None
        rec = audit_reconstruction(rec_term) if rec_term else None
        findings = (kl.findings if kl else []) + (rec.findings if rec else [])
        findings += balance.signs(kl, rec)
        if kl_term and kl_term is rec_term and kl_term.apart:
            text = "the two terms were returned apart: audited as their plain sum"
            findings.append(note("terms-apart", text))
        if rec:
            self.reconstruction = rec
        if kl and rec and any(f.name == "kl-form" for f in kl.findings):
            return findings + balance.audit_reconstruction_alone(rec_term, rec)
        if kl and rec:
            found = balance.audit_balance(kl_term, kl, rec_term, rec, self.beta)
            self.beta_found = found.beta
            return findings + found.findings
        if kl:
            return findings + balance.audit_kl_alone(kl_term, kl, self.beta)
        return findings + balance.audit_reconstruction_alone(rec_term, rec)

    def _function(self, name: str, roles: tuple[str, ...]) -> Function:
        return Function(self.functions[name], name, roles, self.wrap, self.beta)

    def _term(self, name: str, roles: tuple[str, ...], scale: str) -> Term:
        sizes = (self.batch, self.latent, self.pixels)
        return Term(self._function(name, roles), roles, scale, self.dtype, *sizes)
