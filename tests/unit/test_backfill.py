"""Backfills against sandboxes on real sockets: what they restore, what they must leave alone, where they go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from assets.platform import AS_OF_TAG, PlatformResource
from ingestion.core import fetch
from ingestion.core.backfill import API, LANDING, BackfillError, BackfillReport, Listener, Slice, backfill
from ingestion.core.http import Limiter
from ingestion.core.load import Lane
from ingestion.core.ops.backfills import Asked
from ingestion.core.ops.crypto import Keyring
from ingestion.core.ops.leases import LeaseHeldError
from ingestion.core.ops.store import Ops
from ingestion.core.spec import Cursor, Limit, Scope, Stream, Table
from ingestion.core.sync import replay, sync
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.vendors.moka.records import Outlet
from orchestration.cli.app import app
from orchestration.jobs import backfill_job
from tests import postgres as pg
from tests.stand import FIRST_DAY, Stand, company, no_sleep

JAKARTA, HONOLULU = ZoneInfo("Asia/Jakarta"), ZoneInfo("Pacific/Honolulu")
ACCOUNT = "pawoon-group"
VENDOR = "pawoon"  # it tells no versions: of two deliveries only their order says which counts
LAST_DAY = FIRST_DAY + timedelta(days=1)


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def either_warehouse(request: pytest.FixtureRequest) -> Iterator[None]:
    """The tests run on both engines."""
    with pytest.MonkeyPatch.context() as patched, ExitStack() as stack:
        patched.delenv("C4_WAREHOUSE", raising=False)
        if request.param == "postgres":
            server = request.getfixturevalue("postgres_server")
            patched.setenv("C4_WAREHOUSE", stack.enter_context(pg.database(server)))
        yield


@pytest.fixture(scope="module")
def read(either_warehouse: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A till that was read night by night, late edits of the first day included; no test leaves another state."""
    with opened(tmp_path_factory.mktemp("read")) as made:
        for night in made.company.nights():
            made.set_clock(night)
            assert all(report.status == "ok" for report in made.sync_all())
        yield made


@pytest.fixture(scope="module")
def read_rows(read: Stand) -> dict[str, list[Any]]:
    """Of that till, from its own warehouse."""
    return read.live(VENDOR)


@pytest.fixture
def till(
    either_warehouse: None, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stand]:
    """A till that was never read, in a warehouse of its own."""
    if "C4_WAREHOUSE" in os.environ:
        monkeypatch.setenv("C4_WAREHOUSE", request.getfixturevalue("postgres"))
    with opened(tmp_path) as made:
        yield made


def opened(root: Path) -> AbstractContextManager[Stand]:
    return Stand.open(root, [VENDOR], company(outlets=2, days=2, checks_per_day=6, pos=(VENDOR,)), days=2)


def outlets(stand: Stand) -> dict[str, str]:
    return stand.platform().config.integration(ACCOUNT).outlets


def run(
    stand: Stand,
    source: str,
    first: date = FIRST_DAY,
    last: date = LAST_DAY,
    listener: Listener = lambda *_: None,
    **more: Any,
) -> BackfillReport:
    asked = Asked(ACCOUNT, source, first, last, **more)
    return backfill(stand.platform(), asked, "budi", listener, no_sleep)


def state(stand: Stand) -> dict[str, Any]:
    """What nights go by: watermarks, cursors, and the runs that the marts know."""
    tables = stand.platform().ops.snapshot()
    cursors = stand.query(
        "select state from raw_pawoon._dlt_pipeline_state where pipeline_name not like 'c4_backfill%' "
        "order by version desc limit 1"
    )
    return {"watermarks": tables["watermarks"][1], "runs": tables["sync_runs"][1], "cursors": cursors}


def from_dagster(stand: Stand, asked: dict[str, str]) -> bool:
    config = {"integration": ACCOUNT, **asked}
    ended = backfill_job().execute_in_process(
        run_config={
            "ops": {"read_again": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "ERROR"}}},
        },
        resources={"platform": PlatformResource(data=str(stand.root))},
        tags={AS_OF_TAG: stand.now.isoformat()},
    )
    return bool(ended.success)


def from_the_command_line(stand: Stand, asked: dict[str, str]) -> bool:
    words = [
        "--from",
        asked["first"],
        "--to",
        asked["last"],
        "--source",
        asked["source"],
        "--streams",
        asked["streams"],
    ]
    here = {"C4_DATA": str(stand.root), "C4_AS_OF": stand.now.isoformat()}
    ended = CliRunner(env=here).invoke(app, ["backfill", ACCOUNT, *words])
    return ended.exit_code == 0


