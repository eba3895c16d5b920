"""The inbox of events, tokens of our own API, authorisations under way"""

import sqlalchemy as sa
from alembic import op

from ingestion.core.ops import models

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox_events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("sent_at", models.Utc(timezone=True), nullable=True),
        sa.Column("received_at", models.Utc(timezone=True), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("settled_at", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_once", "inbox_events", ["integration_id", "event_id"], unique=True)
    op.create_index("inbox_by_state", "inbox_events", ["state", "integration_id", "seq"], unique=False)
    op.create_index("inbox_by_object", "inbox_events", ["integration_id", "object_key"], unique=False)
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", models.Utc(timezone=True), nullable=False),
        sa.Column("expires_at", models.Utc(timezone=True), nullable=True),
        sa.Column("revoked_at", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_id"),
    )
    op.create_table(
        "oauth_states",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("expires_at", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index("ix_oauth_states_expires_at", "oauth_states", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_oauth_states_expires_at", table_name="oauth_states")
    op.drop_table("oauth_states")
    op.drop_table("api_tokens")
    op.drop_index("inbox_by_object", table_name="inbox_events")
    op.drop_index("inbox_by_state", table_name="inbox_events")
    op.drop_index("inbox_once", table_name="inbox_events")
    op.drop_table("inbox_events")
