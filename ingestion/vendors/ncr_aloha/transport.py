"""The dated folders of a site: which are ground, which are new, and their records as pages.

A site's folder holds one folder per closed business day (`YYYYMMDD`), named by its DOB, with the GND and ADJTIME files
of that day and the day's copies of the masters. A day counts as a whole: one record that does not read refuses it, and
the reading before it, or what the socket told, stays until the folder is ground again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import zstandard

from ingestion.core.errors import AccessError, RefusedError, RetriableError
from ingestion.core.fetch import FetchContext, Page
from ingestion.core.files import FileReading, FileStatus, Standing, row_key
from ingestion.vendors.ncr_aloha.days import SOURCES, STREAMS, Origin
from ingestion.vendors.ncr_aloha.dbf import DbfError, Row, read_dbf

READER = "1"  # raise it when a reading of the same bytes gives other records
STABLE_SECONDS = 60
CLOCK_AHEAD = timedelta(days=1)
DATED = re.compile(r"[0-9]{8}")
TELLS = "days"  # the stream that tells rejects
ODD = (ArithmeticError, LookupError, TypeError, ValueError)  # what rows that are no such rows raise


@dataclass(frozen=True, slots=True)
class Folder:
    """A dated folder as it lies there. `path` is its name in the ledger: site and date."""

    path: str
    dob: date
    files: dict[str, Path]  # by name without its ending, in capitals
    reading_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a folder: a page per stream, packed, or the place and rule that refuse it."""

    pages: dict[str, bytes]
    place: str = ""
    rule: str = ""
    rows: int = 0


def read_days(context: FetchContext) -> Iterator[Page]:
    """The records of one stream of each dated folder that is new or was ground again."""
    name = context.stream.name
    context = replace(context, values={**context.values, "timezone": context.zones[context.scope].key})
    for folder in _folders(context):
        if context.files.standing(name, folder.path, folder.reading_id) is not Standing.NEW:
            continue
        encoding = context.values.get("encoding", "cp1252")
        reading = context.files.once(f"{folder.path}:{folder.reading_id}", partial(_read, folder, encoding))
        if reading.rule:
            _refuse(context, folder.path, folder.dob, folder.reading_id, reading.place, reading.rule)
            continue
        yield context.page(zstandard.decompress(reading.pages[name]))
        done = FileReading(folder.path, folder.reading_id, folder.size, FileStatus.LOADED, reading.rows)
        context.files.add(name, done)


def _folders(context: FetchContext) -> Iterator[Folder]:
    """Dated folders of the window that are ground and whole, oldest first. Raises ApiError."""
    values = context.values
    if "folder" not in values:
        raise AccessError(f"{context.client.integration_id}: its settings name no folder")
    site = Path(values["folder"]) / context.scope
    if not site.is_dir():
        raise RefusedError(f"site {context.scope} has no folder in the drop folder")
    has_ground_days = False
    last = values["until"].astimezone(context.zones[context.scope]).date()
    stable = timedelta(seconds=float(values.get("stable_seconds", STABLE_SECONDS)))
    for source in sorted(site.iterdir()):
        if not DATED.fullmatch(source.name) or not source.is_dir():
            continue
        try:
            dob = datetime.strptime(source.name, "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            continue  # eight digits that are no date
        files = {path.stem.upper(): path for path in source.iterdir() if path.suffix.upper() == ".DBF"}
        is_ground = any(name.startswith("GND") for name in files)
        has_ground_days |= is_ground
        if not is_ground or not values["since_date"] <= dob <= last:
            continue
        changed = max(datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in files.values())
        path = f"{context.scope}/{source.name}"
        if changed + stable <= values["as_of"]:
            # every stream of a run sees the folder as the first of them did
            yield context.files.once(path, partial(_identify, path, dob, files))
        elif changed > values["as_of"] + CLOCK_AHEAD:
            reading_id = hashlib.sha256(f"{path}:{changed}".encode()).hexdigest()
            _refuse(context, path, dob, reading_id, "time", "lies more than a day ahead of ours")
    if not has_ground_days:  # what the socket tells is provisional: without any folder nothing is complete
        raise RefusedError(f"site {context.scope} has no ground day yet")


def _identify(path: str, dob: date, files: dict[str, Path]) -> Folder:
    digest = hashlib.sha256(f"{path}:{READER}".encode())
    read = {name: source for name, source in sorted(files.items()) if name in SOURCES}
    size = 0
    for name, source in read.items():
        content = _content(source)
        digest.update(f"{name}:{len(content)}:".encode() + content)
        size += len(content)
    return Folder(path, dob, read, digest.hexdigest(), size)


def _read(folder: Folder, encoding: str) -> Reading:
    missing = [name for name, source in SOURCES.items() if source.needed and name not in folder.files]
    if missing:
        return Reading({}, f"{missing[0]}.DBF", "is not in the folder: the grind did not end")
    tables: dict[str, list[Row]] = {}
    for name, source in folder.files.items():
        place = f"{name}.DBF"
        tables[name] = []
        try:
            for number, row in read_dbf(_content(source), SOURCES[name].wanted, SOURCES[name].filled, encoding):
                if row.get("DOB", folder.dob.isoformat()) != folder.dob.isoformat():
                    raise DbfError("is not the date of the folder", number, "DOB")
                tables[name].append(row)
        except DbfError as error:
            return Reading({}, place, str(error))
    if _identify(folder.path, folder.dob, folder.files).reading_id != folder.reading_id:
        raise RetriableError(f"{folder.path} is being ground")
    origin = Origin(folder.path.split("/")[0], folder.dob)
    try:
        pages = {name: msgspec.json.encode(list(build(tables, origin))) for name, build in STREAMS.items()}
    except ODD as error:
        return Reading({}, "GND files", f"have rows that are none ({type(error).__name__})")
    rows = sum(map(len, tables.values()))
    return Reading({name: zstandard.compress(page, level=1) for name, page in pages.items()}, rows=rows)


def _refuse(context: FetchContext, path: str, dob: date, reading_id: str, field: str, rule: str) -> None:
    name = context.stream.name
    if name == TELLS:
        key = row_key(path, 0)
        context.reject(record_key=key, field=field, rule=rule[:500], kind="file", business_date=dob)
    context.files.add(name, FileReading(path, reading_id, 0, FileStatus.REJECTED, rejects=1))


def _content(source: Path) -> bytes:
    """The file's bytes. Aloha holds files alone while it grinds: raises RetriableError, and the next run reads."""
    try:
        return source.read_bytes()
    except OSError as error:
        raise RetriableError(f"{source.parent.name}/{source.name} cannot be read now ({error.strerror})") from None


__all__ = ["read_days"]
