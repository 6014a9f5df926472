"""Read a table in lines of text. A header, comments, an index and a column of labels are found or
named, empty cells are missing ones, and columns of words are categories; whatever else is not a
number is refused with its place and what can be done about it."""

import csv
import gzip
import itertools
import math
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyvae.core.errors import Argument, InputError
from tinyvae.data import csv_layout, variables
from tinyvae.data.csv_layout import Columns as Columns
from tinyvae.data.csv_layout import Layout, Wanted, opened, rows_of
from tinyvae.data.csv_layout import is_text as is_text
from tinyvae.data.csv_problems import AMOUNT, Bad, no_categories, not_numbers
from tinyvae.data.dataset import counted
from tinyvae.data.variables import MISSING_NUMBERS, number

MOST_CATEGORIES = 500  # of a column
FEW_VALUES = 2  # so many categories are taken even where each row has its own


class Contents(NamedTuple):
    """What is in a file of text."""

    x: np.ndarray  # (N, V) float64: NaN where a cell is missing; of a word, its category's number
    labels: np.ndarray | None  # (N,) of text
    columns: tuple[str, ...]  # names of x's columns; without a header, their numbers from 1
    named: bool  # whether a header names them
    remark: str  # what is left out
    categories: dict[str, tuple[str, ...]]  # by name, of the columns of words


def read(path: Path, labels: str | int | None = None, **options: Any) -> Contents:
    """Return the values and labels in a .csv, .tsv or .txt file, which may be compressed (.gz);
    `options` are the other fields of `Wanted`.

    Raises ValueError in one line that names the place and the remedy.
    """
    wanted, like = Wanted(labels, **options), options.get("like")
    with _errors_in_one_line(path):
        layout, remarks = layout_for(path, wanted)
        x, classes, words = _values(path, layout, wanted, remarks)
    if like is None:
        return _contents(path, layout, wanted, x, classes, words, remarks)
    if not len(x):
        raise ValueError(f"{path} is empty: it has no row")
    names = tuple(layout.columns[j] for j in layout.kept)
    return Contents(x, classes, names, layout.head is not None, "", {})


def layout_for(path: Path, wanted: Wanted) -> tuple[Layout, list[str]]:
    """Return where the values are that are asked for, and remarks."""
    labels, header, columns, drop, categorical, like = wanted
    if header not in ("auto", "yes", "no"):
        raise InputError(Argument("header", header), remedy="expected auto, yes or no")
    names = [v.name for v in like or ()]
    named = names != [str(j + 1) for j in range(len(names))]
    known = csv_layout.asked(categorical) | set(names if named else ())
    layout, remarks = csv_layout.layout_of(path, labels, header, columns, drop, known)
    if like is not None:
        layout = csv_layout.as_before(path, layout, names, named)
    return layout, remarks


def columns_of(path: Path) -> list[str] | None:
    """Return the names of a file's columns, None where it has no header."""
    with _errors_in_one_line(path):
        layout, _ = layout_for(path, Wanted())
    return layout.columns if layout.head is not None else None


@contextmanager
def _errors_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnicodeDecodeError, csv.Error):
        problem = f"{path} is not a text file in UTF-8 of separated values"
        raise InputError(problem, remedy="save it as text in UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be read", remedy=f"is it cut off? ({error})") from None


