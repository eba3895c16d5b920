"""A local BambooHR account over the simulated company.

Written from the vendor's published OpenAPI file (paths, shapes, error bodies) and its documentation pages
"Tabular Data" and "List of field names" (columns of the tables, field names, XML). Its manners on purpose:
XML unless JSON is asked for, reasons of legacy errors only in a header, ids as strings here and integers
there, dates of the company's own time zone, `0000-00-00` for an empty date.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from ingestion.sandbox.clock import Clock
from ingestion.sandbox.model import SimEmployee, SimPunch, SimTimeOff
from ingestion.sandbox.server import Request, Response, Sandbox, json_response

if TYPE_CHECKING:
    from ingestion.sandbox.company import Company

API_KEY = "c4-sandbox-bamboohr-key"
COMPANY_ZONE = ZoneInfo("Asia/Jakarta")
PREFIX = "/api/v1/"
TABLE = re.compile(r"^employees/(?P<id>all|\d+)/tables/(?P<table>\w+)$")
WEBHOOK_LOG = re.compile(r"^webhooks/\d+/log$")
EMPTY_DATE = "0000-00-00"
SALARIED_JOB = "Outlet Manager"  # types the hours of a day in, instead of clocking
LOG_PAUSE = timedelta(minutes=1)
TIMESHEET_REACH = timedelta(days=365)


class BambooHrSandbox(Sandbox):
    vendor = "bamboohr"

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self._employees = {employee.number: employee for employee in company.employees}
        self._punches: dict[date, list[SimPunch]] = {}
        self._log_read_at: datetime | None = None

    def credentials(self) -> dict[str, str]:
        return {"api_key": API_KEY}

    def settings(self, base_url: str) -> dict[str, str]:
        return {"base_url": base_url, "company_timezone": COMPANY_ZONE.key}

    def outlets(self) -> dict[str, str]:
        """Locations are told by name, and an outlet is a location."""
        return {outlet.name: outlet.outlet_id for outlet in self.company.outlets}

    def handle(self, request: Request) -> Response:
        rest = request.path.removeprefix(PREFIX).rstrip("/") if request.path.startswith(PREFIX) else ""
        modern = rest.startswith("time_tracking/")
        refuse = _problem if modern else _header_only
        if not _authorized(request):
            return refuse(401, "Unauthorized. Invalid API credentials.")
        if table := TABLE.match(rest):
            return self._table(request, table["id"], table["table"])
        if WEBHOOK_LOG.match(rest):
            return self._webhook_log()
        routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "meta/tables"): self._tables,
            ("POST", "reports/custom"): self._report,
            ("GET", "time_off/requests"): self._time_off,
            ("GET", "time_tracking/timesheet_entries"): self._timesheet,
        }
        route = routes.get((request.method, rest))
        return route(request) if route else refuse(404, "Bad request url.")

    def _today(self) -> date:
        return self.clock.now().astimezone(COMPANY_ZONE).date()

    # Employee tables

    def _table(self, request: Request, who: str, table: str) -> Response:
        render = {"jobInfo": self._job_info, "employmentStatus": _employment_status}.get(table)
        if render is None:
            return _header_only(404, "The table does not exist.")
        if who == "all":
            chosen = list(self._employees.values())
        elif int(who) in self._employees:
            chosen = [self._employees[int(who)]]
        else:
            return _header_only(404, "The employee does not exist.")
        rows = [row for employee in chosen for row in render(employee)]
        return _legacy(request, rows, "table", "row")

    def _job_info(self, employee: SimEmployee) -> list[dict[str, Any]]:
        brought_in = employee.number % 23 == 0  # imported from an older system, without its date
        return [
            {
                "id": str(employee.number * 10 + 1),
                "employeeId": str(employee.number),
                "date": EMPTY_DATE if brought_in else employee.hired_on.isoformat(),
                "location": employee.outlet.name,
                "department": employee.department,
                "division": employee.outlet.entity.name,
                "jobTitle": employee.job_title,
                "reportsTo": self._manager_name(employee),
            }
        ]

    def _manager_name(self, employee: SimEmployee) -> str:
        return "" if employee.manager_number is None else _name(self._employees[employee.manager_number])

    def _tables(self, request: Request) -> Response:
        aliases = {
            "jobInfo": ("date", "location", "department", "division", "jobTitle", "reportsTo"),
            "employmentStatus": ("date", "employmentStatus", "comment"),
        }
        tables = [
            {
                "alias": alias,
                "fields": [
                    {
                        "id": 4000 + number,
                        "name": name,
                        "alias": name,
                        "type": "date" if name == "date" else "text",
                    }
                    for number, name in enumerate(names)
                ],
            }
            for alias, names in aliases.items()
        ]
        return _legacy(request, tables, "tables", "table")

    # Reports

    def _report(self, request: Request) -> Response:
        wanted = request.arg("format", "").lower() or _format_of(request.headers.get("Accept", ""))
        if wanted != "json":
            return _header_only(404, "Report format not found.")
        if request.headers.get("Content-Type") != "application/json":
            return _header_only(400, "Malformed XML")
        try:
            asked = request.json()["fields"]
        except (ValueError, KeyError, TypeError):
            return _header_only(400, "Malformed JSON")
        fields = {name: REPORT_FIELDS[name] for name in asked if name in REPORT_FIELDS}  # unknown: silently left out
        return json_response(
            {
                "title": "Report",
                "fields": [{"id": name, "type": "text", "name": name} for name in fields],
                "employees": [
                    {"id": str(number), **{name: read(employee) for name, read in fields.items()}}
                    for number, employee in self._employees.items()
                ],
            }
        )

    # Time off

    def _time_off(self, request: Request) -> Response:
        window = _window(request)
        if window is None:
            return _header_only(400, "Invalid or missing start/end date.")
        start, end = window
        statuses = [status for status in request.arg("status").split(",") if status]
        today = self._today()
        kinds = sorted({item.kind for item in self.company.time_off()})
        found = [
            _time_off_request(item, kinds.index(item.kind), notes=not request.arg("excludeNote"))
            for item in self.company.time_off()
            if item.start <= end and item.end >= start and item.created_on <= today
            if not statuses or item.status in statuses
            if request.arg("employeeId") in ("", str(item.employee.number))
        ]
        return _legacy(request, found, "requests", "request")

    # Time tracking

    def _timesheet(self, request: Request) -> Response:
        window = _window(request)
        if window is None:
            return _problem(400, "start and end must be dates of the form YYYY-MM-DD.")
        start, end = window
        today = self._today()
        if not (today - TIMESHEET_REACH <= start <= end <= today):
            return _problem(400, "start and end must be within the last 365 days.")
        employees = request.arg("employeeIds")
        if employees and not re.fullmatch(r"\d+(,\d+)*", employees):
            return _problem(400, "employeeIds is malformed.")
        chosen = {int(number) for number in employees.split(",")} if employees else None
        now = self.clock.now()
        by_date = self._punches_by_date()
        return json_response(
            [
                _timesheet_entry(punch, day, now)
                for day in (start + timedelta(days=n) for n in range((end - start).days + 1))
                for punch in by_date.get(day, ())
                if punch.known_at <= now and (chosen is None or punch.employee.number in chosen)
            ]
        )

    def _punches_by_date(self) -> dict[date, list[SimPunch]]:
        with self.lock:
            if not self._punches:
                found = defaultdict(list)
                for punch in self.company.punches():
                    found[_entry_date(punch)].append(punch)
                self._punches = dict(found)
            return self._punches

    # Webhooks

    def _webhook_log(self) -> Response:
        """The delivery log says "too often" inside an HTTP 200 answer."""
        with self.lock:
            now = self.clock.now()
            if self._log_read_at is not None and now - self._log_read_at < LOG_PAUSE:
                return json_response({"error": {"code": 429, "message": "Too many requests."}})
            self._log_read_at = now
        return json_response([])


REPORT_FIELDS: dict[str, Callable[[SimEmployee], str]] = {
    "jobTitle": lambda employee: employee.job_title,
    "department": lambda employee: employee.department,
    "location": lambda employee: employee.outlet.name,
    "hireDate": lambda employee: employee.hired_on.isoformat(),
    "terminationDate": lambda employee: employee.left_on.isoformat() if employee.left_on else EMPTY_DATE,
    "supervisorEId": lambda employee: str(employee.manager_number or ""),
    "firstName": lambda employee: employee.first_name,
    "lastName": lambda employee: employee.last_name,
    "workEmail": lambda employee: employee.email,
}


def _name(employee: SimEmployee) -> str:
    return f"{employee.first_name} {employee.last_name}"


def _employment_status(employee: SimEmployee) -> list[dict[str, Any]]:
    rows = [_status_row(employee, 1, employee.hired_on, "Full-Time")]
    if employee.left_on is not None:  # entered when notice is given: may lie in the future
        rows.append(_status_row(employee, 2, employee.left_on, "Terminated"))
    return rows


def _status_row(employee: SimEmployee, number: int, since: date, status: str) -> dict[str, Any]:
    return {
        "id": str(employee.number * 10 + number),
        "employeeId": str(employee.number),
        "date": since.isoformat(),
        "employmentStatus": status,
        "comment": f"Agreed with {_name(employee)}" if status == "Terminated" else "",
        "terminationReasonId": "4" if status == "Terminated" else None,
        "terminationTypeId": "1" if status == "Terminated" else None,
        "terminationRehireId": None,
    }


def _time_off_request(item: SimTimeOff, kind: int, *, notes: bool) -> dict[str, Any]:
    days = [item.start + timedelta(days=n) for n in range((item.end - item.start).days + 1)]
    share = (item.hours / len(days)).quantize(Decimal("0.01"))
    amounts = {day.isoformat(): share for day in days}
    amounts[item.end.isoformat()] = item.hours - share * (len(days) - 1)
    found: dict[str, Any] = {
        "id": item.number,
        "employeeId": item.employee.number,
        "name": _name(item.employee),
        "start": item.start.isoformat(),
        "end": item.end.isoformat(),
        "created": item.created_on.isoformat(),
        "status": {
            "lastChanged": item.created_on.isoformat(),
            "lastChangedByUserId": 2401,
            "status": item.status,
        },
        "type": {"id": 78 + kind, "name": item.kind, "icon": "palm-trees"},
        "amount": {"unit": "hours", "amount": item.hours},
        "actions": {name: name == "view" for name in ("view", "edit", "cancel", "approve", "deny", "bypass")},
        "dates": amounts,
    }
    if notes:
        found["notes"] = {"employee": f"{item.employee.first_name} has an appointment at the clinic"}
    return found


def _entry_date(punch: SimPunch) -> date:
    """The company's calendar date of the clock-in; hours typed in carry the day that the person worked."""
    if punch.employee.job_title == SALARIED_JOB:
        return punch.business_date
    return punch.started_at.astimezone(COMPANY_ZONE).date()


