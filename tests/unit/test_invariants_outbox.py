"""Random days, random edits, random trouble: whatever happens, the books end up saying exactly what the marts say.

I1 debits equal credits per entry; I2 amounts are whole and not zero; I3 one live content per journal; I7 posting any
day again any number of times changes nothing; I8 reversal with repost equals delta; I9 nothing in a locked period.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.core.journal import JournalDocument
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.store import Ops
from ingestion.core.outbox import Candidate, CandidateLine, JournalKey, export
from tests.ledger import DAY, Ledger, candidate, entity

ACCOUNTS = ("1020", "1210", "2110", "4010", "4110")
OUTLETS = ("JKT-001", "DPS-001")
TROUBLES = ("", "", "not_sent", "lost_before", "lost_after", "silent")
numbers = itertools.count()


@dataclass
class StrictLedger(Ledger):
    """Books that can be examined entry by entry."""

    def check(self) -> None:
        references = [document.reference for document in self.stored]
        assert len(references) == len(set(references)), "a reference is in the books twice"
        for document in self.stored:
            assert sum(line.amount for line in document.lines) == 0
            assert all(line.amount and line.amount == int(line.amount) for line in document.lines)


@dataclass(frozen=True)
class Edit:
    """What the marts say after an edit, and the trouble that the run after it meets."""

    contents: dict[JournalKey, tuple[CandidateLine, ...]]
    troubles: list[str]
    deaf: int
    lock: date | None = field(default=None)


@st.composite
def content(draw: st.DrawFn) -> tuple[CandidateLine, ...]:
    """A balanced journal of whole rupiah, several lines per account allowed; sometimes empty."""
    amounts = draw(st.lists(st.integers(-500, 500).filter(bool), max_size=5))
    accounts = draw(st.lists(st.sampled_from(ACCOUNTS), min_size=len(amounts), max_size=len(amounts)))
    rest = -sum(amounts)
    if rest:
        amounts, accounts = [*amounts, rest], [*accounts, "7095"]
    return tuple(
        CandidateLine(account, f"T{account}", f"c:{account}", Decimal(amount))
        for account, amount in zip(accounts, amounts, strict=True)
    )


@st.composite
def edits(draw: st.DrawFn) -> list[Edit]:
    keys = [
        candidate((), outlet=outlet, day=DAY + timedelta(day)).key
        for outlet, day in draw(
            st.lists(st.tuples(st.sampled_from(OUTLETS), st.integers(0, 2)), min_size=1, max_size=3, unique=True)
        )
    ]
    lock = None
    found = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)) == 0:  # books are locked later and later, never opened again
            lock = max(lock or DAY, DAY + timedelta(draw(st.integers(0, 4))))
        found.append(
            Edit(
                {key: draw(content()) for key in keys},
                draw(st.lists(st.sampled_from(TROUBLES), max_size=4)),
                draw(st.integers(0, 4)),
                lock,
            )
        )
    return found


@dataclass
class Books:
    """One company's books under a correction policy, driven through edits."""

    ops: Ops
    policy: str
    ledger: StrictLedger = field(default_factory=StrictLedger)
    name: str = field(default_factory=lambda: f"E{next(numbers)}")

    def run(self, contents: dict[JournalKey, tuple[CandidateLine, ...]]) -> bool:
        own = entity(self.name, target=self.name, policy=self.policy, lock=self.ledger.locked)
        before = len(self.ledger.stored)
        result = export(self.ops, self.name, self.ledger, [own], list(self._candidates(contents)), sleep=_no_sleep)
        for document in self.ledger.stored[before:]:
            assert self._is_open(document), "posted into a locked period"
        self.ledger.check()
        return result.ok

    def live(self, edit: Edit) -> None:
        """One edit: a run in trouble, then runs without until all is through."""
        self.ledger.locked = edit.lock
        self.ledger.troubles, self.ledger.deaf_after_loss = list(edit.troubles), edit.deaf
        self.run(edit.contents)

    def calm(self, contents: dict[JournalKey, tuple[CandidateLine, ...]]) -> None:
        self.ledger.troubles, self.ledger.deaf, self.ledger.deaf_after_loss = [], 0, 0
        assert any(self.run(contents) for _ in range(3)), "the books do not get there"

    def _candidates(self, contents: dict[JournalKey, tuple[CandidateLine, ...]]) -> Iterator[Candidate]:
        for key, found in contents.items():
            yield candidate(found, outlet=key.outlet_id, day=key.business_date, entity_id=self.name)

    def _is_open(self, document: JournalDocument) -> bool:
        return self.ledger.locked is None or document.posting_date > self.ledger.locked


def _no_sleep(_: float) -> None:
    """Stands in for the pauses between tries."""


def wanted(contents: dict[JournalKey, tuple[CandidateLine, ...]]) -> dict[tuple[str, date, str], Decimal]:
    totals: dict[tuple[str, date, str], Decimal] = {}
    for key, found in contents.items():
        for line in found:
            booking = (key.outlet_id, key.business_date, line.target_account)
            totals[booking] = totals.get(booking, Decimal(0)) + line.amount
    return {booking: amount for booking, amount in totals.items() if amount}


def held(ledger: Ledger) -> dict[tuple[str, date, str], Decimal]:
    """What the books hold per outlet, business date and account."""
    totals: dict[tuple[str, date, str], Decimal] = {}
    for document in ledger.stored:
        for line in document.lines:
            booking = (document.outlet_id, document.business_date, line.target_account)
            totals[booking] = totals.get(booking, Decimal(0)) + line.amount
    return {booking: amount for booking, amount in totals.items() if amount}


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Ops:
    folder = tmp_path_factory.mktemp("ops")
    return Ops.open(f"sqlite:///{folder / 'ops.db'}", Keyring.load(folder / "c4.key"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(life=edits(), policy=st.sampled_from(["reverse_repost", "delta"]))
def test_the_books_end_up_as_the_marts_say(ops: Ops, life: list[Edit], policy: str) -> None:
    """I1, I2, I3, I7, I9 through edits in trouble. Catches: any sequence of edits and faults that leaves a stale,
    doubled or missing amount, or that posts into a locked period.
    """
    books = Books(ops, policy)
    for edit in life:
        books.live(edit)
    books.calm(life[-1].contents)
    assert held(books.ledger) == wanted(life[-1].contents)
    stored = len(books.ledger.stored)
    for _ in range(2):
        assert books.run(life[-1].contents)
    assert len(books.ledger.stored) == stored


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(life=edits())
def test_both_correction_policies_lead_to_the_same_books(ops: Ops, life: list[Edit]) -> None:
    """I8 after every edit. Catches: a policy that loses or doubles a part of a correction."""
    both = [Books(ops, "reverse_repost"), Books(ops, "delta")]
    for edit in life:
        for books in both:
            books.ledger.locked = edit.lock
            books.calm(edit.contents)
        assert held(both[0].ledger) == held(both[1].ledger) == wanted(edit.contents)
