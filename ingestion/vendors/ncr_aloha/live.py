"""The client of a site's agent: frames over TCP, heartbeats, resumption. What is acknowledged has been stored.

A frame is its length (4 bytes, unsigned, big-endian, at most 1 MiB) and a JSON object. Events are numbered without
gaps. One that comes twice is stored once, one that is missing is asked for, and everything after the last
acknowledgement comes again after a broken connection. What an agent cannot give any more is told and passed over:
the files of End of Day have it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from ingestion.core.errors import AccessError, RetriableError
from ingestion.core.lines import Follow, Keeper, NotStoredError
from ingestion.vendors.ncr_aloha.messages import OddEvent, keep

LENGTH = struct.Struct(">I")
MAX_FRAME = 1 << 20
READ = 1 << 16
TICK = 0.5  # seconds after which an idle client looks up
MAX_ASKED = 100  # events asked for at once

log = logging.getLogger(__name__)


class Broken(Exception):
    """A connection that is of no use any more: silent, full of garbage, or refused for now."""


@dataclass(frozen=True, slots=True)
class Site:
    """The agent of a site. `site_id` is the vendor's outlet id."""

    site_id: str
    host: str
    port: int
    client_id: str
    shared_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds and times. After `failures` connections in a row that brought nothing, whoever follows is told."""

    heartbeat: float = 30
    silence: float = 90
    connect: float = 10
    first_pause: float = 1
    longest_pause: float = 60
    ask_again: float = 5
    asks: int = 3
    failures: int = 10


def sites(settings: Mapping[str, str], credentials: Mapping[str, str]) -> list[Site]:
    """The agents of an account: its setting `agents`, `<site>=<host>:<port>` with blanks between.

    Raises AccessError for anything else, and where the credentials are missing.
    """
    found = []
    for text in settings.get("agents", "").split():
        site, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        if not (site and host and port.isdecimal()):
            raise AccessError("agents: is not <site>=<host>:<port> for each site, with blanks between")
        missing = [name for name in ("client_id", "shared_key") if not credentials.get(name)]
        if missing:
            raise AccessError(f"the agents need the credential {missing[0]!r}; store it with `c4 credentials set`")
        found.append(Site(site, host, int(port), credentials["client_id"], credentials["shared_key"]))
    return found


def lines(settings: Mapping[str, str], credentials: Mapping[str, str]) -> dict[str, Follow]:
    """What follows each site's agent. Raises AccessError as `sites` does."""
    try:
        patience = Patience(first_pause=float(settings.get("reconnect_seconds", Patience().first_pause)))
    except ValueError:
        raise AccessError("reconnect_seconds: is no number") from None
    return {site.site_id: partial(follow, site, patience=patience) for site in sites(settings, credentials)}


def follow(site: Site, keeper: Keeper, stop: threading.Event, *, patience: Patience = Patience()) -> None:
    """Keep what the agent says until `stop` is set, over as many connections as it takes.

    Raises AccessError when the agent does not accept the credentials, RetriableError when nothing could be had in
    many attempts.
    """
    told = _Told(keeper.position())
    failures = 0
    while not stop.is_set():
        begun, before = time.monotonic(), told.upto
        try:
            with socket.create_connection((site.host, site.port), patience.connect) as connection:
                _Session(site, keeper, connection, told, patience).run(stop)
        except (OSError, Broken, NotStoredError) as error:
            brought = told.upto > before or time.monotonic() - begun > patience.silence
            failures = 1 if brought else failures + 1
            why = str(error) if isinstance(error, Broken) else type(error).__name__
            log.warning("%s: the connection to its agent ended: %s", site.site_id, why)
            if failures >= patience.failures:
                raise RetriableError(f"site {site.site_id}: {failures} connections brought nothing: {why}") from error
            pause = min(patience.longest_pause, patience.first_pause * 2 ** (failures - 1))
            stop.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - so that sites do not come back all at once


