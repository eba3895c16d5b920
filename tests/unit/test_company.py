"""The simulated company: if its bills, its truth or its configuration were wrong, no other test would mean much."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ingestion.core.config import LaborRate, load_config
from ingestion.core.settings import PROJECT_ROOT
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.model import SimCheck, SimOutlet
from ingestion.sandbox.pricing import MILLI, allocate, exclusive, half_away, inclusive
from ingestion.sandbox.server import Sandbox, sandbox_classes, serve
from ingestion.sandbox.truth import labor_cost

CASH_STEP = {"IDR": Decimal(100), "AUD": Decimal("0.05")}


@pytest.fixture(scope="module")
def company() -> Company:
    return Company.build()


@pytest.fixture(scope="module")
def busy() -> Company:
    """Six outlets with so many checks that rare hours are met: Sydney, Ambon and Kuta among them."""
    return Company.build(outlets=6, checks_per_day=700)


def all_checks(company: Company) -> list[SimCheck]:
    return [check for outlet in company.outlets for check in company.checks(outlet.outlet_id)]


# Bills


@pytest.mark.parametrize(
    ("price", "expected"),
    [(115_500, (10_500, 5_000, 100_000)), (50_000, (4_545, 2_165, 43_290))],
)
def test_tax_inclusive_prices_are_taken_apart_as_in_the_worked_examples(price, expected):
    bill = inclusive(price, service_rate=500, tax_rate=1000)
    assert (bill.tax, bill.service, bill.net) == expected
    assert bill.total == price


def test_service_and_tax_follow_the_discount_as_in_the_tax_office_example():
    bill = exclusive(80_000 * MILLI, service_rate=500, tax_rate=1000)
    assert (bill.service, bill.tax, bill.total) == (4_000, 8_400, 92_400)


def test_shares_sum_to_the_whole_and_halves_go_away_from_zero():
    assert allocate(10_000, [1, 1, 1]) == [3_334, 3_333, 3_333]
    assert allocate(7, [0, 0]) == [7, 0]
    assert [half_away(5, 2), half_away(-5, 2), half_away(4, 3), half_away(-4, 3)] == [3, -3, 1, -1]


def test_every_bill_adds_up(company):
    for check in all_checks(company):
        outlet = check.outlet
        assert check.total == check.net + check.service + check.tax + check.rounding, check.uid
        assert check.tendered - check.change == check.total + check.tip, check.uid
        assert check.change >= 0
        assert check.total == check.total.quantize(Decimal(1).scaleb(-outlet.exponent)), check.uid
        step = CASH_STEP[outlet.currency] if check.tender == "cash" else Decimal(1).scaleb(-outlet.exponent)
        assert check.total % step == 0, check.uid
        assert abs(check.rounding) <= step / 2, check.uid
        assert check.service == 0 or check.channel == "dine_in", check.uid
        for line in check.lines:
            assert line.gross > 0, line.uid
            assert min(line.discount, line.comp, line.net) >= 0, line.uid
            assert bool(line.discount) == bool(line.discount_name), line.uid
            assert bool(line.comp) == bool(line.comp_name), line.uid
            if not outlet.prices_include_tax:
                assert line.gross == line.quantity * line.unit_price, line.uid


def test_a_tax_inclusive_bill_is_the_menu_price_less_what_was_given(busy):
    for check in busy.checks("SYD-001"):
        menu = sum(line.quantity * line.unit_price for line in check.lines)
        assert check.net + check.service + check.tax <= menu
        if not check.discounts and not check.comps:
            assert check.net + check.service + check.tax == menu, check.uid
            assert check.tax == (menu / 11).quantize(Decimal("0.01"), "ROUND_HALF_UP"), check.uid


def test_tax_is_the_rate_of_the_jurisdiction_on_net_and_service(company):
    for check in all_checks(company):
        if not check.outlet.prices_include_tax:
            exact = (check.net + check.service) * check.outlet.tax_rate
            assert abs(check.tax - exact) <= Decimal("0.5"), check.uid


def test_refunds_give_back_lines_of_the_check_and_never_more(busy):
    partial = 0
    for check in all_checks(busy):
        for refund in check.refunds:
            assert refund.total == refund.net + refund.service + refund.tax + refund.rounding
            assert refund.net == sum(line.net for line in refund.lines)
            assert all(any(line is own for own in check.lines) for line in refund.lines)
            assert refund.known_at > check.known_at
            assert refund.business_date >= check.business_date
            assert refund.total <= check.total + CASH_STEP[check.outlet.currency]
            if refund.full:
                assert (refund.net, refund.tax, refund.total) == (check.net, check.tax, check.total)
            else:
                partial += 1
                ratio = refund.net / check.net
                smallest = Decimal(1).scaleb(-check.outlet.exponent)
                assert abs(refund.tax - check.tax * ratio) <= smallest  # invariant: tax goes back in the same ratio
    assert partial > 10
    assert not any(check.refunds and check.void_known_at for check in all_checks(busy))


def test_the_default_company_has_what_real_life_has(company):
    checks = all_checks(company)
    assert {check.channel for check in checks} == {
        "dine_in",
        "takeaway",
        "delivery_own",
        "delivery_platform",
        "catering",
    }
    tenders = {check.tender for check in checks}
    assert tenders == {
        "cash",
        "credit_card",
        "debit",
        "qris",
        "ewallet",
        "platform",
        "transfer",
        "gift_card",
    }
    assert any(line.discount % 1 for check in checks for line in check.lines), "no fraction of a rupiah anywhere"
    assert any(check.tip for check in checks)
    assert all(check.outlet.pos == "files" for check in checks if check.tip)
    assert any(check.change for check in checks)
    refunds = [(check, refund) for check in checks for refund in check.refunds]
    assert {refund.full for _, refund in refunds} == {True, False}
    assert {refund.business_date > check.business_date for check, refund in refunds} == {True, False}
    assert any(check.known_at - check.closed_at > timedelta(hours=1) for check in checks)
    assert len({check.uid for check in checks}) == len(checks)


# Time


def test_the_generator_and_the_outlets_cutoff_agree_on_every_business_date(busy):
    for check in all_checks(busy):
        assert busy.business_date(check.outlet, check.opened_at) == check.business_date, check.uid
        assert busy.business_date(check.outlet, check.closed_at) == check.business_date, check.uid
        for refund in check.refunds:
            assert busy.business_date(check.outlet, refund.at) == refund.business_date


def local_hours(company: Company, outlet_id: str, business_date: date) -> list[datetime]:
    zone = ZoneInfo(company.outlet(outlet_id).timezone)
    return [check.opened_at.astimezone(zone) for check in company.checks(outlet_id, business_date)]


def test_the_hour_that_comes_twice_in_sydney_has_sales_both_times(busy):
    folds = Counter(at.fold for at in local_hours(busy, "SYD-001", date(2026, 4, 4)) if (at.day, at.hour) == (5, 2))
    assert folds[0] > 0
    assert folds[1] > 0


def test_an_early_cutoff_starts_the_day_and_a_changed_one_ends_it_later(busy):
    assert any(at.hour == 3 and at.day == 5 for at in local_hours(busy, "AMB-001", date(2026, 4, 5)))
    assert not any(at.hour == 4 and at.day == 6 for at in local_hours(busy, "DPS-001", date(2026, 4, 5)))
    assert any(at.hour == 4 and at.day == 7 for at in local_hours(busy, "DPS-001", date(2026, 4, 6)))
    assert any(at.hour < 3 for at in local_hours(busy, "JKT-002", date(2026, 4, 4)))


def test_business_date_of_the_worked_example(company):
    at = datetime(2026, 2, 10, 18, 30, tzinfo=UTC)
    assert company.business_date(company.outlet("JKT-001"), at) == date(2026, 2, 10)
    assert company.business_date(company.outlet("MKS-001"), at) == date(2026, 2, 10)
    assert company.business_date(company.outlet("AMB-001"), at) == date(2026, 2, 11)  # 03:30 with cut-off 03:00


def test_every_business_day_is_over_when_its_night_runs(company):
    for day, night in zip(company.dates, company.nights(), strict=True):
        for outlet in company.outlets:
            assert company.day_start(outlet, day + timedelta(days=1)) <= night, outlet.outlet_id


# The same every time

DIGEST = """
import hashlib
from ingestion.sandbox.company import Company
c = Company.build(outlets=3, days=2, checks_per_day=40)
facts = [repr([(k, v) for k, v in c.truth(c.nights()[-1]).items()]), repr(c.punches()), repr(c.checks("SYD-001"))]
print(hashlib.sha256("".join(facts).encode()).hexdigest())
"""


def test_two_processes_simulate_the_same_company():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(PROJECT_ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_forgetting_and_making_again_changes_nothing(monkeypatch):
    monkeypatch.setattr("ingestion.sandbox.company.CACHED_CHECKS", 10)
    small = Company.build(outlets=3, days=2, checks_per_day=20)
    first = small.checks("JKT-001", small.start)
    for outlet in small.outlets:
        small.checks(outlet.outlet_id)
    again = small.checks("JKT-001", small.start)
    assert again is not first
    assert again == first


def test_another_seed_is_another_life():
    one, two = (Company.build(outlets=1, days=1, seed=seed) for seed in (1, 2))
    assert [check.total for check in one.checks("JKT-001")] != [check.total for check in two.checks("JKT-001")]


# Truth


def test_truth_adds_up_in_every_direction(company):
    for day in company.truth(company.nights()[-1]).values():
        assert day.net_sales == day.gross_sales - day.discounts - day.comps - day.returns
        assert sum(day.channels.values()) == day.net_sales
        assert sum(day.dayparts.values()) == day.net_sales
        paid = sum(day.tenders.values()) + day.tips
        if company.outlet(day.outlet_id).currency == "IDR":
            assert paid == day.bill_total
        else:  # each amount is rounded by itself, so they part by at most half a rupiah each
            assert abs(paid - day.bill_total) <= 5 * day.checks


def test_truth_counts_the_facts_themselves(company):
    """Against plain sums over one rupiah outlet's objects, at the end, when all its facts are known."""
    outlet = company.outlet("JKT-001")
    end = company.nights()[-1] + timedelta(days=3)
    days = [day for day in company.truth(end).values() if day.outlet_id == outlet.outlet_id]
    kept = [check for check in company.checks(outlet.outlet_id) if check.void_known_at is None]
    refunds = [refund for check in kept for refund in check.refunds]
    lines = [line for check in kept for line in check.lines]
    assert sum(day.checks for day in days) == len(kept)
    assert sum(day.refunds for day in days) == len(refunds)
    assert sum(day.gross_sales for day in days) == sum(line.quantity * line.unit_price for line in lines)
    assert sum(day.returns for day in days) == sum(refund.net for refund in refunds)
    assert sum(day.tax for day in days) == sum(c.tax for c in kept) - sum(refund.tax for refund in refunds)
    assert sum(day.tenders["cash"] for day in days) == sum(
        check.total - sum(refund.total for refund in check.refunds) for check in kept if check.tender == "cash"
    )
    assert sum(day.voids for day in days) == len(company.checks(outlet.outlet_id)) - len(kept)


