"""Compare analytic gradients with central differences, array by array."""

from typing import Any

import numpy as np

from tinyvae import checks
from tinyvae.core.arrays import array_module
from tinyvae.device import get_backend, to_numpy
from tinyvae.gradcheck.arrays import Place
from tinyvae.gradcheck.differences import Slopes, slopes
from tinyvae.gradcheck.report import (
    ArrayCheck,
    Report,
    pattern,
    repeat_problems,
    shape_problem,
    where_it_enters,
)
from tinyvae.gradcheck.subjects import FunctionPair, Module, NotCheckable

TOLERANCE = {"float64": 1e-7, "float32": 1e-2}
HELD = "{} is held still: backward returns no gradient for it"
FRESH_NOISE = (
    "forward gives another result for the same input: it draws fresh noise. Hold the "
    "noise still: draw eps once and pass it in, as in check(model, x, eps=eps)"
)
DY_CHANGED = (
    "backward changes dy in place: no harm in a plain chain of layers, but wrong as soon "
    "as dy is used twice"
)
BESIDE_KINKS = (
    "the point given lies on kinks (such as a ReLU at 0), where there is no derivative: "
    "compared at random points 0.1 to 0.3 beside it"
)


def check(
    subject: Any,
    *inputs: Any,
    shape: tuple[int, ...] | None = None,
    tolerance: float | None = None,
    entries: int = 50,
    seed: int = 0,
    dtype: str = "float64",
    backend: str = "numpy",
    **constants: Any,
) -> Report:
    """Compare hand-written gradients with central differences; the report is true if they agree.

    Parameters
    ----------
    subject : a layer, a model, or a function
        - A *layer* has `y = forward(x)` and `dx = backward(dy)`. Its weights are those that
          `shapes` declares or, without it, its arrays `foo` for which `backward` leaves a `dfoo`.
        - A *model* has `forward(x)` that returns a loss, `backward()`, and weights with their
          gradient: `parameters.theta` and `.grad`, or `params` and `grads` (lists or dicts).
        - A *function* is followed by the function of its gradient: `check(f, df, x, …)`. `df`
          gets the same inputs and returns ∂f/∂x, one array for each input; where `f` returns an
          array, the gradient of its sum. With one argument more, `df(dy, x, …)`, it is a backward
          pass, and gets ∂loss/∂f as dy.
    *inputs : arrays
        What `forward` or `f` gets. Left out, a layer gets random numbers of a width that fits.
    shape : tuple of int
        The shape of those random numbers, such as (4, 3).
    tolerance : float
        Largest ‖analytic − numeric‖ / ‖numeric‖ that passes: 1e-7 in float64, 1e-2 in float32.
        Where ‖numeric‖ is too small to be told from rounding, an absolute scale takes its place.
    entries : int
        How many entries of each array are compared, drawn at random (by `seed`) if it has more.
    seed, dtype, backend
        For what is drawn; the precision, and where a layer or function is computed. A model keeps
        its own.
    **constants
        More arguments of `forward` or `f`, passed on as they are: above all the noise, `eps=eps`.

    Returns
    -------
    Report
        `print` it; see also `.passed`, `.worst`, `.arrays`, `.problems`.

    Raises
    ------
    TypeError
        Where `subject` has no forward and backward, or returns neither an array nor a number.
    ValueError
        Where an array is empty, or an option is none.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyvae.gradcheck import check
    >>> bool(check(np.sin, lambda x: np.cos(x), np.linspace(0.0, 1.0, 5)))
    True
    """
    checks.choice("dtype", dtype, TOLERANCE)
    checks.integer("entries", entries, 1)
    if tolerance is not None:
        checks.number("tolerance", tolerance, above=True)
    rng = np.random.default_rng(checks.integer("seed", seed, 0))
    place = Place(get_backend(backend), dtype, rng)
    with np.errstate(all="ignore"):
        examined = _subject(subject, inputs, constants, shape, place)
        start = {name: array.copy() for name, array in examined.arrays.items()}
        for name, array in start.items():
            if not array.size:
                found = f"{name} is empty, of the shape {array.shape}"
                raise ValueError(f"{found}: give it at least one number")
        try:
            report = _examine(examined, rng, tolerance, entries)
            if report.passed and any(array.on_kinks for array in report.arrays.values()):
                report = _beside_the_kinks(examined, rng, tolerance, entries)
        finally:
            for name, array in start.items():
                examined.arrays[name][...] = array
    return report


