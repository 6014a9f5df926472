"""Read numbers in lines of text. A header, comments, an index and a column of labels are found or
named; whatever else is not a number is refused with its place and what can be done about it."""

import csv
import gzip
import itertools
import math
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data.dataset import counted

SUFFIXES = (".csv", ".tsv", ".txt")  # each may end in .gz too
DELIMITERS = ("\t", ";", "|", ",", " ")  # in this order, where a file allows several
LABEL_NAMES = ("label", "labels", "class", "target", "y")
LOOKED_AT = 20  # lines by which the layout is found
MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
LIKE_A_NUMBER = re.compile(r"[^A-Za-z]*\d[^A-Za-z]*")  # 1,000 or 12 % or 2001-12-31
PLAIN = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")
THOUSANDS, DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"), re.compile(r"[+-]?\d*,\d+")
Line = tuple[int, list[str]]  # its number, from 1, and its cells
Columns = str | int | Sequence[str | int] | None


class Contents(NamedTuple):
    """What is in a file of text."""

    x: np.ndarray  # (N, D) float64
    labels: np.ndarray | None  # (N,) of text
    columns: tuple[str, ...]  # names of x's columns; without a header, their numbers from 1
    named: bool  # whether a header names them
    remark: str  # what is left out


class Layout(NamedTuple):
    """Where in a file the numbers are."""

    delimiter: str
    skipped: int  # lines before the first of numbers
    columns: list[str]  # of the file
    kept: list[int]  # places of those that x has
    label: int | None
    classes: list[str]  # that the labels count from 0, or []
    count: int  # of the rows, where the first line says it, or 0


