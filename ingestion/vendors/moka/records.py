"""Moka's wire types, as far as the platform uses them.

Names and signs are the ones of the examples in Moka's API document; its schemas disagree with them in places, and the
server follows the examples. Amounts are rupiah (major units), fractional on lines and whole in what was paid. Times
carry an offset, always +07:00 whatever the outlet's zone. Receipts know staff by name only: hashed. Customers, cards
and free text are not declared and so never stored.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

import msgspec

from ingestion.core.records import MONEY, Convert, Pii, Record

FOUR_PLACES = Decimal("0.0001")


def four_places(amount: Decimal) -> Decimal:
    """Discounts spread over lines are endless fractions on the wire (1666.6666666666667): kept to four places."""
    return amount.quantize(FOUR_PLACES, ROUND_HALF_UP)


Amount = Annotated[Decimal, Convert(four_places, MONEY)]
MaybeAmount = Annotated[Decimal | None, Convert(four_places, MONEY)]
Stamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]
StaffName = Annotated[str | None, Pii.HASH]


class Outlet(Record):
    id: int
    business_id: int
    name: str
    city: str | None = None
    province: str | None = None
    is_deleted: bool | None = None
    is_paying: bool | None = None
    start_date: Stamp | None = None  # of the subscription, without which the outlet answers 403
    end_date: Stamp | None = None
    updated_at: Stamp | None = None


class Category(Record):
    id: int
    outlet_id: int
    name: str
    is_deleted: bool | None = None
    updated_at: Stamp | None = None


class ItemVariant(Record):
    """What is sold and has a price; an item without variants has one with an empty name."""

    id: int
    name: str | None
    sku: str | None
    price: MaybeAmount
    is_deleted: bool | None = None


class ModifierOption(Record):
    id: int
    name: str
    price: Amount
    is_deleted: bool | None = None


class Modifier(Record):
    id: int
    name: str
    modifier_options: list[ModifierOption] = []


class Item(Record):
    id: int
    outlet_id: int
    name: str
    item_variants: list[ItemVariant]
    category_id: int | None = None
    is_deleted: bool | None = None
    updated_at: Stamp | None = None
    active_modifiers: list[Modifier] | None = None


class CheckoutModifier(Record):
    """An option chosen for a line; its price is already inside the line's."""

    uuid: str
    modifier_name: str | None
    modifier_option_name: str | None
    gross_sales: Amount


class CheckoutDiscount(Record):
    """A discount's share of one line; a comp is a discount of 100 % by its name."""

    discount_name: str | None
    discount_amount: Amount


class Line(Record):
    """What sale lines and refund lines share. `item_id` is null for a price typed in at the till."""

    uuid: str
    quantity: Amount
    item_price: Amount  # of one unit, modifiers included; positive in refunds too
    gross_sales: Amount
    net_sales: Amount
    item_id: int | None = None
    item_name: str | None = None
    item_variant_id: int | None = None
    item_variant_name: str | None = None
    category_name: str | None = None
    sku: str | None = None
    sales_type_name: str | None = None
    is_deleted: bool | None = None


class Checkout(Line):
    """A line of a sale. What is between gross and net are its discounts and redeemed points."""

    modifiers: list[CheckoutModifier] = []
    discounts: list[CheckoutDiscount] = []

    def __post_init__(self) -> None:
        if self.quantity < 0:
            raise ValueError("quantity: is negative in a sale")


class RefundCheckout(Line):
    """A line given back: quantity and amounts negative. Its modifiers, positive on the wire, are not stored."""

    def __post_init__(self) -> None:
        if self.quantity > 0:
            raise ValueError("quantity: is positive in a refund")


class PaymentTax(Record):
    """One tax of a receipt or a refund; `amount` is its rate in percent, `total` rupiah (negative in refunds)."""

    uuid: str
    name: str | None
    amount: Amount
    total: Amount
    taxable_amount: MaybeAmount = None


class PaymentRefund(Record):
    """Money given back later, inside the receipt it refunds. Amounts are negative; rounding has the flipped sign."""

    uuid: str
    refunded_at: Stamp
    subtotal: Amount
    total_gratuity_amount: MaybeAmount
    total_tax_amount: MaybeAmount
    total_rounding_amount: MaybeAmount
    total_collected_amount: Amount
    checkouts: list[RefundCheckout]
    payment_taxes: list[PaymentTax] = []
    is_deleted: bool | None = None
    synchronized_at: Stamp | None = None
    refunded_by: StaffName = None


class Transaction(Record):
    """A receipt, with all that has happened to it since.

    total_collected = subtotal + gratuities + taxes + total_rounding_amount. `gratuities` is the service charge.
    Refunds are told by `payment_refunds` alone: `is_refunded` stays false even after a full one.
    The sum of the lines may differ from `subtotal` by fractions of a rupiah. `is_deleted` is a void.
    """

    id: str
    outlet_id: int
    created_at: Stamp  # at the till
    updated_at: Stamp
    synchronized_at: Stamp  # at Moka's server; later than created_at for sales made offline
    subtotal: Amount
    discounts: MaybeAmount
    gratuities: MaybeAmount
    taxes: MaybeAmount
    total_rounding_amount: MaybeAmount
    total_collected: Amount
    payment_type: str | None
    checkouts: list[Checkout]
    payment_type_label: str | None = None
    payment_no: str | None = None
    is_deleted: bool | None = None
    collected_by: StaffName = None
    payment_taxes: list[PaymentTax] = []
    payment_refunds: list[PaymentRefund] = []


class SalesSummary(Record):
    """Moka's own totals of one outlet and local calendar day, after refunds made on it; voids left out."""

    gross_sales: Amount
    discounts: Amount
    refunds: Amount  # positive, without service charge and tax
    net_sales: Amount  # gross_sales - discounts - refunds
    gratuities: Amount
    taxes: Amount
    total_collected: Amount
    number_of_transactions: int
    rounding_amount: MaybeAmount = None
    redemption: MaybeAmount = None


class PaymentMethod(Record):
    """Collected by one payment type (its label on receipts), after refunds."""

    payment_type: str
    collected: Amount
    number_of_transactions: int | None = None


class PaymentMethods(Record):
    """The payment methods report of one outlet and day, its groups joined into one list (see transport)."""

    total_collected: Amount
    total_number_of_transactions: int
    methods: list[PaymentMethod]
