"""The sensors against a real Dagster instance in a folder, as `dagster dev` keeps one, and a real published file."""

# ruff: noqa: TID251 - these are tests of the orchestration

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    SensorDefinition,
    SensorResult,
    SkipReason,
    asset,
    asset_check,
    build_sensor_context,
    define_asset_job,
    instance_for_test,
    materialize,
)

from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core.ops.incidents import Severity
from ingestion.core.platform import Platform
from ingestion.core.settings import Settings
from orchestration.sensors import alerts
from orchestration.sensors.alerts import alert_sensor
from orchestration.sensors.rescan import INTERVAL_SECONDS, MAX_ATTEMPTS, rescan_sensor
from tests.receivers import SlackReceiver

NOW = datetime(2026, 4, 5, 22, 0, tzinfo=UTC)
NIGHT = define_asset_job("nightly", selection="*")
INTERVAL = timedelta(seconds=INTERVAL_SECONDS)
WAITING = [("OUT-1", "2026-04-04", "open"), ("OUT-2", "2026-04-04", "posted")]


class Bench:
    """A sensor, the platform it looks after, and what it remembers between ticks."""

    def __init__(self, sensor: SensorDefinition, data: Path, instance: DagsterInstance) -> None:
        self.sensor, self.data, self.instance = sensor, data, instance
        self.cursor = ""

    def tick(self) -> SensorResult | SkipReason:
        context = build_sensor_context(
            instance=self.instance,
            cursor=self.cursor or None,
            resources={"platform": PlatformResource(data=str(self.data))},
        )
        answer: Any = self.sensor(context)
        if isinstance(answer, SensorResult) and answer.cursor is not None:
            self.cursor = answer.cursor
        return answer

    def request(self) -> RunRequest:
        answer = self.tick()
        assert isinstance(answer, SensorResult), answer
        (request,) = answer.run_requests or []
        return request

    def skips(self) -> str:
        answer = self.tick()
        reason = answer.skip_reason if isinstance(answer, SensorResult) else answer
        assert reason is not None
        assert not (isinstance(answer, SensorResult) and answer.run_requests)
        return str(reason.skip_message)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the logical time."""

    def set_time(moment: datetime) -> None:
        monkeypatch.setenv("C4_AS_OF", moment.isoformat())

    for name in ("C4_SLACK_WEBHOOK", "C4_CONFIG", "C4_OPS", "C4_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    set_time(NOW)
    return set_time


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with instance_for_test() as made:
        yield made


@pytest.fixture
def rescan(tmp_path: Path, instance: DagsterInstance, at: Any) -> Bench:
    return Bench(rescan_sensor(NIGHT), tmp_path, instance)


@pytest.fixture
def alerting(tmp_path: Path, instance: DagsterInstance, at: Any) -> Bench:
    return Bench(alert_sensor(), tmp_path, instance)


def publish(data: Path, days: Sequence[tuple[str, str, str]]) -> None:
    path = Settings.load(data, NOW).published_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as marts:
        marts.execute("create schema marts")
        marts.execute("create table marts.outlet_days (outlet_id varchar, business_date date, state varchar)")
        if days:
            marts.executemany("insert into marts.outlet_days values (?, ?, ?)", days)


def incidents(data: Path) -> dict[str, Severity]:
    found = Platform.open(Settings.load(data, NOW)).ops.incidents.current()
    return {item.incident.key: item.incident.severity for item in found}


# Re-scan


def test_nothing_is_asked_for_before_the_first_marts(rescan: Bench) -> None:
    """Catches: a sensor that fails, or starts nights, on a platform that never ran."""
    assert "complete" in rescan.skips()


def test_waiting_days_get_one_run_with_its_time(rescan: Bench, tmp_path: Path) -> None:
    """Catches: a run whose steps would each read another time, a run for days that wait for nothing."""
    publish(tmp_path, WAITING)
    request = rescan.request()
    assert datetime.fromisoformat(request.tags[AS_OF_TAG]) == NOW
    assert request.tags["c4/reason"] == "1 outlet-days incomplete"

    publish(tmp_path, [(outlet, day, "posted") for outlet, day, _ in WAITING])
    assert "complete" in rescan.skips()
    assert rescan.cursor == ""


def test_dagster_takes_the_request(tmp_path: Path, instance: DagsterInstance, at: Any) -> None:
    """Catches: a request that Dagster refuses, which only a daemon would show."""

    @asset
    def sales() -> None: ...

    publish(tmp_path, WAITING)
    sensor = rescan_sensor(NIGHT)
    resources = {"platform": PlatformResource(data=str(tmp_path))}
    definitions = Definitions(assets=[sales], jobs=[NIGHT], sensors=[sensor], resources=resources)
    context = build_sensor_context(instance=instance, definitions=definitions, resources=resources)
    told = sensor.evaluate_tick(context)
    (request,) = told.run_requests or []
    assert request.run_key
    assert json.loads(told.cursor or "")["attempts"] == 1


def test_the_same_days_wait_longer_each_time_and_not_for_ever(rescan: Bench, tmp_path: Path, at: Any) -> None:
    """Catches: a night every 15 minutes for a vendor that stays down, a re-scan that never comes again."""
    publish(tmp_path, WAITING)
    now, pauses = NOW, []
    rescan.request()
    for _ in range(MAX_ATTEMPTS - 1):
        since = now
        while True:
            now += INTERVAL
            at(now)
            answer = rescan.tick()
            if isinstance(answer, SensorResult) and answer.run_requests:
                break
            assert now - since < timedelta(days=1)
        pauses.append((now - since) // INTERVAL)
    assert pauses == [1, 2, 4, 8, 16, 16, 16]

    at(now + timedelta(days=30))
    assert f"after {MAX_ATTEMPTS} re-scans" in rescan.skips()
    publish(tmp_path, [*WAITING, ("OUT-3", "2026-04-05", "open")])
    assert rescan.request()


def test_days_that_come_back_are_no_known_run(rescan: Bench, tmp_path: Path, at: Any) -> None:
    """Catches: a run key used before, for which Dagster starts nothing and says nothing."""
    keys = []
    for minute, outlet in enumerate(["OUT-1", "OUT-2", "OUT-1"]):
        at(NOW + timedelta(minutes=minute))
        publish(tmp_path, [(outlet, "2026-04-04", "open")])
        keys.append(rescan.request().run_key)
    assert len(set(keys)) == 3


def test_a_night_that_runs_is_not_doubled(rescan: Bench, tmp_path: Path, instance: DagsterInstance) -> None:
    """Catches: two nights on one warehouse; a waiting day that another job's run holds up."""
    publish(tmp_path, WAITING)
    run = instance.add_run(DagsterRun(job_name=NIGHT.name, run_id="1" * 32, status=DagsterRunStatus.NOT_STARTED))
    instance.add_run(DagsterRun(job_name="close_month", run_id="2" * 32, status=DagsterRunStatus.STARTED))
    assert "running already" in rescan.skips()
    assert rescan.cursor == ""
    instance.report_run_canceled(run)
    assert rescan.request()


