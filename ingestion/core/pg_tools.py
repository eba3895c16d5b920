"""Postgres' own tools for whole databases: pg_dump and pg_restore, found in PATH.

They know views, indexes, partitions and grants of every version, which copying tables by ourselves never would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2
from sqlalchemy import URL, make_url

NOT_OURS = "dagster"  # the schema of Dagster's history: runs and events that nothing depends on


class PgToolError(Exception):
    """A tool is missing or failed; the message is the tool's last words, which name no value of a row."""


def dump(url: str, target: Path) -> None:
    """Write the database as it is at this moment, without owners and grants. Raises PgToolError."""
    _run(url, ["pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--exclude-schema={NOT_OURS}"], target)


def restore(url: str, source: Path) -> None:
    """Fill an empty database, in one transaction. Raises PgToolError, also for a database that holds something."""
    place = _parsed(url).render_as_string(hide_password=False)
    with closing(psycopg2.connect(place)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace "
            "where c.relkind in ('r', 'p', 'v') and n.nspname !~ '^pg_' and n.nspname not in (%s, %s)",
            ["information_schema", NOT_OURS],
        )
        if cursor.fetchone() != (0,):
            raise PgToolError("the database is not empty; restore into a new one")
    options = ["--no-owner", "--no-acl", "--exit-on-error", "--single-transaction"]
    _run(url, ["pg_restore", *options, str(source)], None)


def _parsed(url: str) -> URL:
    return make_url(url).set(drivername="postgresql")


def _run(url: str, command: list[str], target: Path | None) -> None:
    """The password goes by the environment: others can read a command line."""
    program = shutil.which(command[0])
    if program is None:
        raise PgToolError(f"{command[0]} is not in PATH; install Postgres' client programs of the server's version")
    parsed = _parsed(url)
    place = parsed.set(password=None).render_as_string()
    environment = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    output = ["--file", str(target)] if target is not None else []
    done = subprocess.run(
        [program, "--dbname", place, *output, *command[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PgToolError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
