"""Sync one integration from its API, load what it sent to us, or load a range again, and write it down.

A failing integration, stream or outlet never stops the others: what failed is recorded, its cursor stays, and the
next run reads it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ingestion.core import fetch, files
from ingestion.core.config import Integration
from ingestion.core.errors import ApiError
from ingestion.core.landing import Batch, Meta
from ingestion.core.load import Lane, Loader, StreamResult
from ingestion.core.platform import Platform
from ingestion.core.records import Reject
from ingestion.core.spec import Connector, Stream

KNOWN = timedelta(days=4)  # a record that comes again from a run within this time is loaded only if it has changed


@dataclass(slots=True)
class SyncReport:
    """How the run of one integration ended, stream by stream."""

    integration_id: str
    run_id: int
    streams: list[StreamResult] = field(default_factory=list)
    files: list[files.FileReading] = field(default_factory=list)
    error: str = ""

    @property
    def status(self) -> str:
        """ok, partial (some scopes failed) or failed (nothing could be read)."""
        if self.error:
            return "failed"
        states = {result.status for result in self.streams}
        return states.pop() if len(states) == 1 else ("partial" if states else "ok")

    @property
    def rows(self) -> int:
        return sum(sum(result.rows.values()) for result in self.streams)

    @property
    def rejects(self) -> int:
        return sum(len(result.rejects) for result in self.streams)


def sync(
    platform: Platform,
    integration_id: str,
    *,
    only: Iterable[str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> SyncReport:
    """Read every stream (or those named in `only`) up to the platform's `as_of`. Never raises for a vendor's fault."""
    integration = platform.config.integration(integration_id)
    zones = platform.zones(integration)

    def planned(stream: Stream, cursors: Mapping[str, str]) -> fetch.Plan:
        return fetch.plan(
            stream,
            outlets=zones,
            settings=template_values(platform, integration),
            start_date=integration.start_date,
            as_of=platform.settings.as_of,
            cursors=cursors,
        )

    return _read(platform, integration_id, only, planned, Lane.PULL, sleep)


def read_range(
    platform: Platform,
    integration_id: str,
    first: date,
    last: date,
    *,
    only: Iterable[str],
    outlets: Collection[str] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> SyncReport:
    """Read streams from the API for the business dates `first` to `last`, of some outlets (the vendor's ids) or all.

    Cursors and watermarks do not move, and the run is not among `sync_runs` of `raw_c4`. It may be under way beside a
    pull of the account: one call at a time, within the same limit. Raises what `Loader` raises.
    """
    integration = platform.config.integration(integration_id)
    zones = {name: zone for name, zone in platform.zones(integration).items() if not outlets or name in outlets}

    def planned(stream: Stream, _: Mapping[str, str]) -> fetch.Plan:
        return fetch.plan_range(
            stream,
            outlets=zones,
            settings=template_values(platform, integration),
            first=first,
            last=last,
            as_of=platform.settings.as_of,
        )

    return _read(platform, integration_id, only, planned, Lane.BACKFILL, sleep)


def _read(
    platform: Platform,
    integration_id: str,
    only: Iterable[str] | None,
    planned: Callable[[Stream, Mapping[str, str]], fetch.Plan],
    lane: Lane,
    sleep: Callable[[float], None],
) -> SyncReport:
    """Read streams from the API as planned from their cursors. A pull moves these; a backfill moves none, and makes
    one call at a time.
    """
    connector = platform.connector(integration_id)
    streams = _chosen(connector, only)
    is_pull = lane is Lane.PULL
    until = platform.settings.as_of if is_pull else None
    file_ledger = files.FileLedger.open(platform.ops.sessions, integration_id)
    with _recorded(platform, integration_id, streams, until=until, is_pull=is_pull) as report:
        try:
            client = platform.client(integration_id, sleep, concurrent=None if is_pull else 1)
            loader = Loader(platform.settings, connector, integration_id, platform.hasher, lane=lane)
            loader.prepare()
            report.streams = loader.run(
                streams,
                lambda stream, cursors: fetch.fetch(client, planned(stream, cursors), file_ledger),
                _batches(platform, report),
                run_id=report.run_id,
                until=until,
                watch_keys=platform.ops.open_reject_keys(integration_id),
                known_runs=platform.ops.ended_runs(integration_id, platform.settings.as_of - KNOWN) if is_pull else (),
            )
            report.files = file_ledger.finished(stream.name for stream in connector.streams)
        except ApiError as error:
            report.error = str(error)
    return report


@dataclass(frozen=True, slots=True)
class Sent:
    """What a vendor sent us for one stream: whole records (pages of kind `record`), and outlets whose window is to be
    read from the API, with the beginning of each.
    """

    records: Sequence[fetch.Page] = ()
    windows: Mapping[str, datetime] = field(default_factory=dict)


def deliver(
    platform: Platform,
    integration_id: str,
    sent: Mapping[str, Sent],
    *,
    begin: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> SyncReport:
    """Load what a vendor sent, by stream, with the keys and versions of a pull. Cursors and watermarks do not move.

    `begin` is called when the warehouse has answered and the loading begins. The nth page of a stream's batch in the
    landing zone is its nth record; pages of windows come after. The run is not among `sync_runs` of `raw_c4`: it says
    nothing of whether the vendor's API can be read. Raises what `Loader` raises.
    """
    connector = platform.connector(integration_id)
    integration = platform.config.integration(integration_id)
    zones, as_of = platform.zones(integration), platform.settings.as_of
    values = template_values(platform, integration)

    def events(stream: Stream, _: Mapping[str, str]) -> Iterator[fetch.Event]:
        wanted = sent[stream.name]
        yield from wanted.records
        if not wanted.windows:
            return
        scopes = {outlet: (fetch.window(values, since, as_of, outlet),) for outlet, since in wanted.windows.items()}
        try:
            client = platform.client(integration_id, sleep)
        except ApiError as error:
            yield from (fetch.ScopeFailed(outlet, error) for outlet in scopes)
        else:
            yield from fetch.fetch(client, fetch.Plan(stream, scopes, zones))

    streams = _chosen(connector, sent)
    loader = Loader(platform.settings, connector, integration_id, platform.hasher, lane=Lane.LIVE)
    loader.prepare()
    begin()
    with _recorded(platform, integration_id, streams, replay=True, is_pull=False) as report:
        report.streams = loader.run(
            streams,
            events,
            _batches(platform, report),
            run_id=report.run_id,
            until=None,
            watch_keys=platform.ops.open_reject_keys(integration_id),
            whole=False,
        )
    return report


@dataclass(frozen=True, slots=True)
class Pick:
    """What of a landed page to load again: some of its records (from 1; None for all of it), or in their place the
    bytes that a person mended: a page, or one record where `rows` names one.
    """

    rows: frozenset[int] | None = None
    mended: bytes | None = None


def replay(
    platform: Platform,
    integration_id: str,
    *,
    only: Iterable[str] | None = None,
    batches: Iterable[str] | None = None,
    picks: Mapping[str, Pick] | None = None,
    wanted: Callable[[Meta], bool] = lambda _: True,
    lane: Lane = Lane.PULL,
) -> SyncReport:
    """Load landed pages again, with today's declarations and no API call.

    `batches` limits it to some batch files, `wanted` to some pages, `picks` to parts of some pages (by their reference,
    `batch#number`). Cursors and watermarks do not move. Pages are read oldest first, so the newest delivery of a
    record wins as it did when it came; in the lane of backfills also against what was landed later and is not replayed.
    """
    connector = platform.connector(integration_id)
    streams = _chosen(connector, only)
    chosen = set(batches) if batches is not None else None
    if picks is not None:
        chosen = {reference.rpartition("#")[0] for reference in picks}

    def events(stream: Stream, cursors: Mapping[str, str]) -> Iterator[fetch.Event]:
        for name in platform.landing.batches(connector.slug, integration_id, stream.name):
            if chosen is not None and name not in chosen:
                continue
            for page in platform.landing.pages(name):
                if (picks is not None and page.reference not in picks) or not wanted(page.meta):
                    continue
                if page.meta.kind == "done":
                    yield fetch.ScopeDone(page.meta.scope)
                    continue
                pick = (picks or {}).get(page.reference, Pick())
                content, kind, rows = page.content, page.meta.kind, pick.rows
                if pick.mended is not None:
                    content, kind, rows = pick.mended, "page" if rows is None else "record", None
                elif kind == "rejected":
                    kind = "page"
                yield fetch.Page(content, page.meta.scope, page.meta.constants, kind, page.reference, rows)

    is_pull = lane is Lane.PULL
    with _recorded(platform, integration_id, streams, replay=True, is_pull=is_pull) as report:
        loader = Loader(platform.settings, connector, integration_id, platform.hasher, lane=lane)
        loader.prepare()
        report.streams = loader.run(
            streams,
            events,
            None,
            run_id=report.run_id,
            until=None,
            watch_keys=platform.ops.open_reject_keys(integration_id),
            whole=picks is None,
        )
    return report


def _chosen(connector: Connector, only: Iterable[str] | None) -> list[Stream]:
    names = None if only is None else set(only)
    return [stream for stream in connector.streams if names is None or stream.name in names]


def template_values(platform: Platform, integration: Integration) -> dict[str, str]:
    """What URL templates of the integration may name."""
    return {"config": str(platform.settings.config), **integration.settings}


def _batches(platform: Platform, report: SyncReport) -> Callable[[Stream], Batch]:
    """The landing zone's batch of a stream in this run."""
    slug, as_of = platform.connector(report.integration_id).slug, platform.settings.as_of
    return lambda stream: platform.landing.batch(slug, report.integration_id, stream.name, as_of, report.run_id)


@contextmanager
def _recorded(
    platform: Platform,
    integration_id: str,
    streams: Sequence[Stream],
    *,
    until: datetime | None = None,
    replay: bool = False,
    is_pull: bool = True,
) -> Iterator[SyncReport]:
    """A run that is written down when it ends, however it ends."""
    run_id = platform.ops.start_run(integration_id, platform.settings.as_of, replay=replay)
    report = SyncReport(integration_id, run_id)
    try:
        yield report
    except Exception as error:
        report.error = type(error).__name__  # its text may hold data
        raise
    finally:
        _record(platform, report, streams, until, is_pull=is_pull)


def _record(
    platform: Platform, report: SyncReport, streams: Iterable[Stream], until: datetime | None, *, is_pull: bool = True
) -> None:
    declared = {stream.name: stream for stream in streams}
    with platform.ops.recording(report.run_id) as ledger:
        for result in report.streams:
            stream = declared[result.stream]
            if is_pull:
                ledger.stream(
                    report.integration_id,
                    result.stream,
                    status=result.status,
                    rows=sum(result.rows.values()),
                    rejects=len(result.rejects),
                    error=result.error,
                )
            if result.batch:
                ledger.landed(report.integration_id, result.stream, result.batch, result.pages, result.bytes)
            for reject, reference in result.rejects:
                ledger.reject(report.integration_id, result.stream, reject, reference)
            ledger.resolve(report.integration_id, result.stream, result.loaded_keys or set())
            result.new_drift = ledger.drift(report.integration_id, result.stream, result.drift)
            if until is not None:
                for scope in result.read:
                    ledger.scope_read(report.integration_id, result.stream, scope)
                    ledger.watermark(report.integration_id, result.stream, scope, until, stream.marks_complete)
        files.record(ledger, report.integration_id, report.files)
        if report.error and is_pull:
            for name in declared:
                ledger.stream(report.integration_id, name, status="failed", rows=0, rejects=0, error=report.error)
        ledger.finish(report.status, datetime.now(UTC))


__all__ = ["Pick", "Reject", "Sent", "SyncReport", "deliver", "read_range", "replay", "sync", "template_values"]