# Alerts


def night(
    instance: DagsterInstance,
    *,
    name: str = "sales_daily",
    passes: bool = True,
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR,
    breaks: bool = False,
) -> None:
    """A real run of one mart with one check."""

    @asset(name=name, key_prefix=["marts"])
    def mart() -> None:
        if breaks:
            raise RuntimeError("disk full")

    @asset_check(asset=mart, name="adds_up")
    def adds_up() -> AssetCheckResult:
        return AssetCheckResult(passed=passes, severity=severity)

    materialize([mart, adds_up], instance=instance, raise_on_error=False)


def test_a_failed_check_is_told_once_and_ends_when_it_passes(
    alerting: Bench, tmp_path: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: an alert per tick, an incident nobody closes, a second tick that Dagster's storage refuses."""
    key = "check-failed:marts/sales_daily:adds_up"
    with SlackReceiver() as slack:
        monkeypatch.setenv("C4_SLACK_WEBHOOK", slack.url)
        night(instance, passes=False)
        alerting.tick()
        assert incidents(tmp_path) == {key: Severity.ERROR}
        assert "no run has ended" in alerting.skips()
        night(instance, passes=False)
        alerting.tick()
        assert len(slack.messages) == 1
        assert "adds_up" in slack.messages[0]

        night(instance)
        alerting.tick()
        assert incidents(tmp_path) == {}
        night(instance, passes=False)
        alerting.tick()
        assert len(slack.messages) == 2


def test_a_warning_wakes_nobody(alerting: Bench, tmp_path: Path, instance: DagsterInstance) -> None:
    """Catches: an incident for a check that was declared a warning."""
    night(instance, passes=False, severity=AssetCheckSeverity.WARN)
    alerting.tick()
    assert incidents(tmp_path) == {}


def test_more_runs_than_one_tick_takes_are_all_read(
    alerting: Bench, tmp_path: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a cursor that jumps over runs which did not fit into the tick."""
    monkeypatch.setattr(alerts, "RUNS_A_TICK", 2)
    for number in range(5):
        night(instance, name=f"mart_{number}", passes=False)
    counts = []
    for _ in range(3):
        alerting.tick()
        counts.append(len(incidents(tmp_path)))
    assert counts == [2, 4, 5]
    assert "no run has ended" in alerting.skips()


def test_a_run_that_ends_after_younger_ones_is_read(alerting: Bench, tmp_path: Path, instance: DagsterInstance) -> None:
    """Catches: a cursor by the start of runs, which loses the long night that fails in the end."""
    long = instance.add_run(DagsterRun(job_name="nightly", run_id="3" * 32, status=DagsterRunStatus.STARTED))
    night(instance)
    alerting.tick()
    assert incidents(tmp_path) == {}
    instance.report_run_failed(long, "the process was killed")
    alerting.tick()
    assert incidents(tmp_path) == {"run-failed:nightly": Severity.CRITICAL}


def test_a_failed_run_is_an_incident_until_one_succeeds(
    alerting: Bench, tmp_path: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a failed night nobody hears of; an incident left open, which keeps the next failure silent."""
    with SlackReceiver() as slack:
        monkeypatch.setenv("C4_SLACK_WEBHOOK", slack.url)
        for _ in range(2):
            night(instance, breaks=True)
            alerting.tick()
        (key,) = incidents(tmp_path)
        assert key.startswith("run-failed:")
        assert len(slack.messages) == 1
        night(instance)
        alerting.tick()
        assert incidents(tmp_path) == {}
        night(instance, breaks=True)
        alerting.tick()
        assert len(slack.messages) == 2


def test_the_cursor_stays_small(alerting: Bench, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a cursor that remembers every run for ever, or forgets one that may still be read twice."""
    monkeypatch.setattr(alerts, "LATE_SECONDS", 0.0)
    for _ in range(3):
        night(instance)
        alerting.tick()
        assert len(json.loads(alerting.cursor)) == 1
        assert "no run has ended" in alerting.skips()
