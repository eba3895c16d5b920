"""How this platform runs dbt: the project, its environment, its manifest.

The manifest is parsed when the project's files change, into the data folder, so that two companies never meet and an
installed package never writes beside its code.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from ingestion.core.config import load_config
from ingestion.core.registry import connectors, connectors_in_use
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Connector
from ingestion.core.warehouse import postgres

PROJECT_DIR = PROJECT_ROOT / "dbt_project"
EXECUTABLE = Path(sys.executable).with_name("dbt")
CLOSE = "tag:close"  # models that depend on what was posted: built again after the export

NIGHTLY = ("--exclude-resource-type", "unit_test")  # unit tests prove the models, not the night's data


class DbtError(Exception):
    """dbt ended with an error; the message holds the end of its output."""


def environment(settings: Settings, used: Iterable[Connector] | None = None) -> dict[str, str]:
    """What the project reads, and dbt's own switches. `used` stands for the configured vendors."""
    used = connectors_in_use(load_config(settings.config)) if used is None else used
    return {
        **_target(settings),
        "C4_VENDORS": ",".join(sorted(connector.slug for connector in used)),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_TARGET_PATH": str(target_path(settings)),
        "DBT_LOG_PATH": str(target_path(settings)),
        "DBT_USE_COLORS": "false",
    }


def _target(settings: Settings) -> dict[str, str]:
    """The profile's output and what it needs. The password has the prefix that dbt scrubs from its logs."""
    if settings.is_duckdb:
        return {"C4_DBT_TARGET": "duckdb", "C4_DBT_DUCKDB_PATH": str(settings.warehouse_path)}
    url = postgres.parse(settings.warehouse)
    options = {name: str(value) for name, value in url.query.items()}
    return {
        "C4_DBT_TARGET": "postgres",
        "C4_PG_HOST": options.get("host") or url.host or "localhost",
        "C4_PG_PORT": options.get("port") or str(url.port or 5432),
        "C4_PG_USER": url.username or "",
        "DBT_ENV_SECRET_C4_PG_PASSWORD": str(url.password or ""),
        "C4_PG_DATABASE": url.database or "",
        "PGTZ": "UTC",
        **{
            f"C4_PG_{name.upper()}": options[name]
            for name in ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout")
            if name in options
        },
    }


def target_path(settings: Settings) -> Path:
    return settings.data / "dbt"


def unused(used: Iterable[Connector]) -> str:
    """dbt's selection of the staging models that no account needs: building them costs every night its time."""
    idle = {connector.slug for connector in connectors().values()} - {connector.slug for connector in used}
    return " ".join(f"fqn:c4.staging.{slug}" for slug in sorted(idle))


def manifest_path(settings: Settings, used: Iterable[Connector] | None = None) -> Path:
    """The current manifest, parsed anew if a file of the project or the vendors in use have changed."""
    folder = target_path(settings)
    manifest, stamp = folder / "manifest.json", folder / "manifest.sha256"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "parse.lock"):
        variables = environment(settings, used)
        fingerprint = _fingerprint(variables["C4_DBT_TARGET"], variables["C4_VENDORS"])
        if not manifest.exists() or not stamp.exists() or stamp.read_text() != fingerprint:
            run(variables, ["parse"])
            stamp.write_text(fingerprint)
    return manifest


def run(variables: Mapping[str, str], arguments: Sequence[str]) -> str:
    """Run dbt in an environment and return what it printed. Raises DbtError with the last lines when it fails."""
    command = [str(EXECUTABLE), "--no-version-check", *arguments, "--project-dir", str(PROJECT_DIR)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise DbtError(f"dbt {arguments[0]} failed:\n" + "\n".join(lines[-40:]))
    return done.stdout


def _fingerprint(*variables: str) -> str:
    digest = hashlib.sha256("\n".join(variables).encode())
    for path in sorted(PROJECT_DIR.rglob("*")):
        if path.suffix in {".sql", ".yml", ".yaml", ".csv"} and "target" not in path.parts:
            digest.update(str(path.relative_to(PROJECT_DIR)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
