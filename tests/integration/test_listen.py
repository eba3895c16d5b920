"""Sockets and polls over real connections into the inbox, and from there to what staging sees."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from ingestion.core.live import load_waiting
from ingestion.core.ops import models
from ingestion.core.ops.db import reading
from ingestion.receiver.listen import LineKeeper, Listener
from ingestion.receiver.polling import PRESSED, QUIET, Pace, Poller
from ingestion.sandbox.company import Company
from ingestion.sandbox.faults import Fault, FaultKind
from ingestion.sandbox.server import Response
from ingestion.vendors.ncr_aloha.sandbox import Agent
from tests.integration.test_live import line
from tests.stand import FIRST_DAY, Stand, no_sleep
from tests.tills import answer_with, assert_staging_is_true, sync_well

WAIT = 60  # seconds that a test waits for another thread or process at most


# Sockets


def agents_of(stand: Stand, *agents: Agent) -> None:
    addresses = " ".join(f"{agent.site}=127.0.0.1:{agent.port}" for agent in agents)
    stand.configure({"agents": addresses, "reconnect_seconds": "0.01"})


@contextmanager
def listening(stand: Stand) -> Iterator[Listener]:
    """A listener in a thread of this process."""
    listener = Listener(stand.platform(), threading.Event(), first_pause=0.01)
    thread = threading.Thread(target=listener.run)
    thread.start()
    try:
        yield listener
    finally:
        listener.stop.set()
        thread.join(WAIT)
        assert not thread.is_alive()


def test_a_killed_listener_and_broken_lines_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Catches: an event that is acknowledged before it is durable, or forgotten where the listener or the loader dies;
    half a frame or a second delivery that becomes a sale; a position that runs ahead of what is stored.
    """
    made = Company.build(outlets=3, days=3, start=FIRST_DAY, checks_per_day=10, pos=("ncr-aloha",))
    with Stand.open(tmp_path, ["ncr-aloha"], made=made, days=1) as stand:
        sync_well(stand)  # menu, tenders and modes are those of the last ground day
        stand.set_clock(stand.now + timedelta(hours=10))
        sandbox = stand.running.sandbox("ncr-aloha")
        first, second = sorted(sandbox.sites)[:2]
        with (
            sandbox.listen(first, heartbeat=0.1, window=5) as one,
            sandbox.listen(second, heartbeat=0.1) as two,
            line(stand) as parts,
        ):
            agents_of(stand, one, two)
            one.faults = {3: "cut", 6: "twice", 11: "garbage", 14: "swap", 17: "skip", 23: "length"}
            for failpoint in ("inbox.before_commit:2", "inbox.committed:3"):
                assert parts.ask(f"listen {failpoint}") == str(-signal.SIGKILL)
            parts.ask("listen")
            assert one.caught_up.wait(WAIT)
            assert two.caught_up.wait(WAIT)
            assert parts.load("live.loaded") == -signal.SIGKILL
            assert parts.load() == 0
        assert one.faults == {}
        assert one.errors == two.errors == []
        assert_staging_is_true(stand)
        (figures,) = stand.platform().ops.inbox.stats()
        assert figures["received"] == figures["rejected"] == figures["dead"] == figures["ignored"] == 0
        kept = {"CHECK_CLOSED", "CLOCK_IN", "CLOCK_OUT"}
        told = [event for site in (first, second) for event in sandbox.events(site) if event["event"] in kept]
        assert figures["loaded"] == len(told)
        places = {
            site: stand.platform().ops.line_position("ncr-aloha-group", f"socket:{site}") for site in (first, second)
        }
        assert all(0 < place <= len(sandbox.events(site)) for site, place in places.items())


def test_a_line_that_is_down_is_told_until_it_is_well(tmp_path: Path) -> None:
    """Catches: wrong credentials that nobody hears of, one line that keeps the others from listening, an incident that
    stays when the line is well.
    """
    made = Company.build(outlets=3, days=1, start=FIRST_DAY, checks_per_day=3, pos=("ncr-aloha",))
    with Stand.open(tmp_path, ["ncr-aloha"], made=made, days=1) as stand:
        sandbox = stand.running.sandbox("ncr-aloha")
        (account,) = stand.platform().integrations("ncr-aloha")
        ops = stand.platform().ops
        ops.set_credentials(account.integration_id, {**sandbox.credentials(), "shared_key": "wrong"}, who="test")
        with sandbox.listen(min(sandbox.sites)) as away:
            """Its address, where nobody listens any more."""
        with sandbox.listen(max(sandbox.sites)) as agent:
            agents_of(stand, away, agent)
            with listening(stand):
                assert agent.refused.wait(WAIT)
                ops.set_credentials(account.integration_id, sandbox.credentials(), who="test")
                assert agent.caught_up.wait(WAIT)
            with reading(ops.sessions) as session:
                seen = dict(session.execute(select(models.Incident.key, models.Incident.closed_at)).tuples().all())
        assert seen[f"line-down:{account.integration_id}/socket:{agent.site}"] is not None
        assert ops.inbox.count("received")


