"""NCR Aloha: dated folders of DBF files and the socket of a site's agent, against the simulated company."""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion.core.errors import AccessError, RetriableError
from ingestion.core.lines import SOCKET, Message, NotStoredError
from ingestion.core.live import load_waiting
from ingestion.core.ops.inbox import NewEvent
from ingestion.core.sync import SyncReport
from ingestion.sandbox.clock import Clock
from ingestion.vendors.ncr_aloha import days, live, messages
from ingestion.vendors.ncr_aloha.dbf import DbfError, read_dbf
from ingestion.vendors.ncr_aloha.live import Patience, Site, follow, sites
from ingestion.vendors.ncr_aloha.sandbox import CARD, HOLDER, SHARED_KEY, SSN, TRACK, Agent, AlohaSandbox, dbf
from tests import stand as stands
from tests.stand import Stand
from tests.tills import assert_staging_is_true, assert_two_nights_are_true, staged, stand_of, sync_well

VENDOR = "ncr-aloha"
WAIT = 60  # seconds that a test waits for another thread at most
HASTY = Patience(heartbeat=0.1, silence=1, first_pause=0.01, longest_pause=0.02, ask_again=0.1, failures=1000)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with Stand.open(tmp_path, [VENDOR]) as made:
        yield made


# Files


def test_two_nights_equal_the_company(tmp_path: Path) -> None:
    """Catches: voids, refunds and late checks of days that were ground again, modifiers counted twice or not at all."""
    with stand_of(tmp_path, VENDOR) as made:
        assert_two_nights_are_true(made, tells_running=False)
        assert_own_totals_agree(made)
        assert_time_cards_are_true(made)


def assert_own_totals_agree(stand: Stand) -> None:
    """What GNDSALE adds up to is what the checks of the day add up to, tender by tender."""
    checks = {check["check_id"]: check for check in staged(stand, "checks") if not check["is_voided"]}
    found: dict[tuple[str, date, str], Decimal] = {}

    def add(check: dict[str, Any], measure: str, amount: Decimal) -> None:
        key = (check["source_outlet_id"], check["source_business_date"], measure)
        found[key] = found.get(key, Decimal(0)) + amount

    for check in checks.values():
        for measure in ("net_sales", "tax", "bill_total"):
            add(check, measure, check[measure])
    for payment in staged(stand, "check_payments"):
        add(checks[payment["check_id"]], f"tender:{payment['source_tender']}", payment["amount"])
    told = {
        (row["source_outlet_id"], row["control_date"], row["measure"]): row["amount"]
        for row in staged(stand, "pos_control_totals")
    }
    assert len(told) == len(staged(stand, "pos_control_totals")) > len(stand.company.dates) * 3
    assert {key: amount for key, amount in told.items() if amount} == {k: v for k, v in found.items() if v}
    assert not {measure for _, _, measure in told if measure.startswith("tender:Rp")}, "a button is no tender"


def assert_time_cards_are_true(stand: Stand) -> None:
    ours = stand.running.sandbox(VENDOR).outlets()
    expected = {
        (f"{punch.employee.number}", punch.business_date, punch.started_at, punch.ended_at, punch.hours)
        for punch in stand.company.punches()
        if punch.employee.outlet.outlet_id in ours.values() and punch.known_at <= stand.now
    }
    found = [
        (row["employee_id"].split(":")[1], row["work_date"], row["started_at"], row["ended_at"], row["hours"])
        for row in staged(stand, "punches")
    ]
    whole_minutes = {(who, day, _minute(begun), _minute(ended), hours) for who, day, begun, ended, hours in expected}
    assert len(found) == len(set(found))
    assert set(found) == whole_minutes
    people = {person.number: person for person in stand.company.employees}
    for row in staged(stand, "employees"):
        assert row["job_title"] == people[int(row["employee_id"].split(":")[1])].job_title


def _minute(moment: Any) -> Any:
    return moment.replace(second=0, microsecond=0)


