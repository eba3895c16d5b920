"""Olsera's wire types, as far as the platform uses them.

Olsera publishes no contract. Field names are those that public clients of the live service read; what stands below
`INFERRED` was seen in none of them, and an order is complete without it. Amounts are rupiah, as numbers or as text
("15000.0000"). Ids are numbers or text, 0 means none. Customers, phones and notes are not declared, so never stored.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

import pyarrow as pa

from ingestion.core.records import MONEY, Convert, Pii, Record, WallTime

INDONESIAN = re.compile(r"-?(\d{1,3}(\.\d{3})+|\d+)(,\d{1,4})?")


def indonesian(text: str) -> Decimal:
    """A number as the reports write it: dots between thousands, a comma before decimals ("173.000" is 173000)."""
    if not INDONESIAN.fullmatch(text):
        raise ValueError(f"{text!r} is not a number with dots between thousands")
    return Decimal(text.replace(".", "").replace(",", "."))


def none_of_zero(value: int | str) -> str | None:
    return None if str(value) in ("0", "") else str(value)


Id = int | str
MaybeId = Annotated[int | str | None, Convert(none_of_zero, pa.string())]
StaffName = Annotated[str | None, Pii.HASH]


class Variant(Record):
    id: Id
    name: str | None = None
    sku: str | None = None
    price: Decimal | None = None


class Product(Record):
    """A menu item of one store; `klasifikasi` is its category. Made anew, a product has another id."""

    id: Id
    name: str
    sku: str | None = None
    klasifikasi: str | None = None
    price: Decimal | None = None
    variants: list[Variant] = []


class OrderItem(Record):
    """A line: amount = (price + addon_price) x qty - discount. `product_id` may be of a product that is gone."""

    id: Id
    product_name: str
    qty: Decimal
    price: Decimal
    amount: Decimal
    discount: Decimal | None = None
    addon_price: Decimal | None = None  # of one unit
    product_id: MaybeId = None
    product_variant_id: MaybeId = None
    product_variant_name: str | None = None
    product_sku: str | None = None
    # INFERRED
    discount_name: str | None = None


class OrderPayment(Record):
    # INFERRED as a whole
    id: Id
    payment_mode_name: str
    amount: Decimal
    payment_date: WallTime | None = None


class Order(Record):
    """A paid order. Which of the totals a payload has depends on its version; the first in this order counts.

    `order_date` is the calendar day at midnight, `order_time` the true local time. The created and modified times
    are of another clock and are not read.
    """

    id: Id
    order_date: WallTime
    order_time: WallTime
    orderitems: list[OrderItem]
    order_no: str | None = None
    order_source: str | None = None
    sales_by_name: StaffName = None  # "-": nobody
    total_amount: Decimal | None = None
    grand_total: Decimal | None = None
    total_after_discount: Decimal | None = None
    total: Decimal | None = None
    nett_sales: Decimal | None = None
    total_payment: Decimal | None = None
    # INFERRED
    tax_amount: Decimal | None = None
    service_charge_amount: Decimal | None = None
    rounding: Decimal | None = None
    is_void: Annotated[bool | int | None, Convert(bool, pa.bool_())] = None
    return_of_order_id: MaybeId = None
    payments: list[OrderPayment] = []

    def __post_init__(self) -> None:
        if self.sales_by_name == "-":
            self.sales_by_name = None
        totals = (self.total_amount, self.grand_total, self.total_after_discount, self.total)
        if all(total is None for total in (*totals, self.nett_sales, self.total_payment)):
            raise ValueError("total_amount: none of the known totals is there")


class OrderDay(Record):
    """All orders of a store and day, put together by transport: what it lacks is no longer an order of the day."""

    orders: list[Order]


class GroupSales(Record):
    label: str
    value: Annotated[str, Convert(indonesian, MONEY)]


class GroupReport(Record):
    groups: list[GroupSales]
