"""Reference tables, every model, published marts: one build outside a Dagster run, for `c4 import` and repairs."""

from assets import dbt
from ingestion.core import reference, warehouse
from ingestion.core.platform import Platform
from ingestion.core.registry import connectors


def build_marts(platform: Platform) -> int:
    """Build and test all models from what is loaded, then publish. Returns the number of published tables.

    Raises DbtError when a model or a test fails; the published marts are then still those of the last good build.
    """
    warehouse.ensure_raw_tables(platform.settings, connectors().values())
    tables = reference.reference_tables(platform.settings, platform.config, platform.ops)
    reference.write(platform.settings, tables)
    with warehouse.write_lock(platform.settings):
        dbt.run(platform.settings, ["build", *dbt.NIGHTLY])
    return warehouse.publish(platform.settings)
