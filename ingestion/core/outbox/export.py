"""One export to one target: settle, plan, send, read back. Safe to kill at any point and to run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ingestion.core.config import Entity
from ingestion.core.failpoints import failpoint
from ingestion.core.journal import JournalTarget
from ingestion.core.ops.leases import lease
from ingestion.core.ops.store import Ops
from ingestion.core.outbox.book import Book, Planned
from ingestion.core.outbox.content import Candidate, JournalKey
from ingestion.core.outbox.dispatch import Dispatch
from ingestion.core.outbox.entries import Entry, total_debit
from ingestion.core.outbox.lookup import confirm, look_up
from ingestion.core.outbox.plan import plan
from ingestion.core.outbox.run import NO_ANSWER, ExportResult, Run
from ingestion.core.outbox.states import OPEN, SENDABLE, Status, tell


def export(
    ops: Ops,
    integration_id: str,
    target: JournalTarget,
    entities: Iterable[Entity],
    candidates: Iterable[Candidate],
    *,
    restored: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> ExportResult:
    """Make the target's books say what the candidates say, each change exactly once.

    `candidates` is one snapshot of the marts: every journal of the entities that post to this target, also those
    that have become empty (see `booked_journals`) and those that are held; those that are settled with this very
    content may be left out. A document whose journal is not in the snapshot is not sent. After the ops database was
    `restored` from a backup, everything is looked up before it is sent: the target may hold what the backup does not
    know. Opens an incident per problem, closes those that are over.
    Raises LeaseHeldError when another export to this target is running, ValueError for a candidate that does not
    belong here.
    """
    own = {entity.entity_id: entity for entity in entities if entity.target == integration_id}
    snapshot = _snapshot(candidates, own, integration_id)
    with lease(ops.sessions, f"outbox:{integration_id}", ops.now) as held:
        run = Run(Book(ops, integration_id), target, own, snapshot, held, sleep, ExportResult(integration_id))
        dispatch = Dispatch(run, past_unknown=restored or run.book.is_new())
        look_up(run, run.book.entries(*OPEN))
        try:
            run.locked_until = target.lock_date()
        except NO_ANSWER as error:
            run.problem(
                "target",
                f"{integration_id} does not answer: {error}",
                "Nothing was sent. The next run tries again; see whether the system is up and its access is valid.",
            )
        else:
            _plan(run)
            dispatch.send_all()
        confirm(run)
        _report(run, dispatch.unsent)
    tell(ops, f"journal:{integration_id}:", f"journals to {integration_id}", run.result.problems)
    return run.result


def _snapshot(
    candidates: Iterable[Candidate], own: dict[str, Entity], integration_id: str
) -> dict[JournalKey, Candidate]:
    found: dict[JournalKey, Candidate] = {}
    for candidate in candidates:
        if candidate.key.entity_id not in own:
            raise ValueError(f"{candidate.key.entity_id} does not post to {integration_id}")
        if candidate.key in found:
            raise ValueError(f"two candidates for {candidate.key}")
        found[candidate.key] = candidate
    return found


def _plan(run: Run) -> None:
    """Bring the outbox in line with the snapshot, in one transaction."""
    done = run.book.unchanged(run.candidates)
    journals = run.book.journals(run.candidates.keys() - done)
    dropped: list[Entry] = []
    added: list[Planned] = []
    reasons: dict[str, str] = {}
    for key, candidate in run.candidates.items():
        if key in done:
            continue
        entries = journals.get(key, [])
        entity = run.entities[key.entity_id]
        if not candidate.is_postable:
            why = run.result.held[key] = candidate.hold_reason or "held"
            reasons |= {entry.document.reference: why for entry in entries if entry.status in SENDABLE}
            continue
        step = plan(candidate, entries, entity, run.lock_of(entity))
        if step.waits:
            run.result.held[key] = step.waits
        last = max((entry.sequence for entry in entries), default=0)
        dropped += step.drop
        added += [
            Planned(document, candidate.content_hash, sequence, total_debit(document) > entity.approval_limit)
            for sequence, document in enumerate(step.add, start=last + 1)
        ]
    run.book.replace(dropped, added)
    run.book.explain(reasons)
    run.result.planned += [planned.document.reference for planned in added]
    failpoint("outbox.planned")


def _report(run: Run, unsent: set[str]) -> None:
    """A problem for everything that did not get through, also if an earlier run left it."""
    left = run.book.entries(*SENDABLE, Status.REJECTED, *OPEN)
    for entry in left:
        if entry.status is Status.REJECTED:
            reference = entry.document.reference
            run.problem(
                reference,
                f"{entry.document.document_key} was rejected: {entry.reason}",
                f"Mend the cause; if the content stays the same, release it: c4 journals approve {reference}",
            )
    if waiting := [entry for entry in left if entry.status in SENDABLE and entry.document.reference in unsent]:
        run.problem(
            "sending",
            f"{len(waiting)} documents are still to be sent: {waiting[0].reason or 'those before them are not in'}",
            "The next run tries again; see whether the system is up and its access is valid.",
        )
    if unknown := [entry for entry in left if entry.status in OPEN]:
        run.problem(
            "outcome",
            f"{len(unknown)} documents were sent and the target does not tell their outcome: {unknown[0].reason}",
            "The next run looks them up first; nothing is sent twice.",
        )
