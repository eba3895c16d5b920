"""Files to rows of raw cells: CSV, TSV, JSON, NDJSON, XML and XLSX, the text ones also gzipped.

A row is a number and the cells of the columns that the mapping names, in its order. The number is what a person
finds in the file: the physical line (header included) of CSV, TSV and NDJSON, the row of a sheet, the position of
the record in JSON and XML; it starts at 1. Rows are streamed; only a sheet is held in memory as a whole.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NoReturn

import msgspec
import python_calamine
from lxml import etree

from ingestion.vendors.files.mapping import Layout, Mapping

BLOCK = 1 << 20
MAX_QUOTED_LINES = 50  # a quoted cell over more lines is an unbalanced quote
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Cells = tuple[Any, ...]


class FileError(Exception):
    """The file as a whole cannot be read; nothing of it is loaded."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that is no row of this file."""

    rule: str


Row = tuple[int, Cells | Bad | None]  # None: left out by the mapping


def read_rows(path: Path, mapping: Mapping, columns: Sequence[str]) -> Iterator[Row]:
    """Every row of a file. Raises FileError when the file is cut short, damaged or not what the mapping says."""
    readers: dict[str, Callable[[Path, Layout, Sequence[str]], Iterator[Row]]] = {
        "csv": _delimited,
        "tsv": _delimited,
        "xlsx": _sheet,
        "json": _json,
        "ndjson": _ndjson,
        "xml": _xml,
    }
    layout = mapping.layout
    if mapping.format in ("csv", "tsv") and not layout.delimiter:
        layout = msgspec.structs.replace(layout, delimiter="\t" if mapping.format == "tsv" else ",")
    try:
        yield from readers[mapping.format](path, layout, columns)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError("the gzip file is cut short or damaged") from error
    except UnicodeError as error:
        raise FileError(f"the text is not {getattr(error, 'encoding', layout.encoding)}") from error
    except etree.XMLSyntaxError as error:
        raise FileError(f"the XML is broken: {error.msg}") from error
    except python_calamine.CalamineError as error:
        raise FileError(f"the workbook cannot be read: {error}") from error


# Bytes and text


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as handle:
        yield handle  # type: ignore[misc]


@contextmanager
def _text(path: Path, layout: Layout) -> Iterator[IO[str]]:
    encoding = _encoding(path, layout) if layout.encoding == "auto" else layout.encoding
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding=encoding, errors="strict") as handle:
        yield handle


