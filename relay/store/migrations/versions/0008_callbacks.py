"""callbacks: what is due by endpoint, what came of each call, and the counts of each endpoint"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("warned_at", sa.Double(), nullable=True),
        sa.Column("sent", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("failed", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("seconds", sa.Double(), nullable=False, server_default="0"),
    ):
        op.add_column("target", column)
    waiting = sa.text("due_at IS NOT NULL AND suspended_at IS NULL")
    op.create_index("ix_target_due", "target", ["lane", "due_at"], sqlite_where=waiting, postgresql_where=waiting)
    due = sa.text("state = 'due'")
    op.create_index(
        "ix_delivery_target", "delivery", ["lane", "target", "not_before", "id"], sqlite_where=due, postgresql_where=due
    )
    op.create_table(
        "callback_call",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("endpoint", sa.String(length=320), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("fax_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_call")),
    )
    op.create_index(op.f("ix_callback_call_endpoint_id"), "callback_call", ["endpoint", "id"])
    op.create_index(op.f("ix_callback_call_delivery_id"), "callback_call", ["delivery_id"])
    op.create_index(op.f("ix_callback_call_fax_id"), "callback_call", ["fax_id"])
    op.create_index(op.f("ix_callback_call_at"), "callback_call", ["at"])
