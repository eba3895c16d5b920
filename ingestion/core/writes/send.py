"""Sending the changes of one account: look, compare, write, read back. Safe to kill at any point and to run again."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from ingestion.core.errors import ApiError
from ingestion.core.failpoints import failpoint
from ingestion.core.journal import NotSentError, UncertainOutcomeError
from ingestion.core.ops.leases import HeldLease, lease
from ingestion.core.ops.store import Ops
from ingestion.core.outbox.dispatch import BACKOFF, TRIES
from ingestion.core.outbox.run import LOOK_UP_PAUSES, NO_ANSWER
from ingestion.core.outbox.states import OPEN, SENDABLE, Problem, Status, tell
from ingestion.core.writes.book import ChangeBook
from ingestion.core.writes.change import Change, Held, Refused, WriteKind, WriteTarget

BATCH = 20  # changes between two readings of an outlet: what a person does at the till meanwhile would be overwritten


@dataclass(frozen=True, slots=True)
class Unread:
    """The till did not answer a reading."""

    reason: str


Answer = Held | Refused | Unread


@dataclass(slots=True)
class SendResult:
    """How a run ended, by reference. `waiting` and `drifted` are orderly; any problem must fail the step visibly."""

    target: str
    posted: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # for a person, or for the day they are valid from
    drifted: dict[str, str] = field(default_factory=dict)  # back to approval, and why
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def send(
    ops: Ops,
    kind: WriteKind,
    integration_id: str,
    opens: Callable[[], WriteTarget],
    zones: Mapping[str, ZoneInfo],
    as_of: datetime,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> SendResult:
    """Bring every approved change that is due to the account's tills, each exactly once.

    `opens` makes the writer, only if there is something to do; `zones` are by the vendor's outlet id. A change is due
    from the outlet's local day `valid_from` on, by the logical time `as_of`. What the till holds decides: the new value
    means that it is there, the value it was approved over that it may be sent, anything else goes back to approval.
    Opens an incident per problem and closes those that are over. Raises LeaseHeldError while another run sends to this
    account.
    """
    book = ChangeBook(ops, kind, integration_id)
    with lease(ops.sessions, f"writes:{integration_id}:{kind}", ops.now) as held:
        result = SendResult(integration_id)
        due = _due(book, result, zones, as_of)
        if due or book.changes(*OPEN, Status.POSTED):
            try:
                run = _Run(book, opens(), held, sleep, result)
            except ApiError as error:
                result.problems.append(Problem("account", str(error), "Nothing was sent; the next run tries again."))
            else:
                run.resolve(book.changes(*OPEN))
                run.send_all(_due(book, SendResult(integration_id), zones, as_of))
                run.confirm()
        _report(book, result)
    tell(ops, f"{kind}:{integration_id}:", f"{kind} at {integration_id}", result.problems)
    return result


def _due(book: ChangeBook, result: SendResult, zones: Mapping[str, ZoneInfo], as_of: datetime) -> list[Change]:
    """Approved changes whose day has come, steps of one subject in the order of their days."""
    due = []
    for change in book.changes(*SENDABLE):
        zone = zones.get(change.source_outlet_id)
        if zone is None:
            result.problems.append(
                Problem(
                    change.reference,
                    f"{change.document_key}: {book.target} has no outlet {change.source_outlet_id} any more",
                    f"Map it in integrations.yaml, or: c4 {book.kind} withdraw {change.reference}",
                )
            )
        elif not change.approved_by or (
            change.valid_from is not None and as_of.astimezone(zone).date() < change.valid_from
        ):
            result.waiting.append(change.reference)
        else:
            due.append(change)
    return sorted(due, key=lambda change: (str(change.valid_from or ""), change.version))


@dataclass(slots=True)
class _Run:
    book: ChangeBook
    target: WriteTarget
    lease: HeldLease
    sleep: Callable[[float], None]
    result: SendResult
    tries: Counter[str] = field(default_factory=Counter)

    def resolve(self, changes: Sequence[Change]) -> dict[str, Status]:
        """Settle changes that were sent without a usable answer; one that is in none of several readings was not
        carried out and may be sent again. Returns the status of each; one that went back to approval has none.
        """
        statuses: dict[str, Status] = {}
        waiting = list(changes)
        absent: dict[str, str] = {}
        for pause in LOOK_UP_PAUSES:
            if not waiting:
                break
            if pause:
                self.sleep(pause)
            absent = {}
            for change, answer in self._look(waiting):
                if isinstance(answer, Held) and answer.value == change.new:
                    self._there(change, answer)
                    statuses[change.reference] = Status.POSTED
                elif isinstance(answer, Held) and answer.value != change.old:
                    self._drifted(change, answer)
                else:
                    absent[change.reference] = "" if isinstance(answer, Held) else answer.reason
            waiting = [change for change in waiting if change.reference in absent]
        for change in waiting:
            error = absent[change.reference]
            statuses[change.reference] = Status.UNCERTAIN if error else Status.PLANNED
            self.book.settle([change], statuses[change.reference], error or "not at the till")
        return statuses

    def send_all(self, due: Sequence[Change]) -> None:
        """In rounds over the outlets, some changes of each after a reading. A change that fails is tried again in a
        later round, a bounded number of times; an outlet that is down keeps no other back.
        """
        outlets: dict[str, list[Change]] = defaultdict(list)
        for change in due:
            outlets[change.source_outlet_id].append(change)
        troubled = 0  # rounds in a row
        while outlets:
            failed = False
            for outlet, changes in list(outlets.items()):
                batch, rest = _batch(changes)
                left, trouble = self._send_batch(batch)
                failed |= trouble
                if left or rest:
                    outlets[outlet] = left + rest
                else:
                    del outlets[outlet]
            troubled = min(troubled + 1, TRIES) if failed else 0
            if troubled and outlets:
                self.confirm()  # what got through, before the account's breaker opens on the rest
                self.sleep(BACKOFF * 2 ** (troubled - 1))

    def _send_batch(self, batch: Sequence[Change]) -> tuple[list[Change], bool]:
        """One reading and what may be written after it. Returns what to try again, and whether a call failed."""
        looked = self._look(batch)
        self.tries.update(change.reference for change in batch)
        again = [change for change, answer in looked if isinstance(answer, Unread)]
        for place, (change, answer) in enumerate(looked):
            if isinstance(answer, Unread):
                self.book.settle(again, Status.FAILED, f"before sending: {answer.reason}")
                break  # a batch is of one outlet, and one reading
            if isinstance(answer, Refused):
                self.book.settle([change], Status.REJECTED, answer.reason)
            elif answer.value == change.new:
                self._there(change, answer)
            elif answer.value != change.old:
                self._drifted(change, answer)
            else:
                status = self._put(change, answer)
                if status is not None and status in SENDABLE | OPEN:
                    again += [change] if status in SENDABLE else []
                    again += batch[place + 1 :]  # what was read may be old by now: the rest after another reading
                    break
        return [change for change in again if self.tries[change.reference] < TRIES], bool(again)

    def _put(self, change: Change, held: Held) -> Status | None:
        """One call. The status after it; None when the till turned out to hold something else."""
        self.book.sending(change)
        failpoint("writes.sending_committed")
        self.lease.renew()
        try:
            refused = self.target.put(change.source_outlet_id, change.wish, held)
        except NotSentError as error:
            self.book.settle([change], Status.FAILED, str(error))
            return Status.FAILED
        except (UncertainOutcomeError, ApiError) as error:
            self.book.settle([change], Status.UNCERTAIN, str(error))
            return self.resolve([change]).get(change.reference)
        failpoint("writes.sent")
        if refused is not None:
            self.book.settle([change], Status.REJECTED, refused.reason)
            return Status.REJECTED
        self.book.sent(change)
        failpoint("writes.accepted")
        self.result.posted.append(change.reference)
        return Status.POSTED

    def confirm(self) -> None:
        """Read posted changes back; what the till does not hold in any of several readings goes back to approval."""
        waiting = self._unconfirmed()
        for number, pause in enumerate(LOOK_UP_PAUSES, start=1):
            if not waiting:
                break
            if pause:
                self.sleep(pause)
            agreed: dict[str, str] = {}
            left = []
            for change, answer in self._look(waiting):
                if isinstance(answer, Held) and answer.value == change.new:
                    agreed[change.reference] = answer.record
                elif isinstance(answer, Held) and number == len(LOOK_UP_PAUSES):
                    self._drifted(change, answer)
                else:
                    left.append(change)
            self.book.confirm([change for change in waiting if change.reference in agreed], agreed)
            self.result.confirmed += agreed
            waiting = left
            failpoint("writes.confirmed")
        if waiting:
            self.result.problems.append(
                Problem(
                    "read-back",
                    f"{len(waiting)} changes that the tills accepted could not be read back",
                    "The next run reads them back; see whether the system is up and its access is valid.",
                )
            )

    def _unconfirmed(self) -> list[Change]:
        """Posted changes. A price that a later step replaced is confirmed: it was read before that step was sent."""
        posted = self.book.changes(Status.POSTED)
        if self.book.kind is not WriteKind.PRICES or not posted:
            return posted
        last: dict[tuple[str, str], datetime] = {}
        for change in self.book.changes(Status.POSTED, Status.CONFIRMED):
            if change.posted_at is not None:
                key = (change.source_outlet_id, change.subject)
                last[key] = max(last.get(key, change.posted_at), change.posted_at)
        replaced = [
            change for change in posted if change.posted_at != last.get((change.source_outlet_id, change.subject))
        ]
        self.book.confirm(replaced, {change.reference: change.record for change in replaced})
        self.result.confirmed += [change.reference for change in replaced]
        return [change for change in posted if change not in replaced]

    def _look(self, changes: Sequence[Change]) -> list[tuple[Change, Answer]]:
        """What the till holds for each change, in their order; the error where it does not answer."""
        outlets: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            outlets[change.source_outlet_id].append(change)
        found: dict[str, Answer] = {}
        for outlet, asked in outlets.items():
            self.lease.renew()
            try:
                answers: Sequence[Answer] = self.target.held(outlet, [change.wish for change in asked])
            except NO_ANSWER as error:
                answers = [Unread(f"look-up: {error}")] * len(asked)
            found |= {change.reference: answer for change, answer in zip(asked, answers, strict=True)}
        return [(change, found[change.reference]) for change in changes]

    def _there(self, change: Change, held: Held) -> None:
        self.book.there(change, held)
        self.result.posted.append(change.reference)

    def _drifted(self, change: Change, held: Held) -> None:
        self.result.drifted[change.reference] = self.book.drifted(change, held)


def _batch(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Some changes and the rest; of the steps of one price the first only, for each begins where the last one ended."""
    batch: dict[str, Change] = {}
    rest = []
    for change in changes:
        step = change.subject if change.kind is WriteKind.PRICES else change.reference
        if step in batch or len(batch) == BATCH:
            rest.append(change)
        else:
            batch[step] = change
    return list(batch.values()), rest


def _report(book: ChangeBook, result: SendResult) -> None:
    """A problem for everything that did not get through, also if an earlier run left it."""
    for change in book.changes(*SENDABLE, Status.REJECTED, *OPEN):
        who = f"c4 {book.kind} approve {change.reference} --by NAME, or withdraw it"
        if change.status is Status.REJECTED:
            title, todo = f"{change.document_key} was refused: {change.reason}", f"Mend the cause, then {who}"
        elif change.status in OPEN:
            title = f"{change.document_key} was sent and its outcome is not known: {change.reason}"
            todo = "The next run looks first; nothing is sent twice."
        elif change.status is Status.FAILED:
            title = f"{change.document_key} is still to be sent: {change.reason}"
            todo = "The next run tries again; see whether the system is up and its access is valid."
        elif change.reason and not change.approved_by:  # drifted, in this run or an earlier one
            title, todo = f"{change.document_key}: {change.reason}", f"Look at the new difference, then {who}"
        else:
            continue
        result.problems.append(Problem(change.reference, title, todo))
