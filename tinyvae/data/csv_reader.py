"""Numbers in lines of text. The first line may name the columns, one column may hold labels, and
whatever is not a number is refused with its line."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path

import numpy as np

from tinyvae.data.dataset import counted


def read(
    path: Path, labels: str | None = None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """Numbers (N, D), labels (N,) of text or None, and the names of the columns or None.

    Parameters
    ----------
    path : a .csv file, whose columns are separated by commas, semicolons or tabs
    labels : name of the column that holds labels; its number, from 1, where there is no header
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = next((d for d in ",;\t" if d in first), ",")
            reader = csv.reader(file, delimiter=delimiter)
            lines = ((reader.line_num, cells) for cells in reader if any(c.strip() for c in cells))
            head = list(itertools.islice(lines, 2))
            names = head.pop(0)[1] if _has_header(head, labels) else None
            if any(re.fullmatch(r"[+-]?\d+,\d+", c.strip()) for _, line in head for c in line):
                remedy = "write them with decimal points"
                raise ValueError(f"{path} has numbers with decimal commas: {remedy}")
            return _table(path, itertools.chain(head, lines), names, labels)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a text file of comma-separated values ({error})") from None


def _has_header(head: list[tuple[int, list[str]]], labels: str | None) -> bool:
    """Whether the first of two lines names the columns: text where the next line has numbers."""
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


def _table(path: Path, lines, names: list[str] | None, labels: str | None):
    names = names and [name.strip() for name in names]
    rows, classes, width, label_column = [], [], None, None
    for line, cells in lines:
        if width is None:
            width = len(names or cells)
            label_column = _label_column(path, names, width, labels)
            columns = names or [str(column) for column in range(1, width + 1)]
            if label_column is not None:
                columns.pop(label_column)
        if len(cells) != width:
            found = counted(len(cells), "column")
            raise ValueError(f"{path}, line {line} has {found} instead of {width}")
        if label_column is not None:
            classes.append(cells.pop(label_column).strip())
        rows.append(np.array([_number(cell) for cell in cells], dtype=float))  # None becomes nan
        if not np.isfinite(rows[-1]).all():
            bad = int(np.flatnonzero(~np.isfinite(rows[-1]))[0])
            cell = cells[bad].strip()
            remedy = "remove the line, or name the column as labels" if cell else "fill it in"
            place = f"{path}, line {line}, column {columns[bad]}"
            raise ValueError(f"{place}: {cell!r} is not a finite number; {remedy}")
    if not rows or not rows[0].size:
        raise ValueError(f"{path} is empty: it has no line of numbers")
    classes = np.array(classes) if label_column is not None else None
    return np.stack(rows), classes, tuple(columns) if names else None


def _label_column(
    path: Path, names: list[str] | None, width: int, labels: str | None
) -> int | None:
    if labels is None:
        return None
    if names and labels.strip() in names:
        return names.index(labels.strip())
    if not names and labels.isdecimal() and 1 <= int(labels) <= width:
        return int(labels) - 1
    known = f"its columns: {', '.join(names)}" if names else f"no header; columns 1 to {width}"
    raise ValueError(f"{path} has no column {labels!r} for labels ({known})")


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
