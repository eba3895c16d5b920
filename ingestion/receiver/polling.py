"""Short polls: the sales of an account's outlets, read every few minutes into the inbox, page by page.

A poll reads from where the last one of the outlet ended, with an overlap, and remembers how far it came when its pages
are durable. Its pages are loaded as the nightly pull's are; the night's own cursors never move. The pace follows what
the outlets do and what the vendor bears.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ingestion.core import fetch
from ingestion.core.config import Integration
from ingestion.core.errors import AccessError, ApiError
from ingestion.core.http import ApiClient, Call
from ingestion.core.lines import Keeper, Message
from ingestion.core.live import polled_page, polled_streams
from ingestion.core.ops.inbox import body_hash
from ingestion.core.ops.store import utc_now
from ingestion.core.platform import Platform
from ingestion.core.records import Reject
from ingestion.core.spec import Stream
from ingestion.core.sync import template_values

OVERLAP = timedelta(minutes=15)  # read again: a till may send a sale late
LONGEST_WINDOW = timedelta(days=1)  # the night reads what is older
QUIET, PRESSED = 4.0, 8.0  # times the asked pause, at most: of an outlet without sales, of a vendor near its limit
LITTLE_LEFT = 0.2  # of the vendor's quota: the rest is for the night and for others
SHARE = 0.5  # of the account's limit: a pull may run at the same time

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pace:
    """Seconds between two polls of each outlet of an account, from the pause that is asked for.

    An outlet without news is asked half as often again each time, up to a fourth of the pace; with the first sale it is
    back. A vendor that fails, answers 429 or has little of its quota left doubles the pause of all its outlets, up to
    eight times; each poll that went well takes half of that back.
    """

    asked: float
    _quiet: dict[str, float] = field(default_factory=dict)
    _pressed: float = 1.0

    def after(self, outlet: str, *, has_news: bool, is_pressed: bool) -> None:
        """An outlet was polled."""
        self._quiet[outlet] = 1.0 if has_news else min(self._quiet.get(outlet, 1.0) * 1.5, QUIET)
        self._pressed = min(self._pressed * 2, PRESSED) if is_pressed else max(self._pressed / 2, 1.0)

    def pause(self, outlet: str) -> float:
        return self.asked * max(self._quiet.get(outlet, 1.0), self._pressed)


@dataclass(slots=True)
class Poller:
    """The polls of one account. `now` is what windows end at; `sleep` is that of the client's limiter and retries."""

    platform: Platform
    account: Integration
    keeper: Keeper
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    pace: Pace = field(init=False)
    _due: dict[str, datetime] = field(default_factory=dict)  # by the vendor's outlet id
    _seen: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # pages of the last poll
    _is_pressed: bool = False

    def __post_init__(self) -> None:
        self.pace = Pace(float(self.account.poll_seconds))

    @property
    def streams(self) -> list[Stream]:
        """What is read. Raises AccessError where a vendor has no API to ask."""
        connector = self.platform.connector(self.account.integration_id)
        found = polled_streams(connector)
        if not found or not (connector.base_url or self.account.settings.get("base_url")):
            raise AccessError(f"{self.account.integration_id}: {connector.title} has no sales that can be polled")
        return found

    def round(self, stop: threading.Event) -> float:
        """Poll every outlet that is due; returns the seconds until the next one is.

        An outlet that fails is told in the log and due again after its pause. Raises what `follow` raises.
        """
        streams, integration_id = self.streams, self.account.integration_id
        client = self.platform.client(integration_id, self.sleep, share=SHARE, watch=self._watch)
        for outlet in self.account.outlets:
            now = self.now()
            if stop.is_set() or self._due.get(outlet, now) > now:
                continue
            self._is_pressed = False
            has_news = [self._poll(client, stream, outlet, now) for stream in streams]
            self.pace.after(outlet, has_news=any(has_news), is_pressed=self._is_pressed)
            self._due[outlet] = now + timedelta(seconds=self.pace.pause(outlet))
        return max((min(self._due.values(), default=self.now()) - self.now()).total_seconds(), 0.0)

    def _poll(self, client: ApiClient, stream: Stream, outlet: str, now: datetime) -> bool:
        """Read one window of one outlet; whether there was anything that the last poll had not seen."""
        name = f"{stream.name}/{outlet}"
        since = max(datetime.fromtimestamp(self.keeper.position(name), UTC) - OVERLAP, now - LONGEST_WINDOW)
        plan = fetch.Plan(stream, {outlet: (self._window(since, now, outlet),)}, self._zones(now))
        before, seen, stored, is_whole = self._seen.get((stream.name, outlet), frozenset()), set(), [], False
        for event in fetch.fetch(client, plan):
            if isinstance(event, fetch.Page) and event.kind == "page":
                digest = body_hash(event.content)
                if digest not in before and digest not in seen:
                    stored.append(self._store(stream, event, now, digest))
                seen.add(digest)
            elif isinstance(event, fetch.ScopeDone):
                is_whole = True
            elif isinstance(event, fetch.ScopeFailed):
                self._has_failed(outlet, event.error)
            elif isinstance(event, Reject):
                log.warning("%s: outlet %s: %s: %s", self.account.integration_id, outlet, event.field, event.rule)
        for future in stored:
            future.result()
        if is_whole:
            self._seen[stream.name, outlet] = frozenset(seen)
            self.keeper.remember(int(now.timestamp()), name)
            self.keeper.heard()
        return bool(stored)

    def _store(self, stream: Stream, page: fetch.Page, now: datetime, digest: str) -> Future[bool]:
        event_id = f"{stream.name}/{page.scope}/{now.isoformat()}/{digest[:16]}"
        return self.keeper.store(Message(event_id, stream.name, page.scope, polled_page(page), sent_at=now))

    def _has_failed(self, outlet: str, error: ApiError) -> None:
        log.warning("%s: outlet %s was not polled: %s", self.account.integration_id, outlet, error)
        if isinstance(error, AccessError):
            raise error
        self._is_pressed = True

    def _watch(self, call: Call) -> None:
        if call.status == 429 or (call.quota_left is not None and call.quota_left < LITTLE_LEFT):
            self._is_pressed = True

    def _window(self, since: datetime, now: datetime, outlet: str) -> Mapping[str, object]:
        return fetch.window(template_values(self.platform, self.account), since, now, outlet)

    def _zones(self, now: datetime) -> Mapping[str, ZoneInfo]:
        today = replace(self.platform, settings=replace(self.platform.settings, as_of=now))
        return today.zones(self.account)


def follow(platform: Platform, account: Integration, keeper: Keeper, stop: threading.Event) -> None:
    """Poll until `stop` is set. Raises AccessError where a person must act, and NotStoredError."""
    poller = Poller(platform, account, keeper)
    while not stop.is_set():
        stop.wait(poller.round(stop))


__all__ = ["Pace", "Poller", "follow"]
