"""What an audit found, for people (text, HTML in notebooks) and for programs (a dictionary)."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field

from tinyvae.audit.catalogue import CATALOGUE

ORDER = {"error": 0, "note": 1, "value": 2}
MARKS = {"error": "✗", "note": "!", "value": "·"}


@dataclass
class Finding:
    """One thing that the audit saw.

    Attributes
    ----------
    kind : {"error", "note", "value"}
        An error makes the VAE wrong; a note is a choice worth knowing; a value is a measurement.
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


def error(name: str, message: str, statistic: float | None = None, expected=None) -> Finding:
    """Something that makes the VAE wrong."""
    return Finding("error", name, message, statistic, expected)


def note(name: str, message: str, statistic: float | None = None, expected=None) -> Finding:
    """A choice worth knowing."""
    return Finding("note", name, message, statistic, expected)


def value(name: str, message: str, statistic: float | None = None, expected=None) -> Finding:
    """A measurement."""
    return Finding("value", name, message, statistic, expected)


@dataclass
class Report:
    """All findings of one audit, errors first.

    Attributes
    ----------
    findings : list of Finding
    checked : list of str
        What was audited; what could not be is a note in `findings`.
    beta : float or None
        The effective β at the sizes of the audit: the weight of the KL against the reconstruction,
        where a squared error counts as ½ Σ (x − x_hat)², that is σ = 1.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    beta: float | None = None

    def __post_init__(self) -> None:
        self.findings = sorted(self.findings, key=lambda finding: ORDER[finding.kind])

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the VAE wrong."""
        return [finding for finding in self.findings if finding.kind == "error"]

    @property
    def ok(self) -> bool:
        """True where no error was found."""
        return not self.errors

    @property
    def names(self) -> list[str]:
        """The names of the errors."""
        return [finding.name for finding in self.errors]

    def verdict(self) -> str:
        """The first line of the report."""
        if self.ok:
            return f"right: no error found in {', '.join(self.checked)}"
        count = len(self.errors)
        return f"wrong: {count} error{'s' * (count > 1)} found in {', '.join(self.checked)}"

    def __str__(self) -> str:
        return "\n".join([self.verdict(), *map(str, self.findings)])

    def to_dict(self) -> dict:
        """The report as plain numbers, strings and lists, ready for JSON."""
        findings = [asdict(finding) for finding in self.findings]
        return {"ok": self.ok, "checked": self.checked, "beta": self.beta, "findings": findings}

    def _repr_html_(self) -> str:
        colour = {"error": "#b3261e", "note": "#8a6100", "value": "#555"}
        rows = []
        for f in self.findings:
            code = f"<br><code>{html.escape(f.cause)}</code> → <code>{html.escape(f.remedy)}</code>"
            code = code if f.kind == "error" and f.cause else ""
            cell = f'<td style="text-align:left;vertical-align:top;color:{colour[f.kind]}">'
            rows.append(
                f"<tr>{cell}{f.kind}</td>{cell}<b>{html.escape(f.name)}</b></td>"
                f'<td style="text-align:left">{html.escape(f.message)}{code}</td></tr>'
            )
        return f"<b>{html.escape(self.verdict())}</b><table>{''.join(rows)}</table>"
