"""The warehouse in a Postgres database.

Postgres needs no write lock for its own sake, and readers never wait. Two advisory locks keep what belongs together
apart: dbt builds the marts model by model, each from the raw tables as they are at that moment, so loads share a lock
that a build holds alone; and accounts of one vendor share dlt's staging tables, so their loads take turns. The locks
belong to a session: a killed process leaves none behind, and a pooler in between must be in session mode.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pyarrow as pa
import pyarrow.csv
from psycopg2 import errors, sql
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ingestion.core import pg_tools
from ingestion.core.config import ConfigError
from ingestion.core.settings import Settings
from ingestion.core.warehouse import engine, publishing
from ingestion.core.warehouse.engine import Connection, WarehouseBusyError
from ingestion.core.warehouse.publishing import PUBLISHED
from ingestion.core.warehouse.types import sql_type

WAREHOUSE_LOCK = 0xC4  # advisory lock classes; the second key is 0, or the hash of a dataset's name
DATASET_LOCK = 0xC5
CONNECT_SECONDS = 15
# Of a load's sessions. A load finds what it replaces by key; with the prices of a disk that turns, looking up a day's
# keys one by one seems dearer than a pass over the index and all rows of history.
LOAD_OPTIONS = "-crandom_page_cost=0.1"  # without a space, which libpq and SQLAlchemy write differently in a URL


def parse(url: str) -> URL:
    """The URL with a host and a database. A socket folder may be given as `?host=/folder`, as libpq takes it.
    Raises ConfigError for anything else, without repeating the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("C4_WAREHOUSE is no URL") from None
    if parsed.drivername not in ("postgres", "postgresql") or not parsed.database:
        raise ConfigError("C4_WAREHOUSE must be duckdb:///path or postgresql://user:password@host:port/database")
    return parsed.set(
        drivername="postgresql",
        host=parsed.host or "localhost",
        query={"connect_timeout": str(CONNECT_SECONDS), **parsed.query},
    )


class PostgresConnection:
    """`?` for parameters, decimals in JSON, one transaction."""

    def __init__(self, raw: psycopg2.extensions.connection) -> None:
        self._raw = raw
        psycopg2.extras.register_default_jsonb(raw, loads=partial(json.loads, parse_float=Decimal))

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> psycopg2.extensions.cursor:
        cursor = self._raw.cursor()
        if parameters:
            cursor.execute(statement.replace("%", "%%").replace("?", "%s"), tuple(parameters))
        else:
            cursor.execute(statement)
        return cursor


class _Held(threading.local):
    """What a thread holds: database -> the dataset that it loads, None for a build."""

    def __init__(self) -> None:
        self.by_database: dict[str, str | None] = {}


_held = _Held()


