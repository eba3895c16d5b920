"""Tables to rows: delimited text and sheets."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import python_calamine

from ingestion.vendors.files.mapping import Layout
from ingestion.vendors.files.opening import Bad, Cells, FileError, Row, open_text

MAX_QUOTED_LINES = 50  # a quoted cell over more lines is an unbalanced quote


class _Table:
    """Turns full rows of a table into the wanted cells, once the header is known."""

    def __init__(self, layout: Layout, wanted: Sequence[str]) -> None:
        self.wanted = wanted
        self.names: tuple[str, ...] = ()
        self._pick: Callable[[Sequence[Any]], Cells] = tuple
        if layout.columns:
            self._header(layout.columns)

    def row(self, cells: Sequence[Any]) -> Cells | Bad | None:
        """The wanted cells; None for an empty row, the header, or the header repeated."""
        if not any(cell.strip() if isinstance(cell, str) else cell is not None for cell in cells):
            return None
        if not self.names:
            self._header([str(cell) for cell in cells])
            return None
        if len(cells) != len(self.names):
            return Bad(f"has {len(cells)} fields where the header has {len(self.names)}")
        if cells[0] == self.names[0] and tuple(str(cell).strip() for cell in cells) == self.names:
            return None
        return self._pick(cells)

    def _header(self, names: Iterable[str]) -> None:
        found = [name.strip() for name in names]
        folded = [name.lower() for name in found]
        positions = []
        for name in self.wanted:
            matches = [n for n, other in enumerate(found) if other == name]
            matches = matches or [n for n, other in enumerate(folded) if other == name.strip().lower()]
            if len(matches) != 1:
                rule = "is missing" if not matches else "stands there twice"
                raise FileError(f"column {name!r} {rule}; the file has {', '.join(filter(None, found))}"[:500])
            positions.append(matches[0])
        self.names = tuple(found)
        getter = itemgetter(*positions) if positions else tuple
        self._pick = (lambda cells: (getter(cells),)) if len(positions) == 1 else getter


def read_delimited(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    table = _Table(layout, wanted)
    footer = [re.compile(pattern) for pattern in layout.footer]
    with open_text(path, layout) as handle:
        lines = _Lines(handle)
        for number, line in lines:
            if number <= layout.skip_rows:
                continue
            named = bool(table.names)
            if named and any(pattern.search(line) for pattern in footer):
                yield number, None
                continue
            if layout.quote and layout.quote in line:
                cells = _quoted(number, line, lines, layout, len(table.names))
            else:
                cells = line.split(layout.delimiter)
            found = table.row(cells) if cells is not None else Bad("has a quote that never ends")
            if named or isinstance(found, Bad):
                yield number, found
    _need_header(table)


class _Lines:
    """Numbered lines without their ends; lines can be put back."""

    def __init__(self, handle: IO[str]) -> None:
        self._lines = enumerate(handle, start=1)
        self._back: deque[tuple[int, str]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        while (line := self.next()) is not None:
            yield line

    def next(self) -> tuple[int, str] | None:
        if self._back:
            return self._back.popleft()
        for number, line in self._lines:
            return number, line.rstrip("\n")
        return None

    def put_back(self, lines: Iterable[tuple[int, str]]) -> None:
        self._back.extendleft(reversed(list(lines)))


def _quoted(number: int, line: str, lines: _Lines, layout: Layout, width: int) -> list[str] | None:
    """The cells of a line with quotes, joined with the lines that a quoted cell runs over. A quote that never ends
    costs this line only: those after it are put back.
    """
    taken: list[tuple[int, str]] = []
    text = line
    while True:
        cells = _parse(text, layout)
        if cells is not None and (not taken or width in (0, len(cells))):
            return cells
        following = lines.next() if len(taken) < MAX_QUOTED_LINES else None
        if following is None:
            lines.put_back(taken)
            return None
        taken.append(following)
        text = f"{text}\n{following[1]}"


def _parse(text: str, layout: Layout) -> list[str] | None:
    """None when a quote is open at the end."""
    rows = csv.reader(text.splitlines(keepends=True), delimiter=layout.delimiter, quotechar=layout.quote, strict=True)
    try:
        return next(rows)
    except csv.Error:
        return None


def read_sheet(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    table = _Table(layout, wanted)
    footer = [re.compile(pattern) for pattern in layout.footer]
    with python_calamine.CalamineWorkbook.from_path(str(path)) as book:
        sheet = (
            book.get_sheet_by_index(layout.sheet)
            if isinstance(layout.sheet, int)
            else book.get_sheet_by_name(layout.sheet)
        )
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            if number <= layout.skip_rows:
                continue
            named = bool(table.names)
            if named and any(pattern.search("\t".join(map(str, cells))) for pattern in footer):
                yield number, None
                continue
            found = table.row(cells)
            if named:
                yield number, found
    _need_header(table)


def _need_header(table: _Table) -> None:
    if not table.names:
        raise FileError("there is no header")


__all__ = ["read_delimited", "read_sheet"]
