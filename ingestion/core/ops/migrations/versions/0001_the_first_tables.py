"""The first tables"""

import sqlalchemy as sa
from alembic import op

from ingestion.core.ops import models

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_calls",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", models.Utc(timezone=True), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("api_calls_by_integration", "api_calls", ["integration_id", "at"], unique=False)
    op.create_index("ix_api_calls_at", "api_calls", ["at"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", models.Utc(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"], unique=False)
    op.create_table(
        "circuit_breakers",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("integration_id"),
    )
    op.create_table(
        "credentials",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", models.Utc(timezone=True), nullable=False),
        sa.Column("rotated_at", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id"),
    )
    op.create_table(
        "file_ledger",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rejects", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("first_seen", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "sha256"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("touches", sa.Text(), nullable=False),
        sa.Column("todo", sa.Text(), nullable=False),
        sa.Column("opened_at", models.Utc(timezone=True), nullable=False),
        sa.Column("last_seen", models.Utc(timezone=True), nullable=False),
        sa.Column("closed_at", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "incidents_open",
        "incidents",
        ["key"],
        unique=True,
        sqlite_where=sa.text("closed_at is null"),
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "landing_batches",
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("as_of", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch"),
    )
    op.create_index("ix_landing_batches_integration_id", "landing_batches", ["integration_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("expires_at", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "outbox_documents",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("document_key", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("outlet_id", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("posting_date", sa.Date(), nullable=False),
        sa.Column("journal_type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("narration", sa.Text(), nullable=False),
        sa.Column("cost_center", sa.Text(), nullable=False),
        sa.Column("tracking_option", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("total_debit", models.Amount(precision=24, scale=6), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("reverses_external_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("receipt_total_debit", models.Amount(precision=24, scale=6), nullable=True),
        sa.Column("receipt_line_count", sa.Integer(), nullable=True),
        sa.Column("created_at", models.Utc(timezone=True), nullable=False),
        sa.Column("sent_at", models.Utc(timezone=True), nullable=True),
        sa.Column("posted_at", models.Utc(timezone=True), nullable=True),
        sa.Column("confirmed_at", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("reference"),
    )
    op.create_index(
        "outbox_by_key",
        "outbox_documents",
        ["entity_id", "outlet_id", "business_date", "journal_type", "sequence"],
        unique=True,
    )
    op.create_index("outbox_by_status", "outbox_documents", ["target", "status"], unique=False)
    op.create_table(
        "outbox_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("at", models.Utc(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_events_reference", "outbox_events", ["reference"], unique=False)
    op.create_table(
        "rejects",
        sa.Column("reject_id", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=True),
        sa.Column("landing", sa.Text(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_seen", models.Utc(timezone=True), nullable=False),
        sa.Column("last_seen", models.Utc(timezone=True), nullable=False),
        sa.Column("resolved_at", models.Utc(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("reject_id"),
    )
    op.create_index("rejects_open", "rejects", ["integration_id", "stream", "status"], unique=False)
    op.create_table(
        "schema_drift",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("is_baseline", sa.Boolean(), nullable=False),
        sa.Column("first_seen", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "stream", "field"),
    )
    op.create_table(
        "sync_runs",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("as_of", models.Utc(timezone=True), nullable=False),
        sa.Column("is_replay", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", models.Utc(timezone=True), nullable=False),
        sa.Column("finished_at", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sync_runs_integration_id", "sync_runs", ["integration_id"], unique=False)
    op.create_table(
        "watermarks",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("complete_until", models.Utc(timezone=True), nullable=False),
        sa.Column("marks_complete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "stream", "scope"),
    )
    op.create_table(
        "incident_notices",
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("delivered_at", models.Utc(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
        ),
        sa.PrimaryKeyConstraint("incident_id", "channel"),
    )
    op.create_table(
        "outbox_lines",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("account_code", sa.Text(), nullable=False),
        sa.Column("target_account", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("amount", models.Amount(precision=24, scale=6), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["reference"], ["outbox_documents.reference"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("reference", "line_no"),
    )
    op.create_table(
        "sync_run_streams",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rejects", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["sync_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "stream"),
    )


def downgrade() -> None:
    op.drop_table("sync_run_streams")
    op.drop_table("outbox_lines")
    op.drop_table("incident_notices")
    op.drop_table("watermarks")
    op.drop_index("ix_sync_runs_integration_id", table_name="sync_runs")
    op.drop_table("sync_runs")
    op.drop_table("schema_drift")
    op.drop_index("rejects_open", table_name="rejects")
    op.drop_table("rejects")
    op.drop_index("ix_outbox_events_reference", table_name="outbox_events")
    op.drop_table("outbox_events")
    op.drop_index("outbox_by_status", table_name="outbox_documents")
    op.drop_index("outbox_by_key", table_name="outbox_documents")
    op.drop_table("outbox_documents")
    op.drop_table("leases")
    op.drop_index("ix_landing_batches_integration_id", table_name="landing_batches")
    op.drop_table("landing_batches")
    op.drop_index(
        "incidents_open",
        table_name="incidents",
        sqlite_where=sa.text("closed_at is null"),
        postgresql_where=sa.text("closed_at is null"),
    )
    op.drop_table("incidents")
    op.drop_table("file_ledger")
    op.drop_table("credentials")
    op.drop_table("circuit_breakers")
    op.drop_index("ix_audit_log_at", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_index("ix_api_calls_at", table_name="api_calls")
    op.drop_index("api_calls_by_integration", table_name="api_calls")
    op.drop_table("api_calls")
