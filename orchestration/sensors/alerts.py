"""Alerts on failed runs and failed checks. Two paths, because a failing check does not fail its run."""

from dagster import (
    DagsterEventType,
    DefaultSensorStatus,
    EventRecordsFilter,
    RunFailureSensorContext,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from assets.incidents import tell
from assets.platform import PlatformResource
from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.platform import Platform

BATCH = 500
CHECK_INTERVAL_SECONDS = 60


def run_failure_alert_sensor() -> SensorDefinition:
    """A failed run is an incident; Dagster calls this once per failed run."""

    @run_failure_sensor(name="alert_on_failed_run", default_status=DefaultSensorStatus.RUNNING)
    def alert(context: RunFailureSensorContext, platform: PlatformResource) -> None:
        opened = Platform.open(platform.settings())
        job, message = context.dagster_run.job_name, context.failure_event.message or "no message"
        opened.ops.incidents.open(
            Incident(
                f"run-failed:{job}",
                Severity.CRITICAL,
                f"the job {job} failed",
                message[:300],
                f"open run {context.dagster_run.run_id} in the Dagster UI; start it again when the cause is mended",
            )
        )
        tell(opened)

    return alert


def check_alert_sensor() -> SensorDefinition:
    """Failed checks become incidents, passed ones close them. Reads forward from its cursor and skips nothing."""

    @sensor(
        name="alert_on_failed_check",
        minimum_interval_seconds=CHECK_INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def alert(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
        after = int(context.cursor) if context.cursor else None
        records = context.instance.get_event_records(
            EventRecordsFilter(event_type=DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after),
            limit=BATCH,
            ascending=True,
        )
        if not records:
            return SkipReason("no check has been evaluated since")
        opened = Platform.open(platform.settings())
        for record in records:
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            evaluation = event.asset_check_evaluation_data
            name = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
            if evaluation.passed:
                opened.ops.incidents.close(f"check-failed:{name}")
            elif evaluation.severity.value == "ERROR":
                opened.ops.incidents.open(
                    Incident(
                        f"check-failed:{name}",
                        Severity.ERROR,
                        f"the check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} did not pass",
                        "the evidence is in the check's page of the Dagster UI",
                        "see docs/runbook.md",
                    )
                )
        tell(opened)
        return SensorResult(cursor=str(records[-1].storage_id))

    return alert
