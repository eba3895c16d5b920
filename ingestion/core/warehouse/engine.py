"""What the two warehouse engines have in common: the interface that the platform works with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

MARTS = "marts"  # the schema that dbt builds
LOCK_TIMEOUT = 1800.0  # seconds a step waits for another's load or build


class WarehouseBusyError(Exception):
    """Another process held the warehouse for longer than a step is willing to wait."""

    def __init__(self) -> None:
        super().__init__(f"the warehouse was busy for {LOCK_TIMEOUT:.0f} s; is another night running?")


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

    def analyze(self, dataset: str, tables: Sequence[str]) -> None: ...

    def publish(self, only: Collection[str]) -> int: ...

    def published(self) -> AbstractContextManager[Connection | None]: ...

    def dump(self, target: Path) -> None: ...

    def restore(self, source: Path) -> None: ...
