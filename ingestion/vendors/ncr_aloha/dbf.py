"""A strict reader of dBase III tables, as Aloha writes them: by column name, exact decimals, errors with their place.

Nothing is guessed: a table that is cut short, a column that is not there and a value that does not read are errors,
because half a day of sales looks like a quiet day.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

VERSION = 0x03  # a table without memo fields
LAYOUT = struct.Struct("<B3xIHH20x")  # version, records, bytes of the header, bytes of a record
COLUMN = struct.Struct("<11sc4xBB14x")  # name, type, length, decimals
HEADER_END, FILE_END = b"\r", b"\x1a"
LIVE, DELETED = b" ", b"*"
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
LOGICAL = {**dict.fromkeys("YyTt", True), **dict.fromkeys("NnFf", False), "?": None, "": None}

Value = str | int | Decimal | bool | None
Row = dict[str, Value]


class DbfError(Exception):
    """A table cannot be read. `record` counts from 1 (0: the table as a whole), `field` is the column or ""."""

    def __init__(self, rule: str, record: int = 0, field: str = "") -> None:
        self.rule, self.record, self.field = rule, record, field
        place = [f"record {record}"] * bool(record) + [field] * bool(field)
        super().__init__(": ".join([" ".join(place), rule]) if place else rule)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: str
    begin: int
    end: int
    decimals: int


def read_dbf(
    content: bytes, wanted: Collection[str], filled: Collection[str] = (), encoding: str = "cp1252"
) -> Iterator[tuple[int, Row]]:
    """Number (from 1) and values of each record that is not deleted; only the columns `wanted` are looked at.

    Blank is None. C gives text without its padding, N an int or, with decimals, a Decimal, D the ISO date as text, L a
    bool. A wanted column that the table lacks is left out of the rows; one that is to be `filled` must be there, and
    blank in no record. Raises DbfError.
    """
    count, start, size, columns = _header(content)
    absent = set(filled) - {column.name for column in columns}
    if absent:
        raise DbfError("is not in the table", field=min(absent))
    chosen = [column for column in columns if column.name in wanted]
    if len(content) < start + count * size:
        raise DbfError(f"is cut short: {count} records are announced")
    if content[start + count * size :].strip(b"\0") not in (b"", FILE_END):
        raise DbfError(f"goes on after the {count} records that are announced")
    for number in range(1, count + 1):
        record = content[start + (number - 1) * size : start + number * size]
        if record[:1] == DELETED:
            continue
        if record[:1] != LIVE:
            raise DbfError("is neither live nor deleted", number)
        row: Row = {}
        for column in chosen:
            try:
                value = row[column.name] = _value(column, record[column.begin : column.end].decode(encoding))
            except ValueError as error:  # a wrong byte is one too, and its own words would quote the data
                rule = "is not text of " + encoding if isinstance(error, UnicodeDecodeError) else str(error)
                raise DbfError(rule, number, column.name) from None
            if value is None and column.name in filled:
                raise DbfError("is blank", number, column.name)
        yield number, row


def _header(content: bytes) -> tuple[int, int, int, list[_Column]]:
    """Records, where they start, how long each is, and the columns."""
    if len(content) < LAYOUT.size:
        raise DbfError("is shorter than a header")
    version, count, start, size = LAYOUT.unpack_from(content)
    if version != VERSION:
        raise DbfError(f"is no dBase III table without memo (version byte {version:#04x})")
    columns = []
    position, begin = LAYOUT.size, 1
    while content[position : position + 1] != HEADER_END:
        if position + COLUMN.size >= min(start, len(content)):
            raise DbfError("has a header without an end")
        name, kind, length, decimals = COLUMN.unpack_from(content, position)
        text = name.split(b"\0")[0].decode("ascii", "replace")
        columns.append(_Column(text, kind.decode("ascii", "replace"), begin, begin + length, decimals))
        position, begin = position + COLUMN.size, begin + length
    if begin != size:
        raise DbfError(f"has records of {size} bytes and columns for {begin}")
    if len({column.name for column in columns}) < len(columns):
        raise DbfError("has two columns of one name")
    return count, start, size, columns


def _value(column: _Column, text: str) -> Value:
    """A field's value. Raises ValueError, in words without the value: it may be personal data."""
    if column.kind == "C":
        return text.rstrip(" \0") or None
    text = text.strip(" \0")
    if column.kind == "L" and text in LOGICAL:
        return LOGICAL[text]
    if not text:
        return None
    if column.kind in ("N", "F"):
        if not NUMBER.fullmatch(text):
            raise ValueError("overflowed when it was written" if set(text) == {"*"} else "is not a number")
        return Decimal(text) if column.decimals or "." in text else int(text)
    if column.kind == "D":
        if not (len(text) == 8 and text.isascii() and text.isdecimal()):
            raise ValueError("is not a date like YYYYMMDD")
        try:
            return f"{datetime.strptime(text, '%Y%m%d'):%Y-%m-%d}"  # noqa: DTZ007 - a date
        except ValueError:
            raise ValueError("is not a date like YYYYMMDD") from None
    raise ValueError(f"is of type {column.kind}, which is not read")
