"""The journal as it travels from the mart to a target system, and what a target must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol


class JournalType(StrEnum):
    DAILY_SALES = "DSJ"
    COGS = "COG"
    LABOR = "LAB"


class DocumentKind(StrEnum):
    """`original` is a first posting; `reversal` + `repost` replace a live one; `delta` adjusts it."""

    ORIGINAL = "original"
    REVERSAL = "reversal"
    REPOST = "repost"
    DELTA = "delta"


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One side of an entry. `amount` is signed in the entity's functional currency: debit > 0, credit < 0, never 0.

    `account_code` is ours; `target_account` is the code in the target's own chart of accounts.
    """

    line_no: int
    account_code: str
    target_account: str
    amount: Decimal
    memo: str
    component: str  # what the line is made of, e.g. tender:qris; the drill key


@dataclass(frozen=True, slots=True)
class JournalDocument:
    """One balanced document for exactly one entity. `reference` (16 characters) identifies it for ever."""

    reference: str
    document_key: str  # human readable: DSJ-JKT-001-20260405-v1
    entity_id: str
    outlet_id: str
    business_date: date
    posting_date: date
    journal_type: JournalType
    kind: DocumentKind
    version: int
    currency: str
    narration: str
    cost_center: str  # the outlet's cost centre in the target (SAP)
    tracking_option: str  # the outlet's tracking option in the target (Xero)
    lines: tuple[JournalLine, ...]
    reverses_external_id: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that the target holds a document: its own id and what it stored, for the read-back."""

    reference: str
    external_id: str
    total_debit: Decimal | None = None
    line_count: int | None = None
    live: bool = True  # False when the target shows it voided or deleted


@dataclass(frozen=True, slots=True)
class Rejection:
    """The target answered and refused; a person must act. `reason` carries the target's own words."""

    reference: str
    reason: str
    code: str = ""


class UncertainOutcomeError(Exception):
    """The request may have been carried out: no usable answer came back. Look up before sending again."""


class NotSentError(Exception):
    """The request was certainly not carried out (refused before commit, throttled, no connection). Safe to repeat."""


class JournalTarget(Protocol):
    """What an ERP or accounting connector offers the outbox.

    `post` returns one outcome per document, matched by reference. It raises `NotSentError` or
    `UncertainOutcomeError` when the whole call failed in transport. It never retries by itself: the outbox does,
    after looking the reference up.
    """

    max_lines: int
    max_documents: int

    def find(self, documents: Sequence[JournalDocument]) -> dict[str, list[Receipt]]:
        """Every document that the target holds for each reference (normally none or one)."""
        ...

    def post(self, documents: Sequence[JournalDocument]) -> list[Receipt | Rejection]: ...

    def lock_date(self) -> date | None:
        """The last locked date of the target's books, where it tells one."""
        ...
