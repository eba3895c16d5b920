"""The outbox of one target in the ops database. Every change of status is compare-and-set and leaves an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from ingestion.core.journal import JournalDocument, Receipt
from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import OutboxDocument, OutboxEvent, OutboxLine
from ingestion.core.ops.store import Ops
from ingestion.core.outbox.content import Candidate, JournalKey
from ingestion.core.outbox.entries import Entry, contents, document_row, line_rows, read_entries
from ingestion.core.outbox.states import OPEN, SENDABLE, SETTLED, BookError, Status, move, note


@dataclass(frozen=True, slots=True)
class Planned:
    """A document to be added: its content hash, and its place among the documents of its journal."""

    document: JournalDocument
    content_hash: str
    sequence: int
    needs_approval: bool


@dataclass(frozen=True, slots=True)
class Book:
    """The documents of one target."""

    ops: Ops
    target: str

    # reading

    def entries(self, *statuses: Status) -> list[Entry]:
        """Documents in these statuses; all of them without."""
        which = [OutboxDocument.target == self.target]
        if statuses:
            which.append(OutboxDocument.status.in_(statuses))
        with reading(self.ops.sessions) as session:
            return read_entries(session, *which)

    def journals(self, keys: Iterable[JournalKey]) -> dict[JournalKey, list[Entry]]:
        """Every document of these journals, in order; journals without any are left out."""
        wanted = set(keys)
        found: dict[JournalKey, list[Entry]] = {}
        with reading(self.ops.sessions) as session:
            for entry in read_entries(
                session,
                OutboxDocument.target == self.target,
                OutboxDocument.business_date.in_({key.business_date for key in wanted}),
                OutboxDocument.outlet_id.in_({key.outlet_id for key in wanted}),
            ):
                if entry.key in wanted:
                    found.setdefault(entry.key, []).append(entry)
        return found

    def unchanged(self, candidates: Mapping[JournalKey, Candidate]) -> set[JournalKey]:
        """Journals whose last document is posted and has led to the candidate's very content: nothing to do there.

        After a reversal alone nothing is certain (its repost may be missing), so those are looked at in full.
        """
        same: set[JournalKey] = set()
        with reading(self.ops.sessions) as session:
            for key, settled, content in contents(session, self.target):
                candidate = candidates.get(key)
                if settled and candidate is not None and candidate.content_hash == content:
                    same.add(key)
                else:
                    same.discard(key)
        return same

    def is_new(self) -> bool:
        """Whether this outbox knows of no document in the target: it may have been lost and begun anew."""
        query = select(OutboxDocument.reference).where(
            OutboxDocument.target == self.target, OutboxDocument.status.in_(SETTLED)
        )
        with reading(self.ops.sessions) as session:
            return session.scalar(query.limit(1)) is None

    # changing

    def replace(self, dropped: Sequence[Entry], added: Sequence[Planned]) -> None:
        """Drop unsent documents and add planned ones, in one transaction. Raises BookError when one to drop has
        changed meanwhile.
        """
        if not dropped and not added:
            return
        now = self.ops.now()
        with writing(self.ops.sessions) as session:
            for entry in dropped:
                self._drop(session, entry, now)
            if added:
                session.execute(insert(OutboxDocument), [self._row(planned, now) for planned in added])
                session.execute(insert(OutboxLine), [row for planned in added for row in line_rows(planned.document)])
                note(session, {planned.document.reference: "" for planned in added}, Status.PLANNED, now)

    def sending(self, entries: Sequence[Entry]) -> None:
        """Claim documents for the call that follows. Raises BookError when one is not ours to send."""
        details = {entry.document.reference: "" for entry in entries}
        with writing(self.ops.sessions) as session:
            self._move(
                session,
                details,
                SENDABLE,
                Status.SENDING,
                reason="",
                sent_at=self.ops.now(),
                attempts=OutboxDocument.attempts + 1,
            )

    def settle(self, *, receipts: Sequence[Receipt] = (), others: Sequence[tuple[str, Status, str]] = ()) -> None:
        """The outcome of documents under way: receipts make them posted; `others` are (reference, status, reason).

        Raises BookError for a document that is not under way.
        """
        if not receipts and not others:
            return
        grouped: dict[tuple[Status, str], list[str]] = {}
        for reference, status, reason in others:
            grouped.setdefault((status, reason), []).append(reference)
        with writing(self.ops.sessions) as session:
            if receipts:
                details = {receipt.reference: receipt.external_id for receipt in receipts}
                self._move(session, details, OPEN, Status.POSTED, reason="", posted_at=self.ops.now())
                session.execute(
                    update(OutboxDocument),
                    [
                        {
                            "reference": receipt.reference,
                            "external_id": receipt.external_id,
                            "receipt_total_debit": receipt.total_debit,
                            "receipt_line_count": receipt.line_count,
                        }
                        for receipt in receipts
                    ],
                )
            for (status, reason), references in grouped.items():
                self._move(session, dict.fromkeys(references, reason), OPEN, status, reason=reason)

    def confirm(self, references: Sequence[str]) -> None:
        """These were read back and agree."""
        if not references:
            return
        now = self.ops.now()
        with writing(self.ops.sessions) as session:
            self._move(session, dict.fromkeys(references, ""), {Status.POSTED}, Status.CONFIRMED, confirmed_at=now)

    def explain(self, reasons: Mapping[str, str]) -> None:
        """Say why documents wait: reference -> reason."""
        if not reasons:
            return
        rows = [{"reference": reference, "reason": reason} for reference, reason in reasons.items()]
        with writing(self.ops.sessions) as session:
            session.execute(update(OutboxDocument), rows)

    def _drop(self, session: Session, entry: Entry, now: datetime) -> None:
        reference = entry.document.reference
        session.execute(delete(OutboxLine).where(OutboxLine.reference == reference))
        gone = session.execute(
            delete(OutboxDocument)
            .where(OutboxDocument.reference == reference, OutboxDocument.status == entry.status)
            .returning(OutboxDocument.reference)
        ).first()
        if gone is None:
            raise BookError(f"{reference} is no longer {entry.status}")
        session.add(OutboxEvent(reference=reference, at=now, status="replaced", detail=f"was {entry.status}"))

    def _row(self, planned: Planned, now: datetime) -> dict[str, Any]:
        return document_row(planned.document) | {
            "target": self.target,
            "sequence": planned.sequence,
            "content_hash": planned.content_hash,
            "status": str(Status.PLANNED),
            "reason": "",
            "needs_approval": planned.needs_approval,
            "approved_by": "",
            "attempts": 0,
            "external_id": "",
            "created_at": now,
        }

    def _move(
        self, session: Session, details: Mapping[str, str], allowed: Iterable[Status], status: Status, **values: Any
    ) -> None:
        move(session, OutboxDocument, self.target, details, allowed, status, self.ops.now(), **values)
