"""One export step per system that receives journals: plan, send, read back.

What was not accepted shows as a failed check here and fails the night's last step; the marts are published first.
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
from ingestion.core.candidates import candidates
from ingestion.core.outbox import ExportResult, export
from ingestion.core.platform import Platform
from ingestion.core.spec import Connector
from ingestion.core.sync import sync

ACCEPTED = "every_document_accepted"


def export_assets(vendors: Iterable[Connector], marts: Iterable[AssetKey]) -> list[AssetsDefinition]:
    """A step for every connector that declares journals; `marts` are what the journals are read from."""
    sources = list(marts)
    return [_export_asset(connector, sources) for connector in vendors if connector.journals is not None]


def export_journals(platform: Platform, integration_id: str) -> ExportResult:
    """Post what the marts say to one target, then read the target's own ledger back into raw.

    Safe to kill anywhere and to run again. Raises what the warehouse raises; a target's refusals are in the result.
    """
    connector = platform.connector(integration_id)
    client = platform.client(integration_id)
    if connector.journals is None:
        raise ValueError(f"{connector.name} receives no journals")
    target = connector.journals(client, client.settings)
    result = export(
        platform.ops,
        integration_id,
        target,
        platform.config.entities,
        candidates(platform, integration_id),
        restored=platform.ops.was_restored,
    )
    if result.posted or result.confirmed:
        sync(platform, integration_id, only=connector.readback)
    return result


def _export_asset(connector: Connector, sources: list[AssetKey]) -> AssetsDefinition:
    key = AssetKey(["exports", f"{connector.slug}_journals"])

    @asset(
        key=key,
        deps=sources,
        group_name="exports",
        kinds={str(connector.category)},
        owners=[OWNER],
        description=f"Journals in {connector.title}: every version of every outlet-day there exactly once.",
        pool=f"vendor_{connector.slug}",
        check_specs=[AssetCheckSpec(ACCEPTED, asset=key, description="The target took every document that was sent.")],
    )
    @waits_out_outages
    def journals(
        context: AssetExecutionContext, platform: PlatformResource
    ) -> Iterator[MaterializeResult | AssetCheckResult]:
        opened = platform.open(context)
        targets = {entity.target for entity in opened.config.entities}
        results = [
            export_journals(opened, integration.integration_id)
            for integration in opened.integrations(connector.name)
            if integration.integration_id in targets
        ]
        problems = [problem for result in results for problem in result.problems]
        for problem in problems:
            context.log.error(f"{problem.subject}: {problem.title}. {problem.todo}")
        yield MaterializeResult(
            metadata={
                "planned": sum(len(result.planned) for result in results),
                "posted": sum(len(result.posted) for result in results),
                "confirmed": sum(len(result.confirmed) for result in results),
                "held": sum(len(result.held) for result in results),
                "awaiting approval": sum(len(result.awaiting_approval) for result in results),
            }
        )

        yield AssetCheckResult(
            passed=not problems,
            check_name=ACCEPTED,
            severity=AssetCheckSeverity.ERROR,
            metadata={"problems": MetadataValue.json([f"{p.subject}: {p.title}" for p in problems[:50]])},
        )

    return journals
