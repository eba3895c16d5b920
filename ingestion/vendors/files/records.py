"""Canonical records of a sales file: what every mapping produces, whatever the file looked like.

Amounts are in the currency of the outlet, major unit, without tax and service except `tax`, `service_charge` and
`bill_total`. On a refund gross, discounts and comps are 0, `returns` is the net given back (positive), and net,
service, tax, rounding, bill and payments are negative. Times are UTC.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from ingestion.core.records import Pii, Record


class CheckLine(Record, kw_only=True, omit_defaults=True):
    """One line; `row` is where it stands in the file (physical line, sheet row or record number, from 1)."""

    line_id: str
    row: int
    line_type: str
    product_id: str | None = None
    product_code: str | None = None
    product_name: str | None = None
    category: str | None = None
    channel: str | None = None
    quantity: Decimal
    unit_price: Decimal  # as printed in the file: with tax where its prices include it
    gross_sales: Decimal
    discounts: Decimal
    comps: Decimal
    returns: Decimal
    net_sales: Decimal
    discount_name: str | None = None
    is_voided: bool = False

    def __post_init__(self) -> None:
        if self.net_sales != self.gross_sales - self.discounts - self.comps - self.returns:
            raise ValueError("net_sales: is not gross less discounts, comps and returns")


class CheckPayment(Record, kw_only=True, omit_defaults=True):
    """One means of payment; `amount` without tip and change."""

    payment_id: str
    tender: str | None = None
    amount: Decimal
    tip: Decimal
    paid_at: datetime


class Check(Record, kw_only=True, omit_defaults=True):
    """One check or refund, as one reading of one file gives it."""

    path: str
    reading_id: str
    check_id: str
    check_number: str | None = None
    check_type: str  # sale | refund
    refunded_check_id: str | None = None
    outlet: str
    opened_at: datetime
    closed_at: datetime
    business_date: date | None = None  # None: derived from opened_at by the outlet's cut-off
    channel: str | None = None
    is_voided: bool = False
    covers: int | None = None
    currency: str | None = None
    staff: Annotated[str | None, Pii.HASH] = None
    gross_sales: Decimal
    discounts: Decimal
    comps: Decimal
    returns: Decimal
    net_sales: Decimal
    service_charge: Decimal
    tax: Decimal
    tip: Decimal
    rounding: Decimal
    bill_total: Decimal  # net + service + tax + tip + rounding
    tax_rate: Decimal | None = None
    lines: list[CheckLine] = []
    payments: list[CheckPayment] = []


class ControlTotal(Record, kw_only=True, omit_defaults=True):
    """A sum over the file's own cells for one outlet and day, taken before any check was made of them."""

    outlet: str
    control_date: date
    basis: str  # business: the day of the file or of a known cut-off; calendar: the local day
    measure: str
    amount: Decimal


class File(Record, kw_only=True, omit_defaults=True):
    """A file as it lies in the folder now: the current reading of its name."""

    path: str
    reading_id: str  # the content under one version of the mapping
    sha256: str
    size: int
    status: str  # loaded | duplicate
    mapping: str
    rows: int
    rejects: int
    skipped: int  # rows that the mapping leaves out: footers, repeated headers, rows that `keep` does not name
    checks: int
    first_date: date | None = None
    last_date: date | None = None
    control_totals: list[ControlTotal] = []
