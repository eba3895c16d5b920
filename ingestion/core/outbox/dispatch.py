"""Sending: documents in batches, those of one journal strictly in order, each known to be sent before it is."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingestion.core.errors import ApiError
from ingestion.core.failpoints import failpoint
from ingestion.core.journal import JournalDocument, NotSentError, Receipt, Rejection, UncertainOutcomeError
from ingestion.core.outbox.content import JournalKey
from ingestion.core.outbox.entries import Entry
from ingestion.core.outbox.lookup import accept, look_up
from ingestion.core.outbox.plan import refusal
from ingestion.core.outbox.run import NO_ANSWER, Run
from ingestion.core.outbox.states import OPEN, SENDABLE, Status

TRIES = 4  # of one document in one run
FAILURES_IN_A_ROW = 5  # calls after which the target is left alone until the next run
BACKOFF = 1.0  # seconds before the first repetition; doubles with each failure in a row

Queue = deque[Entry]  # documents of one journal that are still to be sent, in order


@dataclass(slots=True)
class Dispatch:
    """Sends what is planned. `past_unknown`: the target may hold documents that this outbox has no record of, so
    each is looked up before it is sent. `unsent` collects the references that did not get through.
    """

    run: Run
    past_unknown: bool
    unsent: set[str] = field(default_factory=set)

    def send_all(self) -> None:
        queues = self._sendable()
        tries: Counter[str] = Counter()
        failures = 0
        while queues and failures < FAILURES_IN_A_ROW:
            batch = self._batch(queues)
            statuses, words = self._send([queue[0] for queue in batch])
            for queue in batch:
                reference = queue[0].document.reference
                tries[reference] += 1
                status = statuses[reference]
                if status is Status.POSTED:
                    queue.popleft()
                elif status not in SENDABLE or tries[reference] >= TRIES:
                    self._give_up(queue)
            queues = [queue for queue in queues if queue]
            failures = failures + 1 if words else 0
            if failures and queues and failures < FAILURES_IN_A_ROW:
                self.run.sleep(BACKOFF * 2 ** (failures - 1))
        for queue in queues:
            self._give_up(queue)

    def _give_up(self, queue: Queue) -> None:
        self.unsent |= {entry.document.reference for entry in queue}
        queue.clear()

    def _sendable(self) -> list[Queue]:
        """A journal goes as a whole or not at all: no reversal is sent while its repost cannot be."""
        waiting: dict[JournalKey, Queue] = {}
        for entry in self.run.book.entries(*SENDABLE, Status.REJECTED, *OPEN):
            waiting.setdefault(entry.key, deque()).append(entry)
        queues = []
        reasons: dict[str, str] = {}
        for key, queue in waiting.items():
            if any(entry.status not in SENDABLE for entry in queue):
                continue  # a person or the next look-up must settle that one first; the report tells
            why = self._reason_to_wait(key, queue)
            if why:
                reasons |= {entry.document.reference: why for entry in queue if entry.reason != why}
            else:
                queues.append(queue)
        self.run.book.explain(reasons)
        return queues

    def _reason_to_wait(self, key: JournalKey, queue: Queue) -> str:
        result = self.run.result
        candidate = self.run.candidates.get(key)
        if candidate is None:
            result.held[key] = "the marts no longer have this journal"
        if key in result.held or candidate is None:
            return result.held[key]
        entity = self.run.entities[key.entity_id]
        documents = [entry.document for entry in queue]
        longest = max(len(document.lines) for document in documents)
        why = refusal(candidate, documents, entity, self.run.lock_of(entity))
        if not why and any(entry.content_hash != candidate.content_hash for entry in queue):
            why = "its content is not what the marts say now"
        if not why and longest > self.run.target.max_lines:
            why = f"it has {longest} lines, the target takes {self.run.target.max_lines}"
        if why:
            todo = "Mend the mapping or the data; the next run plans it anew."
            self.run.problem(documents[0].reference, f"Not sent: {why}", todo)
        elif any(entry.waits_for_approval for entry in queue):
            result.awaiting_approval += [document.reference for document in documents]
            why = "waits for approval"
        return why

    def _batch(self, queues: Sequence[Queue]) -> list[Queue]:
        """As many journals as fit in one call; only the first document of each goes, so journals keep their order."""
        batch: list[Queue] = []
        lines = 0
        for queue in queues:
            size = len(queue[0].document.lines)
            if len(batch) == self.run.target.max_documents or (batch and lines + size > self.run.target.max_lines):
                break
            batch.append(queue)
            lines += size
        return batch

    def _send(self, entries: Sequence[Entry]) -> tuple[dict[str, Status], str]:
        """One call. Returns the status of each document after it and, if the call failed, why."""
        book = self.run.book
        book.sending(entries)
        failpoint("outbox.sending_committed")
        documents = [entry.document for entry in entries]
        statuses: dict[str, Status] = {}
        if self.past_unknown:
            try:
                documents = self._not_there_yet(documents, statuses)
            except NO_ANSWER as error:
                return self._not_sent(documents, f"look-up before sending: {error}")
            if not documents:
                return statuses, ""
        self.run.lease.renew()
        try:
            outcomes = self.run.target.post(documents)
        except NotSentError as error:
            failed, words = self._not_sent(documents, str(error))
            return statuses | failed, words
        except (UncertainOutcomeError, ApiError) as error:
            asked = {document.reference for document in documents}
            book.settle(others=[(reference, Status.UNCERTAIN, str(error)) for reference in asked])
            return statuses | look_up(self.run, _of(entries, asked)), str(error)
        failpoint("outbox.sent")
        receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        others = [
            (outcome.reference, Status.REJECTED, " ".join(filter(None, (outcome.code, outcome.reason))))
            for outcome in outcomes
            if isinstance(outcome, Rejection)
        ]
        silent = {document.reference for document in documents} - {outcome.reference for outcome in outcomes}
        others += [(reference, Status.UNCERTAIN, "the answer does not mention it") for reference in silent]
        book.settle(receipts=receipts, others=others)
        failpoint("outbox.receipt_stored")
        self.run.result.posted += [receipt.reference for receipt in receipts]
        statuses |= {receipt.reference: Status.POSTED for receipt in receipts}
        statuses |= {reference: status for reference, status, _ in others}
        return statuses | look_up(self.run, _of(entries, silent)), ""

    def _not_sent(self, documents: Sequence[JournalDocument], words: str) -> tuple[dict[str, Status], str]:
        references = [document.reference for document in documents]
        self.run.book.settle(others=[(reference, Status.FAILED, words) for reference in references])
        return dict.fromkeys(references, Status.FAILED), words

    def _not_there_yet(
        self, documents: Sequence[JournalDocument], statuses: dict[str, Status]
    ) -> list[JournalDocument]:
        """Those that the target does not hold; the receipts of the others are stored."""
        found = self.run.target.find(documents)
        for document in documents:
            receipts = found.get(document.reference, [])
            if any(receipt.live for receipt in receipts):
                accept(self.run, receipts)
                statuses[document.reference] = Status.POSTED
        return [document for document in documents if document.reference not in statuses]


def _of(entries: Sequence[Entry], references: set[str]) -> list[Entry]:
    return [entry for entry in entries if entry.document.reference in references]
