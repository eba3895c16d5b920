"""The outbox against books in memory: what is planned, in which order it goes, and what every kind of trouble does."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.core.config import Entity
from ingestion.core.journal import DocumentKind, JournalType
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.incidents import Severity
from ingestion.core.ops.leases import TERM, LeaseHeldError, LeaseLostError, lease
from ingestion.core.ops.store import Ops
from ingestion.core.outbox import Candidate, ExportResult, Status, approve, booked_journals, export, history
from ingestion.core.outbox.book import Book
from ingestion.core.outbox.content import JournalKey, content_hash, reference
from ingestion.core.outbox.states import BookError
from tests.forks import forked
from tests.ledger import DAY, Ledger, candidate, entity, lines

FIRST = lines(a1020=110, a4010=-100, a2110=-10)
CHANGED = lines(a1020=88, a4010=-80, a2110=-8)


class Desk:
    """An ops database, one target's books, and the pauses that were asked for instead of slept."""

    def __init__(self, folder: Path, url: str) -> None:
        self.now = datetime(2026, 4, 6, 22, 0, tzinfo=UTC)
        self.ops = Ops.open(url, Keyring.load(folder / "c4.key"), lambda: self.now)
        self.ledger = Ledger()
        self.entities: list[Entity] = [entity()]
        self.pauses: list[float] = []

    def run(self, *candidates: Candidate, restored: bool = False) -> ExportResult:
        return export(
            self.ops,
            "books",
            self.ledger,
            self.entities,
            candidates,
            restored=restored,
            sleep=self.pauses.append,
        )

    def statuses(self) -> list[tuple[str, str]]:
        return [(entry.document.document_key, str(entry.status)) for entry in Book(self.ops, "books").entries()]

    def kinds(self) -> list[str]:
        return [str(document.kind) for document in self.ledger.stored]

    def incidents(self) -> dict[str, Severity]:
        return {item.incident.key: item.incident.severity for item in self.ops.incidents.current()}


@pytest.fixture
def desk(tmp_path: Path, ops_url: str) -> Desk:
    return Desk(tmp_path, ops_url)


# references


def test_a_reference_depends_on_the_content_and_nothing_else() -> None:
    """Catches: a reference that changes with the order of lines or with trailing zeros, or that is too long."""
    key = JournalKey("NKI", "JKT-001", DAY, JournalType.DAILY_SALES)
    same = tuple(replace(line, amount=line.amount.quantize(Decimal("0.01"))) for line in reversed(FIRST))
    assert content_hash(same) == content_hash(FIRST) != content_hash(CHANGED)
    made = reference(key, 1, DocumentKind.ORIGINAL, content_hash(FIRST))
    assert re.fullmatch(r"C4[A-Z0-9]{14}", made)
    assert made == reference(key, 1, DocumentKind.ORIGINAL, content_hash(same))
    others = [
        reference(key._replace(outlet_id="JKT-002"), 1, DocumentKind.ORIGINAL, content_hash(FIRST)),
        reference(key._replace(entity_id="NBT"), 1, DocumentKind.ORIGINAL, content_hash(FIRST)),
        reference(key._replace(business_date=DAY + timedelta(1)), 1, DocumentKind.ORIGINAL, content_hash(FIRST)),
        reference(key._replace(journal_type=JournalType.LABOR), 1, DocumentKind.ORIGINAL, content_hash(FIRST)),
        reference(key, 2, DocumentKind.ORIGINAL, content_hash(FIRST)),
        reference(key, 1, DocumentKind.DELTA, content_hash(FIRST)),
        reference(key, 1, DocumentKind.ORIGINAL, content_hash(CHANGED)),
    ]
    assert len({made, *others}) == len(others) + 1


# planning


def test_a_journal_goes_once_and_is_confirmed(desk: Desk) -> None:
    """Catches: a second night that posts again; a document that stays posted although the books agree."""
    first = desk.run(candidate(FIRST))
    assert first.ok
    assert desk.statuses() == [("DSJ-JKT-001-20260405-v1", "confirmed")]
    second = desk.run(candidate(tuple(reversed(FIRST))))
    assert second.ok
    assert (second.planned, second.posted, second.confirmed) == ([], [], [])
    assert len(desk.ledger.calls) == 1
    assert [event.status for event in history(desk.ops, first.posted[0])] == [
        "planned",
        "sending",
        "posted",
        "confirmed",
    ]
    assert booked_journals(desk.ops, "books") == {candidate(FIRST).key: content_hash(FIRST)}


