"""Any range of business dates again: from the API, or from the landing zone without a call, while nights go on.

A backfill is read slice by slice, and each slice is loaded before the next begins; a killed one goes on with the slice
it was at. It moves no cursor and no watermark, pays for its calls from the account's one rate, and loads by a pipeline
of its own, in turn with the pull. Of a record that the warehouse has from a later reading it changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from ingestion.core.failpoints import failpoint
from ingestion.core.landing import LandingZone, Meta
from ingestion.core.load import Lane
from ingestion.core.ops.backfills import OK, Asked
from ingestion.core.ops.leases import kept, lease
from ingestion.core.platform import Platform
from ingestion.core.spec import Scope, Stream
from ingestion.core.sync import SyncReport, read_range, replay

API, LANDING = "api", "landing"
ONE_DAY = timedelta(days=1)


class BackfillError(Exception):
    """What was asked for cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What is read and loaded at a time. Number 0 holds streams that have no slices by date.

    From the API `first` and `last` are business dates. From landing they are the dates of the runs that landed
    `batches`, and the number is that of the first run.
    """

    number: int
    first: date
    last: date
    streams: tuple[str, ...]
    batches: tuple[str, ...] = ()


@dataclass(slots=True)
class BackfillReport:
    """How a backfill ended. `problems` holds a line for each slice that could not be read whole."""

    integration_id: str
    backfill_id: int
    slices: int
    resumed: int  # slices that an earlier process had loaded
    rows: int = 0
    rejects: int = 0
    problems: list[str] = field(default_factory=list)
    is_finished: bool = False


Listener = Callable[[Slice, int, int], None]  # the slice that begins, how many are done, of how many


def backfill(
    platform: Platform,
    asked: Asked,
    who: str,
    listener: Listener = lambda *_: None,
    sleep: Callable[[float], None] = time.sleep,
) -> BackfillReport:
    """Read and load what was asked for, or what is left of it. A slice with a failing outlet is told and tried again by
    the next call; a slice of which nothing could be read ends this one.

    Raises BackfillError; LeaseHeldError while another backfill of the account is under way; what `Loader` raises.
    """
    streams, outlets = _streams(platform, asked), _outlets(platform, asked)
    slices = list(_from_api(asked, streams) if asked.source == API else _from_landing(platform, asked, streams))
    ops = platform.ops
    with lease(ops.sessions, f"backfill:{asked.integration_id}", ops.now) as held, kept(held):
        backfill_id, loaded = ops.backfills.begin(asked, who)
        left = [piece for piece in slices if piece.number not in loaded]
        report = BackfillReport(asked.integration_id, backfill_id, len(slices), len(slices) - len(left))
        for done, piece in enumerate(left, report.resumed):
            held.renew()
            listener(piece, done, len(slices))
            ended = _load(platform, asked, piece, outlets, sleep)
            failpoint("backfill.loaded")
            status, error = _outcome(ended, asked)
            ops.backfills.slice_ended(
                backfill_id,
                piece.number,
                status=status,
                run_id=ended.run_id,
                rows=ended.rows,
                rejects=ended.rejects,
                error=error,
            )
            report.rows += ended.rows
            report.rejects += ended.rejects
            if status != OK:
                report.problems.append(f"{piece.first} to {piece.last}: {error}")
            if status == "failed":
                break
        report.is_finished = not report.problems
        if report.is_finished:
            ops.backfills.finish(backfill_id, who)
    return report


def _streams(platform: Platform, asked: Asked) -> list[Stream]:
    connector = platform.connector(asked.integration_id)
    names = [name for name in asked.streams.split(",") if name]
    unknown = set(names) - {stream.name for stream in connector.streams}
    if unknown:
        known = ", ".join(stream.name for stream in connector.streams)
        raise BackfillError(f"{connector.name} has no stream {sorted(unknown)[0]!r}; it has {known}")
    chosen = [stream for stream in connector.streams if not names or stream.name in names]
    if asked.outlet:
        chosen = [stream for stream in chosen if stream.scope is not Scope.INTEGRATION]
        if not chosen:
            raise BackfillError(f"{asked.integration_id} is not read outlet by outlet; leave the outlet out")
    if asked.first_date > asked.last_date:
        raise BackfillError(f"{asked.first_date} is after {asked.last_date}")
    if asked.first_date > platform.settings.as_of.date() + ONE_DAY:
        raise BackfillError(f"{asked.first_date} has not begun")
    start = platform.config.integration(asked.integration_id).start_date
    if asked.first_date < start:
        raise BackfillError(
            f"{asked.first_date} is before {start}, when the books of {asked.integration_id} begin: set its start_date "
            "back first, for the days become journals (docs/runbook.md)"
        )
    if asked.source not in (API, LANDING):
        raise BackfillError(f"a backfill is read from {API} or {LANDING}, not from {asked.source!r}")
    return chosen


def _outlets(platform: Platform, asked: Asked) -> tuple[str, ...]:
    """The vendor's ids of the outlet, none for all outlets."""
    outlets = platform.config.integration(asked.integration_id).outlets
    found = tuple(theirs for theirs, ours in outlets.items() if asked.outlet == ours)
    if asked.outlet and not found:
        raise BackfillError(
            f"{asked.integration_id} has no outlet {asked.outlet!r}; it has {', '.join(outlets.values())}"
        )
    return found


