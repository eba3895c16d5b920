"""The simulated company's facts, in the company's own words: no vendor's names or shapes appear here.

Every vendor sandbox renders these objects in its own format and never changes them. Amounts are Decimal in
the outlet's currency, times are aware UTC datetimes. `known_at` is when a vendor's server knows a fact: a
sandbox must show only what is known at its clock. Quantities and amounts of refunds are positive here; a
vendor's signs are the sandbox's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


@dataclass(slots=True, frozen=True)
class SimEntity:
    entity_id: str
    name: str
    currency: str
    exponent: int


@dataclass(slots=True, frozen=True)
class SimOutlet:
    """`number` is a stable small integer from which sandboxes make vendor ids.

    `cutoff_hours` is the outlet's latest cut-off; `Company.business_date` knows its earlier versions.
    """

    outlet_id: str
    number: int
    name: str
    entity: SimEntity
    city: str
    timezone: str
    cutoff_hours: float
    currency: str
    exponent: int
    tax_rate: Decimal
    service_rate: Decimal
    prices_include_tax: bool
    cost_center: str
    tracking_option: str
    pos: str  # vendor whose sandbox shows this outlet's checks: "moka", "files", ...
    tax_jurisdiction: str = ""
    seats: int = 0


@dataclass(slots=True, frozen=True)
class SimModifier:
    number: int
    name: str
    option: str
    price: Decimal


@dataclass(slots=True, frozen=True)
class SimProduct:
    """A menu item as one outlet sells it. `group` is food, beverage, alcohol or retail.

    `price` is the outlet's menu price: without tax and service, unless its prices include them.
    `unit_cost` is the standard cost in the entity's functional currency on the company's first day.
    """

    number: int
    sku: str
    name: str
    category: str
    group: str
    price: Decimal
    unit_cost: Decimal
    modifiers: tuple[SimModifier, ...] = ()


@dataclass(slots=True)
class SimLine:
    """Amounts are without tax and service, as sales are booked; net = gross - discount - comp.

    gross = quantity x unit_price where prices exclude tax. Where they include it, the check's tax and
    service are extracted once from what is paid and the rest is shared over the lines by largest remainder,
    so gross differs from quantity x unit_price. Percent discounts may leave fractions of a rupiah.
    """

    uid: str
    product: SimProduct
    quantity: int
    modifiers: tuple[SimModifier, ...]
    unit_price: Decimal  # as on the menu, modifiers included
    gross: Decimal
    discount: Decimal = Decimal(0)
    discount_name: str = ""
    comp: Decimal = Decimal(0)
    comp_name: str = ""

    @property
    def net(self) -> Decimal:
        return self.gross - self.discount - self.comp


@dataclass(slots=True)
class SimRefund:
    """Money back for some whole lines of a check, on its own business date, through the check's own tender.

    `lines` are the check's own line objects. All amounts are positive magnitudes of money given back, except
    `rounding`, which has the sign that makes total = net + service + tax + rounding. Booked sales, tax,
    rounding and tender move by the negative of each.
    """

    uid: str
    at: datetime
    known_at: datetime
    business_date: date
    lines: tuple[SimLine, ...]
    net: Decimal
    service: Decimal
    tax: Decimal
    rounding: Decimal
    total: Decimal
    reason: str
    full: bool


@dataclass(slots=True)
class SimCheck:
    """One bill. total = net + service + tax + rounding; tendered - change = total + tip.

    Business date, day part and hour follow `opened_at`; a bill never closes after the business day's cut-off.
    `rounding` holds the cash rounding and the fraction of a rupiah that the lines' discounts leave.
    """

    uid: str
    number: str
    outlet: SimOutlet
    business_date: date
    opened_at: datetime
    closed_at: datetime
    known_at: datetime  # arrival at the vendor's server; later than closed_at for offline sales
    channel: str  # dine_in | takeaway | delivery_own | delivery_platform | catering
    sales_type: str  # the POS's own name: Dine In, Take Away, GoFood ...
    table: str
    covers: int
    lines: list[SimLine]
    service: Decimal
    tax: Decimal
    rounding: Decimal
    total: Decimal
    tip: Decimal
    # cash, credit_card, debit, qris, ewallet, platform, transfer, gift_card; "mystery" when ugly
    tender: str
    tender_name: str  # the POS's own name
    tendered: Decimal
    change: Decimal
    cashier: str
    voided_at: datetime | None = None  # whole check cancelled; belongs to the check's own business date
    void_known_at: datetime | None = None
    refunds: list[SimRefund] = field(default_factory=list)

    @property
    def gross(self) -> Decimal:
        return sum((line.gross for line in self.lines), Decimal(0))

    @property
    def discounts(self) -> Decimal:
        return sum((line.discount for line in self.lines), Decimal(0))

    @property
    def comps(self) -> Decimal:
        return sum((line.comp for line in self.lines), Decimal(0))

    @property
    def net(self) -> Decimal:
        return self.gross - self.discounts - self.comps

    def voided(self, now: datetime) -> bool:
        """Whether the vendor's server knows at `now` that the check was cancelled."""
        return self.void_known_at is not None and self.void_known_at <= now

    def changed_at(self, now: datetime) -> datetime:
        """The last time, up to `now`, at which the vendor's server learned something about this check."""
        stamps = [self.known_at, self.void_known_at, *(refund.known_at for refund in self.refunds)]
        return max(stamp for stamp in stamps if stamp is not None and stamp <= now)


