"""One export step per kind of change that a vendor's tills take: what is approved and due, sent and read back.

What did not get through shows as a failed check here and as an incident; nothing else of the night waits for it.
"""

from collections.abc import Iterable, Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets.ingestion import OWNER
from assets.outages import waits_out_outages
from assets.platform import PlatformResource
from ingestion.core.spec import Connector
from ingestion.core.writes import WriteKind, accounts, send_changes

TAKEN = "every_change_taken"


def write_assets(vendors: Iterable[Connector]) -> list[AssetsDefinition]:
    """A step for every writer of every connector."""
    return [_write_asset(connector, WriteKind(writer.kind)) for connector in vendors for writer in connector.writers]


def _write_asset(connector: Connector, kind: WriteKind) -> AssetsDefinition:
    key = AssetKey(["exports", f"{connector.slug}_{kind}"])

    @asset(
        key=key,
        group_name="exports",
        kinds={str(connector.category)},
        owners=[OWNER],
        description=f"{str(kind).capitalize()} at {connector.title}: every approved change there exactly once.",
        pool=f"vendor_{connector.slug}",
        check_specs=[AssetCheckSpec(TAKEN, asset=key, description="The tills took every change that was due.")],
    )
    @waits_out_outages
    def changes(
        context: AssetExecutionContext, platform: PlatformResource
    ) -> Iterator[MaterializeResult | AssetCheckResult]:
        opened = platform.open(context)
        own = {integration.integration_id for integration in opened.integrations(connector.name)}
        results = [send_changes(opened, kind, account) for account in accounts(opened, kind) if account in own]
        problems = [problem for result in results for problem in result.problems]
        for problem in problems:
            context.log.error(f"{problem.subject}: {problem.title}. {problem.todo}")
        yield MaterializeResult(
            metadata={
                "posted": sum(len(result.posted) for result in results),
                "confirmed": sum(len(result.confirmed) for result in results),
                "waiting": sum(len(result.waiting) for result in results),
                "back to approval": sum(len(result.drifted) for result in results),
            }
        )
        yield AssetCheckResult(
            passed=not problems,
            check_name=TAKEN,
            severity=AssetCheckSeverity.ERROR,
            metadata={"problems": MetadataValue.json([f"{p.subject}: {p.title}" for p in problems[:50]])},
        )

    return changes
