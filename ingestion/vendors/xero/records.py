"""Xero's wire types, as far as the platform uses them.

Amounts are in the organisation's base currency, major units. Dates come as `/Date(milliseconds+0000)/`: a business
date is midnight stored as if it were UTC and is never shifted, an `...DateUTC` is an instant.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa

from ingestion.core.records import TIMESTAMP, Convert, Pii, Record

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MS_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")


def instant(text: str) -> dt.datetime:
    """An instant in UTC. The offset behind the milliseconds says where it was written and moves nothing; some
    answers carry ISO 8601 without a zone instead, which is UTC. Raises ValueError for anything else.
    """
    if found := MS_DATE.fullmatch(text):
        return EPOCH + dt.timedelta(milliseconds=int(found[1]))
    parsed = dt.datetime.fromisoformat(text)
    return parsed.astimezone(dt.UTC) if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)


def calendar_date(text: str) -> dt.date:
    """A business date, whatever the zone of the organisation or of this machine."""
    return instant(text).date()


def month(text: str) -> dt.date:
    """First day of a budget period, which comes as 2026-04 or as a `/Date(...)/`."""
    return (calendar_date(text) if text.startswith("/") else dt.date.fromisoformat(f"{text}-01")).replace(day=1)


def by_category(tracking: list[Tracking]) -> str:
    """The options of a line as a JSON object, category name -> option name: the order on the wire means nothing."""
    return msgspec.json.encode({item.name: item.option for item in tracking}).decode()


CalendarDate = Annotated[str, Convert(calendar_date, pa.date32())]
Instant = Annotated[str, Convert(instant, TIMESTAMP)]


class Tracking(Record, rename="pascal"):
    name: str  # of the category
    option: str


class Account(Record, rename="pascal"):
    """An account of the chart. Only bank accounts may lack a code."""

    account_id: str = msgspec.field(name="AccountID")
    name: str
    type: str
    account_class: Literal["ASSET", "EQUITY", "EXPENSE", "LIABILITY", "REVENUE"] = msgspec.field(name="Class")
    status: Literal["ACTIVE", "ARCHIVED", "DELETED"]
    code: str | None = None
    tax_type: str | None = None
    currency_code: str | None = None
    system_account: str | None = None
    bank_account_number: Annotated[str | None, Pii.DROP] = None
    updated_date_utc: Instant | None = msgspec.field(name="UpdatedDateUTC", default=None)


class TrackingOption(Record, rename="pascal"):
    tracking_option_id: str = msgspec.field(name="TrackingOptionID")
    name: str
    status: Literal["ACTIVE", "ARCHIVED", "DELETED"]


class TrackingCategory(Record, rename="pascal"):
    tracking_category_id: str = msgspec.field(name="TrackingCategoryID")
    name: str
    status: Literal["ACTIVE", "ARCHIVED", "DELETED"]
    options: list[TrackingOption]


class Contact(Record, rename="pascal"):
    """A supplier or customer. The name is kept, for it is how a counterparty is known; the rest of who it is, not."""

    contact_id: str = msgspec.field(name="ContactID")
    name: str
    contact_status: Literal["ACTIVE", "ARCHIVED", "GDPRREQUEST"]
    updated_date_utc: Instant = msgspec.field(name="UpdatedDateUTC")
    is_supplier: bool = False
    is_customer: bool = False
    contact_number: str | None = None
    first_name: Annotated[str | None, Pii.DROP] = None
    last_name: Annotated[str | None, Pii.DROP] = None
    email_address: Annotated[str | None, Pii.DROP] = None
    contact_persons: Annotated[Any, Pii.DROP] = None
    addresses: Annotated[Any, Pii.DROP] = None
    phones: Annotated[Any, Pii.DROP] = None
    tax_number: Annotated[str | None, Pii.DROP] = None
    company_number: Annotated[str | None, Pii.DROP] = None
    bank_account_details: Annotated[str | None, Pii.DROP] = None
    batch_payments: Annotated[Any, Pii.DROP] = None


class BudgetBalance(Record, rename="pascal"):
    period: Annotated[str, Convert(month, pa.date32())]
    amount: Decimal


class BudgetLine(Record, rename="pascal"):
    account_id: str = msgspec.field(name="AccountID")
    budget_balances: list[BudgetBalance]
    account_code: str | None = None


class Budget(Record, rename="pascal"):
    budget_id: str = msgspec.field(name="BudgetID")
    type: Literal["OVERALL", "TRACKING"]
    updated_date_utc: Instant = msgspec.field(name="UpdatedDateUTC")
    budget_lines: list[BudgetLine]
    tracking: list[Tracking] = []
    description: str | None = None


class JournalLine(Record, rename="pascal"):
    """A line has no id of its own. Debits are positive, credits negative."""

    line_amount: Decimal
    tax_amount: Decimal = Decimal(0)
    account_id: str | None = msgspec.field(name="AccountID", default=None)
    account_code: str | None = None
    description: str | None = None
    tax_type: str | None = None
    tracking: Annotated[list[Tracking], Convert(by_category, pa.string())] = []


class ManualJournal(Record, rename="pascal"):
    """A manual journal in any status; only POSTED ones are in the ledger."""

    manual_journal_id: str = msgspec.field(name="ManualJournalID")
    narration: str
    date: CalendarDate
    status: Literal["DRAFT", "POSTED", "DELETED", "VOIDED", "ARCHIVED"]
    updated_date_utc: Instant = msgspec.field(name="UpdatedDateUTC")
    journal_lines: list[JournalLine]
    line_amount_types: Literal["NoTax", "Exclusive", "Inclusive"] = "NoTax"
    url: str | None = None


class Organisation(Record, rename="pascal"):
    """The books' owner. No journal may be dated on or before a lock date."""

    organisation_id: str = msgspec.field(name="OrganisationID")
    name: str
    base_currency: str
    country_code: str | None = None
    timezone: str | None = None
    period_lock_date: CalendarDate | None = None
    end_of_year_lock_date: CalendarDate | None = None
