"""Dagster's own folder inside a company's data folder."""

from pathlib import Path

import msgspec

from ingestion.core.settings import Settings


def dagster_home(settings: Settings) -> Path:
    """The folder, with a dagster.yaml in it: pooled SQLite storage, one run at a time, telemetry off.

    A dagster.yaml that is already there is left as it is.
    """
    home = settings.data / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_bytes(msgspec.yaml.encode(_configuration(home)))
    return home


def _configuration(home: Path) -> dict[str, object]:
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"pools": {"default_limit": 1}, "runs": {"max_concurrent_runs": 1}},
        "event_log_storage": {
            "module": "orchestration.event_log",
            "class": "PooledSqliteEventLog",
            "config": {"base_dir": str(home / "history")},
        },
    }
