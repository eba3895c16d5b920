"""From a vendor's request to an event that may be kept: is it authentic, and what is it about.

Signatures are checked over the bytes as they came, in constant time. Only what the inbox needs is read from the body;
whether a record in it fits is the loader's to say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from ingestion.core.config import Integration, Queue
from ingestion.core.lines import DOORS, Message
from ingestion.core.ops.inbox import NewEvent, body_hash
from ingestion.core.paths import at
from ingestion.core.platform import Platform
from ingestion.core.spec import Connector, SecretUrl, Signed, Webhooks

SECRETS_TTL = 30.0  # seconds until a changed secret counts
LONGEST_VALUE = 200  # characters of an id or a type; longer ones are no ids


class Refused(Exception):
    """A request that is not taken: the HTTP status and what to tell, with the field's name where one is to blame."""

    def __init__(self, status: int, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.field = field


def text(content: bytes, path: str) -> str:
    """The text or number at a dotted path. Raises Refused(400), naming the path where something is wrong there."""
    try:
        found = at(content, path)
    except (msgspec.DecodeError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if found is None:
        raise Refused(400, "required, but missing", path)
    try:
        value = str(msgspec.json.decode(found, type=str | int))
    except msgspec.DecodeError:
        raise Refused(400, "is no text or number", path) from None
    if not value or len(value) > LONGEST_VALUE or not value.isprintable():
        raise Refused(400, "is empty, too long or not printable", path)
    return value


@dataclass(slots=True)
class Secrets:
    """The accounts' webhook secrets, read again from time to time. An account that has none is left out."""

    platform: Platform
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, bytes]] = field(default_factory=dict)

    def of(self, integration_id: str, name: str) -> bytes:
        """The secret, b"" for none."""
        read_at, secret = self._known.get(integration_id, (-SECRETS_TTL, b""))
        if self.clock() - read_at >= SECRETS_TTL:
            secret = self.platform.ops.credentials(integration_id).get(name, "").encode()
            self._known[integration_id] = (self.clock(), secret)
        return secret


def read_event(
    connector: Connector,
    accounts: Sequence[Integration],
    secrets: Secrets,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    content: bytes,
    now: datetime,
) -> NewEvent:
    """The event that a request brings, of the account (of several) whose secret it was made with.

    Raises Refused: 401 for an event that is not authentic, 400 for a body that is no JSON or lacks a field.
    """
    webhooks = connector.webhooks
    assert webhooks is not None
    owners = _owners(webhooks, accounts, secrets, _Request(headers, query, content, now))
    if not owners:
        raise Refused(401, "the signature is missing or wrong")
    told = described(webhooks, text(content, webhooks.event_type), content)
    if told.event_type.startswith(DOORS):
        raise Refused(400, "is no type of event", webhooks.event_type)
    of_outlet = [account for account in owners if told.outlet in account.outlets]
    return NewEvent(
        vendor=connector.name,
        integration_id=(of_outlet or owners)[0].integration_id,
        event_id=told.event_id,
        body=content,
        event_type=told.event_type,
        outlet=told.outlet,
        object_key=told.object_key,
        sent_at=told.sent_at,
        headers={name: headers[name] for name in webhooks.headers if name in headers},
    )


def described(paths: Webhooks | Queue, event_type: str, content: bytes) -> Message:
    """What an event of a type is about, read at the declared paths. Raises Refused(400)."""
    is_read = event_type in paths.events
    return Message(
        outlet=text(content, paths.outlet) if is_read else "",
        event_id=text(content, paths.event_id) if paths.event_id else body_hash(content),
        event_type=event_type,
        content=content,
        object_key=text(content, paths.object_key) if is_read and paths.object_key else "",
        sent_at=_moment(text(content, paths.sent_at), paths.sent_at) if paths.sent_at else None,
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """What came, and when."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    content: bytes
    now: datetime


def _owners(
    webhooks: Webhooks, accounts: Sequence[Integration], secrets: Secrets, request: _Request
) -> list[Integration]:
    """The accounts with whose secret the event was made."""
    scheme = webhooks.authentic
    known = [(account, secrets.of(account.integration_id, scheme.secret)) for account in accounts]
    known = [(account, secret) for account, secret in known if secret]
    if isinstance(scheme, SecretUrl):
        told = request.query.get(scheme.parameter, "").encode()
        return [account for account, secret in known if hmac.compare_digest(told, secret)]
    told = request.headers.get(scheme.header, "").encode()
    if not told:
        return []
    if scheme.tolerance is not None:
        signed_at = _moment(_timestamp(scheme, request), scheme.timestamp)
        if abs(request.now - signed_at) > scheme.tolerance:
            return []
    message = b"".join(_part(name, scheme, request) for name in scheme.signed)
    return [account for account, secret in known if hmac.compare_digest(told, signature(scheme, secret, message))]


def signature(scheme: Signed, secret: bytes, message: bytes) -> bytes:
    """What the header must hold for a message."""
    digest = hmac.new(secret, message, getattr(hashlib, scheme.algorithm)).digest()
    told = base64.b64encode(digest) if scheme.encoding == "base64" else digest.hex().encode()
    return scheme.prefix.encode() + told


def _part(name: str, scheme: Signed, request: _Request) -> bytes:
    if name == "body":
        return request.content
    return _timestamp(scheme, request).encode() if name == "timestamp" else name.encode()


def _timestamp(scheme: Signed, request: _Request) -> str:
    kind, _, name = scheme.timestamp.partition(":")
    return request.headers.get(name, "") if kind == "header" else text(request.content, scheme.timestamp)


def _moment(told: str, field: str) -> datetime:
    """An aware time from ISO 8601 or from seconds since 1970. Raises Refused(400)."""
    try:
        found = datetime.fromtimestamp(int(told), UTC) if told.isdigit() else datetime.fromisoformat(told)
    except (ValueError, OverflowError, OSError):
        raise Refused(400, "is no time", field) from None
    if found.tzinfo is None:
        raise Refused(400, "has no time zone", field)
    return found