def _from_api(asked: Asked, streams: Sequence[Stream]) -> Iterator[Slice]:
    """Streams that are read to the present whatever one asks for come first, in one piece; then slices by date."""
    whole = [s.name for s in streams if not s.is_windowed or (s.cursor is not None and s.cursor.open_ended)]
    if whole:
        yield Slice(0, asked.first_date, asked.last_date, tuple(whole))
    dated = tuple(stream.name for stream in streams if stream.name not in whole)
    first, number = asked.first_date, 1
    while dated and first <= asked.last_date:
        last = min(first + timedelta(days=asked.days - 1), asked.last_date)
        yield Slice(number, first, last, dated)
        first, number = last + ONE_DAY, number + 1


def _from_landing(platform: Platform, asked: Asked, streams: Sequence[Stream]) -> Iterator[Slice]:
    """Run by run, as they came: in one load nothing orders two deliveries of the same version.

    Of a list that replaces itself the newest whole reading counts, whenever it was made: all of them are one slice. Of
    everything else any batch that was landed since the range began may hold something. Events that came between two
    pulls are one slice.
    """
    slug = platform.connector(asked.integration_id).slug
    lists: dict[str, list[str]] = {}
    runs: dict[int, dict[str, list[str]]] = {}
    since = asked.first_date - ONE_DAY  # the first business date begins before midnight UTC east of Greenwich
    for stream in streams:
        for name in platform.landing.batches(slug, asked.integration_id, stream.name):
            if stream.write == "replace":
                lists.setdefault(stream.name, []).append(name)
            elif platform.landing.read_on(name) >= since:
                runs.setdefault(platform.landing.run_of(name), {})[stream.name] = [name]
    if lists:
        yield _of_batches(0, lists)
    pulls = platform.ops.pulls(asked.integration_id)
    events: dict[str, list[str]] = {}
    number = 0
    for run_id in sorted(runs):
        if run_id not in pulls:
            number = number if events else run_id
            for name, batches in runs[run_id].items():
                events.setdefault(name, []).extend(batches)
            continue
        if events:
            yield _of_batches(number, events)
            events = {}
        yield _of_batches(run_id, runs[run_id])
    if events:
        yield _of_batches(number, events)


def _of_batches(number: int, batches: dict[str, list[str]]) -> Slice:
    names = [name for found in batches.values() for name in found]
    days = [LandingZone.read_on(name) for name in names]
    return Slice(number, min(days), max(days), tuple(batches), tuple(names))


def _load(
    platform: Platform, asked: Asked, piece: Slice, outlets: tuple[str, ...], sleep: Callable[[float], None]
) -> SyncReport:
    if asked.source == API:
        only = piece.streams
        return read_range(
            platform, asked.integration_id, piece.first, piece.last, only=only, outlets=outlets, sleep=sleep
        )

    def wanted(page: Meta) -> bool:
        if outlets and page.scope not in outlets:
            return False
        if piece.number == 0 or page.covers is None:
            return True
        first, last = page.covers
        return last >= asked.first_date - ONE_DAY and first <= asked.last_date + ONE_DAY

    return replay(
        platform,
        asked.integration_id,
        only=piece.streams,
        batches=piece.batches,
        wanted=wanted,
        lane=Lane.BACKFILL,
    )


def _outcome(ended: SyncReport, asked: Asked) -> tuple[str, str]:
    """Status and reason of a slice. A page that cannot be read leaves a hole, which another call may fill."""
    holes = sum(len(result.done - result.read) for result in ended.streams) if asked.source == API else 0
    if ended.status == OK and holes:
        return "partial", f"{holes} scopes sent a page that cannot be read"
    reasons = [ended.error, *(f"{result.stream}: {result.error}" for result in ended.streams if result.error)]
    return ended.status, "; ".join(reason for reason in reasons if reason)
