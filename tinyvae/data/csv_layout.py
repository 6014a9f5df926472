"""Find where in a table's lines of text the values are: what separates the cells, whether the first
line names the columns, and which columns the options ask for."""

import csv
import gzip
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data.dataset import counted
from tinyvae.data.variables import MISSING_NUMBERS, Variable, number

SUFFIXES = (".csv", ".tsv", ".txt")  # each may end in .gz too
DELIMITERS = ("\t", ";", "|", ",", " ")  # in this order, where a file allows several
LABEL_NAMES = ("label", "labels", "class", "target", "y")
LOOKED_AT = 20  # lines by which the layout is found
LIKE_A_NUMBER = re.compile(r"[^A-Za-z]*\d[^A-Za-z]*")  # 1,000 or 12 % or 2001-12-31
PLAIN = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")
UNNAMED = ("", "Unnamed: 0")  # as pandas calls such a column when it writes it again
Line = tuple[int, list[str]]  # its number, from 1, and its cells
Columns = str | int | Sequence[str | int] | None


class Wanted(NamedTuple):
    """What is asked of a file.

    Parameters
    ----------
    labels : name or number, from 1, of the column that holds labels
    header : whether the first line names the columns: "yes", "no", or "auto" by what it holds
    columns, drop : which columns to take, or to leave out: names, numbers or ranges such as 2-5
    categorical : which columns of numbers are codes of categories; those of words are anyway
    like : the columns of a trained run, which are found by their names, in whatever order, and
        whose categories are known; each row stays, whether anything is observed in it or not
    """

    labels: str | int | None = None
    header: str = "auto"
    columns: Columns = None
    drop: Columns = None
    categorical: Columns = None
    like: Sequence[Variable] | None = None


class Layout(NamedTuple):
    """Where in a file the values are."""

    delimiter: str
    skipped: int  # lines before the first of values
    head: list[str] | None  # the cells of the header
    columns: list[str]  # names of the file's columns, or their numbers from 1
    kept: list[int]  # places of those to train on
    label: int | None
    classes: list[str]  # that the labels count from 0, or []
    count: int  # of the rows, where the first line says it, or 0

    @property
    def unnamed(self) -> bool:
        """Return whether a header leaves out the name of the first column."""
        return self.head is not None and self.head[0].strip() in UNNAMED


def is_text(path: Path) -> bool:
    """Return whether a file's name is that of a table in text."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


@contextmanager
def opened(path: Path, encoding: str = "utf-8-sig") -> Iterator[IO[str]]:
    """Open a text file, compressed or not."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", newline="", encoding=encoding) as file:
        yield file