@pytest.mark.parametrize(("source", "door"), [(API, from_dagster), (LANDING, from_the_command_line)])
def test_a_range_that_is_loaded_stays_as_it_is(
    read: Stand, source: str, door: Callable[[Stand, dict[str, str]], bool]
) -> None:
    """Catches: a backfill that doubles rows or puts an older delivery over a newer one; a cursor or a watermark that it
    moves, so that the next night passes over something or reads for days; a call for what lies in the landing zone.
    """
    before, known, calls = read.live(VENDOR), state(read), read.running.requests(VENDOR)
    day = FIRST_DAY.isoformat()
    runs = read.platform().ops.last_run()
    assert door(read, {"first": day, "last": day, "source": source, "streams": "transactions,summary"})
    assert read.platform().ops.last_run() > runs, "nothing was loaded"
    assert read.live(VENDOR) == before
    assert state(read) == known
    assert (read.running.requests(VENDOR) == calls) is (source == LANDING)


def test_an_older_delivery_never_comes_over_a_newer_one(read: Stand) -> None:
    """Catches: the first night's pages replayed alone, which bring back what was voided since."""
    before = read.live(VENDOR)
    first_night, *later = read.platform().landing.batches(VENDOR, ACCOUNT, "transactions")
    assert later
    ended = replay(read.platform(), ACCOUNT, only=["transactions"], batches=[first_night], lane=Lane.BACKFILL)
    assert ended.rows > 0
    assert read.live(VENDOR) == before


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"outlet": "nowhere"}, "no outlet 'nowhere'"),
        ({"streams": "sales"}, "no stream 'sales'"),
        ({"source": "paper"}, "api or landing"),
        ({"last": FIRST_DAY - timedelta(days=1)}, "is after"),
        ({"first": FIRST_DAY - timedelta(days=1)}, "start_date back first"),
        ({"first": date(2027, 1, 1), "last": date(2027, 1, 2)}, "has not begun"),
        ({"outlet": "JKT-001", "streams": "outlets"}, "outlet by outlet"),
    ],
)
def test_what_cannot_be_read_is_told_before_anything_is_asked(read: Stand, asked: dict[str, Any], told: str) -> None:
    """Catches: a typing error that reads nothing and calls that finished."""
    calls = read.running.requests(VENDOR)
    with pytest.raises(BackfillError, match=told):
        run(read, **{"source": API, **asked})
    assert read.running.requests(VENDOR) == calls


def test_history_is_read_slice_by_slice_and_a_broken_off_backfill_goes_on(
    till: Stand, read: Stand, read_rows: dict[str, list[Any]]
) -> None:
    """Catches: sales that fall between two slices or that a window cuts off at midnight UTC; hours of calls made again
    after a kill, a slice that is passed over.
    """

    def broken_off(piece: Slice, done: int, total: int) -> None:
        if piece.first == LAST_DAY:
            raise KeyboardInterrupt

    assert not any(till.live(VENDOR).values())
    till.set_clock(read.now)
    with pytest.raises(KeyboardInterrupt):
        run(till, API, listener=broken_off, days=1)
    seen: list[int] = []
    report = run(till, API, listener=lambda piece, *_: seen.append(piece.number), days=1)
    assert seen == [2]
    assert (report.resumed, report.slices, report.is_finished) == (2, 3, True)
    log = [(row["who"], row["outcome"]) for row in till.platform().ops.audit_log() if row["action"] == "backfill"]
    assert log == [("budi", "finished"), ("budi", "begun")]
    told = till.live(VENDOR)
    assert told == read_rows
    assert all(told.values())


def test_an_outlet_that_fails_is_told_and_read_by_the_next_call_while_a_night_goes_on(till: Stand) -> None:
    """Catches: a hole that nobody hears of; an outlet that stops all others; an outlet's backfill that reads all; two
    processes in one pipeline folder; a night that waits for a backfill, or fails beside it.
    """
    (first, ours), (second, _) = outlets(till).items()
    till.running.faults(VENDOR).add(Fault(kind=FaultKind.ERROR, path=f"*transactions*outlet_id={first}*", count=None))
    report = run(till, API, streams="transactions")
    assert not report.is_finished
    assert "transactions" in report.problems[0]
    scopes = "select distinct c4_scope from raw_pawoon.transactions order by 1"
    assert till.query(scopes) == [{"c4_scope": second}]
    till.running.faults(VENDOR).clear()
    till.reset_breakers()
    assert run(till, API, streams="transactions", outlet=ours).is_finished
    assert till.query(scopes) == [{"c4_scope": name} for name in sorted((first, second))]
    nights: list[str] = []

    def meanwhile(piece: Slice, done: int, total: int) -> None:
        with pytest.raises(LeaseHeldError):
            run(till, API)
        nights.append(sync(till.platform(), ACCOUNT, only=["transactions"], sleep=no_sleep).status)

    assert run(till, API, listener=meanwhile, streams="transactions").is_finished
    assert nights == ["ok"]
    rows = till.query("select id from raw_pawoon.transactions")
    assert len(rows) == len({row["id"] for row in rows}) > 0


