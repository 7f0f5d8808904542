"""What a store holds for the next training: reviews, what is said of products, and who is forgotten."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import polars as pl

from rec_sys.bundle_manifest import StorePosition
from rec_sys.contracts import ProductColumn, QuarantineColumn, ReviewColumn
from rec_sys.data.readers.batches import QUARANTINE_SCHEMA, REVIEW_SCHEMA, Batch, as_product_facts
from rec_sys.raw_files.product_texts import PRODUCT_FACTS_SCHEMA
from rec_sys.raw_files.rating_scales import STARS, to_stars
from rec_sys.settings import DataSettings, TableData
from rec_sys.store.live_products import LiveProducts
from rec_sys.store.messages import Change, ChangeKind, digest
from rec_sys.store.store import Store

FIRST_WRITTEN_ROW: Final = 1 << 40  # a review's row is this and its place in the log; no raw file has so many rows


@dataclass(frozen=True, eq=False)
class WrittenData:
    """What the log held when it was read; it is added to the raw files, whose forgotten users are left out.

    Attributes:
        place: Up to where the log was read.
        changes: Of reviews and products and forgotten users, oldest first.
        hash_of: What the log calls a forgotten user.
    """

    place: StorePosition
    changes: tuple[Change, ...]
    hash_of: Callable[[str], str]

    @classmethod
    def of(cls, store: Store) -> Self:
        """All that a store holds now; what is written meanwhile is for the next time."""
        position = store.position()
        kept = [one for one in store.changes_up_to(position) if one.kind in _READ]
        return cls(StorePosition(store=store.identity, sequence=position), tuple(kept), store.hash_of)

    @property
    def digest(self) -> str:
        """Names what is added: an entry of the log never changes, and one that is removed is not there."""
        return digest([self.place.store, *((one.sequence, one.kind, one.subject) for one in self.changes)])

    @cached_property
    def products(self) -> LiveProducts:
        """What is said of products."""
        products = LiveProducts()
        products.apply(self.changes)
        return products

    @cached_property
    def forgotten(self) -> frozenset[str]:
        """Hashes of users whose rows of the raw files are left out; what they wrote afterwards is in the log."""
        return frozenset(one.subject for one in self.changes if one.kind is ChangeKind.USER_FORGOTTEN)

    def without_forgotten(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Raw reviews but for those of forgotten users; where there are any, bad rows are kept without their words."""
        if not self.forgotten:
            yield from batches
            return
        for batch in batches:
            users = batch.rows[ReviewColumn.USER_ID].unique().to_list()
            gone = [user_id for user_id in users if user_id is not None and self.hash_of(user_id) in self.forgotten]
            rows = batch.rows.filter(~pl.col(ReviewColumn.USER_ID).is_in(gone))
            bad = batch.set_aside.with_columns(pl.lit("").alias(QuarantineColumn.RAW))
            yield replace(batch, rows=rows, set_aside=bad, left_out=batch.left_out + batch.rows.height - rows.height)

    def reviews(self, data: DataSettings, has_time: bool) -> Batch:
        """The written reviews as training reads others."""
        scale = data.rating_scale if isinstance(data, TableData) else STARS
        rows = [_review_row(change, scale, has_time) for change in self.changes if change.review is not None]
        return _batch(pl.DataFrame(rows, schema=REVIEW_SCHEMA))

    def product_batches(self, raw: Iterator[Batch]) -> Iterator[Batch]:
        """The products of the raw files, and last those of which something is said, with what is said of them."""
        said, known = self.products.asins(), dict[str, dict[str, Any]]()
        for batch in raw:
            about = pl.col(ProductColumn.ASIN).is_in(list(said))
            for fact in batch.rows.filter(about).to_dicts():
                known.setdefault(fact[ProductColumn.ASIN], fact)
            yield replace(batch, rows=batch.rows.filter(~about))
        rows = [row for asin in sorted(said) if (row := self._facts(asin, known.get(asin))) is not None]
        yield _batch(as_product_facts(pl.DataFrame(rows, schema=PRODUCT_FACTS_SCHEMA)))

    def _facts(self, asin: str, known: dict[str, Any] | None) -> dict[str, Any] | None:
        """A product's row; one that was taken away stays as it was, since its reviews still count."""
        product = self.products.about(asin)
        if product.is_removed:
            return known
        facts = {name: getattr(product.said, name) for name in product.said.model_fields_set}
        row = facts if product.is_whole or known is None else known | facts
        return {name: row.get(name) for name in PRODUCT_FACTS_SCHEMA} | {ProductColumn.ASIN: asin}


_READ: Final = frozenset(
    {
        *(ChangeKind.REVIEW, ChangeKind.USER_FORGOTTEN),
        *(ChangeKind.PRODUCT, ChangeKind.PRODUCT_CHANGED, ChangeKind.PRODUCT_REMOVED),
    }
)


def _review_row(change: Change, scale: tuple[float, float], has_time: bool) -> dict[str, Any]:
    review = change.review
    assert review is not None
    low, high = scale
    rating = review.rating if review.rating is not None and low <= review.rating <= high else None
    row = {
        ReviewColumn.USER_ID: change.user_id,
        ReviewColumn.ASIN: review.asin,
        ReviewColumn.RATING: None if rating is None else to_stars(rating, scale),
        ReviewColumn.TIMESTAMP: review.timestamp if has_time else None,
        ReviewColumn.TITLE: (review.title or "").strip() or None,
        ReviewColumn.TEXT: (review.text or "").strip() or None,
        ReviewColumn.EVENT: review.event,
        ReviewColumn.WEIGHT: review.weight,
        ReviewColumn.SOURCE_ROW: FIRST_WRITTEN_ROW + change.sequence,
    }
    return {name: row.get(name) for name in REVIEW_SCHEMA}


def _batch(rows: pl.DataFrame) -> Batch:
    return Batch(rows, pl.DataFrame(schema=QUARANTINE_SCHEMA), rows.height)
