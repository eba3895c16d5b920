"""What everything has in common that goes out exactly once, a journal or a change at a till: its states, their moves by
compare-and-set, the history that they leave, and the problems that a run ends with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from ingestion.core.ops.db import reading
from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.ops.models import OutboxChange, OutboxDocument, OutboxEvent
from ingestion.core.ops.store import Ops


class Status(StrEnum):
    PLANNED = "planned"
    SENDING = "sending"  # committed before the call: the target may have it
    UNCERTAIN = "uncertain"  # sent, and no usable answer came
    FAILED = "failed"  # certainly not in the target; will be tried again
    REJECTED = "rejected"  # the target refused; a person must act
    POSTED = "posted"  # the target has it: it gave a receipt, or shows it
    CONFIRMED = "confirmed"  # read back, and the same
    WITHDRAWN = "withdrawn"  # of changes: replaced by a later one, or a person does not want it any more


SETTLED = frozenset({Status.POSTED, Status.CONFIRMED})
OPEN = frozenset({Status.SENDING, Status.UNCERTAIN})
SENDABLE = frozenset({Status.PLANNED, Status.FAILED})


class BookError(Exception):
    """A document is not in the status that was expected: somebody else changed it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a reference."""

    at: datetime
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be after a run. `subject` is a reference, or says what is concerned."""

    subject: str
    title: str
    todo: str
    severity: Severity = Severity.ERROR


def move(
    session: Session,
    table: type[OutboxDocument] | type[OutboxChange],
    target: str,
    details: Mapping[str, str],
    allowed: Iterable[Status],
    status: Status,
    at: datetime,
    **values: Any,
) -> None:
    """Change the status of these references (-> detail of the event), all or none of them. Raises BookError."""
    moved = session.scalars(
        update(table)
        .where(
            table.reference.in_(list(details)),
            table.target == target,
            table.status.in_([str(item) for item in allowed]),
        )
        .values(status=str(status), **values)
        .returning(table.reference)
    ).all()
    if missing := details.keys() - set(moved):
        raise BookError(f"{min(missing)} cannot become {status}: another process changed it")
    note(session, details, status, at)


def note(session: Session, details: Mapping[str, str], status: str, at: datetime) -> None:
    """Add to the history of references."""
    rows = [
        {"reference": reference, "at": at, "status": str(status), "detail": detail}
        for reference, detail in details.items()
    ]
    session.execute(insert(OutboxEvent), rows)


def history(ops: Ops, reference: str) -> list[Event]:
    """Everything that happened to a reference, in order."""
    query = select(OutboxEvent).where(OutboxEvent.reference == reference).order_by(OutboxEvent.id)
    with reading(ops.sessions) as session:
        return [Event(row.at, row.status, row.detail) for row in session.scalars(query)]


def tell(ops: Ops, prefix: str, touches: str, problems: Iterable[Problem]) -> None:
    """The run's problems as incidents; those of earlier runs with the same prefix that are over are closed."""
    by_subject = {problem.subject: problem for problem in problems}
    ops.incidents.reconcile(
        prefix,
        [
            Incident(prefix + subject, problem.severity, problem.title, touches, problem.todo)
            for subject, problem in by_subject.items()
        ],
    )