@dataclass(slots=True)
class _Told:
    """Which events are stored: all up to `upto`, and those `ahead` of a gap. `asked` is how often and when."""

    upto: int
    ahead: set[int] = field(default_factory=set)
    asked: dict[int, tuple[int, float]] = field(default_factory=dict)

    def __contains__(self, seq: int) -> bool:
        return seq <= self.upto or seq in self.ahead

    def add(self, seq: int) -> None:
        self.asked.pop(seq, None)
        self.ahead.add(seq)
        while self.upto + 1 in self.ahead:
            self.upto += 1
            self.ahead.remove(self.upto)

    def missing(self) -> Iterator[int]:
        """The first events of the gap, as many as may be asked for at once."""
        last = max(self.ahead, default=self.upto)
        gap = (seq for seq in range(self.upto + 1, last) if seq not in self.ahead)
        yield from (seq for seq, _ in zip(gap, range(MAX_ASKED), strict=False))

    def begin_at(self, seq: int) -> None:
        self.upto = seq
        self.ahead.clear()
        self.asked.clear()


class _Session:
    """One connection to an agent."""

    def __init__(self, site: Site, keeper: Keeper, connection: socket.socket, told: _Told, patience: Patience) -> None:
        self.site, self.keeper, self.connection = site, keeper, connection
        self.told, self.patience = told, patience
        self.received = bytearray()
        self.storing: dict[int, Future[bool]] = {}  # events handed over that may not be durable yet
        self.heard = self.beaten = time.monotonic()
        self.acknowledged = told.upto

    def run(self, stop: threading.Event) -> None:
        self._greet(stop)
        self.keeper.heard()
        while not stop.is_set():
            try:
                for frame, message in self._messages(self._receive()):
                    kind = message.get("type")
                    if kind == "EVENT":
                        self._take(frame, message.get("seq"))
                    elif kind == "ERROR":
                        raise Broken(f"the agent ends it: {message.get('code')}")
            finally:
                self._stored()
            self._ask()
            self._acknowledge()
            self._beat()

    def _stored(self) -> None:
        """Wait until what was handed over is durable: what came together shares a commit. Raises NotStoredError."""
        storing, self.storing = self.storing, {}
        refused: NotStoredError | None = None
        for seq, future in storing.items():
            try:
                future.result()
            except NotStoredError as error:
                refused = error
            else:
                self.told.add(seq)
        if refused is not None:
            raise refused

    def _greet(self, stop: threading.Event) -> None:
        """Hello, authentication, and from where on. Raises AccessError."""
        hello = self._answer("HELLO", stop)
        if hello.get("siteId") != self.site.site_id:
            raise AccessError(f"the agent at {self.site.host} is not that of site {self.site.site_id}")
        last = hello.get("lastSeq")
        if isinstance(last, int) and last < self.told.upto:
            self._pass_over(0, "the agent counts anew")
        nonce = str(hello.get("nonce")).encode()
        digest = hmac.new(self.site.shared_key.encode(), nonce, hashlib.sha256).hexdigest()
        own = {"clientId": self.site.client_id, "hmac": digest}
        self._send({"type": "AUTH", **own, "resumeFrom": self.told.upto})
        answer = self._answer("READY", stop)
        if answer.get("code") == "SEQ_GONE" and isinstance(last, int):
            self._pass_over(last, "the agent does not have them any more")
        if answer["type"] != "READY":
            if answer.get("code") == "AUTH":
                raise AccessError(f"the agent of site {self.site.site_id} does not accept the credentials")
            raise Broken(f"the agent refuses: {answer.get('code')}")

    def _answer(self, kind: str, stop: threading.Event) -> dict[str, Any]:
        while not stop.is_set():
            for _, message in self._messages(self._receive(), 1):
                if message.get("type") in (kind, "ERROR"):
                    return message
        raise Broken("stopped")

    def _take(self, frame: bytes, seq: Any) -> None:
        """Store an event; one that does not fit is asked for once more."""
        if type(seq) is not int or seq < 1:
            raise Broken("an event without a number")
        if seq in self.told or seq in self.storing:
            return
        try:
            kept = keep(frame, self.site.site_id)
        except OddEvent as error:
            if seq in self.told.asked:
                self._give_up(seq, str(error))
            elif self._may_ask(seq):
                self._send({"type": "NACK", "seq": seq, "reason": str(error)[:200]})
            return
        if kept is None:
            self.told.add(seq)
        else:
            self.storing[seq] = self.keeper.store(kept)

    def _ask(self) -> None:
        """Ask for what is missing before something that came; give it up when asking does not help."""
        for seq in [*self.told.missing()]:
            if self._is_given_up(seq):
                self._give_up(seq, "it did not come")
            elif self._may_ask(seq):
                self._send({"type": "NACK", "seq": seq, "reason": "missing"})

    def _is_given_up(self, seq: int) -> bool:
        times, at = self.told.asked.get(seq, (0, 0.0))
        return times >= self.patience.asks and time.monotonic() - at >= self.patience.ask_again

    def _may_ask(self, seq: int) -> bool:
        times, at = self.told.asked.get(seq, (0, 0.0))
        if times and time.monotonic() - at < self.patience.ask_again:
            return False
        self.told.asked[seq] = (times + 1, time.monotonic())
        return True

    def _give_up(self, seq: int, why: str) -> None:
        log.warning("%s: event %d is passed over: %s", self.site.site_id, seq, why)
        self.keeper.lost(seq, why)
        self.told.add(seq)

    def _pass_over(self, upto: int, why: str) -> None:
        log.warning("%s: goes on after event %d: %s", self.site.site_id, upto, why)
        self.keeper.lost(upto, why)
        self.told.begin_at(upto)
        self.acknowledged = upto
        self.keeper.remember(upto)

    def _acknowledge(self) -> None:
        if self.told.upto > self.acknowledged:
            self._send({"type": "ACK", "seq": self.told.upto})
            self.acknowledged = self.told.upto
            self.keeper.remember(self.told.upto)

    def _beat(self) -> None:
        if time.monotonic() - self.beaten >= self.patience.heartbeat:
            self.beaten = time.monotonic()
            self._send({"type": "HEARTBEAT", "ts": time.time()})

    # Frames

    def _receive(self) -> bytes:
        """What has come, b"" when nothing did for a moment. Raises Broken after too long a silence."""
        patience = self.patience
        self.connection.settimeout(min(TICK, patience.heartbeat, patience.silence, patience.ask_again))
        try:
            content = self.connection.recv(READ)
        except TimeoutError:
            if time.monotonic() - self.heard >= patience.silence:
                raise Broken("it fell silent") from None
            return b""
        if not content:
            raise Broken("the agent hung up")
        self.heard = time.monotonic()
        return content

    def _messages(self, content: bytes, most: int = 1 << 30) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Whole frames, at most so many; the rest waits. Raises Broken for what is no frame."""
        self.received += content
        while len(self.received) >= LENGTH.size and most:
            (length,) = LENGTH.unpack_from(self.received)
            if not 0 < length <= MAX_FRAME:
                raise Broken(f"a frame of {length} bytes")
            end = LENGTH.size + length
            if len(self.received) < end:
                return
            frame = bytes(self.received[LENGTH.size : end])
            del self.received[:end]
            most -= 1
            try:
                yield frame, msgspec.json.decode(frame, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Broken("a frame that is no JSON object") from None

    def _send(self, message: Mapping[str, Any]) -> None:
        content = msgspec.json.encode(message)
        self.connection.settimeout(self.patience.connect)
        self.connection.sendall(LENGTH.pack(len(content)) + content)


__all__ = ["Patience", "Site", "follow", "lines", "sites"]
