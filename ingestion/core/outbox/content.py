"""What a journal says: candidates as the marts build them, their content hash, and the references made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from ingestion.core.journal import DocumentKind, JournalLine, JournalType

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REFERENCE_PREFIX = "C4"
REFERENCE_LENGTH = 16
JOURNAL_TYPES = {str(kind): kind for kind in JournalType}  # an enumeration looks a value up ten times as slowly

Booking = tuple[str, str, str]  # account code, target account, component
Amounts = dict[Booking, Decimal]  # signed, debit positive; never zero


class JournalKey(NamedTuple):
    """What has exactly one live content: one journal of one outlet-day."""

    entity_id: str
    outlet_id: str
    business_date: date
    journal_type: JournalType


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """One line of a candidate; `amount` signed in the entity's functional currency, debit positive.

    `target_account` is the code in the target's chart of accounts, "" when none is mapped.
    """

    account_code: str
    target_account: str
    component: str
    amount: Decimal
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the books of the target should hold for a journal, as the marts see it now.

    No lines: the journal has become empty. `is_postable` False holds it back, for `hold_reason`.
    """

    key: JournalKey
    currency: str
    lines: tuple[CandidateLine, ...]
    is_postable: bool = True
    hold_reason: str = ""
    cost_center: str = ""
    tracking_option: str = ""

    @property
    def content_hash(self) -> str:
        return content_hash(self.lines)


def content_hash(lines: Iterable[CandidateLine | JournalLine]) -> str:
    """SHA-256 over account, component and amount of every line, whatever their order or trailing zeros."""
    normal = sorted((line.account_code, line.component, format(line.amount.normalize(), "f")) for line in lines)
    return hashlib.sha256(repr(normal).encode()).hexdigest()


def amounts(lines: Iterable[CandidateLine | JournalLine]) -> Amounts:
    """Net amount per booking, without those that cancel out."""
    totals: Amounts = {}
    for line in lines:
        booking = (line.account_code, line.target_account, line.component)
        totals[booking] = totals.get(booking, Decimal(0)) + line.amount
    return {booking: amount for booking, amount in totals.items() if amount}


def minus(left: Mapping[Booking, Decimal], right: Mapping[Booking, Decimal]) -> Amounts:
    """What must be booked to get from `right` to `left`."""
    return {
        booking: amount
        for booking in left.keys() | right.keys()
        if (amount := left.get(booking, Decimal(0)) - right.get(booking, Decimal(0)))
    }


def by_account(booked: Mapping[Booking, Decimal]) -> dict[tuple[str, str], Decimal]:
    """Net amount per (account, component), whichever code the target has for the account."""
    totals: dict[tuple[str, str], Decimal] = {}
    for (account, _, component), amount in booked.items():
        totals[account, component] = totals.get((account, component), Decimal(0)) + amount
    return {key: amount for key, amount in totals.items() if amount}


def reference(key: JournalKey, version: int, kind: DocumentKind, content: str) -> str:
    """The reference of a document: the same for the same content for ever."""
    return reference_of(*key[:2], key.business_date.isoformat(), key.journal_type, str(version), kind, content)


def reference_of(*parts: str) -> str:
    """16 characters A-Z0-9 beginning with C4, the same for the same parts for ever (72 bits of SHA-256)."""
    number = int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest(), "big")
    digits = []
    for _ in range(REFERENCE_LENGTH - len(REFERENCE_PREFIX)):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return REFERENCE_PREFIX + "".join(digits)


def document_key(key: JournalKey, version: int, kind: DocumentKind) -> str:
    """The readable name of a document: DSJ-JKT-001-20260405-v1, with -reversal or -delta for those."""
    suffix = f"-{kind}" if kind in (DocumentKind.REVERSAL, DocumentKind.DELTA) else ""
    return f"{key.journal_type}-{key.outlet_id}-{key.business_date:%Y%m%d}-v{version}{suffix}"
