"""Opening the ops database: engine, migrations, and transactions that behave alike on SQLite and Postgres."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core import pg_tools
from ingestion.core.ops.models import Base

BUSY_TIMEOUT_MS = 30_000  # how long a writer waits for another one
MIGRATIONS = Path(__file__).with_name("migrations")
MIGRATION_LOCK = 0xC40B5  # keys of the Postgres advisory locks
WRITE_LOCK = 0xC40B6
ROWS_PER_INSERT = 500  # SQLite binds at most 32,766 values in one statement

_engines: dict[str, Engine] = {}
_opening = threading.Lock()  # Alembic's context is one per process


def open_ops(url: str) -> sessionmaker[Session]:
    """Sessions on the database at `url`, migrated to the newest revision once per process.

    Several processes may open a new database at the same time: one migrates, the others wait. A forked child gets
    connections of its own. Begin every transaction with `writing` or `reading`.
    """
    with _opening:
        engine = _engines.get(url)
        if engine is None:
            engine = connect(url)
            migrate(engine)
            _engines[url] = engine
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def writing(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """A transaction that may write; commits at the end, rolls back on an exception. It takes the write lock at once,
    so that what it reads still holds when it writes.
    """
    with sessions.begin() as session:
        session.connection(execution_options={"c4_begin": "BEGIN IMMEDIATE"})
        if _is_postgres(session):
            session.execute(text(f"set local lock_timeout = {BUSY_TIMEOUT_MS}"))
            session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})
        yield session


@contextmanager
def reading(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One snapshot to read from."""
    with sessions() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"} if _is_postgres(session) else {})
        yield session


def upsert(session: Session, table: type[Base], rows: list[dict[str, Any]], *, update: tuple[str, ...]) -> None:
    """Insert rows, or set the columns in `update` where the primary key is there already."""
    insert = postgresql.insert if _is_postgres(session) else sqlite.insert
    key = [column.name for column in table.__table__.primary_key]
    for start in range(0, len(rows), ROWS_PER_INSERT):
        statement = insert(table).values(rows[start : start + ROWS_PER_INSERT])
        changes = {name: statement.excluded[name] for name in update}
        session.execute(statement.on_conflict_do_update(index_elements=key, set_=changes))


def connect(url: str) -> Engine:
    """An engine for a database as it is, not migrated. Raises ValueError for what is neither SQLite nor Postgres."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg2"), pool_pre_ping=True, hide_parameters=True)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise ValueError("C4_OPS must be sqlite:///path or postgresql://user@host/database")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True)  # errors are logged, values are not

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own comes too late
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = wal",
            "synchronous = full",  # a committed `sending` must survive a power cut, or a journal could go out twice
            "foreign_keys = on",
        ):
            connection.execute(f"pragma {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("c4_begin", "BEGIN"))

    return engine


def dump(url: str, target: Path) -> None:
    """Write the whole database into one file, as it is at this moment. Raises PgToolError."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        pg_tools.dump(url, target)
        return
    with closing(sqlite3.connect(str(parsed.database))) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def restore(url: str, source: Path) -> None:
    """Make the database from what `dump` wrote; opening it migrates it to today's revision.

    Raises FileExistsError or PgToolError where one is there already.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        pg_tools.restore(url, source)
        return
    target = Path(str(parsed.database))
    if target.exists():
        raise FileExistsError(f"{target} is there already; restore into an empty folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def alembic_config() -> Config:
    """Alembic's configuration, made here: there is no ini file to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def migrate(engine: Engine) -> None:
    """Upgrade to the newest revision, alone; nothing happens when it is there."""
    with _alone(engine), engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() != _head():
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        with FileLock(f"{engine.url.database}.migrate.lock"):
            yield
        return
    with engine.connect() as guard:
        guard.execute(text("select pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        try:
            yield
        finally:
            guard.execute(text("select pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})


def _is_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _after_fork() -> None:
    """A child must not share its parent's connections: it forgets them without closing them."""
    global _opening
    _opening = threading.Lock()
    for engine in _engines.values():
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_after_fork)
