"""`audit`: judge a VAE from its functions alone, whatever they are written in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.audit import balance, edges, follow, frameworks, onestep, scales
from tinyvae.audit.calls import Function
from tinyvae.audit.catalogue import CATALOGUE
from tinyvae.audit.divergence import KL, audit_kl
from tinyvae.audit.findings import Finding, Report, error, note, unjudged, unseen, value
from tinyvae.audit.frameworks import TooCoarse
from tinyvae.audit.gradient import audit_gradient
from tinyvae.audit.measure import Term
from tinyvae.audit.reconstruction import Reconstruction, audit_reconstruction
from tinyvae.audit.sampler import READING, Sampler, audit_sampler
from tinyvae.audit.slopes import sampler_slopes, term_slopes, through_slopes
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
            return _audit_step(model, x, step, settings, tuple(allow))
    if not any((sample, objective, kl, reconstruction, encode, loss, gradient)):
        raise ValueError("nothing to audit: pass a model with x and step=, or sample=, objective=")
    functions = {
        "sample": sample, "objective": objective, "kl": kl, "reconstruction": reconstruction
    }  # fmt: skip
    audited = _Audit(functions, *settings)
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


def _audit_step(
    model: Any, x: Any, step: Callable | None, settings: tuple, allow: tuple[str, ...]
) -> Report:
    """Audit one training step of a model."""
    beta, prior, scale, _, batch, _, _, dtype = settings
    if x is None:
        raise ValueError("pass x=, a batch of the model's data")
    findings: list[Finding] = []
    if step is None:
        step, words = onestep.usual_step(model)
        findings.append(value("step", f"taken: {words}"))
    if not callable(step):
        raise TypeError(f"step must be a function of the model and x, not {step!r}")
    checked = ["step"]
    try:
        followed = follow.Step(step, model, x)
        pieces = follow.find(followed)
    except follow.Wrong as failure:
        return Report([*findings, error(failure.name, str(failure))], checked, None, allow)
    except follow.NotFollowed as failure:
        return Report([*findings, unjudged("step", str(failure))], checked, None, allow)
    heads = onestep.Heads(followed, pieces, beta)
    why = heads.order()
    if why is None and not pieces.outputs:
        why = unjudged("step", "the decoder's output was not found in the loss")
    if why is not None:
        return Report([*findings, why], checked, None, allow)
    findings += onestep.audit_heads(heads) + onestep.audit_parameters(followed, pieces)
    latents = followed.graph.shape(pieces.heads[0][0])[1:]
    data = followed.data
    pixels = data.shape[1:] if data.dtype.kind == "f" else None
    outputs = followed.graph.shape(pieces.outputs[0][0])
    if pixels is None or followed.graph.size(pieces.outputs[0][0]) % data[:1].size:
        pixels = outputs[1:]  # tokens, or a target that is not x
        if outputs[0] != followed.B and outputs[0] % followed.B == 0:  # rows and places merged
            pixels = (outputs[0] // followed.B, *pixels)
    pieces.means = onestep.averaged(followed, pieces, latents, pixels)
    functions = {
        name: follow.StepFunction(followed, pieces, name, beta) for name in ("sample", "objective")
    }
    batch = followed.B if followed.fixed else batch
    audited = _Audit(
        functions, beta, prior, scale, None, batch, tuple(latents), tuple(pixels), dtype
    )
    try:
        findings += audited.run()
        findings = _with_wiring(audited, findings)
    except ValueError as failure:
        return Report([*findings, unjudged("step", str(failure))], checked, None, allow)
    if followed.graph.paired:  # x_hat has a row for each pair of the batch's rows
        findings = [f for f in findings if not (f.kind == "error" and f.name in balance.OF_SIZES)]
        text = "x_hat is made of pairs of rows: how it is reduced was not judged"
        findings.append(unjudged("balance-unclear", text))
    findings += onestep.audit_data(followed, audited.reconstruction)
    findings.append(onestep.audit_validation(followed))
    checked = [*checked, *audited.checked]
    return Report(findings, checked, audited.beta_found, allow, audited.framework)


def _with_wiring(audited: "_Audit", findings: list[Finding]) -> list[Finding]:
    """Return the findings with those on what the loss of a step gets, and from where."""
    objective, term, found = audited.functions["objective"], audited.term, audited.reconstruction
    bounded = found is not None and found.form == "cross-entropy"
    if not bounded and not any(f.name == "gradient-cut" for f in findings):
        findings += through_slopes(objective, objective.step.graph.shape(objective.pieces.z))
    if not objective.sees_x(term):
        text = "the loss does not depend on x, but through the encoder: x_hat is compared with "
        findings.append(error("wiring-x", text + "something else"))
    if objective.sees_others(term):
        text = "the loss has further terms, of networks beside the encoder and the decoder"
        findings.append(unjudged("other-terms", text))
    if found:
        findings += onestep.audit_second_output(objective, term, found)
    if bounded:
        text = "the loss takes probabilities, but the decoder's output is a layer's, unbounded"
        findings.append(error("bce-needs-sigmoid", text))
    if audited.kl is not None and not audited.kl.right and audited.swapped():
        text = "mu and s are exchanged between the sampler and the KL"
        findings = [f for f in findings if not f.name.startswith("kl-")]
        findings.append(error("wiring-swapped", text))
    return findings


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


class _Audit:
    """The functions of a sampler and a loss, judged together."""

    def __init__(self, functions, beta, prior, scale, wrap, batch, latent, pixels, dtype) -> None:
        self.functions = {
            name: f if isinstance(f, Function) else Function(f, name, ROLES[name], wrap, beta)
            for name, f in functions.items()
            if f is not None
        }
        self.beta, self.prior, self.scale = beta, prior, scale
        self.dtype, self.sizes = dtype, (batch, latent, pixels)
        self.checked = list(self.functions)
        self.reconstruction: Reconstruction | None = None
        self.beta_found: float | None = None

    @property
    def framework(self) -> str:
        """Return the framework that the functions are written in."""
        return next((f.framework for f in self.functions.values() if f.framework), "torch")

    def run(self) -> list[Finding]:
        """Return the findings of the sampler, under the reading of s on which all agree."""
        sampler = self._sampler() if "sample" in self.functions else None
        name = next((n for n in ("objective", "kl") if n in self.functions), None)
        term, kl, agreed = self._kl(name, sampler) if name else (None, None, None)
        self.kl, self.term = kl, term
        self.sampler = sampler
        findings = self._losses(term, kl)
        if sampler is None:
            return findings
        consistent = agreed is not None and agreed.name in ("measured", sampler.matched)
        if sampler.off and consistent:
            words = scales.WORDS.get(agreed.name, agreed.words)
            text = f"sampler and KL agree that σ = {words}" + (
                f" (stated: {self.scale})" if self.scale else ""
            )
            kept = [f for f in sampler.findings if f.name not in READING]
            return [*kept, *findings, note("scale-read-as", text)]
        if sampler.off and kl and not kl.right and not self.scale:
            own = self._under(name, sampler)
            if own is not None:
                return own
            findings = [f for f in findings if not f.message.startswith("right only if σ")]
        if (
            sampler.off
            and kl is None
            and not self._binding("sample")
            and sampler.matched != "mistake"
        ):
            for finding in sampler.findings:
                if finding.name == "sampler-std":
                    finding.kind = "not judged"
        return sampler.findings + findings

    def _under(self, name: str, sampler: Sampler) -> list[Finding] | None:
        """Return the findings if the sampler's own reading of s is taken as meant."""
        if sampler.matched not in scales.READINGS:
            return None
        term = self._term(name, scales.known(sampler.matched))
        kl = audit_kl(term, self.prior)
        kept = [f for f in sampler.findings if f.name not in READING]
        return kept + self._losses(term, kl)

    def swapped(self) -> bool:
        """Return whether the objective's KL is right if mu and s change places in it."""
        function = self.functions["objective"]
        heads = function.pieces.heads
        function.pieces.heads = heads[::-1]
        try:
            _, kl, agreed = self._kl("objective", self.sampler)
            return agreed is not None and kl.right
        except ValueError:
            return False
        finally:
            function.pieces.heads = heads

    def _named(self, name: str) -> str | None:
        """Return what the name of the parameter for s says, if it says something."""
        found = self.functions[name].reading_named()
        return found[0] if found else None

    def _binding(self, name: str) -> bool:
        """Return whether another reading than the expected one is an error in itself."""
        if self.scale:
            return True
        found = self.functions[name].reading_named()
        return found[1] if found else not self.functions[name].names_s()

    def _sampler(self) -> Sampler:
        """Return the sampler's findings under the stated reading, or the one that names tell."""
        batch, latent, _ = self.sizes
        expected = self.scale or self._named("sample") or "logvar"
        failure = None
        for reading in dict.fromkeys((expected, "logvar", "std")):
            try:
                found = audit_sampler(self.functions["sample"], reading, batch, latent, self.dtype)
            except TooCoarse:
                raise
            except ValueError as raised:
                failure = failure or raised
                if self.scale:
                    break
                continue
            if reading != expected or not found.off or reading == "logvar" or self.scale:
                self.expected = reading
                if found.measured:
                    found.findings += sampler_slopes(
                        self.functions["sample"], found.measured.s, found.shape
                    )
                return found
        raise failure

    def _kl(self, name: str, sampler: Sampler | None) -> tuple[Term, KL, scales.Reading | None]:
        """Return the KL under the first reading that explains it, or under the expected one."""
        expected = self.scale or self._named(name)
        if sampler and not self.scale:
            logs = {r: r.startswith("log") for r in (expected, self.expected) if r}
            if len(set(logs.values())) < 2:  # one logarithm, or one σ, is hardly converted between
                expected = self.expected
        expected = expected or "logvar"
        readings = [scales.known(expected)]
        if sampler and sampler.matched in scales.READINGS:
            readings.append(scales.known(sampler.matched))
        if sampler and sampler.measured and sampler.off:
            readings.append(sampler.measured)
        if not sampler and not self._binding(name):
            readings += [scales.known(n) for n in scales.READINGS]
        first, failure = None, None
        for number, reading in enumerate(readings):
            if any(reading.name == r.name for r in readings[:number]):
                continue
            try:
                term = self._term(name, reading)
                found = audit_kl(term, self.prior)
            except TooCoarse:
                raise
            except ValueError as raised:
                failure = failure or raised
                continue
            if first is None:
                first = term, found, None
            if found.right:
                if sampler is None and number:
                    text = f"the KL is right if σ = {scales.WORDS[reading.name]}"
                    found.findings.append(note("scale-read-as", text))
                return term, found, reading
        if first is None:
            raise failure
        return first

    def _losses(self, kl_term: Term | None, kl: KL | None) -> list[Finding]:
        """Judge the reconstruction, and the balance of both."""
        if "objective" in self.functions:
            findings = self._loss(kl_term, kl, kl_term)
            if not {"kl", "reconstruction"} & set(self.functions):
                return findings
            if "kl" in self.functions:
                kl_term = self._term("kl", kl_term.reading)
                kl = audit_kl(kl_term, self.prior)
            else:
                kl_term = kl = None
        else:
            findings = []
        rec_term = None
        if "reconstruction" in self.functions:
            rec_term = self._term("reconstruction", scales.known("logvar"))
        if not kl_term and not rec_term:
            return findings
        return findings + self._loss(kl_term, kl, rec_term)

    def _loss(self, kl_term: Term | None, kl: KL | None, rec_term: Term | None) -> list[Finding]:
        rec = None
        if rec_term:
            with rec_term.held():
                rec = audit_reconstruction(rec_term)
            again = None if rec.known else self._of_tokens(rec_term)
            if again:
                kl_term = again[0] if kl_term is rec_term else kl_term
                rec_term, rec = again
        findings = (kl.findings if kl else []) + (rec.findings if rec else [])
        findings = findings + balance.signs(kl, rec)
        if kl_term and kl_term is rec_term and kl_term.apart:
            text = "the two terms were returned apart: audited as their plain sum"
            findings.append(note("terms-apart", text))
        if kl and not kl_term.apart:
            moved = ("mu", "s") if kl_term is not rec_term else ("x_hat", "mu", "s")
            findings += term_slopes(kl_term, moved)
        if rec and kl_term is not rec_term:
            findings += term_slopes(rec_term, ("x_hat",))
        if rec:
            self.reconstruction = rec
            findings += edges.audit_corners(rec_term, rec)
        if kl and kl.weight and kl.right:
            findings += edges.audit_extremes(kl_term)
        unclear = {"kl-form", "kl-unknown", "kl-prior"}
        if kl and rec and any(f.name in unclear for f in kl.findings):
            return findings + balance.audit_reconstruction_alone(rec_term, rec)
        if kl and rec:
            found = balance.audit_balance(kl_term, kl, rec_term, rec, self.beta)
            self.beta_found = found.beta
            return findings + found.findings
        if kl:
            return findings + balance.audit_kl_alone(kl_term, kl, self.beta)
        return findings + balance.audit_reconstruction_alone(rec_term, rec)

    def _of_tokens(self, term: Term) -> tuple[Term, Reconstruction] | None:
        """Return the term with whole numbers for x, if its reconstruction is known then."""
        if term.tokens or isinstance(term.function, follow.StepFunction):
            return None
        settled = term.function.settled
        try:
            again = Term(
                term.function, term.roles, term.reading, self.dtype, *self.sizes, tokens=True
            )
            found = audit_reconstruction(again)
        except ValueError:
            found = None
        if found is not None and found.known and again.tokens:
            return again, found
        term.function.settled = settled
        return None

    def _term(self, name: str, reading: scales.Reading) -> Term:
        return Term(self.functions[name], ROLES[name], reading, self.dtype, *self.sizes)


ROLES = {
    "sample": ("mu", "s"),
    "objective": ("x", "x_hat", "mu", "s"),
    "kl": ("mu", "s"),
    "reconstruction": ("x", "x_hat"),
}
