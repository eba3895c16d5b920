"""Windows and fan-out: which time is read again, and what one failing outlet may cost the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from ingestion.core.auth import basic
from ingestion.core.errors import AccessError, CircuitOpenError, PageError, RefusedError, RetriableError
from ingestion.core.fetch import (
    QUEUE_PAGES,
    Event,
    FetchContext,
    Page,
    Plan,
    ScopeDone,
    ScopeFailed,
    fetch,
    fill,
    plan,
)
from ingestion.core.http import ApiClient, Breaker
from ingestion.core.paging import ShortPagePaginator
from ingestion.core.records import Record, Reject
from ingestion.core.spec import Category, Connector, Cursor, Limit, Scope, Stream, Table
from ingestion.sandbox.clock import Clock
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Request, Response, RunningSandboxes, Sandbox, json_response, serve

JAKARTA, JAYAPURA, SYDNEY = (ZoneInfo(name) for name in ("Asia/Jakarta", "Asia/Jayapura", "Australia/Sydney"))
HONOLULU = ZoneInfo("Pacific/Honolulu")
NIGHT = datetime(2026, 4, 7, 22, tzinfo=UTC)
START = date(2026, 4, 4)


class Row(Record):
    id: int


def stream(**options: Any) -> Stream:
    return Stream("checks", (Table("checks", Row, ("id",)),), **options)


def planned(
    declared: Stream, cursors: Mapping[str, str] | None = None, as_of: datetime = NIGHT, **zones: ZoneInfo
) -> Plan:
    return plan(
        declared,
        outlets=zones or {"o1": JAKARTA},
        settings={"business_id": "b1"},
        start_date=START,
        as_of=as_of,
        cursors=cursors or {},
    )


def window(made: Plan, scope: str = "") -> tuple[datetime, datetime]:
    (values,) = made.scopes[scope]
    return values["since"], values["until"]


def days(made: Plan, scope: str = "o1") -> list[date]:
    return [values["day"] for values in made.scopes[scope]]


# Windows


def test_the_first_run_reads_from_before_the_first_business_date_anywhere() -> None:
    """Catches: the first morning of an outlet east of Greenwich, whose date began the evening before in UTC."""
    since, until = window(planned(stream(cursor=Cursor())))
    assert since <= datetime(2026, 4, 4, tzinfo=ZoneInfo("Pacific/Kiritimati"))
    assert since == datetime(2026, 4, 3, tzinfo=UTC)
    assert until == NIGHT


def test_a_later_run_looks_back_from_its_cursor() -> None:
    """Catches: late edits that fall between two windows."""
    last = "2026-04-06T22:00:00+00:00"
    assert window(planned(stream(cursor=Cursor(timedelta(hours=6))), {"": last}))[0] == datetime(
        2026, 4, 6, 16, tzinfo=UTC
    )
    assert window(planned(stream(window_days=2), {"": last}))[0] == datetime(2026, 4, 4, 22, tzinfo=UTC)


def test_a_look_back_never_reaches_before_the_start() -> None:
    """Catches: years of history that nobody asked for, before the company's books began."""
    made = planned(stream(cursor=Cursor(timedelta(days=60))), {"": "2026-04-06T22:00:00+00:00"})
    assert window(made)[0] == datetime(2026, 4, 3, tzinfo=UTC)


def test_a_cursor_in_another_zone_is_the_same_instant() -> None:
    made = planned(stream(cursor=Cursor(timedelta())), {"": "2026-04-07T05:00:00+07:00"})
    assert window(made)[0] == datetime(2026, 4, 6, 22, tzinfo=UTC)


def test_outlets_have_their_own_cursors_and_unknown_ones_are_ignored() -> None:
    """Catches: a new outlet that starts at another's cursor; a closed outlet's cursor that ends the run."""
    declared = stream(scope=Scope.OUTLET, cursor=Cursor(timedelta(days=1)))
    made = planned(declared, {"o1": "2026-04-06T22:00:00+00:00", "gone": "nonsense"}, o1=JAKARTA, o2=JAKARTA)
    assert set(made.scopes) == {"o1", "o2"}
    assert window(made, "o1")[0] == datetime(2026, 4, 5, 22, tzinfo=UTC)
    assert window(made, "o2")[0] == datetime(2026, 4, 3, tzinfo=UTC)
    assert [values["outlet"] for values in made.scopes["o2"]] == ["o2"]


