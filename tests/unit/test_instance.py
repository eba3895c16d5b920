"""Dagster's own storage, in a company's folder or in Postgres: read by another process while a run writes."""

# ruff: noqa: TID251 - these are tests of the orchestration

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Thread

import psycopg2
import pytest
from dagster import (
    AssetCheckResult,
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    asset,
    asset_check,
    materialize,
)
from sqlalchemy import Column, Integer, MetaData, Table, make_url, text
from sqlalchemy.exc import DBAPIError

from assets import outages
from assets.outages import waits_out_outages
from ingestion.core.ops.db import connect, open_ops
from ingestion.core.outages import server_was_away
from ingestion.core.settings import Settings
from orchestration.event_log import PooledSqliteEventLog
from orchestration.instance import dagster_home
from orchestration.launcher import WatchedRunLauncher
from orchestration.storage import PostgresStorage, in_own_schema
from tests import postgres as pg
from tests.postgres import Restartable, restartable_server

VERSIONS = "alembic_version"

READER = """
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    record = instance.get_latest_materialization_event(AssetKey("sales"))
    print(record.asset_materialization.metadata["rows"].value)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ops_url: str) -> Path:
    """The test runs on both kinds of storage."""
    monkeypatch.setenv("C4_OPS", ops_url)
    folder = dagster_home(Settings.load(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def restartable() -> Iterator[Restartable]:
    with restartable_server() as server:
        yield server


@asset
def sales(context) -> None:
    context.add_output_metadata({"rows": 21_350})


@asset_check(asset=sales)
def agrees() -> AssetCheckResult:
    return AssetCheckResult(passed=True)


def test_a_run_is_seen_by_another_process_while_the_log_is_open(home: Path) -> None:
    """Catches: events that stay in a transaction or a cache of the writing process, and the UI shows nothing."""
    with DagsterInstance.get() as instance:
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


def test_where_no_server_is_named_one_file_holds_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: Dagster's storages that open their file anew for every statement."""
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(Settings.load(tmp_path))))
    with DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLog)
    assert (tmp_path / "dagster" / "history" / "event_log.db").exists()


def test_dagster_and_the_ops_database_share_a_database_and_no_password_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    """Catches: two tables `alembic_version` in one schema; a password in Dagster's folder; Dagster's times, which have
    no zone, in the server's.
    """
    url = make_url(postgres).set(password="a secret").render_as_string(False)  # the socket asks for none
    monkeypatch.setenv("C4_OPS", url)
    settings = Settings.load(tmp_path)
    home = dagster_home(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    open_ops(settings.ops)
    with DagsterInstance.get() as instance:
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
        instance.upgrade()
        with instance.event_log_storage.index_connection() as connection:
            assert connection.execute(text("show timezone")).scalar() == "UTC"
    schemas = pg.execute(postgres, "select relnamespace::regnamespace::text from pg_class where relname = %s", VERSIONS)
    assert sorted(schema for (schema,) in schemas) == ["dagster", "public"]
    assert not [path for path in home.rglob("*") if path.is_file() and b"a secret" in path.read_bytes()]


def test_a_run_waits_for_a_server_that_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restartable: Restartable
) -> None:
    """Catches: a short outage of Dagster's own storage that ends the night; a step that lost its server not tried
    again; a step whose data is bad tried again.
    """
    monkeypatch.setenv("C4_OPS", restartable.url)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(Settings.load(tmp_path))))
    monkeypatch.setattr(outages, "FIRST_WAIT_SECONDS", 0)
    tries = {"lost": 0, "bad": 0}

    @asset
    @waits_out_outages
    def lost(context) -> None:
        tries["lost"] += 1
        connection = psycopg2.connect(restartable.url)
        if tries["lost"] == 1:
            restartable.crash()
            Thread(target=restartable.start).start()
        with connection.cursor() as cursor:
            cursor.execute("select 1")

    @asset(deps=[lost])
    @waits_out_outages
    def bad(context) -> None:
        tries["bad"] += 1
        raise ValueError("the trial balance is not zero")

    with DagsterInstance.get() as instance:
        result = materialize([lost, bad], instance=instance, raise_on_error=False)
        kinds = [event.event_type for event in result.all_events]
        assert kinds.count(DagsterEventType.STEP_UP_FOR_RETRY) == tries["lost"] - 1 > 0
        assert tries["bad"] == 1
        assert not result.success
        assert instance.get_run_by_id(result.run_id).tags["dagster/will_retry"] == "false"


