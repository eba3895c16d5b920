"""A lease: one owner at a time may do something, across processes and machines, until it ends or expires."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import Lease

log = logging.getLogger(__name__)

TERM = timedelta(minutes=10)  # must be longer than the longest call made under a lease


class LeaseHeldError(Exception):
    """Somebody else is at work; the message names who and until when."""


class LeaseLostError(Exception):
    """The lease expired and was taken over: stop before doing anything that the new owner may be doing."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease in our hands. `renew` before every act that must not be done twice."""

    sessions: sessionmaker[Session]
    name: str
    owner: str
    now: Callable[[], datetime]

    def renew(self) -> None:
        """Prolong by a full term. Raises LeaseLostError."""
        with writing(self.sessions) as session:
            mine = update(Lease).where(Lease.name == self.name, Lease.owner == self.owner)
            if session.execute(mine.values(expires_at=self.now() + TERM).returning(Lease.name)).first() is None:
                raise LeaseLostError(f"{self.name}: the lease expired and another process took it")


@contextmanager
def lease(sessions: sessionmaker[Session], name: str, now: Callable[[], datetime]) -> Iterator[HeldLease]:
    """Hold a lease for the block. Raises LeaseHeldError when a living owner has it.

    A lease whose owner died on this machine is free at once; one of another machine when it expires.
    """
    owner = f"{_place()}/{os.getpid()}/{_started(os.getpid())}/{secrets.token_hex(4)}"
    try:
        with writing(sessions) as session:
            _take(session, name, owner, now())
    except IntegrityError as error:
        raise LeaseHeldError(f"{name}: another process has just begun") from error
    try:
        yield HeldLease(sessions, name, owner, now)
    finally:
        with writing(sessions) as session:
            session.execute(delete(Lease).where(Lease.name == name, Lease.owner == owner))


def is_held(sessions: sessionmaker[Session], name: str, now: datetime) -> bool:
    """Whether a living owner has the lease."""
    with reading(sessions) as session:
        held = session.get(Lease, name)
        return held is not None and _is_at_it(held, now)


@contextmanager
def kept(held: HeldLease) -> Iterator[None]:
    """Renew a lease while the block is at work that may take longer than a term. What the block does next it must
    still `renew` for itself: here a lease that was lost is only not renewed any more.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(TERM.total_seconds() / 4):
            try:
                held.renew()
            except LeaseLostError:
                return
            except DBAPIError as error:  # a database that is away: the next beat tries again
                log.warning("%s was not renewed (%s)", held.name, type(error).__name__)

    beating = threading.Thread(target=beat, name="lease", daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()


def _take(session: Session, name: str, owner: str, now: datetime) -> None:
    held = session.get(Lease, name)
    if held is None:
        session.add(Lease(name=name, owner=owner, expires_at=now + TERM))
        return
    if _is_at_it(held, now):
        pid = held.owner.split("/")[1]
        raise LeaseHeldError(f"{name}: process {pid} is at it, until {held.expires_at:%H:%M} UTC at the latest")
    seen = update(Lease).where(Lease.name == name, Lease.owner == held.owner)
    if session.execute(seen.values(owner=owner, expires_at=now + TERM).returning(Lease.name)).first() is None:
        raise LeaseHeldError(f"{name}: another process has just begun")


def _is_at_it(held: Lease, now: datetime) -> bool:
    return held.expires_at > now and _may_live(held.owner)


def _place() -> str:
    """Where process ids mean the same: this boot of this machine and its process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """When a process started, to tell it from a later one with the same id; "" when it is dead or unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] == "Z" else stat[19]


def _may_live(owner: str) -> bool:
    place, pid, started, _ = owner.split("/")
    if place != _place():
        return True  # another machine: only time tells
    if started:
        return _started(int(pid)) == started
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