def test_requests_know_their_window_in_every_form() -> None:
    (values,) = planned(stream(cursor=Cursor())).scopes[""]
    assert values["since_epoch"] == 1775174400
    assert values["until_epoch"] == int(NIGHT.timestamp())
    assert (values["since_date"], values["until_date"]) == (date(2026, 4, 3), date(2026, 4, 7))
    assert values["business_id"] == "b1"
    assert fill({"q": ["{since:%Y-%m-%d}", {"b": "{business_id}"}], "limit": 5}, values) == {
        "q": ["2026-04-03", {"b": "b1"}],
        "limit": 5,
    }


OUTLET_DAYS = stream(scope=Scope.OUTLET_DAY, window_days=2)


def test_outlet_days_are_the_local_days_that_are_over() -> None:
    """Catches: a day that is read before it ends, or one day too few in the east or the west."""
    made = planned(OUTLET_DAYS, o1=JAKARTA, o2=HONOLULU)
    april = [date(2026, 4, day) for day in range(4, 9)]
    assert days(made, "o1") == april[:4]  # 05:00 on the 8th in Jakarta: the 7th is over
    assert days(made, "o2") == april[:3]  # noon on the 7th in Honolulu


def test_a_day_is_over_at_midnight_sharp() -> None:
    midnight = datetime(2026, 4, 6, tzinfo=JAKARTA).astimezone(UTC)
    assert days(planned(OUTLET_DAYS, as_of=midnight))[-1] == date(2026, 4, 5)
    assert days(planned(OUTLET_DAYS, as_of=midnight - timedelta(seconds=1)))[-1] == date(2026, 4, 4)


def test_outlet_days_are_read_again_for_the_window() -> None:
    made = planned(OUTLET_DAYS, {"o1": "2026-04-06T22:00:00+00:00"})
    assert days(made) == [date(2026, 4, 5), date(2026, 4, 6), date(2026, 4, 7)]


def test_before_the_start_there_are_no_outlet_days() -> None:
    assert days(planned(OUTLET_DAYS, as_of=datetime(2026, 4, 1, tzinfo=UTC))) == []


@pytest.mark.parametrize(
    ("as_of", "last"),
    [
        # Sydney leaves daylight saving on 2026-04-05 at 03:00: the day has 25 hours and ends at 14:00 UTC
        (datetime(2026, 4, 5, 13, 59, tzinfo=UTC), date(2026, 4, 4)),
        (datetime(2026, 4, 5, 14, 0, tzinfo=UTC), date(2026, 4, 5)),
        # and the day before, in daylight saving, ended at 13:00 UTC
        (datetime(2026, 4, 4, 12, 59, tzinfo=UTC), None),
        (datetime(2026, 4, 4, 13, 0, tzinfo=UTC), date(2026, 4, 4)),
    ],
)
def test_a_day_of_25_hours_ends_when_it_ends(as_of: datetime, last: date | None) -> None:
    """Catches: days counted in steps of 24 hours."""
    found = days(planned(OUTLET_DAYS, as_of=as_of, o1=SYDNEY))
    assert found == [date(2026, 4, day) for day in range(4, last.day + 1)] if last else found == []


def test_a_month_around_the_change_of_clocks_has_every_day_once() -> None:
    cursor = {"o1": "2026-04-20T14:00:00+00:00"}
    made = planned(stream(scope=Scope.OUTLET_DAY, window_days=20), cursor, datetime(2026, 4, 21, tzinfo=UTC), o1=SYDNEY)
    assert days(made) == [date(2026, 4, day) for day in range(4, 21)]


# Fetching


