"""Where a benchmark's warehouse is: files in its folder, or an embedded Postgres of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingestion.core.settings import PROJECT_ROOT

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
    from tests import postgres as pg

    with pg.restartable_server() as server, pg.database(server.url) as floor:
        pg.execute(server.url, "alter role current_user set work_mem = '64MB'")  # which the runbook has of a role
        for name, value in server_settings().items():
            pg.execute(server.url, f"alter system set {name} = '{value}'")
        server.crash()
        server.start()
        yield Place(server.url, floor, server.pid)


def server_settings() -> dict[str, str]:
    """What deploy/postgres.conf says, but for where a server listens."""
    text = (PROJECT_ROOT / "deploy" / "postgres.conf").read_text(encoding="utf-8")
    found = dict(re.findall(r"^(\w+) = '?([^'\n]*)'?$", text, re.MULTILINE))
    return {name: value for name, value in found.items() if name != "listen_addresses"}


def settle(place: Place) -> None:
    """What a server does by itself between two nights: its tables vacuumed, what was written on disk."""
    if place.url:
        from tests import postgres as pg

        for statement in ("vacuum (analyze)", "checkpoint"):
            pg.execute(place.url, statement)
