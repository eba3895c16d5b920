"""Dagster's own folder inside a company's data folder."""

from pathlib import Path

import msgspec

from ingestion.core.settings import Settings
from orchestration.storage import storage_url

POOL_LIMIT = 1  # steps at a time per vendor, and builds at a time
NIGHTS_AT_A_TIME = 4  # nights of several regions; what they share, the pools keep apart
MAX_RETRIES = 3  # of a run that was lost with its process
GRACE_SECONDS = 90  # before a run is taken for lost; more than a minute, see the launcher
LONGEST_RUN_SECONDS = 6 * 3600


def dagster_home(settings: Settings) -> Path:
    """The folder, with a dagster.yaml in it: storage, queue, limits, what becomes of a lost run; telemetry off.

    Postgres where C4_DAGSTER_STORAGE or C4_OPS name it (never written down), else pooled SQLite, one run at a time.
    A dagster.yaml that is already there is left as it is.
    """
    home = settings.data / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_bytes(msgspec.yaml.encode(_configuration(settings, home)))
    return home


def _configuration(settings: Settings, home: Path) -> dict[str, object]:
    shared: dict[str, object] = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "run_launcher": {
            "module": "orchestration.launcher",
            "class": "WatchedRunLauncher",
            "config": {"grace_seconds": GRACE_SECONDS},
        },
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 30,
            "start_timeout_seconds": 300,
            "max_runtime_seconds": LONGEST_RUN_SECONDS,
            "free_slots_after_run_end_seconds": 60,
        },
        # a run that was lost with its process is continued; a step that failed is not: assets.outages has its own say
        "run_retries": {"enabled": True, "max_retries": MAX_RETRIES, "retry_on_asset_or_op_failure": False},
    }
    on_postgres = storage_url(settings) is not None
    several = on_postgres and not settings.is_duckdb
    concurrency = {
        "pools": {"default_limit": POOL_LIMIT, "granularity": "op"},
        "runs": {"max_concurrent_runs": NIGHTS_AT_A_TIME if several else 1},
    }
    if on_postgres:
        storage: dict[str, object] = {
            "storage": {
                "custom": {"module": "orchestration.storage", "class": "PostgresStorage", "config": {}},
            }
        }
    else:
        storage = {
            "event_log_storage": {
                "module": "orchestration.event_log",
                "class": "PooledSqliteEventLog",
                "config": {"base_dir": str(home / "history")},
            }
        }
    return {**shared, "concurrency": concurrency, **storage}
