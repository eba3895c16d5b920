"""One export step per system that receives journals: plan, send, read back.

What was not accepted shows as a failed check here and fails the night's last step; the marts are published first.
"""

from collections.abc import Iterable

from dagster import AssetKey, AssetsDefinition

from assets.exports.steps import export_step
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
    def send(platform: Platform) -> list[ExportResult]:
        targets = {entity.target for entity in platform.config.entities}
        return [
            export_journals(platform, integration.integration_id)
            for integration in platform.integrations(connector.name)
            if integration.integration_id in targets
        ]

    return export_step(
        connector,
        "journals",
        description=f"Journals in {connector.title}: every version of every outlet-day there exactly once.",
        check=(ACCEPTED, "The target took every document that was sent."),
        send=send,
        counts={
            "planned": lambda result: result.planned,
            "posted": lambda result: result.posted,
            "confirmed": lambda result: result.confirmed,
            "held": lambda result: result.held,
            "awaiting approval": lambda result: result.awaiting_approval,
        },
        deps=sources,
    )
