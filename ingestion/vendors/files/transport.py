"""The drop folder: which files are whole, which are new, and their readings as pages.

No protocol says when a file is complete. So names of files under way are left alone (`.x`, `~$x`, `*.tmp`, `*.part`,
`*.filepart`, `*.crdownload`), so are empty ones, and by setting either a marker beside the file or its age decides.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec
import zstandard

from ingestion.core.config import ConfigError
from ingestion.core.errors import AccessError
from ingestion.core.fetch import FetchContext, Page
from ingestion.core.files import FileReading, FileStatus, Standing, row_key
from ingestion.vendors.files.formats import FileError
from ingestion.vendors.files.mapping import Mapping, find_mapping
from ingestion.vendors.files.reading import Reading
from ingestion.vendors.files.records import Check, File

UNDER_WAY = (".tmp", ".part", ".filepart", ".crdownload")
STABLE_SECONDS = 60
CLOCK_AHEAD = timedelta(days=1)
CHECKS_PER_PAGE = 2000
BLOCK = 4 << 20
PARKED_IN_MEMORY = 16 << 20
LENGTH = 4
CHECKS, FILES = "checks", "files"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A whole file that lies there. `path` is its name below the folder."""

    source: Path
    path: str


@dataclass(slots=True)
class _Read:
    """A file that was read to its end: what came of it, and its checks as pages, parked until they are asked for."""

    reading: Reading
    error: str
    pages: IO[bytes]

    @classmethod
    def of(cls, reading: Reading) -> _Read:
        pages = tempfile.SpooledTemporaryFile(PARKED_IN_MEMORY)  # noqa: SIM115 - closed by whoever takes the pages
        try:
            for page in _pages(reading.checks()):
                parked = zstandard.compress(page, level=1)
                pages.write(len(parked).to_bytes(LENGTH) + parked)
        except FileError as error:
            return cls(reading, str(error), pages)
        return cls(reading, "", pages)

    @property
    def status(self) -> FileStatus:
        return FileStatus.REJECTED if self.error else FileStatus.LOADED

    def take_pages(self) -> Iterator[bytes]:
        """The pages, once."""
        with self.pages:
            self.pages.seek(0)
            while not self.error and (head := self.pages.read(LENGTH)):
                yield zstandard.decompress(self.pages.read(int.from_bytes(head)))


def fetch_checks(context: FetchContext) -> Iterator[Page]:
    """New files: first their bytes as they came (for landing), then their checks; rejects along the way."""
    mapping = _mapping(context)
    for delivered in _delivered(context):
        sha256, size, reading_id = _identify(delivered, mapping)
        standing = context.files.standing(CHECKS, delivered.path, reading_id)
        if standing is Standing.DUPLICATE:
            context.files.add(CHECKS, FileReading(delivered.path, reading_id, size, FileStatus.DUPLICATE))
        if standing is not Standing.NEW:
            continue
        for part, block in enumerate(_blocks(delivered.source), start=1):
            yield context.page(block, "file", path=delivered.path, sha256=sha256, part=str(part))
        read = _read(context, delivered, mapping, reading_id)
        for page in read.take_pages():
            yield context.page(page)
        if read.error:
            _reject(context, delivered, read.error)
        for reject in [] if read.error else read.reading.rejects:
            context.reject(
                record_key=row_key(delivered.path, reject.row),
                field=reject.field,
                rule=reject.rule,
                row=reject.row,
                business_date=reject.business_date,
            )
        context.files.add(CHECKS, _entry(delivered, reading_id, size, read))


def fetch_files(context: FetchContext) -> Iterator[Page]:
    """What new files are and what they add up to. A rejected file has no row here: the reading before it stays."""
    mapping = _mapping(context)
    for delivered in _delivered(context):
        sha256, size, reading_id = _identify(delivered, mapping)
        standing = context.files.standing(FILES, delivered.path, reading_id)
        if standing is Standing.KNOWN:
            continue
        record = File(
            path=delivered.path,
            reading_id=reading_id,
            sha256=sha256,
            size=size,
            status=FileStatus.DUPLICATE,
            mapping=mapping.name,
            rows=0,
            rejects=0,
            skipped=0,
            checks=0,
        )
        entry = FileReading(delivered.path, reading_id, size, FileStatus.DUPLICATE)
        if standing is Standing.NEW:
            read = _read(context, delivered, mapping, reading_id)
            entry = _entry(delivered, reading_id, size, read)
            reading = read.reading
            record = msgspec.structs.replace(
                record,
                status=read.status,
                rows=reading.rows,
                rejects=len(reading.rejects),
                skipped=reading.skipped,
                checks=reading.count,
                first_date=min(reading.days, default=None),
                last_date=max(reading.days, default=None),
                control_totals=reading.control_totals,
            )
        if entry.status is not FileStatus.REJECTED:
            yield context.page(msgspec.json.encode([record]))
        context.files.add(FILES, entry)


