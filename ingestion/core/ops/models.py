"""Tables of the ops database (SQLite by default, Postgres in production).

Instants are aware UTC datetimes. Amounts are exact: NUMERIC on Postgres, text on SQLite, whose numbers are floats.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Utc(TypeDecorator[datetime]):
    """An aware instant, stored in UTC; SQLite keeps it without a zone. Raises ValueError for a naive datetime."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("instants in the ops database need a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Amount(TypeDecorator[Decimal]):
    """An exact amount in the entity's functional currency, major unit."""

    impl = Numeric(24, 6)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else Numeric(24, 6))

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> Any:
        return format(value, "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Any) -> Decimal | None:
        """Without the zeros that a column of six decimals adds: people read amounts in messages."""
        if value is None:
            return None
        amount = Decimal(value)
        return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER keys


class Base(DeclarativeBase):
    type_annotation_map = {str: Text, datetime: Utc, Decimal: Amount, bytes: LargeBinary}


class Credential(Base):
    """Credentials of one integration: JSON sealed with AES-256-GCM, bound to the integration id."""

    __tablename__ = "credentials"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    nonce: Mapped[bytes]
    ciphertext: Mapped[bytes]
    created_at: Mapped[datetime]
    rotated_at: Mapped[datetime]


class SyncRun(Base):
    """One sync or replay of one integration. `status` is running, ok, partial, failed or skipped."""

    __tablename__ = "sync_runs"
    __table_args__ = {"sqlite_autoincrement": True}  # run ids are never given twice: raw keys are made of them

    run_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    integration_id: Mapped[str] = mapped_column(index=True)
    as_of: Mapped[datetime]
    is_replay: Mapped[bool]
    status: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class SyncRunStream(Base):
    """How one stream of a run ended."""

    __tablename__ = "sync_run_streams"

    run_id: Mapped[int] = mapped_column(BigId, ForeignKey("sync_runs.run_id"), primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    rejects: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[str]


class Watermark(Base):
    """Until when a stream was read to its end; `scope` is the vendor's outlet id, "" for the integration."""

    __tablename__ = "watermarks"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    complete_until: Mapped[datetime]
    marks_complete: Mapped[bool]


class LandingBatch(Base):
    """A batch file of the landing zone."""

    __tablename__ = "landing_batches"

    batch: Mapped[str] = mapped_column(primary_key=True)
    integration_id: Mapped[str] = mapped_column(index=True)
    stream: Mapped[str]
    run_id: Mapped[int] = mapped_column(BigInteger)
    pages: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    as_of: Mapped[datetime]


class Reject(Base):
    """A record, row, page or file that did not fit. Its bytes stay in landing; only the reference is kept here."""

    __tablename__ = "rejects"
    __table_args__ = (Index("rejects_open", "integration_id", "stream", "status"),)

    reject_id: Mapped[str] = mapped_column(primary_key=True)
    integration_id: Mapped[str]
    stream: Mapped[str]
    scope: Mapped[str]
    record_key: Mapped[str]
    field: Mapped[str]
    rule: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    business_date: Mapped[date | None]
    landing: Mapped[str]
    row: Mapped[int] = mapped_column(BigInteger)
    run_id: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str]


class SchemaDrift(Base):
    """A field that a vendor sends and no wire type declares. Those of the first read are the baseline."""

    __tablename__ = "schema_drift"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    field: Mapped[str] = mapped_column(primary_key=True)
    is_baseline: Mapped[bool]
    first_seen: Mapped[datetime]


class ApiCall(Base):
    """The audit of one API call: never a query, header or body. `status` 0 means no answer."""

    __tablename__ = "api_calls"
    __table_args__ = (Index("api_calls_by_integration", "integration_id", "at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    integration_id: Mapped[str]
    method: Mapped[str]
    path: Mapped[str]
    status: Mapped[int]
    duration_ms: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int]
    error: Mapped[str]


class AuditEntry(Base):
    """A change that a person made: who did what to which subject, when, and how it ended."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    outcome: Mapped[str]


class CircuitBreaker(Base):
    """An integration that is left alone until `open_until`; `failures` in a row led there."""

    __tablename__ = "circuit_breakers"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    open_until: Mapped[datetime | None]


class CallAllowance(Base):
    """Until when an integration's calls are paid for, by all processes together."""

    __tablename__ = "call_allowances"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    paid_until: Mapped[datetime]


class Backfill(Base):
    """A range of business dates that is read again; `finished_at` is empty until every slice of it is loaded.

    `outlet` is ours ("" for all), `streams` are names with commas between ("" for all), `days` the length of a slice.
    """

    __tablename__ = "backfills"

    backfill_id: Mapped[int] = mapped_column(BigId, primary_key=True)
    integration_id: Mapped[str]
    source: Mapped[str]
    outlet: Mapped[str]
    streams: Mapped[str]
    first_date: Mapped[date]
    last_date: Mapped[date]
    days: Mapped[int]
    who: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class BackfillSlice(Base):
    """How a slice of a backfill ended, the last time that it was tried: ok, partial or failed."""

    __tablename__ = "backfill_slices"

    backfill_id: Mapped[int] = mapped_column(BigId, ForeignKey("backfills.backfill_id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    status: Mapped[str]
    run_id: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    rejects: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[str]
    ended_at: Mapped[datetime]


class FileEntry(Base):
    """A dropped or imported file, known by its content. `status` is loaded, rejected, duplicate or superseded."""

    __tablename__ = "file_ledger"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    rejects: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int]
    first_seen: Mapped[datetime]


class OutboxDocument(Base):
    """A journal document on its way to a target. `sequence` orders the documents of one journal key.

    `content_hash` is that of the candidate this document leads to; `version` counts those contents.
    """

    __tablename__ = "outbox_documents"
    __table_args__ = (
        Index("outbox_by_key", "entity_id", "outlet_id", "business_date", "journal_type", "sequence", unique=True),
        Index("outbox_by_status", "target", "status"),
    )

    reference: Mapped[str] = mapped_column(primary_key=True)
    document_key: Mapped[str]
    entity_id: Mapped[str]
    outlet_id: Mapped[str]
    business_date: Mapped[date]
    posting_date: Mapped[date]
    journal_type: Mapped[str]
    kind: Mapped[str]
    version: Mapped[int]
    sequence: Mapped[int]
    currency: Mapped[str]
    narration: Mapped[str]
    cost_center: Mapped[str]
    tracking_option: Mapped[str]
    target: Mapped[str]
    content_hash: Mapped[str]
    total_debit: Mapped[Decimal]
    line_count: Mapped[int]
    reverses_external_id: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str]  # why it failed, was rejected or waits
    needs_approval: Mapped[bool]
    approved_by: Mapped[str]
    attempts: Mapped[int]
    external_id: Mapped[str]
    receipt_total_debit: Mapped[Decimal | None]
    receipt_line_count: Mapped[int | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    posted_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]


class OutboxLine(Base):
    """A line of a document; `amount` is signed, debit positive."""

    __tablename__ = "outbox_lines"

    reference: Mapped[str] = mapped_column(
        ForeignKey("outbox_documents.reference", ondelete="CASCADE"), primary_key=True
    )
    line_no: Mapped[int] = mapped_column(primary_key=True)
    account_code: Mapped[str]
    target_account: Mapped[str]
    component: Mapped[str]
    amount: Mapped[Decimal]
    memo: Mapped[str]


class OutboxChange(Base):
    """A value at a till that is to become another: a menu price, or a shift of a schedule.

    `old` and `new` are values as text (see ingestion.core.writes.change), "" for nothing; `old` is what the change was
    approved over. `record` is the vendor's key of what holds the value, "" before it is there. `subject` is what the
    sheet calls it: a SKU, or the vendor's id of an employee; `version` counts the changes of one subject.
    """

    __tablename__ = "outbox_changes"
    __table_args__ = (
        Index("changes_by_subject", "kind", "target", "source_outlet_id", "subject", "version", unique=True),
        Index("changes_by_status", "target", "kind", "status"),
    )

    reference: Mapped[str] = mapped_column(primary_key=True)
    document_key: Mapped[str]
    kind: Mapped[str]
    target: Mapped[str]
    outlet_id: Mapped[str]
    source_outlet_id: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[str]
    version: Mapped[int]
    record: Mapped[str]
    label: Mapped[str]
    currency: Mapped[str]
    old: Mapped[str]
    new: Mapped[str]
    valid_from: Mapped[date | None]  # the outlet's local day; null: at once
    submission: Mapped[str]
    submitted_by: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str]
    approved_by: Mapped[str]
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    posted_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]


