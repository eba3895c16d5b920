"""The simulated company: one life that every vendor's sandbox shows a part of.

Built from the configuration folder (outlets, entities, accounts, standard costs, rates) and a seed. Sales
are made per outlet-day on demand and forgotten again, so a thousand outlets need little memory. The same
arguments always give the same company, in every process.
"""

from __future__ import annotations

import csv
import random
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from ingestion.core.config import (
    TABLES,
    Config,
    ConfigError,
    LaborRate,
    Outlet,
    ProductCost,
    Row,
    load_config,
)
from ingestion.core.registry import connector
from ingestion.core.settings import PROJECT_ROOT
from ingestion.core.spec import Category
from ingestion.sandbox import generate_books, generate_people
from ingestion.sandbox.generate_sales import RESTAURANT_SEATS, Late, OutletDay, Trading, generate_checks
from ingestion.sandbox.menu import menu
from ingestion.sandbox.model import (
    DayTruth,
    SimAccount,
    SimBudget,
    SimCheck,
    SimEmployee,
    SimEntity,
    SimLedgerLine,
    SimOutlet,
    SimProduct,
    SimPunch,
    SimStockMovement,
    SimSupplier,
    SimTimeOff,
)
from ingestion.sandbox.truth import truth

if TYPE_CHECKING:
    from ingestion.sandbox.server import RunningSandboxes

START = date(2026, 4, 4)  # the night after it, clocks go back in Sydney
CHECKS_PER_DAY = 100
NIGHT = time(22)  # UTC, when every outlet's business day is over: 05:00 in Jakarta
CACHED_CHECKS = 20_000

# How the tills are set up. The finance department keeps its own table of rates, checked against the tills.
SERVICE_RATE = Decimal("0.05")
TAX_RATES = {"ID-BPN": Decimal("0.07")}
TAX_RATE = Decimal("0.10")
TAX_INCLUSIVE = {"AU-NSW"}
# Opening hours that differ from a cafe's or a restaurant's; None closes shortly before the cut-off.
TRADING = {
    "JKT-002": Trading(10, None),
    "DPS-001": Trading(11, None),
    "SYD-001": Trading(7, None),
    "AMB-001": Trading(3, 20),  # breakfast at the fish market
}
CAFE = Trading(7, 22)
RESTAURANT = Trading(10, 22.5)
WEEKDAYS = (0.90, 0.92, 0.95, 1.00, 1.10, 1.12, 1.01)  # trade by weekday, Monday first


