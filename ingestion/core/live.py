"""The live loader: events of the inbox to raw tables, in micro-batches, as a pull would load the same records.

An event is settled after its load has committed. A loader that dies in between loads the same events again, which
changes nothing: records merge on their keys, and of two deliveries the later version counts. Where a vendor's version
does not tell two deliveries apart (a refund that leaves the order's stamp alone), the vendor's time of sending does:
an event gives way to a later one of the same record, and to a pull that was made after it was sent.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import select

from ingestion.core import fetch, warehouse
from ingestion.core.config import Integration
from ingestion.core.failpoints import failpoint
from ingestion.core.lines import POLL, QUEUE, SOCKET
from ingestion.core.load import SEQ_PER_RUN
from ingestion.core.ops.db import reading
from ingestion.core.ops.inbox import Inbox, Settled, StoredEvent
from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.ops.models import SyncRun
from ingestion.core.paths import at
from ingestion.core.platform import Platform
from ingestion.core.spec import Carries, Connector, Hint, Scope, Stream
from ingestion.core.sync import Sent, SyncReport, deliver

INCIDENTS = "dead-events:"  # their keys begin so
HINT_LIFE = timedelta(days=1)  # after which a hint tells nothing that a pull has not read
BATCH = 1000  # events of one account and load
LONGEST_PAUSE = 300.0  # seconds between two tries of what fails

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Polled:
    """The event is a page of a stream, as a poll read it (see `polled_page`)."""

    stream: str


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What became of one account's batch: how many events ended in each state, and why the load failed."""

    integration_id: str
    states: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(slots=True)