def sync_one(stand: Stand) -> SyncReport:
    (report,) = stand.sync_all()
    return report


def test_a_day_that_does_not_read_leaves_the_reading_before_it(stand: Stand) -> None:
    """Catches: half a day that looks like a quiet one; an error without file, record and column; a day given up."""
    sync_well(stand)
    before = stand.raw(VENDOR)
    path = stand.root / "drop" / VENDOR / "S0001" / "20260405" / "GNDITEM.DBF"
    whole = path.read_bytes()
    start, size = struct.unpack_from("<HH", whole, 8)
    price = whole[start : start + size].index(b".000")
    spoiled = bytearray(whole)
    spoiled[start + price : start + price + 4] = b"oops"
    for content, rule in ((bytes(spoiled), "record 1 PRICE: is not a number"), (whole[:-200], "is cut short")):
        write(stand, path, content)
        sync_one(stand)
        reject = stand.open_rejects()[-1]
        assert (reject["record_key"], reject["field"], reject["kind"]) == ("S0001/20260405#0", "GNDITEM.DBF", "file")
        assert rule in reject["rule"]
        assert reject["business_date"] == date(2026, 4, 5)
        assert stand.raw(VENDOR) == before
    path.unlink()
    sync_one(stand)
    assert "did not end" in stand.open_rejects()[-1]["rule"]
    path.write_bytes(whole)  # by a clock that is far ahead
    sync_one(stand)
    assert "more than a day ahead" in stand.open_rejects()[-1]["rule"]
    write(stand, path, whole)
    sync_one(stand)
    assert stand.open_rejects() == []


def write(stand: Stand, path: Path, content: bytes) -> None:
    """As a grind an hour ago does."""
    path.write_bytes(content)
    at = (stand.now - timedelta(hours=1)).timestamp()
    os.utime(path, (at, at))


def test_folders_that_are_no_ground_days_are_left_alone(stand: Stand) -> None:
    """Catches: a folder under way, or with masters only, taken for a day without sales."""
    site = stand.root / "drop" / VENDOR / "S0001"
    for name in ("20260410", "2026041", "20261399", "Data"):
        (site / name).mkdir()
        write(stand, site / name / "ITM.DBF", (site / "20260405" / "ITM.DBF").read_bytes())
    (site / "20261399" / "GNDITEM.DBF").touch()
    sync_well(stand)
    assert {row["dob"] for row in stand.raw(VENDOR)["deliveries"]} == set(stand.company.dates)


def test_a_site_without_its_folder_is_told_and_stops_no_other(stand: Stand) -> None:
    """Catches: a share that is not mounted, or not filled yet, taken for days without sales."""
    site = stand.root / "drop" / VENDOR / "S0001"
    site.rename(site.with_name("elsewhere"))
    for words in ("has no folder in the drop folder", "has no ground day yet"):
        report = sync_one(stand)
        assert {result.status for result in report.streams} == {"partial"}
        assert f"site S0001 {words}" in report.streams[0].error
        site.mkdir(exist_ok=True)
    assert {row["source_outlet_id"] for row in stand.raw(VENDOR)["deliveries"]} == {"S0002"}


def test_personal_data_never_lands(stand: Stand) -> None:
    """Catches: card numbers, tracks, names, social security numbers in tables, in landing, in kept messages."""
    sync_well(stand)
    files = b"".join(path.read_bytes() for path in (stand.root / "drop").rglob("*.DBF"))
    secrets = [CARD, HOLDER, TRACK, str(SSN)[:6]]
    secrets += [person.last_name for person in stand.company.employees]
    assert all(secret.encode() in files for secret in secrets[:5])
    platform = stand.platform()
    batches = [
        name
        for account in platform.integrations(VENDOR)
        for name in platform.landing.batches("ncr_aloha", account.integration_id)
    ]
    landed = b"".join(page.content for name in batches for page in platform.landing.pages(name))
    assert b"DISCPRIC" in landed
    sandbox = stand.running.sandbox(VENDOR)
    told = b"".join(msgspec.json.encode(event) for event in sandbox.events("S0001"))
    assert CARD.encode() in told
    kept = b"".join(message.content for message in kept_messages(sandbox, "S0001").values())
    stored = str(stand.raw(VENDOR)).encode()
    for secret in secrets:
        assert not [where for where in (landed, kept, stored) if secret.encode() in where], secret


