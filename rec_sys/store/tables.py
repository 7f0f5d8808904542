"""The tables of the store, as SQLAlchemy names them; `migrations` makes them."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

METADATA: Final = MetaData()

# The log. A change is never edited; of a review that is removed, and of a user who is forgotten, the rows go.
CHANGES: Final = Table(
    "changes",
    METADATA,
    # In the order of the commits, without two writers at once: whoever has read up to one has missed none before it.
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    # Of a review or an event its id, of a forgotten user the keyed hash of the user id, of a product a hash of its
    # asin.
    Column("subject", String(64), nullable=False),
    Column("user_id", Text),
    Column("written", BigInteger, nullable=False),  # milliseconds since 1970 UTC; of a product the first
    Column("content", Text),  # JSON
    Index("changes_by_subject", "subject"),
    Index("changes_by_user", "user_id"),
)
# One row: how far the log has come, and the key that user ids of forgotten users are hashed with.
HEAD: Final = Table(
    "head",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("key", String(64), nullable=False),
)
# What requests with a key were answered, so that one that is sent again gets the same answer.
ANSWERED: Final = Table(
    "answered",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("request", String(64), nullable=False),  # sha256 of what was sent
    Column("answer", Text, nullable=False),  # JSON
    Column("written", BigInteger, nullable=False),
    Index("answered_by_time", "written"),
)
