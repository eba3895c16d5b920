"""The live marts: built alone from what is loaded, and published alone, while the other marts show the last night."""

from assets import dbt
from ingestion.core import warehouse
from ingestion.core.platform import Platform

SELECTION = "tag:live"
MARTS = ("live_sales",)


def refresh_live(platform: Platform) -> None:
    """Build, test and publish them. Needs the views of a first night; the rest of the warehouse is not touched.

    Raises DbtError when the model or a test of it fails; readers then go on seeing the last good one.
    """
    variables = dbt.environment(platform.settings)
    with warehouse.write_lock(platform.settings):
        dbt.run(variables, ["build", "--select", SELECTION, *dbt.NIGHTLY])
    warehouse.publish(platform.settings, MARTS)
