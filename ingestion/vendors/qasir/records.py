"""The wire types of the contract that we propose to Qasir, modelled on what its dashboard shows.

Nothing here is Qasir's word. Amounts are rupiah as text with two places ("220000.00"). Times have an offset, dates are
the outlet's calendar days. Names of people, customers and references are not declared, so never stored.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated

import msgspec
import pyarrow as pa

from ingestion.core.records import Convert, Record

Stamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class Category(Record):
    id: int
    name: str


class Outlet(Record):
    id: int
    name: str
    timezone: str | None = None
    is_active: bool | None = None


class Variant(Record):
    id: int
    name: str
    sku: str | None
    price: Decimal


class Product(Record):
    id: int
    name: str
    category: Annotated[Category | None, Convert(lambda category: category.name, pa.string())]
    variants: list[Variant]
    is_active: bool | None = None
    updated_at: Stamp | None = None


class Cashier(Record):
    id: int


class CartProduct(Record):
    id: int
    name: str


class CartVariant(Record):
    id: int
    variant_name: str
    variant_sku: str | None
    product: CartProduct


class Cart(Record):
    """A line: sub_total = price_sell x quantity + total_modifier_amount, before its discount and without tax.

    What stands inside `variant` on the wire is taken out into columns; `variant` itself is its id.
    """

    id: int
    price_sell: Decimal
    quantity: Decimal
    total_modifier_amount: Decimal
    total_discount: Decimal
    sub_total: Decimal
    variant: Annotated[CartVariant, Convert(lambda variant: variant.id, pa.int64())]
    discount_name: str | None = None
    variant_name: str | None = None
    variant_sku: str | None = None
    product_id: int | None = None
    product_name: str | None = None

    def __post_init__(self) -> None:
        self.variant_name, self.variant_sku = self.variant.variant_name, self.variant.variant_sku
        self.product_id, self.product_name = self.variant.product.id, self.variant.product.name


class Payment(Record):
    """`amount` is what was applied to the bill: `tendered` less `change`."""

    id: int
    payment_mode: str
    amount: Decimal
    tendered: Decimal | None = None
    change: Decimal | None = None
    paid_at: Stamp | None = None


class RefundCart(Record):
    """Units of a line given back; `amount` is their net, positive."""

    cart_id: int
    quantity: Decimal
    amount: Decimal


class Refund(Record):
    """Money given back: amount = its lines' amounts + service_charge + total_tax + rounding, all as positive."""

    id: int
    refunded_at: Stamp
    amount: Decimal
    total_tax: Decimal
    service_charge: Decimal
    rounding: Decimal
    carts: list[RefundCart]


class Sale(Record):
    """A sale, with all that has happened to it since; no refund changes its own amounts.

    total_bill = sub_total - total_discounts + service_charge + total_tax + rounding.
    """

    id: int
    invoice_number: str
    outlet_id: int
    status: str  # settled, cancelled, refunded or partially_refunded
    business_date: dt.date  # the calendar day of settled_at
    settled_at: Stamp
    updated_at: Stamp
    sub_total: Decimal
    total_discounts: Decimal
    total_tax: Decimal
    service_charge: Decimal
    rounding: Decimal
    total_bill: Decimal
    tax_inclusive: bool
    sales_type: str | None
    carts: list[Cart]
    payments: list[Payment]
    refunds: list[Refund] = []
    cashier: Annotated[Cashier | None, Convert(lambda cashier: str(cashier.id), pa.string())] = None

    def __post_init__(self) -> None:
        if self.tax_inclusive:
            raise ValueError("tax_inclusive: sales with tax in their prices are not understood yet")
