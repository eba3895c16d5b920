"""The company's configuration folder as typed, validated rows.

`company.yaml` and `integrations.yaml` hold structure; everything a finance person maintains is a CSV table with
effective dates. A bad value is reported with file, row and field. Loaded once per run, written to `raw_c4.*`
for dbt by `ingestion.core.reference`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

OPEN_END = date(9999, 12, 31)
INTEGRATION_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # it is part of folder and pipeline names

EVERY = re.compile(r"every (?:(\d{1,4}) )?(second|minute|hour)s?")
UNITS = {"second": 1, "minute": 60, "hour": 3600}
SHORTEST_POLL = 10  # seconds


class ConfigError(Exception):
    """A configuration value is missing or wrong; the message names file, row and field."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a configuration table."""


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"timezone: {name!r} is not an IANA zone") from error


class Dated(Row, frozen=True, kw_only=True):
    """Valid on every business date in [valid_from, valid_to]."""

    valid_from: date = date(1900, 1, 1)
    valid_to: date = OPEN_END


class Entity(Row, frozen=True, kw_only=True):
    """A legal entity. Its journals go to `target` (an integration id, "" for none) in its functional currency."""

    entity_id: str
    name: str
    currency: str
    currency_exponent: int
    country: str
    target: str = ""
    correction_policy: Literal["reverse_repost", "delta"] = "reverse_repost"
    unmapped_policy: Literal["hold", "suspense"] = "hold"
    approval_limit: Decimal = Decimal(999_999_999_999)  # a journal whose debit total exceeds it waits for a person
    lock_date: date | None = None
    posts_from: date | None = None  # journals of earlier business dates are kept elsewhere, and never posted
    service_charge_policy: Literal["revenue", "pass_through"] = "revenue"
    tax_comps: bool = False


class Outlet(Dated, frozen=True, kw_only=True):
    """One effective-dated version of an outlet."""

    outlet_id: str
    entity_id: str
    name: str
    region: str
    city: str
    timezone: str
    cutoff: str = "04:00"  # local time before which a sale belongs to the previous business date
    currency: str
    tax_jurisdiction: str
    cost_center: str = ""
    tracking_option: str = ""
    seats: int = 0
    opened_on: date = date(2020, 1, 1)

    def __post_init__(self) -> None:
        _check_zone(self.timezone)
        try:
            cutoff = time.fromisoformat(self.cutoff)
        except ValueError as error:
            raise ValueError(f"cutoff: {self.cutoff!r} is not a time like 04:00") from error
        if not time(0) <= cutoff <= time(12):
            raise ValueError(f"cutoff: {self.cutoff} is outside 00:00 to 12:00")


class AccountMapping(Dated, frozen=True, kw_only=True):
    """Which of our accounts an amount is booked to. "*" matches anything; the most specific row wins.

    kinds: sales(group, channel), tender(tender), discount(reason), comp(reason), return, service_charge,
    tax(jurisdiction), tip, rounding, gift_card_sold, deposit, over_short, paid_out(reason), fx, suspense,
    cogs(group), inventory(group), wages, overtime, accrued_payroll.
    """

    entity_id: str = "*"
    kind: str
    key1: str = "*"
    key2: str = "*"
    account_code: str


class CodeMapping(Dated, frozen=True, kw_only=True):
    """A source system's own code for a tender, channel, category or discount, in our words.

    domain: tender | channel | category | discount | job. `source_code` is matched lower case and trimmed.
    For discounts the canonical code is `discount:<reason>` or `comp:<reason>`.
    """

    domain: Literal["tender", "channel", "category", "discount", "job"]
    vendor: str = "*"
    source_code: str
    canonical: str


class Account(Row, frozen=True, kw_only=True):
    """Our chart of accounts. `normal_side` D or C; `statement` BS or PL; `line` is the USAR line."""

    account_code: str
    name: str
    normal_side: Literal["D", "C"]
    statement: Literal["BS", "PL"]
    line: str


class TargetAccount(Row, frozen=True, kw_only=True):
    """The code that a target system uses for our account, where it is not the same."""

    integration_id: str
    account_code: str
    target_account: str


class TaxRate(Dated, frozen=True, kw_only=True):
    tax_jurisdiction: str
    rate: Decimal  # 0.10 = 10 %
    service_rate: Decimal = Decimal(0)
    on_service: bool = True
    inclusive: bool = False


class ProductCost(Dated, frozen=True, kw_only=True):
    """Standard recipe cost of one sold unit, in the entity's functional currency."""

    entity_id: str = "*"
    product_code: str
    category_group: str
    unit_cost: Decimal


