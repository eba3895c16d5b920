"""When nights run: per region, after the latest cut-off, in the region's own time. Once a week what is old goes."""

import os

from dagster import (
    DefaultScheduleStatus,
    JobDefinition,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    schedule,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.platform import AS_OF_TAG, REGION_TAG
from ingestion.core.config import Night, load_config
from ingestion.core.settings import Settings


def nightly_schedules(settings: Settings, job: UnresolvedAssetJobDefinition) -> list[ScheduleDefinition]:
    """One schedule per night of the configuration; running only where C4_SCHEDULES=on says so."""
    return [_schedule(night, job) for night in load_config(settings.config).nights]


def retention_schedule(job: JobDefinition) -> ScheduleDefinition:
    """Sundays at noon UTC, far from the nights; running where C4_SCHEDULES=on says so. Without a policy it finds
    nothing to do.
    """
    return ScheduleDefinition(
        name="weekly_retention", job=job, cron_schedule="0 12 * * 0", execution_timezone="UTC", default_status=_status()
    )


def _status() -> DefaultScheduleStatus:
    is_on = os.environ.get("C4_SCHEDULES") == "on"
    return DefaultScheduleStatus.RUNNING if is_on else DefaultScheduleStatus.STOPPED


def _schedule(night: Night, job: UnresolvedAssetJobDefinition) -> ScheduleDefinition:
    @schedule(
        name=f"nightly_{night.region}",
        job=job,
        cron_schedule=night.cron,
        execution_timezone=night.timezone,
        default_status=_status(),
        description=f"The night of region {night.region}, {night.cron} {night.timezone}.",
    )
    def nightly(context: ScheduleEvaluationContext) -> RunRequest:
        as_of = context.scheduled_execution_time
        return RunRequest(
            run_key=f"{night.region}-{as_of:%Y%m%dT%H%M}",
            tags={AS_OF_TAG: as_of.isoformat(), REGION_TAG: night.region},
        )

    return nightly