def _timesheet_entry(punch: SimPunch, day: date, now: datetime) -> dict[str, Any]:
    zone = ZoneInfo(punch.employee.outlet.timezone)
    clocked = punch.employee.job_title != SALARIED_JOB
    touched = punch.updated_at <= now
    approved = punch.approved and touched
    return {
        "id": punch.number,
        "employeeId": punch.employee.number,
        "type": "clock" if clocked else "hour",
        "date": day.isoformat(),
        "start": punch.started_at.astimezone(zone).isoformat() if clocked else None,
        "end": punch.ended_at.astimezone(zone).isoformat() if clocked else None,
        "timezone": punch.employee.outlet.timezone if clocked else None,
        "hours": punch.hours,
        "note": None if clocked else f"as agreed with {_name(punch.employee)}",
        "projectInfo": None,
        "approvedAt": _stamp(punch.updated_at) if approved else None,
        "approved": approved,
        "createdAt": _stamp(punch.known_at),
        "updatedAt": _stamp(punch.updated_at) if touched else None,
    }


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _window(request: Request) -> tuple[date, date] | None:
    """The start and end of a listing, both included; None where they make no window."""
    try:
        start, end = date.fromisoformat(request.arg("start")), date.fromisoformat(request.arg("end"))
    except ValueError:
        return None
    return (start, end) if start <= end else None


