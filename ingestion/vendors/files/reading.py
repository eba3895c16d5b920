"""One reading of one file: rows in, canonical checks, rejects and control totals out.

A file is read to its end before its first check leaves, so a file that is cut short leaves nothing. The rows of a
check need not stand together: a large file is parted by check into temporary files that each fit in memory.
"""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import msgspec

from ingestion.vendors.files.checks import CheckError, assemble, sift
from ingestion.vendors.files.formats import Bad, Cells, FileError, read_rows
from ingestion.vendors.files.mapping import Mapping as FileMapping
from ingestion.vendors.files.records import Check, ControlTotal
from ingestion.vendors.files.sales import RowReader, SaleRow
from ingestion.vendors.files.totals import ControlTotals
from ingestion.vendors.files.values import FieldError

PART_BYTES = 6 << 20  # text of a file whose rows are held at once
PACKED = 8  # what a byte of a compressed file may unpack to
MAX_PARTS = 256
LENGTH = 4


@dataclass(frozen=True, slots=True)
class RowReject:
    """A row (0: the whole file) that does not load: which field breaks which rule."""

    row: int
    field: str
    rule: str
    business_date: date | None = None


@dataclass(slots=True)
class Reading:
    """A file and what its mapping makes of it. `checks()` must be exhausted before the counts are final."""

    source: Path
    path: str  # as the ledger knows it
    reading_id: str
    mapping: FileMapping
    zones: Mapping[str, ZoneInfo]
    rejects: list[RowReject] = field(default_factory=list)
    rows: int = 0
    skipped: int = 0
    count: int = 0
    days: list[date] = field(default_factory=list)
    control_totals: list[ControlTotal] = field(default_factory=list)

    def checks(self) -> Iterator[Check]:
        """Every check that can be loaded. Raises FileError, before the first one, when the file as a whole cannot."""
        try:
            reader = RowReader(self.mapping, self.path, self.zones)
            totals = ControlTotals(reader)
        except FieldError as error:
            raise FileError(str(error)) from error
        broken: set[tuple[str, str]] = set()
        with _Parts(_parts_of(self.source, self.mapping)) as parts:
            for row in self._rows(reader, totals, broken):
                parts.add(row)
            if len(self.rejects) > self.mapping.max_rejects:
                raise FileError(f"{len(self.rejects)} of {self.rows} rows are rejected: is this the right mapping?")
            self._empty(reader, totals)
            for group in parts.groups():
                totals.add_check(group)
                check = self._check(group, broken)
                if check is not None:
                    self.count += 1
                    yield check
        self.rejects.sort(key=lambda reject: reject.row)
        measured = list(totals.totals())
        self.days = sorted({total.control_date for total in measured})
        self.control_totals = measured if self.mapping.control_totals else []

    def _rows(self, reader: RowReader, totals: ControlTotals, broken: set[tuple[str, str]]) -> Iterator[SaleRow]:
        for number, cells in read_rows(self.source, self.mapping, reader.columns):
            if cells is None or (not isinstance(cells, Bad) and not reader.is_kept(cells)):
                self.skipped += 1
                continue
            self.rows += 1
            if isinstance(cells, Bad):
                self.rejects.append(RowReject(number, "", cells.rule))
                continue
            try:
                row = reader.read(number, cells)
            except FieldError as error:
                self.rejects.append(RowReject(number, error.field, error.rule, _day(reader, cells)))
                totals.add_rejected(number, cells)
                with contextlib.suppress(FieldError):  # else the check that it belongs to cannot be told
                    broken.add(reader.key(number, cells))
            else:
                yield row

    def _check(self, group: list[SaleRow], broken: set[tuple[str, str]]) -> Check | None:
        kept, refused = sift(group, self.mapping.grain)
        self.rejects += [RowReject(r.row, r.field, r.rule, kept[0].head.business_date) for r in refused]
        first = kept[0]
        is_whole = not refused and (first.outlet, first.check_id) not in broken
        if not is_whole and self.mapping.broken_check == "hold":
            rule = "is held: another row of its check is rejected"
            self.rejects += [RowReject(row.row, "check.id", rule, first.head.business_date) for row in kept]
            return None
        try:
            return assemble(kept, self.mapping, self.path, self.reading_id, is_whole=is_whole)
        except CheckError as error:
            reject = error.refused
            self.rejects.append(RowReject(reject.row, reject.field, reject.rule, first.head.business_date))
            return None

    def _empty(self, reader: RowReader, totals: ControlTotals) -> None:
        """A file whose name tells outlet and day, and that has no rows, says that nothing was sold."""
        if self.rows or (self.skipped and self.mapping.keep):
            return
        blank: Cells = (None,) * len(reader.columns)
        try:
            outlet = reader.outlet(blank)
            if outlet is not None and self.mapping.check.business_date is not None:
                totals.add_empty_day(outlet, reader.day(outlet, blank)[0])
        except FieldError:
            return  # outlet or day stand in the rows that are not there


def _day(reader: RowReader, cells: Cells) -> date | None:
    """The business date of a rejected row, where it is sure: else the reject speaks for every day."""
    try:
        outlet = reader.outlet(cells)
        return reader.business_date_if_sure(outlet, cells) if outlet is not None else None
    except (FieldError, KeyError):
        return None


def _parts_of(source: Path, mapping: FileMapping) -> int:
    size = source.stat().st_size
    if source.suffix == ".gz" or mapping.format == "xlsx":
        size *= PACKED
    return min(size // PART_BYTES + 1, MAX_PARTS)


class _Parts:
    """Rows by check. One part stays in memory; several go to temporary files, all rows of a check to the same."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: list[SaleRow] = []
        self._files: list[IO[bytes]] = []
        self._stack = contextlib.ExitStack()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(SaleRow)

    def __enter__(self) -> _Parts:
        if self._count > 1:
            self._files = [self._stack.enter_context(tempfile.TemporaryFile()) for _ in range(self._count)]  # noqa: SIM115
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, row: SaleRow) -> None:
        if not self._files:
            self._rows.append(row)
            return
        data = self._encoder.encode(row)
        part = zlib.crc32(f"{row.outlet}\0{row.check_id}".encode()) % self._count
        self._files[part].write(len(data).to_bytes(LENGTH) + data)

    def groups(self) -> Iterator[list[SaleRow]]:
        """The rows of each check, checks in the order of their first row within a part."""
        yield from _grouped(self._rows)
        self._rows = []
        for handle in self._files:
            handle.seek(0)
            yield from _grouped(self._read(handle))

    def _read(self, handle: IO[bytes]) -> Iterator[SaleRow]:
        while head := handle.read(LENGTH):
            yield self._decoder.decode(handle.read(int.from_bytes(head)))


def _grouped(rows: Iterator[SaleRow] | list[SaleRow]) -> Iterator[list[SaleRow]]:
    groups: dict[tuple[str, str, bool], list[SaleRow]] = {}
    for row in rows:
        groups.setdefault(row.key, []).append(row)
    yield from groups.values()


__all__ = ["Reading", "RowReject"]