class Pos(Sandbox):
    """Two pages of checks for every outlet and day; `broken` says what an outlet answers instead."""

    vendor = "pos"
    pages = 2

    def __init__(self, company: Company, clock: Clock) -> None:
        super().__init__(company, clock)
        self.broken: dict[tuple[str, str], Response] = {}  # by outlet and page or day

    def handle(self, request: Request) -> Response:
        outlet, page, day = (request.arg(name) for name in ("outlet", "page", "day"))
        broken = self.broken.get((outlet, page)) or self.broken.get((outlet, day)) or self.broken.get((outlet, "*"))
        if broken:
            return broken
        return json_response([{"id": int(page or 1)}] * (2 if int(page or 1) < self.pages else 1))


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    with serve(cast(Company, None), Clock(NIGHT), [Pos]) as made:
        yield made
        assert made.errors("pos") == []


@pytest.fixture
def pos(running: RunningSandboxes) -> Pos:
    return cast(Pos, running.sandbox("pos"))


def client(running: RunningSandboxes, concurrent: int = 4, breaker: Breaker | None = None) -> ApiClient:
    connector = Connector(
        name="pos",
        category=Category.POS,
        title="POS",
        streams=(),
        auth=lambda *_: basic("a", "b"),
        limit=Limit(1, concurrent=64),
    )
    return ApiClient(
        connector,
        "pos-1",
        {"base_url": running.url("pos"), "timeout": "10"},
        {},
        limit=Limit(10_000, concurrent),
        breaker=breaker,
        sleep=lambda _: None,
    )


PAGED = stream(
    path="checks",
    scope=Scope.OUTLET,
    params={"outlet": "{outlet}"},
    constants={"source_outlet_id": "{outlet}"},
    paginator=lambda: ShortPagePaginator("page", 2, ""),
)
DAILY = stream(
    path="checks",
    scope=Scope.OUTLET_DAY,
    params={"outlet": "{outlet}", "day": "{day}"},
    constants={"day": "{day}"},
)


def outlets(*names: str) -> dict[str, ZoneInfo]:
    return dict.fromkeys(names, JAKARTA)


def ends(events: list[Event]) -> dict[str, type[Exception] | None]:
    done: dict[str, type[Exception] | None] = {event.scope: None for event in events if isinstance(event, ScopeDone)}
    return done | {event.scope: type(event.error) for event in events if isinstance(event, ScopeFailed)}


def pages(events: list[Event]) -> Counter[str]:
    return Counter(event.scope for event in events if isinstance(event, Page))


def fetch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fetch")]


def test_every_outlet_is_read_to_its_end(running: RunningSandboxes) -> None:
    """Catches: a lost last page, an outlet that never ends, pages ascribed to another outlet."""
    events = list(fetch(client(running), planned(PAGED, **outlets("o1", "o2", "o3", "o4", "o5"))))
    assert ends(events) == dict.fromkeys(["o1", "o2", "o3", "o4", "o5"])
    assert set(pages(events).values()) == {2}
    for event in events:
        if isinstance(event, Page):
            assert event.constants == {"source_outlet_id": event.scope}
    last = {event.scope: number for number, event in enumerate(events)}
    assert all(isinstance(events[number], ScopeDone) for number in last.values())
    assert fetch_threads() == []


def test_one_failing_outlet_costs_only_itself_and_its_pages_are_kept(running: RunningSandboxes, pos: Pos) -> None:
    """Catches: an outlet whose subscription ended that stops the whole group's night."""
    pos.broken["o2", "2"] = json_response({}, 404)
    pos.broken["o3", "*"] = json_response({}, 403)
    running.faults("pos").add(Fault(kind=FaultKind.ERROR, path="*outlet=o4*", count=None))
    events = list(fetch(client(running), planned(PAGED, **outlets("o1", "o2", "o3", "o4", "o5"))))
    assert ends(events) == {"o1": None, "o2": RefusedError, "o3": RefusedError, "o4": RetriableError, "o5": None}
    assert pages(events) == {"o1": 2, "o2": 1, "o5": 2}


def test_refused_credentials_fail_every_outlet_without_asking_for_each(running: RunningSandboxes, pos: Pos) -> None:
    """Catches: an account that is locked because thirty outlets try the same wrong password."""
    names = [f"o{number}" for number in range(30)]
    pos.broken = {(name, "*"): json_response({}, 401) for name in names}
    events = list(fetch(client(running, concurrent=2), planned(PAGED, **outlets(*names))))
    assert ends(events) == dict.fromkeys(names, AccessError)
    assert running.requests("pos")["GET /checks"] <= 2


