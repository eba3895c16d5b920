"""The listener: every line of the company's accounts, and what each keeps into the inbox.

A line that breaks off is begun anew after a growing pause; while it cannot be held there is an incident. One line that
fails stops no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from ingestion.core.config import Integration
from ingestion.core.errors import AccessError, ApiError
from ingestion.core.lines import QUEUE, SOCKET, Follow, Message, NotStoredError
from ingestion.core.ops.inbox import Inbox, NewEvent
from ingestion.core.ops.incidents import Incident, Severity
from ingestion.core.platform import Platform
from ingestion.receiver import polling, queues

DOWN, LOST = "line-down:", "messages-lost:"  # keys of incidents begin so
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between two tries of a line that gave up
WRITE_POSITIONS = 1.0  # seconds between two writings of a line's positions
LOST_FOR = timedelta(days=1)  # after which the night has healed what a line lost
LOOK = 30.0  # seconds between two looks at the incidents

log = logging.getLogger(__name__)


def lines(platform: Platform, account: Integration) -> dict[str, Follow]:
    """What is to be followed for an account, by name; the credentials are today's. Raises AccessError."""
    connector = platform.connector(account.integration_id)
    found: dict[str, Follow] = {}
    if connector.socket is not None:
        credentials = platform.ops.credentials(account.integration_id)
        followed = connector.socket.lines(account.settings, credentials)
        found |= {f"{SOCKET}{name}": follow for name, follow in followed.items()}
    if account.queue is not None:
        declared = {stream.name for stream in connector.streams}
        for event in account.queue.events.values():
            if event.stream not in declared:
                raise AccessError(f"queue {account.queue.name}: {connector.title} has no stream {event.stream!r}")
        url = platform.ops.credentials(account.integration_id).get("broker_url", "")
        found[f"{QUEUE}{account.queue.name}"] = queues.follower(account.queue, url)
    if account.poll:
        found["poll"] = partial(polling.follow, platform, account)
    return found


@dataclass(slots=True)
class LineKeeper:
    """The `Keeper` of one line: the account's events in the inbox, the line's positions in the ops database."""

    platform: Platform
    inbox: Inbox
    account: Integration
    line: str
    on_heard: Callable[[], None]
    on_lost: Callable[[str], None]
    _unwritten: dict[str, int] = field(default_factory=dict)
    _written_at: float = 0.0

    def store(self, message: Message) -> Future[bool]:
        door = f"{self.line.partition(':')[0]}:"
        stored: Future[bool] = Future()
        event = NewEvent(
            vendor=self.account.vendor,
            integration_id=self.account.integration_id,
            event_id=f"{door}{message.event_id}",
            event_type=f"{door}{message.event_type}",
            outlet=message.outlet,
            body=message.content,
            object_key=message.object_key,
            sent_at=message.sent_at,
        )

        def done(committed: Future[bool]) -> None:
            if (error := committed.exception()) is None:
                stored.set_result(committed.result())
            else:
                log.error(
                    "%s: a message of %s was not stored: %s", self.account.integration_id, self.line, _kind(error)
                )
                stored.set_exception(NotStoredError(_kind(error)))

        self.inbox.put(event).add_done_callback(done)
        return stored

    def position(self, name: str = "") -> int:
        if name in self._unwritten:
            return self._unwritten[name]
        return self.platform.ops.line_position(self.account.integration_id, self._key(name))

    def remember(self, position: int, name: str = "") -> None:
        self._unwritten[name] = position
        if time.monotonic() - self._written_at >= WRITE_POSITIONS:
            self.write_positions()

    def write_positions(self) -> None:
        """Raises NotStoredError."""
        try:
            for name, position in list(self._unwritten.items()):
                self.platform.ops.set_line_position(self.account.integration_id, self._key(name), position)
                del self._unwritten[name]
        except SQLAlchemyError as error:
            raise NotStoredError(_kind(error)) from None
        self._written_at = time.monotonic()

    def heard(self) -> None:
        self.on_heard()

    def lost(self, number: int, why: str) -> None:
        self.on_lost(f"up to message {number}: {why}")

    def _key(self, name: str) -> str:
        return f"{self.line}/{name}" if name else self.line


