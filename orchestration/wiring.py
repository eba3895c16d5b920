"""How the pieces become Dagster definitions: from the connector registry, the dbt project and the configuration."""

import os

from dagster import AssetKey, Definitions, ExecutorDefinition, in_process_executor

from assets import dbt
from assets.checks import operations_checks
from assets.exports.journals import export_assets
from assets.exports.writes import write_assets
from assets.incidents import incidents_asset
from assets.ingestion import load_assets, table_key, vendor_spec
from assets.platform import PlatformResource
from assets.transform import DbtBuilder, dbt_builds, posting_assets, published_asset, reference_assets
from ingestion.core.config import load_config
from ingestion.core.registry import connectors_in_use
from ingestion.core.settings import Settings
from orchestration.jobs import backfill_job, nightly_job, retention_job
from orchestration.schedules import nightly_schedules, retention_schedule
from orchestration.sensors import all_sensors


def build(settings: Settings) -> Definitions:
    """Wire the platform that the environment names."""
    vendors = connectors_in_use(load_config(settings.config))
    os.environ.update(dbt.environment(settings, vendors))
    engine = "duckdb" if settings.is_duckdb else "postgres"
    raw_keys = [table_key(vendor, table) for vendor in vendors for _, table in vendor.tables()]
    transform, close = dbt_builds(settings, vendors)
    exports = export_assets(vendors, [AssetKey(["marts", "journals"]), AssetKey(["marts", "journal_lines"])])
    published = published_asset([*transform.keys, *close.keys], engine)
    nightly, retention = nightly_job(), retention_job()
    return Definitions(
        assets=[
            *(vendor_spec(vendor) for vendor in vendors),
            *(load_assets(vendor) for vendor in vendors),
            reference_assets(raw_keys, engine),
            transform,
            *exports,
            *write_assets(vendors),
            posting_assets([key for export in exports for key in export.keys], engine),
            close,
            published,
            incidents_asset(after=published.key),
        ],
        asset_checks=operations_checks(),
        jobs=[nightly, backfill_job(), retention],
        schedules=[*nightly_schedules(settings, nightly), retention_schedule(retention)],
        sensors=all_sensors(nightly),
        resources={"platform": PlatformResource(data=str(settings.data)), "builder": DbtBuilder()},
        executor=_executor(settings),
    )


def _executor(settings: Settings) -> ExecutorDefinition:
    """Steps in the process of their run, or on workers. Raises ConfigError where these could not share their state."""
    if not settings.several_machines:
        return in_process_executor
    from orchestration.workers import celery_executor  # Celery is imported where it is used

    return celery_executor(settings)
