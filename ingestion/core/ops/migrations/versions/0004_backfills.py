"""Backfills and their slices, the rate of calls that processes share"""

import sqlalchemy as sa
from alembic import op

from ingestion.core.ops import models

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "call_allowances",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("paid_until", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id"),
    )
    op.create_table(
        "backfills",
        sa.Column("backfill_id", BIG_ID, nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("streams", sa.Text(), nullable=False),
        sa.Column("first_date", sa.Date(), nullable=False),
        sa.Column("last_date", sa.Date(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("started_at", models.Utc(timezone=True), nullable=False),
        sa.Column("finished_at", models.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("backfill_id"),
    )
    op.create_table(
        "backfill_slices",
        sa.Column("backfill_id", BIG_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rejects", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("ended_at", models.Utc(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfills.backfill_id"]),
        sa.PrimaryKeyConstraint("backfill_id", "number"),
    )


def downgrade() -> None:
    op.drop_table("backfill_slices")
    op.drop_table("backfills")
    op.drop_table("call_allowances")