def test_standard_costs_follow_the_date_and_the_entity(company):
    assert company.unit_cost("NKI", "KOP-005", date(2026, 4, 5)) == 8300
    assert company.unit_cost("NKI", "KOP-005", date(2026, 4, 6)) == 8550
    assert company.unit_cost("NKI", "NAS-003", date(2026, 4, 5)) == 20900
    assert company.unit_cost("NBT", "NAS-003", date(2026, 4, 5)) == 22300


def test_foreign_sales_are_translated_line_by_line_at_the_days_rate(company):
    """Sunday has Friday's rate; rounding each line is not the same as rounding the sum."""
    assert company.rate("AUD", "IDR", date(2026, 4, 5)) == company.rate("AUD", "IDR", date(2026, 4, 3))
    outlet = company.outlet("SYD-001")
    day = company.truth(company.nights()[-1])["SYD-001", date(2026, 4, 5)]
    rate = company.rate("AUD", "IDR", date(2026, 4, 5))
    kept = [c for c in company.checks(outlet.outlet_id, day.business_date) if c.void_known_at is None]
    by_line = sum((line.gross * rate).quantize(Decimal(1), "ROUND_HALF_UP") for check in kept for line in check.lines)
    assert day.gross_sales == by_line
    assert by_line != (sum(check.gross for check in kept) * rate).quantize(Decimal(1), "ROUND_HALF_UP")
    for amount in (day.gross_sales, day.tax, day.tips, *day.tenders.values(), *day.channels.values()):
        assert amount == amount.to_integral_value()