class Company:
    """See `build`. Everything it hands out is shared and must not be changed."""

    def __init__(
        self,
        config_folder: Path,
        config: Config,
        outlet_rows: Sequence[tuple[Outlet, ...]],
        trading: dict[str, Trading],
        *,
        days: int,
        start: date,
        seed: int,
        checks_per_day: int,
        ugly: frozenset[str],
        pos: tuple[str, ...],
    ) -> None:
        self.config_folder = config_folder
        self.config = config
        self.start = start
        self.days = days
        self.seed = seed
        self.checks_per_day = checks_per_day
        self.ugly = ugly
        self._tills = cycle(pos)
        self.dates = tuple(start + timedelta(days=index) for index in range(days))
        self.entities = tuple(
            SimEntity(entity.entity_id, entity.name, entity.currency, entity.currency_exponent)
            for entity in config.entities
        )
        self._rows = outlet_rows
        self._trading = trading
        self.outlets = tuple(self._outlet(number, rows) for number, rows in enumerate(outlet_rows, start=1))
        self._versions = {rows[0].outlet_id: rows for rows in outlet_rows}
        self._by_id = {outlet.outlet_id: outlet for outlet in self.outlets}
        self.accounts = tuple(
            SimAccount(account.account_code, account.name, account.statement, account.normal_side, account.line)
            for account in config.tables["accounts"]
        )
        self.suppliers = tuple(
            SimSupplier(number, name) for number, name in enumerate(generate_books.SUPPLIERS, start=1)
        )
        self._costs: dict[tuple[str, str, date], Decimal] = {}
        self._menus: dict[tuple[str, str], tuple[SimProduct, ...]] = {}
        self._cache: OrderedDict[tuple[str, date], list[SimCheck]] = OrderedDict()
        self._cached = 0
        self._lock = threading.RLock()
        self._closed = {(row.outlet_id, row.business_date) for row in config.tables["closed_days"]}
        self._late = self._plan_late_events()
        mean = sum(WEEKDAYS[day.weekday()] for day in self.dates) / days
        self._weekday_weights = {day: WEEKDAYS[day.weekday()] / mean for day in self.dates}

    @classmethod
    def build(
        cls,
        config_folder: Path | None = None,
        *,
        outlets: int = 30,
        days: int = 4,
        start: date = START,
        seed: int = 7,
        checks_per_day: int = CHECKS_PER_DAY,
        ugly: Iterable[str] = (),
        pos: Sequence[str] = ("moka",),
    ) -> Company:
        """A company of 1 to 1,000 outlets over some days. `checks_per_day` is the average of one outlet.

        The first outlets of the configuration are taken; above their number, all but the one abroad are
        cloned. `ugly` switches on what real life has and a reconciled night has not: unknown_tender,
        unknown_discount, clock_skew, unapproved_punch. `pos` names the vendors whose tills the outlets at home
        use, in turn; the one abroad delivers files.
        """
        folder = config_folder or PROJECT_ROOT / "config"
        config = load_config(folder)
        unknown = set(ugly) - UGLY
        if unknown:
            raise ValueError(f"ugly: {sorted(unknown)[0]!r} is none of {', '.join(sorted(UGLY))}")
        if outlets < 1 or days < 1 or checks_per_day < 1:
            raise ValueError("a company needs at least one outlet, one day and one check a day")
        rows, trading = _expand(config.outlets, outlets)
        return cls(
            folder,
            config,
            rows,
            trading,
            days=days,
            start=start,
            seed=seed,
            checks_per_day=checks_per_day,
            ugly=frozenset(ugly),
            pos=tuple(pos),
        )

    # Outlets and their time

    def outlet(self, outlet_id: str) -> SimOutlet:
        return self._by_id[outlet_id]

    def cutoff_hours(self, outlet: SimOutlet, business_date: date) -> float:
        """The cut-off in force on a business date, in hours after local midnight."""
        versions = self._versions[outlet.outlet_id]
        row = next((row for row in versions if row.valid_from <= business_date <= row.valid_to), versions[-1])
        return _hours(row.cutoff)

    def business_date(self, outlet: SimOutlet, instant: datetime) -> date:
        """date(local - cutoff), with the cut-off of the outlet's version that is valid on the result."""
        local = instant.astimezone(ZoneInfo(outlet.timezone)).replace(tzinfo=None)
        for row in self._versions[outlet.outlet_id]:
            day = (local - timedelta(hours=_hours(row.cutoff))).date()
            if row.valid_from <= day <= row.valid_to:
                return day
        return (local - timedelta(hours=self.cutoff_hours(outlet, local.date()))).date()

    def day_start(self, outlet: SimOutlet, business_date: date) -> datetime:
        """When a business day begins (UTC)."""
        local = datetime.combine(business_date, time()) + timedelta(hours=self.cutoff_hours(outlet, business_date))
        return local.replace(tzinfo=ZoneInfo(outlet.timezone)).astimezone(UTC)

    def nights(self) -> tuple[datetime, ...]:
        """For each business date, the instant (UTC) at which a nightly run finds it over everywhere."""
        return tuple(datetime.combine(day, NIGHT, UTC) for day in self.dates)

    def daypart(self, hour: int) -> str:
        """The configured day part of a local hour; a range may wrap past midnight."""
        for part in self.config.tables["dayparts"]:
            length = (part.end_hour - part.start_hour) % 24 or 24
            if (hour - part.start_hour) % 24 < length:
                return part.daypart
        raise ConfigError(f"dayparts.csv: no day part holds {hour}:00")

    # Master data

    @cached_property
    def products(self) -> tuple[SimProduct, ...]:
        """The menu in rupiah; `menu` gives it as one outlet sells it."""
        return self._menu("IDR", self.entities[0].entity_id)

    def menu(self, outlet: SimOutlet) -> tuple[SimProduct, ...]:
        return self._menu(outlet.currency, outlet.entity.entity_id)

    @cached_property
    def employees(self) -> tuple[SimEmployee, ...]:
        jobs = {rate.job for rate in self.config.tables["labor_rates"]}
        rates = {
            (entity.entity_id, job): self.labor_rate(entity.entity_id, job, self.start).hourly_rate
            for entity in self.entities
            for job in jobs
        }
        return tuple(generate_people.employees(self.outlets, self.start, self.seed, rates))

    def account(self, code: str) -> SimAccount:
        for account in self.accounts:
            if account.code == code:
                return account
        raise ConfigError(f"accounts.csv has no account {code}")

    def unit_cost(self, entity_id: str, sku: str, on: date) -> Decimal:
        """Standard cost of one unit, in the entity's functional currency."""
        key = (entity_id, sku, on)
        if key not in self._costs:
            rows: list[ProductCost] = [r for r in self.config.tables["product_costs"] if r.product_code == sku]
            self._costs[key] = _valid(rows, entity_id, on, f"product_costs.csv has no cost of {sku}").unit_cost
        return self._costs[key]

    def labor_rate(self, entity_id: str, job: str, on: date) -> LaborRate:
        rows: list[LaborRate] = [row for row in self.config.tables["labor_rates"] if row.job == job]
        return _valid(rows, entity_id, on, f"labor_rates.csv has no rate for {job}")

    def rate(self, from_currency: str, to_currency: str, on: date) -> Decimal:
        """Units of `to_currency` for one of `from_currency`: the last rate on or before the date."""
        rates = [
            row
            for row in self.config.tables["exchange_rates"]
            if (row.from_currency, row.to_currency) == (from_currency, to_currency) and row.rate_date <= on
        ]
        if not rates:
            raise ConfigError(f"exchange_rates.csv has no rate {from_currency} to {to_currency} on {on}")
        return max(rates, key=lambda row: row.rate_date).rate

    # What happens

    def checks(self, outlet_id: str, business_date: date | None = None) -> list[SimCheck]:
        """Checks in order of opening, known or not yet known: filter by `known_at`."""
        if business_date is None:
            return [check for day in self.dates for check in self.checks(outlet_id, day)]
        key = (outlet_id, business_date)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            checks = self._generate(self._by_id[outlet_id], business_date)
            self._cache[key] = checks
            self._cached += len(checks)
            while self._cached > CACHED_CHECKS and len(self._cache) > 1:
                self._cached -= len(self._cache.popitem(last=False)[1])
            return checks

    def punches(self) -> list[SimPunch]:
        return self._punches

    def time_off(self) -> list[SimTimeOff]:
        return self._time_off

    def budgets(self) -> list[SimBudget]:
        drivers = generate_books.budget_drivers(self.outlets, self.dates, self._usual_checks)
        return generate_books.budgets(drivers, self._by_id, self.account)

    def ledger_lines(self) -> list[SimLedgerLine]:
        return generate_books.ledger_lines(self.outlets, self.dates, self.seed, self.account)

    def stock_movements(self) -> list[SimStockMovement]:
        return generate_books.stock_movements(self.outlets, self.dates, self.seed, self.suppliers)

    def truth(self, now: datetime, outlets: Sequence[SimOutlet] | None = None) -> dict[tuple[str, date], DayTruth]:
        """What every outlet-day that has begun must come to, as known at `now`; see the module `truth`."""
        return truth(self, now, self.outlets if outlets is None else outlets)

    # The configuration that goes with it

    @property
    def vendors(self) -> frozenset[str]:
        """The vendors it has accounts with: of the tills, those that stand in its outlets."""
        tills = {outlet.pos for outlet in self.outlets}
        return frozenset(
            name for name in self.config.vendors if connector(name).category is not Category.POS or name in tills
        )

    def write_config(self, folder: Path, sandboxes: RunningSandboxes) -> None:
        """Write a configuration folder for this company against running sandboxes.

        Everything of the base folder is copied; outlets, integrations, budget drivers and cash counts are
        written anew, and rows of outlets that this company has not are left out. Integrations whose vendor
        has no sandbox running are disabled; a till is left out where no outlet of this company has it.
        """
        shutil.copytree(self.config_folder, folder, dirs_exist_ok=True)
        for path in sorted(folder.glob("*.csv")):
            _keep_outlets(path, self._by_id)
        _write_table(folder / "outlets.csv", Outlet, [row for rows in self._rows for row in rows])
        for name, rows in self.derived_tables().items():
            _write_table(folder / f"{name}.csv", TABLES[name], rows)
        integrations = [
            self._integration(integration, sandboxes)
            for integration in self.config.integrations
            if integration.vendor in self.vendors
        ]
        document = msgspec.yaml.encode({"integrations": integrations})
        (folder / "integrations.yaml").write_bytes(document)

    def derived_tables(self) -> dict[str, list[Row]]:
        """The configuration tables that follow from what is simulated: budgeted volume and counted tills."""
        first_of_entity = {outlet.entity.entity_id: outlet for outlet in reversed(self.outlets)}
        truths = self.truth(self.nights()[0], list(first_of_entity.values()))
        counted = [truths[outlet.outlet_id, self.start] for outlet in first_of_entity.values()]
        return {
            "budget_drivers": [*generate_books.budget_drivers(self.outlets, self.dates, self._usual_checks)],
            "cash_counts": [*generate_books.cash_counts(counted)],
        }

    def _integration(self, integration: Any, sandboxes: RunningSandboxes) -> dict[str, Any]:
        fields = msgspec.to_builtins(integration)
        fields["start_date"] = self.start.isoformat()
        if integration.vendor not in sandboxes.vendors:
            return {**fields, "enabled": False, "outlets": {}}
        sandbox = sandboxes.sandbox(integration.vendor)
        fields["settings"] |= sandbox.settings(sandboxes.url(integration.vendor))
        if sandboxes.drop is not None and hasattr(sandbox, "deliver"):
            fields["settings"]["folder"] = str(sandboxes.drop / integration.vendor)
        fields["outlets"] = self.split_outlets(sandbox.outlets(), integration.entity_ids)
        if connector(integration.vendor).category is Category.POS:
            fields["enabled"] = bool(fields["outlets"])
        return {**fields, "per_second": 500.0, "concurrent": 8}

    def split_outlets(self, outlets: dict[str, str], entity_ids: Sequence[str]) -> dict[str, str]:
        """The part of a vendor's outlet map that belongs to some entities."""
        return {
            source: outlet_id
            for source, outlet_id in outlets.items()
            if self._by_id[outlet_id].entity.entity_id in entity_ids
        }

    # Making it

    def _outlet(self, number: int, rows: Sequence[Outlet]) -> SimOutlet:
        row = rows[-1]
        entity = next(entity for entity in self.entities if entity.entity_id == row.entity_id)
        abroad = row.currency != entity.currency
        inclusive = row.tax_jurisdiction in TAX_INCLUSIVE
        return SimOutlet(
            outlet_id=row.outlet_id,
            number=number,
            name=row.name,
            entity=entity,
            city=row.city,
            timezone=row.timezone,
            cutoff_hours=_hours(row.cutoff),
            currency=row.currency,
            exponent=2 if abroad else entity.exponent,
            tax_rate=TAX_RATES.get(row.tax_jurisdiction, TAX_RATE),
            service_rate=SERVICE_RATE if row.seats >= RESTAURANT_SEATS and not inclusive else Decimal(0),
            prices_include_tax=inclusive,
            cost_center=row.cost_center,
            tracking_option=row.tracking_option,
            pos="files" if abroad else next(self._tills),
            tax_jurisdiction=row.tax_jurisdiction,
            seats=row.seats,
        )

    def _trades(self, outlet: SimOutlet) -> Trading:
        default = RESTAURANT if outlet.seats >= RESTAURANT_SEATS else CAFE
        return self._trading.get(outlet.outlet_id, default)

    def _usual_checks(self, outlet: SimOutlet) -> int:
        factor = random.Random(f"{self.seed}:{outlet.outlet_id}:size").uniform(0.8, 1.2)
        return max(1, round(self.checks_per_day * factor))

    def is_closed(self, outlet: SimOutlet, business_date: date) -> bool:
        return (outlet.outlet_id, business_date) in self._closed

    def _generate(self, outlet: SimOutlet, business_date: date) -> list[SimCheck]:
        if business_date not in self.dates or self.is_closed(outlet, business_date):
            return []
        following = business_date + timedelta(days=1)
        day = OutletDay(
            outlet=outlet,
            business_date=business_date,
            seed=self.seed,
            checks=max(1, round(self._usual_checks(outlet) * self._weekday_weights[business_date])),
            products=self.menu(outlet),
            trading=self._trades(outlet),
            cutoff_hours=self.cutoff_hours(outlet, business_date),
            cashiers=self._cashiers(outlet),
            business_date_of=lambda instant: self.business_date(outlet, instant),
            next_day_trades=following in self.dates and not self.is_closed(outlet, following),
            late=self._late.get((outlet.outlet_id, business_date), Late()),
            ugly=self.ugly,
        )
        return generate_checks(day)

    def _cashiers(self, outlet: SimOutlet) -> tuple[str, ...]:
        people = self._staff[outlet.outlet_id]
        return tuple(f"{p.first_name} {p.last_name}" for _, p in people if p.job_title == "Cashier")

    def _plan_late_events(self) -> dict[tuple[str, date], Late]:
        """Voids, a refund and a check of earlier days that become known only during the last day."""
        if self.days < 2:
            return {}
        after = self.nights()[-2]
        eve = self.dates[-2]
        plan: dict[tuple[str, date], Late] = {}

        def add(index: int, day: date, what: str, hours: int) -> None:
            key = (self.outlets[index % len(self.outlets)].outlet_id, day)
            late = plan.get(key, Late())
            plan[key] = replace(late, **{what: (*getattr(late, what), after + timedelta(hours=hours))})

        add(0, eve, "voids", 3)
        add(0, eve, "checks", 4)
        add(1, self.start, "voids", 5)
        add(1, eve, "refunds", 6)
        if len(self.outlets) > 2:
            add(2, eve, "voids", 7)
        return plan

    def _menu(self, currency: str, entity_id: str) -> tuple[SimProduct, ...]:
        key = (currency, entity_id)
        if key not in self._menus:
            self._menus[key] = menu(currency, lambda sku: self.unit_cost(entity_id, sku, self.start))
        return self._menus[key]

    @cached_property
    def _staff(self) -> dict[str, list[tuple[int, SimEmployee]]]:
        """Per outlet, who has not left, with the place in the roster."""
        staff: dict[str, list[tuple[int, SimEmployee]]] = {outlet.outlet_id: [] for outlet in self.outlets}
        for person in self.employees:
            if person.left_on is None:
                staff[person.outlet.outlet_id].append((person.number % 100, person))
        return staff

    @cached_property
    def _time_off(self) -> list[SimTimeOff]:
        return generate_people.time_off(self.employees, self.start, self.days, self.seed)

    @cached_property
    def _punches(self) -> list[SimPunch]:
        away = {
            (request.employee.number, request.start + timedelta(days=index))
            for request in self._time_off
            if request.status == "approved"
            for index in range((request.end - request.start).days + 1)
        }
        shifts: list[SimPunch] = []
        for outlet in self.outlets:
            for day in self.dates:
                if self.is_closed(outlet, day):
                    continue
                staff = [
                    (place, person)
                    for place, person in self._staff[outlet.outlet_id]
                    if (person.number, day) not in away
                ]
                cutoff = self.cutoff_hours(outlet, day)
                made = generate_people.punches(staff, day, self._trades(outlet), cutoff, self.seed, self.ugly)
                if made and self.days > 1 and outlet.number == 1 and day == self.dates[-2]:
                    made[-1].known_at = made[-1].updated_at = self.nights()[-2] + timedelta(hours=2)  # forgotten
                shifts.extend(made)
        return shifts