def test_a_statement_under_which_the_server_went_away_is_done_again(restartable: Restartable) -> None:
    """Catches: an event that could not be written because the server restarted just then, and the step fails."""
    storage = PostgresStorage(in_own_schema(restartable.url))
    with storage.event_log_storage.index_connection() as connection, connection.begin():
        assert connection.execute(text("select 1")).scalar() == 1
        restartable.crash()
        Thread(target=restartable.start).start()
        assert connection.execute(text("create table events as select 2 as id")).rowcount == 1
        assert connection.execute(text("select id from events")).scalar() == 2  # and those after it
        with pytest.raises(DBAPIError):
            connection.execute(text("select 1 / 0"))


def test_a_transaction_under_which_the_server_went_away_is_done_again_and_whole(restartable: Restartable) -> None:
    """Catches: half of a transaction committed, or its lock gone, because the server restarted in the middle of it;
    one that was given up left open with its locks.
    """
    log = PostgresStorage(in_own_schema(restartable.url)).event_log_storage
    table = Table("slots", MetaData(), Column("id", Integer))
    inside = "select count(*) from pg_locks where relation = 'dagster.slots'::regclass"
    with log.index_connection() as connection:
        table.create(connection)
    for number in range(3):  # the server goes away after so many statements
        with log.index_transaction() as connection:
            for step in range(3):
                if step == number:
                    restartable.crash()
                    Thread(target=restartable.start).start()
                connection.execute(table.insert(), [{"id": number}, {"id": step}])
            assert pg.execute(restartable.url, "select count(*) from dagster.slots") == [(6 * number,)]
            assert pg.execute(restartable.url, inside) != [(0,)]
        assert pg.execute(restartable.url, "select count(*) from dagster.slots") == [(6 * number + 6,)]

    def given_up() -> None:
        with log.index_transaction() as connection:
            connection.execute(table.insert(), {"id": 4})
            raise InterruptedError

    with pytest.raises(InterruptedError):
        given_up()
    assert pg.execute(restartable.url, "select count(*) from dagster.slots where id = 4") == [(0,)]


@pytest.mark.parametrize(
    ("statement", "away"),
    [("select pg_terminate_backend(pg_backend_pid())", True), ("select 1 / 0", False), ("selec", False)],
)
def test_only_a_lost_server_is_worth_another_try(postgres: str, statement: str, away: bool) -> None:
    """Catches: an error of the data taken for an outage; a loss not seen behind the driver's or SQLAlchemy's error."""
    with pytest.raises(DBAPIError) as told, connect(postgres).connect() as connection:
        connection.execute(text(statement))
    assert server_was_away(told.value) is away
    with pytest.raises(psycopg2.Error) as told_by_driver, closing(psycopg2.connect(postgres)) as connection:
        connection.cursor().execute(statement)
    assert server_was_away(told_by_driver.value) is away


def test_a_wrong_password_or_database_is_no_outage(postgres: str) -> None:
    """Catches: half an hour of tries with a credential that never works; a server that is off not seen as away."""
    for url, away in ((f"{make_url(postgres).set(database='none')}", False), ("postgresql://127.0.0.1:1/c4", True)):
        with pytest.raises(psycopg2.OperationalError) as told:
            psycopg2.connect(url)
        assert server_was_away(told.value) is away


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