# DBF

LAYOUT = "ID N4 PRICE N9.2 NAME C10 DOB D8"
ROWS = [
    {"ID": 1, "PRICE": Decimal("-12.30"), "NAME": "Nasi é", "DOB": date(2026, 4, 4)},
    {"ID": 2, "*": True},
    {"ID": 3},
]
TABLE = dbf(LAYOUT, ROWS, date(2026, 4, 5))
COLUMNS = {"ID", "PRICE", "NAME", "DOB", "LATER"}


def test_a_table_is_read_by_name() -> None:
    """Catches: amounts as floats, blanks as zeros, deleted records as sales, a column that only newer versions have."""
    first, second = read_dbf(TABLE, COLUMNS, {"ID"})
    assert first == (1, {"ID": 1, "PRICE": Decimal("-12.30"), "NAME": "Nasi é", "DOB": "2026-04-04"})
    assert second == (3, {"ID": 3, "PRICE": None, "NAME": None, "DOB": None})
    assert isinstance(first[1]["PRICE"], Decimal)
    assert list(read_dbf(TABLE, {"NAME"})) == [(1, {"NAME": "Nasi é"}), (3, {"NAME": None})]
    assert list(read_dbf(TABLE[:-1], {"ID"})) == [(1, {"ID": 1}), (3, {"ID": 3})], "the end mark may be missing"


def _with(old: bytes, new: bytes) -> bytes:
    assert TABLE.count(old) == 1
    return TABLE.replace(old, new)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is shorter than a header"),
        (b"\x83" + TABLE[1:], "no dBase III table"),
        (TABLE[:40], "header without an end"),
        (TABLE[:-12], "is cut short: 3 records"),
        (TABLE + b"more", "goes on after the 3 records"),
        (TABLE[:10] + b"\x09\x00" + TABLE[12:], "has records of 9 bytes and columns for 32"),
        (_with(b"   1   -12.30", b"   x   -12.30"), "record 1 ID: is not a number"),
        (_with(b"   1   -12.30", b"****   -12.30"), "record 1 ID: overflowed"),
        (_with(b"   1   -12.30", b"       -12.30"), "record 1 ID: is blank"),
        (_with(b"20260404", b"20260432"), "record 1 DOB: is not a date"),
        (_with(b"Nasi \xe9", b"Nasi \x81"), "record 1 NAME: is not text of cp1252"),
        (_with(b"*   2", b"?   2"), "record 2: is neither live nor deleted"),
        (_with(b"PRICE\0", b"NAME\0\0"), "two columns of one name"),
    ],
)
def test_a_table_that_is_none_is_told(content: bytes, message: str) -> None:
    """Catches: a damaged file read as far as it goes; an error without its record and column."""
    with pytest.raises(DbfError, match=message.replace("(", r"\(")):
        list(read_dbf(content, COLUMNS, {"ID"}))


def test_a_column_that_must_be_there() -> None:
    """Catches: a version of Aloha without a column that amounts depend on, read as zeros."""
    with pytest.raises(DbfError, match="LATER: is not in the table"):
        list(read_dbf(TABLE, COLUMNS, {"LATER"}))


# The socket