def is_text(path: Path) -> bool:
    """Return whether a file's name is that of a table in text."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def read(
    path: Path, labels: str | int | None = None, *, header: str = "auto", columns: Columns = None,
    drop: Columns = None,
) -> Contents:  # fmt: skip
    """Return the numbers and labels in a file, which commas, semicolons, tabs, | or spaces
    separate.

    Parameters
    ----------
    path : a .csv, .tsv or .txt file, which may be compressed (.gz)
    labels : name or number, from 1, of the column that holds labels
    header : whether the first line names the columns: "yes", "no", or "auto" by what it holds
    columns, drop : which columns to take, or to leave out: names, numbers or ranges such as 2-5

    Raises
    ------
    ValueError
        In one line that names the place and the remedy.
    """
    if header not in ("auto", "yes", "no"):
        raise InputError(Argument("header", header), remedy="expected auto, yes or no")
    try:
        with _opened(path) as file:
            layout, named, remarks, lines = _layout(path, file, labels, header, columns, drop)
            found = _at_once(path, layout) or _by_line(path, lines, layout, labels, drop, remarks)
    except (UnicodeDecodeError, csv.Error):
        problem = f"{path} is not a text file in UTF-8 of separated values"
        raise InputError(problem, remedy="save it as text in UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be read", remedy=f"is it cut off? ({error})") from None
    x, classes = found
    if not x.size:
        raise ValueError(f"{path} is empty: it has no line of numbers")
    names = [layout.columns[j] for j in layout.kept]
    if named and not layout.columns[0] and columns is None and 0 in layout.kept and _index(x[:, 0]):
        x, names = x[:, 1:], names[1:]
        remarks.append("its unnamed first column counts the rows and is left out")
        if not names:
            raise ValueError(f"{path} is empty: it has no column but the rows' numbers")
    if layout.classes:
        if layout.count != len(x):
            problem = (
                f"{path}: its first line counts {counted(layout.count, 'row')}, it has {len(x):,}"
            )
            raise InputError(problem, remedy="is it cut off?")
        codes = classes.astype(float)
        if not set(codes.tolist()) <= set(range(len(layout.classes))):
            raise ValueError(f"{path} has other classes in its last column than its first line")
        classes = np.array(layout.classes)[codes.astype(int)]
    return Contents(x, classes, tuple(names), named, ", ".join(remarks))


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open a text file, compressed or not."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
        yield file


def _layout(
    path: Path, file: IO[str], labels: str | int | None, header: str, columns: Columns,
    drop: Columns,
) -> tuple[Layout, bool, list[str], Iterator[Line]]:  # fmt: skip
    """Return where the numbers are, whether columns have names, remarks, and the lines of them."""
    comments, first = [], list(itertools.islice(file, 10 * LOOKED_AT))
    while first and (first[0].startswith("#") or not first[0].strip()):
        comments.append(first.pop(0))
    delimiter = _delimiter([line for line in first if line.strip()][:LOOKED_AT])
    skipped, remarks = len(comments), []
    lines = _cells(itertools.chain(first, file), delimiter, skipped)
    head = list(itertools.islice(lines, LOOKED_AT))
    if not head:
        raise ValueError(f"{path} is empty: it has no line of numbers")
    names, count, classes = None, 0, []
    widths = [len(cells) for _, cells in head]
    width = max(widths, key=widths.count)  # of most lines
    spoken = [line[1:] for line in comments if line.strip("# \t\r\n")]
    if _counts(head, width) and header == "auto":
        skipped, (count, _, *classes) = head.pop(0)
        labels = str(width) if labels is None else labels
        remarks.append("its first line counts rows and names the classes in its last column")
    elif header == "yes" or (header == "auto" and _names(head, _asked(labels, columns, drop))):
        skipped, names = head.pop(0)
        names = ["", *names] if len(names) == width - 1 else names  # R leaves out the row names'
    elif spoken and header == "auto" and len(head[0][1]) == width:
        (_, cells) = next(_cells(spoken[-1:], delimiter, 0))
        if len(cells) == width and None in map(_number, cells):  # as np.savetxt writes it
            names = cells
            spoken.pop()
    if names is None and not classes and header == "auto" and _may_be_names(head):
        shown = ", ".join(head[0][1][:3])
        problem = f"{path}: its first line ({shown}, …) may name the columns or be a row of numbers"
        remedy = ["say which with ", Argument("header", "yes"), " or ", Argument("header", "no")]
        raise InputError(problem, remedy=remedy)
    if spoken:
        remarks.append(f"{counted(len(spoken), 'comment line')} left out")
    all_columns = [c.strip() for c in names] if names else [str(j + 1) for j in range(width)]
    label = None if labels is None else _places(path, labels, all_columns, "labels")[0]
    if labels is None and names and (found := _label_of_pixels(all_columns)) is not None:
        label = found
        remarks.append(f"column {all_columns[label]} holds the labels")
    kept = _kept(path, all_columns, columns, drop, label)
    layout = Layout(delimiter, skipped, all_columns, kept, label, classes, int(count))
    return layout, names is not None, remarks, itertools.chain(head, lines)


def _cells(lines: Iterable[str], delimiter: str, before: int) -> Iterator[Line]:
    """Yield the lines that are not blank, with their numbers, cut into cells."""
    if delimiter == " ":
        lines = (line.strip() + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield before + reader.line_num, cells


def _delimiter(lines: list[str]) -> str:
    """Return what separates the cells: it cuts all lines but the first into equally many, and
    gives most numbers."""
    fits = {}  # delimiter: whether it cuts the first line too, and how many cells are numbers
    for delimiter in DELIMITERS:
        first, *cut = [cells for _, cells in _cells(lines, delimiter, 0)] or [[]]
        cut = cut or [first]
        if len(widths := {len(cells) for cells in cut}) == 1 and (width := widths.pop()) > 1:
            plain = [PLAIN.fullmatch(cell.strip()) is not None for cells in cut for cell in cells]
            fits[delimiter] = width - len(first) in (0, 1), float(np.mean(plain))
    odd = next((d for d in DELIMITERS[:-1] if lines and d in lines[0]), ",")
    return max(fits, key=lambda delimiter: fits[delimiter]) if fits else odd


def _counts(head: list[Line], width: int) -> bool:
    """Return whether the first line is "rows,features,class,class,…", as scikit-learn's files."""
    if len(head) < 2:
        return False
    rows, features, *classes = [*head[0][1], "", ""]
    counts = rows.strip().isdecimal() and features.strip() == str(width - 1)
    return counts and bool(classes[:-2]) and all(_number(c) is None for c in classes[:-2])


def _asked(*options: Columns) -> set[str]:
    """Return the names that options may ask for."""
    return {item for option in options for item in _items(option) if not item.isdecimal()}


def _names(head: list[Line], asked: set[str]) -> bool:
    """Return whether the first line names columns: it has text where later ones have numbers."""
    first = [cell.strip() for cell in head[0][1]]
    if asked & set(first):
        return True
    if len(head) == 1:
        return all(_number(cell) is None for cell in first)
    for j, cell in enumerate(first):
        below = [cells[j].strip() for _, cells in head[1:] if j < len(cells)]
        text = cell.lower() not in MISSING and not _like_a_number(cell)
        if text and any(map(_like_a_number, below)):
            return True
    return False