def _subject(subject: Any, inputs: tuple, constants: dict, shape: Any, place: Place) -> Any:
    """Return what is to be checked as a `Module` or a `FunctionPair`."""
    name = getattr(subject, "__name__", type(subject).__name__)
    if isinstance(subject, type):
        raise NotCheckable(f"{name} is a class: give an object of it, check({name}(…))")
    lacking = [m for m in ("forward", "backward") if not callable(getattr(subject, m, None))]
    if not lacking:
        return Module(subject, inputs, constants, shape, place)
    if callable(subject) and inputs and callable(inputs[0]):
        return FunctionPair(subject, inputs[0], inputs[1:], constants, place)
    if len(lacking) == 2 and callable(subject):
        raise NotCheckable(f"{name} needs its gradient beside it: check({name}, its_gradient, x)")
    raise NotCheckable(f"{name} has no {' and no '.join(lacking)}: a layer needs both")


def _beside_the_kinks(subject: Any, rng: Any, tolerance: float | None, entries: int) -> Report:
    """Examine beside the given point, where that has too many kinks (as a ReLU at zeros has)."""
    for array in subject.arrays.values():
        offset = rng.uniform(0.1, 0.3, array.shape) * rng.choice([-1, 1], array.shape)
        array += array_module(array).asarray(offset, dtype=array.dtype)
    report = _examine(subject, rng, tolerance, entries)
    report.notes.append(BESIDE_KINKS)
    report.problems += [
        f"{a.name}: forward jumps or bends in {a.kinks} of {a.kinks + a.checked} entries, so no "
        "gradient can be confirmed: does it round, threshold, or compute in float32 inside?"
        for a in report.arrays.values()
        if a.on_kinks
    ]
    return report


def _examine(subject: Any, rng: Any, tolerance: float | None, entries: int) -> Report:
    """Run both passes twice; then compare every array with differences of the forward pass."""
    dtype = min((str(a.dtype) for a in subject.arrays.values()), default="float64")
    if dtype not in TOLERANCE:
        raise NotCheckable(f"{subject.name} has {dtype} arrays; float32 and float64 can be checked")
    report = Report(subject.name, {}, tolerance or TOLERANCE[dtype], dtype)
    y = _unchanging(subject, report, "forward")
    if not isinstance(y, float):
        y = y.copy()  # the layer may write to it again
        if str(y.dtype) != dtype:
            report.problems.append(f"forward turns {dtype} into {y.dtype}: keep the dtype of x")
            return report
    if not np.isfinite(to_numpy(y)).all():
        report.problems.append("forward returns nan or inf")
        return report
    dy = _draw_dy(y, subject.sums, rng)
    subject.clear()
    analytic = _analytic(subject, report, dy)
    if report.problems:
        return report
    if not np.array_equal(to_numpy(y), to_numpy(subject.forward())):
        report.problems.append(FRESH_NOISE)
        return report
    again = _analytic(subject, report, dy)
    report.problems += [*repeat_problems(analytic, again), *subject.problems]
    size = float(np.linalg.norm(np.ravel(to_numpy(y * dy))))

    def change() -> float:
        weighted = (subject.forward() - y) * dy
        return weighted if isinstance(y, float) else float(to_numpy(weighted.sum(dtype="float64")))

    others = {"y": y, "dy": dy} | subject.constants | subject.arrays
    for name, array in subject.arrays.items():
        if name in subject.inputs and name not in analytic:
            report.notes += [] if subject.is_model else [HELD.format(name)]
        elif trouble := shape_problem(name, array, analytic.get(name)):
            report.problems.append(trouble)
        else:
            chosen = np.arange(array.size)
            if array.size > entries:
                chosen = np.sort(rng.choice(array.size, entries, replace=False))
            indices = [tuple(map(int, np.unravel_index(i, array.shape))) for i in chosen]
            found = slopes(change, array, indices, size, report.tolerance)
            report.arrays[name] = _compare(
                name, analytic[name], indices, found, report.tolerance, others, subject.sizes
            )
    for name, value in subject.inputs.items():
        if name not in subject.arrays and hasattr(value, "dtype"):
            report.notes.append(f"{name} holds {value.dtype} and is held still")
    if not report.arrays and not report.problems:
        report.problems.append("there is nothing to compare: no float array has a gradient")
    names = [name for name in report.arrays if name not in subject.inputs]
    enters = where_it_enters(names, [not report.arrays[name].passed for name in names])
    report.notes += [enters] if enters else []
    report.problems = list(dict.fromkeys(report.problems))  # each once
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _unchanging(subject: Any, report: Report, name: str, *arguments: Any) -> Any:
    """Call the subject's forward or backward, and report it if inputs or weights change."""
    before = {name: array.copy() for name, array in subject.arrays.items()}
    result = getattr(subject, name)(*arguments)
    for array_name, array in subject.arrays.items():
        if not np.array_equal(to_numpy(before[array_name]), to_numpy(array), equal_nan=True):
            array[...] = before[array_name]
            report.problems.append(f"{name} changes {array_name} in place: work on a copy of it")
    return result


