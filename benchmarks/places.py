"""Where a benchmark's warehouse is: files in its folder, or an embedded Postgres of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

ENGINES = ("duckdb", "postgres")


@dataclass(frozen=True, slots=True)
class Place:
    """A warehouse and ops database (empty: files in the data folder), and where the floor and the others write."""

    url: str = ""
    floor: str = ""
    server: int | None = None  # process id


@contextlib.contextmanager
def placed(engine: str) -> Iterator[Place]:
    if engine == "duckdb":
        yield Place()
        return
    from tests import postgres as pg  # the embedded server, with the settings that it comes with

    with pg.restartable_server() as server, pg.database(server.url) as floor:
        pg.execute(server.url, "alter role current_user set work_mem = '64MB'")  # which the runbook has of a role
        yield Place(server.url, floor, server.pid)
