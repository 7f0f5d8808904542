"""The store: an append-only log of what is written while the service runs, from which everything else is made anew."""

import hmac
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from rec_sys.settings import StoreSettings
from rec_sys.store.database import explained, open_engine, writing
from rec_sys.store.messages import (
    Change,
    ChangeKind,
    KeyReusedError,
    Receipt,
    StoreUnavailable,
    WrittenBatch,
    WrittenEvent,
    WrittenProduct,
    WrittenReview,
)
from rec_sys.store.tables import ANSWERED, CHANGES, HEAD

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 500  # values of a question; SQLite once took 999
_KEY_LIVES: Final = 7 * 24 * 3600 * 1000  # milliseconds in which a request may be sent again with its key
_PAGE: Final = 5_000
_OF_BATCHES: Final = (ChangeKind.REVIEW, ChangeKind.EVENT)
_IDENTITY_LENGTH: Final = 16  # hex digits
_OF_PRODUCTS: Final = (ChangeKind.PRODUCT, ChangeKind.PRODUCT_CHANGED, ChangeKind.PRODUCT_REMOVED)


class Store:
    """Writes to the log and reads from it; for any thread.

    Transactions that write follow one another, and each gives out its numbers itself: whoever has read the log up to
    a number has missed nothing before it. What a method has returned survives any kill.

    Args:
        settings: Which database.
        output_dir: Where SQLite's file is kept unless the settings say otherwise.

    Attributes:
        shown: How messages call it.
        identity: Names this store among others; a new database is another one.

    Raises:
        InputError: The address is none, its driver is missing, or a newer version has made the store.
        StoreUnavailable: The database does not answer.
    """

    def __init__(self, settings: StoreSettings, output_dir: Path) -> None:
        self._engine, self.shown = open_engine(settings, output_dir)
        self._writer = writing(self._engine)
        with explained(self.shown), self._engine.connect() as connection:
            self._key = str(connection.execute(select(HEAD.c.key)).scalar_one()).encode()
        self.identity = hmac.digest(self._key, b"", "sha256").hex()[:_IDENTITY_LENGTH]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of connections."""
        self._engine.dispose()

    def position(self) -> int:
        """Where the log ends; raises `StoreUnavailable` as every method does."""
        with explained(self.shown), self._engine.connect() as connection:
            return int(connection.execute(select(HEAD.c.last)).scalar_one())

    def write(self, batches: Sequence[WrittenBatch]) -> list[list[Receipt] | KeyReusedError]:
        """Takes reviews and events, all batches in one transaction; what is there already keeps its place.

        Returns:
            A receipt an entry, by batch; the error of a batch that carries another's key.
        """
        now = _now()
        with explained(self.shown), self._writer.begin() as connection:
            last = _take_turn(connection)
            places = _places_of(connection, [entry.subject for batch in batches for entry in batch.entries])
            answered = _answered(connection, [batch.key for batch in batches if batch.key is not None], now)
            rows: list[dict[str, Any]] = []
            outcome: list[list[Receipt] | KeyReusedError] = []
            for batch in batches:
                if batch.key in answered:
                    request, answer = answered[batch.key]
                    outcome.append(answer if request == batch.request_digest else KeyReusedError())
                    continue
                receipts = []
                for entry in batch.entries:
                    subject = entry.subject
                    if is_new := subject not in places:
                        last += 1
                        places[subject] = last
                        rows.append(_row_of(last, subject, entry, now))
                    receipts.append(Receipt(subject=subject, sequence=places[subject], is_new=is_new))
                outcome.append(receipts)
                if batch.key is not None:
                    answered[batch.key] = (batch.request_digest, receipts)
                    _remember(connection, batch, receipts, now)
            if rows:
                connection.execute(insert(CHANGES), rows)
                _end_turn(connection, last)
        return outcome

    def changes_up_to(self, position: int) -> list[Change]:
        """All entries of the log up to a position, oldest first."""
        found: list[Change] = []
        while page := self.changes_since(found[-1].sequence if found else 0):
            found += page
            if page[-1].sequence >= position:
                break
        return [change for change in found if change.sequence <= position]

    def changes_since(self, position: int, limit: int = _PAGE) -> list[Change]:
        """The next entries of the log after a position, oldest first; fewer than `limit` only where it ends."""
        asked = select(CHANGES).where(CHANGES.c.sequence > position).order_by(CHANGES.c.sequence).limit(limit)
        with explained(self.shown), self._engine.connect() as connection:
            return [_change(row) for row in connection.execute(asked)]

    def newest_reviews(self, limit: int, before: int | None = None) -> list[Change]:
        """The reviews that were taken last, of those before a position; the newest first."""
        asked = select(CHANGES).where(CHANGES.c.kind == ChangeKind.REVIEW)
        if before is not None:
            asked = asked.where(CHANGES.c.sequence < before)
        with explained(self.shown), self._engine.connect() as connection:
            rows = connection.execute(asked.order_by(CHANGES.c.sequence.desc()).limit(limit))
            return [_change(row) for row in rows]

    def remove_review(self, user_id: str, review_id: str) -> bool:
        """Removes a review of a user; returns whether there was one."""
        this = (CHANGES.c.subject == review_id, CHANGES.c.user_id == user_id, CHANGES.c.kind == ChangeKind.REVIEW)
        with explained(self.shown), self._writer.begin() as connection:
            last = _take_turn(connection) + 1
            if not connection.execute(delete(CHANGES).where(*this)).rowcount:
                return False
            row = {"kind": ChangeKind.REVIEW_REMOVED, "subject": review_id, "user_id": user_id}
            connection.execute(insert(CHANGES), [{"sequence": last, "written": _now(), "content": None, **row}])
            _end_turn(connection, last)
        self._sweep_out()
        return True

    def forget_user(self, user_id: str) -> int:
        """Removes all there is of a user; what stays is a keyed hash, by which others forget the user too.

        Returns:
            How many reviews were removed.
        """
        theirs = CHANGES.c.user_id == user_id
        with explained(self.shown), self._writer.begin() as connection:
            last = _take_turn(connection) + 1
            removed = connection.execute(delete(CHANGES).where(theirs, CHANGES.c.kind == ChangeKind.REVIEW)).rowcount
            connection.execute(delete(CHANGES).where(theirs))
            row = {"kind": ChangeKind.USER_FORGOTTEN, "subject": self.hash_of(user_id), "user_id": None}
            connection.execute(insert(CHANGES), [{"sequence": last, "written": _now(), "content": None, **row}])
            _end_turn(connection, last)
        self._sweep_out()
        return removed

    def write_products(self, said: Sequence[tuple[ChangeKind, WrittenProduct]]) -> int:
        """Takes what is said of products, all of it in one transaction; returns the last sequence number.

        Args:
            said: `PRODUCT` and `PRODUCT_REMOVED` stand for all that was said of a product before, whose rows go; of a
                change the fields that are set count, of a removal the asin.
        """
        with explained(self.shown), self._writer.begin() as connection:
            last = _take_turn(connection)
            for kind, product in said:
                last += 1
                _say(connection, kind, product, last)
            _end_turn(connection, last)
        return last

    def hash_of(self, user_id: str) -> str:
        """What the log calls a forgotten user: nobody without the store's key can tell who it was."""
        return hmac.digest(self._key, user_id.encode(), "sha256").hex()

    def _sweep_out(self) -> None:
        """Overwrites what SQLite's journal still holds of removed rows; PostgreSQL's autovacuum does it in its time."""
        if self._engine.dialect.name == "sqlite":
            with explained(self.shown), self._engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def prove_store(settings: StoreSettings, output_dir: Path) -> None:
    """Finds out whether the settings can be meant; a database that is away may come back.

    Raises:
        InputError: See `Store`.
    """
    try:
        Store(settings, output_dir).close()
    except StoreUnavailable as error:
        _LOG.warning(f"{error.what}: {error.where}; nothing can be written until it does")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _take_turn(connection: Connection) -> int:
    """Waits for the writers before this one; returns where the log ends."""
    return int(connection.execute(update(HEAD).values(last=HEAD.c.last).returning(HEAD.c.last)).scalar_one())


