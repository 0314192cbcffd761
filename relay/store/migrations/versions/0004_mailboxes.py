"""messages of mailboxes that are polled"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mailbox_message",
        sa.Column("mailbox", sa.String(length=64), nullable=False),
        sa.Column("validity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("fate", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "validity", "uid", name=op.f("pk_mailbox_message")),
    )
    op.create_index("ix_mailbox_message_digest", "mailbox_message", ["mailbox", "digest"], unique=False)
    op.create_index(op.f("ix_mailbox_message_seen_at"), "mailbox_message", ["seen_at"], unique=False)