@dataclass
class Inbox:
    """Keeps messages as the inbox does: once per event. `full` when all that is expected has come."""

    expected: set[str]
    agent: Agent | None = None
    refuses: set[int] = field(default_factory=set)  # calls that fail
    stops_at: int = 0  # messages after which the client is stopped
    kept: dict[str, Message] = field(default_factory=dict)
    lost_ones: list[int] = field(default_factory=list)
    at: int = 0
    calls: int = 0
    full: threading.Event = field(default_factory=threading.Event)
    losing: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)

    def store(self, message: Message) -> Future[bool]:
        self.calls += 1
        done: Future[bool] = Future()
        if self.calls in self.refuses:
            done.set_exception(NotStoredError())
            return done
        assert message.event_id not in self.kept, "stored twice"
        if self.agent is not None:
            assert self.agent.acknowledged < int(message.event_id.rsplit("/", 1)[1]), (
                "acknowledged before it was stored"
            )
        self.kept[message.event_id] = message
        if self.expected and self.expected <= self.kept.keys():
            self.full.set()
        if len(self.kept) == self.stops_at:
            self.stop.set()
        done.set_result(True)
        return done

    def position(self, name: str = "") -> int:
        return self.at

    def remember(self, position: int, name: str = "") -> None:
        self.at = position

    def heard(self) -> None:
        """Nobody waits for it."""

    def lost(self, number: int, why: str) -> None:
        self.lost_ones.append(number)
        self.losing.set()


class Client:
    """`follow` in a thread; ends with the block, and raises what it raised."""

    def __init__(self, site: Site, inbox: Inbox, patience: Patience = HASTY) -> None:
        self.errors: list[BaseException] = []
        self.inbox = inbox

        def run() -> None:
            try:
                follow(site, inbox, inbox.stop, patience=patience)
            except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
                self.errors.append(error)

        self.thread = threading.Thread(target=run, daemon=True)

    def __enter__(self) -> Client:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.inbox.stop.set()
        self.thread.join(WAIT)
        assert not self.thread.is_alive()
        if self.errors:
            raise self.errors[0]


@pytest.fixture
def sandbox() -> AlohaSandbox:
    company = stands.company(pos=(VENDOR,))
    return AlohaSandbox(company, Clock(company.nights()[0]))


def kept_messages(sandbox: AlohaSandbox, site: str) -> dict[str, Message]:
    """What is to be kept of all that a site has told."""
    encode = msgspec.json.Encoder(decimal_format="number").encode
    kept = (messages.keep(encode(event), site) for event in sandbox.events(site))
    return {message.event_id: message for message in kept if message is not None}


def site_of(agent: Agent, key: str = SHARED_KEY) -> Site:
    address = {"agents": f"{agent.site}=127.0.0.1:{agent.port}"}
    credentials = {**agent.sandbox.credentials(), "shared_key": key}
    return sites(address, credentials)[0]


def test_faults_of_the_socket_lose_nothing_and_double_nothing(sandbox: AlohaSandbox) -> None:
    """Catches: a frame cut in two taken for two, a reconnect that skips, an acknowledgement before the message is safe,
    a gap that nobody asks for, a duplicate stored twice, a dead connection waited for."""
    expected = kept_messages(sandbox, "S0001")
    faults = ("cut", "twice", "swap", "skip", "garbage", "length", "silence", "skip", "cut", "swap")
    with sandbox.listen("S0001", heartbeat=0.1, window=4) as agent:
        agent.faults = {3 * place: fault for place, fault in enumerate(faults, start=1)}
        inbox = Inbox(set(expected), agent, refuses={4, 5})
        with Client(site_of(agent), inbox):
            assert inbox.full.wait(WAIT)
        assert inbox.kept == expected
        assert agent.faults == {}
        assert agent.connections >= 1 + 5 + 1  # what ends a connection, and what could not be stored
        assert inbox.lost_ones == []
        assert agent.errors == []