UGLY = frozenset({"unknown_tender", "unknown_discount", "clock_skew", "unapproved_punch"})


def _hours(cutoff: str) -> float:
    at = time.fromisoformat(cutoff)
    return at.hour + at.minute / 60


def _valid(rows: Sequence[Any], entity_id: str, on: date, missing: str) -> Any:
    """The row valid on a date, an entity's own before everybody's. Raises ConfigError."""
    for wanted in (entity_id, "*"):
        for row in rows:
            if row.entity_id == wanted and row.valid_from <= on <= row.valid_to:
                return row
    raise ConfigError(f"{missing} of {entity_id} on {on}")


def _expand(rows: Sequence[Outlet], wanted: int) -> tuple[list[tuple[Outlet, ...]], dict[str, Trading]]:
    """The versions of each of `wanted` outlets and their opening hours; clones come after the originals."""
    versions: dict[str, tuple[Outlet, ...]] = {}
    for row in rows:
        versions[row.outlet_id] = (*versions.get(row.outlet_id, ()), row)
    originals = list(versions.values())
    trading = dict(TRADING)
    made = originals[:wanted]
    patterns = [original for original in originals if original[0].tax_jurisdiction not in TAX_INCLUSIVE]
    for index in range(wanted - len(originals)):
        pattern = patterns[index % len(patterns)]
        source = pattern[0].outlet_id
        city = source.split("-")[0]
        number = sum(outlet[0].outlet_id.startswith(f"{city}-") for outlet in made) + 1
        outlet_id = f"{city}-{number:03d}"
        name = f"{pattern[0].name} {index // len(patterns) + 2}"
        clone = {
            "outlet_id": outlet_id,
            "name": name,
            "cost_center": f"1010{city}{number:03d}" if pattern[0].cost_center else "",
            "tracking_option": f"{outlet_id} {name}" if pattern[0].tracking_option else "",
        }
        made.append(tuple(msgspec.structs.replace(row, **clone) for row in pattern))
        if source in TRADING:
            trading[outlet_id] = TRADING[source]
    return made, trading


def _keep_outlets(path: Path, outlets: dict[str, SimOutlet]) -> None:
    """Leave out a table's rows of outlets that the company has not."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        names = list(reader.fieldnames or ())
        if "outlet_id" not in names:
            return
        rows = [row for row in reader if row["outlet_id"] in outlets]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_table(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write typed rows so that reading them back gives the same; a field at its default stays blank."""
    fields = msgspec.structs.fields(row_type)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([field.name for field in fields])
        for row in rows:
            values = [getattr(row, field.name) for field in fields]
            writer.writerow(
                ["" if value == field.default else value for field, value in zip(fields, values, strict=True)]
            )