def test_a_changed_journal_is_reversed_and_posted_anew(desk: Desk) -> None:
    """Catches: a correction that leaves the first version in the books, or sends the repost first."""
    desk.run(candidate(FIRST))
    desk.run(candidate(CHANGED))
    assert desk.kinds() == ["original", "reversal", "repost"]
    assert [document.version for document in desk.ledger.stored] == [1, 2, 2]
    assert desk.ledger.stored[1].reverses_external_id == "doc-0"
    assert desk.ledger.calls[1:] == [["DSJ-JKT-001-20260405-v2-reversal"], ["DSJ-JKT-001-20260405-v2"]]
    assert desk.ledger.balances() == {
        ("JKT-001", "T1020"): 88,
        ("JKT-001", "T4010"): -80,
        ("JKT-001", "T2110"): -8,
    }


@pytest.mark.parametrize("policy", ["reverse_repost", "delta"])
def test_a_void_after_posting_as_in_the_worked_example(desk: Desk, policy: str) -> None:
    """The correction of a day of 40,734,300: a takeaway check of 100,000 + 10,000 tax paid by QRIS is voided later.

    Catches: policies that end in different balances; a correction that is not 110,000 or 40,624,300.
    """
    desk.entities = [entity(policy=policy)]
    debits = "1020=6009300 7010=100000 7090=5000 1210=12300000 1220=4000000 1230=9000000 1250=5500000 1190=2000000"
    contra = "2310=-600000 4110=1000000 4120=200000 4130=200000 2110=-3274000"
    credit = (
        "4010=-18000000 4040=-6000000 4020=-4000000 4030=-5000000 4080=-1140000 2210=-300000 2320=-2000000 7095=-300"
    )
    day = {f"a{name}": amount for name, amount in (item.split("=") for item in f"{debits} {contra} {credit}".split())}
    assert desk.run(candidate(lines(**day))).ok
    voided = day | {"a4020": "-3900000", "a2110": "-3264000", "a1230": "8890000"}
    assert desk.run(candidate(lines(**voided))).ok
    balances = {account: amount for (_, account), amount in desk.ledger.balances().items()}
    assert balances == {f"T{name[1:]}": Decimal(amount) for name, amount in voided.items()}
    if policy == "delta":
        (change,) = desk.ledger.stored[1:]
        assert {line.account_code: line.amount for line in change.lines} == {
            "4020": 100000,
            "2110": 10000,
            "1230": -110000,
        }
    else:
        assert desk.kinds()[1:] == ["reversal", "repost"]


@pytest.mark.parametrize("where", ["entity", "target"])
def test_a_locked_period_gets_one_delta_on_the_first_open_day(desk: Desk, where: str) -> None:
    """Catches: a posting into a locked period; a correction that does not say to which day it belongs."""
    desk.run(candidate(FIRST))
    lock = date(2026, 4, 30)
    if where == "entity":
        desk.entities = [entity(lock=lock)]
    else:
        desk.ledger.locked = lock
    assert desk.run(candidate(CHANGED)).ok
    (change,) = desk.ledger.stored[1:]
    assert (change.kind, change.posting_date, change.business_date) == ("delta", date(2026, 5, 1), DAY)
    assert "2026-04-05" in change.narration
    assert "2026-04-30" in change.narration
    assert desk.ledger.balances()["JKT-001", "T4010"] == -80


def test_a_first_posting_into_a_locked_period_moves_to_the_first_open_day(desk: Desk) -> None:
    """Catches: a late outlet-day that is lost or forced into closed books."""
    desk.ledger.locked = date(2026, 4, 30)
    assert desk.run(candidate(FIRST)).ok
    (document,) = desk.ledger.stored
    assert (document.kind, document.posting_date) == ("original", date(2026, 5, 1))


def test_nothing_is_posted_from_before_the_entity_posts(desk: Desk) -> None:
    """Catches: an export that trusts marts which were built before posting was told to begin later."""
    desk.entities = [entity(posts_from=DAY + timedelta(days=1))]
    (problem,) = desk.run(candidate(FIRST)).problems
    assert "NKI posts from 2026-04-06 on" in problem.title
    assert desk.ledger.stored == []
    desk.entities = [entity(posts_from=DAY)]
    assert desk.run(candidate(FIRST)).ok
    assert len(desk.ledger.stored) == 1