def _may_be_names(head: list[Line]) -> bool:
    """Return whether numbers in the first line may name columns, as years and wavelengths do.

    They are equally spaced, or many and in order, or whole above fractions; other lines are not.
    """
    first, rest = head[0][1], [cells for _, cells in head[1:] if len(cells) == len(head[0][1])]
    places = [j for j, cell in enumerate(first) if _number(cell) is not None]
    rest = [[cells[j].strip() for j in places] for cells in rest]
    if (
        len(places) < 2
        or not rest
        or any(_number(cell) is None for cells in rest for cell in cells)
    ):
        return False
    steps = [np.diff([_number(first[j]) for j in places])]
    steps += [np.diff([_number(cell) for cell in cells]) for cells in rest]

    def spaced(step: np.ndarray) -> bool:
        return len(step) > 1 and step[0] != 0 and np.allclose(step, step[0], rtol=1e-6)

    def rising(step: np.ndarray) -> bool:
        return len(step) > 4 and bool((step > 0).all() or (step < 0).all())

    for like_names in (spaced, rising):
        if like_names(steps[0]) and not any(map(like_names, steps[1:])):
            return True
    whole = all(first[j].strip().isdecimal() for j in places)
    return len(rest) > 2 and whole and all("." in cell for cells in rest for cell in cells)


def _label_of_pixels(columns: list[str]) -> int | None:
    """Return the place of the column that is no pixel, where all others are named so."""
    others = [j for j, name in enumerate(columns) if not name.lower().startswith("pixel")]
    if len(others) != 1 or columns[others[0]].lower() not in LABEL_NAMES or len(columns) < 3:
        return None
    return others[0]


def _items(option: Columns) -> list[str]:
    if option is None:
        return []
    parts = option.split(",") if isinstance(option, str) else option
    return [str(part).strip() for part in (parts if isinstance(parts, Iterable) else [parts])]


def _places(path: Path, option: Columns, columns: list[str], name: str) -> list[int]:
    """Return the places of the columns that an option names. Raises ValueError for others."""

    def place(text: str) -> int | None:
        if columns.count(text) > 1:
            problem = f": {path} has several columns {text}"
            raise InputError(Argument(name, text), problem, remedy="give its number, from 1")
        if text in columns:
            return columns.index(text)
        return int(text) - 1 if text.isdecimal() and 0 < int(text) <= len(columns) else None

    found = []
    if isinstance(option, str) and option.strip() in columns:
        return [place(option.strip())]  # a name with a comma
    for item in _items(option):
        ends = [place(item)] * 2
        for dash in re.finditer("-", item):
            if None in ends:
                ends = [place(item[: dash.start()].strip()), place(item[dash.end() :].strip())]
        if None in ends or ends[0] > ends[1]:
            shown = ", ".join(columns[:20]) + ", …" * (len(columns) > 20)
            by_number = columns == [str(j + 1) for j in range(len(columns))]
            known = (
                f"no header; columns 1 to {len(columns)}" if by_number else f"its columns: {shown}"
            )
            raise InputError(f"{path} has no column {item!r} for ", Argument(name, bare=True),
                f" ({known})")  # fmt: skip
        found += range(ends[0], ends[1] + 1)
    return found


def _kept(
    path: Path, all_columns: list[str], columns: Columns, drop: Columns, label: int | None
) -> list[int]:
    """Return the places of the columns to train on, in the file's order."""
    kept = set(range(len(all_columns)))
    if columns is not None:
        kept &= set(_places(path, columns, all_columns, "columns"))
    kept -= {*_places(path, drop, all_columns, "drop"), label}
    if not kept:
        raise ValueError(f"{path} is empty: no column is left to train on")
    return sorted(kept)


