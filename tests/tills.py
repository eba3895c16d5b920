"""A till system's connector on a stand: what its staging makes of the raw rows, held against the company's truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from ingestion.core import warehouse
from ingestion.core.registry import connector
from ingestion.core.sync import SyncReport
from ingestion.sandbox.company import Company
from ingestion.sandbox.menu import COMPS
from ingestion.sandbox.server import Request, Response
from tests.staging import staging_sql
from tests.stand import FIRST_DAY, Stand

FIGURES = "checks refunds lines gross_sales discounts comps returns net_sales service_charge tax rounding bill_total"
Rows = list[dict[str, Any]]


@cache
def company(vendor: str, outlets: int = 6) -> Company:
    """Six outlets are five on one till system: all Indonesian time zones, a restaurant open till the cut-off."""
    return Company.build(outlets=outlets, days=3, start=FIRST_DAY, checks_per_day=30, pos=(vendor,))


def stand_of(root: Path, vendor: str, outlets: int = 6) -> Any:
    return Stand.open(root, [vendor], made=company(vendor, outlets))


def sync_well(stand: Stand) -> SyncReport:
    """Sync the one account of the stand's vendor; nothing may fail or be rejected."""
    (report,) = stand.sync_all()
    assert report.status == "ok", report.error or [result.error for result in report.streams]
    assert report.rejects == 0, [reject for result in report.streams for reject in result.rejects]
    assert stand.running.errors(stand.vendors[0]) == []
    return report


def answer_with(stand: Stand, change: Callable[[Request, Callable[[Request], Response]], Response]) -> None:
    """Put something between the sandbox and its clients."""
    sandbox = stand.running.sandbox(stand.vendors[0])
    honest = sandbox.handle
    sandbox.handle = lambda request: change(request, honest)


def staged(stand: Stand, entity: str) -> Rows:
    """The rows of a staging model of the stand's vendor."""
    declared = connector(stand.vendors[0])
    settings = stand.settings()
    with warehouse.connect(settings, read_only=False) as connection:  # opened once for both
        warehouse.ensure_raw_tables(settings, [declared])
        connection.execute("set timezone = 'UTC'")
        engine = "duckdb" if settings.is_duckdb else "postgres"
        return warehouse.rows(connection, staging_sql(declared.slug, entity, engine))


def meanings(stand: Stand, domain: str) -> dict[str, str]:
    """What the example configuration says of a vendor's codes."""
    rows = [row for row in stand.platform().config.tables["code_mapping"] if row.domain == domain]
    own = stand.vendors[0]
    return {row.source_code: row.canonical for vendor in ("*", own) for row in rows if row.vendor == vendor}


def day_of(stand: Stand, check: Mapping[str, Any]) -> tuple[str, date]:
    outlet_id = stand.running.sandbox(stand.vendors[0]).outlets()[check["source_outlet_id"]]
    return outlet_id, stand.company.business_date(stand.company.outlet(outlet_id), check["opened_at"])