class Shut:
    def allow(self) -> bool:
        return False

    def success(self) -> None: ...
    def failure(self) -> None: ...


def test_an_open_breaker_fails_every_outlet(running: RunningSandboxes) -> None:
    events = list(fetch(client(running, breaker=Shut()), planned(PAGED, **outlets("o1", "o2", "o3"))))
    assert ends(events) == dict.fromkeys(["o1", "o2", "o3"], CircuitOpenError)
    assert not running.requests("pos")


def test_a_page_that_cannot_be_read_is_handed_on_with_its_day(running: RunningSandboxes, pos: Pos) -> None:
    """Catches: bytes that nobody can look at later, or that are kept under the first day of the window."""
    pos.broken["o1", "2026-04-05"] = Response(200, b"<html>")
    events = list(fetch(client(running), planned(DAILY)))
    kept = [(event.kind, event.constants["day"], event.content) for event in events if isinstance(event, Page)]
    assert kept == [("page", "2026-04-04", b'[{"id":1},{"id":1}]'), ("rejected", "2026-04-05", b"<html>")]
    assert ends(events) == {"o1": PageError}


def test_a_consumer_that_goes_away_leaves_no_threads(running: RunningSandboxes, pos: Pos) -> None:
    """Catches: threads that wait for ever to hand over a page that nobody wants."""
    pos.pages = 10 * QUEUE_PAGES
    events = fetch(client(running), planned(PAGED, **outlets("o1", "o2", "o3", "o4", "o5", "o6")))
    assert isinstance(next(events), Page)
    assert fetch_threads()
    cast(Any, events).close()
    assert fetch_threads() == []
    assert sum(running.requests("pos").values()) < 3 * 10 * QUEUE_PAGES


def test_an_unexpected_error_in_a_connector_is_told_for_its_scope(running: RunningSandboxes) -> None:
    """Catches: a bug in one vendor's code that ends the run without a word, or hangs it."""
    broken = stream(path="checks/{no_such_setting}", scope=Scope.OUTLET)
    events = list(fetch(client(running), planned(broken, **outlets("o1", "o2"))))
    assert {event.scope: str(event.error) for event in events if isinstance(event, ScopeFailed)} == {
        "o1": "KeyError: 'no_such_setting'",
        "o2": "KeyError: 'no_such_setting'",
    }


def read_file(context: FetchContext) -> Iterator[Page]:
    context.reject(record_key="f.csv#1", field="total", rule="is not a number", row=1, business_date=START)
    yield context.page(b"[]", day="2026-04-04")
    context.reject(record_key="f.csv#2", field="total", rule="is missing", row=2)
    if context.scope == "o2":
        raise RetriableError("the folder went away")
    context.reject(record_key="f.csv#3", field="", rule="is empty", row=3)


def test_rows_that_never_became_records_are_told_even_when_the_fetch_fails(running: RunningSandboxes) -> None:
    """Catches: rejects that are lost with the error that follows them."""
    files = stream(fetch=read_file, scope=Scope.OUTLET, constants={"outlet": "{outlet}"})
    events = list(fetch(client(running), planned(files, **outlets("o1", "o2"))))
    rejects = {(event.scope, event.record_key, event.row) for event in events if isinstance(event, Reject)}
    assert rejects == {
        ("o1", "f.csv#1", 1),
        ("o1", "f.csv#2", 2),
        ("o1", "f.csv#3", 3),
        ("o2", "f.csv#1", 1),
        ("o2", "f.csv#2", 2),
    }
    assert ends(events) == {"o1": None, "o2": RetriableError}
    constants = [event.constants for event in events if isinstance(event, Page) and event.scope == "o1"]
    assert constants == [{"outlet": "o1", "day": "2026-04-04"}]


def test_no_outlets_is_no_error(running: RunningSandboxes) -> None:
    empty = plan(PAGED, outlets={}, settings={}, start_date=START, as_of=NIGHT, cursors={})
    assert list(fetch(client(running), empty)) == []
