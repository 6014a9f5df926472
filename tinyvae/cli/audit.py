"""`python -m tinyvae audit module:object`: find the functions in somebody's code, audit them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import NoReturn

from tinyvae.audit import discover
from tinyvae.audit.findings import STATUS
from tinyvae.audit.scales import SCALES
from tinyvae.audit.selfcheck import audit_tinyvae
from tinyvae.audit.verdict import audit

SELF = ("self", "json")  # what goes together
ROLES = ("sample", "objective", "kl", "reconstruction")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    result = Parser(
        prog="tinyvae audit",
        description="Tell whether a VAE, in any framework, is right; if not, name the error.",
        epilog="Exit status: 0 right, 1 wrong, 2 nothing that could be audited, 3 not judged.",
    )
    result.add_argument(
        "target", nargs="?", metavar="module:object",
        help="a class, an object or a module with reparameterize, loss_function or the like",
    )  # fmt: skip
    result.add_argument("--self", action="store_true", help="audit tinyvae itself")
    result.add_argument("--scale", choices=SCALES, help="the encoder's 2nd output")
    result.add_argument("--beta", type=float, help="the weight that the KL is meant to have")
    result.add_argument("--batch", type=int, help="rows, where the code insists on a number")
    result.add_argument("--latent", type=int, help="latent dimensions")
    result.add_argument("--pixels", type=shape, metavar="N,N,…", help="shape of one example")
    result.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    for role in ROLES:
        result.add_argument(f"--{role}", metavar="NAME", help=f"the function to audit as {role}")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def shape(text: str) -> tuple[int, ...]:
    """Return the shape that a text like "1,28,28" or "1x28x28" names."""
    shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    if min(shape) < 1:
        raise ValueError
    return shape


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status, as `--help` lists them."""
    options = parser().parse_args(argv)
    if options.self:
        _refuse_ignored(options)
        return _audit_self(options.json)
    if not options.target:
        parser().error("name a module:object, or --self")
    try:
        return _audit_target(options)
    except (ValueError, TypeError) as failure:
        print(f"tinyvae audit: error: {failure}", file=sys.stderr)
        return 2


def _refuse_ignored(options: argparse.Namespace) -> None:
    """End with a line that names what --self would leave unread."""
    given = {n: v for n, v in vars(options).items() if v != parser().get_default(n)}
    ignored = [v if n == "target" else f"--{n}" for n, v in given.items() if n not in SELF]
    if ignored:
        parser().error(f"--self audits tinyvae itself: leave out {', '.join(ignored)}")


def _audit_self(as_json: bool) -> int:
    reports = audit_tinyvae()
    if as_json:
        print(json.dumps({name: report.to_dict() for name, report in reports.items()}))
    else:
        for name, report in reports.items():
            print(f"{name}\n  " + str(report).replace("\n", "\n  "))
    return max(STATUS[report.state] for report in reports.values())


def _audit_target(options: argparse.Namespace) -> int:
    module, found, name = discover.load(options.target)
    sizes = dict(discover.DEFAULTS)
    sizes |= {"latent": options.latent} if options.latent else {}
    if options.pixels:
        sizes["pixels"] = options.pixels[0] if len(options.pixels) == 1 else options.pixels[1]
    found = discover.instance(found, name, sizes)
    functions = discover.functions(module, found, {role: getattr(options, role) for role in ROLES})
    if "objective" in functions:
        chosen = {r for r in ROLES if getattr(options, r)}
        functions = {
            r: f for r, f in functions.items() if r in ("sample", "objective") or r in chosen
        }
    if not functions:
        usual = ", ".join(names[0] for names in discover.NAMES.values())
        raise ValueError(
            f"{name} has no function named {usual} or the like: name it with --sample …"
        )
    audited = {role: function for role, (_, function) in functions.items()}
    report = audit(
        **audited, beta=options.beta, scale=options.scale, batch=options.batch,
        latent=options.latent, pixels=options.pixels, dtype=options.dtype,
    )  # fmt: skip
    if options.json:
        print(json.dumps(report.to_dict()))
        return STATUS[report.state]
    print("found: " + ", ".join(f"{role} = {title}" for role, (title, _) in functions.items()))
    needed = (
        ["sample", "objective"] if not {"kl", "reconstruction"} & set(functions) else ROLES[::2]
    )
    missing = [role for role in needed if role not in functions]
    print(f"not found: {', '.join(missing)}") if missing else None
    print(report)
    return STATUS[report.state]
