"""Toast's wire types, as far as the platform uses them.

Names and types are those of Toast's OpenAPI files. Amounts are numbers in major units of the restaurant's currency,
times are UTC with an offset without a colon, business dates are yyyymmdd: numbers in orders, texts in labor. What a
record refers to is kept as its GUID. Guests, cards, staff's names and free text are not declared and so never stored;
staff are known by GUID.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from operator import attrgetter
from typing import Annotated

import msgspec
import pyarrow as pa

from ingestion.core.records import Convert, Record


def business_date(told: int | str) -> dt.date:
    """20240430 is the 30th of April 2024. Raises ValueError for what is no date."""
    return dt.datetime.strptime(str(told), "%Y%m%d").date()  # noqa: DTZ007 - a date without a zone


class Reference(Record):
    """What another object is called by; null for one that was never given a GUID."""

    guid: str | None = None


class NamedReference(Record):
    name: str | None = None


Stamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Guid = Annotated[Reference | None, Convert(attrgetter("guid"), pa.string())]
BusinessDate = Annotated[int | None, Convert(business_date, pa.date32())]


class RefundDetails(Record, rename="camel"):
    """What was given back for a selection or a service charge: without tax, and its tax; positive."""

    refund_amount: Decimal = Decimal(0)
    tax_refund_amount: Decimal = Decimal(0)
    refund_transaction: Reference | None = None


class Refund(Record, rename="camel"):
    """What was given back of a payment, positive, on its own business date."""

    refund_amount: Decimal = Decimal(0)  # without the tip
    tip_refund_amount: Decimal = Decimal(0)
    refund_date: Stamp | None = None
    refund_business_date: int | None = None
    refund_transaction: Reference | None = None


class VoidInfo(Record, rename="camel"):
    void_date: Stamp | None = None
    void_business_date: int | None = None


class AppliedTax(Record, rename="camel"):
    """`rate` is a fraction (0.1 is 10 %) where the tax is a percentage."""

    guid: str
    tax_amount: Decimal
    name: str | None = None
    rate: Decimal | None = None
    type: str | None = None
    facilitator_collect_and_remit_tax: bool | None = None


class AppliedDiscount(Record, rename="camel"):
    """Of a selection, or of the whole check, where each selection's price bears its share. Positive."""

    guid: str
    discount_amount: Decimal
    name: str | None = None
    discount_type: str | None = None
    processing_state: str | None = None


class Modifier(Record, rename="camel"):
    """An option chosen for a selection, whose price bears it already. Options of options are not stored."""

    guid: str
    display_name: str | None = None
    option_group: Guid = None
    quantity: Decimal | None = None
    pre_discount_price: Decimal | None = None
    voided: bool | None = None


class Selection(Record, rename="camel"):
    """A line. Prices are of the whole line without tax, modifiers included: gross before discounts, net after."""

    guid: str
    quantity: Decimal
    pre_discount_price: Decimal
    price: Decimal
    item: Guid = None
    sales_category: Guid = None
    dining_option: Guid = None
    display_name: str | None = None
    plu: str | None = None
    selection_type: str | None = None
    receipt_line_price: Decimal | None = None  # of one unit without modifiers, with the tax that is in the price
    tax: Decimal | None = None
    deferred: bool | None = None  # a gift card sold: owed, not revenue
    voided: bool | None = None
    void_business_date: BusinessDate = None
    refund_details: RefundDetails | None = None
    modifiers: list[Modifier] = []
    applied_discounts: list[AppliedDiscount] = []
    applied_taxes: list[AppliedTax] = []


class ServiceCharge(Record, rename="camel"):
    """`charge_amount` is without tax. A gratuity is owed to staff; the category CASH_ROUNDING may be negative."""

    guid: str
    charge_amount: Decimal
    name: str | None = None
    gratuity: bool | None = None
    service_charge_category: str | None = None
    refund_details: RefundDetails | None = None
    applied_taxes: list[AppliedTax] = []


