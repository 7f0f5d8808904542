"""The log of changes, its head, and the answers that were given."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "a1"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "changes",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("written", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text),
    )
    op.create_index("changes_by_subject", "changes", ["subject"])
    op.create_index("changes_by_user", "changes", ["user_id"])
    head = op.create_table(
        "head",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "last": 0, "key": secrets.token_hex(32)}])
    op.create_table(
        "answered",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
    )
    op.create_index("answered_by_time", "answered", ["written"])


def downgrade() -> None:
    """Takes them away."""
    for name in ("answered", "head", "changes"):
        op.drop_table(name)
