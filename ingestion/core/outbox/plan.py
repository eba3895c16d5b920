"""What must be sent so that the target's books say what the marts say. Pure: no store, no target, no clock.

The live content of a journal is the sum of its posted documents. Whatever happened before (a reversal without its
repost, a correction half sent), the plan is made from that sum, so it always leads to the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from ingestion.core.config import Entity
from ingestion.core.journal import DocumentKind, JournalDocument, JournalLine, JournalType
from ingestion.core.outbox.content import (
    Amounts,
    Candidate,
    amounts,
    by_account,
    document_key,
    minus,
    reference,
)
from ingestion.core.outbox.entries import Entry
from ingestion.core.outbox.states import OPEN, SETTLED

TITLES = {
    JournalType.DAILY_SALES: "Daily sales",
    JournalType.COGS: "Cost of goods sold",
    JournalType.LABOR: "Labor",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Drop these unsent documents and send these, in this order. `waits` says why nothing can be planned yet."""

    drop: tuple[Entry, ...] = ()
    add: tuple[JournalDocument, ...] = ()
    waits: str = ""


def plan(candidate: Candidate, entries: Sequence[Entry], entity: Entity, locked_until: date | None) -> Plan:
    """The plan of one journal. `entries` are all documents of its key in order; `locked_until` is the last date on
    which nothing may be posted any more.
    """
    unknown = [entry for entry in entries if entry.status in OPEN]
    if unknown:
        return Plan(waits=f"{unknown[0].document.reference} was sent and its outcome is not known yet")
    posted = [entry for entry in entries if entry.status in SETTLED]
    unsent = [entry for entry in entries if entry.status not in SETTLED]
    live = amounts(line for entry in posted for line in entry.document.lines)
    wanted = amounts(candidate.lines)
    if by_account(wanted) == by_account(live):
        return Plan(drop=tuple(unsent))
    if unsent and _leads_there(candidate, minus(wanted, live), unsent, locked_until):
        return Plan()
    return Plan(drop=tuple(unsent), add=tuple(_documents(candidate, posted, live, entity, locked_until)))


def _leads_there(candidate: Candidate, change: Amounts, unsent: Sequence[Entry], locked_until: date | None) -> bool:
    """Whether the documents that already wait do exactly what is needed."""
    documents = [entry.document for entry in unsent]
    return (
        unsent[-1].content_hash == candidate.content_hash
        and amounts(line for document in documents for line in document.lines) == change
        and all(_is_open(document.posting_date, locked_until) for document in documents)
        and all(
            (document.currency, document.cost_center, document.tracking_option)
            == (candidate.currency, candidate.cost_center, candidate.tracking_option)
            for document in documents
        )
    )


def _documents(
    candidate: Candidate, posted: Sequence[Entry], live: Amounts, entity: Entity, locked_until: date | None
) -> list[JournalDocument]:
    version = max((entry.document.version for entry in posted), default=0) + 1
    wanted = amounts(candidate.lines)
    is_open = _is_open(candidate.key.business_date, locked_until)
    if not posted:
        return [_document(candidate, DocumentKind.ORIGINAL, version, _numbered(candidate), locked_until)]
    # A pure reversal is the same under both policies; in a locked period everything is a delta on an open day.
    if not is_open or (entity.correction_policy == "delta" and wanted):
        change = _lines(minus(wanted, live), "correction")
        return [_document(candidate, DocumentKind.DELTA, version, change, locked_until)]
    documents = []
    if live:
        undone = _lines({booking: -amount for booking, amount in live.items()}, "reversal")
        reversed_id = posted[-1].external_id
        documents.append(_document(candidate, DocumentKind.REVERSAL, version, undone, locked_until, reversed_id))
    if wanted:
        documents.append(_document(candidate, DocumentKind.REPOST, version, _numbered(candidate), locked_until))
    return documents


def _document(
    candidate: Candidate,
    kind: DocumentKind,
    version: int,
    lines: tuple[JournalLine, ...],
    locked_until: date | None,
    reverses: str = "",
) -> JournalDocument:
    key = candidate.key
    posting_date = key.business_date
    narration = f"{TITLES[key.journal_type]} {key.outlet_id} {key.business_date}"
    if kind is not DocumentKind.ORIGINAL:
        narration += f", {kind} v{version}"
    if locked_until is not None and not _is_open(posting_date, locked_until):
        posting_date = locked_until + timedelta(days=1)
        narration += f" (belongs to {key.business_date}, books locked until {locked_until})"
    return JournalDocument(
        reference=reference(key, version, kind, candidate.content_hash),
        document_key=document_key(key, version, kind),
        entity_id=key.entity_id,
        outlet_id=key.outlet_id,
        business_date=key.business_date,
        posting_date=posting_date,
        journal_type=key.journal_type,
        kind=kind,
        version=version,
        currency=candidate.currency,
        narration=narration,
        cost_center=candidate.cost_center,
        tracking_option=candidate.tracking_option,
        lines=lines,
        reverses_external_id=reverses,
    )


def _numbered(candidate: Candidate) -> tuple[JournalLine, ...]:
    return tuple(
        JournalLine(number, line.account_code, line.target_account, line.amount, line.memo, line.component)
        for number, line in enumerate(candidate.lines, start=1)
    )


def _lines(change: Amounts, memo: str) -> tuple[JournalLine, ...]:
    return tuple(
        JournalLine(number, account, target_account, amount, f"{memo}: {component}", component)
        for number, ((account, target_account, component), amount) in enumerate(sorted(change.items()), start=1)
    )


def _is_open(day: date, locked_until: date | None) -> bool:
    return locked_until is None or day > locked_until


def refusal(
    candidate: Candidate, documents: Sequence[JournalDocument], entity: Entity, locked_until: date | None
) -> str:
    """Why these documents must not be sent, in words; "" when they may. Trusts no earlier run and no mart."""
    if candidate.currency != entity.currency:
        return f"is in {candidate.currency}, the books of {entity.entity_id} are in {entity.currency}"
    if entity.posts_from is not None and candidate.key.business_date < entity.posts_from:
        return f"is of {candidate.key.business_date}, {entity.entity_id} posts from {entity.posts_from} on"
    unit = Decimal(1).scaleb(-entity.currency_exponent)
    for document in documents:
        where = document.document_key
        total = sum((line.amount for line in document.lines), Decimal(0))
        if total:
            return f"{where} does not balance: debits exceed credits by {total}"
        if (document.entity_id, document.currency) != (entity.entity_id, entity.currency):
            return f"{where} belongs to {document.entity_id} in {document.currency}"
        if not document.lines:
            return f"{where} has no lines"
        if not _is_open(document.posting_date, locked_until):
            return f"{where} is dated {document.posting_date}, the books are locked until {locked_until}"
        for line in document.lines:
            if not line.amount:
                return f"{where} line {line.line_no} ({line.component}): the amount is zero"
            if line.amount != line.amount.quantize(unit):
                return f"{where} line {line.line_no} ({line.component}): {line.amount} is no multiple of {unit}"
            if not line.target_account:
                return f"{where} line {line.line_no}: account {line.account_code} has no account in the target"
    return ""