def test_overtime_is_paid_as_the_regulation_says():
    rate = LaborRate(job="Barista", hourly_rate=Decimal(30000), burden=Decimal("0.10"))
    assert labor_cost(Decimal(8), rate) == (0, Decimal(8) * 33000)
    assert labor_cost(Decimal("8.5"), rate) == (Decimal("0.5"), Decimal("8.75") * 33000)
    assert labor_cost(Decimal("10.25"), rate) == (Decimal("2.25"), Decimal("12.0") * 33000)


def test_nothing_counts_before_the_server_knows_it(company):
    before = company.truth(company.day_start(company.outlet("SYD-001"), company.start) - timedelta(hours=1))
    assert all(day.checks == 0 and day.labor_cost == 0 for day in before.values())
    noon = datetime(2026, 4, 5, 5, tzinfo=UTC)
    known = company.truth(noon)["JKT-001", date(2026, 4, 5)]
    expected = [c for c in company.checks("JKT-001", date(2026, 4, 5)) if c.known_at <= noon and not c.voided(noon)]
    assert 0 < known.checks == len(expected) < len(company.checks("JKT-001", date(2026, 4, 5)))


@pytest.mark.parametrize("outlets", [1, 3, 30])
def test_the_second_night_finds_late_voids_a_late_refund_and_a_late_check(outlets):
    company = Company.build(outlets=outlets)
    first, second = company.nights()[-2:]
    earlier = [check for check in all_checks(company) if check.business_date < company.dates[-1]]
    voids = [c for c in earlier if c.void_known_at and first < c.void_known_at <= second]
    refunds = [r for c in earlier for r in c.refunds if r.business_date < company.dates[-1]]
    late_refunds = [refund for refund in refunds if first < refund.known_at <= second]
    arrivals = [check for check in earlier if first < check.known_at <= second]
    assert len(voids) >= 2
    assert late_refunds
    assert arrivals
    late_punches = [p for p in company.punches() if first < p.known_at and p.business_date < company.dates[-1]]
    assert late_punches
    was, now = company.truth(first), company.truth(second)
    changed = {key for key in was if key[1] < company.dates[-1] and was[key] != now[key]}
    assert len(changed) >= min(outlets, 2)