def test_a_lock_between_planning_and_sending_moves_the_document(desk: Desk) -> None:
    """Catches: a document planned yesterday that is sent into books locked today."""
    desk.ledger.troubles = ["not_sent"] * 9
    assert not desk.run(candidate(FIRST)).ok
    desk.ledger.troubles = []
    desk.ledger.locked = date(2026, 4, 30)
    assert desk.run(candidate(FIRST)).ok
    assert [document.posting_date for document in desk.ledger.stored] == [date(2026, 5, 1)]


@pytest.mark.parametrize("policy", ["reverse_repost", "delta"])
def test_an_emptied_journal_is_reversed_and_can_come_back(desk: Desk, policy: str) -> None:
    """Catches: a repost without lines; a day that stays empty when its checks come back with the same content."""
    desk.entities = [entity(policy=policy)]
    desk.run(candidate(FIRST))
    assert desk.run(candidate(())).ok
    assert desk.kinds() == ["original", "reversal"]
    assert desk.ledger.balances() == {}
    assert desk.run(candidate(())).planned == []
    assert desk.run(candidate(FIRST)).ok
    assert desk.ledger.balances()["JKT-001", "T1020"] == 110
    assert len(desk.ledger.stored) == 3


def test_a_net_change_of_zero_posts_nothing(desk: Desk) -> None:
    """Catches: a correction because lines were split or joined while every account stays as it was."""
    desk.run(candidate(FIRST))
    split = (*FIRST[1:], replace(FIRST[0], amount=Decimal(60)), replace(FIRST[0], amount=Decimal(50)))
    assert content_hash(split) != content_hash(FIRST)
    assert desk.run(candidate(split)).planned == []
    assert len(desk.ledger.stored) == 1


def test_what_was_not_sent_is_replaced_by_the_newest_content(desk: Desk) -> None:
    """Catches: a stale version that goes out first, or both that go."""
    desk.ledger.troubles = ["not_sent"] * 9
    desk.run(candidate(FIRST))
    desk.ledger.troubles = []
    assert desk.run(candidate(CHANGED)).ok
    assert desk.kinds() == ["original"]
    assert desk.ledger.balances()["JKT-001", "T1020"] == 88


def test_what_may_have_been_sent_is_never_replaced(desk: Desk) -> None:
    """Catches: a new version planned on top of a document whose outcome is unknown: both could end up live."""
    desk.ledger.troubles, desk.ledger.deaf_after_loss = ["lost_after"], 3
    first = desk.run(candidate(FIRST))
    assert desk.statuses() == [("DSJ-JKT-001-20260405-v1", "uncertain")]
    assert not first.ok
    desk.ledger.deaf = 3
    second = desk.run(candidate(CHANGED))
    assert "outcome is not known" in second.held[candidate(CHANGED).key]
    assert len(desk.ledger.stored) == 1
    assert desk.run(candidate(CHANGED)).ok
    assert desk.kinds() == ["original", "reversal", "repost"]
    assert desk.ledger.balances()["JKT-001", "T1020"] == 88


def test_a_half_sent_correction_is_completed_from_what_is_live(desk: Desk) -> None:
    """Catches: a reversal without its repost, then another edit: the sum of what is posted must decide."""
    desk.run(candidate(FIRST))
    desk.ledger.refusals = {"DSJ-JKT-001-20260405-v2": "account 4010 is inactive"}
    assert not desk.run(candidate(CHANGED)).ok
    assert desk.kinds() == ["original", "reversal"]
    again = lines(a1020=77, a4010=-70, a2110=-7)
    assert desk.run(candidate(again)).ok
    assert desk.kinds() == ["original", "reversal", "repost"]
    assert desk.ledger.balances()["JKT-001", "T1020"] == 77


def test_a_correction_moves_amounts_between_accounts_of_the_target(desk: Desk) -> None:
    """Catches: a delta that leaves the old part on an account code that the target no longer uses for it."""
    desk.entities = [entity(policy="delta")]
    desk.run(candidate(FIRST))
    moved = tuple(replace(line, target_account="NEW") if line.account_code == "1020" else line for line in CHANGED)
    desk.run(candidate(moved))
    assert desk.ledger.balances() == {
        ("JKT-001", "NEW"): 88,
        ("JKT-001", "T4010"): -80,
        ("JKT-001", "T2110"): -8,
    }


