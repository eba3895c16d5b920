"""Changes that go to tills: prices and schedules"""

import sqlalchemy as sa
from alembic import op

from ingestion.core.ops import models

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_changes",
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in (
                "reference",
                "document_key",
                "kind",
                "target",
                "outlet_id",
                "source_outlet_id",
                "subject",
                "detail",
            )
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("record", "label", "currency", "old", "new")),
        sa.Column("valid_from", sa.Date(), nullable=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("submission", "submitted_by", "status", "reason", "approved_by")
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", models.Utc(timezone=True), nullable=False),
        *(
            sa.Column(name, models.Utc(timezone=True), nullable=True)
            for name in ("sent_at", "posted_at", "confirmed_at")
        ),
        sa.PrimaryKeyConstraint("reference"),
    )
    op.create_index(
        "changes_by_subject",
        "outbox_changes",
        ["kind", "target", "source_outlet_id", "subject", "version"],
        unique=True,
    )
    op.create_index("changes_by_status", "outbox_changes", ["target", "kind", "status"], unique=False)


def downgrade() -> None:
    op.drop_index("changes_by_status", table_name="outbox_changes")
    op.drop_index("changes_by_subject", table_name="outbox_changes")
    op.drop_table("outbox_changes")
