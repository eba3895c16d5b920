"""The warehouse: short-lived connections, the one write lock, raw table definitions, publishing the marts.

DuckDB allows one writing process, and none may read the file meanwhile. So whoever touches the warehouse file holds
`write_lock`, briefly; people and BI tools read the published copy, which is replaced atomically and never locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dlt
import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from ingestion.core.config import ConfigError
from ingestion.core.records import raw_schema
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector

LOCK_TIMEOUT = 1800.0  # seconds a step waits for another's load or build
PUBLISHED_SCHEMA = "marts"


class WarehouseBusyError(Exception):
    """Another process held the warehouse for longer than a step is willing to wait."""


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Hold the warehouse, briefly. A thread that holds it may take it again; others wait."""
    if not settings.is_duckdb:
        raise ConfigError("this version keeps its warehouse in DuckDB; set C4_WAREHOUSE to duckdb:///path")
    settings.data.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.data / "warehouse.lock", timeout=LOCK_TIMEOUT, is_singleton=True):
            yield
    except Timeout as error:
        raise WarehouseBusyError(
            f"the warehouse was busy for {LOCK_TIMEOUT:.0f} s; is another night running?"
        ) from error


@contextmanager
def connect(settings: Settings, *, read_only: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection under the write lock, closed at the end so that the next process can open the file."""
    with write_lock(settings):
        path = settings.warehouse_path
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(path), read_only=read_only and path.exists())
        try:
            connection.execute("set timezone = 'UTC'")
            yield connection
        finally:
            connection.close()


def rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The answer as dictionaries."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def destination(settings: Settings) -> Any:
    """dlt's destination for this warehouse."""
    return dlt.destinations.duckdb(str(settings.warehouse_path))


def sql_type(kind: pa.DataType) -> str:
    """The column type of an Arrow type, as dlt creates it too. Raises TypeError for a type that no column has."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind) and kind.tz:
        return "timestamp with time zone"
    names = {
        pa.string(): "varchar",
        pa.int64(): "bigint",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.float64(): "double",
    }
    if kind not in names:
        raise TypeError(f"no raw column has the type {kind}")
    return names[kind]


def ensure_raw_tables(settings: Settings, connectors: Iterable[Connector]) -> None:
    """Create what a vendor has declared and not yet delivered, so that no model ever misses its source.

    A column that a declaration gained is added; nothing is ever dropped.
    """
    with connect(settings, read_only=False) as connection:
        present: dict[tuple[str, str], set[str]] = {}
        for schema, table, column in connection.execute(
            "select table_schema, table_name, column_name from information_schema.columns "
            "where table_schema like 'raw_%'"
        ).fetchall():
            present.setdefault((schema, table), set()).add(column)
        for connector in connectors:
            connection.execute(f"create schema if not exists {connector.dataset}")
            for stream, table in connector.tables():
                wanted = {field.name: sql_type(field.type) for field in raw_schema(stream, table)}
                have = present.get((connector.dataset, table.name))
                if have is None:
                    columns = ", ".join(f'"{name}" {kind}' for name, kind in wanted.items())
                    connection.execute(f'create table {connector.dataset}."{table.name}" ({columns})')
                    continue
                for name in wanted.keys() - have:
                    connection.execute(
                        f'alter table {connector.dataset}."{table.name}" add column "{name}" {wanted[name]}'
                    )


def publish(settings: Settings) -> int:
    """Copy the marts into the published file and swap it in atomically. Returns the number of tables.

    A reader that has the old file open keeps reading it undisturbed; the next open sees the new one.
    """
    target = settings.published_path
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    with write_lock(settings):
        fresh.unlink(missing_ok=True)
        connection = duckdb.connect(str(fresh))
        try:
            connection.execute(f"attach '{_quoted(settings.warehouse_path)}' as warehouse (read_only)")
            connection.execute(f"create schema {PUBLISHED_SCHEMA}")
            names = [
                name
                for (name,) in connection.execute(
                    "select table_name from information_schema.tables "
                    "where table_catalog = 'warehouse' and table_schema = ? order by 1",
                    [PUBLISHED_SCHEMA],
                ).fetchall()
            ]
            for name in names:
                connection.execute(
                    f'create table {PUBLISHED_SCHEMA}."{name}" as from warehouse.{PUBLISHED_SCHEMA}."{name}"'
                )
        finally:
            connection.close()
        os.replace(fresh, target)
    return len(names)


def _quoted(path: Any) -> str:
    return str(path).replace("'", "''")