# refusing and holding


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (candidate(lines(a1020=110, a4010=-100)), "does not balance: debits exceed credits by 10"),
        (candidate(lines(a1020=100, a4010=-100, a7095=0)), "line 3 (component:7095): the amount is zero"),
        (candidate(lines(a1020="100.5", a4010="-100.5")), "line 1 (component:1020): 100.5 is no multiple of 1"),
        (candidate((replace(FIRST[0], target_account=""), *FIRST[1:])), "account 1020 has no account in the target"),
        (candidate(FIRST, currency="AUD"), "is in AUD, the books of NKI are in IDR"),
    ],
    ids=["unbalanced", "zero", "fraction", "unmapped", "currency"],
)
def test_what_is_wrong_is_refused_with_words(desk: Desk, wrong: Candidate, words: str) -> None:
    """Catches: an entry that must never reach the books, a refusal that nobody sees, an incident that stays."""
    result = desk.run(wrong)
    assert not result.ok
    assert words in result.problems[0].title
    assert desk.ledger.calls == []
    assert list(desk.incidents().values()) == [Severity.ERROR]
    assert desk.run(candidate(FIRST)).ok
    assert desk.incidents() == {}
    assert desk.kinds() == ["original"]


def test_a_document_longer_than_the_target_takes_is_refused(desk: Desk) -> None:
    """Catches: a document that is cut, or one that blocks all others."""
    desk.ledger.max_lines = 3
    long = candidate(lines(a1=1, a2=1, a3=1, a4=-3), outlet="JKT-002")
    result = desk.run(candidate(FIRST), long)
    assert [document.outlet_id for document in desk.ledger.stored] == ["JKT-001"]
    assert "it has 4 lines, the target takes 3" in result.problems[0].title


def test_amounts_may_have_the_decimals_of_their_currency(desk: Desk) -> None:
    """Catches: cents refused for a currency that has them."""
    desk.entities = [entity(exponent=2)]
    assert desk.run(candidate(lines(a1="100.55", a2="-100.55"))).ok
    assert not desk.run(candidate(lines(a1="100.555", a2="-100.555"))).ok


def test_a_held_day_waits_even_with_a_document_planned_before(desk: Desk) -> None:
    """Catches: a document planned yesterday that goes out although today's checks hold the day back."""
    desk.ledger.troubles = ["not_sent"] * 9
    desk.run(candidate(FIRST))
    desk.ledger.troubles = []
    calls = len(desk.ledger.calls)
    result = desk.run(candidate(FIRST, hold="control totals differ"))
    assert result.ok
    assert result.held == {candidate(FIRST).key: "control totals differ"}
    assert len(desk.ledger.calls) == calls
    assert desk.run(candidate(FIRST)).ok
    assert desk.kinds() == ["original"]


def test_a_journal_that_left_the_marts_is_not_sent(desk: Desk) -> None:
    """Catches: a document sent by faith in an earlier run's snapshot."""
    desk.ledger.troubles = ["not_sent"] * 9
    desk.run(candidate(FIRST))
    desk.ledger.troubles = []
    calls = len(desk.ledger.calls)
    assert candidate(FIRST).key in desk.run().held
    assert len(desk.ledger.calls) == calls


def test_candidates_of_another_target_or_twice_are_an_error(desk: Desk) -> None:
    """Catches: one entity's journal in another entity's books."""
    with pytest.raises(ValueError, match="NBT does not post to books"):
        desk.run(candidate(FIRST, entity_id="NBT"))
    with pytest.raises(ValueError, match="two candidates"):
        desk.run(candidate(FIRST), candidate(CHANGED))


# approval


def test_a_large_journal_waits_for_a_person(desk: Desk) -> None:
    """Catches: an amount over the limit that goes by itself; an approval that outlives the content it was given for."""
    desk.entities = [entity(limit=Decimal(100))]
    result = desk.run(candidate(FIRST))
    assert result.ok
    assert desk.ledger.calls == []
    (waiting,) = result.awaiting_approval
    desk.run(candidate(CHANGED, cost_center="CC2"))
    assert desk.kinds() == ["original"]  # 88 is under the limit, and the one that waited is gone
    assert desk.run(candidate(FIRST, cost_center="CC2")).awaiting_approval
    with pytest.raises(LookupError):
        approve(desk.ops, waiting, "Sari")