def test_a_closed_day_is_proven_and_empty(company):
    outlet = company.outlet("BDG-001")
    closed = [row for row in company.config.tables["closed_days"] if row.outlet_id == outlet.outlet_id]
    assert [row.business_date for row in closed] == [date(2026, 4, 6)]
    day = company.truth(company.nights()[-1])["BDG-001", date(2026, 4, 6)]
    assert (day.checks, day.refunds, day.net_sales, day.hours) == (0, 0, 0, 0)


# People and books


def test_shifts_are_measured_and_some_run_over_and_past_midnight(company):
    punches = company.punches()
    by_day: Counter = Counter()
    for punch in punches:
        elapsed = Decimal((punch.ended_at - punch.started_at).total_seconds()) / 3600
        assert abs(punch.hours - elapsed) <= Decimal("0.005")
        assert company.business_date(punch.employee.outlet, punch.started_at) == punch.business_date
        by_day[punch.employee.number, punch.business_date] += punch.hours
    assert any(hours > 9 for hours in by_day.values())
    zone = ZoneInfo("Asia/Jakarta")
    night = [p for p in punches if p.employee.outlet.outlet_id == "JKT-002"]
    assert any(p.ended_at.astimezone(zone).date() > p.business_date for p in night)
    assert any(
        len([q for q in punches if q.employee == p.employee and q.business_date == p.business_date]) == 2
        for p in punches
    )  # a split shift
    assert len({punch.number for punch in punches}) == len(punches)


