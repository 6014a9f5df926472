"""Numbers in lines of text. The first line may name the columns, one column may hold labels, and
whatever is not a number is refused with its line."""

import csv
import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinyvae.data.dataset import counted

Contents = tuple[np.ndarray, np.ndarray | None]  # numbers (N, D), and labels (N,) of text
Line = tuple[int, list[str]]  # its number, from 1, and its cells


def read(
    path: Path, labels: str | None = None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """Return numbers (N, D), labels (N,) of text or None, and the columns' names or None.

    Parameters
    ----------
    path : a .csv file, whose columns are separated by commas, semicolons or tabs
    labels : name of the column that holds labels; its number, from 1, where there is no header
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = re.sub('"[^"]*"', "", file.readline(2**20))  # what stands in quotes is text
            file.seek(0)
            delimiter = next((d for d in ",;\t" if d in first), ",")
            reader = csv.reader(file, delimiter=delimiter)
            lines = ((reader.line_num, cells) for cells in reader if any(c.strip() for c in cells))
            head = list(itertools.islice(lines, 2))
            skipped, names = head.pop(0) if _has_header(head, labels) else (0, None)
            if any(re.fullmatch(r"[+-]?\d+,\d+", c.strip()) for _, line in head for c in line):
                remedy = "write them with decimal points"
                raise ValueError(f"{path} has numbers with decimal commas: {remedy}")
            if not head:
                raise ValueError(f"{path} is empty: it has no line of numbers")
            columns = [name.strip() for name in names or map(str, range(1, len(head[0][1]) + 1))]
            label = _label_column(path, columns, labels, names is not None)
            found = _at_once(path, delimiter, skipped, len(columns), label)
            x, classes = found or _by_line(path, itertools.chain(head, lines), columns, label)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a text file of comma-separated values ({error})") from None
    if not x.size:
        raise ValueError(f"{path} is empty: it has no line of numbers")
    if label is not None:
        del columns[label]
    return x, classes, tuple(columns) if names else None


def _has_header(head: list[Line], labels: str | None) -> bool:
    """Return whether the first of two lines names columns: text where the next has numbers."""
    if not head:
        return False
    first = head[0][1]
    by_name = labels is not None and _number(labels) is None
    if by_name and labels.strip() in [cell.strip() for cell in first]:
        return True
    second = head[1][1] if len(head) == 2 else ["0"] * len(first)
    return any(
        _number(a) is None and _number(b) is not None for a, b in zip(first, second, strict=False)
    )


def _at_once(
    path: Path, delimiter: str, skipped: int, width: int, label: int | None
) -> Contents | None:
    """Return what NumPy's fast reader makes of the lines, or None where it finds anything odd."""
    codes: dict[str, int] = {}
    as_code = {} if label is None else {label: lambda c: codes.setdefault(c.strip(), len(codes))}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            x = np.loadtxt(
                file, delimiter=delimiter, skiprows=skipped, quotechar='"', comments=None,
                converters=as_code, ndmin=2,
            )  # fmt: skip
    except ValueError:
        return None
    if x.shape[1] != width or not np.isfinite(x).all():
        return None
    if label is None:
        return x, None
    return np.delete(x, label, axis=1), np.array(list(codes))[x[:, label].astype(int)]


def _by_line(path: Path, lines: Iterable[Line], columns: list[str], label: int | None) -> Contents:
    """Return the same, line by line: slower, and whatever is wrong is named with its place."""
    rows, classes = [], []
    for line, cells in lines:
        if len(cells) != len(columns):
            found = counted(len(cells), "column")
            raise ValueError(f"{path}, line {line} has {found} instead of {len(columns)}")
        numbers = [_number(cell) for cell in cells]
        if label is not None:
            classes.append(cells[label].strip())
            numbers[label] = 0.0
        if None in numbers or not all(map(math.isfinite, numbers)):
            bad = next(i for i, n in enumerate(numbers) if n is None or not math.isfinite(n))
            cell = cells[bad].strip()
            remedy = "remove the line, or name the column as labels" if cell else "fill it in"
            place = f"{path}, line {line}, column {columns[bad]}"
            raise ValueError(f"{place}: {cell!r} is not a finite number; {remedy}")
        rows.append(numbers)
    x = np.array(rows)
    if label is None:
        return x, None
    return np.delete(x, label, axis=1), np.array(classes)


def _label_column(path: Path, columns: list[str], labels: str | None, header: bool) -> int | None:
    """Return the place of the column that `labels` names, if it names one."""
    if labels is None:
        return None
    if labels.strip() in columns:
        return columns.index(labels.strip())
    known = (
        f"its columns: {', '.join(columns)}"
        if header
        else f"no header; columns 1 to {len(columns)}"
    )
    raise ValueError(f"{path} has no column {labels!r} for labels ({known})")


def _number(cell: str) -> float | None:
    if "_" in cell or not cell.strip().isascii():  # Python's numbers, which no other reader takes
        return None
    try:
        return float(cell)
    except ValueError:
        return None
