"""BambooHR's wire types, as far as the platform uses them.

Names, contacts, free text and pay are never declared for storage: an employee is an id, a job and a place.
Ids are strings in the employee tables and integers in time off and time tracking; each lands as it comes.
Dates are calendar dates of the company's time zone; date-times carry their offset. Hours are decimal hours.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa

from ingestion.core.records import MONEY, Convert, Pii, Record

NO_DATES = ("", "0000-00-00")  # how older endpoints write an empty date
FOUR_PLACES = Decimal("0.0001")


def vendor_date(text: str) -> dt.date | None:
    """A date of an employee table, None where it is empty. Raises ValueError for anything else."""
    return None if text in NO_DATES else dt.date.fromisoformat(text)


def decimal_hours(hours: Decimal) -> Decimal:
    """Hours are a float on the wire (8 h 20 min: 8.333333): kept to four places."""
    return hours.quantize(FOUR_PLACES, ROUND_HALF_UP)


VendorDate = Annotated[str | None, Convert(vendor_date, pa.date32())]
Hours = Annotated[Decimal | None, Convert(decimal_hours, MONEY)]
Stamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class JobInfo(Record, rename="camel"):
    """A row of an employee's job history.

    An absent field is one that the API key may not see, so what we need has no default: a lost permission is
    a reject and never a silent null.
    """

    id: str
    employee_id: str
    date: VendorDate
    location: str | None
    job_title: str | None
    department: str | None = None
    division: str | None = None
    reports_to: Annotated[str | None, Pii.DROP] = None  # the manager's full name


class EmploymentStatus(Record, rename="camel"):
    """A row of an employee's employment history.

    "Terminated" is the vendor's fixed value; other statuses are the company's own words.
    """

    id: str
    employee_id: str
    date: VendorDate
    employment_status: str | None
    comment: Annotated[str | None, Pii.DROP] = None


class ReportingLine(Record):
    """Who an employee reports to, by id. The report leaves a field out that the API key may not see."""

    id: str
    supervisor_eid: str | None = msgspec.field(name="supervisorEId")


class TimeOffStatus(Record, rename="camel"):
    status: Literal["approved", "denied", "superceded", "requested", "canceled"]  # "superceded": the vendor's spelling
    last_changed: dt.date | None = None
    last_changed_by_user_id: int | str | None = None


class TimeOffType(Record):
    name: str
    id: int | str | None = None
    icon: str | None = None


class TimeOffAmount(Record):
    unit: Literal["hours", "days"]
    amount: Decimal


class TimeOffRequest(Record, rename="camel"):
    id: int
    employee_id: int
    start: dt.date
    end: dt.date
    status: TimeOffStatus
    type: TimeOffType
    amount: TimeOffAmount
    created: dt.date | None = None
    dates: dict[str, Any] = {}  # amount per day; a string or a number, by endpoint version
    name: Annotated[str | None, Pii.DROP] = None
    notes: Annotated[Any, Pii.DROP] = None  # may speak of health

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("end: lies before start")
        if self.amount.amount < 0:
            raise ValueError("amount: is negative")


class TimesheetEntry(Record, rename="camel"):
    """A clocked shift (`clock`, with start and end) or a day's hours as typed in (`hour`, without).

    A clock entry that is still open has neither end nor hours. `approved` entries may still be edited.
    """

    id: int
    employee_id: int
    type: Literal["clock", "hour"]
    date: dt.date
    hours: Hours
    approved: bool
    start: Stamp | None = None
    end: Stamp | None = None
    timezone: str | None = None
    approved_at: Stamp | None = None
    created_at: Stamp | None = None
    updated_at: Stamp | None = None
    note: Annotated[str | None, Pii.DROP] = None

    def __post_init__(self) -> None:
        if self.hours is not None and self.hours < 0:
            raise ValueError("hours: are negative")
        if self.type == "clock" and self.start is None:
            raise ValueError("start: is missing in a clock entry")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError("end: lies before start")
