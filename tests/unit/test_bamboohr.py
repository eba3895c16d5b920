"""BambooHR: the connector against its sandbox over a real socket, its staging over what it loaded."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pytest
import requests
from jsonschema import Draft202012Validator

from ingestion.core.errors import AccessError, RefusedError, RetriableError
from ingestion.core.fetch import fetch, plan
from ingestion.core.http import ApiClient
from ingestion.core.load import Loader, StreamResult
from ingestion.core.records import PageDecoder, keyed_hasher, raw_schema
from ingestion.core.settings import PROJECT_ROOT, Settings
from ingestion.core.spec import Limit
from ingestion.core.warehouse import ensure_raw_tables
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.server import Request, Response, RunningSandboxes, json_response, serve
from ingestion.vendors.bamboohr import CONNECTOR
from ingestion.vendors.bamboohr.sandbox import SANDBOX
from ingestion.vendors.bamboohr.transport import error_reason
from tests.staging import rows_in, staging_sql

SHARED = Path(os.environ.get("C4_SHARED") or PROJECT_ROOT.parent / "shared")
ACCOUNT = "hr"
JSON = {"Accept": "application/json"}
HASHER = keyed_hasher(b"k" * 32)


class WatchedSandbox(SANDBOX):
    """The sandbox, keeping what it was asked and able to lose an entry or a permission."""

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.seen: list[Request] = []
        self.deleted: set[int] = set()
        self.hidden: set[str] = set()

    def handle(self, request: Request) -> Response:
        with self.lock:
            self.seen.append(request)
        answer = super().handle(request)
        if answer.status == 200 and (self.deleted or self.hidden):
            rows = msgspec.json.decode(answer.body)
            if isinstance(rows, list):
                kept = [row for row in rows if row["id"] not in self.deleted]
                for row in kept:
                    for name in self.hidden & row.keys():
                        del row[name]
                return json_response(kept)
        return answer


@cache
def company() -> Company:
    """All thirty outlets, so that every time zone is among them; few checks, for nobody reads them here."""
    return Company.build(outlets=30, days=3, checks_per_day=1)


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    with serve(company(), Clock(company().nights()[-1]), [WatchedSandbox]) as sandboxes:
        yield sandboxes
        assert sandboxes.errors("bamboohr") == []


def client(running: RunningSandboxes, api_key: str | None = None) -> ApiClient:
    sandbox = running.sandbox("bamboohr")
    credentials = sandbox.credentials() | ({"api_key": api_key} if api_key else {})
    settings = sandbox.settings(running.url("bamboohr"))
    limit = Limit(per_second=500, concurrent=4)
    return ApiClient(CONNECTOR, ACCOUNT, settings, credentials, limit=limit, sleep=lambda _: None)


def sync(running: RunningSandboxes, data: Path, *, run: int = 1, start: date | None = None) -> dict[str, StreamResult]:
    """One night of the account at the sandbox's clock."""
    calls = client(running)
    now = running.clock.now()
    loader = Loader(Settings.load(data, now), CONNECTOR, ACCOUNT, HASHER)
    loader.prepare()
    results = loader.run(
        CONNECTOR.streams,
        lambda stream, cursors: fetch(
            calls,
            plan(
                stream,
                outlets={},
                settings=calls.settings,
                start_date=start or company().start,
                as_of=now,
                cursors=cursors,
            ),
        ),
        None,
        run_id=run,
        until=now,
    )
    return {result.stream: result for result in results}


def staged(data: Path, model: str, as_of: datetime) -> list[dict[str, Any]]:
    with duckdb.connect(str(data / "warehouse.duckdb")) as connection:
        connection.execute("create schema if not exists raw_c4")
        connection.execute("create or replace table raw_c4.group_settings (as_of timestamptz)")
        connection.execute("insert into raw_c4.group_settings values (?)", [as_of])
    return rows_in(data, staging_sql("bamboohr", model))


