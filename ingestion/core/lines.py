"""What lies between a line and the inbox. A line is what we hold or ask over: a socket, a broker's queue, an API that
is polled.

A line keeps a message before it acknowledges it, and remembers how far it is. What it remembers may lag behind: then
messages come again, and the inbox knows them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

DOORS = SOCKET, QUEUE, POLL = "socket:", "queue:", "poll:"  # event types begin so, and none of a webhook does


class NotStoredError(Exception):
    """A message could not be made durable: it must come again."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is to be kept. `event_id` is the same whenever it comes again, `outlet` the vendor's id."""

    event_id: str
    event_type: str
    outlet: str
    content: bytes = field(repr=False)
    object_key: str = ""
    sent_at: datetime | None = None


class Keeper(Protocol):
    """What a line has of us. Positions are numbers of the line's own counting; 0 before the first."""

    def store(self, message: Message) -> Future[bool]:
        """Done when it is durable: True for a new one. It raises NotStoredError."""

    def position(self, name: str = "") -> int:
        """The position that was remembered. A line that counts in several places names them."""

    def remember(self, position: int, name: str = "") -> None:
        """Everything up to here is stored. Written down at intervals."""

    def heard(self) -> None:
        """The other side has answered: whatever was wrong with the line is over."""

    def lost(self, number: int, why: str) -> None:
        """Messages up to this number will not come: a person is told."""


# Keeps until the event is set. Raises AccessError where a person must act, RetriableError after many attempts in vain.
Follow = Callable[[Keeper, threading.Event], None]
