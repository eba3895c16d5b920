"""Dagster's runs, events and schedules in Postgres, over one pool of connections per process.

Dagster's own Postgres storages open a connection for every statement and give up on a server that is away for a few
seconds, which ends a run in the middle of a step. This one keeps its connections and waits for a server that restarts.
The URL is read from the environment of each process and is never written to Dagster's folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg2
from dagster._config.config_schema import UserConfigSchema
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from ingestion.core.outages import server_was_away
from ingestion.core.settings import Settings

SCHEMA = "dagster"  # the ops database may be the same one, and both have a table `alembic_version`
PATIENCE_SECONDS = 120.0  # how long a process waits for a server that does not answer
PAUSE_SECONDS = 1.0
CREATION_LOCK = 0xC40B7  # key of the Postgres advisory lock; the ops database has the ones before
BLOCK = "c4_block"  # execution option: the statements of the transaction that is open, with their parameters


def storage_url(settings: Settings) -> str | None:
    """Where Dagster keeps its state: C4_DAGSTER_STORAGE, else the ops database; None unless that is Postgres."""
    url = os.environ.get("C4_DAGSTER_STORAGE") or settings.ops
    return in_own_schema(url) if make_url(url).get_backend_name() == "postgresql" else None


def in_own_schema(postgres_url: str) -> str:
    """The URL, with Dagster's schema for names without one, and with the driver that is installed.

    Sessions are in UTC: Dagster keeps times without a zone and compares them with UTC, so on a server east of it no
    limit's slot of a lost run would be free again for hours.
    """
    url = make_url(postgres_url)
    options = " ".join([*url.normalized_query.get("options", ()), f"-csearch_path={SCHEMA}", "-ctimezone=UTC"])
    return url.set(drivername="postgresql+psycopg2").update_query_dict({"options": options}).render_as_string(False)


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's Postgres storage in a schema of its own, over the pool of this process."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        engine = _prepared(postgres_url)
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        self._event_log_storage = EventLog(postgres_url, should_autocreate_tables=False)
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = engine

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PostgresStorage:
        url = storage_url(Settings.load())
        if url is None:
            raise ValueError(
                "Dagster's folder is set up for Postgres, but neither C4_DAGSTER_STORAGE nor C4_OPS names one"
            )
        return cls(url, inst_data)


class EventLog(PostgresEventLogStorage):
    """Dagster's event log, whose transactions outlive the connection that they began on.

    Dagster sets an isolation level for each of them, which fails on a connection that is lost and leaves SQLAlchemy
    and the server of two minds about what is open. Here a transaction is statements like any other: those that were
    done are done again where the server went away before the last of them.
    """

    @contextmanager
    def index_transaction(self) -> Iterator[Connection]:
        with self.index_connection() as connection:
            connection.execution_options(**{BLOCK: []})
            try:
                connection.execute(text("begin"))
                yield connection
                connection.execute(text("commit"))
            except BaseException:
                connection.invalidate()  # the server rolls back what its client leaves
                raise


@cache
def _prepared(url: str) -> Engine:
    """The pool of this process, with Dagster's tables made: one process makes them, the others wait."""
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=2,
        max_overflow=30,
        pool_pre_ping=True,
        hide_parameters=True,
        use_native_hstore=False,  # which asks every new connection of something that Dagster does not use
    )

    @event.listens_for(engine, "do_connect")
    def _(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        return _connected(*arguments, **parameters)

    @event.listens_for(engine, "do_execute")
    def _(_cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return _executed(context.dialect.do_execute, statement, parameters, context)

    @event.listens_for(engine, "do_executemany")
    def _(_cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return _executed(context.dialect.do_executemany, statement, parameters, context)

    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    with engine.connect() as guard:
        guard.execute(text("select pg_advisory_lock(:key)"), {"key": CREATION_LOCK})
        try:
            guard.execute(text(f"create schema if not exists {SCHEMA}"))
            DagsterPostgresStorage(url)
        finally:
            guard.execute(text("select pg_advisory_unlock(:key)"), {"key": CREATION_LOCK})
    return engine


def _executed(execute: Callable[..., None], statement: str, parameters: Any, context: Any) -> bool:
    """Run a statement, again on a new connection while the server goes away under it.

    More than once: a server that goes down ends its sessions one after the other, so the next connection of the pool
    may still answer a ping. What was committed and not confirmed is done twice: an event may then stand in the log
    twice, which nothing counts.
    """
    block = context.execution_options.get(BLOCK)
    end = time.monotonic() + PATIENCE_SECONDS
    lost: Exception | None = None
    while True:
        try:
            if lost is not None:
                _reconnected(context, lost, block or ())
            execute(context.cursor, statement, parameters, context)
        except (psycopg2.Error, DBAPIError) as error:
            if time.monotonic() > end or not server_was_away(error):
                raise
            if lost is not None:
                time.sleep(PAUSE_SECONDS)
            lost = error
        else:
            if block is not None:
                block.append((execute, statement, parameters))
            return True  # SQLAlchemy need not do it


def _reconnected(context: Any, lost: Exception, done: Iterable[tuple[Callable[..., None], str, Any]]) -> None:
    """Give a statement a new connection, on which its transaction is as far as it was on the lost one."""
    connection = context.root_connection
    connection._dbapi_connection.invalidate(lost)
    connection._dbapi_connection = connection.engine.raw_connection()
    for execute, statement, parameters in done:
        with connection._dbapi_connection.cursor() as cursor:
            execute(cursor, statement, parameters, context)
    context.cursor = connection._dbapi_connection.cursor()


def _connected(*arguments: Any, **parameters: Any) -> Any:
    """A connection, waited for while the server is away. Raises psycopg2.OperationalError after `PATIENCE_SECONDS`."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return psycopg2.connect(*arguments, **parameters)
        except psycopg2.OperationalError as error:
            if time.monotonic() > end or not server_was_away(error):
                raise
        time.sleep(PAUSE_SECONDS)