def _encoding(path: Path, layout: Layout) -> str:
    """From the byte order mark; else UTF-8 if all of the file is; else the fallback."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _bytes(path) as handle:
        block = handle.read(BLOCK)
        for mark, name in BOMS:
            if block.startswith(mark):
                return name
        try:
            while block:
                decoder.decode(block)
                block = handle.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return layout.fallback
    return "utf-8"


# Tables: delimited text and sheets


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


def _delimited(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    table = _Table(layout, wanted)
    footer = [re.compile(pattern) for pattern in layout.footer]
    with _text(path, layout) as handle:
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


def _sheet(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
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


# Trees: JSON and XML


def _json(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    pick = _Picker(layout, wanted)
    with _text(path, layout) as handle:
        walker = _Walker(handle)
        for number, record in enumerate(walker.records([step for step in layout.records.split(".") if step]), start=1):
            yield from pick.rows(number, record)


def _ndjson(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    pick = _Picker(layout, wanted)
    decoder = _decoder()
    with _text(path, layout) as handle:
        for number, line in enumerate(handle, start=1):
            if number <= layout.skip_rows or not line.strip():
                continue
            try:
                record = decoder.decode(line)
            except (ValueError, RecursionError):
                yield number, Bad("is not JSON")
                continue
            yield from pick.rows(number, record)


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=Decimal, parse_constant=str)


class _Walker:
    """Reads the elements of one array inside a JSON document, one at a time, and the rest of it for wholeness."""

    SPACE = re.compile(r"\s*")

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle
        self._buffer = ""
        self._at = 0
        self._ended = False
        self._decoder = _decoder()

    def records(self, path: Sequence[str]) -> Iterator[Any]:
        """The elements of the array at a path of keys. A path that ends at an object makes it the only record."""
        if path:
            yield from self._inside(path)
        elif self._peek() == "[":
            yield from self._array()
        else:
            yield self._value()
        if self._peek():
            self._broken("there is text after its end")

    def _inside(self, path: Sequence[str]) -> Iterator[Any]:
        found = False
        self._take("{")
        while self._peek() != "}":
            key = self._value()
            self._take(":")
            if key != path[0]:
                self._value()
            elif len(path) > 1:
                found = True
                yield from self._inside(path[1:])
            else:
                found = True
                if self._peek() == "[":
                    yield from self._array()
                else:
                    yield self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "}":
                self._broken("a comma is missing")
        self._at += 1
        if not found:
            raise FileError(f"the JSON has no {path[0]!r} where the mapping says")

    def _array(self) -> Iterator[Any]:
        self._take("[")
        while self._peek() != "]":
            yield self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "]":
                self._broken("a comma is missing")
        self._at += 1

    def _value(self) -> Any:
        """The next value. A value that the buffer's end cuts is tried again with twice as much text."""
        self._peek()
        size = BLOCK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended:
                    raise FileError("the JSON is broken or cut short") from error
            else:
                if end < len(self._buffer) or self._ended:
                    self._at = end
                    return value
            self._fill(size)
            size *= 2

    def _peek(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            match = self.SPACE.match(self._buffer, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._fill(BLOCK)

    def _take(self, expected: str) -> None:
        if self._peek() != expected:
            self._broken(f"{expected!r} is missing")
        self._at += 1

    def _fill(self, size: int) -> None:
        more = self._handle.read(size)
        self._ended = not more
        self._buffer = self._buffer[self._at :] + more
        self._at = 0

    def _broken(self, why: str) -> NoReturn:
        raise FileError(f"the JSON is broken or cut short: {why}")


def _xml(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    pick = _Picker(layout, wanted)
    steps = [step for step in re.split(r"[./]", layout.records) if step]
    if not steps:
        raise FileError("layout.records: an XML file needs the name of the element that is a record")
    above: list[dict[str, Any]] = []  # attributes of the open elements, outermost first
    names: list[str] = []
    number = 0
    with _bytes(path) as handle:
        events = etree.iterparse(
            handle, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        for event, element in events:
            if not isinstance(element.tag, str):
                continue
            if event == "start":
                names.append(etree.QName(element).localname)
                above.append({f"{names[-1]}.@{key}": value for key, value in element.attrib.items()})
                continue
            if names[-len(steps) :] == steps:
                number += 1
                record = _tree(element)
                outer = {key: value for level in above[:-1] for key, value in level.items()}
                yield from pick.rows(number, {**outer, **record} if isinstance(record, dict) else outer)
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
            names.pop()
            above.pop()
    if not number:
        raise FileError(f"the XML has no element {layout.records!r}")


def _tree(element: Any) -> Any:
    """An element as text, or as a dictionary of `@attribute` and child names; a repeated child becomes a list."""
    found: dict[str, Any] = {f"@{key}": value for key, value in element.attrib.items()}
    for child in element.iterchildren(tag=etree.Element):
        name = etree.QName(child).localname
        value = _tree(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    text = (element.text or "").strip()
    if not found:
        return text
    if text:
        found["#text"] = text
    return found


class _Picker:
    """The wanted cells of tree-like records by dotted path, one row per element of `expand`."""

    def __init__(self, layout: Layout, wanted: Sequence[str]) -> None:
        self._expand = layout.expand
        self._paths = [(name, name.split(".")) for name in wanted]

    def rows(self, number: int, record: Any) -> Iterator[Row]:
        if not isinstance(record, dict):
            yield number, Bad("is not an object")
            return
        if not self._expand:
            yield number, self._cells(record)
            return
        elements = _reach(record, self._expand, self._expand.split("."))
        if elements is None or elements == "":
            yield number, Bad(f"has no {self._expand}")
            return
        for element in elements if isinstance(elements, list) else [elements]:
            yield number, self._cells(record, element)

    def _cells(self, record: dict[str, Any], element: Any = None) -> Cells:
        prefix = f"{self._expand}."
        cells = []
        for name, path in self._paths:
            if element is not None and name.startswith(prefix):
                inner = name[len(prefix) :]
                cells.append(_reach(element, inner, inner.split(".")))
            else:
                cells.append(_reach(record, name, path))
        return tuple(cells)


def _reach(value: Any, name: str, path: Sequence[str]) -> Any:
    """The value at a dotted path (list positions are numbers), None where it leads nowhere."""
    if isinstance(value, dict) and name in value:
        found = value[name]
    else:
        found = value
        for step in path:
            if isinstance(found, dict):
                found = found.get(step)
            elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
    return found.get("#text", found) if isinstance(found, dict) else found


__all__ = ["Bad", "Cells", "FileError", "Row", "read_rows"]
