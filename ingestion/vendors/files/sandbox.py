"""A till abroad that drops its sales as one CSV per outlet and business date, over the simulated company.

Its manners are those of exports out in the world: byte order mark, CRLF, semicolons, decimal commas, local times
without an offset (also in the hour that clocks repeat), prices with tax in them, check values repeated on every line,
refunds as negative lines, a cancelled receipt kept with its status. A file is written under a temporary name and
renamed; when the till learns more about a day, the file of that day comes again with new content.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from ingestion.sandbox import menu
from ingestion.sandbox.model import SimCheck, SimLine, SimOutlet, SimRefund
from ingestion.sandbox.pricing import allocate, half_away
from ingestion.sandbox.server import Request, Response, Sandbox, json_response

HEADER = (
    "Receipt",
    "Original Receipt",
    "Type",
    "Status",
    "Opened",
    "Closed",
    "Order Type",
    "Covers",
    "Cashier",
    "Item Code",
    "Item",
    "Category",
    "Qty",
    "Unit Price",
    "Discount",
    "Discount Name",
    "Line Total",
    "GST",
    "Tip",
    "Receipt Total",
    "Tender",
)
PERMILLE = dict((*menu.DISCOUNTS, menu.UNKNOWN_DISCOUNT))
CENTS = 100
THOUSAND = 1000


class DropSandbox(Sandbox):
    """Delivers into a folder; over HTTP it only tells what it has delivered."""

    vendor = "files"

    def handle(self, request: Request) -> Response:
        if request.method != "GET" or request.path != "/":
            return json_response({"error": "not found"}, 404)
        return json_response({"files": [name for name, _, _ in self._days()]})

    def settings(self, base_url: str) -> dict[str, str]:
        """Renaming makes a file whole at once, so its age need not prove it."""
        return {"base_url": base_url, "mapping": "sydney", "stable_seconds": "0"}

    def outlets(self) -> dict[str, str]:
        return {outlet.outlet_id: outlet.outlet_id for outlet in self._tills()}

    def deliver(self, folder: Path) -> None:
        """Write every day that has begun, as known at the clock; what has not changed is left as it is."""
        with self.lock:
            for name, outlet, day in self._days():
                content, known_at = self._render(outlet, day)
                path = folder / name
                if path.exists() and path.read_bytes() == content:
                    continue
                under_way = folder / f"{name}.tmp"
                under_way.write_bytes(content)
                os.utime(under_way, (known_at.timestamp(), known_at.timestamp()))
                under_way.rename(path)

    def _tills(self) -> list[SimOutlet]:
        return [outlet for outlet in self.company.outlets if outlet.pos == self.vendor]

    def _days(self) -> list[tuple[str, SimOutlet, date]]:
        now = self.clock.now()
        return [
            (f"sales_{outlet.outlet_id}_{day:%Y%m%d}.csv", outlet, day)
            for outlet in self._tills()
            for day in self.company.dates
            if self.company.day_start(outlet, day) <= now
        ]

    def _render(self, outlet: SimOutlet, day: date) -> tuple[bytes, datetime]:
        """The file's bytes, and when the last thing in it became known."""
        now = self.clock.now()
        zone = ZoneInfo(outlet.timezone)
        known_at = self.company.day_start(outlet, day)
        text = io.StringIO()
        writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
        writer.writerow(HEADER)
        for check in self.company.checks(outlet.outlet_id):
            if check.known_at > now:
                continue
            if check.business_date == day:
                known_at = max(known_at, check.known_at)
                if check.voided(now) and check.void_known_at is not None:
                    known_at = max(known_at, check.void_known_at)
                writer.writerows(_sale(check, zone, is_void=check.voided(now)))
            for number, refund in enumerate(check.refunds, start=1):
                if refund.business_date == day and refund.known_at <= now and not check.voided(now):
                    known_at = max(known_at, refund.known_at)
                    writer.writerows(_refund(check, refund, number, zone))
        return text.getvalue().encode("utf-8-sig"), known_at.astimezone(UTC)


def _sale(check: SimCheck, zone: ZoneInfo, *, is_void: bool) -> Iterator[Sequence[str]]:
    shared = [_local(check.opened_at, zone), _local(check.closed_at, zone)]
    for line in check.lines:
        gross = line.quantity * line.unit_price
        reduction = _reduction(line, gross)
        paid = gross - reduction
        yield [
            check.number,
            "",
            "SALE",
            "VOID" if is_void else "CLOSED",
            *shared,
            check.sales_type,
            str(check.covers),
            check.cashier,
            *_product(line),
            str(line.quantity),
            _amount(line.unit_price),
            _amount(reduction),
            line.discount_name or line.comp_name,
            _amount(paid),
            _amount(paid - line.net),
            _amount(check.tip),
            _amount(check.total),
            check.tender_name,
        ]


def _refund(check: SimCheck, refund: SimRefund, number: int, zone: ZoneInfo) -> Iterator[Sequence[str]]:
    at = _local(refund.at, zone)
    nets = [int(line.net * CENTS) for line in refund.lines]
    taxes = [Decimal(cents) / CENTS for cents in allocate(int(refund.tax * CENTS), nets)]
    for line, tax in zip(refund.lines, taxes, strict=True):
        yield [
            f"R{number}-{check.number}",
            check.number,
            "REFUND",
            "CLOSED",
            at,
            at,
            check.sales_type,
            "",
            check.cashier,
            *_product(line),
            str(-line.quantity),
            _amount(line.unit_price),
            "0,00",
            "",
            _amount(-line.net - tax),
            _amount(-tax),
            "0,00",
            _amount(-refund.total),
            check.tender_name,
        ]


def _reduction(line: SimLine, gross: Decimal) -> Decimal:
    """Discount or comp with tax, as the till takes it off the price with tax."""
    if line.comp_name:
        return gross
    if not line.discount_name:
        return Decimal(0)
    return Decimal(half_away(int(gross * CENTS) * PERMILLE[line.discount_name], THOUSAND)) / CENTS


def _product(line: SimLine) -> tuple[str, str, str]:
    return line.product.sku, line.product.name, line.product.category


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%d/%m/%Y %H:%M:%S")


def _amount(amount: Decimal) -> str:
    return f"{amount:.2f}".replace(".", ",")


SANDBOX = DropSandbox
