"""The audit of API calls, written in batches, and of an integration: its circuit breaker, its rate of calls."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops.db import reading, upsert, writing
from ingestion.core.ops.models import ApiCall, CallAllowance, CircuitBreaker

if TYPE_CHECKING:
    from ingestion.core.http import Call

log = logging.getLogger(__name__)

BATCH_CALLS = 200
BATCH_AGE = timedelta(seconds=5)
OPEN_AFTER = 10  # failed calls in a row
PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)
LONGEST_QUEUE = timedelta(minutes=10)  # of calls that are paid for: a clock that was set back must not stop them


@dataclass(slots=True)
class CallAudit:
    """Collects calls from any thread and writes them together; `flush` writes what is left."""

    sessions: sessionmaker[Session]
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _calls: list[dict[str, object]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        atexit.register(self._end)

    def add(self, call: Call) -> None:
        at = self.now()
        entry: dict[str, object] = {
            "at": at,
            "integration_id": call.integration_id,
            "method": call.method,
            "path": call.path.split("?", 1)[0],
            "status": call.status,
            "duration_ms": round(call.seconds * 1000),
            "bytes": call.size,
            "attempt": call.attempt,
            "error": call.error,
        }
        with self._lock:
            self._calls.append(entry)
            oldest = self._calls[0]["at"]
            assert isinstance(oldest, datetime)
            due = len(self._calls) >= BATCH_CALLS or at - oldest >= BATCH_AGE
        if due:
            self.flush()

    def flush(self) -> None:
        """Write what was collected. A failed write keeps the calls for the next one and raises."""
        with self._lock:
            if not self._calls:
                return
            with writing(self.sessions) as session:
                session.execute(insert(ApiCall), self._calls)
            self._calls.clear()

    def _end(self) -> None:
        """What the process leaves when it ends. A database that is away then must not make its end a failure."""
        try:
            self.flush()
        except DBAPIError as error:
            log.warning("%d calls are missing in the audit (%s)", len(self._calls), type(error).__name__)

    def prune(self, before: datetime) -> int:
        """Delete calls older than `before`; returns how many."""
        with writing(self.sessions) as session:
            return session.execute(delete(ApiCall).where(ApiCall.at < before)).rowcount  # type: ignore[attr-defined]

    def error_rates(self, since: datetime) -> dict[str, tuple[int, int]]:
        """Integration -> (calls, failed calls) since an instant. Failed: no answer, throttled, or a server error."""
        self.flush()
        failed = case((ApiCall.status.in_((0, 429)) | (ApiCall.status >= 500), 1), else_=0)
        with reading(self.sessions) as session:
            rows = session.execute(
                select(ApiCall.integration_id, func.count(), func.sum(failed))
                .where(ApiCall.at >= since)
                .group_by(ApiCall.integration_id)
            ).tuples()
            return {integration: (calls, errors) for integration, calls, errors in rows}


class StoredBreaker:
    """Opens after `OPEN_AFTER` failed calls in a row, for a pause that doubles each time a trial call fails too.

    The state is in the ops database, so that the next process leaves the vendor alone as well; counting within a
    run stays in memory and only openings and closings are written.
    """

    def __init__(self, sessions: sessionmaker[Session], integration_id: str, now: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._integration_id = integration_id
        self._now = now
        self._lock = threading.Lock()
        with reading(sessions) as session:
            stored = session.get(CircuitBreaker, integration_id)
            self._failures = stored.failures if stored else 0
            self._open_until = stored.open_until if stored else None

    def allow(self) -> bool:
        with self._lock:
            return self._open_until is None or self._now() >= self._open_until

    def success(self) -> None:
        with self._lock:
            self._failures = 0
            if self._open_until is not None:
                self._open_until = None
                self._store()

    def failure(self) -> None:
        with self._lock:
            self._failures += 1
            now = self._now()
            if self._failures < OPEN_AFTER or (self._open_until is not None and now < self._open_until):
                return  # still trusted, or a call that was under way when it opened
            doublings = min(self._failures - OPEN_AFTER, 8)
            self._open_until = now + min(PAUSE * 2**doublings, LONGEST_PAUSE)
            self._store()

    def _store(self) -> None:
        row = {"integration_id": self._integration_id, "failures": self._failures, "open_until": self._open_until}
        with writing(self._sessions) as session:
            upsert(session, CircuitBreaker, [row], update=("failures", "open_until"))


@dataclass(frozen=True, slots=True)
class StoredAllowance:
    """An integration's rate of calls, shared by all processes that call it: the time that is paid for already.

    Calls are paid for in blocks of about a second, so a busy process writes once a second. What a process paid for
    and did not use is lost.
    """

    sessions: sessionmaker[Session]
    integration_id: str
    now: Callable[[], datetime]

    def take(self, seconds: float) -> float:
        """Pay for the calls that the limit allows in so many seconds; returns the seconds until they may be made."""
        with writing(self.sessions) as session:
            now = self.now()
            known = session.get(CallAllowance, self.integration_id)
            begins = now if known is None else min(max(known.paid_until, now), now + LONGEST_QUEUE)
            row = {"integration_id": self.integration_id, "paid_until": begins + timedelta(seconds=seconds)}
            upsert(session, CallAllowance, [row], update=("paid_until",))
            return (begins - now).total_seconds()