def _authorized(request: Request) -> bool:
    """HTTP Basic: the API key is the user name, the password is anything."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return user == API_KEY and password != ""


def _header_only(status: int, reason: str) -> Response:
    """A legacy error: the body is empty."""
    return Response(status, headers={"X-BambooHR-Error-Message": reason})


def _problem(status: int, detail: str) -> Response:
    """A newer error: RFC 7807."""
    answer = json_response(
        {"type": "about:blank", "title": "The request failed", "status": status, "detail": detail}, status
    )
    answer.content_type = "application/problem+json"
    return answer


def _format_of(accept: str) -> str:
    return {"application/json": "json", "text/xml": "xml", "text/csv": "csv"}.get(accept, "")


def _legacy(request: Request, rows: list[dict[str, Any]], root: str, element: str) -> Response:
    """JSON where it is asked for, else XML."""
    if "application/json" in request.headers.get("Accept", ""):
        return json_response(rows)
    body = "".join(f"<{element} id={quoteattr(str(row.get('id', '')))}>{_xml_fields(row)}</{element}>" for row in rows)
    text = f'<?xml version="1.0"?>\n<{root}>{body}</{root}>'
    return Response(200, text.encode(), "application/xml; charset=utf-8")


def _xml_fields(row: dict[str, Any]) -> str:
    return "".join(
        f"<field id={quoteattr(name)}>{escape('' if value is None else str(value))}</field>"
        for name, value in row.items()
        if name != "id"
    )


SANDBOX = BambooHrSandbox