def _at_once(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return what NumPy's fast reader makes of the lines, or None where it finds anything odd."""
    label, width = layout.label, len(layout.columns)
    used = layout.kept + ([] if label is None else [label])
    codes: dict[str, int] = {}
    as_code = {} if label is None else {label: lambda c: codes.setdefault(c.strip(), len(codes))}
    if len(used) < width and not _even(path, layout):
        return None
    try:
        with warnings.catch_warnings(action="error"):  # of no line of numbers
            x = np.loadtxt(
                str(path), delimiter=layout.delimiter.strip(" ") or None, skiprows=layout.skipped,
                quotechar='"', comments=None, converters=as_code, encoding="utf-8-sig", ndmin=2,
                usecols=used if len(used) < width else None,
            )  # fmt: skip
    except (ValueError, IndexError, UserWarning):
        return None
    if x.shape[1] != len(used) or not np.isfinite(x).all():
        return None
    if label is None:
        return x, None
    place = label if len(used) == width else len(layout.kept)
    return np.delete(x, place, axis=1), np.array(list(codes))[x[:, place].astype(int)]


def _even(path: Path, layout: Layout) -> bool:
    """Return whether each line surely has as many cells as there are columns."""
    wanted, delimiter = len(layout.columns) - 1, layout.delimiter
    with _opened(path) as file:
        lines = itertools.islice(file, layout.skipped, None)
        if delimiter == " ":
            return all('"' not in s and len(s.split()) in (0, wanted + 1) for s in lines)
        return all('"' not in s and (s.count(delimiter) == wanted or s.isspace()) for s in lines)


def _by_line(
    path: Path, lines: Iterable[Line], layout: Layout, labels: str | int | None, drop: Columns,
    remarks: list[str],
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """Return the same, line by line: slower, and whatever is wrong is named with its place."""
    rows, classes, comments = [], [], 0
    bad: dict[int, list[tuple[int, str]]] = {}  # column: lines and cells that are no numbers
    for line, cells in lines:
        if len(cells) != len(layout.columns):
            if cells[0].startswith("#"):
                comments += 1
                continue
            found = counted(len(cells), "column")
            raise ValueError(f"{path}, line {line} has {found} instead of {len(layout.columns)}")
        numbers = [_number(cells[j]) for j in layout.kept]
        for j, number in zip(layout.kept, numbers, strict=True):
            if number is None or not math.isfinite(number):
                bad.setdefault(j, []).append((line, cells[j].strip()))
        rows.append(numbers)
        classes.append("" if layout.label is None else cells[layout.label].strip())
    if bad:
        raise _not_numbers(path, bad, len(rows), layout, labels, drop)
    if comments:
        remarks.append(f"{counted(comments, 'comment line')} between the rows left out")
    return np.array(rows), None if layout.label is None else np.array(classes)


def _not_numbers(
    path: Path, bad: dict[int, list[tuple[int, str]]], n_rows: int, layout: Layout,
    labels: str | int | None, drop: Columns,
) -> InputError:  # fmt: skip
    """Return the error for cells that are no numbers, and what can be done about them."""
    (line, column) = min((cells[0][0], j) for j, cells in bad.items())
    cell = bad[column][0][1]
    place = f"{path}, line {line}, column {layout.columns[column] or column + 1}"
    if THOUSANDS.fullmatch(cell):
        problem = f"{place}: {cell!r} has a comma"
        remedy = "remove it where it separates thousands; write a decimal comma as a point"
        return InputError(problem, remedy=remedy)
    if DECIMAL_COMMA.fullmatch(cell):
        problem = f"{path} has numbers with decimal commas"
        return InputError(problem, remedy="write them with decimal points")

    def dropping(places: list[int]) -> Argument:
        names = [layout.columns[j] for j in places]
        odd = any(not n or "," in n or layout.columns.count(n) > 1 for n in names)
        names = [str(j + 1) for j in places] if odd else names
        return Argument("drop", ",".join(_items(drop) + names))

    text = [j for j, cells in sorted(bad.items())
        if sum(c.lower() not in MISSING for _, c in cells) > n_rows / 2]  # fmt: skip
    problem = f"{place}: {cell!r} is not a finite number; "
    if column in text:
        what = "columns of text" if len(text) > 1 else "column"
        pieces = [f"leave the {what} out with ", dropping(text), ", or write numbers instead"]
        classes = [j for j in text if len({c for _, c in bad[j]}) <= n_rows / 2]
        if labels is None and classes:
            name = layout.columns[classes[0]] or classes[0] + 1
            pieces += [", or name one as the labels with ", Argument("labels", name)]
    else:
        cure = "fill it in, remove the line" if cell.lower() in MISSING else "remove the line"
        pieces = [f"{cure}, or leave the column out with ", dropping([column])]
    return InputError(problem, *pieces)


def _index(values: np.ndarray) -> bool:
    """Return whether a column (N,) numbers the rows: whole numbers, all different."""
    whole = bool((values == np.floor(values)).all())
    return whole and len(np.unique(values)) == len(values)


def _like_a_number(cell: str) -> bool:
    """Return whether a cell is a number, or is meant as one."""
    meant = LIKE_A_NUMBER.fullmatch(cell) is not None
    return meant or (cell.lower() not in MISSING and _number(cell) is not None)


def _number(cell: str) -> float | None:
    if "_" in cell or not cell.strip().isascii():  # Python's numbers, which no other reader takes
        return None
    try:
        return float(cell)
    except ValueError:
        return None
