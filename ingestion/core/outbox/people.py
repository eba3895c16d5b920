"""What is asked of the outbox as a whole, and the one thing that people may do to it: release a document."""

from __future__ import annotations

from sqlalchemy import select

from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import AuditEntry, OutboxDocument, OutboxEvent
from ingestion.core.ops.store import Ops
from ingestion.core.outbox.content import JournalKey
from ingestion.core.outbox.entries import contents
from ingestion.core.outbox.states import SENDABLE, BookError, Status


def booked_journals(ops: Ops, target: str) -> dict[JournalKey, str]:
    """Journals of which the target holds, or may come to hold, something: those that marts must not lose silently.

    Each with the hash of the content that the books were brought to, "" where that is not certain: a document of it is
    not settled, or the last one is a reversal, whose repost may be missing.
    """
    found: dict[JournalKey, str] = {}
    unsettled: set[JournalKey] = set()
    with reading(ops.sessions) as session:
        for key, settled, content in contents(session, target):
            found[key] = content
            if not settled:
                unsettled.add(key)
    return found | dict.fromkeys(unsettled, "")


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
            row.approved_by, row.status, row.reason = who, str(Status.PLANNED), ""
            session.add(OutboxEvent(reference=row.reference, at=now, status="approved", detail=f"by {who}"))
            session.add(
                AuditEntry(at=now, who=who, action="approve journal", subject=row.reference, outcome=row.document_key)
            )
        return [row.reference for row in waiting]
