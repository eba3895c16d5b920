"""A target's books in memory, for tests of the outbox: stores whatever it is sent, duplicates included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from ingestion.core.config import Entity
from ingestion.core.errors import RetriableError
from ingestion.core.journal import (
    JournalDocument,
    JournalType,
    NotSentError,
    Receipt,
    Rejection,
    UncertainOutcomeError,
)
from ingestion.core.outbox import Candidate, CandidateLine, JournalKey

DAY = date(2026, 4, 5)


@dataclass
class Ledger:
    """`troubles` are used up one per posting: not_sent, lost_before, lost_after, silent, or "" for none."""

    max_lines: int = 100
    max_documents: int = 10
    locked: date | None = None
    stored: list[JournalDocument] = field(default_factory=list)
    void: set[int] = field(default_factory=set)  # numbers of voided documents
    troubles: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)  # document key -> words
    deaf: int = 0  # look-ups that are not answered
    deaf_after_loss: int = 0  # the same, beginning with the next lost answer
    calls: list[list[str]] = field(default_factory=list)  # document keys of each posting

    def find(self, documents: Sequence[JournalDocument]) -> dict[str, list[Receipt]]:
        if self.deaf:
            self.deaf -= 1
            raise RetriableError("the books do not answer", 503)
        wanted = {document.reference for document in documents}
        found: dict[str, list[Receipt]] = {}
        for number, document in enumerate(self.stored):
            if document.reference in wanted:
                found.setdefault(document.reference, []).append(self._receipt(number))
        return found

    def post(self, documents: Sequence[JournalDocument]) -> list[Receipt | Rejection]:
        self.calls.append([document.document_key for document in documents])
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "not_sent":
            raise NotSentError("answered 429")
        if trouble.startswith("lost"):
            self.deaf, self.deaf_after_loss = self.deaf_after_loss, 0
        if trouble == "lost_before":
            raise UncertainOutcomeError("timeout")
        outcomes: list[Receipt | Rejection] = []
        for document in documents:
            if words := self.refusals.get(document.document_key, self._refused(document)):
                outcomes.append(Rejection(document.reference, words, "R1"))
            else:
                self.stored.append(document)
                outcomes.append(self._receipt(len(self.stored) - 1))
        if trouble == "lost_after":
            raise UncertainOutcomeError("connection reset")
        return outcomes[:-1] if trouble == "silent" else outcomes

    def lock_date(self) -> date | None:
        return self.locked

    def _refused(self, document: JournalDocument) -> str:
        return "the period is locked" if self.locked and document.posting_date <= self.locked else ""

    def _receipt(self, number: int) -> Receipt:
        document = self.stored[number]
        return Receipt(
            document.reference,
            f"doc-{number}",
            sum((line.amount for line in document.lines if line.amount > 0), Decimal(0)),
            len(document.lines),
            live=number not in self.void,
        )

    def live(self) -> list[JournalDocument]:
        return [document for number, document in enumerate(self.stored) if number not in self.void]

    def balances(self) -> dict[tuple[str, str], Decimal]:
        """(outlet, target account) -> balance, without those that are zero."""
        totals: dict[tuple[str, str], Decimal] = {}
        for document in self.live():
            for line in document.lines:
                key = (document.outlet_id, line.target_account)
                totals[key] = totals.get(key, Decimal(0)) + line.amount
        return {key: amount for key, amount in totals.items() if amount}


def entity(
    entity_id: str = "NKI",
    target: str = "books",
    policy: str = "reverse_repost",
    *,
    limit: Decimal = Decimal("1e15"),
    lock: date | None = None,
    exponent: int = 0,
    posts_from: date | None = None,
) -> Entity:
    return Entity(
        entity_id=entity_id,
        name=entity_id,
        currency="IDR",
        currency_exponent=exponent,
        country="ID",
        target=target,
        correction_policy=policy,  # type: ignore[arg-type]
        approval_limit=limit,
        lock_date=lock,
        posts_from=posts_from,
    )


def lines(**accounts: int | str | Decimal) -> tuple[CandidateLine, ...]:
    """Lines from `a1020=100`: account 1020, debit positive; the component is named after the account."""
    return tuple(
        CandidateLine(name[1:], f"T{name[1:]}", f"component:{name[1:]}", Decimal(amount))
        for name, amount in accounts.items()
    )


def candidate(
    content: tuple[CandidateLine, ...],
    *,
    outlet: str = "JKT-001",
    day: date = DAY,
    entity_id: str = "NKI",
    kind: JournalType = JournalType.DAILY_SALES,
    hold: str = "",
    currency: str = "IDR",
    cost_center: str = "CC1",
) -> Candidate:
    return Candidate(
        JournalKey(entity_id, outlet, day, kind),
        currency,
        content,
        is_postable=not hold,
        hold_reason=hold,
        cost_center=cost_center,
        tracking_option=outlet,
    )
