"""The outbox in the ops database: documents, their status and history. Every change of status is compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from ingestion.core.journal import DocumentKind, JournalDocument, JournalLine, JournalType, Receipt
from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import AuditEntry, OutboxDocument, OutboxEvent, OutboxLine
from ingestion.core.ops.store import Ops
from ingestion.core.outbox.content import Candidate, JournalKey


class Status(StrEnum):
    PLANNED = "planned"
    SENDING = "sending"  # committed before the call: the target may have it
    UNCERTAIN = "uncertain"  # sent, and no usable answer came
    FAILED = "failed"  # certainly not in the target; will be tried again
    REJECTED = "rejected"  # the target refused; a person must act
    POSTED = "posted"  # the target gave a receipt
    CONFIRMED = "confirmed"  # read back: total and number of lines are the same


SETTLED = frozenset({Status.POSTED, Status.CONFIRMED})
OPEN = frozenset({Status.SENDING, Status.UNCERTAIN})
SENDABLE = frozenset({Status.PLANNED, Status.FAILED})


class BookError(Exception):
    """A document is not in the status that was expected: somebody else changed it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as it stands in the outbox of `target` (an integration id)."""

    document: JournalDocument
    target: str
    sequence: int
    status: Status
    reason: str
    content_hash: str
    needs_approval: bool
    approved_by: str
    attempts: int
    external_id: str

    @property
    def key(self) -> JournalKey:
        document = self.document
        return JournalKey(document.entity_id, document.outlet_id, document.business_date, document.journal_type)

    @property
    def total_debit(self) -> Decimal:
        return total_debit(self.document)

    @property
    def waits_for_approval(self) -> bool:
        return self.needs_approval and not self.approved_by


def total_debit(document: JournalDocument) -> Decimal:
    return sum((line.amount for line in document.lines if line.amount > 0), Decimal(0))


@dataclass(frozen=True, slots=True)
class Book:
    """The documents of one target."""

    ops: Ops
    target: str

    def entries(self, *statuses: Status) -> list[Entry]:
        """Documents in these statuses (all without), in the order of business date, journal and sequence."""
        query = select(OutboxDocument).where(OutboxDocument.target == self.target)
        if statuses:
            query = query.where(OutboxDocument.status.in_(statuses))
        with reading(self.ops.sessions) as session:
            return _entries(session, query)

    def journals(self, keys: Iterable[JournalKey]) -> dict[JournalKey, list[Entry]]:
        """Every document of these journals, by sequence; journals without any are left out."""
        wanted = set(keys)
        query = select(OutboxDocument).where(
            OutboxDocument.target == self.target,
            OutboxDocument.business_date.in_({key.business_date for key in wanted}),
        )
        found: dict[JournalKey, list[Entry]] = {}
        with reading(self.ops.sessions) as session:
            for entry in _entries(session, query):
                if entry.key in wanted:
                    found.setdefault(entry.key, []).append(entry)
        return found

    def unchanged(self, candidates: Mapping[JournalKey, Candidate]) -> set[JournalKey]:
        """Journals whose last document is posted and has led to the candidate's very content: nothing to do there.

        After a reversal alone nothing is certain (its repost may be missing), so those are looked at in full.
        """
        columns = (
            OutboxDocument.entity_id,
            OutboxDocument.outlet_id,
            OutboxDocument.business_date,
            OutboxDocument.journal_type,
            OutboxDocument.kind,
            OutboxDocument.status,
            OutboxDocument.content_hash,
        )
        same: set[JournalKey] = set()
        with reading(self.ops.sessions) as session:
            query = select(*columns).where(OutboxDocument.target == self.target).order_by(OutboxDocument.sequence)
            for entity, outlet, day, journal_type, kind, status, content in session.execute(query).tuples():
                key = JournalKey(entity, outlet, day, JournalType(journal_type))
                candidate = candidates.get(key)
                settled = status in SETTLED and kind != DocumentKind.REVERSAL
                if settled and candidate is not None and candidate.content_hash == content:
                    same.add(key)
                else:
                    same.discard(key)
        return same

    def replace(self, changes: Sequence[tuple[Sequence[Entry], Sequence[tuple[JournalDocument, str, bool]]]]) -> None:
        """Drop unsent documents and add planned ones: (dropped, [(document, content hash, needs approval)]) per
        journal, all in one transaction. Raises BookError when one to drop has been sent meanwhile.
        """
        if not changes:
            return
        now = self.ops.now()
        documents: list[dict[str, Any]] = []
        lines: list[dict[str, Any]] = []
        with writing(self.ops.sessions) as session:
            for dropped, added in changes:
                for entry in dropped:
                    self._drop(session, entry, now)
                for document, content, needs_approval in added:
                    documents.append(self._row(document, content, needs_approval, now))
                    lines += [_line_row(document.reference, line) for line in document.lines]
            self._number(session, documents)
            if documents:
                session.execute(insert(OutboxDocument), documents)
                session.execute(insert(OutboxLine), lines)
                self._note(session, [row["reference"] for row in documents], Status.PLANNED, "", now)

    def sending(self, entries: Sequence[Entry]) -> None:
        """Claim documents for the call that follows. Raises BookError when one is not ours to send."""
        now = self.ops.now()
        with writing(self.ops.sessions) as session:
            references = [entry.document.reference for entry in entries]
            self._move(session, references, SENDABLE, Status.SENDING, "", sent_at=now)
            session.execute(
                update(OutboxDocument)
                .where(OutboxDocument.reference.in_(references))
                .values(attempts=OutboxDocument.attempts + 1)
            )

    def settle(
        self,
        *,
        receipts: Sequence[Receipt] = (),
        others: Sequence[tuple[str, Status, str]] = (),
    ) -> None:
        """The outcome of documents under way: receipts make them posted; `others` are (reference, status, reason)."""
        if not receipts and not others:
            return
        now = self.ops.now()
        with writing(self.ops.sessions) as session:
            for receipt in receipts:
                self._move(
                    session,
                    [receipt.reference],
                    OPEN,
                    Status.POSTED,
                    "",
                    detail=receipt.external_id,
                    external_id=receipt.external_id,
                    receipt_total_debit=receipt.total_debit,
                    receipt_line_count=receipt.line_count,
                    posted_at=now,
                )
            grouped: dict[tuple[Status, str], list[str]] = {}
            for reference, status, reason in others:
                grouped.setdefault((status, reason), []).append(reference)
            for (status, reason), references in grouped.items():
                self._move(session, references, OPEN, status, reason)

    def confirm(self, references: Sequence[str]) -> None:
        """These were read back and agree."""
        if not references:
            return
        with writing(self.ops.sessions) as session:
            self._move(session, references, {Status.POSTED}, Status.CONFIRMED, "", confirmed_at=self.ops.now())

    def explain(self, reasons: Sequence[tuple[str, str]]) -> None:
        """Say why documents wait: (reference, reason)."""
        if not reasons:
            return
        with writing(self.ops.sessions) as session:
            for reference, reason in reasons:
                session.execute(
                    update(OutboxDocument).where(OutboxDocument.reference == reference).values(reason=reason)
                )

    def is_new(self) -> bool:
        """Whether this outbox knows of no document in the target: it may have been lost and begun anew."""
        with reading(self.ops.sessions) as session:
            known = select(OutboxDocument.reference).where(
                OutboxDocument.target == self.target, OutboxDocument.status.in_(SETTLED)
            )
            return session.scalar(known.limit(1)) is None

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

    def _row(self, document: JournalDocument, content: str, needs_approval: bool, now: datetime) -> dict[str, Any]:
        return {
            "reference": document.reference,
            "document_key": document.document_key,
            "entity_id": document.entity_id,
            "outlet_id": document.outlet_id,
            "business_date": document.business_date,
            "posting_date": document.posting_date,
            "journal_type": str(document.journal_type),
            "kind": str(document.kind),
            "version": document.version,
            "currency": document.currency,
            "narration": document.narration,
            "cost_center": document.cost_center,
            "tracking_option": document.tracking_option,
            "target": self.target,
            "content_hash": content,
            "total_debit": total_debit(document),
            "line_count": len(document.lines),
            "reverses_external_id": document.reverses_external_id,
            "status": str(Status.PLANNED),
            "reason": "",
            "needs_approval": needs_approval,
            "approved_by": "",
            "attempts": 0,
            "external_id": "",
            "created_at": now,
        }

    def _number(self, session: Session, documents: Sequence[dict[str, Any]]) -> None:
        """Give each document the next number of its journal, in the order given."""
        last: dict[tuple[Any, ...], int] = {}
        for row in documents:
            key = (row["entity_id"], row["outlet_id"], row["business_date"], row["journal_type"])
            if key not in last:
                last[key] = (
                    session.scalar(
                        select(OutboxDocument.sequence)
                        .where(
                            OutboxDocument.entity_id == key[0],
                            OutboxDocument.outlet_id == key[1],
                            OutboxDocument.business_date == key[2],
                            OutboxDocument.journal_type == key[3],
                        )
                        .order_by(OutboxDocument.sequence.desc())
                        .limit(1)
                    )
                    or 0
                )
            last[key] += 1
            row["sequence"] = last[key]

    def _move(
        self,
        session: Session,
        references: Sequence[str],
        allowed: Iterable[Status],
        status: Status,
        reason: str,
        detail: str = "",
        **values: Any,
    ) -> None:
        moved = session.scalars(
            update(OutboxDocument)
            .where(
                OutboxDocument.reference.in_(references),
                OutboxDocument.target == self.target,
                OutboxDocument.status.in_([str(item) for item in allowed]),
            )
            .values(status=str(status), reason=reason, **values)
            .returning(OutboxDocument.reference)
        ).all()
        if missing := set(references) - set(moved):
            raise BookError(f"{min(missing)} cannot become {status}: another process changed it")
        self._note(session, references, status, detail or reason, self.ops.now())

    def _note(self, session: Session, references: Iterable[str], status: Status, detail: str, at: datetime) -> None:
        rows = [{"reference": reference, "at": at, "status": str(status), "detail": detail} for reference in references]
        session.execute(insert(OutboxEvent), rows)


def live_journals(ops: Ops, target: str) -> set[JournalKey]:
    """Journals of which the target holds, or may come to hold, something: those that marts must not lose silently."""
    columns = (
        OutboxDocument.entity_id,
        OutboxDocument.outlet_id,
        OutboxDocument.business_date,
        OutboxDocument.journal_type,
    )
    with reading(ops.sessions) as session:
        rows = session.execute(select(*columns).where(OutboxDocument.target == target).distinct()).tuples()
        return {JournalKey(entity, outlet, day, JournalType(kind)) for entity, outlet, day, kind in rows}


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    status: str
    detail: str


def history(ops: Ops, reference: str) -> list[Event]:
    """Everything that happened to a reference, in order."""
    with reading(ops.sessions) as session:
        rows = session.scalars(select(OutboxEvent).where(OutboxEvent.reference == reference).order_by(OutboxEvent.id))
        return [Event(row.at, row.status, row.detail) for row in rows]


def approve(ops: Ops, reference: str, who: str) -> list[str]:
    """A person releases a document that waits for approval or was rejected, together with the other documents of its
    journal's version (a reversal never goes without its repost). Returns the references released; audited.

    Raises LookupError for an unknown reference, BookError when nothing of it waits for a person, ValueError
    without a name.
    """
    if not who.strip():
        raise ValueError("an approval needs the name of the person who gives it")
    now = ops.now()
    with writing(ops.sessions) as session:
        found = session.get(OutboxDocument, reference)
        if found is None:
            raise LookupError(f"no document {reference} in the outbox")
        group = session.scalars(
            select(OutboxDocument).where(
                OutboxDocument.entity_id == found.entity_id,
                OutboxDocument.outlet_id == found.outlet_id,
                OutboxDocument.business_date == found.business_date,
                OutboxDocument.journal_type == found.journal_type,
                OutboxDocument.version == found.version,
            )
        ).all()
        waiting = [
            row
            for row in group
            if row.status == Status.REJECTED or (row.status in SENDABLE and row.needs_approval and not row.approved_by)
        ]
        if not waiting:
            raise BookError(f"{reference} is {found.status} and waits for nobody")
        for row in waiting:
            row.approved_by = who
            row.status = str(Status.PLANNED)
            row.reason = ""
            session.add(OutboxEvent(reference=row.reference, at=now, status="approved", detail=f"by {who}"))
            session.add(
                AuditEntry(at=now, who=who, action="approve journal", subject=row.reference, outcome=row.document_key)
            )
        return [row.reference for row in waiting]


def _entries(session: Session, query: Any) -> list[Entry]:
    rows = session.scalars(
        query.order_by(
            OutboxDocument.business_date,
            OutboxDocument.outlet_id,
            OutboxDocument.journal_type,
            OutboxDocument.sequence,
        )
    ).all()
    wanted = query.with_only_columns(OutboxDocument.reference).order_by(None)
    lines: dict[str, list[JournalLine]] = {}
    for line in session.scalars(
        select(OutboxLine).where(OutboxLine.reference.in_(wanted)).order_by(OutboxLine.reference, OutboxLine.line_no)
    ):
        lines.setdefault(line.reference, []).append(
            JournalLine(line.line_no, line.account_code, line.target_account, line.amount, line.memo, line.component)
        )
    return [_entry(row, tuple(lines.get(row.reference, ()))) for row in rows]


def _entry(row: OutboxDocument, lines: tuple[JournalLine, ...]) -> Entry:
    document = JournalDocument(
        reference=row.reference,
        document_key=row.document_key,
        entity_id=row.entity_id,
        outlet_id=row.outlet_id,
        business_date=row.business_date,
        posting_date=row.posting_date,
        journal_type=JournalType(row.journal_type),
        kind=DocumentKind(row.kind),
        version=row.version,
        currency=row.currency,
        narration=row.narration,
        cost_center=row.cost_center,
        tracking_option=row.tracking_option,
        lines=lines,
        reverses_external_id=row.reverses_external_id,
    )
    return Entry(
        document=document,
        target=row.target,
        sequence=row.sequence,
        status=Status(row.status),
        reason=row.reason,
        content_hash=row.content_hash,
        needs_approval=row.needs_approval,
        approved_by=row.approved_by,
        attempts=row.attempts,
        external_id=row.external_id,
    )


def _line_row(reference: str, line: JournalLine) -> dict[str, Any]:
    return {
        "reference": reference,
        "line_no": line.line_no,
        "account_code": line.account_code,
        "target_account": line.target_account,
        "component": line.component,
        "amount": line.amount,
        "memo": line.memo,
    }
