"""targets: those whose last delivery failed are claimed apart from the others"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_target_due", "target")
    for name, which in (("ix_target_well", "failures = 0"), ("ix_target_failing", "failures > 0")):
        waiting = sa.text(f"due_at IS NOT NULL AND suspended_at IS NULL AND {which}")
        op.create_index(name, "target", ["lane", "due_at"], sqlite_where=waiting, postgresql_where=waiting)