def _contents(
    path: Path, layout: Layout, wanted: Wanted, x: np.ndarray, classes: np.ndarray | None,
    words: dict[int, list[str]], remarks: list[str],
) -> Contents:  # fmt: skip
    """Return the contents of a file to train on: an index goes, words become categories, and rows
    without a value go too."""
    kept = _columns_with_data(layout, wanted, x, words, remarks)
    if not kept:
        raise ValueError(f"{path} is empty: it has no column but the rows' numbers")
    x = x[:, [layout.kept.index(j) for j in kept]]
    csv_layout.check_different(path, layout, kept)
    categories = _categories(path, layout, wanted, kept, x, words)
    observed = ~np.isnan(x).all(axis=1)
    if not observed.all():
        remarks.append(f"{counted(int((~observed).sum()), 'row')} without any value left out")
        x, classes = x[observed], None if classes is None else classes[observed]
    if not x.size:
        raise ValueError(f"{path} is empty: it has no line of numbers")
    if layout.classes and classes is not None:
        if layout.count != len(x):
            problem = (
                f"{path}: its first line counts {counted(layout.count, 'row')}, it has {len(x):,}"
            )
            raise InputError(problem, remedy="is it cut off?")
        codes = classes.astype(float)
        if not set(codes.tolist()) <= set(range(len(layout.classes))):
            raise ValueError(f"{path} has other classes in its last column than its first line")
        classes = np.array(layout.classes)[codes.astype(int)]
    names = tuple(layout.columns[j] for j in kept)
    return Contents(x, classes, names, layout.head is not None, ", ".join(remarks), categories)


def _columns_with_data(
    layout: Layout, wanted: Wanted, x: np.ndarray, words: dict[int, list[str]], remarks: list[str]
) -> list[int]:
    """Return the places of the columns x (N, V) that are data: no index, nor empty without a
    name."""
    kept = layout.kept
    if wanted.columns is None and kept[0] == 0 and len(x):
        named = words.get(0)
        index = len(set(named)) == len(named) if named else _index(x[:, 0])
        if layout.unnamed and index:
            what = "names" if named else "counts"
            words.pop(0, None)
            remarks.append(f"its unnamed first column {what} the rows and is left out")
            kept, x = kept[1:], x[:, 1:]
        elif len(x) > 2 and x[0, 0] in (0, 1) and (np.diff(x[:, 0]) == 1).all():
            remarks.append(
                f"column {layout.columns[0]} counts the rows: drop it, unless that is meant"
            )
    if layout.head is None:
        return kept
    empty = [
        j not in words and not layout.head[j].strip() and bool(np.isnan(values).all())
        for j, values in zip(kept, x.T, strict=True)
    ]
    if any(empty) and not all(empty):
        remarks.append(f"{counted(sum(empty), 'unnamed column')} without any value left out")
        kept = [j for j, gone in zip(kept, empty, strict=True) if not gone]
    return kept


