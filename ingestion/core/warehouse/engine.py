"""What the two warehouse engines have in common: the interface that the platform works with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

MARTS = "marts"  # the schema that dbt builds
LOCK_TIMEOUT = 1800.0  # seconds a step waits for another's load or build
LEDGER = "intermediate.int_outlets__day_versions"
DAYS = "(outlet_id, business_date) in (select outlet_id, business_date from {} where version > {})"


class WarehouseBusyError(Exception):
    """Another process held the warehouse for longer than a step is willing to wait."""

    def __init__(self) -> None:
        super().__init__(f"the warehouse was busy for {LOCK_TIMEOUT:.0f} s; is another night running?")


@dataclass(frozen=True, slots=True)
class Built:
    """What the comment of a fact that is built by outlet-day tells (dbt_project/macros/materializations/by_day.sql)."""

    comment: str
    made: tuple[str, ...]  # the code, and the invocation that made the table anew
    version: int

    @classmethod
    def told(cls, comment: str | None) -> Built | None:
        match (comment or "").split():
            case ["c4", code, version, invocation]:
                return cls(str(comment), (code, invocation), int(version))
        return None

    def since(self, published: Built | None) -> int | None:
        """The version above which outlet-days are to be published again; None where the whole table is."""
        if published is None or published.made != self.made or published.version > self.version:
            return None
        return published.version


class Cursor(Protocol):
    """An answer, row by row."""

    @property
    def description(self) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchmany(self, size: int = ..., /) -> list[Any]: ...

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """Runs SQL that both engines understand. A parameter is written `?`, and nothing else in the text is."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...


class Engine(Protocol):
    """One warehouse. `ingestion.core.warehouse` says what each operation promises."""

    @property
    def place(self) -> str: ...

    @property
    def published_place(self) -> str: ...

    def destination(self) -> Any: ...

    def write_lock(self, dataset: str | None) -> AbstractContextManager[None]: ...

    def connect(self, *, read_only: bool) -> AbstractContextManager[Connection]: ...

    def replace(self, dataset: str, tables: Mapping[str, pa.Table]) -> None: ...

    def analyze(self, dataset: str, tables: Mapping[str, Sequence[str]]) -> None: ...

    def sha256(self, text: str) -> str: ...

    def publish(self, only: Collection[str]) -> int: ...

    def published(self) -> AbstractContextManager[Connection | None]: ...

    def dump(self, target: Path) -> None: ...

    def restore(self, source: Path) -> None: ...
