"""A report for others to read: a page of HTML, or annotations of a pull request on GitHub."""

import html
import inspect
from collections.abc import Callable
from pathlib import Path

from tinyvae.audit import frameworks
from tinyvae.audit.findings import Finding, Report

LEVELS = {"error": "error", "not judged": "warning", "allowed": "notice", "note": "notice"}
OF_SAMPLER = ("sampler", "noise", "sample")


def page(report: Report, title: str) -> str:
    """Return a report as a whole page of HTML."""
    style = "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:60rem}td{padding:.2rem .6rem}"
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{style}</style>'
    body = f"<h1>{html.escape(title)}</h1>{report._repr_html_()}"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def github(report: Report, functions: dict[str, Callable]) -> str:
    """Return a report as workflow commands: one annotation for each finding, at its function."""
    lines = []
    for finding in report.findings:
        level = LEVELS.get(finding.kind)
        if level:
            place = _place(finding, functions)
            title = _escaped(f"tinyvae: {finding.name}").replace(",", "%2C").replace(":", "%3A")
            text = finding.message
            if finding.kind == "error" and finding.remedy:
                text += f"\nwrite {finding.remedy}"
            lines.append(f"::{level} {place}title={title}::{_escaped(text)}")
    level = {"wrong": "error", "not judged": "warning", "right": "notice"}[report.state]
    return "\n".join([*lines, f"::{level} title=tinyvae audit::{_escaped(report.verdict())}"])


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _place(finding: Finding, functions: dict[str, Callable]) -> str:
    """Return where the function stands that a finding is about, as far as that is known."""
    about_sampler = finding.name.startswith(OF_SAMPLER) or "from sample" in finding.message
    roles = ["sample"] if about_sampler else [r for r in functions if r != "sample"]
    for role in [*roles, *functions]:
        function = frameworks.plain(functions[role]) if role in functions else None
        if function is not None:
            try:
                line = inspect.getsourcelines(function)[1]
                path = Path(inspect.getsourcefile(function))
            except (OSError, TypeError):
                continue
            path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            return f"file={path},line={line},"
    return ""
