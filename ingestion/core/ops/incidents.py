"""Incidents: what is wrong, from its opening to its closing, and which channel was told.

An incident is known by its key (`integration-down:moka-nki`). While it is open it is the same one, however often it
is seen; when it comes back after it was closed it is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops import models
from ingestion.core.ops.db import reading, upsert, writing


class Severity(IntEnum):
    WARNING = 1
    ERROR = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened (`title`), what it touches and what to do next: in words for a person, without secrets or
    personal data.
    """

    key: str
    severity: Severity
    title: str
    touches: str
    todo: str


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident as it stands, with its number and when it began."""

    number: int
    incident: Incident
    opened_at: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Incidents:
    """The book of incidents."""

    sessions: sessionmaker[Session]
    now: Callable[[], datetime]

    def open(self, *incidents: Incident) -> None:
        """Open incidents, or say of those that are open already how they look now."""
        with writing(self.sessions) as session:
            for incident in incidents:
                self._open(session, incident)

    def close(self, *keys: str) -> None:
        """What these keys name is over; keys without an open incident are no matter."""
        with writing(self.sessions) as session:
            for row in session.scalars(
                select(models.Incident).where(models.Incident.key.in_(keys), models.Incident.closed_at.is_(None))
            ):
                row.closed_at = self.now()

    def reconcile(self, prefix: str, incidents: Iterable[Incident]) -> None:
        """These are all incidents whose key begins with `prefix`: open them, close the others of that prefix.

        Raises ValueError for an incident with another prefix.
        """
        present = list(incidents)
        keys = {incident.key for incident in present}
        if strange := [key for key in keys if not key.startswith(prefix)]:
            raise ValueError(f"{strange[0]!r} does not begin with {prefix!r}")
        with writing(self.sessions) as session:
            for row in session.scalars(select(models.Incident).where(models.Incident.closed_at.is_(None))):
                if row.key.startswith(prefix) and row.key not in keys:
                    row.closed_at = self.now()
            for incident in present:
                self._open(session, incident)

    def current(self) -> list[OpenIncident]:
        """Every open incident, the gravest first, then the oldest."""
        with reading(self.sessions) as session:
            rows = session.scalars(
                select(models.Incident)
                .where(models.Incident.closed_at.is_(None))
                .order_by(models.Incident.severity.desc(), models.Incident.id)
            )
            return [_plain(row) for row in rows]

    def untold(self, channel: str) -> list[OpenIncident]:
        """Open incidents that a channel was not told of, or only at a lower severity."""
        with reading(self.sessions) as session:
            told = session.execute(
                select(models.IncidentNotice.incident_id, models.IncidentNotice.severity).where(
                    models.IncidentNotice.channel == channel
                )
            ).tuples()
            known = dict(told.all())
        return [item for item in self.current() if known.get(item.number, 0) < item.incident.severity]

    def told(self, channel: str, items: Iterable[OpenIncident]) -> None:
        """The channel has accepted a message about these."""
        now = self.now()
        rows = [
            {
                "incident_id": item.number,
                "channel": channel,
                "severity": int(item.incident.severity),
                "delivered_at": now,
            }
            for item in items
        ]
        with writing(self.sessions) as session:
            upsert(session, models.IncidentNotice, rows, update=("severity", "delivered_at"))

    def _open(self, session: Session, incident: Incident) -> None:
        now = self.now()
        row = session.scalar(
            select(models.Incident).where(models.Incident.key == incident.key, models.Incident.closed_at.is_(None))
        )
        if row is None:
            row = models.Incident(key=incident.key, opened_at=now)
            session.add(row)
        row.severity = int(incident.severity)
        row.title, row.touches, row.todo = incident.title, incident.touches, incident.todo
        row.last_seen = now
        session.flush()


def _plain(row: models.Incident) -> OpenIncident:
    incident = Incident(row.key, Severity(row.severity), row.title, row.touches, row.todo)
    return OpenIncident(row.id, incident, row.opened_at, row.last_seen)
