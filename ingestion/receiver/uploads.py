"""Files and day totals that people send while a till's integration is down: read at once, counted until it is back."""

from __future__ import annotations

import csv
import re
import shutil
import tempfile
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ingestion.core.config import ConfigError, load_config
from ingestion.core.ops.leases import LeaseHeldError, lease
from ingestion.core.platform import Platform
from ingestion.core.settings import PROJECT_ROOT
from ingestion.receiver.events import Refused
from ingestion.vendors.files.importer import ImportReport, import_file

DAY_TOTALS = "day-totals"
MAPPING_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FILE_NAME = re.compile(r"[\w][\w .()+-]{0,120}")
SHOWN_ERRORS = 200


class DayTotals(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The totals of one outlet and business date in the outlet's currency, major unit.

    `tenders` is what was paid, by tender: cash, credit_card, debit, qris, ewallet, platform, transfer, gift_card.
    gross_sales - discounts + service_charge + tax + rounding must be their sum.
    """

    outlet_id: str
    business_date: date
    gross_sales: Decimal
    tenders: dict[str, Decimal]
    discounts: Decimal = Decimal(0)
    service_charge: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    rounding: Decimal = Decimal(0)
    covers: int | None = None

    @property
    def bill_total(self) -> Decimal:
        return self.gross_sales - self.discounts + self.service_charge + self.tax + self.rounding


TENDERS = ("cash", "credit_card", "debit", "qris", "ewallet", "platform", "transfer", "gift_card")
AMOUNTS = ("gross_sales", "discounts", "service_charge", "tax", "rounding")


def upload(platform: Platform, mapping: str, name: str, content: BinaryIO, now: datetime, who: str) -> dict[str, Any]:
    """Load an uploaded file through a mapping of the company (files/ of its configuration) or a shipped one.

    Returns status, rows and the errors of rows (row, field, rule). Raises Refused: 404 for an unknown mapping, 400 for
    a name that is none, 409 while another upload through the same mapping is read, 422 for a wrong configuration.
    """
    if not MAPPING_NAME.fullmatch(mapping):
        raise Refused(404, "there is no such mapping", "mapping")
    if not FILE_NAME.fullmatch(name):
        raise Refused(400, "is no plain file name", "file")
    with tempfile.TemporaryDirectory(prefix="upload-", dir=platform.settings.data) as folder:
        path = Path(folder) / name
        with path.open("wb") as handle:
            shutil.copyfileobj(content, handle)
        return _load(platform, path, mapping, now, who)


def enter_day(platform: Platform, content: bytes, now: datetime, who: str) -> dict[str, Any]:
    """Load a day's totals entered by hand; entered again, they replace the ones before. Raises Refused."""
    totals = _totals(content)
    outlets = {outlet.outlet_id for outlet in load_config(platform.settings.config).outlets}
    if totals.outlet_id not in outlets:
        raise Refused(400, "is no outlet of the company", "outlet_id")
    if unknown := set(totals.tenders) - set(TENDERS):
        raise Refused(400, f"{min(unknown)!r} is none of {', '.join(TENDERS)}", "tenders")
    if totals.gross_sales < 0:
        raise Refused(400, "is negative", "gross_sales")
    if (paid := sum(totals.tenders.values(), Decimal(0))) != totals.bill_total:
        raise Refused(400, f"come to {paid}, and the bill to {totals.bill_total}", "tenders")
    row = {
        "outlet_id": totals.outlet_id,
        "business_date": totals.business_date.isoformat(),
        "covers": "" if totals.covers is None else str(totals.covers),
        "bill_total": format(totals.bill_total, "f"),
        **{name: format(getattr(totals, name), "f") for name in AMOUNTS},
        **{name: format(totals.tenders.get(name, Decimal(0)), "f") for name in TENDERS},
    }
    with tempfile.TemporaryDirectory(prefix="upload-", dir=platform.settings.data) as folder:
        path = Path(folder) / f"{totals.outlet_id}-{totals.business_date}.csv"
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(row))
            writer.writeheader()
            writer.writerow(row)
        return _load(platform, path, DAY_TOTALS, now, who)


def _totals(content: bytes) -> DayTotals:
    try:
        totals = msgspec.json.decode(content, type=DayTotals)
    except msgspec.ValidationError as error:
        rule, _, path = str(error).partition(" - at `")
        missing = re.search(r"field `(\w+)`", rule)
        raise Refused(400, rule, missing[1] if missing else path.rstrip("`").removeprefix("$.")) from None
    except msgspec.DecodeError:
        raise Refused(400, "the body is no JSON") from None
    for name in AMOUNTS:
        if not getattr(totals, name).is_finite():
            raise Refused(400, "is no amount", name)
    if not all(amount.is_finite() for amount in totals.tenders.values()):
        raise Refused(400, "are no amounts", "tenders")
    return totals


def _load(platform: Platform, path: Path, mapping: str, now: datetime, who: str) -> dict[str, Any]:
    settings = replace(platform.settings, as_of=now)
    try:
        with lease(platform.ops.sessions, f"upload:{mapping}", platform.ops.now):
            report = import_file(settings, path, _mapping(platform, mapping), stands_in=True)
    except LeaseHeldError:
        raise Refused(409, "another file is being read; send it again") from None
    except ConfigError as error:
        raise Refused(422, str(error)) from None
    platform.ops.audit(who, "upload", f"{report.integration_id}: {path.name}", report.status)
    errors = _errors(platform, report, path.name)
    told = {"status": report.status, "integration_id": report.integration_id, "rows": report.rows}
    return {**told, "rejected_rows": report.rejects, "errors": errors, "error": report.error}


def _mapping(platform: Platform, name: str) -> Path:
    """The company's own mapping of that name, else the one that ships with the platform."""
    for folder in (platform.settings.config / "files", PROJECT_ROOT / "config" / "files"):
        if (path := folder / f"{name}.yaml").is_file():
            return path
    raise Refused(404, "there is no such mapping", "mapping")


def _errors(platform: Platform, report: ImportReport, name: str) -> list[dict[str, Any]]:
    """What did not fit: row (as a spreadsheet numbers them, 0 for the whole file), field and rule."""
    found: list[dict[str, Any]] = []
    for row in platform.ops.rejects(status="open"):
        file, _, number = str(row["record_key"]).rpartition("#")
        if row["integration_id"] == report.integration_id and file == name:
            found.append({"row": int(number or 0), "field": row["field"], "rule": row["rule"]})
    return sorted(found, key=itemgetter("row"))[:SHOWN_ERRORS]