class _Sorted:
    """A batch, sorted by what is to be done with each event."""

    settled: dict[int, Settled] = field(default_factory=dict)
    records: dict[str, list[tuple[StoredEvent, fetch.Page]]] = field(default_factory=lambda: defaultdict(list))
    hints: dict[str, dict[str, list[tuple[StoredEvent, Hint]]]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def seqs(self) -> list[int]:
        carried = [event.seq for pairs in self.records.values() for event, _ in pairs]
        return carried + [
            event.seq for outlets in self.hints.values() for pairs in outlets.values() for event, _ in pairs
        ]

    def sent(self, as_of: datetime) -> dict[str, Sent]:
        """What the events bring, by stream. A window ends at `as_of` and never begins after it, whatever clocks say."""
        return {
            name: Sent(
                [page for _, page in self.records.get(name, [])],
                {
                    outlet: min(min(event.sent_at or event.received_at, as_of) - hint.back for event, hint in pairs)
                    for outlet, pairs in self.hints.get(name, {}).items()
                },
            )
            for name in {*self.records, *self.hints}
        }


def load_waiting(
    platform: Platform,
    inbox: Inbox,
    limit: int = BATCH,
    sleep: Callable[[float], None] = time.sleep,
    without: Collection[str] = (),
) -> list[LiveReport]:
    """One batch of each account that has events waiting, but for some. An account whose load fails does not stop the
    others.

    Only one process may do this at a time (see `ops.leases`).
    """
    if dead := inbox.give_up("its loading was broken off again and again"):
        log.error("%d events were given up; see `c4 events list --state dead`", dead)
    reports = []
    for integration_id in sorted(inbox.count("received").keys() - set(without)):
        try:
            reports.append(_load(platform, inbox, integration_id, limit, sleep))
        except Exception as error:  # noqa: BLE001 - reported, counted against its events, tried again by the next batch
            log.warning("%s: the events were not loaded (%s)", integration_id, type(error).__name__)
            reports.append(LiveReport(integration_id, error=type(error).__name__))
    platform.ops.incidents.reconcile(INCIDENTS, _incidents(inbox))
    return reports


def keep_current(
    load: Callable[[Collection[str]], Sequence[LiveReport]],
    refresh: Callable[[], bool],
    *,
    every: float,
    once: bool = False,
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Load round after round and refresh the marts after each that brought something, until `wait` says to end (or,
    with `once`, until nothing waits). Returns whether all was well at the end.

    `load` gets the accounts that it is to leave alone: one whose load failed rests, after each failure twice as long,
    and keeps no other from its turn. `refresh` says whether the marts are current; while they are not, all wait.

    So a sale is in the marts at most `every` and two rounds after it is in the inbox: it comes at worst just after a
    round has taken what waited, and the next one has it. A round is a load and a refresh.
    """
    resting: dict[str, tuple[float, float]] = {}  # account -> until when, and how long
    is_stale, pause = False, every
    while True:
        now = clock()
        reports = load({name for name, (until, _) in resting.items() if until > now})
        for report in reports:
            rest = min(2 * resting.pop(report.integration_id, (0.0, every))[1], LONGEST_PAUSE)
            if report.error:
                resting[report.integration_id] = (clock() + rest, rest)
        is_stale = is_stale or any(report.states.get("loaded") for report in reports)
        if is_stale:
            is_stale = not refresh()
        if not is_stale and any(report.states for report in reports if not report.error):
            continue  # more may have come meanwhile
        pause = min(pause * 2, LONGEST_PAUSE) if is_stale else every
        if once or wait(pause):
            return not is_stale and not resting


def _incidents(inbox: Inbox) -> list[Incident]:
    """Events that nobody will load unless a person acts."""
    return [
        Incident(
            f"{INCIDENTS}{integration_id}",
            Severity.WARNING,
            f"{integration_id}: {count} events could not be loaded",
            "live sales of the account until the next pull",
            "see `c4 events list --state dead`, mend the cause, then `c4 events replay --state dead`",
        )
        for integration_id, count in inbox.count("dead").items()
    ]


def _load(
    platform: Platform, inbox: Inbox, integration_id: str, limit: int, sleep: Callable[[float], None]
) -> LiveReport:
    events = inbox.batch(integration_id, limit)
    error = ""
    work = _sort(platform, inbox, integration_id, events)
    if work.seqs:
        sent = work.sent(platform.settings.as_of)
        report = deliver(platform, integration_id, sent, begin=lambda: inbox.begin(work.seqs), sleep=sleep)
        failpoint("live.loaded")
        work.settled |= _outcomes(work, report)
        if left := [seq for seq in work.seqs if seq not in work.settled]:
            inbox.release(left)
            error = "; ".join(result.error for result in report.streams if result.error)
    inbox.settle(work.settled)
    return LiveReport(integration_id, Counter(outcome.state for outcome in work.settled.values()), error)


def routes(connector: Connector, account: Integration) -> dict[str, Carries | Hint | Polled]:
    """What each type of event is, of an account. Types are told apart by the door through which they come: what an
    unsigned webhook says is never taken for a message of a socket, a queue or a poll.
    """
    found: dict[str, Carries | Hint | Polled] = {}
    if connector.webhooks is not None:
        found |= connector.webhooks.events
    if connector.socket is not None:
        found |= {f"{SOCKET}{name}": route for name, route in connector.socket.events.items()}
    if account.queue is not None:
        found |= {f"{QUEUE}{name}": Carries(event.stream, event.record) for name, event in account.queue.events.items()}
    if account.poll:
        found |= {f"{POLL}{stream.name}": Polled(stream.name) for stream in polled_streams(connector)}
    return found


def polled_streams(connector: Connector) -> list[Stream]:
    """Streams that a short poll reads: the sales of an outlet."""
    return [stream for stream in connector.streams if stream.marks_complete and stream.scope is Scope.OUTLET]


def polled_page(page: fetch.Page) -> bytes:
    """A page as the body of an event: what it covers in the first line, then its bytes."""
    return msgspec.json.encode(dict(page.constants)) + b"\n" + page.content


def _sort(platform: Platform, inbox: Inbox, integration_id: str, events: Iterable[StoredEvent]) -> _Sorted:
    work = _Sorted()
    account = next((a for a in platform.config.integrations if a.integration_id == integration_id), None)
    connector = platform.connector(integration_id) if account else None
    outdated = inbox.outdated(events)
    known = routes(connector, account) if account is not None and connector is not None else {}
    for event in events:
        if account is None or connector is None or not known:
            work.settled[event.seq] = Settled("rejected", "its account is not configured, or takes no events")
            continue
        route = known.get(event.event_type)
        if route is None:
            work.settled[event.seq] = Settled("ignored", "no stream takes events of this type")
        elif event.outlet not in account.outlets:
            work.settled[event.seq] = Settled("rejected", f"outlet {event.outlet} is not configured for the account")
        elif event.seq in outdated:
            work.settled[event.seq] = Settled("ignored", "a later event of the same record came")
        elif isinstance(route, Hint) and platform.settings.as_of - event.received_at > HINT_LIFE:
            work.settled[event.seq] = Settled("ignored", "older than a day: the pull has read that time")
        elif isinstance(route, Hint):
            work.hints[route.stream].setdefault(event.outlet, []).append((event, route))
        elif isinstance(route, Polled):
            _take_page(platform, work, route.stream, event)
        else:
            _carry(platform, work, account, connector.stream(route.stream), event, route)
    if connector is not None:
        _leave_out_known(platform, connector, work)
    return work


def _take_page(platform: Platform, work: _Sorted, stream: str, event: StoredEvent) -> None:
    read_until = platform.ops.read_until(event.integration_id, stream, event.outlet)
    if event.sent_at is not None and read_until is not None and event.sent_at < read_until:
        work.settled[event.seq] = Settled("ignored", "a pull has read the outlet since")
        return
    constants, _, content = event.body.partition(b"\n")
    page = fetch.Page(content, event.outlet, msgspec.json.decode(constants, type=dict[str, str]))
    work.records[stream].append((event, page))


def _carry(
    platform: Platform, work: _Sorted, account: Integration, stream: Stream, event: StoredEvent, route: Carries
) -> None:
    record = at(event.body, route.record) if route.record else event.body
    if record is None:
        work.settled[event.seq] = Settled("rejected", f"{route.record}: required, but missing")
        return
    zone = platform.zones(account)[event.outlet].key
    values = {**account.settings, "outlet": event.outlet, "timezone": zone}
    constants = {name: template.format_map(values) for name, template in stream.constants.items()}
    work.records[stream.name].append((event, fetch.Page(record, event.outlet, constants, "record")))


def _leave_out_known(platform: Platform, connector: Connector, work: _Sorted) -> None:
    """Settle events of records that a pull brought which was made after the event was sent: it saw the record later."""
    for name, pairs in list(work.records.items()):
        pulled = _pulled(platform, connector, connector.stream(name), [event for event, _ in pairs])
        kept = []
        for event, page in pairs:
            read_at = pulled.get(event.object_key)
            if event.sent_at is not None and read_at is not None and event.sent_at < read_at:
                work.settled[event.seq] = Settled("ignored", "a pull has read the record since")
            else:
                kept.append((event, page))
        if kept:
            work.records[name] = kept
        else:
            del work.records[name]


def _pulled(
    platform: Platform, connector: Connector, stream: Stream, events: Iterable[StoredEvent]
) -> dict[str, datetime]:
    """Record key -> when the pull was made that delivered the row which the warehouse has. Keys of one column only."""
    chosen = [event for event in events if event.object_key and event.sent_at is not None]
    if not chosen or len(stream.root.key) != 1:
        return {}
    key, table = stream.root.key[0], f'{connector.dataset}."{stream.root.name}"'
    keys = sorted({event.object_key for event in chosen})
    marks = ", ".join("?" for _ in keys)
    with warehouse.connect(platform.settings) as connection:
        present = connection.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
            [connector.dataset, stream.root.name],
        ).fetchall()
        rows = (
            connection.execute(
                f'select cast("{key}" as varchar), c4_seq from {table} '  # noqa: S608
                f'where integration_id = ? and cast("{key}" as varchar) in ({marks})',
                [chosen[0].integration_id, *keys],
            ).fetchall()
            if present
            else []
        )
    runs = {row[0]: row[1] // SEQ_PER_RUN for row in rows}
    with reading(platform.ops.sessions) as session:
        query = select(SyncRun.run_id, SyncRun.as_of).where(SyncRun.run_id.in_(set(runs.values())))
        pulls = dict(session.execute(query.where(SyncRun.is_replay.is_(False))).tuples().all())
    return {name: pulls[run_id] for name, run_id in runs.items() if run_id in pulls}


def _outcomes(work: _Sorted, report: SyncReport) -> dict[int, Settled]:
    """How the load ended for each event that was loaded. Hints of an outlet that could not be read go on waiting."""
    outcomes: dict[int, Settled] = {}
    for result in report.streams:
        pairs = work.records.get(result.stream, [])
        outcomes |= {event.seq: Settled("loaded") for event, _ in pairs}
        for reject, reference in result.rejects:
            number = int(reference.rpartition("#")[2] or 0)
            if 1 <= number <= len(pairs):
                outcomes[pairs[number - 1][0].seq] = Settled("rejected", f"{reject.field}: {reject.rule}")
        for outlet, hinted in work.hints.get(result.stream, {}).items():
            if outlet in result.read:
                outcomes |= {event.seq: Settled("loaded") for event, _ in hinted}
    return outcomes
