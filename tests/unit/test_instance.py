"""Dagster's own storage in a company's folder: pooled SQLite, read by another process while a run writes."""

# ruff: noqa: TID251 - these are tests of the orchestration

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import AssetCheckResult, AssetKey, AssetMaterialization, DagsterInstance, asset, asset_check, materialize

from ingestion.core.settings import Settings
from orchestration.event_log import PooledSqliteEventLog
from orchestration.instance import dagster_home

READER = """
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    record = instance.get_latest_materialization_event(AssetKey("sales"))
    print(record.asset_materialization.metadata["rows"].value)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = dagster_home(Settings.load(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@asset
def sales(context) -> None:
    context.add_output_metadata({"rows": 21_350})


@asset_check(asset=sales)
def agrees() -> AssetCheckResult:
    return AssetCheckResult(passed=True)


def test_a_run_is_seen_by_another_process_while_the_log_is_open(home: Path) -> None:
    """Catches: events that stay in a transaction or a cache of the writing process, and the UI shows nothing."""
    with DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLog)
        result = materialize([sales, agrees], instance=instance)
        assert result.success
        command = [sys.executable, "-c", READER]
        told = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == "21350"
        assert instance.get_asset_records([AssetKey("sales")])[0].asset_entry.last_run_id == result.run_id
        checks = instance.event_log_storage.get_asset_check_execution_history(
            next(iter(agrees.check_keys)), limit=10, cursor=None
        )
        assert len(checks) == 1
    assert (home / "history" / "event_log.db").exists()


def test_many_writers_lose_no_event(home: Path) -> None:
    """Catches: 'database is locked', or events that overwrite each other, when steps and daemons write at once."""
    assets = [AssetKey(f"mart_{number}") for number in range(40)]
    with DagsterInstance.get() as instance:
        with ThreadPoolExecutor(4) as pool:
            events = [AssetMaterialization(key, metadata={"rows": 1}) for key in assets]
            list(pool.map(instance.report_runless_asset_event, events))
        assert set(instance.all_asset_keys()) == set(assets)
        stored = [instance.fetch_materializations(key, limit=10).records for key in assets]
        assert [len(records) for records in stored] == [1] * len(assets)
        assert len({records[0].storage_id for records in stored}) == len(assets)


def test_a_configuration_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Catches: an operator's dagster.yaml that a night overwrites."""
    config = tmp_path / "dagster" / "dagster.yaml"
    config.parent.mkdir()
    config.write_text("telemetry:\n  enabled: false\n")
    assert dagster_home(Settings.load(tmp_path)) == config.parent
    assert config.read_text() == "telemetry:\n  enabled: false\n"
