"""Pawoon's wire types, as far as the platform uses them.

Pawoon publishes no contract. Required fields are those that public clients of the live service read; what is optional
here was seen in none of them (inferred), and a receipt is taken without it. Amounts are rupiah, as numbers or as text.
Times are the outlet's, without offset. Customers, phones, notes and references are not declared, so never stored.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
import pyarrow as pa

from ingestion.core.records import MONEY, Convert, Record, WallTime


class Named(Record):
    """What is referred to with its name."""

    name: str


class Numbered(Record):
    """Who is referred to by id; the name beside it is not read."""

    id: str


class Modifier(Record):
    price: Decimal
    qty: Decimal = Decimal(1)


def name_of(thing: Named) -> str:
    return thing.name


def id_of(person: Numbered) -> str:
    return person.id


def price_of(modifiers: list[Modifier]) -> Decimal:
    return sum((modifier.price * modifier.qty for modifier in modifiers), Decimal(0))


NameOf = Annotated[Named | None, Convert(name_of, pa.string())]


class Outlet(Record):
    id: str
    name: str
    timezone: str | None = None


class Product(Record):
    """With `has_variant` the price is of no use: the variants have them."""

    id: str
    name: str
    price: Decimal | None = None
    has_variant: bool = False
    category: NameOf = None
    sku: str | None = None
    is_active: bool | None = None


class Variant(Record):
    id: str
    name: str
    price: Decimal
    sku: str | None = None


class Item(Record):
    """A line: amount = (price + modifiers) x qty - discount."""

    id: str
    name: str
    qty: Decimal
    price: Decimal
    amount: Decimal
    discount: Decimal | None = None
    product_id: str | None = None
    variant_id: str | None = None
    category: NameOf = None
    discount_name: str | None = None
    modifier_price: Annotated[list[Modifier], Convert(price_of, MONEY)] = msgspec.field(
        name="modifiers", default_factory=list
    )  # of one unit


class Payment(Record):
    method: str
    amount: Decimal
    paid_at: WallTime | None = None


class Tax(Record):
    id: str
    amount: Decimal
    name: str | None = None
    percentage: Decimal | None = None


class Transaction(Record):
    """A receipt; one whose status is `refund` gives back money for another, in positive amounts.

    final_amount = subtotal - total_discount + total_service_charge + total_tax + rounding.
    """

    id: str
    receipt_code: str
    device_timestamp: WallTime  # of the sale; a tablet may deliver it days later
    final_amount: Decimal
    total_discount: Decimal
    status: str | None = None
    subtotal: Decimal | None = None
    total_service_charge: Decimal | None = None
    total_tax: Decimal | None = None
    rounding: Decimal | None = None
    cashier: Annotated[Numbered | None, Convert(id_of, pa.string())] = None
    company_sales_type: NameOf = None
    refunded_transaction_id: str | None = None
    items: list[Item] = []
    payments: list[Payment] = []
    taxes: list[Tax] = []


class Summary(Record):
    """Pawoon's own totals of an outlet and calendar day: without tax and service charge, net of refunds (inferred)."""

    gross_sales: Decimal
    discount: Decimal
    net_sales: Decimal
