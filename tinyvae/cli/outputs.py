"""What commands write: rows as an array, a table or a picture; and pages for a browser."""

import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.cli import terminal
from tinyvae.data.scaling import Scaling
from tinyvae.data.variables import Variable, from_config, in_range, places
from tinyvae.train.files import write_atomically, write_csv, write_text
from tinyvae.train.runs import Run

DIGITS = 6  # of a number, counted from its column's standard deviation
PICTURES = (".png", ".svg", ".pdf")
UNBOUNDED = ("--unbounded", None, None, None, "let values leave the range of the rows trained on")
# Draws decoded rows, of this image shape, with what turns a model's values into images.
Draw = Callable[[np.ndarray, tuple[int, ...], Callable], Any]


def add_out(p: terminal.Parser, what: str, *suffixes: str) -> None:
    """Add --out, which must end in one of `suffixes` (or .npy, or a picture's)."""
    if not suffixes:
        suffixes = (".npy", ".csv", *PICTURES)
        what += " (also .svg, .pdf); pictures show grey on black as ink on paper"

    def path(text: str) -> Path:
        if Path(text).suffix not in suffixes:
            raise ValueError(f"the name must end in {' or '.join(suffixes)}, not {text!r}")
        return Path(text)

    p.add("--out", path, "FILE", text=what, required=True)


def write(
    out: Path, run: Run, x: np.ndarray, what: str, remedy: str, draw: Draw | None = None,
    *, within: bool = False,
) -> None:  # fmt: skip
    """Write rows x in the data's units, as an array, a table or a picture, and say so.

    `remedy` is for rows that are not finite; `draw` draws the picture, instead of a sheet of x;
    `within` keeps the values of a table within the range that was trained on.
    """
    if not np.isfinite(x).all():
        raise ValueError(f"{out} would hold values that are not finite: {remedy}")
    scaling, variables = units(run)
    if out.suffix in (".npy", ".csv"):
        x, n_moved = scaling.undo(x), 0
        if within:
            x, n_moved = in_range(x, variables)
        if out.suffix == ".csv":
            columns = cells(x, variables, scaling)
            names = [variable.name for variable in variables]
            write_csv(out, names, map(list, zip(*columns, strict=True)))
            width = len(columns)
        else:
            _check_numbers(out, variables)
            write_atomically(out, lambda file: np.save(file, x))
            width = x.shape[1]
        print(f"{out}: {what}, {width} wide")
        if n_moved:
            print(moved(n_moved))
        return
    data = run.config.get("data") or {}
    if not data.get("image_shape"):
        remedy = "write them to a .csv or .npy file"
        raise ValueError(f"{out}: the run's data are not images; {remedy}")
    from tinyvae import figures

    shape = tuple(data["image_shape"])
    if draw:
        figure = draw(x, shape, scaling.to_picture)
    else:
        figure = figures.image_grid(scaling.to_picture(x), shape)
    write_atomically(out, lambda file: figure.savefig(file, format=out.suffix[1:]))
    print(f"{out}: {what}")


def units(run: Run) -> tuple[Scaling, Sequence[Variable]]:
    """Return how a run's data were scaled, and what their columns are."""
    data = run.config.get("data") or {}
    scaling = Scaling.from_config(data["scaling"]) if data else Scaling()
    names = data.get("feature_names") or numbered("x", run.model.n_features)
    return scaling, from_config(data) or [Variable(name) for name in names]


def cells(x: np.ndarray, variables: Sequence[Variable], scaling: Scaling) -> list[list[Any]]:
    """Return what rows x (N, D), in the data's units, come to in each column of a table: numbers in
    the digits that a model's float32 has."""
    found = []
    for v, place in zip(variables, places(variables), strict=True):
        values = x[:, place]
        if scaling.std is not None:
            values = np.round(values, DIGITS - int(np.floor(np.log10(scaling.std[place.start]))))
        found.append(v.cells(values))
    return found


def is_table(run: Run) -> bool:
    """Return whether a run was trained on rows that are no images."""
    data = run.config.get("data")
    return bool(data) and not data["image_shape"]


def _check_numbers(out: Path, variables: Sequence[Variable]) -> None:
    """Raise ValueError where an array is to hold words."""
    words = next((v.name for v in variables if v.categories), None)
    if words is not None:
        raise ValueError(f"{out}: column {words} holds words: write a .csv")


def moved(n: int) -> str:
    """Return what is said where `n` cells were kept within the range that was trained on."""
    cells = "1 cell was" if n == 1 else f"{n:,} cells were"
    return f"{cells} moved into the range of the rows trained on (not with --unbounded)"


def model_columns(run: Run) -> list[str]:
    """Return the names of the model's columns, of which a category has several."""
    return [name for v in units(run)[1] for name in v.features]


def numbered(name: str, n: int) -> list[str]:
    """Return name1, name2, … of n columns."""
    return [f"{name}{i + 1}" for i in range(n)]


def write_table(out: Path, names: Sequence[str], parts: Sequence[np.ndarray]) -> None:
    """Write a table in text: a line of names, then the rows of the parts (N, D) side by side, in as
    many digits as give the same numbers again."""
    lines = zip(*parts, strict=True)
    write_csv(out, names, ([str(value) for row in rows for value in row] for rows in lines))


def check_page(out: Path) -> None:
    """Raise ValueError, before the work, where no page can be written to --out."""
    if out.is_dir() or not out.parent.is_dir():
        problem = "it is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise ValueError(f"--out {out}: {problem}; name a file that can be written")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {out}: the name must end in .html")


def write_page(out: Path, page: str, show: bool) -> None:
    """Write a page of HTML, say so, and `show` it in the browser if asked to."""
    write_text(out, page)
    print(f"wrote {out} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser")
    if show and not webbrowser.open(out.resolve().as_uri()):
        terminal.note("no browser found here: open the file yourself")
