"""A small company on a stand: its sandboxes on real sockets, its own data folder, and ways to look inside."""

from __future__ import annotations

import base64
import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from ingestion.core import warehouse
from ingestion.core.platform import Platform
from ingestion.core.registry import connectors
from ingestion.core.settings import Settings
from ingestion.core.spec import Category, Connector
from ingestion.core.sync import SyncReport, sync
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import NIGHT, Company
from ingestion.sandbox.server import RunningSandboxes, serve
from tests import migrated

FIRST_DAY = date(2026, 4, 4)
KEY = base64.b64encode(b"one key for every stand 32 bytes").decode()  # hashes of personal data compare equal
TIMEOUT = 3.0  # seconds: long enough for a busy machine, short enough for a held request
DELIVERY_COLUMNS = ("c4_seq", "c4_landing", "c4_version", "c4_content")


def no_sleep(_: float) -> None:
    """Stands in for the wait between retries."""


@cache
def company(outlets: int = 3, days: int = 3, checks_per_day: int = 12, pos: tuple[str, ...] = ("moka",)) -> Company:
    """The simulated company; the same objects for every test that asks alike."""
    return Company.build(outlets=outlets, days=days, start=FIRST_DAY, checks_per_day=checks_per_day, pos=pos)


def tills(vendors: Sequence[str]) -> tuple[str, ...]:
    """The point-of-sale systems among some vendors: what the outlets of a company served by them use."""
    return tuple(name for name in vendors if connectors()[name].category is Category.POS) or ("moka",)


def night_of(day: int) -> datetime:
    """The night after the given example day (0 is the first): 05:00 in Jakarta."""
    return datetime.combine(FIRST_DAY + timedelta(days=day), NIGHT, UTC)


@dataclass
class Stand:
    root: Path
    vendors: list[str]
    company: Company
    clock: Clock
    running: RunningSandboxes

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, root: Path, vendors: Sequence[str] | None = None, made: Company | None = None, days: int = 3
    ) -> Iterator[Stand]:
        """Serve the vendors (all without a list) for a company whose configuration points at them."""
        root.mkdir(parents=True, exist_ok=True)
        key_file = root / "c4.key"
        if not key_file.exists():
            key_file.touch(mode=0o600)
            key_file.write_text(KEY, encoding="ascii")
        migrated.sqlite(root / "ops.db")
        names = list(vendors) if vendors is not None else list(connectors())
        built = made or company(days=days, pos=tills(names))
        clock = Clock(night_of(days - 1))
        with serve(built, clock, names, drop=root / "drop") as running:
            stand = cls(root, names, built, clock, running)
            built.write_config(root / "config", running)
            stand.set_timeout(TIMEOUT)
            platform = stand.platform()
            for vendor in names:
                for integration in platform.integrations(vendor):
                    credentials = running.sandbox(vendor).credentials()
                    platform.ops.set_credentials(integration.integration_id, credentials, who="test")
            yield stand

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def set_clock(self, now: datetime) -> None:
        self.running.set_clock(now)

    def settings(self) -> Settings:
        return Settings.load(self.root, self.now)

    def platform(self) -> Platform:
        return Platform.open(self.settings())

    def sync_all(self, vendor: str | None = None) -> list[SyncReport]:
        """Sync every account of the stand's vendors (or of one)."""
        platform = self.platform()
        names = [vendor] if vendor else self.vendors
        return [
            sync(platform, integration.integration_id, sleep=no_sleep)
            for name in names
            for integration in platform.integrations(name)
        ]

    def set_timeout(self, seconds: float) -> None:
        """How long clients wait for an answer."""
        self.configure({"timeout": str(seconds)})

    def configure(self, settings: Mapping[str, str], **more: Any) -> None:
        """Add to every integration's settings, and to the integration itself."""
        path = self.root / "config" / "integrations.yaml"
        document = msgspec.yaml.decode(path.read_bytes())
        for integration in document["integrations"]:
            integration["settings"].update(settings)
            integration.update(more)
        path.write_bytes(msgspec.yaml.encode(document))

    def reset_breakers(self) -> None:
        """As if the breaker's pause were over."""
        self.platform().ops.reset_breakers()

    def open_rejects(self) -> list[dict[str, Any]]:
        return [row for row in self.platform().ops.snapshot()["rejects"][1] if row["status"] == "open"]

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with warehouse.connect(self.settings()) as connection:
            return warehouse.rows(connection, sql, parameters)

    def raw(self, vendor: str) -> dict[str, list[dict[str, Any]]]:
        """Every raw table of a vendor, sorted, without the columns that tell one delivery from another."""
        connector = connectors()[vendor]
        found = {}
        with warehouse.connect(self.settings(), read_only=False) as connection:
            warehouse.ensure_raw_tables(self.settings(), [connector])
            for _, table in connector.tables():
                rows = warehouse.rows(connection, f"select * from {connector.dataset}.{table.name}")
                for row in rows:
                    for name in DELIVERY_COLUMNS:
                        row.pop(name, None)
                found[table.name] = sorted(rows, key=lambda row: str(sorted(row.items())))
        return found

    def live(self, vendor: str) -> dict[str, list[tuple]]:
        """What staging will see: distinct rows (a child delivered twice counts once)."""
        return self.live_rows(connectors()[vendor], self.raw(vendor))

    @staticmethod
    def live_rows(connector: Connector, tables: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[tuple]]:
        return {name: sorted({tuple(map(str, row.values())) for row in rows}) for name, rows in tables.items()}

    def drop_warehouse(self) -> None:
        """Lose the warehouse and dlt's working folder; landing and the ops database stay."""
        self.settings().warehouse_path.unlink()
        shutil.rmtree(self.root / "dlt", ignore_errors=True)