def test_an_approval_releases_a_reversal_with_its_repost(desk: Desk) -> None:
    """Catches: a reversal in the books while its repost waits; an approval that is not in the audit log."""
    desk.run(candidate(FIRST))
    desk.entities = [entity(limit=Decimal(100))]
    result = desk.run(candidate(CHANGED))
    assert desk.kinds() == ["original"]
    assert len(result.awaiting_approval) == 2
    with pytest.raises(ValueError, match="name of the person"):
        approve(desk.ops, result.awaiting_approval[0], " ")
    approve(desk.ops, result.awaiting_approval[0], "Sari")
    assert desk.run(candidate(CHANGED)).ok
    assert desk.kinds() == ["original", "reversal", "repost"]
    assert [(entry["who"], entry["action"]) for entry in desk.ops.audit_log(1)] == [("Sari", "approve journal")]
    with pytest.raises(BookError, match="waits for nobody"):
        approve(desk.ops, result.awaiting_approval[0], "Sari")


# sending


def test_throttling_is_retried_with_growing_pauses_and_a_bound(desk: Desk) -> None:
    """Catches: a retry without a bound, without a pause, or one that gives up for ever."""
    desk.ledger.troubles = ["not_sent", "not_sent"]
    assert desk.run(candidate(FIRST)).ok
    assert desk.pauses == [1.0, 2.0]
    desk.ledger.troubles = ["not_sent"] * 99
    result = desk.run(candidate(CHANGED))
    assert not result.ok
    assert len(desk.ledger.calls) == 3 + 4
    assert "answered 429" in result.problems[0].title
    assert desk.incidents() == {"journal:books:sending": Severity.ERROR}
    desk.ledger.troubles = []
    assert desk.run(candidate(CHANGED)).ok
    assert desk.kinds() == ["original", "reversal", "repost"]


def test_a_target_that_is_down_is_left_alone_after_a_few_calls(desk: Desk) -> None:
    """Catches: a night that knocks at a dead system once per document."""
    desk.ledger.max_documents = 1
    desk.ledger.troubles = ["not_sent"] * 99
    days = [candidate(FIRST, outlet=f"JKT-{number:03}") for number in range(20)]
    result = desk.run(*days)
    assert len(desk.ledger.calls) == 5
    assert "20 documents are still to be sent" in result.problems[0].title
    desk.ledger.troubles = []
    assert desk.run(*days).ok
    assert len(desk.ledger.stored) == 20


@pytest.mark.parametrize("trouble", ["lost_before", "lost_after"])
def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(desk: Desk, trouble: str) -> None:
    """Catches: the duplicate after a timeout that hid a success, the gap after one that hid nothing."""
    desk.ledger.troubles = [trouble]
    assert desk.run(candidate(FIRST)).ok
    assert desk.kinds() == ["original"]
    assert len(desk.ledger.calls) == (2 if trouble == "lost_before" else 1)


def test_a_lost_answer_and_a_deaf_target_wait_for_the_next_run(desk: Desk) -> None:
    """Catches: a guess where nobody can know."""
    desk.ledger.troubles, desk.ledger.deaf_after_loss = ["lost_after"], 3
    result = desk.run(candidate(FIRST))
    assert desk.statuses() == [("DSJ-JKT-001-20260405-v1", "uncertain")]
    assert "does not tell their outcome" in result.problems[0].title
    assert desk.run(candidate(FIRST)).ok
    assert len(desk.ledger.stored) == 1


def test_documents_that_the_answer_does_not_mention_are_looked_up(desk: Desk) -> None:
    """Catches: a partial answer taken for a full one."""
    desk.ledger.troubles = ["silent"]
    assert desk.run(candidate(FIRST), candidate(FIRST, outlet="JKT-002")).ok
    assert [status for _, status in desk.statuses()] == ["confirmed", "confirmed"]
    assert len(desk.ledger.stored) == 2


