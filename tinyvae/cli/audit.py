"""`tinyvae audit module:object`: find the functions in a VAE's code, and audit them."""

import argparse
import json
from types import ModuleType
from typing import Any

from tinyvae.audit import annotations, discover
from tinyvae.audit.contract import read_contract
from tinyvae.audit.findings import STATUS, Report
from tinyvae.audit.scales import SCALES
from tinyvae.audit.selfcheck import audit_tinyvae
from tinyvae.audit.verdict import audit
from tinyvae.cli import target, terminal
from tinyvae.train.files import write_text

DESCRIPTION = "Tell whether a VAE, in any framework, is right; if not, name the error."
EPILOG = """Exit status: 0 right, 1 wrong, 2 nothing that could be audited, 3 not (wholly) judged;
--strict makes 1 of 3, --lenient 0."""
SELF = ("self", "json")  # what goes together
ROLES = ("sample", "objective", "kl", "reconstruction")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status, as --help lists them."""
    p = terminal.Parser("audit", DESCRIPTION, epilog=EPILOG)
    what = "a class, an object or a module with reparameterize, loss_function or the like"
    p.add_argument("target", nargs="?", metavar="module:object", help=what)
    p.add("--self", None, text="audit tinyvae itself")
    p.add("--make", str, "CALL", text='how to make the object, such as "VAE(20)"')
    p.add("--scale", tuple(SCALES), text="the encoder's 2nd output (default: measured)")
    p.add("--contract", terminal.path, "FILE", text="a TOML file with beta, prior, allow, …")
    p.add("--allow", str, "NAME,…", text="findings that are accepted")
    p.add("--beta", float, text="the weight that the KL is meant to have")
    p.add("--batch", terminal.COUNT, "N", text="rows, where the code insists on a number")
    p.add("--latent", terminal.WIDTH, "N", text="latent dimensions")
    p.add("--pixels", terminal.SHAPE, "N,N,…", text="shape of one example")
    p.add("--dtype", ("float32", "float64"), default="float32")
    for role in ROLES:
        p.add(f"--{role}", metavar="NAME", text=f"the function to audit as {role}")
    p.add("--json", None, text="print the report as JSON")
    p.add("--format", ("text", "json", "github"), default="text", text="how the report is printed")
    p.add("--out", terminal.path, "FILE.html", text="write the report as a page too")
    p.add("--strict", None, text="exit with 1 where not all could be judged")
    p.add("--lenient", None, text="exit with 0 where not all could be judged")
    return terminal.run(p, lambda given: _audit(p, given), argv)


def _audit(p: terminal.Parser, given: argparse.Namespace) -> int:
    if given.self:
        _refuse_ignored(p, given)
        return _audit_self(given.json)
    if not given.target:
        p.error("name a module:object, or --self")
    return _audit_target(given)


def _refuse_ignored(p: terminal.Parser, options: argparse.Namespace) -> None:
    """End with a line that names what --self would leave unread."""
    given = {n: v for n, v in vars(options).items() if v != p.get_default(n)}
    ignored = [v if n == "target" else f"--{n}" for n, v in given.items() if n not in SELF]
    if ignored:
        p.error(f"--self audits tinyvae itself: leave out {', '.join(ignored)}")


def _audit_self(as_json: bool) -> int:
    reports = audit_tinyvae()
    if as_json:
        print(json.dumps({name: report.to_dict() for name, report in reports.items()}))
    else:
        for name, report in reports.items():
            print(f"{name}\n  " + str(report).replace("\n", "\n  "))
    return max(STATUS[report.state] for report in reports.values())


def _audit_target(options: argparse.Namespace) -> int:
    module, found, name = target.load(options.target, module_too=True)
    sizes = dict(discover.DEFAULTS)
    sizes |= {"latent": options.latent} if options.latent else {}
    if options.pixels:
        sizes["pixels"] = options.pixels[0] if len(options.pixels) == 1 else options.pixels[1]
    found = _made(options.make, module) if options.make else found
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
    stated = read_contract(options.contract) if options.contract else {}
    given = {
        name: getattr(options, name) for name in ("beta", "scale", "batch", "latent", "pixels")
    }
    stated |= {name: value for name, value in given.items() if value is not None}
    stated.setdefault("dtype", options.dtype)
    stated["allow"] = [*stated.get("allow", ()), *(options.allow or "").split(",")]
    stated["allow"] = [name for name in stated["allow"] if name]
    report = audit(**audited, **stated)
    if options.out:
        write_text(options.out, annotations.page(report, options.target))
    if options.json or options.format == "json":
        print(json.dumps(report.to_dict()))
        return _status(report, options)
    if options.format == "github":
        print(annotations.github(report, audited))
        return _status(report, options)
    print("found: " + ", ".join(f"{role} = {title}" for role, (title, _) in functions.items()))
    needed = (
        ["sample", "objective"] if not {"kl", "reconstruction"} & set(functions) else ROLES[::2]
    )
    missing = [role for role in needed if role not in functions]
    print(f"not found: {', '.join(missing)}") if missing else None
    print(report)
    return _status(report, options)


def _made(call: str, module: ModuleType) -> Any:
    """Return the object that a call makes in a module."""
    try:
        return eval(call, vars(module))
    except Exception as failure:
        raise ValueError(f"--make {call}: {target.told(failure)}") from None


def _status(report: Report, options: argparse.Namespace) -> int:
    if report.state == "not judged" and (options.strict or options.lenient):
        return 1 if options.strict else 0
    return STATUS[report.state]