@dataclass(slots=True, frozen=True)
class SimEmployee:
    number: int
    first_name: str
    last_name: str
    email: str
    job_title: str
    department: str
    outlet: SimOutlet
    manager_number: int | None
    hired_on: date
    left_on: date | None
    hourly_rate: Decimal


@dataclass(slots=True)
class SimPunch:
    """One clocked shift; hours = (ended_at - started_at) in decimal hours, two places."""

    number: int
    employee: SimEmployee
    business_date: date
    started_at: datetime
    ended_at: datetime
    hours: Decimal
    approved: bool
    known_at: datetime
    updated_at: datetime


@dataclass(slots=True, frozen=True)
class SimTimeOff:
    number: int
    employee: SimEmployee
    start: date
    end: date
    kind: str
    hours: Decimal
    status: str  # approved | requested | denied
    created_on: date


@dataclass(slots=True, frozen=True)
class SimAccount:
    code: str
    name: str
    statement: str  # BS | PL
    normal_side: str  # D | C
    line: str


@dataclass(slots=True, frozen=True)
class SimSupplier:
    number: int
    name: str


@dataclass(slots=True, frozen=True)
class SimBudget:
    """Budgeted amount of one P&L account of one outlet for a month, positive in the account's normal side."""

    entity: SimEntity
    outlet: SimOutlet
    account: SimAccount
    month: date
    amount: Decimal


@dataclass(slots=True, frozen=True)
class SimLedgerLine:
    """A line that people posted in the ERP or accounting system (rent, utilities). Debit positive.

    The lines of one `document` balance and belong to one entity and one date.
    """

    document: str
    line_no: int
    entity: SimEntity
    outlet: SimOutlet
    account: SimAccount
    posting_date: date
    amount: Decimal
    text: str
    known_at: datetime


@dataclass(slots=True, frozen=True)
class SimStockMovement:
    """A goods movement. kind: receipt (into stock) | issue | waste. Quantity and amount are positive.

    `amount` is in the entity's functional currency.
    """

    document: str
    line_no: int
    outlet: SimOutlet
    material: str
    group: str
    kind: str
    quantity: Decimal
    unit: str
    amount: Decimal
    posting_date: date
    supplier: SimSupplier | None
    known_at: datetime


@dataclass(slots=True)
class DayTruth:
    """What one outlet-day must come to in the marts, in the functional currency of the entity.

    Voided checks count in `voids` and `void_amount` (their gross) only. A refund counts on its own business
    date, with the day part of its own time. Money moved by refunds is subtracted: `returns` is positive,
    `net_sales`, `service_charge`, `tax`, `rounding`, `tenders`, `channels` and `dayparts` are after
    refunds.
    """

    outlet_id: str
    entity_id: str
    business_date: date
    checks: int = 0  # sale checks; refunds are counted apart
    refunds: int = 0
    lines: int = 0  # lines of sale checks
    covers: int = 0
    gross_sales: Decimal = Decimal(0)
    discounts: Decimal = Decimal(0)
    comps: Decimal = Decimal(0)
    returns: Decimal = Decimal(0)
    net_sales: Decimal = Decimal(0)
    service_charge: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    tips: Decimal = Decimal(0)
    rounding: Decimal = Decimal(0)
    voids: int = 0
    void_amount: Decimal = Decimal(0)
    cogs: Decimal = Decimal(0)
    hours: Decimal = Decimal(0)
    overtime_hours: Decimal = Decimal(0)
    labor_cost: Decimal = Decimal(0)  # overtime included
    tenders: dict[str, Decimal] = field(default_factory=dict)  # applied: tendered - change - tip
    channels: dict[str, Decimal] = field(default_factory=dict)  # net sales
    dayparts: dict[str, Decimal] = field(default_factory=dict)  # net sales

    @property
    def bill_total(self) -> Decimal:
        return self.net_sales + self.service_charge + self.tax + self.tips + self.rounding
