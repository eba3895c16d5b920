"""From declarations to pages: time windows, fan-out over outlets and days, threads within the vendor's limit.

A scope (one outlet, or the whole integration) that fails is told apart from the others: its pages so far are kept,
its cursor does not move, and the next run reads it again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ingestion.core.errors import AccessError, ApiError, CircuitOpenError, PageError
from ingestion.core.files import FileLedger
from ingestion.core.http import ApiClient
from ingestion.core.paging import read_listing
from ingestion.core.records import Reject
from ingestion.core.spec import Scope, Stream

QUEUE_PAGES = 32


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it came, and the template values that say what it covers."""

    content: bytes
    scope: str
    constants: Mapping[str, str]
    kind: str = "page"  # page | file (the original of a dropped file) | rejected (bytes that are no page) | record
    reference: str = ""  # where it lies in landing, when it comes from there
    rows: frozenset[int] | None = None  # only these of its records (from 1), in a replay
    covers: tuple[date, date] | None = None  # the dates that were asked for; None for what has no window


@dataclass(frozen=True, slots=True)
class ScopeDone:
    scope: str


@dataclass(frozen=True, slots=True)
class ScopeFailed:
    scope: str
    error: ApiError


Event = Page | Reject | ScopeDone | ScopeFailed


@dataclass(slots=True)
class FetchContext:
    """What a stream's own `fetch` gets. `values` are the template values of this scope, `zones` the time zones of the
    integration's outlets by the vendor's outlet id, `files` what is known of files that were read before.
    """

    client: ApiClient
    stream: Stream
    scope: str
    values: Mapping[str, Any]
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)
    files: FileLedger = field(default_factory=FileLedger)
    rejects: list[Reject] = field(default_factory=list)

    def each_day(self) -> Iterator[FetchContext]:
        """This context for each of the outlet's calendar days that the window touches, the running one included.

        Oldest first. `{day}` (a date) and `{timezone}` (of the outlet) are template values then.
        """
        zone = self.zones[self.scope]
        first, last = (self.values[name].astimezone(zone).date() for name in ("since", "until"))
        for n in range((last - first).days + 1):
            yield replace(self, values={**self.values, "day": first + timedelta(days=n), "timezone": zone.key})

    def get(self, path: str = "", params: Mapping[str, Any] | None = None, **more: Any) -> bytes:
        """The answer to a GET as the stream declares it: at its path or another, with its parameters and `more`, or
        with `params` only. Raises ApiError.
        """
        stream, values = self.stream, self.values
        asked = {**fill(stream.params, values), **more} if params is None else params
        where = path or stream.path.format_map(values)
        return self.client.request("GET", where, params=asked, headers=fill(stream.headers, values)).content

    def page(self, content: bytes, kind: str = "page", **constants: str) -> Page:
        declared = {name: template.format_map(self.values) for name, template in self.stream.constants.items()}
        return Page(content, self.scope, declared | constants, kind, covers=_covered(self.stream, self.values))

    def reject(
        self,
        *,
        record_key: str,
        field: str,
        rule: str,
        row: int = 0,
        payload: bytes = b"",
        kind: str = "record",
        business_date: date | None = None,
    ) -> None:
        """Report a row that never became a record (e.g. a line of a file)."""
        self.rejects.append(Reject(record_key, field, rule, kind, row, payload, self.scope, business_date))


