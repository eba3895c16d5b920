"""A change at a till, and what a till must be able to do to take one.

Values travel as text that is equal exactly when the values are: a price in the major unit of its currency without idle
zeros ("27500"), a shift as two UTC instants ("2026-04-06T01:00:00Z/2026-04-06T09:00:00Z"), "" for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from ingestion.core.outbox.states import Status


class WriteKind(StrEnum):
    PRICES = "prices"
    SCHEDULES = "schedules"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the till is to hold. `subject` is a SKU or the till's id of an employee, `detail` the job of a shift ("" for
    the only one). `reference` (16 characters) identifies the change for ever; "" while it is only previewed.
    """

    subject: str
    value: str
    detail: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What the till holds now: the key of the record and its value, both "" where a new one would be made."""

    record: str
    value: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The till, or its connector, cannot take this; `reason` in words."""

    reason: str


class WriteTarget(Protocol):
    """What the connector of a till offers.

    `held` answers each wish of one outlet (the vendor's id) in order, with what is there now. `put` writes one: None
    when the till accepted it. It writes over what the last `held` showed, keeps everything else of the record, and
    never retries by itself. Both raise ApiError; `put` raises `NotSentError` or `UncertainOutcomeError` when the call
    failed in transport.
    """

    def held(self, outlet: str, wishes: Sequence[Wish]) -> list[Held | Refused]: ...

    def put(self, outlet: str, wish: Wish, held: Held) -> Refused | None: ...


@dataclass(frozen=True, slots=True)
class Change:
    """A change and its fate. `valid_from` is the outlet's local day, None for at once; an empty `approved_by` waits."""

    reference: str
    document_key: str
    kind: WriteKind
    target: str
    outlet_id: str
    source_outlet_id: str
    subject: str
    detail: str
    version: int
    record: str
    label: str
    currency: str
    old: str
    new: str
    valid_from: date | None
    submission: str
    submitted_by: str
    status: Status
    reason: str
    approved_by: str
    attempts: int
    created_at: datetime
    posted_at: datetime | None

    @property
    def wish(self) -> Wish:
        return Wish(self.subject, self.new, self.detail, self.reference)


@dataclass(frozen=True, slots=True)
class Difference:
    """One row at one outlet: what is there, what is wanted. `refusal` says why it cannot be submitted, "" when it can.

    `old` is what will be there when the change is due: a change that already waits for an earlier day counts.
    `by_rule` names the rule that approves it, "" where a person must.
    """

    place: str
    kind: WriteKind
    outlet_id: str
    wish: Wish
    integration_id: str = ""
    source_outlet_id: str = ""
    currency: str = ""
    valid_from: date | None = None
    record: str = ""
    label: str = ""
    old: str = ""
    refusal: str = ""
    by_rule: str = ""

    @property
    def changes(self) -> bool:
        return self.old != self.wish.value

    @property
    def percent(self) -> Decimal | None:
        """By how much a price changes."""
        return percent(self.old, self.wish.value) if self.kind is WriteKind.PRICES else None


def price_text(price: Decimal) -> str:
    """A price as its value text: the same for 27500 and 27500.00."""
    return format(price.normalize(), "f")


def shift_text(start: datetime, end: datetime) -> str:
    """A shift as its value text; both instants aware."""
    return f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}/{end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def shift_times(value: str) -> tuple[datetime, datetime]:
    """The instants of a shift's value text."""
    start, end = value.split("/")
    return datetime.fromisoformat(start), datetime.fromisoformat(end)


def percent(old: str, new: str) -> Decimal | None:
    """By how much a price changes, in %, two places; None where nothing or zero is there."""
    if not old or not Decimal(old):
        return None
    return ((Decimal(new) - Decimal(old)) / Decimal(old) * 100).quantize(Decimal("0.01"))


def same_thing(kind: WriteKind, one: str, one_day: date | None, other: str, other_day: date | None) -> bool:
    """Whether two wishes for one subject at one outlet exclude each other: prices of one day, shifts that overlap."""
    if kind is WriteKind.PRICES:
        return one_day == other_day
    (start, end), (other_start, other_end) = shift_times(one), shift_times(other)
    return start < other_end and other_start < end