def _analytic(subject: Any, report: Report, dy: Any) -> dict[str, np.ndarray]:
    """Return the gradients of a backward pass, on the host."""
    given = dy if isinstance(dy, float) else dy.copy()
    gradients = _unchanging(subject, report, "backward", given)
    if not np.array_equal(to_numpy(given), to_numpy(dy)):
        report.notes.append(DY_CHANGED)
    return {name: to_numpy(gradient).copy() for name, gradient in gradients.items()}


def _draw_dy(y: Any, sums: bool, rng: np.random.Generator) -> Any:
    """Return dy: the number checked is Σ dy · y, with random dy that tell all entries apart."""
    if isinstance(y, float):
        return 1.0
    dy = np.ones(y.shape) if sums else rng.standard_normal(y.shape)
    return array_module(y).asarray(dy, dtype=y.dtype)


def _compare(
    name: str, gradient: np.ndarray, indices: list[tuple[int, ...]], found: Slopes,
    tolerance: float, others: dict[str, Any], sizes: dict[str, int],
) -> ArrayCheck:  # fmt: skip
    """Return how far an array's gradient is from the slopes found, and what the pattern suggests.

    `others` are arrays that could be a forgotten factor or term.
    """
    analytic = np.array([float(gradient[index]) for index in indices])
    numeric = found.slope
    # At a kink the derivative may be set to that of either side, or between; not to anything.
    bound = 1.01 * (np.abs(found.left) + np.abs(found.right)) + found.rounding
    keep = ~found.kink | (np.abs(analytic) > bound)
    off = np.where(keep, np.abs(analytic - numeric), -1.0)
    worst = int(off.argmax())
    norm = float(np.linalg.norm(numeric[keep]))
    floor = 2 * float(np.linalg.norm(found.rounding[keep])) / tolerance
    distance = float(np.linalg.norm(off[keep]))
    error = distance / max(norm, floor) if distance else 0.0
    hint = ""
    if error > tolerance:
        places = [index for index, kept in zip(indices, keep, strict=True) if kept]
        relatives = {
            other: np.array([float(values[place]) for place in places])
            for other, values in ((k, to_numpy(v)) for k, v in others.items() if np.ndim(v))
            if values.shape == gradient.shape
        }
        right = off[keep] <= tolerance * max(norm, floor)
        hint = pattern(places, analytic[keep], numeric[keep], right, sizes, relatives)
    return ArrayCheck(
        name, gradient.shape, checked=int(keep.sum()), kinks=int((~keep).sum()), error=error,
        index=indices[worst], analytic=float(analytic[worst]), numeric=float(numeric[worst]),
        passed=error <= tolerance, floor=floor if floor > norm else None, hint=hint,
    )  # fmt: skip