def _categories(
    path: Path, layout: Layout, wanted: Wanted, kept: list[int], x: np.ndarray,
    words: dict[int, list[str]],
) -> dict[str, tuple[str, ...]]:  # fmt: skip
    """Return the categories of the columns of words, by name, and write their numbers into x."""
    asked, categories = _codes(path, wanted, layout), {}
    many, own = {}, {}  # columns of too many categories, and of nearly one for each row
    for j, column in sorted(words.items()):
        values, found = variables.coded(column, asked=j in asked)
        x[:, kept.index(j)], categories[layout.columns[j]] = values, found
        n, K = int((~np.isnan(values)).sum()), len(found)
        if K > MOST_CATEGORIES:
            many[j] = K, n
        elif max(FEW_VALUES, n // 2) < K and j not in asked:
            own[j] = K, n
    if many or own:
        raise no_categories(path, layout, wanted, many, own)
    return categories


def _codes(path: Path, wanted: Wanted, layout: Layout) -> set[int]:
    """Return the places of the columns that --categorical names."""
    if wanted.categorical is None:
        return set()
    found = csv_layout.places(path, wanted.categorical, layout.columns, "categorical")
    if left := [j for j in found if j not in layout.kept]:
        problem = f": column {layout.columns[left[0]]} is not trained on"
        raise InputError(Argument("categorical", wanted.categorical), problem)
    return set(found)


def _values(
    path: Path, layout: Layout, wanted: Wanted, remarks: list[str]
) -> tuple[np.ndarray, np.ndarray | None, dict[int, list[str]]]:
    """Return the kept columns (N, V), the labels, and the words of each column that has them, whose
    values are NaN where their categories are still to be found."""
    bad: Bad = {}
    like = wanted.like
    found = _at_once(path, layout) or _by_line(path, layout, bad, remarks)
    x, classes = found
    texts = _codes(path, wanted, layout) if like is None else set()
    for place, j in enumerate(layout.kept):
        odd = [cell for _, cell in bad.get(j, ()) if cell.lower() not in MISSING_NUMBERS]
        words = [cell for cell in odd if number(cell) is None]
        if like is not None:
            is_text = bool(like[place].categories)
        else:
            amounts = all(map(AMOUNT.fullmatch, words))
            numbers = len(x) - len(bad.get(j, ()))
            is_text = j in texts or (len(words) > numbers and not amounts)
        if is_text:
            texts.add(j)
        if is_text or not odd:
            bad.pop(j, None)
    if bad:
        raise not_numbers(path, bad, layout, wanted)
    lines, columns = _words(path, layout, texts)
    if like is not None:
        for place, (v, j) in enumerate(zip(like, layout.kept, strict=True)):
            if v.categories:
                x[:, place] = variables.recoded(columns[j], lines, v, str(path))
    return x, classes, columns


def _at_once(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return what NumPy's fast reader makes of the lines, or None where it finds anything odd."""
    label, width = layout.label, len(layout.columns)
    used = layout.kept + ([] if label is None else [label])
    every = len(used) == width
    codes: dict[str, int] = {}
    as_code = {} if label is None else {label: lambda c: codes.setdefault(c.strip(), len(codes))}
    if not every and not _even(path, layout):
        return None
    try:
        with warnings.catch_warnings(action="error"):  # of no line of numbers
            x = np.loadtxt(
                str(path), delimiter=layout.delimiter.strip(" ") or None, skiprows=layout.skipped,
                quotechar='"', comments=None, converters=as_code, encoding="utf-8-sig", ndmin=2,
                usecols=None if every else used,
            )  # fmt: skip
    except (ValueError, IndexError, UserWarning):
        return None
    if x.shape[1] != len(used) or not np.isfinite(x).all():
        return None
    x = x[:, used] if every else x
    if label is None:
        return x, None
    return x[:, :-1], np.array(list(codes))[x[:, -1].astype(int)]


def _even(path: Path, layout: Layout) -> bool:
    """Return whether each line surely has as many cells as there are columns."""
    wanted, delimiter = len(layout.columns) - 1, layout.delimiter
    with opened(path) as file:
        lines = itertools.islice(file, layout.skipped, None)
        if delimiter == " ":
            return all('"' not in s and len(s.split()) in (0, wanted + 1) for s in lines)
        return all('"' not in s and (s.count(delimiter) == wanted or s.isspace()) for s in lines)


def _by_line(
    path: Path, layout: Layout, bad: Bad, remarks: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the same, line by line: slower, and cells that are no numbers are NaN, and `bad`."""
    rows, classes, comments = [], [], 0
    for line, cells in rows_of(path, layout):
        if csv_layout.is_comment(cells, layout):
            comments += 1
            continue
        numbers = [number(cells[j]) for j in layout.kept]
        for j, value in zip(layout.kept, numbers, strict=True):
            if value is None or not math.isfinite(value):
                bad.setdefault(j, []).append((line, cells[j].strip()))
        rows.append([math.nan if value is None else value for value in numbers])
        classes.append("" if layout.label is None else cells[layout.label].strip())
    if comments:
        remarks.append(f"{counted(comments, 'comment line')} between the rows left out")
    x = np.array(rows).reshape(len(rows), len(layout.kept))
    return x, None if layout.label is None else np.array(classes)


def _words(path: Path, layout: Layout, places: set[int]) -> tuple[list[int], dict[int, list[str]]]:
    """Return the lines of the rows, and the cells of some columns as text, by their places."""
    found: dict[int, list[str]] = {j: [] for j in places}
    lines = []
    for line, cells in rows_of(path, layout) if places else ():
        if not csv_layout.is_comment(cells, layout):
            lines.append(line)
            for j in places:
                found[j].append(cells[j].strip())
    return lines, found


def _index(values: np.ndarray) -> bool:
    """Return whether a column (N,) numbers the rows: whole numbers, all different."""
    whole = bool((values == np.floor(values)).all())
    return whole and len(np.unique(values)) == len(values)
