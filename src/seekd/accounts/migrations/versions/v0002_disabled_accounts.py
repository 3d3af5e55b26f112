"""Accounts can be disabled.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the instant from which the keys of an account do not work."""
    op.add_column("accounts", sa.Column("disabled_at_ms", sa.BigInteger))