class Payment(Record, rename="camel"):
    """`amount` is what was applied, without tip and change. A refund and a void are told by the payment itself."""

    guid: str
    type: str
    amount: Decimal
    tip_amount: Decimal | None = None
    card_type: str | None = None
    other_payment: Guid = None
    paid_date: Stamp | None = None
    paid_business_date: BusinessDate = None
    payment_status: str | None = None
    refund_status: str | None = None
    refund: Refund | None = None
    void_info: VoidInfo | None = None


class Check(Record, rename="camel"):
    """One bill of an order. amount + tax_amount is what the guest owes; refunds never change it.

    `amount` is net of discounts and has the service charges without gratuities.
    """

    guid: str
    amount: Decimal | None = None
    tax_amount: Decimal | None = None
    total_amount: Decimal | None = None
    display_number: str | None = None
    payment_status: str | None = None
    opened_date: Stamp | None = None
    closed_date: Stamp | None = None
    modified_date: Stamp | None = None
    voided: bool | None = None
    deleted: bool | None = None
    selections: list[Selection] = []
    applied_service_charges: list[ServiceCharge] | None = None
    applied_discounts: list[AppliedDiscount] | None = None
    payments: list[Payment] | None = None


class Order(Record, rename="camel"):
    guid: str
    opened_date: Stamp
    modified_date: Stamp  # a refund alone does not move it
    business_date: BusinessDate
    checks: list[Check]
    closed_date: Stamp | None = None
    dining_option: Guid = None
    server: Guid = None
    source: str | None = None
    number_of_guests: int | None = None
    approval_status: str | None = None
    voided: bool | None = None
    void_business_date: BusinessDate = None
    deleted: bool | None = None
    created_in_test_mode: bool | None = None
    excess_food: bool | None = None


class Restaurant(Record, rename="camel"):
    """The part `general` of a restaurant. Its day ends at `closeout_hour` (0 to 12) in `time_zone`."""

    name: str
    time_zone: str
    closeout_hour: int
    currency_code: str | None = None
    location_name: str | None = None
    location_code: str | None = None
    archived: bool | None = None


class DiningOption(Record, rename="camel"):
    guid: str
    name: str
    behavior: str | None = None  # DINE_IN, TAKE_OUT, DELIVERY


class AlternatePaymentType(Record):
    """A tender of the restaurant's own: what a payment of type OTHER refers to."""

    guid: str
    name: str


class SalesCategory(Record):
    guid: str
    name: str


class ModifierGroup(Record):
    guid: str
    name: str


class MenuItem(Record, rename="camel"):
    """An item of the published menus. Transport adds the modifier groups that the vendor tells by number."""

    guid: str
    name: str
    price: Decimal | None = None  # null where sizes or times have prices
    sales_category: Annotated[NamedReference | None, Convert(attrgetter("name"), pa.string())] = None
    plu: str | None = None
    sku: str | None = None
    multi_location_id: str | None = None
    is_deferred: bool | None = None
    modifier_groups: list[ModifierGroup] = []


class Job(Record, rename="camel"):
    guid: str
    title: str | None = None
    code: str | None = None
    deleted: bool | None = None


class Employee(Record, rename="camel"):
    guid: str
    external_employee_id: str | None = None  # the number of the HR system, where a company keeps it there
    deleted: bool | None = None
    created_date: Stamp | None = None
    modified_date: Stamp | None = None
    job_references: list[Reference] = []


class TimeEntry(Record, rename="camel"):
    """A clocked shift. Hours are without unpaid breaks; `out_date` is null while it lasts."""

    guid: str
    in_date: Stamp
    business_date: Annotated[str | None, Convert(business_date, pa.date32())]
    modified_date: Stamp
    employee_reference: Guid
    out_date: Stamp | None = None
    job_reference: Guid = None
    regular_hours: Decimal | None = None
    overtime_hours: Decimal | None = None
    auto_clocked_out: bool | None = None
    deleted: bool | None = None
