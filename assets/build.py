"""Reference tables, every model, published marts: one build outside a Dagster run, for `c4 import` and repairs."""

from assets import dbt
from ingestion.core import reference, warehouse
from ingestion.core.platform import Platform
from ingestion.core.registry import connectors_in_use


def build_marts(platform: Platform) -> int:
    """Build and test all models from what is loaded, then publish. Returns the number of published tables.

    Raises DbtError when a model or a test fails; the published marts are then still those of the last good build.
    """
    used = connectors_in_use(platform.config)
    warehouse.ensure_raw_tables(platform.settings, used)
    tables = reference.reference_tables(platform.settings, platform.config, platform.ops)
    reference.write(platform.settings, tables)
    with warehouse.write_lock(platform.settings):
        dbt.run(dbt.environment(platform.settings, used), ["build", *dbt.NIGHTLY, "--exclude", dbt.unused(used)])
    return warehouse.publish(platform.settings)
