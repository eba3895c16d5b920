"""The inbox: every event that a vendor sent, durable before it is answered, until it is loaded.

Many senders share one transaction (group commit): a writer thread takes whatever has gathered while the last commit
was under way and, when that was more than one, for a moment after it: a commit costs ten times what an event adds to
it. An event is known by its integration and its own id, so the same one twice is one.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import zstandard
from sqlalchemy import ColumnElement, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.failpoints import failpoint
from ingestion.core.ops.crypto import Cipher
from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import InboxEvent

GROUP = 500  # events of one transaction at most
LINGER = 0.005  # seconds that a transaction waits for more events, after one that had several
TABLE = cast("Table", InboxEvent.__table__)
STATES = ("received", "loaded", "ignored", "rejected", "dead")
MAX_ATTEMPTS = 5  # loads that began with an event and did not end, before it is given up
ALONE_FROM = 2  # such loads after which an event is loaded by itself, so that it cannot take others with it


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as it came. `event_id` is the vendor's own, or the body's hash where it has none."""

    vendor: str
    integration_id: str
    event_id: str
    body: bytes = field(repr=False)
    event_type: str = ""
    outlet: str = ""  # the vendor's outlet id
    object_key: str = ""  # key of the record that it is about
    sent_at: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the inbox, its body opened."""

    seq: int
    vendor: str
    integration_id: str
    event_id: str
    event_type: str
    outlet: str
    object_key: str
    sent_at: datetime | None
    received_at: datetime
    attempts: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """How an event ended: `state` is loaded, ignored, rejected or dead; `error` says why, without data."""

    state: str
    error: str = ""


class Inbox:
    """The inbox of one company. Any thread may `put`; the writer thread starts with the first event."""

    def __init__(self, sessions: sessionmaker[Session], cipher: Cipher, now: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._cipher = cipher
        self._now = now
        self._queue: queue.SimpleQueue[tuple[NewEvent, Future[bool]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._guard = threading.Lock()
        self._closed = False

    # receiving

    def put(self, event: NewEvent) -> Future[bool]:
        """Hand an event over. The future is done when it is durable: True for a new one, False for one known before.

        It raises what the database raises; the event is then not in the inbox. Raises RuntimeError after `close`.
        """
        future: Future[bool] = Future()
        with self._guard:
            if self._closed:
                raise RuntimeError("the inbox is closed")
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="inbox", daemon=True)
                self._writer.start()
            self._queue.put((event, future))
        return future

    def close(self) -> None:
        """Write what was handed over, then stop."""
        with self._guard:
            self._closed = True
            writer, self._writer = self._writer, None
        if writer is not None:
            self._queue.put(None)
            writer.join()

    def _write(self) -> None:
        going, in_company = True, False
        while going:
            group = []
            item = self._queue.get()
            if in_company:
                time.sleep(LINGER)
            while item is not None:
                group.append(item)
                if len(group) == GROUP:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            going, in_company = item is not None, len(group) > 1
            self._commit(group)

    def _commit(self, group: Sequence[tuple[NewEvent, Future[bool]]]) -> None:
        """One transaction for all. If a value of one of them does not fit the database, each by itself."""
        if not group:
            return
        try:
            fresh = self._insert([event for event, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, every sender is told that its event is not safe
            if len(group) > 1 and _is_of_one(error):
                for one in group:
                    self._commit([one])
            else:
                for _, future in group:
                    future.set_exception(error)
            return
        for event, future in group:
            name = (event.integration_id, event.event_id)
            future.set_result(name in fresh)
            fresh.discard(name)  # the same event twice in one group is new once

    def _insert(self, events: Iterable[NewEvent]) -> set[tuple[str, str]]:
        now, compressor = self._now(), zstandard.ZstdCompressor(level=1)
        rows = [
            {
                "vendor": event.vendor,
                "integration_id": event.integration_id,
                "event_id": event.event_id,
                "event_type": event.event_type,
                "outlet": event.outlet,
                "object_key": event.object_key,
                "sent_at": event.sent_at,
                "received_at": now,
                "headers": json.dumps(dict(event.headers)),
                "sha256": hashlib.sha256(event.body).hexdigest(),
                "size": len(event.body),
                "body": self._cipher.encrypt(compressor.compress(event.body), _context(event)),
                "state": "received",
                "attempts": 0,
                "error": "",
            }
            for event in events
        ]
        failpoint("inbox.before_commit")
        with writing(self._sessions) as session:
            insert: Any = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
            statement = insert(TABLE).on_conflict_do_nothing(index_elements=["integration_id", "event_id"])
            returned = statement.returning(TABLE.c.integration_id, TABLE.c.event_id)
            inserted = session.connection().execute(returned, rows)  # the mapper's insert takes half as long again
            fresh = {(str(integration_id), str(event_id)) for integration_id, event_id in inserted}
        failpoint("inbox.committed")
        return fresh

    # loading

    def count(self, state: str) -> dict[str, int]:
        """Integration -> how many of its events are in a state; without those that have none."""
        query = select(InboxEvent.integration_id, func.count()).where(InboxEvent.state == state)
        with reading(self._sessions) as session:
            return dict(session.execute(query.group_by(InboxEvent.integration_id)).tuples().all())

    def batch(self, integration_id: str, limit: int) -> list[StoredEvent]:
        """The oldest events of an integration that wait, in their order of arrival.

        One whose loading was broken off again and again comes alone. Raises KeyringError when a body was altered.
        """
        waits = (InboxEvent.integration_id == integration_id, InboxEvent.state == "received")
        oldest = select(InboxEvent).where(*waits).order_by(InboxEvent.seq)
        with reading(self._sessions) as session:
            rows = list(session.scalars(oldest.where(InboxEvent.attempts < ALONE_FROM).limit(limit)))
            rows = rows or list(session.scalars(oldest.limit(1)))
        return [self._opened(row) for row in rows]

    def outdated(self, events: Iterable[StoredEvent]) -> set[int]:
        """Those events (by `seq`) whose object has a later one in the inbox, by the vendor's time of sending.

        Of two sent at the same time the one that arrived later counts.
        """
        found: set[int] = set()
        latest: dict[tuple[str, str], tuple[datetime, int]] = {}
        asked = [event for event in events if event.object_key and event.sent_at is not None]
        keys = sorted({(event.integration_id, event.object_key) for event in asked})
        with reading(self._sessions) as session:
            for integration_id in {name for name, _ in keys}:
                own = [key for name, key in keys if name == integration_id]
                for start in range(0, len(own), 500):
                    query = select(InboxEvent.object_key, InboxEvent.sent_at, InboxEvent.seq).where(
                        InboxEvent.integration_id == integration_id,
                        InboxEvent.object_key.in_(own[start : start + 500]),
                        InboxEvent.state.in_(("received", "loaded")),
                        InboxEvent.sent_at.is_not(None),
                    )
                    for key, sent_at, seq in session.execute(query):
                        assert sent_at is not None
                        name = (integration_id, key)
                        latest[name] = max(latest.get(name, (sent_at, seq)), (sent_at, seq))
        for event in asked:
            assert event.sent_at is not None
            newest = latest.get((event.integration_id, event.object_key))
            if newest is not None and newest > (event.sent_at, event.seq):
                found.add(event.seq)
        return found

    def begin(self, seqs: Collection[int]) -> None:
        """Count an attempt for each, before it is made: an event that kills its loader must not do so for ever."""
        self._change(seqs, attempts=InboxEvent.attempts + 1)

    def release(self, seqs: Collection[int]) -> None:
        """Take an attempt back that ended in order, with the events still to be loaded."""
        self._change(seqs, attempts=InboxEvent.attempts - 1)

    def settle(self, outcomes: Mapping[int, Settled]) -> None:
        """Write down how events ended, in one transaction."""
        if not outcomes:
            return
        now = self._now()
        rows = [
            {"seq": seq, "state": outcome.state, "error": outcome.error[:500], "settled_at": now}
            for seq, outcome in outcomes.items()
        ]
        with writing(self._sessions) as session:
            session.execute(update(InboxEvent), rows)

    def give_up(self, error: str) -> int:
        """Make those dead whose attempts are used up; returns how many."""
        used_up = (InboxEvent.state == "received", InboxEvent.attempts >= MAX_ATTEMPTS)
        with writing(self._sessions) as session:
            dead = update(InboxEvent).where(*used_up).values(state="dead", error=error[:500], settled_at=self._now())
            return len(session.execute(dead.returning(InboxEvent.seq)).all())

    # people

    def events(self, *, state: str | None = None, integration_id: str | None = None, limit: int = 50) -> list[dict]:
        """The newest events with everything known of them but their bodies."""
        names = [column.name for column in InboxEvent.__table__.columns if column.name != "body"]
        query = select(*(getattr(InboxEvent, name) for name in names)).order_by(InboxEvent.seq.desc()).limit(limit)
        with reading(self._sessions) as session:
            rows = session.execute(query.where(*_which(state, integration_id, None)))
            return [dict(zip(names, row, strict=True)) for row in rows]

    def replay(
        self, *, seqs: Collection[int] | None = None, state: str | None = None, integration_id: str | None = None
    ) -> int:
        """Have events loaded again, whatever became of them; returns how many. Raises ValueError if none is named."""
        if seqs is None and state is None and integration_id is None:
            raise ValueError("say which events: their numbers, a state or an integration")
        again = update(InboxEvent).where(*_which(state, integration_id, seqs))
        with writing(self._sessions) as session:
            fresh = again.values(state="received", attempts=0, error="", settled_at=None)
            return len(session.execute(fresh.returning(InboxEvent.seq)).all())

    def forget(self, older_than: timedelta) -> int:
        """Delete events that were settled well long ago; returns how many. Their records are in the landing zone."""
        done = InboxEvent.state.in_(("loaded", "ignored"))
        with writing(self._sessions) as session:
            gone = delete(InboxEvent).where(done, InboxEvent.settled_at < self._now() - older_than)
            return len(session.execute(gone.returning(InboxEvent.seq)).all())

    def stats(self, since: timedelta = timedelta(days=1)) -> list[dict[str, Any]]:
        """Per integration: events by state, those of the time `since`, the oldest that waits and the latest."""
        event, now = InboxEvent, self._now()
        columns = {
            "integration_id": event.integration_id,
            "vendor": func.min(event.vendor),
            **{state: func.count().filter(event.state == state) for state in STATES},
            "recent": func.count().filter(event.received_at > now - since),
            "bytes": func.coalesce(func.sum(event.size), 0),
            "oldest_waiting": func.min(event.received_at).filter(event.state == "received"),
            "latest": func.max(event.received_at),
        }
        query = select(*columns.values()).group_by(event.integration_id).order_by(event.integration_id)
        with reading(self._sessions) as session:
            return [dict(zip(columns, row, strict=True)) for row in session.execute(query)]

    def _change(self, seqs: Collection[int], **values: Any) -> None:
        with writing(self._sessions) as session:
            chosen = sorted(seqs)
            for start in range(0, len(chosen), 500):
                part = chosen[start : start + 500]
                session.execute(update(InboxEvent).where(InboxEvent.seq.in_(part)).values(**values))

    def _opened(self, row: InboxEvent) -> StoredEvent:
        names = [name for name in StoredEvent.__slots__ if name != "body"]
        known = {name: getattr(row, name) for name in names}
        packed = self._cipher.decrypt(row.body, _context(row))
        return StoredEvent(**known, body=zstandard.ZstdDecompressor().decompress(packed))


def _is_of_one(error: Exception) -> bool:
    """Whether it is a value that the database refuses, rather than the database that cannot be written to."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError)
    return isinstance(error, StatementError | ValueError)


def _context(event: NewEvent | InboxEvent) -> bytes:
    """What a body's seal is bound to."""
    return f"{event.integration_id}\n{event.event_id}".encode()


def _which(state: str | None, integration_id: str | None, seqs: Collection[int] | None) -> list[ColumnElement[bool]]:
    found = []
    if state is not None:
        found.append(InboxEvent.state == state)
    if integration_id is not None:
        found.append(InboxEvent.integration_id == integration_id)
    if seqs is not None:
        found.append(InboxEvent.seq.in_(seqs))
    return found


def body_hash(body: bytes) -> str:
    """The id of an event whose vendor gives it none."""
    return hashlib.sha256(body).hexdigest()
