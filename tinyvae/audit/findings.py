"""What an audit found, for people (text, HTML in notebooks) and for programs (a dictionary)."""

import html
from dataclasses import asdict, dataclass, field
from functools import partial

from tinyvae.audit.catalogue import CATALOGUE, in_framework

ORDER = {"error": 0, "not judged": 1, "not looked at": 2, "allowed": 3, "note": 4, "value": 5}
MARKS = dict(zip(ORDER, "✗?–✓!·", strict=True))
STATUS = {"right": 0, "wrong": 1, "not judged": 3}  # exit statuses of the command


@dataclass
class Finding:
    """One thing that the audit saw, or could not see.

    Parameters
    ----------
    kind : {"error", "not judged", "not looked at", "allowed", "note", "value"}
        An error makes the VAE wrong; what is not judged keeps it from being called right; what was
        not looked at lies outside of the functions that were given; an allowed finding is an error
        accepted by `allow=`; a note is a choice worth knowing; a value is a measurement.
    name : str
        For instance "sampler-std"; the audit's page explains each.
    message : str
        What was seen and what was expected, in one line.
    statistic, expected : float or None
        The number behind the message, and what it should have been.
    cause, remedy : str
        The line of code that usually causes an error, and its correction.
    """

    kind: str
    name: str
    message: str
    statistic: float | None = None
    expected: float | None = None
    cause: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.kind != "value" and not self.cause:
            self.cause, self.remedy = CATALOGUE.get(self.name, ("", ""))

    def __str__(self) -> str:
        lines = [f"{MARKS[self.kind]} {self.kind:5}  {self.name}: {self.message}"]
        if self.kind == "error" and self.cause:
            lines.append(f"           usually  {self.cause}")
            lines.append(f"           write    {self.remedy}")
        return "\n".join(lines)


error = partial(Finding, "error")
unjudged = partial(Finding, "not judged")
unseen = partial(Finding, "not looked at")
note = partial(Finding, "note")
value = partial(Finding, "value")


@dataclass
class Report:
    """All findings of one audit, errors first.

    Parameters
    ----------
    findings : list of Finding
    checked : list of str
        What was audited.
    beta : float or None
        The effective β at the sizes of the audit: the weight of the KL against the reconstruction,
        where a squared error counts as ½ Σ (x − x_hat)², that is σ = 1.
    allow : tuple of str
        Names of findings that are accepted: they stay in the report and decide nothing.
    framework : str
        The framework of the code, in whose words the corrections are.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    beta: float | None = None
    allow: tuple[str, ...] = ()
    framework: str = "torch"

    def __post_init__(self) -> None:
        for finding in self.findings:
            finding.cause = in_framework(finding.cause, self.framework)
            finding.remedy = in_framework(finding.remedy, self.framework)
        deciding = ("error", "not judged")
        for finding in self.findings:
            if finding.name in self.allow and finding.kind in deciding:
                finding.kind = "allowed"
        self.findings = sorted(self.findings, key=lambda finding: ORDER[finding.kind])

    def _of(self, *kinds: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind in kinds]

    @property
    def errors(self) -> list[Finding]:
        """Return the findings that make the VAE wrong."""
        return self._of("error")

    @property
    def not_judged(self) -> list[Finding]:
        """Return what was not judged or not looked at, each with the reason in its message."""
        return self._of("not judged", "not looked at")

    @property
    def state(self) -> str:
        """Return "right", "wrong" or "not judged"."""
        if self.errors:
            return "wrong"
        return "not judged" if self._of("not judged") else "right"

    @property
    def ok(self) -> bool:
        """Return whether the state is "right"."""
        return self.state == "right"

    @property
    def names(self) -> list[str]:
        """Return the names of the errors."""
        return [finding.name for finding in self.errors]

    def verdict(self) -> str:
        """Return the first line of the report."""
        where = ", ".join(self.checked)
        if self.state == "right":
            return f"right: no error found in {where}"
        if self.state == "wrong":
            count = len(self.errors)
            return f"wrong: {count} error{'s' * (count > 1)} found in {where}"
        open_ = ", ".join(dict.fromkeys(f.name for f in self._of("not judged")))
        return f"not judged: no error found in {where}, but not all of it could be judged ({open_})"

    def __str__(self) -> str:
        return "\n".join([self.verdict(), *map(str, self.findings)])

    def to_dict(self) -> dict:
        """Return the report as plain numbers, strings and lists, ready for JSON."""
        findings = [asdict(finding) for finding in self.findings]
        head = {"state": self.state, "ok": self.ok, "checked": self.checked, "beta": self.beta}
        return {**head, "findings": findings}

    def _repr_html_(self) -> str:
        colour = {"error": "#b3261e", "not judged": "#8a6100", "note": "#8a6100"}
        rows = []
        for f in self.findings:
            code = f"<br><code>{html.escape(f.cause)}</code> → <code>{html.escape(f.remedy)}</code>"
            code = code if f.kind == "error" and f.cause else ""
            shade = colour.get(f.kind, "#555")
            cell = f'<td style="text-align:left;vertical-align:top;color:{shade}">'
            rows.append(
                f"<tr>{cell}{f.kind}</td>{cell}<b>{html.escape(f.name)}</b></td>"
                f'<td style="text-align:left">{html.escape(f.message)}{code}</td></tr>'
            )
        return f"<b>{html.escape(self.verdict())}</b><table>{''.join(rows)}</table>"
