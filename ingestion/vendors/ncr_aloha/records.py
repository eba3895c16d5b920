"""Aloha's wire types, as far as the platform uses them. Names in capitals are columns of Aloha's DBF files.

Amounts are in the outlet's currency, times are the store's wall clock. What is not declared is neither looked at nor
stored: card numbers, names, social security numbers and wages lie in the same files.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import pyarrow as pa
from msgspec import Meta, field

from ingestion.core.records import Convert, Record, WallTime

Yes = Annotated[str | None, Convert(lambda text: text == "Y", pa.bool_())]


class Item(Record):
    """GNDITEM: an item or a modifier. `line_entry_id` is the entry of the item that a modifier belongs to."""

    entry_id: int = field(name="ENTRYID")
    line_entry_id: int
    type: int = field(name="TYPE")  # 0 sale, 1 refund, 2 and 3 the same of what is no sale
    item: int = field(name="ITEM")
    price: Decimal = field(name="PRICE")  # of the whole quantity, before comps and promos
    disc_price: Decimal = field(name="DISCPRIC")  # after them
    quantity: Decimal = field(name="QUANTITY")
    incl_tax: Decimal | None = field(name="INCLTAX", default=None)  # inside both prices
    org_price: Decimal | None = field(name="ORGPRICE", default=None)  # of one unit, as on the menu
    category: int | None = field(name="CATEGORY", default=None)
    mode: int | None = field(name="MODE", default=None)
    mod_code: int | None = field(name="MODCODE", default=None)


class Payment(Record):
    """GNDTNDR. `auto_grat` is inside `amount`, `tip` is not."""

    id: int = field(name="ID")
    type: int = field(name="TYPE")  # 1 is a payment, 11 none
    tender: int = field(name="TYPEID")
    amount: Decimal = field(name="AMOUNT")
    tip: Decimal | None = field(name="TIP", default=None)
    auto_grat: Decimal | None = field(name="AUTOGRAT", default=None)
    paid: WallTime | None = None


class Void(Record):
    """GNDVOID: an entry that was taken back before it was paid."""

    entry_id: int = field(name="ENTRYID")
    item: int = field(name="ITEM")
    price: Decimal = field(name="PRICE")
    reason: int | None = field(name="REASON", default=None)


class Total(Record):
    """GNDSALE by type and what the type counts (README), summed."""

    type: int
    type_id: int
    amount: Decimal


class Amount(Total):
    """Of a check: taxes and certificates sold (GNDSALE), and what comps and promos took off each entry (GNDLINE)."""

    entry_id: int = 0  # 0: of the check


class Check(Record):
    """A check with all that a delivery says of it. `check_id` is site, DOB and number: numbers begin anew every day."""

    check_id: str
    check_number: int
    opened: WallTime
    closed: WallTime | None = None
    employee: int | None = None
    guests: int | None = None
    items: list[Item] = []
    payments: list[Payment] = []
    voids: list[Void] = []
    amounts: list[Amount] = []


class Punch(Record):
    """ADJTIMEX or ADJTIME: a shift on the time clock. `punch_id` is site, DOB, employee and shift."""

    punch_id: str
    employee: int = field(name="EMPLOYEE")
    shift_id: int = field(name="SHIFT_ID")
    work_date: date = field(name="DATE")
    started: WallTime
    ended: WallTime | None = None
    hours: Decimal | None = field(name="HOURS", default=None)  # overtime included
    job: int | None = field(name="JOBCODE", default=None)
    is_invalid: Yes = field(name="INVALID", default=None)


class Delivery(Record):
    """What came of a site's business date: with `seq` 0 its dated folder, which says all and counts alone once it is
    there; before that each event of the socket by its number. Totals are of a folder.
    """

    dob: date
    seq: int
    checks: list[Check] = []
    punches: list[Punch] = []
    inclusive_tax: Decimal | None = None
    totals: list[Total] = []


class Code(Record):
    """A row of one of the small masters; `kind` is the file. `report_as` to `round_to` are of TDR, `rate` of TAX."""

    dob: date
    kind: str
    id: int = field(name="ID")
    name: str | None = field(name="NAME", default=None)
    report_as: int | None = field(name="REPORTAS", default=None)
    rounds: Yes = field(name="ROUNDACTIV", default=None)
    round_to: Decimal | None = field(name="ROUNDTO", default=None)
    rate: Decimal | None = field(name="RATE", default=None)


class MenuItem(Record):
    """ITM, with the sales category that CIT gives it."""

    dob: date
    id: int = field(name="ID")
    short_name: str | None = field(name="SHORTNAME", default=None)
    long_name: str | None = field(name="LONGNAME", default=None)
    sku: str | None = field(name="SKU", default=None)
    price: Decimal | None = field(name="PRICE", default=None)
    category: int | None = None


class Employee(Record):
    """EMP without names, social security number and pay."""

    dob: date
    id: int = field(name="ID")
    job: int | None = field(name="JOBCODE1", default=None)
    is_terminated: Yes = field(name="TERMINATED", default=None)
    hired_on: date | None = field(name="DATEOFHIRE", default=None)


Seq = Annotated[int, Meta(ge=1, lt=10**12)]


class Event(Record):
    """An event of the site agent, as it comes over the socket; `data` is read by its kind."""

    seq: Seq
    site_id: str = field(name="siteId")
    dob: date
    event: str
