"""The warehouse, in DuckDB or in Postgres as the setting `warehouse` (C4_WAREHOUSE, a URL) says.

Everything here behaves alike on both engines; where they differ inside is told in `duck` and `postgres`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa

from ingestion.core.records import raw_schema
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector
from ingestion.core.warehouse.duck import DuckWarehouse
from ingestion.core.warehouse.engine import Connection, Cursor, Engine, WarehouseBusyError
from ingestion.core.warehouse.postgres import PostgresWarehouse
from ingestion.core.warehouse.types import sql_type

SqlError = (duckdb.Error, psycopg2.Error)  # what the engines raise for a statement that fails


def engine_of(settings: Settings) -> Engine:
    """The engine that the URL names."""
    return DuckWarehouse(settings) if settings.is_duckdb else PostgresWarehouse(settings)


def place(settings: Settings) -> str:
    """Where the warehouse is, for people: a path, or a URL without the password."""
    return engine_of(settings).place


def published_place(settings: Settings) -> str:
    """Where the published marts are, for people."""
    return engine_of(settings).published_place


def destination(settings: Settings) -> Any:
    """dlt's destination for this warehouse."""
    return engine_of(settings).destination()


def write_lock(settings: Settings, dataset: str | None = None) -> AbstractContextManager[None]:
    """Hold the warehouse: with a dataset to load that vendor's raw tables, without one to build or publish.

    A build excludes loads and other builds, for the marts must come from one state of the raw tables. On Postgres
    loads of different datasets go side by side; on DuckDB everybody takes turns. A thread that holds the warehouse
    may take it again. Raises WarehouseBusyError after half an hour.
    """
    return engine_of(settings).write_lock(dataset)


def connect(settings: Settings, *, read_only: bool = True) -> AbstractContextManager[Connection]:
    """A short-lived connection in UTC: one snapshot to read from, or one transaction, committed at the end."""
    return engine_of(settings).connect(read_only=read_only)


def rows(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The answer as dictionaries."""
    return as_dicts(connection.execute(sql, parameters))


def as_dicts(cursor: Cursor, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of an answer (or the first ones) as dictionaries."""
    names = [column[0] for column in cursor.description or ()]
    found = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
    return [dict(zip(names, row, strict=True)) for row in found]


def replace(settings: Settings, dataset: str, tables: Mapping[str, pa.Table]) -> None:
    """Write tables whole, in one transaction, in the place of what they held."""
    engine_of(settings).replace(dataset, tables)


def analyze(settings: Settings, dataset: str, tables: Mapping[str, Sequence[str]]) -> None:
    """Tell the planner what was loaded, where it does not notice by itself. `tables`: name -> the columns that a load
    replaces rows by.
    """
    engine_of(settings).analyze(dataset, tables)


def sha256(settings: Settings, text: str) -> str:
    """SQL for the SHA-256 of a text column's UTF-8, in hexadecimal digits."""
    return engine_of(settings).sha256(text)


def publish(settings: Settings, only: Collection[str] = ()) -> int:
    """Show the marts (or some, the others staying as they were published) as they are now to analysts and BI tools, all
    at once. Returns the number of tables.
    """
    return engine_of(settings).publish(only)


def published(settings: Settings) -> AbstractContextManager[Connection | None]:
    """A read-only connection to the published marts, whose names need no schema; None before the first night."""
    return engine_of(settings).published()


def dump(settings: Settings, target: Path) -> None:
    """Write the whole warehouse into one file, as it is between two loads or builds. Raises PgToolError."""
    engine_of(settings).dump(target)


def restore(settings: Settings, source: Path) -> None:
    """Make the warehouse from what `dump` wrote. Raises FileExistsError or PgToolError where one is there already."""
    engine_of(settings).restore(source)


def ensure_raw_tables(settings: Settings, connectors: Iterable[Connector]) -> None:
    """Create what a vendor has declared and not yet delivered, so that no model ever misses its source.

    A column that a declaration gained is added; nothing is ever dropped.
    """
    with write_lock(settings), connect(settings, read_only=False) as connection:
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


__all__ = [
    "Connection",
    "Cursor",
    "SqlError",
    "WarehouseBusyError",
    "analyze",
    "as_dicts",
    "connect",
    "destination",
    "dump",
    "ensure_raw_tables",
    "place",
    "publish",
    "published",
    "published_place",
    "replace",
    "restore",
    "rows",
    "sha256",
    "sql_type",
    "write_lock",
]
