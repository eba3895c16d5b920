"""Asking the target what it holds: for documents whose outcome is unknown, and to confirm those that are posted."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.core.failpoints import failpoint
from ingestion.core.journal import Receipt
from ingestion.core.ops.incidents import Severity
from ingestion.core.outbox.entries import Entry, total_debit
from ingestion.core.outbox.run import LOOK_UP_PAUSES, Run
from ingestion.core.outbox.states import Status


def look_up(run: Run, entries: Sequence[Entry]) -> dict[str, Status]:
    """Settle documents under way whose outcome is unknown; returns the status of each.

    Found: posted with that receipt. Absent in the last of several look-ups: planned again. No answer: uncertain.
    """
    waiting = [entry.document for entry in entries]
    statuses: dict[str, Status] = {}
    others: list[tuple[str, Status, str]] = []
    for pause in LOOK_UP_PAUSES:
        if not waiting:
            break
        if pause:
            run.sleep(pause)
        others = []
        for chunk, found, error in run.find(waiting):
            for document in chunk:
                reference = document.reference
                receipts = found.get(reference, [])
                if any(receipt.live for receipt in receipts):
                    accept(run, receipts)
                    statuses[reference] = Status.POSTED
                elif receipts:
                    others.append((reference, Status.REJECTED, "the target holds it, but voided or deleted"))
                elif error:
                    others.append((reference, Status.UNCERTAIN, error))
                else:
                    others.append((reference, Status.PLANNED, "not in the target"))
        waiting = [document for document in waiting if document.reference not in statuses]
    run.book.settle(others=others)
    return statuses | {reference: status for reference, status, _ in others}


def accept(run: Run, receipts: Sequence[Receipt]) -> None:
    """Store the receipt of a document under way that the target turns out to hold. That it holds two is told when
    they are read back.
    """
    live = next(receipt for receipt in receipts if receipt.live)
    run.book.settle(receipts=[live])
    run.result.posted.append(live.reference)


def confirm(run: Run) -> None:
    """Read posted documents back and compare; one is missing only if several look-ups do not find it."""
    waiting = {entry.document.reference: entry for entry in run.book.entries(Status.POSTED)}
    missing: dict[str, str] = {}
    for pause in LOOK_UP_PAUSES:
        if not waiting:
            break
        if pause:
            run.sleep(pause)
        missing = {}
        for chunk, found, error in run.find([entry.document for entry in waiting.values()]):
            agreed = []
            for document in chunk:
                receipts = [receipt for receipt in found.get(document.reference, []) if receipt.live]
                if not receipts:
                    missing[document.reference] = error
                elif _agrees(run, waiting[document.reference], receipts):
                    agreed.append(document.reference)
            run.book.confirm(agreed)
            run.result.confirmed += agreed
            failpoint("outbox.confirmed")
        waiting = {reference: waiting[reference] for reference in missing}
    if silent := [error for error in missing.values() if error]:
        run.problem(
            "read-back",
            f"{len(silent)} posted documents could not be read back: {silent[0]}",
            "They are in the books; the next run reads them back.",
            Severity.WARNING,
        )
    for reference, error in missing.items():
        if not error:
            run.problem(
                reference,
                f"Posted as {waiting[reference].external_id}, but the target does not show it",
                "See whether somebody voided or deleted it there. Nothing is sent again by itself.",
                Severity.CRITICAL,
            )


def _agrees(run: Run, entry: Entry, receipts: Sequence[Receipt]) -> bool:
    reference = entry.document.reference
    if len(receipts) > 1:
        run.problem(
            reference,
            f"{len(receipts)} live documents for one reference: {', '.join(item.external_id for item in receipts)}",
            f"Void all but {entry.external_id} in the target.",
            Severity.CRITICAL,
        )
        return False
    (receipt,) = receipts
    differences = []
    total = total_debit(entry.document)
    if receipt.total_debit is not None and receipt.total_debit != total:
        differences.append(f"total {receipt.total_debit} instead of {total}")
    if receipt.line_count is not None and receipt.line_count != len(entry.document.lines):
        differences.append(f"{receipt.line_count} lines instead of {len(entry.document.lines)}")
    if differences:
        run.problem(
            reference,
            f"The target's {receipt.external_id} differs: {', '.join(differences)}",
            "Compare the document with the target; somebody may have edited it there.",
            Severity.CRITICAL,
        )
    return not differences
