"""Keep a table in text as it stands in its file, and write it again with some of its cells filled
in: all else stays, character for character."""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from tinyvae.data.csv_layout import Layout, cells_of, is_comment, opened
from tinyvae.data.variables import unused

MARK = "\ufeff"  # the byte order mark, with which a file may begin
Row = list[str] | str  # the cells as they are written, quotes and all; or a line that is no row


class Text:
    """What is in a file: the lines before its rows, and its rows.

    Parameters
    ----------
    path : the file
    layout : Layout
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.layout, self.delimiter = layout, layout.delimiter
        with opened(path, "utf-8") as file:
            self.mark = MARK if file.read(1) == MARK else ""
        with opened(path) as file:
            self.before = list(itertools.islice(file, layout.skipped))
            self.rows = [self._row(record) for record in _records(file)]
        first = next(iter([*self.before, ""]))
        self.end = "\r\n" if first.endswith("\r\n") else "\n"

    def filled(self, cells: dict[tuple[int, int], object], draw: int | None = None) -> str:
        """Return the rows with new `cells`, by row and column from 0. With a `draw`, each begins
        with its number, and lines that are no rows are left out."""
        lines, n = [], 0
        for row in self.rows:
            if isinstance(row, str):
                lines += [row] if draw is None else []
                continue
            new = [
                _quoted(str(cells[n, j]), self.delimiter) if (n, j) in cells else cell
                for j, cell in enumerate(row)
            ]
            lines.append(self.delimiter.join([str(draw)] * (draw is not None) + new) + self.end)
            n += 1
        return "".join(lines)

    def header(self, *, draw: bool) -> str:
        """Return the lines before the rows; with `draw`, the names alone, `draw` first."""
        if not draw:
            return self.mark + "".join(self.before)
        if self.layout.head is None:
            return self.mark
        names = [unused("draw", self.layout.head), *self.layout.head]
        return self.mark + self.delimiter.join(_quoted(n, self.delimiter) for n in names) + self.end

    def _row(self, record: str) -> Row:
        """Return the cells of a record as they are written, or the record where it is no row."""
        parsed = [cells for _, cells in cells_of(io.StringIO(record), self.delimiter, 0)]
        if not parsed or is_comment(parsed[0], self.layout):
            return record
        cells = _pieces(record.rstrip("\r\n"), self.delimiter)
        same = len(cells) == len(parsed[0])
        return cells if same else [_quoted(cell, self.delimiter) for cell in parsed[0]]


def _records(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines, those within quotes together."""
    record = ""
    for line in lines:
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""
    if record:
        yield record


def _pieces(record: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return re.findall(r'"[^"]*"|\S+', record)
    cell, cells, place = re.compile(rf'"(?:[^"]|"")*"|[^{re.escape(delimiter)}]*'), [], 0
    while match := cell.match(record, place):
        cells.append(match.group())
        if record[match.end() : match.end() + 1] != delimiter:
            break
        place = match.end() + 1
    return cells


def _quoted(cell: str, delimiter: str) -> str:
    """Return a cell as it is written in a file."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="").writerow([cell])
    return text.getvalue()