class LaborRate(Dated, frozen=True, kw_only=True):
    """Standard hourly cost by job, functional currency; burden is the employer's on-cost (0.11 = 11 %)."""

    entity_id: str = "*"
    job: str
    hourly_rate: Decimal
    burden: Decimal
    daily_normal_hours: Decimal = Decimal(8)


class ExchangeRate(Row, frozen=True, kw_only=True):
    """Units of `to_currency` for one unit of `from_currency`, valid from `rate_date` until the next row."""

    from_currency: str
    to_currency: str
    rate_date: date
    rate: Decimal
    source: str


class Daypart(Row, frozen=True, kw_only=True):
    """Local hours [start_hour, end_hour); late may wrap past midnight."""

    daypart: str
    start_hour: int
    end_hour: int


class BudgetBehaviour(Row, frozen=True, kw_only=True):
    """How a budget line moves with volume: the share that varies with `driver` (covers or checks)."""

    account_code: str
    variable_share: Decimal
    driver: Literal["covers", "checks", "none"] = "covers"


class BudgetDriver(Row, frozen=True, kw_only=True):
    """Budgeted volume of a month (first day of it) for one outlet."""

    outlet_id: str
    month: date
    covers: int
    checks: int


class CashCount(Row, frozen=True, kw_only=True):
    """A counted till at the end of a business date: counted cash and what was paid out of it."""

    outlet_id: str
    business_date: date
    counted_cash: Decimal
    paid_out: Decimal = Decimal(0)
    paid_out_reason: str = "supplies"


class SettlementLine(Row, frozen=True, kw_only=True):
    """One payout of a processor, entered by hand until a payment connector delivers it."""

    settlement_id: str
    entity_id: str
    outlet_id: str
    settled_on: date
    tender: str
    gross: Decimal
    fee: Decimal
    fee_tax: Decimal = Decimal(0)


class PayrollInput(Row, frozen=True, kw_only=True):
    """Monthly pay of one employee, entered by hand until a payroll connector delivers it."""

    entity_id: str
    outlet_id: str
    period: date  # first day of the month
    employee_id: str
    base_wage: Decimal
    fixed_allowance: Decimal
    overtime_days: int = 0
    overtime_hours_per_day: Decimal = Decimal(0)
    accident_rate: Decimal = Decimal("0.0024")
    tax_status: str = "TK/0"


class ClosedDay(Row, frozen=True, kw_only=True):
    """An outlet that did not trade on a date, with the proof."""

    outlet_id: str
    business_date: date
    reason: str


class QueuedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a message of one type holds: a record of a stream, at a dotted path ("": the message is the record)."""

    stream: str
    record: str = ""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A broker of the company's own that carries events of an account.

    Its URL, which may hold a password, is the account's credential `broker_url`. `name` is the queue or topic. Paths
    are dotted and lead to a text or a number in the JSON message; `event_id` is "" where messages have none (the hash
    stands for it), `event_type` where all are of the one type in `events`.
    """

    broker: Literal["rabbitmq", "kafka"]
    name: str
    events: dict[str, QueuedEvent]
    outlet: str
    event_type: str = ""
    event_id: str = ""
    object_key: str = ""
    sent_at: str = ""
    group: str = "c4"  # Kafka's consumer group

    def __post_init__(self) -> None:
        if not self.event_type and len(self.events) != 1:
            raise ValueError("queue: event_type: is needed to tell several types of events apart")


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor account. `outlets` maps the vendor's own outlet id to ours; `settings` feed URL templates.

    What an account that `stands_in` brings counts only on days that no other account of the outlet has told whole.
    """

    integration_id: str
    vendor: str
    entity_ids: tuple[str, ...]
    start_date: date
    settings: dict[str, str] = {}
    outlets: dict[str, str] = {}
    enabled: bool = True
    stands_in: bool = False
    region: str = "id"
    per_second: float | None = None  # overrides the connector's declared limit
    concurrent: int | None = None
    poll: str = ""  # "every 5 minutes": the sales are read that often, beside the nights
    queue: Queue | None = None

    @property
    def poll_seconds(self) -> int:
        """The pace that is asked for; 0 for no polling."""
        told = EVERY.fullmatch(self.poll)
        return int(told[1] or 1) * UNITS[told[2]] if told else 0

    def __post_init__(self) -> None:
        if self.poll and self.poll_seconds < SHORTEST_POLL:
            raise ValueError(f"poll: {self.poll!r} is not like 'every 5 minutes', or under {SHORTEST_POLL} seconds")
        if not INTEGRATION_ID.fullmatch(self.integration_id):
            raise ValueError(f"integration_id: {self.integration_id!r} is not like moka-jakarta: a-z, 0-9 and single -")


TABLES: Mapping[str, type[Row]] = {
    "entities": Entity,
    "outlets": Outlet,
    "accounts": Account,
    "account_mapping": AccountMapping,
    "code_mapping": CodeMapping,
    "target_accounts": TargetAccount,
    "tax_rates": TaxRate,
    "product_costs": ProductCost,
    "labor_rates": LaborRate,
    "exchange_rates": ExchangeRate,
    "dayparts": Daypart,
    "budget_behaviour": BudgetBehaviour,
    "budget_drivers": BudgetDriver,
    "cash_counts": CashCount,
    "settlements": SettlementLine,
    "payroll_inputs": PayrollInput,
    "closed_days": ClosedDay,
}


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """When a region's night runs: a cron line in the region's own time zone, after its latest cut-off."""

    region: str
    cron: str
    timezone: str

    def __post_init__(self) -> None:
        _check_zone(self.timezone)


class WriteRules(msgspec.Struct, frozen=True, kw_only=True):
    """What may be written to tills. Percentages are of the price that is there (10 = 10 %)."""

    refuse_prices_beyond: Decimal = Decimal(50)
    approve_prices_within: Decimal = Decimal(-1)  # changes up to it need no person; below zero: all need one
    longest_shift_hours: int = 16
    approve_schedules: bool = False  # schedules need no person
    approve_own: bool = False  # whoever submits may approve


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many days batches of the landing zone, and raw rows that no model reads any more, are kept; without a
    number for ever.
    """

    landing_days: int | None = None
    raw_days: int | None = None

    def __post_init__(self) -> None:
        if min(self.landing_days or 1, self.raw_days or 1) < 1 or 0 in (self.landing_days, self.raw_days):
            raise ValueError("landing_days and raw_days: must be at least 1; leave them out to keep everything")


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be forgotten. A vendor's own entry replaces the default; nothing younger than `correction_days` goes:
    until then what a vendor changes late still becomes a correction.
    """

    default: Kept = Kept()
    vendors: dict[str, Kept] = {}
    correction_days: int = 62  # the running month and the one before it

    def of(self, vendor: str) -> Kept:
        return self.vendors.get(vendor, self.default)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the company has configured. `tables` has one entry per name in `TABLES`."""

    group: str
    group_currency: str
    integrations: tuple[Integration, ...]
    tables: Mapping[str, tuple[Any, ...]]
    nights: tuple[Night, ...] = ()
    alert_emails: tuple[str, ...] = ()
    write_rules: WriteRules = field(default_factory=WriteRules)
    retention: Retention = field(default_factory=Retention)

    @property
    def vendors(self) -> frozenset[str]:
        """The vendors of all accounts. One that is switched off counts: what it sent is still in the marts."""
        return frozenset(integration.vendor for integration in self.integrations)

    @property
    def entities(self) -> tuple[Entity, ...]:
        return self.tables["entities"]

    @property
    def outlets(self) -> tuple[Outlet, ...]:
        return self.tables["outlets"]

    def entity(self, entity_id: str) -> Entity:
        for entity in self.entities:
            if entity.entity_id == entity_id:
                return entity
        raise ConfigError(f"no entity {entity_id!r}")

    def outlet(self, outlet_id: str, on: date) -> Outlet:
        """The version of an outlet that is valid on a date."""
        for outlet in self.outlets:
            if outlet.outlet_id == outlet_id and outlet.valid_from <= on <= outlet.valid_to:
                return outlet
        raise ConfigError(f"no outlet {outlet_id!r} valid on {on}")

    def integration(self, integration_id: str) -> Integration:
        for integration in self.integrations:
            if integration.integration_id == integration_id:
                return integration
        raise ConfigError(f"no integration {integration_id!r}")


