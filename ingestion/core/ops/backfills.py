"""How far backfills are: what was asked for, and which slices are loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops.db import reading, upsert, writing
from ingestion.core.ops.models import AuditEntry, Backfill, BackfillSlice

OK = "ok"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a backfill is to read: business dates `first_date` to `last_date`, from the API in slices of so many `days`.

    `source` is "api" or "landing"; `outlet` is ours, "" for all; `streams` are names with commas between, "" for all.
    """

    integration_id: str
    source: str
    first_date: date
    last_date: date
    outlet: str = ""
    streams: str = ""
    days: int = 7


@dataclass(frozen=True, slots=True)
class Backfills:
    """The backfills of one company."""

    sessions: sessionmaker[Session]
    now: Callable[[], datetime]

    def begin(self, asked: Asked, who: str) -> tuple[int, set[int]]:
        """The id of the unfinished backfill that was asked for alike, else of a new one; and its loaded slices."""
        same = [getattr(Backfill, name) == getattr(asked, name) for name in Asked.__slots__]
        with writing(self.sessions) as session:
            known = session.scalar(select(Backfill).where(Backfill.finished_at.is_(None), *same))
            if known is None:
                values = {name: getattr(asked, name) for name in Asked.__slots__}
                known = Backfill(**values, who=who, started_at=self.now(), finished_at=None)
                session.add(known)
                self._audit(session, who, "backfill", asked, "begun")
                session.flush()
            loaded = select(BackfillSlice.number).where(
                BackfillSlice.backfill_id == known.backfill_id, BackfillSlice.status == OK
            )
            return known.backfill_id, set(session.scalars(loaded))

    def slice_ended(
        self, backfill_id: int, number: int, *, status: str, run_id: int, rows: int, rejects: int, error: str
    ) -> None:
        """How a slice ended: ok, partial or failed."""
        row = {
            "backfill_id": backfill_id,
            "number": number,
            "status": status,
            "run_id": run_id,
            "rows": rows,
            "rejects": rejects,
            "error": error[:2000],
            "ended_at": self.now(),
        }
        with writing(self.sessions) as session:
            upsert(session, BackfillSlice, [row], update=("status", "run_id", "rows", "rejects", "error", "ended_at"))

    def finish(self, backfill_id: int, who: str) -> None:
        """Every slice is loaded: the same question asked again is a new backfill."""
        with writing(self.sessions) as session:
            known = session.get_one(Backfill, backfill_id)
            known.finished_at = self.now()
            asked = Asked(**{name: getattr(known, name) for name in Asked.__slots__})
            self._audit(session, who, "backfill", asked, "finished")

    def slices(self, backfill_id: int) -> list[dict[str, object]]:
        """The slices that were tried, in their order, with all columns."""
        names = [column.name for column in BackfillSlice.__table__.columns]
        query = select(BackfillSlice).where(BackfillSlice.backfill_id == backfill_id).order_by(BackfillSlice.number)
        with reading(self.sessions) as session:
            return [{name: getattr(row, name) for name in names} for row in session.scalars(query)]

    def _audit(self, session: Session, who: str, action: str, asked: Asked, outcome: str) -> None:
        place = f" {asked.outlet}" if asked.outlet else ""
        subject = f"{asked.integration_id}{place} {asked.first_date} to {asked.last_date} from {asked.source}"
        session.add(AuditEntry(at=self.now(), who=who, action=action, subject=subject, outcome=outcome))