class Refused(logging.Handler):
    """Tells when a connection has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.set()


def test_either_side_may_start_again(sandbox: AlohaSandbox) -> None:
    """Catches: a position that runs ahead of what is stored, a client that does not wait for an agent that is away."""
    with sandbox.listen("S0001") as agent:
        site, first = site_of(agent), Inbox(set(kept_messages(sandbox, "S0001")), agent, stops_at=7)
        with Client(site, first):
            assert first.stop.wait(WAIT)
    assert len(first.kept) >= 7
    sandbox.clock.set(sandbox.company.nights()[1])
    later = kept_messages(sandbox, "S0001")
    second = Inbox(set(later) - set(first.kept), at=first.at)
    refused = Refused()
    live.log.addHandler(refused)
    try:
        with Client(site, second):
            assert refused.seen.wait(WAIT)  # nobody listens yet
            with sandbox.listen("S0001", port=site.port) as agent:
                assert second.full.wait(WAIT)
                assert agent.errors == []
    finally:
        live.log.removeHandler(refused)
    assert first.kept | second.kept == later


def test_what_an_agent_cannot_give_is_told_and_passed_over(sandbox: AlohaSandbox) -> None:
    """Catches: one event that never fits, or is gone, in the way of all that follow."""
    expected = kept_messages(sandbox, "S0001")
    odd = next(e["seq"] for e in sandbox.events("S0001") if e["event"] == "CHECK_CLOSED" and e["seq"] > 5)
    others = {event_id for event_id in expected if int(event_id.rsplit("/", 1)[1]) != odd}
    with sandbox.listen("S0001", heartbeat=0.1) as agent:
        agent.faults = {odd: "odd"}
        inbox = Inbox(others, agent)
        with Client(site_of(agent), inbox):
            assert inbox.full.wait(WAIT)
        assert inbox.kept.keys() == others
        assert inbox.lost_ones == [odd]


def test_events_that_an_agent_has_dropped_are_told_and_passed_over(sandbox: AlohaSandbox) -> None:
    """Catches: a client that was away too long and never comes in again."""
    last, known = len(sandbox.events("S0001")), kept_messages(sandbox, "S0001")
    with sandbox.listen("S0001", oldest=9) as agent:
        inbox = Inbox(set())
        with Client(site_of(agent), inbox):
            assert inbox.losing.wait(WAIT)
            night = sandbox.company.nights()[1]
            later = AlohaSandbox(sandbox.company, Clock(night))
            inbox.expected = kept_messages(later, "S0001").keys() - known.keys()
            sandbox.clock.set(night)
            assert inbox.full.wait(WAIT)
    assert inbox.lost_ones == [last]
    assert inbox.kept.keys() == inbox.expected


def test_who_may_not_is_told_at_once(sandbox: AlohaSandbox) -> None:
    """Catches: wrong credentials tried for ever; a key in an error's words."""
    with sandbox.listen("S0001") as agent:
        with pytest.raises(AccessError, match="does not accept the credentials") as caught:
            follow(site_of(agent, key="wrong"), Inbox(set()), threading.Event())
        assert "wrong" not in str(caught.value)
        other = Site("S0002", "127.0.0.1", agent.port, "any", SHARED_KEY)
        with pytest.raises(AccessError, match="is not that of site S0002"):
            follow(other, Inbox(set()), threading.Event())


def test_an_agent_that_is_away_for_good_is_told(sandbox: AlohaSandbox) -> None:
    """Catches: a reconnect without an end that nobody hears of."""
    with sandbox.listen("S0001") as agent:
        site = site_of(agent)
    few = Patience(first_pause=0.001, longest_pause=0.001, failures=3)
    with pytest.raises(RetriableError, match="3 connections brought nothing"):
        follow(site, Inbox(set()), threading.Event(), patience=few)


@pytest.mark.parametrize("agents", ["S0001", "S0001=host", "=host:1", "S0001=host:port"])
def test_addresses_that_are_none_are_told(agents: str) -> None:
    with pytest.raises(AccessError, match="agents"):
        sites({"agents": agents}, {"client_id": "a", "shared_key": "b"})


def load(stand: Stand, told: Iterable[Message]) -> None:
    """Messages through the inbox and the live loader; one that came before is not loaded again."""
    platform = stand.platform()
    (account,) = platform.integrations(VENDOR)
    inbox = platform.ops.inbox
    for message in told:
        name = (VENDOR, account.integration_id, message.event_id)
        inbox.put(NewEvent(*name, message.content, f"{SOCKET}{message.event_type}", message.outlet))
    inbox.close()
    reports = load_waiting(platform, platform.ops.inbox, limit=10_000)
    assert not [report for report in reports if report.error or set(report.states) - {"loaded"}]


