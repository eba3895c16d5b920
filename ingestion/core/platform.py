"""One company's platform, opened: settings, configuration, keys, ops database, landing zone, API clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from ingestion.core.config import Config, Integration, load_config
from ingestion.core.errors import AccessError
from ingestion.core.http import ApiClient, Call
from ingestion.core.landing import LandingZone
from ingestion.core.ops import store
from ingestion.core.ops.crypto import Keyring
from ingestion.core.records import Hasher, keyed_hasher
from ingestion.core.registry import connector
from ingestion.core.settings import Settings
from ingestion.core.spec import Connector


class RotatingCredentials(dict[str, str]):
    """An integration's credentials; a token that a vendor replaces is stored at once, before it is used."""

    def __init__(self, ops: store.Ops, integration_id: str) -> None:
        super().__init__(ops.credentials(integration_id))
        self._ops, self._integration_id = ops, integration_id

    def reload(self) -> None:
        """Take over what another process has stored."""
        self.update(self._ops.credentials(self._integration_id))

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self._ops.set_credentials(self._integration_id, self, who="token rotation")


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything a step needs. Opening it reads the configuration and migrates the ops database if needed."""

    settings: Settings
    config: Config
    keys: Keyring
    ops: store.Ops
    landing: LandingZone
    hasher: Hasher
    region: str = ""  # sync only this region's accounts; "" for all

    @classmethod
    def open(cls, settings: Settings, region: str = "") -> Platform:
        settings.data.mkdir(parents=True, exist_ok=True)
        keys = Keyring.load(settings.key_file)
        return cls(
            settings=settings,
            config=load_config(settings.config),
            keys=keys,
            ops=store.Ops.open(settings.ops, keys),
            landing=LandingZone(settings.landing, keys.cipher("landing"), settings.data / "scratch"),
            hasher=keyed_hasher(keys.derive("personal-data")),
            region=region,
        )

    def integrations(self, vendor: str) -> list[Integration]:
        """The enabled accounts of a vendor, in the region of this run."""
        return [
            item
            for item in self.config.integrations
            if item.vendor == vendor and item.enabled and self.region in ("", item.region)
        ]

    def client(
        self,
        integration_id: str,
        sleep: Callable[[float], None] = time.sleep,
        api: Connector | None = None,
        *,
        concurrent: int | None = None,
        share: float = 1.0,
        watch: Callable[[Call], None] = lambda call: None,
    ) -> ApiClient:
        """An API client with the integration's credentials, limits (or a `share` of them), breaker and audit; of
        another `api` of the vendor than its connector reads, if told. The rate is shared with every other client
        of the account, in whatever process; `concurrent` is for one that is to stand back. `watch` sees every call.
        Raises AccessError for a missing credential.
        """
        integration = self.config.integration(integration_id)
        declared = api or connector(integration.vendor)
        limit = replace(
            declared.limit,
            per_second=share * (integration.per_second or declared.limit.per_second),
            concurrent=concurrent or integration.concurrent or declared.limit.concurrent,
        )
        credentials = RotatingCredentials(self.ops, integration_id)
        missing = [name for name in declared.credential_fields if not credentials.get(name)]
        if missing:
            raise AccessError(f"{integration_id} has no credential {missing[0]!r}; store it with `c4 credentials set`")

        def audit(call: Call) -> None:
            self.ops.audit_call(call)
            watch(call)

        return ApiClient(
            declared,
            integration_id,
            integration.settings,
            credentials,
            limit=limit,
            breaker=self.ops.breaker(integration_id),
            audit=audit,
            share=self.ops.allowance(integration_id),
            sleep=sleep,
        )

    def connector(self, integration_id: str) -> Connector:
        return connector(self.config.integration(integration_id).vendor)

    def zones(self, integration: Integration) -> dict[str, ZoneInfo]:
        """The vendor's outlet ids with the time zones valid on the logical date."""
        on = self.settings.as_of.date()
        return {source: ZoneInfo(self.config.outlet(ours, on).timezone) for source, ours in integration.outlets.items()}
