"""`tinyvae gradcheck`: a table of tinyvae's own gradients, or the report on a
class of one's own, which it finds, builds and feeds."""

import argparse
import ast
import inspect
import time
from typing import Any

from tinyvae.cli import target, terminal
from tinyvae.device import get_backend
from tinyvae.gradcheck import TOLERANCE, check
from tinyvae.gradcheck.parts import Part, all_parts
from tinyvae.gradcheck.report import Report
from tinyvae.gradcheck.subjects import NotCheckable

GUESSES = (4, 3, 2, 5)  # constructor arguments, where none are given: widths that differ
FLOAT32 = """
float32 keeps 7 digits of a loss, and the difference of two losses only 3 to 5 of them. So this
table tells a wrong sign, factor or term from a right gradient, but no error below {:g}: what it
shows is mostly rounding. Check gradients in float64, which tells errors of {:g}."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status: 0 where all gradients are right, else 1."""
    p = terminal.Parser("gradcheck", "Check gradients against central differences of the loss.")
    what = "a class of yours, or path/to/file.py:Layer (default: all of tinyvae)"
    p.add_argument("target", nargs="?", metavar="module:Layer", help=what)
    text = "arguments to build it with, such as 3,2 (default: a guess)"
    p.add("--args", _arguments, "A[,B…]", text=text)
    text = "shape of the input, such as 4,3 (default: a batch of 5, of a width that fits)"
    p.add("--shape", terminal.SHAPE, "B[,D…]", text=text)
    p.add("--dtype", tuple(TOLERANCE), default="float64")
    p.add("--backend", ("numpy", "cupy", "auto"), default="numpy")
    p.add("--seed", terminal.SEED, "N", 0)
    return terminal.run(p, lambda given: _gradcheck(p, given), argv)


def _gradcheck(p: terminal.Parser, given: argparse.Namespace) -> int:
    if given.target is None and (given.args is not None or given.shape is not None):
        p.error("--args and --shape are for a class of yours: name it as module:Layer")
    backend = get_backend(given.backend)
    if given.target is None:
        return _table(backend, given.dtype, given.seed)
    _, found, _ = target.load(given.target)
    layer, label = _build(found, given.args)
    report = _checked(layer, label, given, backend)
    print(report)
    return 0 if report else 1


def _table(backend: Any, dtype: str, seed: int) -> int:
    """Check all of tinyvae, a row at a time."""
    start = time.perf_counter()
    print(f"{'what':<37} {'shapes':<21} {'parameters':>10}  worst relative error")
    failed, total, n = [], 0, 0
    for part in all_parts(backend, dtype, seed):
        print(_row(part))
        failed += [report for report in part.reports if not report]
        total, n = total + sum(report.size for report in part.reports), n + 1
    for report in failed:
        print(f"\n{report}")
    verdict = f"{len(failed)} disagree" if failed else "all agree"
    seconds = time.perf_counter() - start
    print(
        f"\n{n} parts, {total:,} parameters and inputs, moved one by one: {verdict} with central\n"
        f"differences, ‖analytic − numeric‖ / ‖numeric‖ ≤ {TOLERANCE[dtype]:g} for each array"
        f" ({dtype}, {backend.name}, {seconds:.1f} s).\n"
        "Shapes are B×D (batch, width), of models B×D×L (batch, data, latent)."
    )
    if dtype == "float32":
        print(FLOAT32.format(TOLERANCE["float32"], TOLERANCE["float64"]))
    return 1 if failed else 0


def _row(part: Part) -> str:
    shapes = ", ".join("×".join(map(str, shape)) for shape in part.shapes)
    size = sum(report.size for report in part.reports)
    error = max(report.error for report in part.reports)
    verdict = "pass" if all(part.reports) else "FAIL"
    return f"{part.name:<37} {shapes:<21} {size:>10,} {error:>21.1e}  {verdict}"


def _build(thing: Any, arguments: tuple[list, dict] | None) -> tuple[Any, str]:
    """Return an object of the class and how it was made; guess arguments that are not given."""
    if not inspect.isclass(thing):
        return thing, getattr(thing, "__name__", type(thing).__name__)
    needed = [] if thing.__init__ is object.__init__ else _needed(thing)
    values, named = arguments or (GUESSES[: len(needed)], {})
    told = [*map(repr, values), *(f"{k}={v!r}" for k, v in named.items())]
    made = f"{thing.__name__}({', '.join(told)})"
    try:
        return thing(*values, **named), made
    except (Exception, SystemExit) as error:
        wanted = f" ({', '.join(needed)})" if needed else ""
        remedy = f"give its arguments{wanted} with --args, such as --args 3,2"
        raise ValueError(f"{made} raises {target.told(error)}; {remedy}") from None


def _needed(thing: type) -> list[str]:
    parameters = inspect.signature(thing).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variable]


def _checked(layer: Any, label: str, given: Any, backend: Any) -> Report:
    """Check the object; what its own code raises becomes one line, and exit status 1."""
    try:
        report = check(
            layer, shape=given.shape, dtype=given.dtype, backend=backend, seed=given.seed
        )
    except NotCheckable:
        raise
    except Exception as error:
        # NumPy's errors about shapes are of these classes.
        may_be_shape = given.shape is None and isinstance(error, ValueError | IndexError)
        shape = "; give the shape of its input with --shape, such as 4,3" if may_be_shape else ""
        raise terminal.Failure(f"{label} raises {target.told(error)}{shape}", 1) from None
    report.name = label
    return report


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read --args, such as 3,2 or 3,n_out=2; a bare word stands for a string."""

    def value(node: ast.expr) -> Any:
        return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)

    try:
        call = ast.parse(f"f({text})", mode="eval").body
        return [value(a) for a in call.args], {k.arg: value(k.value) for k in call.keywords}
    except (ValueError, SyntaxError):
        raise ValueError(f"arguments look like 3,2 or 3,n_out=2, not {text!r}") from None