def hours_by_outlet(data: Path, now: datetime) -> dict[str, Decimal]:
    """Hours of the staged punches, placed by where HR says that the employee works."""
    outlets = locations()
    people = staged(data, "employees", now)
    places = {row["employee_id"]: outlets[row["source_outlet_id"]] for row in people}
    hours: dict[str, Decimal] = defaultdict(Decimal)
    for punch in staged(data, "punches", now):
        hours[places[punch["employee_id"]]] += punch["hours"]
    return dict(hours)


def locations() -> dict[str, str]:
    return SANDBOX(company(), Clock(company().nights()[-1])).outlets()


def true_hours(now: datetime) -> dict[str, Decimal]:
    """The company's own sum, over all days that have begun by now."""
    hours: dict[str, Decimal] = defaultdict(Decimal)
    for day in company().truth(now).values():
        hours[day.outlet_id] += day.hours
    return dict(hours)


# What lands


def test_hours_and_people_equal_the_company(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: lost or doubled entries, hours through floating point, ids that do not meet, wrong manager."""
    now = running.clock.now()
    results = sync(running, tmp_path)
    assert {name: (result.status, result.rejects) for name, result in results.items()} == {
        stream.name: ("ok", []) for stream in CONNECTOR.streams
    }
    assert hours_by_outlet(tmp_path, now) == true_hours(now)

    punches = {row["punch_id"]: row for row in staged(tmp_path, "punches", now)}
    known = [punch for punch in company().punches() if punch.known_at <= now]
    assert punches.keys() == {str(punch.number) for punch in known}
    for punch in known:
        row = punches[str(punch.number)]
        typed_in = punch.employee.job_title == "Outlet Manager"
        assert (row["employee_id"], row["hours"]) == (str(punch.employee.number), punch.hours)
        assert row["started_at"] == (None if typed_in else punch.started_at)
        assert row["ended_at"] == (None if typed_in else punch.ended_at)
        assert row["is_approved"] == punch.approved
        if typed_in:
            assert row["work_date"] == punch.business_date

    people = {row["employee_id"]: row for row in staged(tmp_path, "employees", now)}
    assert people.keys() == {str(employee.number) for employee in company().employees}
    for employee in company().employees:
        left = employee.left_on is not None
        assert people[str(employee.number)] == {
            "integration_id": ACCOUNT,
            "employee_id": str(employee.number),
            "source_outlet_id": employee.outlet.name,
            "job_title": employee.job_title,
            "department": employee.department,
            "manager_id": str(employee.manager_number) if employee.manager_number else None,
            "employment_status": "Terminated" if left else "Full-Time",
            "hired_on": employee.hired_on,
            "left_on": employee.left_on,
        }
    assert any(employee.left_on for employee in company().employees)

    requested = {row["request_id"]: row for row in staged(tmp_path, "time_off", now)}
    assert requested == {
        str(item.number): {
            "integration_id": ACCOUNT,
            "request_id": str(item.number),
            "employee_id": str(item.employee.number),
            "start_date": item.start,
            "end_date": item.end,
            "kind": item.kind,
            "hours": item.hours,
            "status": item.status,
        }
        for item in company().time_off()
    }


def test_names_contacts_and_notes_reach_no_table(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: a field with personal data declared as a column, in clear or inside a JSON column."""
    sync(running, tmp_path)
    names = {f"{employee.first_name} {employee.last_name}" for employee in company().employees}
    private = {*names, *(employee.email for employee in company().employees), "clinic", "as agreed with"}
    sent = b"".join(
        requests.request(
            request.method,
            f"{running.url('bamboohr')}{request.path}",
            params={name: values[0] for name, values in request.query.items()},
            headers=dict(request.headers),
            data=request.body,
            timeout=10,
        ).content
        for request in list(running.sandbox("bamboohr").seen)
    )
    assert sum(name.encode() in sent for name in names) > 50  # the wire does carry them
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        for _, table in CONNECTOR.tables():
            rows = connection.execute(f"select * from raw_bamboohr.{table.name}").fetchall()
            text = "\n".join(str(row) for row in rows)
            assert rows
            assert [word for word in private if word in text] == [], table.name


def test_a_late_entry_and_a_deleted_one_change_the_hours(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: a window that passes over late entries; a deleted entry that is paid for ever."""
    nights = company().nights()
    running.set_clock(nights[-2])
    sync(running, tmp_path, run=1)
    assert hours_by_outlet(tmp_path, nights[-2]) == true_hours(nights[-2])

    running.set_clock(nights[-1])
    gone = next(punch for punch in company().punches() if punch.business_date == company().start)
    running.sandbox("bamboohr").deleted.add(gone.number)
    sync(running, tmp_path, run=2)
    expected = true_hours(nights[-1])
    last_day = company().dates[-1]
    assert any(p.known_at > nights[-2] and p.business_date < last_day for p in company().punches())
    expected[gone.employee.outlet.outlet_id] -= gone.hours
    assert hours_by_outlet(tmp_path, nights[-1]) == expected


def test_a_lost_permission_is_told_and_nothing_is_lost(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: a field that the key may no longer see, silently turning every outlet's staff homeless."""
    sync(running, tmp_path, run=1)
    running.sandbox("bamboohr").hidden.add("location")
    result = sync(running, tmp_path, run=2)["job_info"]
    assert len(result.rejects) == len(company().employees)
    assert {(reject.field, reject.rule) for reject, _ in result.rejects} == {("location", "required, but missing")}
    people = staged(tmp_path, "employees", running.clock.now())
    assert all(row["source_outlet_id"] for row in people)


# What is asked


def test_windows_are_whole_and_within_reach(running: RunningSandboxes, tmp_path: Path) -> None:
    """Catches: a day between two windows, a request that the vendor refuses as too old or in the future."""
    results = sync(running, tmp_path, start=date(2024, 1, 1))
    assert results["timesheet_entries"].status == "ok"
    today = running.clock.now().astimezone(ZoneInfo("Asia/Jakarta")).date()
    for path, first, last in (
        ("/api/v1/time_tracking/timesheet_entries", today - timedelta(days=364), today),
        ("/api/v1/time_off/requests", date(2023, 12, 31), today + timedelta(days=365)),
    ):
        windows = sorted(
            (date.fromisoformat(request.arg("start")), date.fromisoformat(request.arg("end")))
            for request in running.sandbox("bamboohr").seen
            if request.path == path
        )
        assert (windows[0][0], windows[-1][1]) == (first, last)
        assert all(start <= end for start, end in windows)
        assert all(after[0] == before[1] + timedelta(days=1) for before, after in pairwise(windows))


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    path = SHARED / "specs" / "bamboohr" / "public.yaml"
    if not path.exists():
        pytest.skip(f"the published OpenAPI file is not at {path}")
    return msgspec.yaml.decode(path.read_bytes())


def operation_of(spec: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """The published operation that a request calls."""
    parts, method = request.path.split("/"), request.method.lower()
    for template, methods in spec["paths"].items():
        pattern = template.split("/")
        if method not in methods or len(pattern) != len(parts):
            continue
        if all(a == b or a.startswith("{") for a, b in zip(pattern, parts, strict=True)):
            return methods[method]
    raise AssertionError(f"{request.method} {request.path} is not published")


def validate(spec: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": spec["components"]}).validate(value)


def test_requests_and_answers_follow_the_published_spec(
    running: RunningSandboxes, tmp_path: Path, spec: dict[str, Any]
) -> None:
    """Catches: a path, parameter, body or answer that connector and sandbox share and the vendor has not."""
    sync(running, tmp_path)
    client(running).request("GET", CONNECTOR.probe)
    seen = list(running.sandbox("bamboohr").seen)
    filled = set()
    for request in seen:
        operation = operation_of(spec, request)
        parameters = {p["name"]: p for p in operation.get("parameters", []) if p.get("in") == "query"}
        assert request.query.keys() <= parameters.keys(), request.path
        assert {name for name, p in parameters.items() if p.get("required")} <= request.query.keys()
        assert {"basic": []} in operation["security"], f"{request.path} takes no API key"
        assert request.headers["Accept"] == "application/json"
        if request.body:
            validate(spec, operation["requestBody"]["content"]["application/json"]["schema"], request.json())
        answer = SANDBOX.handle(running.sandbox("bamboohr"), request)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        value = msgspec.json.decode(answer.body)
        validate(spec, schema, value)
        if value:
            filled.add(request.path)
    assert filled == {request.path for request in seen}
    assert len(filled) == len(CONNECTOR.streams) + 1


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/v1/time_tracking/timesheet_entries", "EmployeeTimesheetEntryTransformer"),
        ("/api/v1/time_off/requests", ""),
    ],
)
def test_the_sandbox_invents_no_field(running: RunningSandboxes, spec: dict[str, Any], path: str, schema: str) -> None:
    """Catches: fields of the sandbox's own making, which the vendor's permissive schemas would let pass."""
    today = company().dates[-1].isoformat()
    window = {"start": today, "end": today}
    rows = client(running).request("GET", path, params=window).json()
    published = (
        spec["components"]["schemas"][schema]
        if schema
        else spec["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["items"]
    )
    assert rows
    assert {name for row in rows for name in row} == published["properties"].keys()


# What goes wrong


def test_xml_is_what_comes_unless_json_is_asked_for(running: RunningSandboxes) -> None:
    """Guards the sandbox: without it a connector that forgets the Accept header would pass here."""
    url = f"{running.url('bamboohr')}/api/v1/employees/all/tables/jobInfo"
    key = (running.sandbox("bamboohr").credentials()["api_key"], "x")
    plain = requests.get(url, auth=key, headers={"Accept": None}, timeout=10)
    assert plain.headers["Content-Type"].startswith("application/xml")
    assert requests.get(url, auth=key, headers=JSON, timeout=10).json()


def test_a_wrong_key_needs_a_person(running: RunningSandboxes) -> None:
    with pytest.raises(AccessError):
        client(running, api_key="another").request("GET", CONNECTOR.probe)


def test_each_family_of_errors_gives_its_reason(running: RunningSandboxes) -> None:
    """Catches: a controller who reads "answered 400" and not why."""
    key = (running.sandbox("bamboohr").credentials()["api_key"], "x")

    def ask(path: str, **params: str) -> requests.Response:
        return requests.get(
            f"{running.url('bamboohr')}/api/v1/{path}", params=params, auth=key, headers=JSON, timeout=10
        )

    header_only = ask("employees/all/tables/payslips")
    assert (header_only.status_code, header_only.content) == (404, b"")
    assert error_reason(header_only) == "The table does not exist."
    too_old = ask("time_tracking/timesheet_entries", start="2024-01-01", end="2024-01-07")
    assert too_old.status_code == 400
    assert error_reason(too_old) == "start and end must be within the last 365 days."
    assert error_reason(ask("webhooks/7/log")) is None
    throttled = ask("webhooks/7/log")
    assert throttled.status_code == 200
    assert error_reason(throttled) == "Too many requests. (429)"
    assert error_reason(ask("meta/tables")) is None


def test_throttling_inside_an_ok_answer_is_no_success(running: RunningSandboxes) -> None:
    """Catches: an error body taken for data because its status is 200."""
    calls = client(running)
    calls.request("GET", "api/v1/webhooks/7/log")
    with pytest.raises(RetriableError, match="Too many requests"):
        calls.request("GET", "api/v1/webhooks/7/log")
    running.clock.advance(timedelta(minutes=2))
    assert calls.request("GET", "api/v1/webhooks/7/log").json() == []


def test_a_refused_window_is_an_error(running: RunningSandboxes) -> None:
    with pytest.raises(RefusedError):
        client(running).request("GET", "api/v1/time_off/requests", params={"start": "2026-04-04"})


ENTRY = {
    "id": 1,
    "employeeId": 7,
    "type": "clock",
    "date": "2026-04-04",
    "start": "2026-04-04T22:00:00+07:00",
    "end": "2026-04-05T03:00:00+07:00",
    "hours": 5.0,
    "approved": True,
}
JOB = {"id": "1", "employeeId": "7", "date": "2026-01-01", "location": "Kemang", "jobTitle": "Cook"}
REQUEST = {
    "id": 1,
    "employeeId": 7,
    "start": "2026-04-04",
    "end": "2026-04-05",
    "status": {"status": "approved"},
    "type": {"id": 78, "name": "Annual Leave"},
    "amount": {"unit": "days", "amount": 2},
}


def decode(stream: str, *records: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows of the root table, and (record key, field) of each reject."""
    declared = CONNECTOR.stream(stream)
    constants = dict.fromkeys(declared.constants, "2026-04-06T22:00:00Z")
    decoded = PageDecoder(declared, ACCOUNT, HASHER).decode(
        msgspec.json.encode(records), seq=1, scope="", landing="", constants=constants
    )
    rows = decoded.tables[declared.root.name].to_pylist()
    return rows, [(reject.record_key, reject.field) for reject in decoded.rejects]


@pytest.mark.parametrize(
    ("stream", "good", "change", "field"),
    [
        ("timesheet_entries", ENTRY, {"hours": -1}, "hours"),
        ("timesheet_entries", ENTRY, {"end": "2026-04-04T20:00:00+07:00"}, "end"),
        ("timesheet_entries", ENTRY, {"start": "2026-04-04T22:00:00"}, "start"),
        ("timesheet_entries", ENTRY, {"start": None}, "start"),
        ("timesheet_entries", ENTRY, {"type": "break"}, "type"),
        ("timesheet_entries", ENTRY, {"approved": "yes"}, "approved"),
        ("job_info", JOB, {"date": "01/02/2026"}, "date"),
        ("job_info", JOB, {"jobTitle": 5}, "jobTitle"),
        ("time_off_requests", REQUEST, {"end": "2026-04-01"}, "end"),
        ("time_off_requests", REQUEST, {"amount": {"unit": "days", "amount": -2}}, "amount"),
        ("time_off_requests", REQUEST, {"status": {"status": "lost"}}, "status.status"),
    ],
)
def test_a_bad_record_is_named_and_the_others_land(
    stream: str, good: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    """Catches: a time without a zone taken for UTC, negative hours that lower the cost, silent nulls."""
    ident = str if isinstance(good["id"], str) else int
    rows, rejects = decode(stream, {**good, "id": ident(2)}, {**good, **change})
    assert [row["id"] for row in rows] == [ident(2)]
    assert [name for _, name in rejects] == [field]
    assert all(key for key, _ in rejects)


@pytest.mark.parametrize(
    ("sent", "stored"), [(8.333333333, "8.3333"), (0.1, "0.1"), (7.75, "7.75"), (12, "12"), (None, None)]
)
def test_hours_are_exact_decimals(sent: float | None, stored: str | None) -> None:
    """Catches: hours that a float made longer than the column and that would reject the page."""
    rows, rejects = decode("timesheet_entries", {**ENTRY, "hours": sent})
    assert rejects == []
    assert rows[0]["hours"] == (None if stored is None else Decimal(stored))


# Staging, over rows as the vendor has them in cases that the simulated company never has


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    ensure_raw_tables(Settings.load(tmp_path, datetime(2026, 4, 6, 22, tzinfo=UTC)), [CONNECTOR])
    return tmp_path


def put(data: Path, stream: str, seq: int, records: list[dict[str, Any]], **constants: str) -> None:
    declared = CONNECTOR.stream(stream)
    decoded = PageDecoder(declared, ACCOUNT, HASHER).decode(
        msgspec.json.encode(records), seq=seq, scope="", landing="", constants=constants
    )
    assert decoded.rejects == []
    page = decoded.tables[declared.root.name]
    assert page.schema == raw_schema(declared, declared.root)
    with duckdb.connect(str(data / "warehouse.duckdb")) as connection:
        connection.register("page", page)
        connection.execute(f"insert into raw_bamboohr.{declared.root.name} by name select * from page")


def employee(data: Path, as_of: str) -> dict[str, Any]:
    rows = staged(data, "employees", datetime.fromisoformat(as_of))
    return {name: rows[0][name] for name in ("source_outlet_id", "employment_status", "hired_on", "left_on")}


def test_history_is_read_as_of_the_logical_time(raw: Path) -> None:
    """Catches: a planned move that takes effect early; somebody hired again who counts as gone."""
    put(
        raw,
        "job_info",
        1,
        [
            {**JOB, "id": "3", "date": "2026-05-01", "location": "Sudirman"},
            {**JOB, "id": "1", "date": "0000-00-00", "location": "Kemang"},
            {**JOB, "id": "2", "date": "2026-04-01", "location": "Panakkukang"},
        ],
    )
    history = [
        ("2024-01-10", "Part-Time"),
        ("2024-06-30", "Terminated"),
        ("2026-02-01", "Full-Time"),
        ("2026-03-01", "Contractor"),
        ("2026-04-20", "Terminated"),
    ]
    put(
        raw,
        "employment_status",
        1,
        [
            {"id": str(number), "employeeId": "7", "date": day, "employmentStatus": status}
            for number, (day, status) in enumerate(history, start=1)
        ],
    )
    expected = {
        "2024-03-01T22:00:00+00:00": ("Kemang", "Part-Time", date(2024, 1, 10), None),
        "2025-01-01T22:00:00+00:00": ("Kemang", "Terminated", date(2024, 1, 10), date(2024, 6, 30)),
        "2026-04-06T22:00:00+00:00": ("Panakkukang", "Contractor", date(2026, 2, 1), None),
        "2026-05-02T22:00:00+00:00": ("Sudirman", "Terminated", date(2026, 2, 1), date(2026, 4, 20)),
    }
    assert {as_of: tuple(employee(raw, as_of).values()) for as_of in expected} == expected


def test_an_employee_with_half_a_record_is_still_there(raw: Path) -> None:
    """Catches: an inner join that loses people whose job or status the vendor does not tell."""
    put(raw, "job_info", 1, [{**JOB, "employeeId": "7"}])
    put(
        raw,
        "employment_status",
        1,
        [{"id": "1", "employeeId": "8", "date": "2026-01-01", "employmentStatus": ""}],
    )
    rows = staged(raw, "employees", datetime(2026, 4, 6, 22, tzinfo=UTC))
    assert {row["employee_id"] for row in rows} == {"7", "8"}


def test_an_open_shift_counts_no_hours_and_is_not_approved(raw: Path) -> None:
    """Catches: null hours in a sum, a labor journal posted while somebody is still at work."""
    put(
        raw,
        "timesheet_entries",
        1,
        [{**ENTRY, "end": None, "hours": None}],
        read_until="2026-04-06T22:00:00Z",
    )
    (punch,) = staged(raw, "punches", datetime(2026, 4, 6, 22, tzinfo=UTC))
    assert (punch["hours"], punch["is_approved"], punch["ended_at"]) == (0, False, None)


def test_only_the_last_read_of_a_day_counts(raw: Path) -> None:
    """Catches: a deleted entry that stays; a day outside the last window that vanishes with it."""
    put(
        raw,
        "timesheet_entries",
        1,
        [{**ENTRY, "id": 1}, {**ENTRY, "id": 2, "date": "2026-01-02"}],
        read_until="2026-04-05T22:00:00Z",
    )
    put(raw, "timesheet_entries", 100, [{**ENTRY, "id": 3}], read_until="2026-04-06T22:00:00Z")
    punches = staged(raw, "punches", datetime(2026, 4, 6, 22, tzinfo=UTC))
    assert {punch["punch_id"] for punch in punches} == {"2", "3"}


def test_days_off_become_hours(raw: Path) -> None:
    put(raw, "time_off_requests", 1, [REQUEST])
    (row,) = staged(raw, "time_off", datetime(2026, 4, 6, 22, tzinfo=UTC))
    assert (row["hours"], row["kind"], row["status"]) == (16, "Annual Leave", "approved")
