"""What is said of a table in text that cannot be read: the place, and what can be done about it."""

import re
from pathlib import Path

from tinyvae.core.errors import Argument, InputError
from tinyvae.data.csv_layout import Layout, Wanted, items, option
from tinyvae.data.dataset import counted
from tinyvae.data.variables import MISSING_NUMBERS, number

THOUSANDS, DECIMAL_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"), re.compile(r"[+-]?\d*,\d+")
AMOUNT = re.compile(r"[+-]?[$€£¥]?\s?[\d.,]+\s?[%$€£¥]?")  # or a number with a sign that is none
Bad = dict[int, list[tuple[int, str]]]  # of a column: the lines and cells that are no numbers


def not_numbers(path: Path, bad: Bad, layout: Layout, wanted: Wanted) -> InputError:
    """Return the error for cells that are no numbers, and what can be done about them."""
    words = [
        (line, j, cell)
        for j, cells in bad.items()
        for line, cell in cells
        if cell.lower() not in MISSING_NUMBERS
    ]
    line, j, cell = min(words)
    place = f"{path}, line {line}, column {layout.columns[j]}"
    if THOUSANDS.fullmatch(cell):
        problem = f"{place}: {cell!r} has a comma"
        remedy = "remove it where it separates thousands; write a decimal comma as a point"
        return InputError(problem, remedy=remedy)
    if DECIMAL_COMMA.fullmatch(cell):
        problem = f"{path} has numbers with decimal commas"
        return InputError(problem, remedy="write them with decimal points")
    problem = f"{place}: {cell!r} is not a finite number"
    if wanted.like is not None:
        return InputError(problem, remedy="correct it, or leave the cell empty")
    out = Argument("drop", option(layout, [j], *items(wanted.drop)))
    remedy = ["leave the cell empty (missing), or the column out with ", out]
    if AMOUNT.fullmatch(cell):
        remedy.insert(0, "write the number alone, ")
    if number(cell) is None:
        codes = option(layout, [j], *items(wanted.categorical))
        remedy += [", or take it as categories with ", Argument("categorical", codes)]
    return InputError(problem, remedy=remedy)


def no_categories(
    path: Path, layout: Layout, wanted: Wanted, many: dict[int, tuple[int, int]],
    own: dict[int, tuple[int, int]],
) -> InputError:  # fmt: skip
    """Return the error for columns of words that are no categories, which several rows share."""
    first, *more = found = sorted(many | own)
    K, n = (many | own)[first]
    which = f"column{'s' * bool(more)} {', '.join(layout.columns[j] for j in found)}"
    problem = f"{path}: {which}: {K:,} different values in {counted(n, 'row')} are no categories"
    out = option(layout, found, *items(wanted.drop))
    remedy = ["leave out with ", Argument("drop", out)]
    if not many:
        codes = option(layout, found, *items(wanted.categorical))
        remedy += [", or take as categories with ", Argument("categorical", codes)]
    return InputError(problem, remedy=remedy)
