"""The Dagster resource that opens one company's platform for a step."""

from datetime import datetime

from dagster import AssetExecutionContext, ConfigurableResource, OpExecutionContext

from ingestion.core.platform import Platform
from ingestion.core.settings import Settings

AS_OF_TAG = "c4/as_of"
REGION_TAG = "c4/region"
FULL_REFRESH_TAG = "c4/full_refresh"  # "true" makes every mart of the run anew, all of history
QUEUE_TAG = "c4/queue"  # of a step: which workers do it, where there are any
LOADS, WAREHOUSE = "loads", "warehouse"  # queues; a step without the tag goes to the second


class PlatformResource(ConfigurableResource):
    """Opens the platform whose folder is `data` (the environment's C4_DATA when empty).

    The logical time of a run is its tag `c4/as_of` (ISO 8601 with a zone), so every step of a run sees the same one
    and a night can be run again for any moment; without the tag it is the environment's C4_AS_OF, else the start.
    """

    data: str = ""

    def settings(self, tags: dict[str, str] | None = None) -> Settings:
        text = (tags or {}).get(AS_OF_TAG, "")
        return Settings.load(self.data or None, datetime.fromisoformat(text) if text else None)

    def open(self, context: AssetExecutionContext | OpExecutionContext) -> Platform:
        """The platform; limited to the run's region when the tag `c4/region` names one."""
        tags = dict(context.run.tags)
        return Platform.open(self.settings(tags), region=tags.get(REGION_TAG, ""))