def _end_turn(connection: Connection, last: int) -> None:
    connection.execute(update(HEAD).values(last=last))


def _places_of(connection: Connection, subjects: list[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for start in range(0, len(subjects), _AT_ONCE):
        asked = select(CHANGES.c.subject, CHANGES.c.sequence).where(
            CHANGES.c.subject.in_(subjects[start : start + _AT_ONCE]), CHANGES.c.kind.in_(_OF_BATCHES)
        )
        places |= {row.subject: row.sequence for row in connection.execute(asked)}
    return places


def _answered(connection: Connection, keys: list[str], now: int) -> dict[str | None, tuple[str, list[Receipt]]]:
    if not keys:
        return {}
    connection.execute(delete(ANSWERED).where(ANSWERED.c.written < now - _KEY_LIVES))
    asked = select(ANSWERED).where(ANSWERED.c.key.in_(keys))
    return {
        row.key: (row.request, [_receipt(one) for one in json.loads(row.answer)]) for row in connection.execute(asked)
    }


def _receipt(kept: dict[str, Any]) -> Receipt:
    """A receipt as it was kept; a version before the events called the subject review_id."""
    return Receipt(subject=kept.get("subject") or kept["review_id"], sequence=kept["sequence"])


def _say(connection: Connection, kind: ChangeKind, product: WrittenProduct, sequence: int) -> None:
    written = _now()
    if kind is not ChangeKind.PRODUCT_CHANGED:
        said = (CHANGES.c.subject == product.subject, CHANGES.c.kind.in_(_OF_PRODUCTS))
        if kind is ChangeKind.PRODUCT:  # a product is as old as the first that was said of it
            first = select(func.min(CHANGES.c.written)).where(*said, CHANGES.c.kind == ChangeKind.PRODUCT)
            written = connection.execute(first).scalar_one() or written
        connection.execute(delete(CHANGES).where(*said))
    content = product.model_dump_json(exclude_unset=True)
    row = {"kind": kind, "subject": product.subject, "user_id": None, "content": content}
    connection.execute(insert(CHANGES), [{"sequence": sequence, "written": written, **row}])


def _remember(connection: Connection, batch: WrittenBatch, receipts: list[Receipt], now: int) -> None:
    answer = json.dumps([receipt.model_dump() for receipt in receipts])
    row = {"key": batch.key, "request": batch.request_digest, "answer": answer, "written": now}
    connection.execute(insert(ANSWERED), [row])


def _row_of(sequence: int, subject: str, entry: WrittenReview | WrittenEvent, now: int) -> dict[str, Any]:
    user_id = entry.user_id if isinstance(entry, WrittenReview) else None
    return {
        "sequence": sequence,
        "kind": ChangeKind.EVENT if user_id is None else ChangeKind.REVIEW,
        "subject": subject,
        "user_id": user_id,
        "written": now,
        "content": entry.model_dump_json(exclude={"user_id"}, exclude_defaults=True),
    }


def _change(row: Row[Any]) -> Change:
    kind = ChangeKind(row.kind)
    if kind is ChangeKind.REVIEW:
        review = WrittenReview(user_id=row.user_id, **{"timestamp": row.written} | json.loads(row.content))
        return Change(row.sequence, kind, row.subject, row.user_id, review, written=row.written)
    event = WrittenEvent(**{"timestamp": row.written} | json.loads(row.content)) if kind is ChangeKind.EVENT else None
    product = WrittenProduct.model_validate_json(row.content) if kind in _OF_PRODUCTS else None
    return Change(row.sequence, kind, row.subject, row.user_id, product=product, event=event, written=row.written)