def test_people_report_to_their_outlets_manager_and_leavers_do_not_work(company):
    people = {person.number: person for person in company.employees}
    assert len(people) == len(company.employees) == 8 * len(company.outlets)
    for person in company.employees:
        if person.manager_number is not None:
            assert people[person.manager_number].outlet == person.outlet
            assert people[person.manager_number].job_title == "Outlet Manager"
    leavers = {person.number for person in company.employees if person.left_on}
    assert leavers
    assert not leavers & {punch.employee.number for punch in company.punches()}


def test_documents_of_the_books_balance(company):
    totals: Counter = Counter()
    for line in company.ledger_lines():
        totals[line.document] += line.amount
    assert totals
    assert set(totals.values()) == {0}
    assert {line.account.statement for line in company.budgets()} == {"PL"}
    assert {movement.kind for movement in company.stock_movements()} == {"receipt", "issue", "waste"}
    assert all(m.amount > 0 and m.quantity > 0 for m in company.stock_movements())


# Sizes and configuration


@pytest.mark.parametrize(("outlets", "entities"), [(1, {"NKI"}), (3, {"NKI", "NBT"}), (30, {"NKI", "NBT"})])
def test_a_small_company_keeps_both_entities_and_sydney(outlets, entities):
    company = Company.build(outlets=outlets, days=1)
    assert len(company.outlets) == outlets
    assert {outlet.entity.entity_id for outlet in company.outlets} == entities
    abroad = [outlet.outlet_id for outlet in company.outlets if outlet.pos == "files"]
    assert abroad == (["SYD-001"] if outlets >= 3 else [])


@pytest.mark.parametrize("outlets", [100, 1000])
def test_clones_are_outlets_of_their_own(outlets):
    company = Company.build(outlets=outlets, days=1)
    for field in ("outlet_id", "number", "name"):
        assert len({getattr(outlet, field) for outlet in company.outlets}) == outlets, field
    for entity, field in (("NKI", "cost_center"), ("NBT", "tracking_option")):
        codes = [getattr(o, field) for o in company.outlets if o.entity.entity_id == entity]
        assert len(set(codes)) == len(codes)
        assert all(codes)
    assert all(len(outlet.cost_center) <= 10 for outlet in company.outlets)  # a cost centre in SAP has 10
    assert [outlet.outlet_id for outlet in company.outlets if outlet.currency == "AUD"] == ["SYD-001"]


def test_the_example_has_the_outlets_the_example_needs(company):
    assert Counter(outlet.entity.entity_id for outlet in company.outlets) == {"NKI": 18, "NBT": 12}
    zones = {outlet.timezone for outlet in company.outlets}
    assert zones == {"Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura", "Australia/Sydney"}
    finance = {row.tax_jurisdiction: row for row in company.config.tables["tax_rates"]}
    for outlet in company.outlets:
        assert outlet.tax_rate == finance[outlet.tax_jurisdiction].rate, outlet.outlet_id
        assert outlet.prices_include_tax == finance[outlet.tax_jurisdiction].inclusive, outlet.outlet_id
        assert outlet.service_rate in (0, finance[outlet.tax_jurisdiction].service_rate), outlet.outlet_id


class Till(Sandbox):
    vendor = "moka"

    def outlets(self) -> dict[str, str]:
        return {f"till-{o.number}": o.outlet_id for o in self.company.outlets if o.pos == "moka"}


class Drop(Sandbox):
    vendor = "files"

    def outlets(self) -> dict[str, str]:
        return {o.outlet_id: o.outlet_id for o in self.company.outlets if o.pos == "files"}

    def deliver(self, folder: Path) -> None:
        (folder / "delivered.txt").write_text(self.clock.now().isoformat())


