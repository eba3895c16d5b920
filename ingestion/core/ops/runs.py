"""What a sync leaves behind: how its streams ended, batches, rejects, drift, watermarks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from ingestion.core.ops.db import upsert
from ingestion.core.ops.models import LandingBatch, Reject, SchemaDrift, SyncRun, SyncRunStream, Watermark

if TYPE_CHECKING:
    from ingestion.core import records


@dataclass(slots=True)
class RunLedger:
    """Writes down one run; everything is committed together or not at all."""

    session: Session
    run_id: int
    now: datetime

    def stream(self, integration_id: str, stream: str, *, status: str, rows: int, rejects: int, error: str) -> None:
        """How one stream of the run ended."""
        row = {
            "run_id": self.run_id,
            "stream": stream,
            "status": status,
            "rows": rows,
            "rejects": rejects,
            "error": error[:2000],
        }
        upsert(self.session, SyncRunStream, [row], update=("status", "rows", "rejects", "error"))

    def landed(self, integration_id: str, stream: str, batch: str, pages: int, size: int) -> None:
        """A batch file of the landing zone; `size` in bytes before compression."""
        run = self.session.get_one(SyncRun, self.run_id)
        self.session.add(
            LandingBatch(
                batch=batch,
                integration_id=integration_id,
                stream=stream,
                run_id=self.run_id,
                pages=pages,
                bytes=size,
                as_of=run.as_of,
            )
        )

    def reject(self, integration_id: str, stream: str, reject: records.Reject, landing_reference: str) -> None:
        """Something that did not fit. Seen again, the same reject counts its attempts and is open again."""
        reject_id = reject_identity(integration_id, stream, reject, landing_reference)
        known = self.session.get(Reject, reject_id)
        if known is None:
            known = Reject(
                reject_id=reject_id,
                integration_id=integration_id,
                stream=stream,
                scope=reject.scope,
                record_key=reject.record_key,
                field=reject.field,
                rule=reject.rule,
                kind=reject.kind,
                attempts=0,
                first_seen=self.now,
            )
            self.session.add(known)
        known.status = "open"
        known.business_date = reject.business_date
        known.landing = landing_reference
        known.row = reject.row
        known.run_id = self.run_id
        known.attempts += 1
        known.last_seen = self.now
        known.resolved_at = None
        known.resolution = ""
        self.session.flush()

    def resolve(self, integration_id: str, stream: str, keys: Iterable[str]) -> None:
        """Records with these keys have loaded: earlier rejects of them are settled."""
        wanted = sorted(keys)
        for start in range(0, len(wanted), 500):
            self._resolve(integration_id, stream, "loaded later", Reject.record_key.in_(wanted[start : start + 500]))

    def scope_read(self, integration_id: str, stream: str, scope: str) -> None:
        """The scope was read to its end: pages of it that could not be read before have arrived whole."""
        self._resolve(integration_id, stream, "read again", Reject.kind == "page", Reject.scope == scope)

    def drift(self, integration_id: str, stream: str, fields: Iterable[str]) -> set[str]:
        """Remember unknown fields; returns those that are news. What the first read with rows shows is no news."""
        wanted = sorted(fields)
        if not wanted:
            return set()
        read_before = self.session.scalar(
            select(SyncRunStream.run_id)
            .join(SyncRun)
            .where(
                SyncRun.integration_id == integration_id,
                SyncRunStream.stream == stream,
                SyncRunStream.run_id < self.run_id,
                SyncRunStream.rows > 0,
            )
            .limit(1)
        )
        known = set(
            self.session.scalars(
                select(SchemaDrift.field).where(
                    SchemaDrift.integration_id == integration_id, SchemaDrift.stream == stream
                )
            )
        )
        fresh = [name for name in wanted if name not in known]
        is_baseline = read_before is None
        self.session.add_all(
            SchemaDrift(
                integration_id=integration_id, stream=stream, field=name, is_baseline=is_baseline, first_seen=self.now
            )
            for name in fresh
        )
        return set() if is_baseline else set(fresh)

    def watermark(self, integration_id: str, stream: str, scope: str, until: datetime, marks_complete: bool) -> None:
        """The scope was read to its end up to `until`. A watermark never moves back."""
        key = {"integration_id": integration_id, "stream": stream, "scope": scope}
        known = self.session.get(Watermark, tuple(key.values()))
        if known is None:
            self.session.add(Watermark(**key, complete_until=until, marks_complete=marks_complete))
        else:
            known.complete_until = max(known.complete_until, until)
            known.marks_complete = marks_complete
        self.scope_read(integration_id, stream, scope)

    def finish(self, status: str, at: datetime) -> None:
        """The end of the run: ok, partial, failed or skipped."""
        run = self.session.get_one(SyncRun, self.run_id)
        run.status = status
        run.finished_at = at

    def _resolve(self, integration_id: str, stream: str, resolution: str, *which: object) -> None:
        """Settle open rejects of earlier runs; one that this very run has seen again stays open."""
        self.session.execute(
            update(Reject)
            .where(
                Reject.integration_id == integration_id,
                Reject.stream == stream,
                Reject.status == "open",
                Reject.run_id < self.run_id,
                *which,  # type: ignore[arg-type]
            )
            .values(status="resolved", resolved_at=self.now, resolution=resolution)
        )


def reject_identity(integration_id: str, stream: str, reject: records.Reject, landing_reference: str) -> str:
    """The same for the same reject in every run. A record whose key is unknown is known by its bytes and row."""
    subject = reject.record_key
    if not subject or "?" in subject:
        content = hashlib.sha256(reject.payload).hexdigest() if reject.payload else landing_reference
        subject = f"{content}#{reject.row}"
    parts = (integration_id, stream, reject.scope, reject.kind, subject, reject.field, reject.rule)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def open_keys(session: Session, integration_id: str) -> dict[str, set[str]]:
    """Stream -> keys of its open rejects whose record is known by key."""
    found: dict[str, set[str]] = {}
    for stream, key in session.execute(
        select(Reject.stream, Reject.record_key).where(
            Reject.integration_id == integration_id,
            Reject.status == "open",
            or_(Reject.kind == "record", Reject.kind == "unmapped"),
            Reject.record_key != "",
        )
    ):
        found.setdefault(stream, set()).add(key)
    return found
