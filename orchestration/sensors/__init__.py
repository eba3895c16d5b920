"""What looks after the platform between nights."""

from dagster import SensorDefinition
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration.sensors.alerts import alert_sensor
from orchestration.sensors.rescan import rescan_sensor


def all_sensors(nightly: UnresolvedAssetJobDefinition) -> list[SensorDefinition]:
    """Re-scan of incomplete outlet-days; alerts on failed runs and failed checks."""
    return [rescan_sensor(nightly), alert_sensor()]
