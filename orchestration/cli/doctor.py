"""`c4 doctor`: everything the platform needs, looked at once, with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version

from ingestion.core import warehouse
from ingestion.core.config import ConfigError
from ingestion.core.errors import ApiError
from ingestion.core.ops.crypto import KeyringError
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.cli.app import console, table

KEY_AGE = timedelta(days=90)
FREE_BYTES = 2 * 2**30
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
    yield "python", sys.version_info >= (3, 11), sys.version.split()[0]
    yield "versions", True, ", ".join(f"{name} {version(name)}" for name in ("dagster", "dlt", "dbt-core", "duckdb"))
    yield _disk(settings)
    try:
        platform = Platform.open(settings)
    except (ConfigError, KeyringError, OSError) as error:
        yield "configuration", False, str(error)
        return
    yield "configuration", True, f"{settings.config}: {len(platform.config.outlets)} outlet versions"
    yield _key_file(settings)
    yield "ops database", True, settings.ops.split("@")[-1]
    yield _warehouse(settings)
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


def _disk(settings: Settings) -> Finding:
    folder = settings.data
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return "disk", free > FREE_BYTES and os.access(folder, os.W_OK), f"{free / 2**30:.0f} GiB free in {settings.data}"


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
    mode = settings.key_file.stat().st_mode & 0o777
    return "key", mode & 0o077 == 0, f"{settings.key_file} mode {mode:o}"


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
