"""Every 15 minutes: outlet-days that should be complete and are not get another night, with a bound."""

import hashlib
import json
from datetime import datetime, timedelta

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core import warehouse
from ingestion.core.settings import Settings

INTERVAL_SECONDS = 900
MAX_ATTEMPTS = 8  # for one and the same set of outlet-days; after that a person is already alerted
IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
WAITING = """
select outlet_id, cast(business_date as varchar) as business_date
from outlet_days
where state = 'open'
order by 1, 2
"""


def waiting_days(settings: Settings) -> list[tuple[str, str]]:
    """Outlet-days that are over and not complete, from the published marts; none before the first publication."""
    with warehouse.published(settings) as marts:
        return [] if marts is None else marts.execute(WAITING).fetchall()


def rescan_sensor(job: UnresolvedAssetJobDefinition) -> SensorDefinition:
    """Ask for a run while days wait: at most `MAX_ATTEMPTS` for the same set, with growing pauses."""

    @sensor(
        name="rescan_incomplete_days",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Reads again what should have been complete: a late outlet, a vendor that was down.",
    )
    def rescan(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
        settings = platform.settings()
        days = waiting_days(settings)
        if not days:
            return SensorResult(cursor="", skip_reason=SkipReason("every outlet-day that is over is complete"))
        if context.instance.get_runs_count(RunsFilter(job_name=job.name, statuses=IN_PROGRESS)):
            return SkipReason("a night is running already")
        fingerprint = hashlib.sha256(json.dumps(days).encode()).hexdigest()[:16]
        seen = json.loads(context.cursor) if context.cursor else {}
        attempts = seen.get("attempts", 0) if seen.get("fingerprint") == fingerprint else 0
        if attempts >= MAX_ATTEMPTS:
            return SkipReason(f"{len(days)} outlet-days still wait after {attempts} re-scans; an alert is out")
        last = seen.get("at") if attempts else None
        if last and settings.as_of < datetime.fromisoformat(last) + _pause(attempts):
            return SkipReason(f"{len(days)} outlet-days wait; the next re-scan is due {_pause(attempts)} after {last}")
        cursor = {"fingerprint": fingerprint, "attempts": attempts + 1, "at": settings.as_of.isoformat()}
        request = RunRequest(
            run_key=f"rescan-{fingerprint}-{settings.as_of:%Y%m%dT%H%M%S}",  # Dagster never starts a key twice
            tags={AS_OF_TAG: settings.as_of.isoformat(), "c4/reason": f"{len(days)} outlet-days incomplete"},
        )
        return SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return rescan


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=INTERVAL_SECONDS * 2 ** min(attempts - 1, 4))
