"""Analysts who ask the published marts the same question over and over while loads, builds and publications go on."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ingestion.core import warehouse
from ingestion.core.settings import Settings

LOCK_WAIT_MS = 1000  # the longest that a reader may wait for a lock
Answer = tuple[Any, ...]


def ask(settings: Settings, question: str) -> Answer | None:
    """The one row that answers a question, asked as a BI tool would; None before the first publication.

    Raises the driver's error; on Postgres also where the reader had to wait for a lock. DuckDB's readers know none.
    """
    with warehouse.published(settings) as marts:
        if marts is None:
            return None
        if not settings.is_duckdb:
            marts.execute(f"set local lock_timeout = {LOCK_WAIT_MS}")
        return tuple(marts.execute(question).fetchone())


@dataclass
class Reader:
    """One analyst, who asks as long as the context lasts, and at least once.

    `pause` in seconds between two questions leaves the processor to a night that is long enough.
    """

    settings: Settings
    question: str
    pause: float = 0.0
    asked: int = 0
    seen: list[Answer] = field(default_factory=list)  # answers in the order they came, without repetitions
    trouble: list[Exception] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Reader:
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while True:
            try:
                answer = ask(self.settings, self.question)
            except Exception as error:  # noqa: BLE001 - the test tells it
                self.trouble.append(error)
                return
            self.asked += 1
            if answer is not None and self.seen[-1:] != [answer]:
                self.seen.append(answer)
            if self._over.wait(self.pause):
                return

    def saw_only(self, whole: Collection[Answer | None]) -> None:
        """Fail the test where a question failed or waited, or an answer is none of the states that were published."""
        assert self.trouble == []
        assert self.asked > 0
        assert [answer for answer in self.seen if answer not in whole] == []