def read_rows(path: Path, row_type: type[Row]) -> Iterator[tuple[str, Any]]:
    """The rows of one CSV, each with its place in it. Blank cells take the field's default. Raises ConfigError."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle, strict=True)
        try:
            names = list(reader.fieldnames or ())
            for name in names:
                if name not in row_type.__struct_fields__ or names.count(name) > 1:
                    told = "unknown column" if name not in row_type.__struct_fields__ else "more than one column"
                    raise ConfigError(f"{path.name} line 1: {told} {name!r}")
            for raw in reader:
                place = f"{path.name} line {reader.line_num}"
                if None in raw:
                    raise ConfigError(f"{place}: more cells than columns; put text with commas in quotes")
                filled = {name: value.strip() for name, value in raw.items() if value is not None and value.strip()}
                try:
                    row = msgspec.convert(filled, row_type, strict=False)
                except (msgspec.ValidationError, ValueError) as error:
                    raise ConfigError(f"{place}: {error}") from error
                for name, value in msgspec.structs.asdict(row).items():
                    if isinstance(value, Decimal) and not value.is_finite():
                        raise ConfigError(f"{place}: {name}: {value} is not a number")
                yield place, row
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path.name}: is not UTF-8; save it as CSV UTF-8") from error
        except csv.Error as error:
            raise ConfigError(f"{path.name} line {reader.line_num}: {error}") from error


class _Company(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    group_currency: str
    entities: tuple[Entity, ...]
    nights: tuple[Night, ...] = ()
    alert_emails: tuple[str, ...] = ()
    write_rules: WriteRules = WriteRules()
    retention: Retention = Retention()


class _Integrations(msgspec.Struct, frozen=True, kw_only=True):
    integrations: tuple[Integration, ...] = ()


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What an import adds to the company, one YAML under `imports/`. What the company configures itself wins."""

    integration: Integration
    entities: tuple[Entity, ...] = ()
    outlets: tuple[Outlet, ...] = ()
    code_mapping: tuple[CodeMapping, ...] = ()


def load_config(folder: Path) -> Config:
    """Load and cross-check a configuration folder. Raises ConfigError naming what to mend."""
    company = _read_yaml(folder / "company.yaml", _Company)
    integrations = _read_yaml(folder / "integrations.yaml", _Integrations).integrations
    tables: dict[str, tuple[Any, ...]] = {"entities": company.entities}
    places = {id(entity): f"company.yaml: entity {entity.entity_id}" for entity in company.entities}
    for name, row_type in TABLES.items():
        if name == "entities":
            continue
        path = folder / f"{name}.csv"
        read = list(read_rows(path, row_type)) if path.exists() else []
        tables[name] = tuple(row for _, row in read)
        places |= {id(row): place for place, row in read}
    for path in sorted((folder / "imports").glob("*.yaml")):
        registration = _read_yaml(path, Registration)
        integrations = (*integrations, registration.integration)
        tables["entities"] = _added(tables["entities"], registration.entities, "entity_id")
        tables["outlets"] = _added(tables["outlets"], registration.outlets, "outlet_id")
        tables["code_mapping"] = _added(tables["code_mapping"], registration.code_mapping, "domain", "source_code")
    config = Config(
        company.group,
        company.group_currency,
        integrations,
        tables,
        company.nights,
        company.alert_emails,
        company.write_rules,
        company.retention,
    )
    _check_references(config, places)
    return config


def _added(rows: tuple[Any, ...], more: tuple[Any, ...], *key: str) -> tuple[Any, ...]:
    """The rows and those of `more` whose key is not configured yet."""
    known = {tuple(getattr(row, name) for name in key) for row in rows}
    return (*rows, *(row for row in more if tuple(getattr(row, name) for name in key) not in known))


def _check_references(config: Config, places: Mapping[int, str]) -> None:
    """What one file names must stand in another. `places` says where a row (by id) stands; else it was imported."""
    integration_ids = [integration.integration_id for integration in config.integrations]
    known = {
        "entity_id": ({entity.entity_id for entity in config.entities}, "company.yaml"),
        "outlet_id": ({outlet.outlet_id for outlet in config.outlets}, "outlets.csv"),
        "account_code": ({account.account_code for account in config.tables["accounts"]}, "accounts.csv"),
    }

    def check(place: str, field: str, value: str, kind: str) -> None:
        values, where = known[kind]
        if value not in values and value != "*":
            raise ConfigError(f"{place}: {field}: {value!r} is not in {where}")

    for name, rows in config.tables.items():
        for row in rows:
            for kind in known:
                check(places.get(id(row), f"imports: {name}"), kind, getattr(row, kind, "*"), kind)
    for entity in config.entities:
        if entity.target and entity.target not in integration_ids:
            raise ConfigError(
                f"company.yaml: entity {entity.entity_id}: target: {entity.target!r} is not in integrations.yaml"
            )
    for vendor in config.retention.vendors:
        if vendor not in config.vendors:
            raise ConfigError(f"company.yaml: retention.vendors: {vendor!r} has no account in integrations.yaml")
    for integration in config.integrations:
        place = f"integrations.yaml: {integration.integration_id}"
        if integration_ids.count(integration.integration_id) > 1:
            raise ConfigError(f"{place}: integration_id: stands there twice")
        for entity_id in integration.entity_ids:
            check(place, "entity_ids", entity_id, "entity_id")
        for source, outlet_id in integration.outlets.items():
            check(place, f"outlets.{source}", outlet_id, "outlet_id")


def _read_yaml(path: Path, kind: type[Any]) -> Any:
    if not path.exists():
        raise ConfigError(f"{path} is missing; copy the example from config/")
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=kind, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from error
