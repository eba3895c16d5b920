"""The accounts of a company's platform whose tills take prices or schedules, and sending to one of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from ingestion.core.config import ConfigError
from ingestion.core.platform import Platform
from ingestion.core.registry import connector
from ingestion.core.writes.change import WriteKind, WriteTarget
from ingestion.core.writes.send import SendResult, send


def accounts(platform: Platform, kind: WriteKind) -> list[str]:
    """Integration ids of the enabled accounts that take a kind, in the region of this run."""
    return [
        integration.integration_id
        for integration in platform.config.integrations
        if integration.enabled
        and platform.region in ("", integration.region)
        and connector(integration.vendor).writer(kind) is not None
    ]


def writer_of(
    platform: Platform, kind: WriteKind, integration_id: str, sleep: Callable[[float], None] = time.sleep
) -> WriteTarget:
    """The writer of an account. Raises ConfigError where its tills take none, AccessError without credentials."""
    writer = platform.connector(integration_id).writer(kind)
    if writer is None:
        raise ConfigError(f"{integration_id}: its tills take no {kind}")
    try:
        client = platform.client(integration_id, sleep, writer.api)
        return writer.target(client, client.settings)
    except KeyError as error:
        raise ConfigError(f"integrations.yaml: {integration_id} needs the setting {error} to write {kind}") from error


def send_changes(
    platform: Platform, kind: WriteKind, integration_id: str, sleep: Callable[[float], None] = time.sleep
) -> SendResult:
    """Send what is approved and due to one account, as of the run's logical time. See `send`."""
    return send(
        platform.ops,
        kind,
        integration_id,
        lambda: writer_of(platform, kind, integration_id, sleep),
        platform.zones(platform.config.integration(integration_id)),
        platform.settings.as_of,
        sleep=sleep,
    )