def layout_of(
    path: Path, labels: str | int | None, header: str, columns: Columns, drop: Columns,
    known: set[str],
) -> tuple[Layout, list[str]]:  # fmt: skip
    """Return where the values are, and remarks; `known` are names that a header may have."""
    comments: list[str] = []
    first: list[str] = []
    with opened(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                first = [line, *itertools.islice(file, 10 * LOOKED_AT)]
                break
            comments.append(line)
        delimiter = _delimiter([line for line in first if line.strip()][:LOOKED_AT])
        lines = cells_of(itertools.chain(first, file), delimiter, len(comments))
        head = list(itertools.islice(lines, LOOKED_AT))
    skipped, remarks = len(comments), []
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
    elif header == "yes" or (
        header == "auto" and _names(head, known | asked(labels, columns, drop))
    ):
        skipped, names = head.pop(0)
        firsts = [cells[0] for _, cells in head]
        if len(names) == width - 1 and len(set(firsts)) == len(firsts):
            names = ["", *names]  # R leaves out the name of the rows' names
    elif spoken and header == "auto" and len(head[0][1]) == width:
        (_, cells) = next(cells_of(spoken[-1:], delimiter, 0))
        if len(cells) == width and None in map(number, cells):  # as np.savetxt writes it
            names = cells
            spoken.pop()
    if names is None and not classes and header == "auto" and _may_be_names(head):
        shown = ", ".join(head[0][1][:3])
        problem = f"{path}: its first line ({shown}, …) may name the columns or be a row of numbers"
        remedy = ["say which with ", Argument("header", "yes"), " or ", Argument("header", "no")]
        raise InputError(problem, remedy=remedy)
    if spoken:
        remarks.append(f"{counted(len(spoken), 'comment line')} left out")
    all_columns = [str(j + 1) for j in range(width)]
    if names:
        all_columns = [c.strip() or f"unnamed {j + 1}" for j, c in enumerate(names)]
    label = None if labels is None else places(path, labels, all_columns, "labels")[0]
    if labels is None and names and (found := _label_of_pixels(all_columns)) is not None:
        label = found
        remarks.append(f"column {all_columns[label]} holds the labels")
    kept = _kept(path, all_columns, columns, drop, label)
    return Layout(delimiter, skipped, names, all_columns, kept, label, classes, int(count)), remarks


def cells_of(lines: Iterable[str], delimiter: str, before: int) -> Iterator[Line]:
    """Yield the lines that are not blank (cells may be), with their numbers, cut into cells."""
    if delimiter == " ":
        lines = (line.strip() + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
    for cells in reader:
        if len(cells) > 1 or any(cell.strip() for cell in cells) or cells == [""]:
            yield before + reader.line_num, cells


def _delimiter(lines: list[str]) -> str:
    """Return what separates the cells: it cuts all lines but the first into equally many, and
    gives most numbers."""
    fits = {}  # delimiter: whether it cuts the first line too, and how many cells are numbers
    for delimiter in DELIMITERS:
        first, *cut = [cells for _, cells in cells_of(lines, delimiter, 0)] or [[]]
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
    return counts and bool(classes[:-2]) and all(number(c) is None for c in classes[:-2])


def asked(*options: Columns) -> set[str]:
    """Return the names that options may ask for."""
    return {item for option in options for item in items(option) if not item.isdecimal()}


def _names(head: list[Line], asked: set[str]) -> bool:
    """Return whether the first line names columns: it has text where later ones have numbers, or
    words that do not come again where others do."""
    first = [cell.strip() for cell in head[0][1]]
    if asked & set(first):
        return True
    if len(head) == 1:
        return all(number(cell) is None for cell in first)
    for j, cell in enumerate(first):
        below = [cells[j].strip() for _, cells in head[1:] if j < len(cells)]
        text = cell.lower() not in MISSING_NUMBERS and not _like_a_number(cell)
        if text and any(map(_like_a_number, below)):
            return True
    columns = list(itertools.zip_longest(*(cells for _, cells in head), fillvalue=""))
    texts = all(number(cell) is None for cell in first) and len(set(first)) == len(first)
    once = all(cell not in column[1:] for cell, column in zip(first, columns, strict=False))
    return texts and once and any(len(set(column[1:])) < len(column) - 1 for column in columns)


def _may_be_names(head: list[Line]) -> bool:
    """Return whether numbers in the first line may name columns, as years and wavelengths do.

    They are equally spaced, or many and in order, or whole above fractions; other lines are not.
    """
    first, rest = head[0][1], [cells for _, cells in head[1:] if len(cells) == len(head[0][1])]
    places = [j for j, cell in enumerate(first) if number(cell) is not None]
    rest = [[cells[j].strip() for j in places] for cells in rest]
    if len(places) < 2 or not rest or any(number(cell) is None for cells in rest for cell in cells):
        return False
    steps = [np.diff([number(first[j]) for j in places])]
    steps += [np.diff([number(cell) for cell in cells]) for cells in rest]

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


def items(option: Columns) -> list[str]:
    if option is None:
        return []
    parts = option.split(",") if isinstance(option, str) else option
    return [str(part).strip() for part in (parts if isinstance(parts, Iterable) else [parts])]


def places(path: Path, option: Columns, columns: list[str], name: str) -> list[int]:
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
    for item in items(option):
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
        kept &= set(places(path, columns, all_columns, "columns"))
    kept -= {*places(path, drop, all_columns, "drop"), label}
    if not kept:
        raise ValueError(f"{path} is empty: no column is left to train on")
    return sorted(kept)


def _like_a_number(cell: str) -> bool:
    """Return whether a cell is a number, or is meant as one."""
    meant = LIKE_A_NUMBER.fullmatch(cell) is not None
    return meant or (cell.lower() not in MISSING_NUMBERS and number(cell) is not None)


def rows_of(path: Path, layout: Layout) -> Iterator[Line]:
    """Yield the lines of values, and of comments between them. Raises ValueError for one that has
    more or fewer cells than there are columns."""
    with opened(path) as file:
        lines = itertools.islice(file, layout.skipped, None)
        for line, cells in cells_of(lines, layout.delimiter, layout.skipped):
            if len(cells) != len(layout.columns) and not cells[0].startswith("#"):
                found = counted(len(cells), "column")
                problem = f"{path}, line {line} has {found} instead of {len(layout.columns)}"
                raise ValueError(problem)
            yield line, cells


def is_comment(cells: list[str], layout: Layout) -> bool:
    """Return whether a line is a comment between rows."""
    return len(cells) != len(layout.columns)


def check_different(path: Path, layout: Layout, kept: list[int], may_drop: bool = True) -> None:
    """Raise InputError where two columns of those `kept` have one name."""
    places: dict[str, int] = {}
    for j in kept:
        name = layout.columns[j]
        if name in places:
            where = f"columns {places[name] + 1} and {j + 1}"
            out = [", or leave one out with ", Argument("drop", str(j + 1))] if may_drop else []
            raise InputError(
                f"{path} has two columns {name} ({where})", remedy=["rename one", *out]
            )
        places[name] = j


def option(layout: Layout, places: Iterable[int], *others: str) -> str:
    """Return columns, behind `others`, as an option names them: those of odd names by number."""
    names = [layout.columns[j] for j in places]
    odd = [not n or "," in n or n.isdecimal() or layout.columns.count(n) > 1 for n in names]
    by_number = [str(j + 1) for j in places]
    return ",".join([*others, *(by_number if any(odd) else names)])


def as_before(path: Path, layout: Layout, names: Sequence[str], named: bool) -> Layout:
    """Return the layout with the columns of a trained run, found by their `names` if the run's
    data and these are `named`, else by their places. Raises ValueError where it has others."""
    if layout.head is not None and named:
        lacking = [name for name in names if name not in layout.columns]
        if lacking:
            has = f"(its columns: {', '.join(layout.columns)})"
            problem = f"{path} has no column {lacking[0]} {has}, which the model was trained on"
            raise InputError(problem, remedy="add it; its cells may be empty")
        twice = [j for j, name in enumerate(layout.columns) if name in names]
        check_different(path, layout, twice, may_drop=False)
        kept = [layout.columns.index(name) for name in names]
        label = None if layout.label in kept else layout.label  # it was another column's number
        return layout._replace(kept=kept, label=label)
    if len(layout.kept) != len(names):
        problem = f"{path} has {counted(len(layout.kept), 'column')}"
        remedy = "name them in its first line, and those are found" if named else ""
        raise InputError(f"{problem}, the model was trained on {len(names)}", remedy=remedy)
    return layout