def said(stand: Stand) -> list[Message]:
    sandbox = stand.running.sandbox(VENDOR)
    return [message for site in sandbox.sites for message in kept_messages(sandbox, site).values()]


def test_the_socket_tells_the_running_day_and_the_files_heal_it(stand: Stand) -> None:
    """Catches: a sale that both paths bring counted twice, one that the socket lost never healed, a late message over
    what the file says."""
    first, second = stand.company.nights()[:2]
    stand.set_clock(first)
    sync_well(stand)  # the menu, tenders and modes are those of the last ground day
    stand.set_clock(first + timedelta(hours=10))
    at_noon = said(stand)
    load(stand, at_noon)
    assert_staging_is_true(stand)
    stand.set_clock(second)
    all_said = said(stand)
    known = {message.event_id for message in at_noon}
    fresh = [message for message in all_said if message.event_id not in known]
    load(stand, fresh[::2])  # every other one is lost
    sync_well(stand)
    assert_staging_is_true(stand, tells_running=False)
    before = checks_by_id(stand)
    load(stand, all_said)  # late
    stand.platform().ops.inbox.replay(state="loaded")
    load(stand, [])  # and again
    assert checks_by_id(stand) == before


def checks_by_id(stand: Stand) -> dict[str, dict[str, Any]]:
    checks = staged(stand, "checks")
    found = {check["check_id"]: check for check in checks}
    assert len(found) == len(checks)
    return found


def test_both_paths_make_the_same_rows(stand: Stand) -> None:
    """Catches: a column that means something else on one of the two ways in."""

    def rows(is_file: bool) -> dict[str, list[dict[str, Any]]]:
        """Of every check and time card the last word."""
        raw, found = stand.raw(VENDOR), {}
        for name in ("checks", "items", "payments", "voids", "amounts", "punches"):
            key = "punch_id" if name == "punches" else "check_id"
            last: dict[str, int] = {}
            for row in raw["punches" if name == "punches" else "checks"]:
                if (row["root_seq"] == 0) == is_file:
                    last[row[key]] = max(last.get(row[key], 0), row["root_seq"])
            found[name] = [
                {column: value for column, value in row.items() if column != "root_seq"}
                for row in raw[name]
                if row["root_seq"] == last.get(row[key])
            ]
            found[name].sort(key=lambda row: str(row.items()))
        return found

    load(stand, said(stand))
    sync_well(stand)
    assert all(rows(is_file=True).values())
    assert rows(is_file=False) == rows(is_file=True)


def test_a_check_that_is_opened_before_midnight() -> None:
    """Catches: hours without a date put on the business date, so that a check closes before it opens."""
    entry = {"TYPE": 0, "ITEM": 1, "PRICE": Decimal(5), "DISCPRIC": Decimal(5), "QUANTITY": Decimal(1)}
    after_midnight = {"SYSDATE": "2026-04-05", "HOUR": 0, "MINUTE": 10}
    head = {"CHECK": 10001, "OPENHOUR": 23, "OPENMIN": 55, "CLOSEHOUR": 25, "CLOSEMIN": 5}
    tables = {key: [] for key in ("GNDTNDR", "GNDVOID", "GNDLINE", "GNDSALE")}
    tables |= {"GNDITEM": [{**entry, **after_midnight, "ENTRYID": 7}], "GNDTURN": [head]}
    check = days.check(10001, tables, days.Origin("S0001", date(2026, 4, 4)))
    assert check["check_id"] == "S0001/2026-04-04/10001"
    assert (check["opened"], check["closed"]) == (datetime(2026, 4, 4, 23, 55), datetime(2026, 4, 5, 1, 5))  # noqa: DTZ001
