"""The warehouse in a Postgres database.

Postgres needs no write lock for its own sake, and readers never wait. Two advisory locks keep what belongs together
apart: dbt builds the marts model by model, each from the raw tables as they are at that moment, so loads share a lock
that a build holds alone; and accounts of one vendor share dlt's staging tables, so their loads take turns. The locks
belong to a session: a killed process leaves none behind, and a pooler in between must be in session mode.
"""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import dlt
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
from ingestion.core.warehouse import engine
from ingestion.core.warehouse.engine import DAYS, LEDGER, MARTS, Built, Connection, WarehouseBusyError
from ingestion.core.warehouse.types import sql_type

PUBLISHED = "published"
WAREHOUSE_LOCK = 0xC4  # advisory lock classes; the second key is 0, or the hash of a dataset's name
DATASET_LOCK = 0xC5
CONNECT_SECONDS = 15
COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    from pg_class as c
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = to_regnamespace(%s) and c.relkind in ('r', 'p', 'v', 'm')
    order by c.relname, a.attnum
"""
COMMENTS = """
    select relname, obj_description(oid, 'pg_class') from pg_class
    where relnamespace = to_regnamespace(%s) and relkind in ('r', 'p')
"""
PARTITIONS = "partitions"  # the schema in which the months of partitioned tables lie; nobody needs to name them
PARTITIONED = "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'p'"
MONTHS = """
    select right(c.relname, 7), pg_get_expr(c.relpartbound, c.oid)
    from pg_inherits as i
    inner join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = to_regclass(%s)
    order by 1
