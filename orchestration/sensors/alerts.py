"""Incidents from what Dagster knows: runs that failed, checks that did not pass. Both end when they succeed again.

A failing check does not fail its run, so both are read from the runs that have ended. They are read run by run and
not from the event log, because Dagster's default storage keeps one log per run and has no cursor across runs.
"""

import json
from datetime import UTC, datetime

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.incidents import tell
from assets.platform import PlatformResource
from ingestion.core.ops.incidents import Incident, Incidents, Severity
from ingestion.core.platform import Platform

ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
RUNS_A_TICK = 20
LATE_SECONDS = 600.0  # runs of other processes may be stored in another order than they ended
INTERVAL_SECONDS = 60


def alert_sensor() -> SensorDefinition:
    """Every run that ended, once, in the order of their ends; its cursor is run id -> end of the latest runs."""

    @sensor(
        name="alert_on_ended_runs",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Opens and closes incidents for failed runs and failed checks; tells each once.",
    )
    def alert(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
        seen: dict[str, float] = json.loads(context.cursor) if context.cursor else {}
        fresh = _ended(context.instance, seen)[:RUNS_A_TICK]
        if not fresh:
            return SkipReason("no run has ended since")
        opened = Platform.open(platform.settings())
        for _, run in fresh:
            _judge_run(opened.ops.incidents, context.instance, run)
            _judge_checks(opened.ops.incidents, context.instance, run)
        for problem in tell(opened):
            context.log.warning(problem)
        seen |= {run.run_id: end for end, run in fresh}
        horizon = _horizon(seen)
        return SensorResult(cursor=json.dumps({name: end for name, end in seen.items() if end >= horizon}))

    return alert


def _horizon(seen: dict[str, float]) -> float:
    """Runs that ended before have all been seen (seconds since 1970)."""
    return max(seen.values(), default=LATE_SECONDS) - LATE_SECONDS


def _ended(instance: DagsterInstance, seen: dict[str, float]) -> list[tuple[float, DagsterRun]]:
    """Runs that ended and were not seen yet, with their end, the earliest first."""
    horizon = _horizon(seen)
    after = datetime.fromtimestamp(horizon - 1, UTC) if seen else None
    found = [
        (record.end_time, record.dagster_run)
        for record in instance.get_run_records(RunsFilter(statuses=ENDED, updated_after=after))
        if record.end_time is not None and record.end_time >= horizon and record.dagster_run.run_id not in seen
    ]
    return sorted(found, key=lambda item: item[0])


def _judge_run(incidents: Incidents, instance: DagsterInstance, run: DagsterRun) -> None:
    key = f"run-failed:{run.job_name}"
    if run.status is DagsterRunStatus.SUCCESS:
        incidents.close(key)
    elif run.status is DagsterRunStatus.FAILURE:
        failures = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
        messages = [entry.dagster_event.message for entry in failures if entry.dagster_event]
        incidents.open(
            Incident(
                key,
                Severity.CRITICAL,
                f"the job {run.job_name} failed",
                (messages[-1] if messages and messages[-1] else "no message")[:300],
                f"open run {run.run_id} in the Dagster UI; start it again when the cause is mended",
            )
        )


def _judge_checks(incidents: Incidents, instance: DagsterInstance, run: DagsterRun) -> None:
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is None:
            continue
        evaluation = entry.dagster_event.asset_check_evaluation_data
        asset = evaluation.asset_key.to_user_string()
        key = f"check-failed:{asset}:{evaluation.check_name}"
        if evaluation.passed:
            incidents.close(key)
        elif evaluation.severity.value == "ERROR":
            incidents.open(
                Incident(
                    key,
                    Severity.ERROR,
                    f"the check {evaluation.check_name} of {asset} did not pass",
                    f"evidence: the check's page in the Dagster UI, run {run.run_id}",
                    "the check's description there says what to do",
                )
            )
