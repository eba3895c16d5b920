"""What one export works with, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from ingestion.core.config import Entity
from ingestion.core.errors import ApiError
from ingestion.core.journal import JournalDocument, JournalTarget, NotSentError, Receipt, UncertainOutcomeError
from ingestion.core.ops.incidents import Severity
from ingestion.core.ops.leases import HeldLease
from ingestion.core.outbox.book import Book
from ingestion.core.outbox.content import Candidate, JournalKey
from ingestion.core.outbox.states import Problem

LOOK_UP_SIZE = 50  # references in one look-up
LOOK_UP_PAUSES = (0.0, 2.0, 6.0)  # seconds before each look-up: a late request may still be on its way
NO_ANSWER = (ApiError, NotSentError, UncertainOutcomeError)


@dataclass(slots=True)
class ExportResult:
    """How an export ended. `held` and `awaiting_approval` are orderly; any problem must fail the step visibly."""

    target: str
    planned: list[str] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    awaiting_approval: list[str] = field(default_factory=list)
    held: dict[JournalKey, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class Run:
    """One export under way."""

    book: Book
    target: JournalTarget
    entities: Mapping[str, Entity]
    candidates: Mapping[JournalKey, Candidate]
    lease: HeldLease
    sleep: Callable[[float], None]
    result: ExportResult
    locked_until: date | None = None

    def lock_of(self, entity: Entity) -> date | None:
        """The last date on which nothing may be posted for an entity: ours or the target's, whichever is later."""
        return max((day for day in (entity.lock_date, self.locked_until) if day is not None), default=None)

    def problem(self, subject: str, title: str, todo: str, severity: Severity = Severity.ERROR) -> None:
        self.result.problems.append(Problem(subject, title, todo, severity))

    def find(
        self, documents: Sequence[JournalDocument]
    ) -> Iterator[tuple[Sequence[JournalDocument], dict[str, list[Receipt]], str]]:
        """Look documents up, some at a time: (documents, receipts by reference, why there was no answer)."""
        for start in range(0, len(documents), LOOK_UP_SIZE):
            chunk = documents[start : start + LOOK_UP_SIZE]
            self.lease.renew()
            try:
                yield chunk, self.target.find(chunk), ""
            except NO_ANSWER as error:
                yield chunk, {}, f"look-up: {error}"