@dataclass(frozen=True, slots=True)
class PostgresWarehouse:
    settings: Settings

    @property
    def _url(self) -> URL:
        return parse(self.settings.warehouse)

    @property
    def place(self) -> str:
        return self._url.set(password=None, query={}).render_as_string()

    @property
    def published_place(self) -> str:
        return f"{self.place}, schema {PUBLISHED}"

    def destination(self) -> Any:
        from ingestion.core.warehouse import adbc  # imports dlt's Postgres, which only this warehouse needs

        url = self._url.set(query={"options": LOAD_OPTIONS, **self._url.query})
        # without unique indexes: a killed load is done again, and its state row may be there already
        return adbc.PostgresRecords(url.render_as_string(hide_password=False), create_indexes=False)

    def _open(self) -> psycopg2.extensions.connection:
        """A session in UTC. Whoever waits here for a lock gives up as on DuckDB."""
        timeout = int(engine.LOCK_TIMEOUT * 1000)
        return psycopg2.connect(
            self._url.render_as_string(hide_password=False),
            options=f"-c timezone=UTC -c lock_timeout={timeout}",
            application_name="c4",
            keepalives_idle=60,
        )

    # Locks

    @contextmanager
    def write_lock(self, dataset: str | None = None) -> Iterator[None]:
        held, database = _held.by_database, self.place
        if database in held:
            if held[database] not in (None, dataset):
                raise RuntimeError(f"a load of {held[database]} cannot also hold {dataset or 'the whole warehouse'}")
            yield
            return
        with self._locked(shared=dataset is not None, dataset=dataset):
            held[database] = dataset
            try:
                yield
            finally:
                del held[database]

    @contextmanager
    def _locked(self, *, shared: bool, dataset: str | None = None) -> Iterator[None]:
        """Hold the warehouse alone or with others, and with a dataset its loads alone. The session is the lock."""
        with closing(self._open()) as guard:
            guard.autocommit = True
            with guard.cursor() as cursor:
                try:
                    kind = "pg_advisory_lock_shared" if shared else "pg_advisory_lock"
                    cursor.execute(f"select {kind}(%s, 0)", [WAREHOUSE_LOCK])
                    if dataset is not None:
                        cursor.execute("select pg_advisory_lock(%s, hashtext(%s))", [DATASET_LOCK, dataset])
                except errors.LockNotAvailable as error:
                    raise WarehouseBusyError from error
            yield

    # Reading and writing

    @contextmanager
    def connect(self, *, read_only: bool) -> Iterator[Connection]:
        """One snapshot to read from, never in the middle of a build: a table that dbt swaps under a snapshot would
        look empty. Or one transaction that writes.
        """
        if read_only and self.place not in _held.by_database:
            with self._locked(shared=True), self._transaction(read_only=True) as connection:
                yield connection
            return
        with self._transaction(read_only=read_only) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, read_only: bool) -> Iterator[PostgresConnection]:
        with closing(self._open()) as raw:
            raw.set_session(isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED", readonly=read_only)
            with raw:
                yield PostgresConnection(raw)

    def replace(self, dataset: str, tables: Mapping[str, pa.Table]) -> None:
        """A table keeps its place, because views depend on it; only new columns make it anew."""
        with self.write_lock(), closing(self._open()) as raw, raw, raw.cursor() as cursor:
            cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(dataset)))
            present = publishing.columns(cursor, dataset)
            for name, table in tables.items():
                target = sql.Identifier(dataset, name)
                body = sql.SQL(", ").join(
                    sql.SQL("{} " + sql_type(field.type)).format(sql.Identifier(field.name)) for field in table.schema
                )
                if name in present and [column for column, _ in present[name]] == table.schema.names:
                    cursor.execute(sql.SQL("delete from {}").format(target))
                else:
                    cursor.execute(sql.SQL("drop table if exists {} cascade").format(target))
                    cursor.execute(sql.SQL("create table {} ({})").format(target, body))
                text = io.BytesIO()
                options = pa.csv.WriteOptions(include_header=False, quoting_style="all_valid")  # null: no quotes
                pa.csv.write_csv(table, text, options)
                text.seek(0)
                cursor.copy_expert(sql.SQL("copy {} from stdin (format csv)").format(target), text)
                cursor.execute(sql.SQL("analyze {}").format(target))

    def analyze(self, dataset: str, tables: Mapping[str, Sequence[str]]) -> None:
        """Also gives the tables their indexes, without which every load reads all of history: one by which models read
        from a delivery on (`delivered` in dbt_project) and loads delete what hangs on a record, and one by which loads
        find the records that they replace. One that no load reads any more goes. A table is analyzed when a tenth of it
        has changed, as the server does by itself some time later.
        """
        with closing(self._open()) as raw, raw, raw.cursor() as cursor:
            for name, key in tables.items():
                for index, columns in ((f"{name}_by_delivery", ["c4_seq"]), (f"{name}_by_key", key)):
                    cursor.execute("select to_regclass(%s) is null", [f'{dataset}."{index}"'])
                    missing = cursor.fetchone() == (True,)  # asked: `if not exists` waits for writers all the same
                    if columns and missing:
                        place = sql.Identifier(index), sql.Identifier(dataset, name)
                        by = sql.SQL(", ").join(map(sql.Identifier, columns))
                        cursor.execute(sql.SQL("create index {} on {} ({})").format(*place, by))
                    elif not columns and not missing:
                        cursor.execute(sql.SQL("drop index {}").format(sql.Identifier(dataset, index)))
            cursor.execute(
                "select c.relname from pg_class as c inner join pg_stat_all_tables as s on s.relid = c.oid "
                "where s.schemaname = %s and c.relname = any(%s) "
                "and (c.reltuples < 0 or s.n_mod_since_analyze > c.reltuples / 10)",
                [dataset, list(tables)],
            )
            publishing.analyze(cursor, [(dataset, name) for (name,) in cursor.fetchall()])

    def sha256(self, text: str) -> str:
        return f"encode(sha256(convert_to({text}, 'UTF8')), 'hex')"

    # Publishing

    def publish(self, only: Collection[str]) -> int:
        """Bring the published tables to what the marts hold, in one transaction.

        Only rows that differ are written, and of facts that are built by outlet-day those of the days that were built
        since. The tables stay where they are, so readers in any isolation level see all of the old night or all of the
        new one, wait for nothing, and views over the tables survive. Whole rows are compared, which is exact because
        every such mart has a unique key. A mart whose columns changed is made anew.
        """
        with self.write_lock():
            with closing(self._open()) as raw, raw, raw.cursor() as cursor:
                marts, written = publishing.publish(cursor, only)
                publishing.let_read(cursor, self.settings.reader_role)
            with closing(self._open()) as raw, raw, raw.cursor() as cursor:
                publishing.analyze(cursor, written)
        return marts

    @contextmanager
    def published(self) -> Iterator[Connection | None]:
        with self._transaction(read_only=True) as connection:
            if connection.execute("select to_regnamespace(?)", [PUBLISHED]).fetchone() == (None,):
                yield None
                return
            connection.execute(f"set local search_path = {PUBLISHED}")
            yield connection

    def dump(self, target: Path) -> None:
        with self.write_lock():
            pg_tools.dump(self._url.render_as_string(hide_password=False), target)

    def restore(self, source: Path) -> None:
        pg_tools.restore(self._url.render_as_string(hide_password=False), source)
