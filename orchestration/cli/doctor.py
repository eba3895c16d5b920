"""`c4 doctor`: everything the platform needs, looked at once, with what to do about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import requires, version
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem
from packaging.requirements import Requirement

from ingestion.core import warehouse
from ingestion.core.config import ConfigError
from ingestion.core.errors import AccessError, ApiError
from ingestion.core.landing import LandingZone, open_store
from ingestion.core.ops.crypto import KeyringError
from ingestion.core.ops.leases import is_held
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from ingestion.receiver.listen import DOWN, lines, may_have_lines
from orchestration.cli.app import console, table

KEY_AGE = timedelta(days=90)  # of a vendor's credentials
KEY_FILE_AGE = timedelta(days=365)
CLOCKS_APART = timedelta(seconds=30)
FREE_BYTES = 2 * 2**30
GROWTH = timedelta(days=30)  # by which the pace of the landing zone is taken
ROOM = timedelta(days=60)  # that the disk should last at this pace
Finding = tuple[str, bool, str]


def run_doctor(settings: Settings) -> int:
    """Print every finding; the exit status says whether one needs a person."""
    findings = list(_findings(settings))
    table(
        "Doctor",
        [{"check": name, "state": "ok" if fine else "PROBLEM", "detail": detail} for name, fine, detail in findings],
    )
    bad = [name for name, fine, _ in findings if not fine]
    console.print("[green]all well[/green]" if not bad else f"[red]{len(bad)} to look at[/red]")
    return 1 if bad else 0


def _findings(settings: Settings) -> Iterator[Finding]:
    yield "python", (3, 11) <= sys.version_info < (3, 13), sys.version.split()[0]
    yield _versions()
    yield _disk(settings)
    yield _permissions(settings)
    try:
        platform = Platform.open(settings)
    except (ConfigError, KeyringError, OSError) as error:
        yield "configuration", False, str(error)
        return
    yield "configuration", True, f"{settings.config}: {len(platform.config.outlets)} outlet versions"
    yield _key_file(settings)
    yield "ops database", True, settings.ops.split("@")[-1]
    yield _warehouse(settings)
    yield _clock(settings)
    yield _landing(settings)
    yield _growth(settings)
    if not settings.is_duckdb:
        yield _backup_tools(settings)
    ages = platform.ops.credential_ages()
    for integration in platform.config.integrations:
        if not integration.enabled:
            continue
        name = integration.integration_id
        needs = platform.connector(name).credential_fields
        if needs and name not in ages:
            yield f"credentials {name}", False, f"none stored: c4 credentials set {name}"
            continue
        if name in ages:
            old = ages[name] > KEY_AGE
            detail = f"{ages[name].days} days old" + ("; renew them (90 days)" if old else "")
            yield f"credentials {name}", not old, detail
        yield _probe(platform, name)
    yield from _lines(platform)


def _versions() -> Finding:
    """Whether what is installed is what the platform was tested with."""
    wanted = [Requirement(text) for text in requires("c4-data-platform") or []]
    wrong = [
        f"{item.name} {version(item.name)}, not {item.specifier}"
        for item in wanted
        if (item.marker is None or item.marker.evaluate({"extra": ""})) and version(item.name) not in item.specifier
    ]
    shown = ", ".join(f"{name} {version(name)}" for name in ("dagster", "dlt", "dbt-core", "duckdb"))
    return "versions", not wrong, "; ".join(wrong) or shown


def _disk(settings: Settings) -> Finding:
    folder = settings.data
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return "disk", free > FREE_BYTES and os.access(folder, os.W_OK), f"{free / 2**30:.0f} GiB free in {settings.data}"


def _permissions(settings: Settings) -> Finding:
    """Whether others on this machine may change the data or the configuration."""
    folders = [folder for folder in (settings.data, settings.config) if folder.exists()]
    open_to_all = [str(folder) for folder in folders if folder.stat().st_mode & 0o002]
    return "permissions", not open_to_all, f"chmod o-w {' '.join(open_to_all)}" if open_to_all else "not open to all"


def _clock(settings: Settings) -> Finding:
    """This machine's clock against that of Postgres, or of the file system where nothing else has one."""
    ours = datetime.now(UTC)
    if settings.is_duckdb:
        settings.data.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=settings.data) as probe:
            theirs, whose = datetime.fromtimestamp(os.stat(probe.name).st_mtime, UTC), "the data folder's"
    else:
        try:
            with warehouse.connect(settings) as connection:
                theirs, whose = connection.execute("select clock_timestamp()").fetchone()[0], "the warehouse's"
        except warehouse.SqlError:
            return "clock", False, "the warehouse does not tell its time"
    apart = abs(theirs - ours)
    todo = "" if apart < CLOCKS_APART else "; synchronise both (NTP): business dates and leases depend on it"
    return "clock", not todo, f"{apart.total_seconds():.0f} s apart from {whose}{todo}"