class OutboxEvent(Base):
    """The history of a reference: every change of status with its reason. Outlives a document that is replaced."""

    __tablename__ = "outbox_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    reference: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    status: Mapped[str]
    detail: Mapped[str]


class Lease(Base):
    """Who may do something alone, until when; taken and renewed by compare-and-set."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    expires_at: Mapped[datetime]


class Incident(Base):
    """Something that is wrong from `opened_at` until `closed_at`; one open incident per key."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index(
            "incidents_open",
            "key",
            unique=True,
            sqlite_where=text("closed_at is null"),
            postgresql_where=text("closed_at is null"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str]
    severity: Mapped[int]
    title: Mapped[str]
    touches: Mapped[str]
    todo: Mapped[str]
    opened_at: Mapped[datetime]
    last_seen: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class IncidentNotice(Base):
    """That a channel was told of an incident, at which severity."""

    __tablename__ = "incident_notices"

    incident_id: Mapped[int] = mapped_column(BigId, ForeignKey("incidents.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    severity: Mapped[int]
    delivered_at: Mapped[datetime]


class InboxEvent(Base):
    """An event that a vendor sent us, known by its integration and its own id; `seq` is the order of arrival.

    `state` is received (waits to be loaded), loaded, ignored (nothing to load, or the warehouse knew better), rejected
    (does not fit) or dead (its loading failed too often). The body is sealed with AES-256-GCM over zstd. `object_key`
    is the key of the record that the event is about, `sent_at` the vendor's own time of sending.
    """

    __tablename__ = "inbox_events"
    __table_args__ = (
        Index("inbox_once", "integration_id", "event_id", unique=True),
        Index("inbox_by_state", "state", "integration_id", "seq"),
        Index("inbox_by_object", "integration_id", "object_key"),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(BigId, primary_key=True)
    vendor: Mapped[str]
    integration_id: Mapped[str]
    event_id: Mapped[str]
    event_type: Mapped[str]
    outlet: Mapped[str]
    object_key: Mapped[str]
    sent_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    headers: Mapped[str]  # JSON, only those that the connector keeps
    sha256: Mapped[str]  # of the body as it came
    size: Mapped[int]
    body: Mapped[bytes]
    state: Mapped[str]
    attempts: Mapped[int]
    error: Mapped[str]
    settled_at: Mapped[datetime | None]


class LinePosition(Base):
    """How far a line was read (see `core.lines`): a number of its own counting."""

    __tablename__ = "line_positions"

    integration_id: Mapped[str] = mapped_column(primary_key=True)
    line: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    moved_at: Mapped[datetime]


class ApiToken(Base):
    """A bearer token of our own API: only the hash of it is kept. `scopes` are names separated by spaces."""

    __tablename__ = "api_tokens"

    token_id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OAuthState(Base):
    """An authorisation that was begun: good for one callback, until `expires_at`. The code verifier is sealed."""

    __tablename__ = "oauth_states"

    sha256: Mapped[str] = mapped_column(primary_key=True)  # of the state; the state itself is with the browser
    integration_id: Mapped[str]
    redirect_uri: Mapped[str]
    verifier: Mapped[bytes]
    who: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
