"""One export step per kind of change that a vendor's tills take: what is approved and due, sent and read back.

What did not get through shows as a failed check here and as an incident; nothing else of the night waits for it.
"""

from collections.abc import Iterable

from dagster import AssetsDefinition

from assets.exports.steps import export_step
from ingestion.core.platform import Platform
from ingestion.core.spec import Connector
from ingestion.core.writes import SendResult, WriteKind, accounts, send_changes

TAKEN = "every_change_taken"


def write_assets(vendors: Iterable[Connector]) -> list[AssetsDefinition]:
    """A step for every writer of every connector."""
    return [_write_asset(connector, WriteKind(writer.kind)) for connector in vendors for writer in connector.writers]


def _write_asset(connector: Connector, kind: WriteKind) -> AssetsDefinition:
    def send(platform: Platform) -> list[SendResult]:
        own = {integration.integration_id for integration in platform.integrations(connector.name)}
        return [send_changes(platform, kind, account) for account in accounts(platform, kind) if account in own]

    return export_step(
        connector,
        str(kind),
        description=f"{str(kind).capitalize()} at {connector.title}: every approved change there exactly once.",
        check=(TAKEN, "The tills took every change that was due."),
        send=send,
        counts={
            "posted": lambda result: result.posted,
            "confirmed": lambda result: result.confirmed,
            "waiting": lambda result: result.waiting,
            "back to approval": lambda result: result.drifted,
        },
    )
