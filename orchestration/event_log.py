"""Dagster's event log in one SQLite file whose connections are kept.

Dagster's own SQLite storages open the database anew for every statement, which for a night of hundreds of assets is
most of what the orchestration costs. This one keeps its connections in a pool and lets the operating system decide when
to flush (write-ahead log, `synchronous=normal`): a power cut may lose the last moments of the log, never its integrity,
and what was loaded or posted is known to the warehouse and the outbox, not to the log.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.sqlite import create_db_conn_string
from sqlalchemy import Connection, Engine, create_engine, event, inspect

BUSY_SECONDS = 60


class PooledSqliteEventLog(ConsolidatedSqliteEventLogStorage):
    """Dagster's consolidated SQLite event log over one engine per process."""

    @cached_property
    def _engine(self) -> Engine:
        path = create_db_conn_string(self._base_dir, os.path.basename(self.get_db_path()).removesuffix(".db"))
        engine = create_engine(path, connect_args={"timeout": BUSY_SECONDS})

        @event.listens_for(engine, "connect")
        def _(connection: Any, _record: Any) -> None:
            connection.execute("pragma synchronous = normal")

        return engine

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @cached_property
    def _tables(self) -> frozenset[str]:
        return frozenset(inspect(self._engine).get_table_names())

    def has_table(self, table_name: str) -> bool:
        return table_name in self._tables

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()