def test_a_rejection_stops_its_journal_only_and_waits_for_a_person(desk: Desk) -> None:
    """Catches: one refused document that takes its batch along, or that is sent again every night."""
    desk.ledger.refusals = {"DSJ-JKT-001-20260405-v1": "cost center CC1 is locked"}
    result = desk.run(candidate(FIRST), candidate(FIRST, outlet="JKT-002"))
    assert [document.outlet_id for document in desk.ledger.stored] == ["JKT-002"]
    (problem,) = result.problems
    assert "R1 cost center CC1 is locked" in problem.title
    calls = len(desk.ledger.calls)
    assert not desk.run(candidate(FIRST), candidate(FIRST, outlet="JKT-002")).ok
    assert len(desk.ledger.calls) == calls
    desk.ledger.refusals = {}
    approve(desk.ops, problem.subject, "Sari")
    assert desk.run(candidate(FIRST), candidate(FIRST, outlet="JKT-002")).ok
    assert len(desk.ledger.stored) == 2


def test_a_rejected_document_with_mended_settings_is_planned_anew(desk: Desk) -> None:
    """Catches: a rejection that outlives its cause although the configuration was mended."""
    desk.ledger.refusals = {"DSJ-JKT-001-20260405-v1": "unknown cost center"}
    desk.run(candidate(FIRST))
    desk.ledger.refusals = {}
    assert desk.run(candidate(FIRST, cost_center="CC9")).ok
    assert [document.cost_center for document in desk.ledger.stored] == ["CC9"]


def test_a_rejected_reversal_keeps_its_repost_back(desk: Desk) -> None:
    """Catches: sales booked twice because the repost went although the reversal was refused."""
    desk.run(candidate(FIRST))
    desk.ledger.refusals = {"DSJ-JKT-001-20260405-v2-reversal": "no"}
    assert not desk.run(candidate(CHANGED)).ok
    assert not desk.run(candidate(CHANGED)).ok
    assert desk.kinds() == ["original"]


def test_batches_keep_to_what_the_target_takes(desk: Desk) -> None:
    """Catches: calls over the vendor's limit of documents or lines."""
    desk.ledger.max_documents, desk.ledger.max_lines = 4, 7
    desk.run(*[candidate(FIRST, outlet=f"JKT-{number:03}") for number in range(9)])
    assert [len(call) for call in desk.ledger.calls] == [2, 2, 2, 2, 1]


# reading back


def test_two_live_documents_are_never_hidden(desk: Desk) -> None:
    """Catches: a duplicate in the books that the read-back takes for one."""
    desk.ledger.troubles, desk.ledger.deaf_after_loss = ["lost_after"], 3
    desk.run(candidate(FIRST))
    desk.ledger.deaf = 0
    desk.ledger.stored.append(desk.ledger.stored[0])
    result = desk.run(candidate(FIRST))
    assert "2 live documents for one reference: doc-0, doc-1" in result.problems[0].title
    assert list(desk.incidents().values()) == [Severity.CRITICAL]
    assert desk.statuses() == [("DSJ-JKT-001-20260405-v1", "posted")]
    desk.ledger.void.add(1)
    assert desk.run(candidate(FIRST)).ok
    assert desk.incidents() == {}


