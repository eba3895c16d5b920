"""Changes in the ops database: submitted, approved, withdrawn by people; moved by the sending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import AuditEntry, OutboxChange
from ingestion.core.ops.store import Ops
from ingestion.core.outbox.content import reference_of
from ingestion.core.outbox.states import OPEN, SENDABLE, BookError, Status, move, note
from ingestion.core.writes.change import Change, Difference, Held, WriteKind, same_thing, shift_times

COLUMNS = tuple(Change.__dataclass_fields__)


def changes_of(
    ops: Ops,
    kind: WriteKind,
    *,
    target: str | None = None,
    statuses: Iterable[Status] = (),
) -> list[Change]:
    """Changes in the order of their submission; of every account and in every status unless told."""
    which = [OutboxChange.kind == str(kind)]
    if target is not None:
        which.append(OutboxChange.target == target)
    if wanted := [str(status) for status in statuses]:
        which.append(OutboxChange.status.in_(wanted))
    query = select(OutboxChange).where(*which).order_by(OutboxChange.created_at, OutboxChange.document_key)
    with reading(ops.sessions) as session:
        return [_change(row) for row in session.scalars(query)]


def named(ops: Ops, reference: str, kind: WriteKind) -> list[Change]:
    """The change of a reference or document key, or every change of a submission. Raises LookupError for none."""
    with reading(ops.sessions) as session:
        return [_change(row) for row in _named(session, reference, kind)]


def submit(ops: Ops, differences: Sequence[Difference], who: str) -> list[Change]:
    """Put what changes something into the outbox, all of it or nothing; returns the new changes.

    A change that waits already is not doubled, one that says otherwise about the same thing is replaced. The same
    sheet submitted twice changes nothing. Raises ValueError for a refused row or without a name.
    """
    if not who.strip():
        raise ValueError("a submission needs the name of the person who makes it")
    if refused := [item for item in differences if item.refusal]:
        raise ValueError(f"{refused[0].place}: {refused[0].refusal}")
    now = ops.now()
    submission = reference_of("submission", now.isoformat(), who, *(repr(item) for item in differences))
    added = []
    with writing(ops.sessions) as session:
        for difference in differences:
            change = _add(session, difference, submission, who, now)
            if change is not None:
                added.append(change)
    return added


def approve(ops: Ops, reference: str, who: str, kind: WriteKind, *, own: bool = False) -> list[Change]:
    """A person releases a change, or all of a submission that wait: those without approval and those that the till
    rejected. `own` lets it be the person who submitted it. Audited.

    Raises LookupError for an unknown reference, BookError when nothing of it waits for a person or for another one than
    this, ValueError without a name.
    """
    if not who.strip():
        raise ValueError("an approval needs the name of the person who gives it")

    def may(row: OutboxChange) -> bool:
        waits = row.status == Status.REJECTED or (row.status in SENDABLE and not row.approved_by)
        if waits and not own and _same_person(row.submitted_by, who):
            raise BookError(f"{reference} was submitted by {row.submitted_by} and waits for another person's approval")
        return waits

    return _decide(
        ops,
        kind,
        reference,
        who,
        ("approve", "approved"),
        may,
        " and waits for nobody",
        {"approved_by": who, "status": str(Status.PLANNED), "reason": ""},
    )


def withdraw(ops: Ops, reference: str, who: str, kind: WriteKind) -> list[Change]:
    """A person takes back a change, or all of a submission, that was not sent. Audited; raises as `approve`."""
    if not who.strip():
        raise ValueError("a withdrawal needs the name of the person who makes it")
    return _decide(
        ops,
        kind,
        reference,
        who,
        ("withdraw", Status.WITHDRAWN),
        lambda row: row.status in SENDABLE or row.status == Status.REJECTED,
        ": only what was not sent can be withdrawn",
        {"status": str(Status.WITHDRAWN), "reason": f"by {who}"},
    )


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _decide(
    ops: Ops,
    kind: WriteKind,
    reference: str,
    who: str,
    words: tuple[str, str],
    may: Callable[[OutboxChange], bool],
    otherwise: str,
    values: Mapping[str, str],
) -> list[Change]:
    """A person's decision on those of a reference's changes that may take it: their new `values`, an event and an audit
    entry each. `words` name the action and the event; `otherwise` ends the sentence when there are none.
    """
    action, event = words
    now = ops.now()
    with writing(ops.sessions) as session:
        rows = _named(session, reference, kind)
        chosen = [row for row in rows if may(row)]
        if not chosen:
            raise BookError(f"{reference} is {rows[0].status}{otherwise}")
        for row in chosen:
            for name, value in values.items():
                setattr(row, name, value)
            note(session, {row.reference: f"by {who}"}, event, now)
            session.add(
                AuditEntry(at=now, who=who, action=f"{action} {kind}", subject=row.reference, outcome=_says(row))
            )
        return [_change(row) for row in chosen]


@dataclass(frozen=True, slots=True)
class ChangeBook:
    """The changes of one kind for one account. Every move is compare-and-set and leaves an event."""

    ops: Ops
    kind: WriteKind
    target: str

    def changes(self, *statuses: Status) -> list[Change]:
        return changes_of(self.ops, self.kind, target=self.target, statuses=statuses)

    def sending(self, change: Change) -> None:
        """Claim a change for the call that follows. Raises BookError when it is not ours to send."""
        with writing(self.ops.sessions) as session:
            self._move(
                session,
                {change.reference: ""},
                SENDABLE,
                Status.SENDING,
                reason="",
                sent_at=self.ops.now(),
                attempts=OutboxChange.attempts + 1,
            )

    def there(self, change: Change, held: Held) -> None:
        """The till holds it, whoever wrote it."""
        with writing(self.ops.sessions) as session:
            self._move(
                session,
                {change.reference: f"as {held.record}"},
                OPEN | SENDABLE,
                Status.POSTED,
                reason="",
                record=held.record,
                posted_at=self.ops.now(),
            )

    def sent(self, change: Change) -> None:
        """The till accepted it."""
        with writing(self.ops.sessions) as session:
            self._move(
                session, {change.reference: "accepted"}, OPEN, Status.POSTED, reason="", posted_at=self.ops.now()
            )

    def settle(self, changes: Sequence[Change], status: Status, reason: str) -> None:
        """The outcome of changes that were to be sent."""
        details = dict.fromkeys((change.reference for change in changes), reason)
        with writing(self.ops.sessions) as session:
            self._move(session, details, OPEN | SENDABLE, status, reason=reason)

    def drifted(self, change: Change, held: Held) -> str:
        """The till holds something else than the change was approved over: back to approval, with what is there now.

        Returns why, in words.
        """
        reason = f"the till holds {held.value or 'nothing'} now, approved was a change from {change.old or 'nothing'}"
        with writing(self.ops.sessions) as session:
            self._move(
                session,
                {change.reference: reason},
                OPEN | SENDABLE | {Status.POSTED},
                Status.PLANNED,
                reason=reason,
                old=held.value,
                record=held.record,
                approved_by="",
            )
        return reason

    def confirm(self, changes: Sequence[Change], records: Mapping[str, str]) -> None:
        """These were read back and are the same; reference -> the record that holds it."""
        if not changes:
            return
        now = self.ops.now()
        with writing(self.ops.sessions) as session:
            self._move(
                session,
                dict.fromkeys((change.reference for change in changes), ""),
                {Status.POSTED},
                Status.CONFIRMED,
                confirmed_at=now,
            )
            session.execute(
                update(OutboxChange),
                [{"reference": reference, "record": record} for reference, record in records.items()],
            )

    def _move(
        self, session: Session, details: Mapping[str, str], allowed: Iterable[Status], status: Status, **values: object
    ) -> None:
        move(session, OutboxChange, self.target, details, allowed, status, self.ops.now(), **values)


def _add(session: Session, difference: Difference, submission: str, who: str, now: datetime) -> Change | None:
    """A row for a difference, unless the same waits already; what it contradicts is withdrawn."""
    of_subject = (
        OutboxChange.kind == str(difference.kind),
        OutboxChange.target == difference.integration_id,
        OutboxChange.source_outlet_id == difference.source_outlet_id,
        OutboxChange.subject == difference.wish.subject,
    )
    wanted = difference.wish.value
    unsettled = session.scalars(
        select(OutboxChange).where(*of_subject, OutboxChange.status.in_([*SENDABLE, *OPEN, Status.REJECTED]))
    ).all()
    rivals = [
        row for row in unsettled if same_thing(difference.kind, wanted, difference.valid_from, row.new, row.valid_from)
    ]
    if any(row.new == wanted and row.status != Status.REJECTED for row in rivals):
        return None
    for row in rivals:
        if row.status in OPEN:
            raise BookError(f"{row.reference} is being sent; its outcome must be known first")
        row.status, row.reason = str(Status.WITHDRAWN), f"replaced by {submission}"
        note(session, {row.reference: row.reason}, Status.WITHDRAWN, now)
    if not difference.changes:
        return None
    version = 1 + (session.scalar(select(func.max(OutboxChange.version)).where(*of_subject)) or 0)
    reference = reference_of(
        str(difference.kind),
        difference.integration_id,
        difference.source_outlet_id,
        difference.wish.subject,
        str(version),
        str(difference.valid_from),
        wanted,
    )
    row = OutboxChange(
        reference=reference,
        document_key=_document_key(difference, version, reference),
        kind=str(difference.kind),
        target=difference.integration_id,
        outlet_id=difference.outlet_id,
        source_outlet_id=difference.source_outlet_id,
        subject=difference.wish.subject,
        detail=difference.wish.detail,
        version=version,
        record=difference.record,
        label=difference.label,
        currency=difference.currency,
        old=difference.old,
        new=wanted,
        valid_from=difference.valid_from,
        submission=submission,
        submitted_by=who,
        status=str(Status.PLANNED),
        reason="",
        approved_by=difference.by_rule,
        attempts=0,
        created_at=now,
    )
    session.add(row)
    session.flush()
    note(session, {reference: f"submitted by {who}"}, Status.PLANNED, now)
    if difference.by_rule:
        note(session, {reference: difference.by_rule}, "approved", now)
    session.add(AuditEntry(at=now, who=who, action=f"submit {difference.kind}", subject=reference, outcome=_says(row)))
    return _change(row)


def _document_key(difference: Difference, version: int, reference: str) -> str:
    """PRC-JKT-001-KOP-001-v2, or SHF-JKT-001-20260407-7Q2M1X: it stands in alerts, so no employee is in it."""
    if difference.kind is WriteKind.PRICES:
        return f"PRC-{difference.outlet_id}-{difference.wish.subject}-v{version}"
    start, _ = shift_times(difference.wish.value)
    return f"SHF-{difference.outlet_id}-{start:%Y%m%d}-{reference[-6:]}"


def _named(session: Session, reference: str, kind: WriteKind) -> Sequence[OutboxChange]:
    """The change of a reference or document key, or every change of a submission. Raises LookupError for none."""
    rows = session.scalars(
        select(OutboxChange)
        .where(
            OutboxChange.kind == str(kind),
            (OutboxChange.reference == reference)
            | (OutboxChange.document_key == reference)
            | (OutboxChange.submission == reference),
        )
        .order_by(OutboxChange.created_at, OutboxChange.document_key)
    ).all()
    if not rows:
        raise LookupError(f"no change or submission {reference}")
    return rows


def _says(row: OutboxChange) -> str:
    return f"{row.document_key}: {row.old or 'nothing'} to {row.new}"


def _change(row: OutboxChange) -> Change:
    values = {name: getattr(row, name) for name in COLUMNS}
    return Change(**{**values, "kind": WriteKind(row.kind), "status": Status(row.status)})