# Polls


@pytest.fixture
def polled(tmp_path: Path) -> Iterator[Stand]:
    """Two outlets on a till that is polled, in the middle of the second day."""
    made = Company.build(outlets=3, days=3, start=FIRST_DAY, checks_per_day=30, pos=("qasir",))
    with Stand.open(tmp_path, ["qasir"], made=made, days=1) as stand:
        stand.configure({}, poll="every 5 minutes")
        yield stand


def poller(stand: Stand, integration: int = 0) -> Poller:
    platform = stand.platform()
    account = platform.integrations(stand.vendors[0])[integration]
    keeper = LineKeeper(platform, platform.ops.inbox, account, "poll", lambda: None, lambda _: None)
    return Poller(platform, account, keeper, now=lambda: stand.now, sleep=no_sleep)


def load(stand: Stand) -> dict[str, int]:
    reports = load_waiting(stand.platform(), stand.platform().ops.inbox, sleep=no_sleep)
    assert not [report.error for report in reports if report.error]
    return {name: count for report in reports for name, count in report.states.items()}


def test_polls_tell_the_running_day_and_leave_the_night_alone(polled: Stand) -> None:
    """Catches: a sale that a poll misses, doubles or brings after the night has read it otherwise; a poll that moves
    the night's cursors, reads every outlet's whole history, or loads the same page again and again.
    """
    stop = threading.Event()
    sync_well(polled)
    platform = polled.platform()
    marks = platform.ops.snapshot()["watermarks"]
    polls = poller(polled)
    night = polled.now
    for minutes in (240, 600, 605):
        polled.set_clock(night + timedelta(minutes=minutes))
        assert 0 < polls.round(stop) <= polls.pace.asked * QUIET
        load(polled)
        assert_staging_is_true(polled, tells_taxes=False)
    assert polled.platform().ops.snapshot()["watermarks"] == marks
    polls.keeper.write_positions()
    again = poller(polled)  # a new process: it begins where the last one ended
    polled.set_clock(polled.now + timedelta(minutes=5))
    again.round(stop)
    late = platform.ops.inbox.count("received")
    polled.set_clock(polled.company.nights()[1])
    sync_well(polled)
    if late:
        assert set(load(polled)) == {"ignored"}, "the night has read it since"
    assert_staging_is_true(polled, tells_taxes=False)
    platform.ops.inbox.replay(integration_id=polls.account.integration_id)
    assert set(load(polled)) == {"ignored"}
    assert_staging_is_true(polled, tells_taxes=False)


def test_the_pace_follows_the_sales_and_what_the_vendor_bears() -> None:
    """Catches: a quiet outlet asked as often as a busy one, one that stays slow when it sells again, a vendor near its
    limit that is asked on and on, a pause that grows without end.
    """
    pace = Pace(300)
    calm = []
    for _ in range(6):
        pace.after("1", has_news=False, is_pressed=False)
        calm.append(pace.pause("1"))
    assert calm == [450, 675, 1012.5, 300 * QUIET, 300 * QUIET, 300 * QUIET]
    pace.after("1", has_news=True, is_pressed=False)
    assert pace.pause("1") == 300
    pressed = []
    for _ in range(5):
        pace.after("1", has_news=True, is_pressed=True)
        pressed.append(pace.pause("2"))
    assert pressed == [600, 1200, 300 * PRESSED, 300 * PRESSED, 300 * PRESSED]
    for _ in range(3):
        pace.after("2", has_news=True, is_pressed=False)
    assert (pace.pause("1"), pace.pause("2")) == (300, 300)


def test_a_vendor_near_its_limit_is_asked_less_often(polled: Stand) -> None:
    """Catches: a 429, or a quota that is nearly used up, that changes nothing; an outlet that failed and is passed over
    until the night; one that stops the other outlets.
    """
    stop, polls = threading.Event(), poller(polled)
    first, second = sorted(polls.account.outlets)
    polled.running.faults("qasir").add(Fault(kind=FaultKind.THROTTLE, count=1))
    polls.round(stop)
    assert polls.pace.pause(first) == 2 * polls.pace.asked / 2, "one went well after it"
    polled.running.faults("qasir").add(Fault(kind=FaultKind.ERROR, path=f"*outlet_id={second}*", count=4))
    polled.set_clock(polled.now + timedelta(minutes=10))
    polls.round(stop)
    assert polls.pace.pause(first) == 2 * polls.pace.asked
    before = polls.keeper.position(f"sales/{second}")
    polled.set_clock(polled.now + timedelta(minutes=10))
    answer_with(polled, lambda request, honest: with_quota(honest(request), left=11))
    polls.round(stop)
    assert polls.keeper.position(f"sales/{second}") == before + 20 * 60, "it was read from where it was well"
    assert polls.pace.pause(first) == 8 * polls.pace.asked


def with_quota(response: Response, left: int) -> Response:
    return replace(
        response, headers={**response.headers, "X-RateLimit-Limit": "60", "X-RateLimit-Remaining": f"{left}"}
    )
