"""holds: faxes that wait for a person; the audit: what is left of faxes that were erased"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fax_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=True),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("decided_by", sa.String(length=320), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["fax_id"], ["fax.id"], name=op.f("fk_hold_fax_id_fax")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint("fax_id", "kind", name=op.f("uq_hold_fax_id_kind")),
    )
    is_open = sa.text("verdict IS NULL")
    op.create_index("ix_hold_open", "hold", ["until"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "audit",
        sa.Column("fax_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("pages_confirmed", sa.Integer(), nullable=False),
        sa.Column("digests", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("documents_erased_at", sa.Double(), nullable=False),
        sa.Column("rows_erased_at", sa.Double(), nullable=True),
        sa.Column("erased_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("fax_id", name=op.f("pk_audit")),
    )
