"""Writes to tills: menu prices and schedules, each change exactly once.

A change is a compare-and-set on a value that the till holds: from what it was approved over (`old`) to what somebody
wants (`new`). It goes through the same states as a journal, keeps the same history, and never rests on an answer alone:
before it is sent, after an uncertain answer and at the end, the till is asked what it holds now.
"""

from ingestion.core.writes.accounts import accounts, send_changes, writer_of
from ingestion.core.writes.book import approve, changes_of, named, submit, withdraw
from ingestion.core.writes.change import Change, Difference, Held, Refused, Wish, WriteKind, WriteTarget
from ingestion.core.writes.preview import preview
from ingestion.core.writes.send import SendResult, send
from ingestion.core.writes.sheets import PriceRow, ShiftRow, read_sheet

__all__ = [
    "Change",
    "Difference",
    "Held",
    "PriceRow",
    "Refused",
    "SendResult",
    "ShiftRow",
    "Wish",
    "WriteKind",
    "WriteTarget",
    "accounts",
    "approve",
    "changes_of",
    "named",
    "preview",
    "read_sheet",
    "send",
    "send_changes",
    "submit",
    "withdraw",
    "writer_of",
]
