"""Importing one file: what its mapping defines is registered with the company, then it is synced like any vendor.

On a platform without a company the mapping's own entity and outlets become the first; the accounting tables of the
example configuration come with them. What the company configures itself always wins.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import msgspec

from ingestion.core.config import ConfigError, Integration, Registration, load_config
from ingestion.core.platform import Platform
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.sync import SyncReport, sync
from ingestion.vendors.files.mapping import Mapping, load_mapping

EXAMPLE = PROJECT_ROOT / "config"
SHARED_TABLES = ("accounts", "account_mapping", "code_mapping", "dayparts", "tax_rates", "exchange_rates")
BEGINNING = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import ended: loaded, known (the same content was there before), duplicate (under another name),
    rejected (the file as a whole, see its reject) or failed. `settings` are those that hold the registration.
    """

    settings: Settings
    integration_id: str
    status: str
    rows: int  # rows of the file that were read
    rejects: int  # of this file that are open
    error: str = ""


def import_file(settings: Settings, path: Path, mapping_path: Path, *, stands_in: bool = False) -> ImportReport:
    """Load one file. The same file twice counts once; new content under the same name replaces the old.

    What `stands_in` is for days that the outlet's own integration has not told: it counts until that has.

    Raises ConfigError when the mapping or the company's configuration is wrong.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    mapping = load_mapping(mapping_path)
    settings = register(settings, mapping, stands_in=stands_in)
    integration_id = integration_of(mapping, stands_in=stands_in)
    platform = _with_file(Platform.open(settings), integration_id, path, mapping_path)
    report = sync(platform, integration_id)
    return _report(platform, report, path.name)


def integration_of(mapping: Mapping, *, stands_in: bool = False) -> str:
    return f"{'upload' if stands_in else 'import'}-{mapping.name}"


def register(settings: Settings, mapping: Mapping, *, stands_in: bool = False) -> Settings:
    """Make the import's integration, and what its mapping defines, part of the company's configuration."""
    settings = _own_company(settings, mapping)
    outlets = {outlet.source or outlet.outlet_id: outlet.outlet_id for outlet in mapping.outlets}
    entities = tuple(entity.entity_id for entity in (mapping.entity,) if entity)
    if not mapping.outlets:
        configured = load_config(settings.config)
        outlets = {outlet.outlet_id: outlet.outlet_id for outlet in configured.outlets}
        entities = tuple(entity.entity_id for entity in configured.entities)
    registration = Registration(
        integration=Integration(
            integration_id=integration_of(mapping, stands_in=stands_in),
            vendor="files",
            entity_ids=entities,
            start_date=BEGINNING,
            outlets=outlets,
            enabled=False,  # a one-off: no further days are expected of it
            stands_in=stands_in,
        ),
        entities=(mapping.entity_row,) if mapping.entity_row else (),
        outlets=mapping.outlet_rows,
        code_mapping=mapping.code_rows,
    )
    folder = settings.config / "imports"
    folder.mkdir(exist_ok=True)
    fresh = folder / f".{registration.integration.integration_id}.new"
    fresh.write_bytes(msgspec.yaml.encode(registration))
    fresh.replace(folder / f"{registration.integration.integration_id}.yaml")
    return settings


def _own_company(settings: Settings, mapping: Mapping) -> Settings:
    """The company's configuration folder; without one, a new one in the data folder for the mapping's own entity."""
    if settings.config != EXAMPLE:
        return settings
    folder = settings.data / "config"
    if not (folder / "company.yaml").exists():
        if mapping.entity is None:
            raise ConfigError(
                f"mapping {mapping.name}: no company is configured here (C4_CONFIG), and it defines no outlets itself"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in SHARED_TABLES:
            shutil.copyfile(EXAMPLE / f"{name}.csv", folder / f"{name}.csv")
        (folder / "integrations.yaml").write_text("integrations: []\n", encoding="utf-8")
        company = {"group": mapping.entity.name, "group_currency": mapping.entity.currency, "entities": []}
        (folder / "company.yaml").write_bytes(msgspec.yaml.encode(company))
    return replace(settings, config=folder)


def _with_file(platform: Platform, integration_id: str, path: Path, mapping_path: Path) -> Platform:
    """The platform for this one sync: the integration reads the file instead of a drop folder."""
    values = {"file": str(path.resolve()), "mapping": str(mapping_path.resolve())}
    integrations = tuple(
        msgspec.structs.replace(item, settings=values) if item.integration_id == integration_id else item
        for item in platform.config.integrations
    )
    return replace(platform, config=replace(platform.config, integrations=integrations))


def _report(platform: Platform, report: SyncReport, name: str) -> ImportReport:
    error = report.error or "; ".join(result.error for result in report.streams if result.error)
    rejects = sum(
        row["integration_id"] == report.integration_id and str(row["record_key"]).rpartition("#")[0] == name
        for row in platform.ops.rejects(status="open")
    )
    status = "failed" if error else str(report.files[0].status) if report.files else "known"
    rows = report.files[0].rows if report.files else 0
    return ImportReport(platform.settings, report.integration_id, status, rows, rejects, error)


__all__ = ["ImportReport", "import_file", "integration_of", "register"]
