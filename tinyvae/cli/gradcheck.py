"""The command `python -m tinyvae.gradcheck`: a table of tinyvae's own gradients, or the report on a
class of one's own, which it finds, builds and feeds."""

import ast
import importlib
import importlib.util
import inspect
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tinyvae import checks
from tinyvae.cli import terminal
from tinyvae.device import get_backend
from tinyvae.gradcheck import TOLERANCE, check
from tinyvae.gradcheck.parts import Part, all_parts
from tinyvae.gradcheck.report import Report
from tinyvae.gradcheck.subjects import NotCheckable

PROG = "tinyvae gradcheck"
GUESSES = (4, 3, 2, 5)  # constructor arguments, where none are given: widths that differ
FLOAT32 = """
float32 keeps 7 digits of a loss, and the difference of two losses only 3 to 5 of them. So this
table tells a wrong sign, factor or term from a right gradient, but no error below {:g}: what it
shows is mostly rounding. Check gradients in float64, which tells errors of {:g}."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status: 0 where all gradients are right, else 1."""
    return terminal.run(_command, argv, PROG)


def _command(argv: list[str] | None) -> int:
    parser = terminal.Parser(
        prog=PROG, description="Check gradients against central differences of the loss."
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="module:Layer",
        help="a class of yours, or path/to/file.py:Layer (default: all of tinyvae)",
    )
    parser.add_argument(
        "--args",
        metavar="A[,B…]",
        type=terminal.option(_arguments),
        help="arguments to build it with, such as 3,2 (default: a guess)",
    )
    parser.add_argument(
        "--shape",
        metavar="B[,D…]",
        type=terminal.option(_shape),
        help="shape of the input, such as 4,3 (default: a batch of 5, of a width that fits)",
    )
    parser.add_argument(
        "--dtype", choices=list(TOLERANCE), default="float64", help="(default: float64)"
    )
    parser.add_argument(
        "--backend", choices=["numpy", "cupy", "auto"], default="numpy", help="(default: numpy)"
    )
    parser.add_argument("--seed", type=terminal.whole(0), default=0, help="(default: 0)")
    given = parser.parse_args(argv)
    if given.target is None and (given.args is not None or given.shape is not None):
        parser.error("--args and --shape are for a class of yours: name it as module:Layer")
    backend = get_backend(given.backend)
    if given.target is None:
        return _table(backend, given.dtype, given.seed)
    layer, label = _build(_find(given.target), given.args)
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


def _find(target: str) -> Any:
    """Return the class (or object) that module:Name or file.py:Name names."""
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(f"{target!r} names no class: write module:Layer or path/to/file.py:Layer")
    module = _import(place)
    if hasattr(module, name):
        return getattr(module, name)
    there = [
        k for k, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__
    ]
    raise ValueError(f"{place} has no {name!r}; its classes: {', '.join(there) or 'none'}")


def _import(place: str) -> Any:
    """Import a module by its name, from the current folder too, or by its file."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {place}")
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except FileNotFoundError:
        raise
    except ModuleNotFoundError as error:
        if error.name != place.partition(".")[0] and error.name != place:
            raise ValueError(f"{place} cannot be imported: {error}") from None
        raise ValueError(f"there is no module {place!r} here or installed") from None
    except Exception as error:
        raise ValueError(f"{place} cannot be imported: {_told(error)}") from None


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
    except Exception as error:
        wanted = f" ({', '.join(needed)})" if needed else ""
        remedy = f"give its arguments{wanted} with --args, such as --args 3,2"
        raise ValueError(f"{made} raises {_told(error)}; {remedy}") from None


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
        raise terminal.Failure(f"{label} raises {_told(error)}{shape}", 1) from None
    report.name = label
    return report


def _told(error: BaseException) -> str:
    """Return an exception's class, message and, outside of tinyvae, its place in one phrase."""
    kind, message = type(error).__name__, checks.first_line(error)
    said = kind if message == kind else f"{kind}: {message}"
    own = str(Path(__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f for f in frames if not f.filename.startswith((own, "<"))]
    if not places or isinstance(error, SyntaxError):  # whose message tells its place
        return said
    return f"{said} ({Path(places[-1].filename).name}, line {places[-1].lineno})"


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read --args, such as 3,2 or 3,n_out=2; a bare word stands for a string."""

    def value(node: ast.expr) -> Any:
        return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)

    try:
        call = ast.parse(f"f({text})", mode="eval").body
        return [value(a) for a in call.args], {k.arg: value(k.value) for k in call.keywords}
    except (ValueError, SyntaxError):
        raise ValueError(f"arguments look like 3,2 or 3,n_out=2, not {text!r}") from None


def _shape(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.replace("×", ",").replace("x", ",").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"the shape must be positive whole numbers such as 4,3, not {text!r}")
    return tuple(map(int, parts))