@dataclass(slots=True)
class Listener:
    """Follows every line of the enabled accounts, each in a thread of its own, until `stop` is set."""

    platform: Platform
    stop: threading.Event
    first_pause: float = FIRST_PAUSE
    inbox: Inbox = field(init=False)
    _threads: list[threading.Thread] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _down: dict[str, Incident] = field(default_factory=dict)
    _lost: dict[str, tuple[datetime, Incident]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inbox = self.platform.ops.inbox

    def run(self, renew: Callable[[], None] = lambda: None) -> None:
        """Listen; `renew` is called from time to time, and what it raises ends it all."""
        for account in self.platform.config.integrations:
            if account.enabled and may_have_lines(self.platform, account):
                self._start(partial(self._open, account), account.integration_id)
        try:
            while not self.stop.is_set():
                renew()
                self._tell()
                self.stop.wait(LOOK)
        finally:
            self.stop.set()
            for thread in self._threads:  # the list may grow until the last account was opened
                thread.join()
            self.inbox.close()

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name)
        self._threads.append(thread)
        thread.start()

    def _open(self, account: Integration) -> None:
        """Begin an account's lines as soon as it can be said which they are."""

        def begin() -> None:
            for line in lines(self.platform, account):
                self._start(partial(self._follow, account, line), f"{account.integration_id}/{line}")

        self._insist(account.integration_id, begin)

    def _follow(self, account: Integration, line: str) -> None:
        name = f"{account.integration_id}/{line}"
        well, lost = partial(self._is_well, name), partial(self._has_lost, name)
        keeper = LineKeeper(self.platform, self.inbox, account, line, well, lost)

        def hold() -> None:
            try:
                lines(self.platform, account)[line](keeper, self.stop)
            finally:
                keeper.write_positions()

        self._insist(name, hold)

    def _insist(self, name: str, work: Callable[[], None]) -> None:
        """Do it again, after growing pauses, until it ends well or the listener stops."""
        pause = self.first_pause
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                work()
            except Exception as error:  # noqa: BLE001 - told as an incident and tried again; other lines go on
                self._is_down(name, error)
            else:
                self._is_well(name)
                return
            if time.monotonic() - begun > LONGEST_PAUSE:
                pause = self.first_pause
            self.stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _is_down(self, name: str, error: Exception) -> None:
        why = str(error) if isinstance(error, ApiError) else _kind(error)
        log.warning("%s: %s", name, why)
        needs_person = isinstance(error, AccessError)
        incident = Incident(
            f"{DOWN}{name}",
            Severity.ERROR if needs_person else Severity.WARNING,
            f"{name}: the line is down ({why[:200]})",
            "live sales of the account, until the next pull",
            f"{'mend the cause' if needs_person else 'see whether the other side runs'}; it is tried again by itself",
        )
        with self._guard:
            is_new = name not in self._down
            self._down[name] = incident
        if is_new:
            self._tell()

    def _is_well(self, name: str) -> None:
        with self._guard:
            was_down = self._down.pop(name, None)
        if was_down is not None:
            self._tell()

    def _has_lost(self, name: str, what: str) -> None:
        incident = Incident(
            f"{LOST}{name}",
            Severity.WARNING,
            f"{name}: messages are passed over, {what}"[:300],
            "live sales of the account, until the next pull",
            "nothing, if the next pull is well; else look at the sender's log",
        )
        with self._guard:
            self._lost[name] = (self.platform.ops.now(), incident)
        self._tell()

    def _tell(self) -> None:
        """What is wrong now, as incidents. An ops database that is away is told by the log only."""
        with self._guard:
            since = self.platform.ops.now() - LOST_FOR
            self._lost = {name: told for name, told in self._lost.items() if told[0] > since}
            try:
                self.platform.ops.incidents.reconcile(DOWN, self._down.values())
                self.platform.ops.incidents.reconcile(LOST, [incident for _, incident in self._lost.values()])
            except SQLAlchemyError as error:
                log.error("incidents cannot be written: %s", _kind(error))


def may_have_lines(platform: Platform, account: Integration) -> bool:
    """Whether the account's vendor or its configuration speaks of any; with credentials missing, too."""
    is_declared = platform.connector(account.integration_id).socket is not None
    return is_declared or account.queue is not None or bool(account.poll)


def _kind(error: BaseException) -> str:
    return type(error).__name__


__all__ = ["DOWN", "LineKeeper", "Listener", "lines", "may_have_lines"]
