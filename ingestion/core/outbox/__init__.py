"""The outbox: journals go out exactly once, whatever breaks.

`export` is the whole of it: settle what an earlier run left open, plan what must change in the target's books, send
it, read it back. `approve` lets a person release a document. The promise rests on three things: a reference that is
the same for the same content for ever, `sending` committed before the call, and a look-up by reference before
anything whose outcome is unknown is sent again.
"""

from ingestion.core.outbox.content import JOURNAL_TYPES, Candidate, CandidateLine, JournalKey
from ingestion.core.outbox.entries import Entry
from ingestion.core.outbox.export import export
from ingestion.core.outbox.people import approve, booked_journals
from ingestion.core.outbox.run import ExportResult
from ingestion.core.outbox.states import Problem, Status, history

__all__ = [
    "JOURNAL_TYPES",
    "Candidate",
    "CandidateLine",
    "Entry",
    "ExportResult",
    "JournalKey",
    "Problem",
    "Status",
    "approve",
    "booked_journals",
    "export",
    "history",
]
