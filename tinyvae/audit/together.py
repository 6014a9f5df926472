"""A sampler and a loss judged together: what s means to both, and how their terms weigh."""

from tinyvae.audit import balance, edges, scales
from tinyvae.audit.calls import Function
from tinyvae.audit.divergence import KL, audit_kl
from tinyvae.audit.findings import Finding, note
from tinyvae.audit.forms import Reconstruction
from tinyvae.audit.frameworks import TooCoarse
from tinyvae.audit.measure import Term
from tinyvae.audit.reconstruction import audit_reconstruction
from tinyvae.audit.sampler import READING, Sampler, audit_sampler
from tinyvae.audit.slopes import sampler_slopes, term_slopes


class Together:
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
        if term.tokens or term.function.followed:
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