def test_a_document_that_was_edited_in_the_target_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a confirmation without comparing total and number of lines."""
    receipt = Ledger._receipt

    def edited(self: Ledger, number: int) -> object:
        return replace(receipt(self, number), total_debit=Decimal(109), line_count=2)

    monkeypatch.setattr(Ledger, "_receipt", edited)
    result = desk.run(candidate(FIRST))
    assert "total 109 instead of 110, 2 lines instead of 3" in result.problems[0].title
    assert desk.statuses() == [("DSJ-JKT-001-20260405-v1", "posted")]


def test_a_document_that_vanished_is_told_and_not_sent_again(desk: Desk) -> None:
    """Catches: books that somebody changed by hand, overwritten silently."""

    class Forgetful(Ledger):
        def find(self, documents):  # type: ignore[no-untyped-def]
            return super().find(documents) if len(self.calls) == 0 else {}

    desk.ledger = Forgetful()
    result = desk.run(candidate(FIRST))
    assert "the target does not show it" in result.problems[0].title
    assert not desk.run(candidate(FIRST)).ok
    assert len(desk.ledger.stored) == 1


def test_a_voided_document_of_unknown_outcome_waits_for_a_person(desk: Desk) -> None:
    """Catches: a document posted again although somebody voided it on purpose."""
    desk.ledger.troubles, desk.ledger.deaf_after_loss = ["lost_after"], 3
    desk.run(candidate(FIRST))
    desk.ledger.deaf = 0
    desk.ledger.void.add(0)
    result = desk.run(candidate(FIRST))
    assert "voided or deleted" in result.problems[0].title
    assert desk.statuses() == [("DSJ-JKT-001-20260405-v1", "rejected")]


@pytest.mark.parametrize("restored", [True, False])
def test_a_lost_ops_database_does_not_post_again(desk: Desk, tmp_path: Path, restored: bool) -> None:
    """Catches: a second copy of every journal after the ops database was lost, or restored from a backup."""
    days = [candidate(FIRST, outlet=f"JKT-{number:03}") for number in range(30)]
    desk.run(*days)
    fresh = Desk(tmp_path / "new", f"sqlite:///{tmp_path / 'new' / 'ops.db'}")
    fresh.ledger = desk.ledger
    if restored:
        fresh.run(candidate(lines(a1=1, a2=-1), kind=JournalType.LABOR))  # the backup knows something, but not this
    more = candidate(FIRST, outlet="JKT-099")
    labor = [candidate(lines(a1=1, a2=-1), kind=JournalType.LABOR)] if restored else []
    assert fresh.run(*days, more, *labor, restored=restored).ok
    daily = [document for document in desk.ledger.stored if document.journal_type is JournalType.DAILY_SALES]
    assert len(daily) == 31


# one exporter at a time


def test_two_exports_to_one_target_exclude_each_other(desk: Desk) -> None:
    """Catches: two schedulers that send the same entry at the same moment."""
    with (
        lease(desk.ops.sessions, "outbox:books", desk.ops.now),
        pytest.raises(LeaseHeldError, match=f"process {os.getpid()}"),
    ):
        desk.run(candidate(FIRST))
    assert desk.run(candidate(FIRST)).ok


def test_the_lease_of_a_killed_process_is_free_at_once(desk: Desk) -> None:
    """Catches: a crash that blocks the next night until a lease runs out."""

    def dies() -> None:
        with lease(desk.ops.sessions, "outbox:books", desk.ops.now):
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(dies) == -signal.SIGKILL
    assert desk.run(candidate(FIRST)).ok


def test_the_lease_of_another_machine_ends_with_its_term(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a process id of another machine taken for a dead one here; a lease that never ends."""
    monkeypatch.setattr("ingestion.core.ops.leases._place", lambda: "elsewhere")
    with lease(desk.ops.sessions, "outbox:books", desk.ops.now):
        monkeypatch.undo()
        with pytest.raises(LeaseHeldError):
            desk.run(candidate(FIRST))
        desk.now += TERM
        assert desk.run(candidate(FIRST)).ok


def test_an_export_whose_lease_was_taken_over_stops_before_sending(desk: Desk) -> None:
    """Catches: a process that slept through its lease and sends what its successor sends too."""

    class Slow(Ledger):
        def lock_date(self) -> date | None:
            desk.now += TERM
            monkey = pytest.MonkeyPatch()
            monkey.setattr("ingestion.core.ops.leases._place", lambda: "elsewhere")
            self.other = lease(desk.ops.sessions, "outbox:books", desk.ops.now)
            self.other.__enter__()
            monkey.undo()
            return None

    desk.ledger = Slow()
    with pytest.raises(LeaseLostError):
        desk.run(candidate(FIRST))
    assert desk.ledger.calls == []
    desk.ledger.other.__exit__(None, None, None)


def test_the_reference_tables_show_the_outbox(desk: Desk) -> None:
    """Catches: a mart that compares with columns or amounts the outbox does not have."""
    desk.run(candidate(FIRST))
    tables = desk.ops.snapshot()
    (row,) = tables["outbox"][1]
    assert (row["status"], row["total_debit"], row["line_count"]) == (Status.CONFIRMED, Decimal(110), 3)
    assert row["confirmed_at"] == desk.now
    assert {line["component"]: line["amount"] for line in tables["outbox_lines"][1]} == {
        "component:1020": 110,
        "component:4010": -100,
        "component:2110": -10,
    }