def assert_staging_is_true(
    stand: Stand, *, tells_voids: bool = True, tells_taxes: bool = True, tells_running: bool = True
) -> None:
    """Every outlet-day of staging against what the company itself says, as known at the stand's clock.

    A till with `tells_running=False` tells nothing of a business date before it is over.
    """
    tenders, channels = meanings(stand, "tender"), meanings(stand, "channel")
    checks = {check["check_id"]: check for check in staged(stand, "checks")}
    found: dict[tuple[str, date], dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    for check in checks.values():
        day = found[day_of(stand, check)]
        if check["is_voided"]:
            day["voids"] += 1
            day["void_amount"] += check["gross_sales"]
            continue
        day["checks" if check["check_type"] == "sale" else "refunds"] += 1
        for name in ("gross_sales", "returns", "net_sales", "service_charge", "tax", "rounding", "bill_total"):
            day[name] += check[name]
        parts = check["gross_sales"] - check["discounts"] - check["comps"] - check["returns"]
        assert check["net_sales"] == parts
        assert check["bill_total"] == parts + check["service_charge"] + check["tax"] + check["rounding"]
        day[f"channel:{channels[check['source_channel']]}"] += check["net_sales"]
    for line in staged(stand, "check_lines"):
        check = checks[line["check_id"]]
        if check["is_voided"]:
            continue
        day = found[day_of(stand, check)]
        day["lines"] += check["check_type"] == "sale"
        day["comps" if line["discount_name"] in COMPS else "discounts"] += line["discounts"]
        day["net_of_lines"] += line["net_sales"]
        assert (line["quantity"] < 0) == (check["check_type"] == "refund")
        assert line["product_code"] in {product.sku for product in stand.company.products}
    for payment in staged(stand, "check_payments"):
        check = checks[payment["check_id"]]
        if not check["is_voided"]:
            found[day_of(stand, check)][f"tender:{tenders[payment['source_tender'].lower()]}"] += payment["amount"]
    for tax in staged(stand, "check_taxes") if tells_taxes else ():
        check = checks[tax["check_id"]]
        if not check["is_voided"]:
            found[day_of(stand, check)]["tax_of_rows"] += tax["amount"]

    ours = stand.running.sandbox(stand.vendors[0]).outlets().values()
    for key, truth in stand.company.truth(stand.now, [stand.company.outlet(outlet_id) for outlet_id in ours]).items():
        following = key[1] + timedelta(days=1)
        if not tells_running and stand.company.day_start(stand.company.outlet(key[0]), following) > stand.now:
            continue
        expected = {name: getattr(truth, name) for name in FIGURES.split()} | {"net_of_lines": truth.net_sales}
        expected |= {f"tender:{tender}": amount for tender, amount in truth.tenders.items()}
        expected |= {f"channel:{channel}": amount for channel, amount in truth.channels.items()}
        if tells_voids:
            expected |= {"voids": truth.voids, "void_amount": truth.void_amount}
        if tells_taxes:
            expected["tax_of_rows"] = truth.tax
        actual = found.pop(key, {})
        assert {name: value for name, value in actual.items() if value} == {
            name: value for name, value in expected.items() if value
        }, key
    assert not found


def assert_two_nights_are_true(stand: Stand, **tells: bool) -> None:
    """Two nights in a row, the second of which learns of voids, refunds and checks of the days before."""
    first, second = stand.company.nights()[-2:]
    stand.set_clock(first)
    sync_well(stand)
    assert_staging_is_true(stand, **tells)
    stand.set_clock(second)
    sync_well(stand)
    assert_staging_is_true(stand, **tells)
    ours = stand.running.sandbox(stand.vendors[0]).outlets().values()
    known = [c for outlet_id in ours for c in stand.company.checks(outlet_id) if c.known_at <= second]
    assert any(first < (c.void_known_at or first) <= second and c.known_at <= first for c in known), "no late void"
    assert any(first < r.known_at <= second for c in known for r in c.refunds if c.known_at <= first), "no late refund"
    assert any(c.net != c.net.to_integral_value() for c in known), "no fraction of a rupiah"


def assert_own_totals_agree(stand: Stand, measures: str) -> None:
    """The vendor's own totals against the staged checks, by the outlet's calendar day."""
    zones = {
        source: zone
        for integration in stand.platform().integrations(stand.vendors[0])
        for source, zone in stand.platform().zones(integration).items()
    }
    found: dict[tuple[str, date, str], Decimal] = defaultdict(Decimal)
    for check in staged(stand, "checks"):
        outlet = check["source_outlet_id"]
        if not check["is_voided"]:
            for measure in measures.split():
                found[outlet, check["opened_at"].astimezone(zones[outlet]).date(), measure] += check[measure]
    totals = {
        (row["source_outlet_id"], row["control_date"], row["measure"]): row["amount"]
        for row in staged(stand, "pos_control_totals")
    }
    days = {(outlet, day) for outlet, day, _ in totals}
    assert {day for _, day in days} == set(stand.company.dates)
    assert {outlet for outlet, _ in days} == set(zones)
    # the last night's hours after midnight belong to a calendar day that is not over
    reported = {key: amount for key, amount in found.items() if key[:2] in days}
    assert {key: amount for key, amount in totals.items() if amount} == {
        key: amount for key, amount in reported.items() if amount
    }


def assert_nobody_is_stored(stand: Stand) -> None:
    """No cashier's name in any raw table."""
    names = {check.cashier for outlet in stand.company.outlets for check in stand.company.checks(outlet.outlet_id)}
    stored = str(stand.raw(stand.vendors[0]))
    assert len(names) > 1
    assert not [name for name in names if name in stored]