def _landing(settings: Settings) -> Finding:
    """Whether the landing zone can be listed and written."""
    try:
        files, root = open_store(settings.landing)
        files.makedirs(root, exist_ok=True)
        probe = f"{root}/.doctor"
        files.pipe_file(probe, b"")
        files.rm_file(probe)
    except (OSError, ImportError, ValueError) as error:
        return "landing zone", False, f"{settings.landing}: {error}"
    return "landing zone", True, settings.landing


def _growth(settings: Settings) -> Finding:
    """Whether the disk holds what the landing zone will take, at the pace of the last weeks."""
    name = "landing growth"
    files, root = open_store(settings.landing)
    if not isinstance(files, LocalFileSystem) or not Path(root).is_dir():
        return name, True, "not on a disk of this machine"
    since = settings.as_of.date() - GROWTH
    total = recent = 0
    for path in Path(root).glob("*/*/*/*/*/*/*.pages"):
        size = path.stat().st_size
        total += size
        recent += size if LandingZone.read_on(path.relative_to(root).as_posix()) >= since else 0
    left = shutil.disk_usage(root).free * GROWTH.days // max(recent, 1)
    todo = "" if left > ROOM.days else f"; full in {left} days: set retention in company.yaml, see c4 retention"
    return name, not todo, f"{total / 2**20:.0f} MiB, {recent / 2**20:.0f} of it in {GROWTH.days} days{todo}"


def _backup_tools(settings: Settings) -> Finding:
    """Whether pg_dump is there and not older than the server, which it would refuse."""
    program = shutil.which("pg_dump")
    if program is None:
        return "backup tools", False, "no pg_dump in PATH: c4 backup cannot work here"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    ours = next(int(word.partition(".")[0]) for word in told if word[:1].isdigit())
    try:
        with warehouse.connect(settings) as connection:
            row = connection.execute("select current_setting('server_version_num')::int / 10000").fetchone()
    except warehouse.SqlError:
        return "backup tools", True, f"pg_dump {ours}"
    return "backup tools", ours >= row[0], f"pg_dump {ours}, server {row[0]}"


def _warehouse(settings: Settings) -> Finding:
    """Whether it opens; on Postgres also whether it sorts and folds text as DuckDB does."""
    name, where = "warehouse", warehouse.place(settings)
    try:
        with warehouse.connect(settings) as connection:
            if settings.is_duckdb:
                return name, True, where
            row = connection.execute(
                "select pg_encoding_to_char(encoding), coalesce(to_jsonb(d) ->> 'datlocale', datcollate) "
                "from pg_database as d where datname = current_database()"
            ).fetchone()
    except warehouse.SqlError as error:
        return name, False, f"{where}: {str(error).strip().splitlines()[0]}"
    encoding, locale = row
    fine = encoding == "UTF8" and locale.replace("-", "").upper() in ("C", "C.UTF8")
    todo = "" if fine else "; create it with encoding UTF8 and locale C.UTF-8 (docs/runbook.md)"
    return name, fine, f"{where}: {encoding}, {locale}{todo}"


def _key_file(settings: Settings) -> Finding:
    if os.environ.get("C4_KEY"):
        return "key", True, "from the environment"
    stat = settings.key_file.stat()
    age = datetime.now(UTC) - datetime.fromtimestamp(stat.st_mtime, UTC)
    todo = "; rotate it" if age > KEY_FILE_AGE else ""
    detail = f"{settings.key_file} mode {stat.st_mode & 0o777:o}, {age.days} days old{todo}"
    return "key", stat.st_mode & 0o077 == 0 and not todo, detail


def _probe(platform: Platform, integration_id: str) -> Finding:
    """Whether the account answers, through its cheapest authenticated call."""
    probe = platform.connector(integration_id).probe
    name = f"reach {integration_id}"
    if not probe:
        return name, True, "no probe declared"
    try:
        client = platform.client(integration_id, sleep=lambda _: None)
        client.request("GET", probe.format_map(client.settings))
    except (ApiError, KeyError) as error:
        return name, False, str(error)
    return name, True, "answers"


def _lines(platform: Platform) -> Iterator[Finding]:
    """Whether sockets, queues and polls can be followed, whether somebody follows them, and how they are."""
    accounts = [a for a in platform.config.integrations if a.enabled and may_have_lines(platform, a)]
    if not accounts:
        return
    for lease, command, work in (("listen", "c4 listen", "follows the lines"), ("live", "c4 live", "loads the inbox")):
        runs = is_held(platform.ops.sessions, lease, platform.ops.now())
        yield command, runs, work if runs else f"does not run: nobody {work}. See docs/live.md"
    wrong = {item.incident.key: item.incident.title for item in platform.ops.incidents.current()}
    for account in accounts:
        name = account.integration_id
        try:
            found = lines(platform, account)
        except AccessError as error:
            yield f"lines {name}", False, str(error)
            continue
        for line in found:
            down = wrong.get(f"{DOWN}{name}/{line}") or wrong.get(f"{DOWN}{name}")
            yield f"line {name}/{line}", down is None, down or "no trouble is known"
