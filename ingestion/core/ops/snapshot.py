"""What the ops database knows, as rows for `raw_c4` (see docs/architecture.md, reference tables)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ingestion.core.ops.models import (
    OutboxDocument,
    OutboxLine,
    Reject,
    SchemaDrift,
    SyncRun,
    SyncRunStream,
    Watermark,
)

AMOUNT = pa.decimal128(18, 6)
INSTANT = pa.timestamp("us", tz="UTC")
TEXT, COUNT, FLAG, DAY = pa.string(), pa.int64(), pa.bool_(), pa.date32()

Table = tuple[pa.Schema, list[dict[str, Any]]]

# table -> (column -> (arrow type, expression), query over the expressions)
TABLES: dict[str, tuple[dict[str, tuple[pa.DataType, Any]], Any]] = {
    "watermarks": (
        {
            "integration_id": (TEXT, Watermark.integration_id),
            "stream": (TEXT, Watermark.stream),
            "source_outlet_id": (TEXT, Watermark.scope),
            "complete_until": (INSTANT, Watermark.complete_until),
            "marks_complete": (FLAG, Watermark.marks_complete),
        },
        lambda query: query.order_by(Watermark.integration_id, Watermark.stream, Watermark.scope),
    ),
    "sync_runs": (
        {
            "run_id": (COUNT, SyncRun.run_id),
            "integration_id": (TEXT, SyncRun.integration_id),
            "stream": (TEXT, SyncRunStream.stream),
            "status": (TEXT, SyncRunStream.status),
            "started_at": (INSTANT, SyncRun.started_at),
            "finished_at": (INSTANT, SyncRun.finished_at),
            "rows": (COUNT, SyncRunStream.rows),
            "rejects": (COUNT, SyncRunStream.rejects),
            "error": (TEXT, SyncRunStream.error),
        },
        lambda query: query.join(SyncRunStream).order_by(SyncRun.run_id, SyncRunStream.stream),
    ),
    "rejects": (
        {
            "reject_id": (TEXT, Reject.reject_id),
            "integration_id": (TEXT, Reject.integration_id),
            "stream": (TEXT, Reject.stream),
            "source_outlet_id": (TEXT, Reject.scope),
            "record_key": (TEXT, Reject.record_key),
            "field": (TEXT, Reject.field),
            "rule": (TEXT, Reject.rule),
            "kind": (TEXT, Reject.kind),
            "status": (TEXT, Reject.status),
            "business_date": (DAY, Reject.business_date),
            "first_seen": (INSTANT, Reject.first_seen),
        },
        lambda query: query.order_by(Reject.first_seen, Reject.reject_id),
    ),
    "schema_drift": (
        {
            "integration_id": (TEXT, SchemaDrift.integration_id),
            "stream": (TEXT, SchemaDrift.stream),
            "field": (TEXT, SchemaDrift.field),
            "first_seen": (INSTANT, SchemaDrift.first_seen),
        },
        lambda query: query.where(SchemaDrift.is_baseline.is_(False)).order_by(
            SchemaDrift.integration_id, SchemaDrift.stream, SchemaDrift.field
        ),
    ),
    "outbox": (
        {
            "reference": (TEXT, OutboxDocument.reference),
            "document_key": (TEXT, OutboxDocument.document_key),
            "entity_id": (TEXT, OutboxDocument.entity_id),
            "outlet_id": (TEXT, OutboxDocument.outlet_id),
            "business_date": (DAY, OutboxDocument.business_date),
            "posting_date": (DAY, OutboxDocument.posting_date),
            "journal_type": (TEXT, OutboxDocument.journal_type),
            "kind": (TEXT, OutboxDocument.kind),
            "version": (COUNT, OutboxDocument.version),
            "status": (TEXT, OutboxDocument.status),
            "external_id": (TEXT, OutboxDocument.external_id),
            "target": (TEXT, OutboxDocument.target),
            "total_debit": (AMOUNT, OutboxDocument.total_debit),
            "line_count": (COUNT, OutboxDocument.line_count),
            "content_hash": (TEXT, OutboxDocument.content_hash),
            "confirmed_at": (INSTANT, OutboxDocument.confirmed_at),
        },
        lambda query: query.order_by(OutboxDocument.created_at, OutboxDocument.reference),
    ),
    "outbox_lines": (
        {
            "reference": (TEXT, OutboxLine.reference),
            "line_no": (COUNT, OutboxLine.line_no),
            "account_code": (TEXT, OutboxLine.account_code),
            "target_account": (TEXT, OutboxLine.target_account),
            "component": (TEXT, OutboxLine.component),
            "amount": (AMOUNT, OutboxLine.amount),
        },
        lambda query: query.order_by(OutboxLine.reference, OutboxLine.line_no),
    ),
}


def snapshot(session: Session) -> dict[str, Table]:
    """Every operational table of `raw_c4`: its Arrow schema and its rows, all read in one transaction."""
    found = {}
    for name, (columns, refine) in TABLES.items():
        query: Select[Any] = refine(select(*(expression for _, expression in columns.values())))
        names = list(columns)
        rows = [dict(zip(names, row, strict=True)) for row in session.execute(query)]
        found[name] = (pa.schema([(column, kind) for column, (kind, _) in columns.items()]), rows)
    return found
