"""Who is at work on what, on any machine: a Postgres session per piece of work, whose advisory locks end with it.

A process that is killed, a machine that loses its power and a network that breaks all end the session, and with it the
claim: at once, or when the server misses its keepalives (about a minute).
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import psycopg2
from sqlalchemy import make_url

KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}  # seconds, and probes
ON_THE_SERVER = " ".join(f"-c tcp_{name}={value}" for name, value in KEEPALIVES.items())
HOLDERS = """
    select pid from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)
"""


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims in the database at `url` (any SQLAlchemy URL of Postgres). Methods raise psycopg2.OperationalError."""

    url: str = field(repr=False)

    @contextmanager
    def take(self, names: Sequence[str], label: str, lost: Callable[[], None] | None = None) -> Iterator[bool]:
        """Claim all of the names for the block, or none: False when somebody has one of them.

        `label` is what `pg_stat_activity` shows. `lost` is called from another thread when the session breaks: from
        then on somebody else may have the claim.
        """
        with closing(self._open(label)) as session, session.cursor() as cursor:
            for name in names:
                cursor.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
                if cursor.fetchone() != (True,):
                    yield False
                    return
            with _watched(session, lost):
                yield True

    def is_held(self, name: str) -> bool:
        """Whether somebody has the claim now."""
        return bool(self._ask(HOLDERS, name))

    def revoke(self, name: str) -> None:
        """End the session of whoever has the claim."""
        self._ask(f"select pg_terminate_backend(pid) from ({HOLDERS}) as holders", name)  # noqa: S608 - no value in it

    def _ask(self, statement: str, name: str) -> list[tuple[object, ...]]:
        with closing(self._open("c4 claims")) as session, session.cursor() as cursor:
            cursor.execute(statement, [name])
            return cursor.fetchall()

    def _open(self, label: str) -> psycopg2.extensions.connection:
        url = make_url(self.url).set(drivername="postgresql").difference_update_query(["options"])
        session = psycopg2.connect(
            url.render_as_string(hide_password=False),
            options=ON_THE_SERVER,  # not in the URL, where a space would become a plus
            application_name=label[:63],
            **KEEPALIVES,
        )
        session.autocommit = True
        return session


@contextmanager
def _watched(session: psycopg2.extensions.connection, lost: Callable[[], None] | None) -> Iterator[None]:
    """Call `lost` when the session breaks during the block."""
    if lost is None:
        yield
        return
    wake, stop = os.pipe()
    watcher = threading.Thread(target=_watch, args=(session, wake, lost), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        os.close(stop)
        watcher.join()
        os.close(wake)


def _watch(session: psycopg2.extensions.connection, wake: int, lost: Callable[[], None]) -> None:
    while True:
        readable, _, _ = select.select([session, wake], [], [])
        if wake in readable:
            return
        try:
            session.poll()  # a server that speaks of a changed setting is no loss
        except psycopg2.Error:
            lost()
            return