@pytest.mark.parametrize("outlets", [1, 3, 30, 100])
def test_the_written_configuration_loads_and_describes_this_company(outlets, tmp_path):
    company = Company.build(outlets=outlets, days=2, checks_per_day=20)
    with serve(company, Clock(company.nights()[0]), [Till, Drop], tmp_path / "drop") as running:
        company.write_config(tmp_path / "config", running)
        url = running.url("moka")
    config = load_config(tmp_path / "config")
    assert {outlet.outlet_id for outlet in config.outlets} == {o.outlet_id for o in company.outlets}
    for sim in company.outlets:
        row = config.outlet(sim.outlet_id, company.dates[-1])
        assert (row.entity_id, row.name, row.timezone) == (sim.entity.entity_id, sim.name, sim.timezone)
        assert (row.currency, row.seats, row.cost_center) == (sim.currency, sim.seats, sim.cost_center)
    moka = {i.integration_id: i for i in config.integrations if i.vendor == "moka"}
    mapped = Counter(outlet_id for i in moka.values() for outlet_id in i.outlets.values())
    assert mapped == Counter(o.outlet_id for o in company.outlets if o.pos == "moka")  # each once, none forgotten
    assert moka["moka-nki"].settings["base_url"] == url
    assert all(config.outlet(o, company.start).entity_id == "NKI" for o in moka["moka-nki"].outlets.values())
    files = config.integration("files-sydney")
    assert (Path(files.settings["folder"]) / "delivered.txt").exists()
    assert not config.integration("xero-nbt").enabled  # no sandbox of it is running here
    ours = {o.outlet_id for o in company.outlets}
    for table in ("closed_days", "cash_counts", "budget_drivers", "settlements", "payroll_inputs"):
        assert {row.outlet_id for row in config.tables[table]} <= ours, table
    assert {row.outlet_id for row in config.tables["budget_drivers"]} == ours
    rebuilt = Company.build(tmp_path / "config", outlets=outlets, days=2, checks_per_day=20)
    assert rebuilt.outlets == company.outlets


def test_tills_that_no_outlet_has_are_left_alone(tmp_path):
    """Catches: a demo night that calls and builds a vendor for nothing, or tests whose own tills are left out."""
    for pos, served in (("moka", False), ("olsera", True)):
        company = Company.build(outlets=2, days=1, checks_per_day=5, pos=(pos,))
        with serve(company, Clock(company.nights()[0]), ["olsera", "xero"]) as running:
            company.write_config(tmp_path / pos, running)
        config = load_config(tmp_path / pos)
        assert ("olsera" in config.vendors) is served
        assert config.integration("xero-nbt").enabled


def test_the_repository_configuration_follows_from_the_default_company(company):
    """budget_drivers.csv and cash_counts.csv are what this very company budgets and counts."""
    for name, rows in company.derived_tables().items():
        assert list(company.config.tables[name]) == rows, name


@pytest.mark.parametrize("vendor", sorted(sandbox_classes()))
def test_the_repository_maps_outlets_as_the_sandboxes_number_them(vendor, company):
    sandbox = sandbox_classes()[vendor](company, Clock(company.nights()[0]))
    for integration in company.config.integrations:
        if integration.vendor == vendor:
            expected = company.split_outlets(sandbox.outlets(), integration.entity_ids)
            assert integration.outlets == expected, integration.integration_id


# Ugly cases


@pytest.mark.parametrize(
    ("flag", "shows"),
    [
        ("unknown_tender", lambda c: any(x.tender == "mystery" for x in all_checks(c))),
        (
            "unknown_discount",
            lambda c: any(line.discount_name == "Promo Misterius" for x in all_checks(c) for line in x.lines),
        ),
        ("clock_skew", lambda c: any(x.known_at < x.opened_at for x in all_checks(c))),
        ("unapproved_punch", lambda c: any(not p.approved for p in c.punches())),
    ],
)
def test_ugly_cases_come_only_when_asked_for(flag, shows):
    assert not shows(Company.build(outlets=3, days=2))
    assert shows(Company.build(outlets=3, days=2, ugly={flag}))


def test_a_flag_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="moon_phase"):
        Company.build(outlets=1, ugly={"moon_phase"})


def test_amounts_of_a_line_belong_to_its_outlets_menu(company):
    for outlet in (company.outlet("JKT-001"), company.outlet("SYD-001")):
        _menu_holds(company, outlet)


def _menu_holds(company: Company, outlet: SimOutlet) -> None:
    prices = {product.sku: product.price for product in company.menu(outlet)}
    assert len(prices) == 25
    for check in company.checks(outlet.outlet_id):
        for line in check.lines:
            extra = sum(modifier.price for modifier in line.modifiers)
            assert line.unit_price == prices[line.product.sku] + extra
