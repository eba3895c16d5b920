"""SAP S/4HANA's wire types (OData V2), as far as the platform uses them.

Amounts are decimals in the major unit, as strings on the wire, credit negative; their currency stands beside them.
`/Date(ms)/` is a calendar date at 00:00 UTC and never shifted; with an offset it is an instant, in UTC. Keys that
look like numbers are texts with leading zeros. An empty text is "" and not null. Fields that are read have no
default: a property that a release or a lost permission takes away is a reject and never a silent null.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
import pyarrow as pa

from ingestion.core.records import TIMESTAMP, Convert, Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ODATA_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{1,4})?\)/")


def instant(text: str) -> datetime:
    """An Edm.DateTimeOffset: the milliseconds are UTC, the offset only says how it was entered."""
    match = ODATA_DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date of OData V2")
    return EPOCH + timedelta(milliseconds=int(match[1]))


def calendar_date(text: str) -> date:
    """An Edm.DateTime that SAP displays as a date."""
    return instant(text).date()


def clock_time(text: str) -> str:
    """An Edm.Time such as PT15H51M04S as HH:MM:SS, in the system's own time zone."""
    match = re.fullmatch(r"PT(\d{1,2})H(\d{1,2})M(\d{1,2})S", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time of OData V2")
    return ":".join(part.zfill(2) for part in match.groups())


Day = Annotated[str, Convert(calendar_date, pa.date32())]
OptionalDay = Annotated[str | None, Convert(calendar_date, pa.date32())]
Instant = Annotated[str, Convert(instant, TIMESTAMP)]
DebitCredit = Annotated[Literal["S", "H"], Convert(str, pa.string())]  # Soll, Haben


class CompanyCode(Record, rename="pascal"):
    company_code: str
    company_code_name: str | None
    country: str | None
    currency: str
    chart_of_accounts: str
    fiscal_year_variant: str
    controlling_area: str | None


class GlAccount(Record, rename="pascal"):
    chart_of_accounts: str
    gl_account: str = msgspec.field(name="GLAccount")
    gl_account_type: str | None = msgspec.field(name="GLAccountType")
    gl_account_group: str | None = msgspec.field(name="GLAccountGroup")
    is_balance_sheet_account: bool
    is_profit_loss_account: bool
    account_is_marked_for_deletion: bool
    account_is_blocked_for_posting: bool
    last_change_date_time: Annotated[str | None, Convert(instant, TIMESTAMP)]


class GlAccountText(Record, rename="pascal"):
    chart_of_accounts: str
    gl_account: str = msgspec.field(name="GLAccount")
    language: str
    gl_account_name: str = msgspec.field(name="GLAccountName")
    gl_account_long_name: str | None = msgspec.field(name="GLAccountLongName")


class CostCenter(Record, rename="pascal"):
    """One validity of a cost centre. Blocks are "X" or "", not booleans."""

    controlling_area: str
    cost_center: str
    validity_end_date: Day
    validity_start_date: Day
    company_code: str
    profit_center: str | None
    cost_center_category: str | None
    is_blkd_for_primary_costs_posting: str | None


class CostCenterText(Record, rename="pascal"):
    controlling_area: str
    cost_center: str
    language: str
    validity_end_date: Day
    cost_center_name: str
    cost_center_description: str | None


class Supplier(Record, rename="pascal"):
    """A supplier. The name of a natural person is not kept; tax and contact data are never asked for."""

    supplier: str
    supplier_name: str | None
    supplier_account_group: str | None
    is_natural_person: str | None
    payment_is_blocked_for_supplier: bool | None
    posting_is_blocked: bool | None
    deletion_indicator: bool | None
    creation_date: OptionalDay

    def __post_init__(self) -> None:
        if self.is_natural_person:
            self.supplier_name = None


class BudgetLine(Record, rename="pascal"):
    """Planned amount of an account and cost centre in a period, signed like actuals: income negative.

    The service adds up whatever is not selected (profit centre, project and the like).
    """

    ledger: str
    planning_category: str
    company_code: str
    ledger_fiscal_year: str
    fiscal_period: str
    gl_account: str = msgspec.field(name="GLAccount")
    cost_center: str
    amount_in_company_code_currency: Decimal
    company_code_currency: str


class GlLineItem(Record, rename="pascal"):
    """A ledger line. Without all of its keys in the selection, SAP adds lines up without a word."""

    source_ledger: str
    company_code: str
    fiscal_year: str
    accounting_document: str
    ledger_gl_line_item: str = msgspec.field(name="LedgerGLLineItem")
    ledger: str
    gl_account: str = msgspec.field(name="GLAccount")
    cost_center: str | None
    profit_center: str | None
    posting_date: Day
    document_date: Day
    fiscal_year_period: str
    accounting_document_type: str
    reference_document_type: str | None
    debit_credit_code: DebitCredit  # a negative posting ("red storno") has S with a negative amount
    amount_in_company_code_currency: Decimal
    company_code_currency: str
    amount_in_transaction_currency: Decimal
    transaction_currency: str
    document_item_text: str | None
    assignment_reference: str | None
    is_reversal: bool
    is_reversed: bool
    last_change_date_time: Instant


class MaterialDocumentItem(Record, rename="pascal"):
    """A goods movement. Quantity and amount are positive: the debit/credit code says into (S) or out of stock (H)."""

    material_document_item: str
    material: str
    plant: str
    storage_location: str | None
    goods_movement_type: str
    debit_credit_code: DebitCredit
    quantity_in_entry_unit: Decimal
    entry_unit: str
    quantity_in_base_unit: Decimal
    material_base_unit: str
    gds_mvt_ext_amt_in_co_code_crcy: Decimal
    company_code_currency: str
    cost_center: str | None
    gl_account: str | None = msgspec.field(name="GLAccount")
    supplier: str | None
    purchase_order: str | None
    goods_movement_is_cancelled: bool | None
    material_document_item_text: str | None

    def __post_init__(self) -> None:
        if self.quantity_in_entry_unit < 0:
            raise ValueError("quantity_in_entry_unit: is negative")


class MaterialDocument(Record, rename="pascal"):
    """A material document: never changed, only followed by a reversing one. Creation is in the system's time zone."""

    material_document_year: str
    material_document: str
    posting_date: Day
    document_date: Day
    creation_date: Day
    creation_time: Annotated[str, Convert(clock_time, pa.string())]
    goods_movement_code: str | None
    material_document_header_text: str | None
    reference_document: str | None
    to_material_document_item: list[MaterialDocumentItem] = msgspec.field(name="to_MaterialDocumentItem")


class JournalItem(Record, rename="pascal"):
    """A line of one of our journals as the entry view shows it."""

    company_code: str
    fiscal_year: str
    accounting_document: str
    accounting_document_item: str
    document_reference_id: str = msgspec.field(name="DocumentReferenceID")
    reference1_in_document_header: str | None
    reference2_in_document_header: str | None
    gl_account: str = msgspec.field(name="GLAccount")
    cost_center: str | None
    posting_date: Day
    accounting_document_creation_date: Day
    last_change_date: OptionalDay
    debit_credit_code: DebitCredit
    amount_in_company_code_currency: Decimal
    company_code_currency: str
    document_item_text: str | None
    is_reversal: bool
    is_reversed: bool
