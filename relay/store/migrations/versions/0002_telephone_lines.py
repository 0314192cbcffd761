"""telephone lines: routes, the ladder and its memory, traces"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "destination",
        sa.Column("peer", sa.String(length=40), nullable=False),
        sa.Column("rung", sa.String(length=32), nullable=True),
        sa.Column("rung_at", sa.Double(), nullable=True),
        sa.Column("resolution", sa.String(length=16), nullable=True),
        sa.Column("resolution_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_destination")),
    )
    op.create_table(
        "trunk_route",
        sa.Column("trunks", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("trunks", name=op.f("pk_trunk_route")),
    )
    op.create_table(
        "trace",
        sa.Column("fax_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("entries", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["fax_id"], ["fax.id"], name=op.f("fk_trace_fax_id_fax")),
        sa.PrimaryKeyConstraint("fax_id", "attempt", name=op.f("pk_trace")),
    )
    with op.batch_alter_table("trace", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_trace_created_at"), ["created_at"], unique=False)
    op.add_column("fax", sa.Column("free_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("fax", sa.Column("route", sa.String(length=512), server_default="", nullable=False))
    op.add_column("fax", sa.Column("rungs_tried", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("fax", sa.Column("passes_on", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_fax_passes_on"), "fax", ["passes_on"], unique=False)
    op.add_column("attempt", sa.Column("rung", sa.String(length=32), server_default="", nullable=False))