def read_numbered(context: FetchContext, total: str = "meta.total") -> Iterator[Page]:
    """A `Stream.fetch` for a listing in numbered pages that tells its total (see `paging.read_listing`)."""
    pages, _ = read_listing(lambda number: context.get(page=number), total)
    yield from map(context.page, pages)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch of one stream: for each scope, the template values of each request."""

    stream: Stream
    scopes: Mapping[str, tuple[Mapping[str, Any], ...]]
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)


def plan(
    stream: Stream,
    *,
    outlets: Mapping[str, ZoneInfo],
    settings: Mapping[str, str],
    start_date: date,
    as_of: datetime,
    cursors: Mapping[str, str],
) -> Plan:
    """Windows per scope. `outlets` maps the vendor's outlet ids to their time zones; `cursors` hold ISO datetimes.

    A per-day scope covers the outlet's local calendar days that were over at `as_of`.
    """
    lookback = stream.cursor.lookback if stream.cursor else timedelta(days=stream.window_days)
    first = datetime.combine(start_date, time(), UTC)
    names = [""] if stream.scope is Scope.INTEGRATION else list(outlets)
    scopes: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for name in names:
        last = cursors.get(name)
        since = max(datetime.fromisoformat(last) - lookback, first - timedelta(days=1)) if last else first
        if not last:
            since -= timedelta(days=1)  # the first business date begins before midnight UTC east of Greenwich
        base = window(settings, since, as_of, name)
        if stream.scope is Scope.OUTLET_DAY:
            days = _days_over(since, as_of, outlets[name], start_date)
            scopes[name] = tuple({**base, "day": day} for day in days)
        else:
            scopes[name] = (base,)
    return Plan(stream, scopes, outlets)


def plan_range(
    stream: Stream,
    *,
    outlets: Mapping[str, ZoneInfo],
    settings: Mapping[str, str],
    first: date,
    last: date,
    as_of: datetime,
) -> Plan:
    """The windows of a backfill of the business dates `first` to `last`, whatever was read before.

    A business date ends at noon of the next calendar day at the latest. Where the vendor takes no end, and where the
    stream has no window, the reading goes on to `as_of`. A scope whose window is empty asks for nothing.
    """
    goes_on = not stream.is_windowed or (stream.cursor is not None and stream.cursor.open_ended)
    names = [""] if stream.scope is Scope.INTEGRATION else list(outlets)
    scopes: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for name in names:
        zones = [outlets[name]] if name else [*outlets.values()] or [ZoneInfo("UTC")]
        since = min(datetime.combine(first, time(), zone).astimezone(UTC) for zone in zones)
        end = max(datetime.combine(last + timedelta(days=1), time(12), zone).astimezone(UTC) for zone in zones)
        base = window(settings, since, as_of if goes_on else min(end, as_of), name, as_of)
        if stream.scope is Scope.OUTLET_DAY:
            days = _days_over(since, min(end, as_of), outlets[name], first)
            scopes[name] = tuple({**base, "day": day} for day in days if day <= last)
        else:
            scopes[name] = (base,) if base["since"] < base["until"] else ()
    return Plan(stream, scopes, outlets)


def window(
    settings: Mapping[str, str], since: datetime, until: datetime, outlet: str, as_of: datetime | None = None
) -> dict[str, Any]:
    """The template values of a reading of `[since, until)` that is made at `as_of`, or at `until`."""
    return {
        **settings,
        "since": since,
        "until": until,
        "since_epoch": int(since.timestamp()),
        "until_epoch": int(until.timestamp()),
        "since_date": since.date(),
        "until_date": until.date(),
        "as_of": as_of or until,
        "outlet": outlet,
    }


def _days_over(since: datetime, as_of: datetime, zone: ZoneInfo, start_date: date) -> list[date]:
    day = max(since.astimezone(zone).date(), start_date)
    last = as_of.astimezone(zone).date()  # its end lies after as_of
    return [day + timedelta(days=n) for n in range(max((last - day).days, 0))]


def fetch(client: ApiClient, plan: Plan, files: FileLedger | None = None) -> Iterator[Event]:
    """Run a plan, several scopes at a time; pages arrive as they come. Ends with one Done or Failed per scope.

    An access error or an open breaker fails every scope that has not begun.
    """
    events: queue.Queue[Event | None] = queue.Queue(maxsize=QUEUE_PAGES)
    stop = threading.Event()
    abandoned = threading.Event()
    fatal: list[ApiError] = []
    ledger = files or FileLedger()

    def put(event: Event | None) -> None:
        while not abandoned.is_set():
            try:
                events.put(event, timeout=0.5)
                return
            except queue.Full:
                continue

    def work(scope: str, requests: tuple[Mapping[str, Any], ...]) -> None:
        if stop.is_set():
            put(ScopeFailed(scope, fatal[0]))
            return
        values: Mapping[str, Any] = {}
        try:
            for values in requests:
                for event in _fetch_one(client, plan, scope, values, ledger):
                    put(event)
                    if abandoned.is_set():
                        return
            put(ScopeDone(scope))
        except ApiError as error:
            if isinstance(error, PageError):
                put(Page(error.content, scope, _constants(plan.stream, values), "rejected"))
            if isinstance(error, AccessError | CircuitOpenError):
                fatal.append(error)
                stop.set()
            put(ScopeFailed(scope, error))
        except Exception as error:  # noqa: BLE001 - one broken scope never stops the others; the error is reported
            put(ScopeFailed(scope, ApiError(f"{type(error).__name__}: {error}")))

    def run() -> None:
        workers = max(1, min(client.limit.concurrent, len(plan.scopes)))
        with ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
            for scope, requests in plan.scopes.items():
                pool.submit(work, scope, requests)
        put(None)

    runner = threading.Thread(target=run, name="fetch", daemon=True)
    runner.start()
    try:
        while (event := events.get()) is not None:
            yield event
    finally:
        fatal.append(ApiError("the run was abandoned"))
        abandoned.set()
        stop.set()
        runner.join()


def _fetch_one(
    client: ApiClient, plan: Plan, scope: str, values: Mapping[str, Any], files: FileLedger
) -> Iterator[Event]:
    stream = plan.stream
    if stream.fetch is not None:
        context = FetchContext(client, stream, scope, values, plan.zones, files)
        try:
            for page in stream.fetch(context):
                yield page
                yield from _drain(context)
        except Exception:
            yield from _drain(context)
            raise
        yield from _drain(context)
        return
    constants = _constants(stream, values)
    for answer in client.pages(
        stream.path.format_map(values),
        method=stream.method,
        params={name: fill(value, values) for name, value in stream.params.items()},
        headers={name: value.format_map(values) for name, value in stream.headers.items()},
        json=fill(stream.body, values) if stream.body is not None else None,
        paginator=stream.paginator() if stream.paginator else None,
        is_json=stream.rows is None,
    ):
        yield Page(answer.content, scope, constants, covers=_covered(stream, values))


def _drain(context: FetchContext) -> Iterator[Reject]:
    found, context.rejects = context.rejects, []
    yield from found


def _constants(stream: Stream, values: Mapping[str, Any]) -> dict[str, str]:
    return {name: template.format_map(values) for name, template in stream.constants.items()}


def _covered(stream: Stream, values: Mapping[str, Any]) -> tuple[date, date] | None:
    """The calendar day that was asked for, else the dates (UTC) that the window touches."""
    if "day" in values:
        return values["day"], values["day"]
    return (values["since_date"], values["until_date"]) if stream.is_windowed and "since_date" in values else None


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Fill the strings of a nested template; everything else passes."""
    if isinstance(template, str):
        return template.format_map(values)
    if isinstance(template, Mapping):
        return {name: fill(value, values) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in template]
    return template
