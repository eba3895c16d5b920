"""A document as it stands in the outbox, and how it is read from its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ingestion.core.journal import DocumentKind, JournalDocument, JournalLine, JournalType
from ingestion.core.ops.models import OutboxDocument, OutboxLine
from ingestion.core.outbox.content import JOURNAL_TYPES, JournalKey
from ingestion.core.outbox.states import SETTLED, Status


@dataclass(frozen=True, slots=True)
class Entry:
    """A document and its fate. `content_hash` is that of the candidate it leads to."""

    document: JournalDocument
    sequence: int
    status: Status
    reason: str
    content_hash: str
    needs_approval: bool
    approved_by: str
    external_id: str

    @property
    def key(self) -> JournalKey:
        document = self.document
        return JournalKey(document.entity_id, document.outlet_id, document.business_date, document.journal_type)

    @property
    def waits_for_approval(self) -> bool:
        return self.needs_approval and not self.approved_by


def total_debit(document: JournalDocument) -> Decimal:
    return sum((line.amount for line in document.lines if line.amount > 0), Decimal(0))


def read_entries(session: Session, *which: Any) -> list[Entry]:
    """The documents that fulfil the conditions, by business date and outlet, those of a journal in their order."""
    documents = session.scalars(
        select(OutboxDocument)
        .where(*which)
        .order_by(
            OutboxDocument.business_date,
            OutboxDocument.outlet_id,
            OutboxDocument.journal_type,
            OutboxDocument.sequence,
        )
    ).all()
    lines: dict[str, list[JournalLine]] = {}
    query = (
        select(
            OutboxLine.reference,
            OutboxLine.line_no,
            OutboxLine.account_code,
            OutboxLine.target_account,
            OutboxLine.amount,
            OutboxLine.memo,
            OutboxLine.component,
        )
        .where(OutboxLine.reference.in_(select(OutboxDocument.reference).where(*which)))
        .order_by(OutboxLine.reference, OutboxLine.line_no)
    )
    for row in session.execute(query).tuples():
        lines.setdefault(row[0], []).append(JournalLine(*row[1:]))
    return [_entry(document, tuple(lines.get(document.reference, ()))) for document in documents]


def contents(session: Session, target: str) -> Iterator[tuple[JournalKey, bool, str]]:
    """Every document of a target, those of a journal in their order: its journal, whether it is settled, and the
    hash of the content that it leads to, "" for a reversal: its repost may be missing.
    """
    query = (
        select(
            OutboxDocument.entity_id,
            OutboxDocument.outlet_id,
            OutboxDocument.business_date,
            OutboxDocument.journal_type,
            OutboxDocument.kind,
            OutboxDocument.status,
            OutboxDocument.content_hash,
        )
        .where(OutboxDocument.target == target)
        .order_by(OutboxDocument.sequence)
    )
    for entity, outlet, day, journal_type, kind, status, content in session.execute(query).tuples():
        key = JournalKey(entity, outlet, day, JOURNAL_TYPES[journal_type])
        yield key, status in SETTLED, "" if kind == DocumentKind.REVERSAL else content


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
        sequence=row.sequence,
        status=Status(row.status),
        reason=row.reason,
        content_hash=row.content_hash,
        needs_approval=row.needs_approval,
        approved_by=row.approved_by,
        external_id=row.external_id,
    )


def document_row(document: JournalDocument) -> dict[str, Any]:
    """The columns of a document that it brings itself."""
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
        "total_debit": total_debit(document),
        "line_count": len(document.lines),
        "reverses_external_id": document.reverses_external_id,
    }


def line_rows(document: JournalDocument) -> list[dict[str, Any]]:
    return [
        {
            "reference": document.reference,
            "line_no": line.line_no,
            "account_code": line.account_code,
            "target_account": line.target_account,
            "component": line.component,
            "amount": line.amount,
            "memo": line.memo,
        }
        for line in document.lines
    ]