"""
INDEXED = ["outlet_id", "business_date"]  # what readers of a mart ask by, where it has both

log = logging.getLogger(__name__)


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
        # without unique indexes: a killed load is done again, and its state row may be there already
        return dlt.destinations.postgres(self._url.render_as_string(hide_password=False), create_indexes=False)

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
            present = _columns(cursor, dataset)
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

    def analyze(self, dataset: str, tables: Sequence[str]) -> None:
        """Also gives the tables the index by which models read from a delivery on (`delivered` in dbt_project)."""
        with closing(self._open()) as raw, raw, raw.cursor() as cursor:
            for name in tables:
                index = f"{name}_by_delivery"
                cursor.execute("select to_regclass(%s) is null", [f'{dataset}."{index}"'])
                if cursor.fetchone() == (True,):  # asked, because `if not exists` waits for writers all the same
                    indexed = sql.Identifier(dataset, name), sql.Identifier(index)
                    cursor.execute(sql.SQL("create index {1} on {0} (c4_seq)").format(*indexed))
            _analyze(cursor, dataset, tables)

    # Publishing

    def publish(self, only: Collection[str]) -> int:
        """Bring the published tables to what the marts hold, in one transaction.

        Only rows that differ are written, and of facts that are built by outlet-day those of the days that were built
        since. The tables stay where they are, so readers in any isolation level see all of the old night or all of the
        new one, wait for nothing, and views over the tables survive. Whole rows are compared, which is exact because
        every mart has a unique key. A mart whose columns changed is made anew.
        """
        with self.write_lock(), closing(self._open()) as raw, raw, raw.cursor() as cursor:
            cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(PUBLISHED)))
            marts, present = _columns(cursor, MARTS), _columns(cursor, PUBLISHED)
            built, published = _built(cursor, MARTS), _built(cursor, PUBLISHED)
            if only:
                marts = {name: columns for name, columns in marts.items() if name in only}
            for name in () if only else present.keys() - marts.keys():
                cursor.execute(sql.SQL("drop table {} cascade").format(sql.Identifier(PUBLISHED, name)))
            by_month = _names(cursor, PARTITIONED, MARTS)
            moved = by_month ^ _names(cursor, PARTITIONED, PUBLISHED)  # a table becomes partitioned, or no longer is
            same = {name for name in marts if present.get(name) == marts[name] and name not in moved}
            # those that need the stronger lock come last, so that they hold it shortly
            for name in sorted(marts, key=lambda name: (name not in same, name)):
                names: dict[str, sql.Composable] = {
                    "new": sql.Identifier(MARTS, name),
                    "old": sql.Identifier(PUBLISHED, name),
                }
                told = built.get(name)
                if name in same:
                    if name in by_month:
                        _make_partitions(cursor, name)
                    since = told.since(published.get(name)) if told is not None else None
                    if since is None:
                        statements = (
                            "delete from {old} as old where not exists (select from {new} as new where new = old)",
                            "insert into {old} select * from {new} as new"
                            " where not exists (select from {old} as old where old = new)",
                        )
                    else:
                        names["days"] = sql.SQL(DAYS.format(LEDGER, since))
                        statements = (
                            "delete from {old} where {days}",
                            "insert into {old} select * from {new} where {days}",
                        )
                    for statement in statements:
                        cursor.execute(sql.SQL(statement).format(**names))
                else:
                    partitioned = " partition by range (business_date)" if name in by_month else ""
                    for statement in (
                        "drop table if exists {old} cascade",
                        "create table {old} (like {new})" + partitioned,
                    ):
                        cursor.execute(sql.SQL(statement).format(**names))
                    if name in by_month:
                        _make_partitions(cursor, name)
                    cursor.execute(sql.SQL("insert into {old} select * from {new}").format(**names))
                    if set(INDEXED) <= {column for column, _ in marts[name]}:
                        columns = sql.SQL(", ").join(map(sql.Identifier, INDEXED))
                        cursor.execute(sql.SQL("create index on {old} ({columns})").format(columns=columns, **names))
                if told is not None:
                    cursor.execute(sql.SQL("comment on table {old} is %s").format(**names), [told.comment])
            self._let_read(cursor)
        with closing(self._open()) as raw, raw, raw.cursor() as cursor:
            _analyze(cursor, PUBLISHED, sorted(marts))
        return len(marts)

    def _let_read(self, cursor: psycopg2.extensions.cursor) -> None:
        """The reader role, made if it is missing, may read the published tables and nothing else."""
        role = self.settings.reader_role
        cursor.execute("select 1 from pg_roles where rolname = %s", [role])
        if cursor.fetchone() is None:
            cursor.execute("savepoint role")
            try:
                cursor.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
            except errors.InsufficientPrivilege:
                cursor.execute("rollback to savepoint role")
                log.warning('nobody can read the published marts yet: let an administrator run create role "%s"', role)
                return
            except (errors.DuplicateObject, errors.UniqueViolation):  # another database's night was faster
                cursor.execute("rollback to savepoint role")
        names = {"role": sql.Identifier(role), "schema": sql.Identifier(PUBLISHED)}
        cursor.execute("select has_schema_privilege(%s, %s, 'usage')", [role, PUBLISHED])
        if cursor.fetchone() != (True,):
            cursor.execute(sql.SQL("grant usage on schema {schema} to {role}").format(**names))
        cursor.execute(
            "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind in ('r', 'p') "
            "and not has_table_privilege(%s, oid, 'select')",
            [PUBLISHED, role],
        )
        for (name,) in cursor.fetchall():
            table = sql.Identifier(PUBLISHED, name)
            cursor.execute(sql.SQL("grant select on {table} to {role}").format(table=table, **names))

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


def _make_partitions(cursor: psycopg2.extensions.cursor, mart: str) -> None:
    """The months of the mart as partitions of the published table."""
    cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(PARTITIONS)))
    cursor.execute(MONTHS, [f'{MARTS}."{mart}"'])
    for month, bounds in cursor.fetchall():
        names = [sql.Identifier(PARTITIONS, f"{PUBLISHED}_{mart}_{month}"), sql.Identifier(PUBLISHED, mart)]
        cursor.execute(sql.SQL("create table if not exists {} partition of {} " + bounds).format(*names))


def _names(cursor: psycopg2.extensions.cursor, query: str, *parameters: str) -> set[str]:
    cursor.execute(query, parameters)
    return {name for (name,) in cursor.fetchall()}


def _built(cursor: psycopg2.extensions.cursor, schema: str) -> dict[str, Built]:
    """What the facts of a schema that are built by outlet-day tell."""
    cursor.execute(COMMENTS, [schema])
    return {name: told for name, comment in cursor.fetchall() if (told := Built.told(comment)) is not None}


def _analyze(cursor: psycopg2.extensions.cursor, schema: str, tables: Sequence[str]) -> None:
    for name in tables:
        cursor.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, name)))


def _columns(cursor: psycopg2.extensions.cursor, schema: str) -> dict[str, list[tuple[str, str]]]:
    """The tables of a schema: name -> (column, type) in order."""
    cursor.execute(COLUMNS, [schema])
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in cursor.fetchall():
        found.setdefault(table, []).append((column, kind))
    return found