def _read(context: FetchContext, delivered: Delivered, mapping: Mapping, reading_id: str) -> _Read:
    """The file read; both streams of a run share one reading of it."""
    reading = Reading(delivered.source, delivered.path, reading_id, mapping, context.zones)
    return context.files.once(f"{delivered.path}:{reading_id}", lambda: _Read.of(reading))


def _entry(delivered: Delivered, reading_id: str, size: int, read: _Read) -> FileReading:
    return FileReading(delivered.path, reading_id, size, read.status, read.reading.rows, len(read.reading.rejects))


def _mapping(context: FetchContext) -> Mapping:
    name = context.values.get("mapping")
    if not name:
        raise AccessError(f"{context.client.integration_id}: its settings name no mapping")
    try:
        return find_mapping(name, Path(context.values.get("config", "config")))
    except ConfigError as error:
        raise AccessError(f"{context.client.integration_id}: {error}") from error


def _delivered(context: FetchContext) -> Iterator[Delivered]:
    """The file of an import, or the whole files of the drop folder by name."""
    values = context.values
    if "file" in values:
        source = Path(values["file"])
        yield Delivered(source, source.name)
        return
    if "folder" not in values:
        return  # a finished import has nothing to watch
    folder = Path(values["folder"])
    if not folder.is_dir():
        raise AccessError(f"{context.client.integration_id}: its drop folder is not there")
    marker = values.get("marker", "")
    for source in sorted(folder.glob(values.get("pattern", "*"))):
        path = PurePosixPath(source.relative_to(folder)).as_posix()
        if _is_under_way(source) or (marker and source.name.endswith(marker)):
            continue
        if marker:
            if source.with_name(source.name + marker).exists():
                yield Delivered(source, path)
            continue
        stable = timedelta(seconds=float(values.get("stable_seconds", STABLE_SECONDS)))
        changed = datetime.fromtimestamp(source.stat().st_mtime, UTC)
        as_of: datetime = values["until"]
        if not stable or changed + stable <= as_of:
            yield Delivered(source, path)
        elif changed > as_of + CLOCK_AHEAD and context.stream.name == CHECKS:
            _reject(context, Delivered(source, path), "its time lies more than a day ahead of ours")


def _is_under_way(source: Path) -> bool:
    name = source.name.lower()
    return (
        name.startswith((".", "~$")) or name.endswith(UNDER_WAY) or not source.is_file() or source.stat().st_size == 0
    )


def _identify(delivered: Delivered, mapping: Mapping) -> tuple[str, int, str]:
    """(sha256 of the content, size, reading id). The reading changes with the content and with the mapping."""
    digest = hashlib.sha256()
    size = 0
    for block in _blocks(delivered.source):
        digest.update(block)
        size += len(block)
    sha256 = digest.hexdigest()
    return sha256, size, hashlib.sha256(f"{sha256}:{mapping.fingerprint}".encode()).hexdigest()


def _blocks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as handle:
        while block := handle.read(BLOCK):
            yield block


def _pages(checks: Iterator[Check]) -> Iterator[bytes]:
    batch: list[Check] = []
    for check in checks:
        batch.append(check)
        if len(batch) == CHECKS_PER_PAGE:
            yield msgspec.json.encode(batch)
            batch = []
    if batch:
        yield msgspec.json.encode(batch)


def _reject(context: FetchContext, delivered: Delivered, rule: str) -> None:
    context.reject(record_key=row_key(delivered.path, 0), field="file", rule=rule[:500], kind="file")


__all__ = ["fetch_checks", "fetch_files"]