# Windows


def stream(**options: Any) -> Stream:
    return Stream("checks", (Table("checks", Outlet, ("id",)),), **options)


def windows(declared: Stream, as_of: datetime = datetime(2026, 4, 20, 22, tzinfo=UTC)) -> dict[str, list[Any]]:
    made = fetch.plan_range(
        declared,
        outlets={"jkt": JAKARTA, "hnl": HONOLULU},
        settings={},
        first=date(2026, 4, 4),
        last=date(2026, 4, 5),
        as_of=as_of,
    )
    return {
        scope: [values.get("day") or (values["since"], values["until"], values["as_of"]) for values in requests]
        for scope, requests in made.scopes.items()
    }


def test_a_window_holds_the_business_dates_of_each_outlet_and_nothing_is_asked_of_the_future() -> None:
    """Catches: the hours after midnight of the last date, the first hours east of Greenwich; `until` in the future; a
    reading that calls itself as old as its window.
    """
    as_of = datetime(2026, 4, 20, 22, tzinfo=UTC)
    found = windows(stream(scope=Scope.OUTLET, cursor=Cursor()))
    assert found["jkt"] == [(datetime(2026, 4, 3, 17, tzinfo=UTC), datetime(2026, 4, 6, 5, tzinfo=UTC), as_of)]
    assert found["hnl"] == [(datetime(2026, 4, 4, 10, tzinfo=UTC), datetime(2026, 4, 6, 22, tzinfo=UTC), as_of)]
    found = windows(stream(cursor=Cursor()))
    assert found[""] == [(datetime(2026, 4, 3, 17, tzinfo=UTC), datetime(2026, 4, 6, 22, tzinfo=UTC), as_of)]
    for declared in (stream(cursor=Cursor(open_ended=True)), stream()):
        assert windows(declared)[""][0][1] == as_of
    early = datetime(2026, 4, 5, 1, tzinfo=UTC)
    assert windows(stream(scope=Scope.OUTLET, cursor=Cursor()), early)["jkt"][0][1] == early
    assert windows(stream(scope=Scope.OUTLET, cursor=Cursor()), datetime(2026, 4, 4, tzinfo=UTC))["hnl"] == []


def test_reports_of_a_day_are_asked_for_each_day_that_is_over() -> None:
    both = [date(2026, 4, 4), date(2026, 4, 5)]
    assert windows(stream(scope=Scope.OUTLET_DAY)) == {"jkt": both, "hnl": both}
    half = datetime(2026, 4, 5, 20, tzinfo=UTC)  # the 6th in Jakarta, still the 5th in Honolulu
    assert windows(stream(scope=Scope.OUTLET_DAY), half) == {"jkt": both, "hnl": both[:1]}


# The rate that processes share


def test_two_processes_together_keep_to_the_rate_of_one(ops_url: str) -> None:
    """Catches: a backfill beside a night that calls a vendor at twice its limit."""
    now = [datetime(2026, 4, 5, 22, tzinfo=UTC)]
    ops = Ops.open(ops_url, Keyring((b"k" * 32,)), lambda: now[0])
    waits: list[float] = []

    def limiter() -> Limiter:
        clock = lambda: (now[0] - datetime(2026, 4, 5, tzinfo=UTC)).total_seconds()  # noqa: E731
        return Limiter(Limit(per_second=10, concurrent=4), waits.append, clock, ops.allowance("moka-1"))

    night, behind = limiter(), limiter()
    for _ in range(10):
        for each in (night, behind):
            with each:
                pass
    assert len(waits) == 10  # those of one process went out at once, those of the other wait for the second after
    assert set(waits) == {1.0}
    now[0] += timedelta(seconds=2)
    waits.clear()
    with night:
        pass
    assert not waits
    with limiter():
        pass
    assert waits == [1.0]
