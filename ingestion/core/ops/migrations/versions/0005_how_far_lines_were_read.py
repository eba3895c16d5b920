"""How far sockets, queues and polls were read"""

import sqlalchemy as sa
from alembic import op

from ingestion.core.ops import models

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "line_positions",
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", models.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "line"),
    )


def downgrade() -> None:
    op.drop_table("line_positions")
