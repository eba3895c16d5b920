"""The warehouse in one DuckDB file.

DuckDB allows one writing process, and none may read the file meanwhile. So whoever touches the warehouse file holds
the write lock, briefly; people and BI tools read the published copy, which is replaced atomically and never locked.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from ingestion.core.settings import Settings
from ingestion.core.warehouse import engine
from ingestion.core.warehouse.engine import DAYS, LEDGER, MARTS, Built, Connection, WarehouseBusyError

log = logging.getLogger(__name__)


class DuckRecords(dlt.destinations.duckdb):
    """dlt's DuckDB, where records merge as `records` says, by dlt's own name: a pipeline's state knows it by that."""

    destination_type = "dlt.destinations.duckdb"

    @property
    def client_class(self) -> Any:
        return _client_class()


@cache  # dlt asks for it with every job
def _client_class() -> Any:
    from dlt.destinations.impl.duckdb.duck import DuckDbClient

    from ingestion.core.warehouse.records import RecordClient

    return type("DuckRecordClient", (RecordClient, DuckDbClient), {})


@dataclass(frozen=True, slots=True)
class DuckWarehouse:
    settings: Settings

    @property
    def place(self) -> str:
        return str(self.settings.warehouse_path)

    @property
    def published_place(self) -> str:
        return str(self.settings.published_path)

    def destination(self) -> Any:
        return DuckRecords(str(self.settings.warehouse_path))

    @contextmanager
    def write_lock(self, dataset: str | None = None) -> Iterator[None]:
        self.settings.data.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.settings.data / "warehouse.lock", timeout=engine.LOCK_TIMEOUT, is_singleton=True):
                if dataset is None:
                    yield
                    return
                # dlt opens and closes the file for every statement and job; it stays open while somebody has it open
                with self._open(read_only=False):
                    yield
        except Timeout as error:
            raise WarehouseBusyError from error

    @contextmanager
    def connect(self, *, read_only: bool) -> Iterator[Connection]:
        """Under the write lock, closed at the end so that the next process can open the file."""
        with self.write_lock(), self._open(read_only=read_only) as connection:
            connection.execute("set timezone = 'UTC'")
            connection.begin()
            yield connection
            connection.commit()

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        path = self.settings.warehouse_path
        path.parent.mkdir(parents=True, exist_ok=True)
        return self._connected(path, read_only=read_only and path.exists())

    def _connected(self, path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(path), read_only=read_only)
        limit = _quoted(self.settings.duckdb_memory)
        connection.execute(f"set memory_limit = '{limit}'")  # dlt's, too, while this one is open
        return connection

    def replace(self, dataset: str, tables: Mapping[str, pa.Table]) -> None:
        with self.connect(read_only=False) as connection:
            assert isinstance(connection, duckdb.DuckDBPyConnection)
            connection.execute(f"create schema if not exists {dataset}")
            for name, table in tables.items():
                connection.register("incoming", table)
                connection.execute(f'create or replace table {dataset}."{name}" as select * from incoming')  # noqa: S608 - our own names
                connection.unregister("incoming")

    def analyze(self, dataset: str, tables: Mapping[str, Sequence[str]]) -> None:
        """DuckDB keeps its statistics by itself."""

    def sha256(self, text: str) -> str:
        return f"sha256({text})"

    def publish(self, only: Collection[str]) -> int:
        """A reader that has the old file open keeps reading it undisturbed; the next open sees the new one.

        The new file begins as the one before the old one, kept beside it for that, or as a copy of the old one where
        somebody still reads that. Of facts that are built by outlet-day only those days are copied that were built
        since; every other mart is, but for views of marts, which are views there too.
        """
        target = self.settings.published_path
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh, before = (target.with_name(f".{target.name}.{kind}") for kind in ("new", "before"))
        with self.write_lock():
            # of marts that are not published now, only the old file holds what its readers see
            connection = self._begun(target, fresh, None if only else before)
            catalog = self.settings.warehouse_path.stem  # as dbt knows it: the views among the marts name it
            try:
                connection.execute(f"attach '{_quoted(self.settings.warehouse_path)}' as \"{catalog}\" (read_only)")
                connection.execute(f"create schema if not exists {MARTS}")
                marts, present = _marts(connection, catalog), _marts(connection)
                names = [name for name in marts if not only or name in only]
                views, shown = _views(connection, catalog), _views(connection)
                gone = set() if only else present.keys() - marts.keys()
                for name in gone | {name for name in names if name in present and (name in views) != (name in shown)}:
                    connection.execute(f'drop {"view" if name in shown else "table"} {MARTS}."{name}"')
                for name in sorted(names, key=lambda name: name in views):  # views are of tables
                    if name in views:
                        _show(connection, catalog, name, views[name])
                    else:
                        _publish(connection, catalog, name, marts[name], present.get(name))
            finally:
                connection.close()
            _replace(target, fresh, before)
        return len(names)

    def _begun(self, target: Path, fresh: Path, before: Path | None) -> duckdb.DuckDBPyConnection:
        """The next published file, open: the one `before` this one, a copy of this one, or empty where neither is."""
        for name in (fresh, fresh.with_name(f"{fresh.name}.wal")):
            name.unlink(missing_ok=True)
        if not target.exists():
            return self._connected(fresh)
        if before is not None and before.exists() and not _is_open_here(before):
            before.rename(fresh)
            try:
                return self._connected(fresh)  # alone: another process that reads it holds a lock
            except duckdb.Error:
                fresh.unlink()
        shutil.copyfile(target, fresh)
        try:
            return self._connected(fresh)
        except duckdb.Error as error:
            log.warning("the published marts are made anew: their file cannot be read (%s)", type(error).__name__)
            fresh.unlink()
        return self._connected(fresh)

    @contextmanager
    def published(self) -> Iterator[Connection | None]:
        path = self.settings.published_path
        if not path.exists():
            yield None
            return
        with duckdb.connect(str(path), read_only=True) as marts:
            marts.execute("set timezone = 'UTC'")
            marts.execute(f"set schema = '{MARTS}'")
            yield marts

    def dump(self, target: Path) -> None:
        with self.write_lock():
            duckdb.connect(self.place).close()  # what a killed process left in the write-ahead log goes into the file
            shutil.copyfile(self.place, target)

    def restore(self, source: Path) -> None:
        path = self.settings.warehouse_path
        if path.exists():
            raise FileExistsError(f"{path} is there already; restore into an empty folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)


def _replace(target: Path, fresh: Path, before: Path) -> None:
    """Put `fresh` in the place of `target`, which stays as `before` where the file system has links."""
    kept = before.with_name(f"{before.name}.link")
    kept.unlink(missing_ok=True)
    try:
        os.link(target, kept)
    except OSError as error:  # no target yet, or no links: the next publication begins as a copy
        log.debug("no file is kept for the next publication: %s", error)
    os.replace(fresh, target)
    if kept.exists():
        os.replace(kept, before)


def _is_open_here(path: Path) -> bool:
    """Whether this process itself has the file open: its own locks keep it from nothing."""
    wanted = path.stat()
    for name in os.listdir("/dev/fd"):
        try:
            found = os.fstat(int(name))
        except OSError:  # that of the listing itself
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _marts(connection: duckdb.DuckDBPyConnection, catalog: str | None = None) -> dict[str, Built | None]:
    """The marts of an attached file, or of the one that is open, in the order of their names, with what they tell of
    how they were built.
    """
    found = connection.execute(
        "select t.table_name, d.comment from information_schema.tables as t left join duckdb_tables() as d "
        "on d.database_name = t.table_catalog and d.schema_name = t.table_schema and d.table_name = t.table_name "
        "where t.table_catalog = coalesce(?, current_database()) and t.table_schema = ? order by 1",
        [catalog, MARTS],
    )
    return {name: Built.told(comment) for name, comment in found.fetchall()}


def _views(connection: duckdb.DuckDBPyConnection, catalog: str | None = None) -> dict[str, str]:
    """The marts that are views: name -> the statement that makes it."""
    found = connection.execute(
        "select view_name, sql from duckdb_views() "
        "where database_name = coalesce(?, current_database()) and schema_name = ?",
        [catalog, MARTS],
    )
    return dict(found.fetchall())


def _show(connection: duckdb.DuckDBPyConnection, catalog: str, name: str, statement: str) -> None:
    """Publish a view as the same view of the published marts, or as a table where it reads what is not published."""
    connection.execute(f'drop view if exists {MARTS}."{name}"')
    try:
        connection.execute(statement)
    except duckdb.CatalogException:
        _publish(connection, catalog, name, None, None)


def _publish(
    connection: duckdb.DuckDBPyConnection, catalog: str, name: str, built: Built | None, published: Built | None
) -> None:
    old, new = f'{MARTS}."{name}"', f'"{catalog}".{MARTS}."{name}"'
    since = built.since(published) if built is not None else None
    if since is None:
        connection.execute(f"create or replace table {old} as from {new}")
    else:
        days = DAYS.format(f'"{catalog}".{LEDGER}', since)
        connection.execute(f"delete from {old} where {days}")  # noqa: S608 - our own names
        connection.execute(f"insert into {old} by name from {new} where {days}")
    if built is not None:
        connection.execute(f"comment on table {old} is '{_quoted(built.comment)}'")


def _quoted(text: Path | str) -> str:
    return str(text).replace("'", "''")
