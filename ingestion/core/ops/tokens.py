"""Bearer tokens of our own API: shown once when made, kept as hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from ingestion.core.ops.db import reading, writing
from ingestion.core.ops.models import ApiToken, AuditEntry

SCOPES = ("stats", "upload", "manual", "connect")
MARK = "c4"  # tokens begin with it, so that a scanner for secrets can know them


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one company's API."""

    sessions: sessionmaker[Session]
    now: Callable[[], datetime]

    def create(self, name: str, scopes: Collection[str], who: str, days: int | None = None) -> str:
        """A new token for `name`; this is the only time it can be seen. Raises ValueError for an unknown scope."""
        if not scopes or (unknown := set(scopes) - set(SCOPES)):
            raise ValueError(f"no scope {', '.join(sorted(unknown)) if scopes else ''}; there are {', '.join(SCOPES)}")
        token_id, secret, now = secrets.token_hex(4), secrets.token_urlsafe(32), self.now()
        with writing(self.sessions) as session:
            session.add(
                ApiToken(
                    token_id=token_id,
                    sha256=_hash(secret),
                    name=name,
                    scopes=" ".join(sorted(set(scopes))),
                    created_at=now,
                    expires_at=now + timedelta(days=days) if days is not None else None,
                )
            )
            session.add(AuditEntry(at=now, who=who, action="create token", subject=token_id, outcome=name))
        return f"{MARK}_{token_id}_{secret}"

    def revoke(self, token_id: str, who: str) -> bool:
        """End a token; False when there is none of that id that is not ended."""
        with writing(self.sessions) as session:
            ended = session.execute(
                update(ApiToken)
                .where(ApiToken.token_id == token_id, ApiToken.revoked_at.is_(None))
                .values(revoked_at=self.now())
                .returning(ApiToken.token_id)
            ).first()
            outcome = "revoked" if ended else "no such token"
            session.add(AuditEntry(at=self.now(), who=who, action="revoke token", subject=token_id, outcome=outcome))
            return ended is not None

    def holder(self, token: str, scope: str) -> str | None:
        """The name of whom a token was made for, None unless it is good for the scope now."""
        mark, _, rest = token.partition("_")
        token_id, _, secret = rest.partition("_")
        if mark != MARK or not secret:
            return None
        with reading(self.sessions) as session:
            known = session.get(ApiToken, token_id)
        if known is None or not hmac.compare_digest(known.sha256, _hash(secret)):
            return None
        ended = known.revoked_at is not None or (known.expires_at is not None and known.expires_at <= self.now())
        return known.name if not ended and scope in known.scopes.split() else None

    def all(self) -> list[dict[str, object]]:
        """Every token without what it is made of, the newest first."""
        names = ("token_id", "name", "scopes", "created_at", "expires_at", "revoked_at")
        with reading(self.sessions) as session:
            rows = session.scalars(select(ApiToken).order_by(ApiToken.created_at.desc()))
            return [{name: getattr(row, name) for name in names} for row in rows]


def _hash(secret: str) -> str:
    """A plain hash is enough: the secret has 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
