"""Which files of an integration have been read: what a stream that reads files asks, and what a run writes down.

A file counts once per content, under any name. The same name with new content is a correction: the new reading
replaces the old one. The ledger is written after the load has committed; a run that dies before reads again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops.db import reading as read_session
from ingestion.core.ops.files import file_record
from ingestion.core.ops.models import FileEntry, Reject
from ingestion.core.ops.runs import RunLedger

T = TypeVar("T")


class FileStatus(StrEnum):
    LOADED = "loaded"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"


class Standing(StrEnum):
    """What a file that lies there means to this run."""

    NEW = "new"  # read it
    KNOWN = "known"  # read before, nothing to do
    DUPLICATE = "duplicate"  # the same content came under another name


@dataclass(frozen=True, slots=True)
class FileReading:
    """One content of a file, as read by one version of its mapping. `path` is relative to the drop folder."""

    path: str
    reading_id: str
    size: int
    status: FileStatus
    rows: int = 0
    rejects: int = 0


class FileLedger:
    """The readings of earlier runs, and those of this run by stream. Thread safe."""

    def __init__(self, known: Iterable[FileReading] = ()) -> None:
        self._known = {reading.reading_id: reading for reading in known}
        self._unsettled = {entry.path for entry in self._known.values() if entry.status is FileStatus.REJECTED}
        self._first: dict[tuple[str, str], FileReading] = {}  # (stream, reading id) -> what came first in this run
        self._read: dict[str, dict[tuple[str, str], FileReading]] = {}
        self._lock = threading.Lock()
        self._made: dict[str, tuple[threading.Lock, list[Any]]] = {}

    @classmethod
    def open(cls, sessions: sessionmaker[Session], integration_id: str) -> FileLedger:
        with read_session(sessions) as session:
            return cls(
                FileReading(row.path, row.sha256, row.size, FileStatus(row.status), row.rows, row.rejects)
                for row in session.scalars(select(FileEntry).where(FileEntry.integration_id == integration_id))
            )

    def standing(self, stream: str, path: str, reading_id: str) -> Standing:
        """What to do with a file. A content that a correction had replaced and that comes back is new again."""
        with self._lock:
            mine = self._first.get((stream, reading_id))
        known = mine or self._known.get(reading_id)
        if known is None:
            return Standing.NEW
        if known.path != path:
            return Standing.DUPLICATE
        if known.status is FileStatus.LOADED and path in self._unsettled and mine is None:
            return Standing.NEW  # a broken correction was taken back: read again, so that its rejects are settled
        return Standing.NEW if known.status is FileStatus.SUPERSEDED else Standing.KNOWN

    def add(self, stream: str, reading: FileReading) -> None:
        """A stream has handed over everything of a file."""
        with self._lock:
            self._read.setdefault(stream, {})[reading.path, reading.reading_id] = reading
            if reading.status is not FileStatus.DUPLICATE:
                self._first[stream, reading.reading_id] = reading

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once in this run however many streams ask. `make` must not wait for a stream."""
        with self._lock:
            lock, made = self._made.setdefault(key, (threading.Lock(), []))
        with lock:
            if not made:
                made.append(make())
            return made[0]

    def finished(self, streams: Iterable[str]) -> list[FileReading]:
        """Readings that every one of the streams has handed over; a file that one of them missed is read again."""
        names = list(streams)
        with self._lock:
            read = [self._read.get(name, {}) for name in names]
        return [reading for key, reading in read[0].items() if all(key in other for other in read)] if read else []


def record(ledger: RunLedger, integration_id: str, readings: Iterable[FileReading]) -> None:
    """Write readings down: older ones of the same path are superseded, their open rejects settled."""
    session = ledger.session
    for reading in readings:
        if reading.status is not FileStatus.REJECTED:
            for older in session.scalars(
                select(FileEntry).where(
                    FileEntry.integration_id == integration_id,
                    FileEntry.path == reading.path,
                    FileEntry.sha256 != reading.reading_id,
                )
            ):
                older.status = FileStatus.SUPERSEDED
            _settle(ledger, integration_id, reading.path)
        if reading.status is FileStatus.DUPLICATE:
            continue  # the content's own entry stays that of the name under which it came first
        file_record(
            session,
            integration_id,
            reading.reading_id,
            path=reading.path,
            size=reading.size,
            status=reading.status,
            rows=reading.rows,
            rejects=reading.rejects,
            seen_at=ledger.now,
        )


def row_key(path: str, row: int) -> str:
    """The record key of a reject of a file: row 0 is the file as a whole."""
    return f"{path}#{row}"


def _settle(ledger: RunLedger, integration_id: str, path: str) -> None:
    """Resolve the rejects of earlier readings of a path; those that this run has seen again stay open."""
    keys: dict[str, set[str]] = {}
    for stream, key in ledger.session.execute(
        select(Reject.stream, Reject.record_key).where(Reject.integration_id == integration_id, Reject.status == "open")
    ):
        if key.rpartition("#")[0] == path:
            keys.setdefault(stream, set()).add(key)
    for stream, found in keys.items():
        ledger.resolve(integration_id, stream, found)


__all__ = ["FileLedger", "FileReading", "FileStatus", "Standing", "record", "row_key"]
