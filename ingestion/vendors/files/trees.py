"""Trees to rows: JSON and XML, one record at a time whatever the size of the document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn

from lxml import etree

from ingestion.vendors.files.mapping import Layout
from ingestion.vendors.files.opening import BLOCK, Bad, Cells, FileError, Row, open_bytes, open_text


def read_json(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    pick = _Picker(layout, wanted)
    with open_text(path, layout) as handle:
        walker = _Walker(handle)
        for number, record in enumerate(walker.records([step for step in layout.records.split(".") if step]), start=1):
            yield from pick.rows(number, record)


def read_ndjson(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    pick = _Picker(layout, wanted)
    decoder = _decoder()
    with open_text(path, layout) as handle:
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


def read_xml(path: Path, layout: Layout, wanted: Sequence[str]) -> Iterator[Row]:
    pick = _Picker(layout, wanted)
    steps = [step for step in re.split(r"[./]", layout.records) if step]
    if not steps:
        raise FileError("layout.records: an XML file needs the name of the element that is a record")
    above: list[dict[str, Any]] = []  # attributes of the open elements, outermost first
    names: list[str] = []
    number = 0
    with open_bytes(path) as handle:
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


__all__ = ["read_json", "read_ndjson", "read_xml"]
