"""The ops database as the rest of the platform uses it: plain values in, plain values out."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops import runs
from ingestion.core.ops.backfills import Backfills
from ingestion.core.ops.calls import CallAudit, StoredAllowance, StoredBreaker
from ingestion.core.ops.crypto import Keyring, Sealed
from ingestion.core.ops.db import open_ops, reading, upsert, writing
from ingestion.core.ops.files import file_known, file_record
from ingestion.core.ops.inbox import Inbox
from ingestion.core.ops.incidents import Incidents
from ingestion.core.ops.models import (
    AuditEntry,
    CircuitBreaker,
    Credential,
    LandingBatch,
    LinePosition,
    Reject,
    SyncRun,
    Watermark,
)
from ingestion.core.ops.runs import RunLedger
from ingestion.core.ops.snapshot import Table, snapshot
from ingestion.core.ops.tokens import Tokens

if TYPE_CHECKING:
    from ingestion.core.http import Breaker, Call

RESTORED = "restore"  # audited: the database came from a backup


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Ops:
    """One company's ops database. `now` stamps what is written; nothing decides by it but leases and breakers."""

    sessions: sessionmaker[Session]
    keys: Keyring
    calls: CallAudit
    now: Callable[[], datetime] = utc_now

    @classmethod
    def open(cls, url: str, keys: Keyring, now: Callable[[], datetime] = utc_now) -> Ops:
        """Open the database at an SQLAlchemy URL, migrating it if needed."""
        sessions = open_ops(url)
        return cls(sessions, keys, CallAudit(sessions, now), now)

    @property
    def incidents(self) -> Incidents:
        return Incidents(self.sessions, self.now)

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.sessions, self.keys.cipher("inbox"), self.now)

    @property
    def backfills(self) -> Backfills:
        return Backfills(self.sessions, self.now)

    @property
    def tokens(self) -> Tokens:
        return Tokens(self.sessions, self.now)

    # credentials

    def credentials(self, integration_id: str) -> dict[str, str]:
        """The decrypted credentials of an integration, empty when none are stored. Raises KeyringError."""
        with reading(self.sessions) as session:
            stored = session.get(Credential, integration_id)
        return self._unsealed(stored) if stored is not None else {}

    def set_credentials(self, integration_id: str, values: Mapping[str, str], who: str) -> None:
        """Store credentials, sealed. Audited by name of the integration only."""
        sealed = self._sealed(integration_id, values)
        now = self.now()
        with writing(self.sessions) as session:
            stored = session.get(Credential, integration_id)
            if stored is None:
                stored = Credential(integration_id=integration_id, created_at=now)
                session.add(stored)
            stored.key_id, stored.nonce, stored.ciphertext = sealed.key_id, sealed.nonce, sealed.ciphertext
            stored.rotated_at = now
            self._audit(session, who, "set credentials", integration_id, "stored")

    def rotate_key(self, who: str) -> Ops:
        """Make a new current key and seal every credential with it; returns the Ops that uses it.

        The new key is in the key file before anything is sealed with it, so a crash in between loses nothing. With
        keys in the environment, put the new key in front there first: then only the sealing is done here.
        """
        keys = self.keys.rotated() if self.keys.key_file is not None else self.keys
        fresh = Ops(self.sessions, keys, self.calls, self.now)
        with writing(self.sessions) as session:
            for stored in session.scalars(select(Credential)):
                sealed = fresh._sealed(stored.integration_id, fresh._unsealed(stored))
                stored.key_id, stored.nonce, stored.ciphertext = sealed.key_id, sealed.nonce, sealed.ciphertext
            self._audit(session, who, "rotate key", keys.current, "credentials sealed anew")
        return fresh

    def credential_ages(self) -> dict[str, timedelta]:
        """Integration -> time since its credentials were last changed."""
        now = self.now()
        with reading(self.sessions) as session:
            rows = session.execute(select(Credential.integration_id, Credential.rotated_at))
            return {integration: now - rotated for integration, rotated in rows}

    # API calls

    def breaker(self, integration_id: str) -> Breaker:
        return StoredBreaker(self.sessions, integration_id, self.now)

    def allowance(self, integration_id: str) -> Callable[[float], float]:
        """How an integration's calls are paid for, across processes (see `StoredAllowance`)."""
        return StoredAllowance(self.sessions, integration_id, self.now).take

    def reset_breakers(self) -> None:
        """Close every breaker: the next call goes out."""
        with writing(self.sessions) as session:
            session.execute(delete(CircuitBreaker))

    def audit_call(self, call: Call) -> None:
        """Add a call to the audit; any thread. Written in batches: `calls.flush()` writes at once."""
        self.calls.add(call)

    # lines

    def line_position(self, integration_id: str, line: str) -> int:
        """How far a line was read; 0 before the first time."""
        with reading(self.sessions) as session:
            found = session.get(LinePosition, (integration_id, line))
            return found.position if found is not None else 0

    def set_line_position(self, integration_id: str, line: str, position: int) -> None:
        row = {"integration_id": integration_id, "line": line, "position": position, "moved_at": self.now()}
        with writing(self.sessions) as session:
            upsert(session, LinePosition, [row], update=("position", "moved_at"))

    def read_until(self, integration_id: str, stream: str, outlet: str) -> datetime | None:
        """Until when a pull has read a stream of an outlet to its end."""
        with reading(self.sessions) as session:
            found = session.get(Watermark, (integration_id, stream, outlet))
            return found.complete_until if found is not None else None

    # sync runs

    def start_run(self, integration_id: str, as_of: datetime, replay: bool = False) -> int:
        """A new run; ids only ever grow."""
        with writing(self.sessions) as session:
            run = SyncRun(
                integration_id=integration_id,
                as_of=as_of,
                is_replay=replay,
                status="running",
                started_at=self.now(),
            )
            session.add(run)
            session.flush()
            return run.run_id

    def forget_batches(self, batches: Collection[str], who: str, subject: str, outcome: str) -> None:
        """Batches were deleted from the landing zone; audited."""
        with writing(self.sessions) as session:
            for name in batches:
                session.execute(delete(LandingBatch).where(LandingBatch.batch == name))
            self._audit(session, who, "retention", subject, outcome)

    def pulls(self, integration_id: str) -> set[int]:
        """The runs of an account that read its API; not those that loaded what was sent or landed."""
        query = select(SyncRun.run_id).where(SyncRun.integration_id == integration_id, SyncRun.is_replay.is_(False))
        with reading(self.sessions) as session:
            return set(session.scalars(query))

    def first_run_since(self, moment: datetime) -> int | None:
        """The first run whose logical time is not before a moment; None when there is none."""
        with reading(self.sessions) as session:
            return session.scalar(select(func.min(SyncRun.run_id)).where(SyncRun.as_of >= moment))

    def open_reject_keys(self, integration_id: str) -> dict[str, set[str]]:
        """Stream -> record keys that wait for a good delivery."""
        with reading(self.sessions) as session:
            return runs.open_keys(session, integration_id)

    @contextmanager
    def recording(self, run_id: int) -> Iterator[RunLedger]:
        """Write down how a run ended, in one transaction."""
        self.calls.flush()
        with writing(self.sessions) as session:
            yield RunLedger(session, run_id, self.now())

    def resolve_reject(self, reject_id: str, who: str, resolution: str) -> bool:
        """A person settles a reject by hand; False when there is no such open reject."""
        with writing(self.sessions) as session:
            found = session.execute(
                update(Reject)
                .where(Reject.reject_id == reject_id, Reject.status == "open")
                .values(status="resolved", resolved_at=self.now(), resolution=resolution)
                .returning(Reject.reject_id)
            ).first()
            self._audit(session, who, "resolve reject", reject_id, resolution if found else "no such open reject")
            return found is not None

    def rejects(self, *, status: str | None = None) -> list[dict[str, object]]:
        """Rejects with everything known of them (all columns), oldest first."""
        query = select(Reject).order_by(Reject.first_seen, Reject.reject_id)
        if status is not None:
            query = query.where(Reject.status == status)
        names = [column.name for column in Reject.__table__.columns]
        with reading(self.sessions) as session:
            return [{name: getattr(row, name) for name in names} for row in session.scalars(query)]

    # people, reference tables

    def audit(self, who: str, action: str, subject: str, outcome: str) -> None:
        """Write down what a person did."""
        with writing(self.sessions) as session:
            self._audit(session, who, action, subject, outcome)

    def last_run(self) -> int:
        """The id of the latest sync run; 0 before the first."""
        with reading(self.sessions) as session:
            return session.scalar(select(func.max(SyncRun.run_id))) or 0

    def ended_runs(self, integration_id: str, since: datetime) -> list[int]:
        """The account's runs as of `since` or later whose rows are all in the warehouse."""
        query = select(SyncRun.run_id).where(
            SyncRun.integration_id == integration_id, SyncRun.as_of >= since, SyncRun.status.in_(("ok", "partial"))
        )
        with reading(self.sessions) as session:
            return list(session.scalars(query))

    def first_run(self, since: datetime) -> int:
        """The id of the first of the sync runs that began at `since` or later; 0 where there is none."""
        with reading(self.sessions) as session:
            return session.scalar(select(func.min(SyncRun.run_id)).where(SyncRun.as_of >= since)) or 0

    @property
    def was_restored(self) -> bool:
        """Whether this database came from a backup: targets may hold documents that it does not know."""
        with reading(self.sessions) as session:
            return session.scalar(select(AuditEntry.id).where(AuditEntry.action == RESTORED).limit(1)) is not None

    def audit_log(self, limit: int = 100) -> list[dict[str, object]]:
        """The latest entries, newest first: at, who, action, subject, outcome."""
        names = ("at", "who", "action", "subject", "outcome")
        with reading(self.sessions) as session:
            rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit))
            return [{name: getattr(row, name) for name in names} for row in rows]

    def snapshot(self) -> dict[str, Table]:
        """Operational tables of `raw_c4`: name -> (Arrow schema, rows)."""
        with reading(self.sessions) as session:
            return snapshot(session)

    def _audit(self, session: Session, who: str, action: str, subject: str, outcome: str) -> None:
        session.add(AuditEntry(at=self.now(), who=who, action=action, subject=subject, outcome=outcome))

    def _sealed(self, integration_id: str, values: Mapping[str, str]) -> Sealed:
        plain = json.dumps(dict(values), sort_keys=True).encode()
        return self.keys.cipher("credentials").seal(plain, integration_id.encode())

    def _unsealed(self, stored: Credential) -> dict[str, str]:
        sealed = Sealed(stored.key_id, stored.nonce, stored.ciphertext)
        return json.loads(self.keys.cipher("credentials").open(sealed, stored.integration_id.encode()))


__all__ = ["Ops", "RunLedger", "file_known", "file_record", "utc_now"]
