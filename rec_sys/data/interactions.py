"""Reviews as numbers: one total order over all reviews, users and products as indices.

The position of a review in this order is its edge id everywhere inside. "Before" always means "smaller edge id",
so a review can never see itself, a later one, or one of the same moment that the tie rule puts behind it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import InputError, ProductColumn, ReviewColumn
from rec_sys.data.dataset import PreparedDataset

IntArray = npt.NDArray[np.int64]
SmallIntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Interactions:
    """Columns over all reviews, in the total order; every array has shape `[num_reviews]`.

    Attributes:
        user_index: int32, row of `user_ids`.
        product_index: int32, row of `products.parquet`.
        rating: float32 stars, NaN where missing.
        timestamp: int64 milliseconds, or a position where the data has no time.
        body_index: int32, equal for reviews with equal bodies; -1 where there is no text.
        unit_start: int64, the first edge of the review's unit: the reviews that one user wrote at one moment with one
            text (variants of one purchase). A unit is never divided, neither by a split nor by "before".
        review_row: int64, row of `reviews.parquet`.
        weight: float32, how much each says beside others; None where all say the same.
        event_index: int16, row of `event_kinds`, -1 where unknown; None where all are of one kind.
        event_kinds: The kinds of events, in the order of the alphabet.
    """

    num_users: int
    num_products: int
    has_time: bool
    user_index: SmallIntArray
    product_index: SmallIntArray
    rating: FloatArray
    timestamp: IntArray
    body_index: SmallIntArray
    unit_start: IntArray
    review_row: IntArray
    weight: FloatArray | None = None
    event_index: npt.NDArray[np.int16] | None = None
    event_kinds: tuple[str, ...] = ()

    @property
    def num_reviews(self) -> int:
        """Number of reviews, and so of edges."""
        return len(self.user_index)

    def weights_of(self, edges: IntArray) -> FloatArray | None:
        """`weight` of some reviews, float32 `[len(edges)]`."""
        return None if self.weight is None else np.asarray(self.weight[edges])

    def of_kinds(self, kinds: tuple[str, ...]) -> BoolArray | None:
        """bool `[num_reviews]`, whether a review is an event of one of these kinds; None where none are asked for.

        Raises:
            InputError: The data has no such kind.
        """
        if not kinds:
            return None
        unknown = [kind for kind in kinds if kind not in self.event_kinds]
        if self.event_index is None or unknown:
            raise InputError(
                f"there is no event of the kind {', '.join(unknown)}",
                where="setting evaluation.target_events",
                remedy=f"the data has {', '.join(self.event_kinds)}"
                if self.event_kinds
                else "say which column names the kind of event with data.events.column",
            )
        found: BoolArray = np.isin(self.event_index, [self.event_kinds.index(kind) for kind in kinds])
        return found


def list_user_ids(reviews: pl.DataFrame | pl.LazyFrame) -> pl.Series:
    """The outside ids of all users; the position is the user index."""
    return reviews.lazy().select(ReviewColumn.USER_ID).unique().collect(engine="streaming").to_series().sort()


def build_interactions(
    dataset: PreparedDataset, tie_break: Literal["hash", "file"] = "hash", seed: int = 0
) -> Interactions:
    """Orders a prepared data set.

    Args:
        dataset: The prepared data set.
        tie_break: `hash` orders reviews of one moment by a seeded hash of user and text (or product), `file` by
            the first raw row of their unit, and within the unit by row.
        seed: Seed of the hash.
    """
    users, asins = list_user_ids(dataset.scan_reviews()), dataset.products()[ProductColumn.ASIN]
    # A stream, so that no more than a piece of the texts and ids is in memory.
    table = (
        dataset.scan_reviews()
        .select(
            pl.col(ReviewColumn.USER_ID).cast(pl.Enum(users)).to_physical().cast(pl.Int32),
            pl.col(ReviewColumn.ASIN).cast(pl.Enum(asins)).to_physical().cast(pl.Int32),
            *(ReviewColumn.RATING, ReviewColumn.TIMESTAMP, ReviewColumn.SOURCE_ROW),
            *(ReviewColumn.WEIGHT, ReviewColumn.EVENT),
        )
        .collect(engine="streaming")
    )
    kinds = tuple(table[ReviewColumn.EVENT].drop_nulls().unique().sort().to_list())
    columns = {name: table[name].to_numpy() for name in table.columns if name != ReviewColumn.EVENT}
    user, product, when = columns[ReviewColumn.USER_ID], columns[ReviewColumn.ASIN], columns[ReviewColumn.TIMESTAMP]
    row, weight, body_index = columns[ReviewColumn.SOURCE_ROW], columns[ReviewColumn.WEIGHT], _rank_bodies(dataset)
    # What makes a unit: the text where there is one, else the raw row, which may list several products.
    unit_key = np.where(body_index >= 0, body_index, -1 - row.astype(np.int64))
    if tie_break == "file":
        order = np.lexsort((row, _first_of_unit(user, when, unit_key, row), when))
    else:
        unit_name = np.where(body_index >= 0, body_index, table.height + product.astype(np.int64))
        of_list = (body_index < 0) & table[ReviewColumn.SOURCE_ROW].is_duplicated().to_numpy()
        unit_name = np.where(of_list, table.height + len(asins) + row, unit_name)
        order = np.lexsort((row, mix(user, product, seed), mix(user, unit_name, seed), when))
    return Interactions(
        num_users=len(users),
        num_products=len(asins),
        has_time=dataset.summary.has_time,
        user_index=user[order],
        product_index=product[order],
        rating=table[ReviewColumn.RATING].cast(pl.Float32).fill_null(float("nan")).to_numpy()[order],
        timestamp=when[order].astype(np.int64),
        body_index=body_index[order].astype(np.int32),
        unit_start=_first_of_unit(user[order], when[order], unit_key[order], np.arange(len(order))),
        review_row=order.astype(np.int64),
        weight=None if (weight == 1).all() else weight[order],
        event_index=_places(table[ReviewColumn.EVENT], kinds)[order] if kinds else None,
        event_kinds=kinds,
    )


def _rank_bodies(dataset: PreparedDataset) -> IntArray:
    """int64 `[num_reviews]`: the place of each body, or headline where there is none, in the alphabet; -1 for none."""
    if not dataset.summary.has_text:
        return np.full(dataset.summary.num_reviews, -1, dtype=np.int64)
    body = pl.coalesce(
        pl.col(column).str.strip_chars().replace("", None) for column in (ReviewColumn.TEXT, ReviewColumn.TITLE)
    )
    bodies = dataset.scan_reviews().select(body).collect(engine="streaming").to_series()
    return (bodies.rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_numpy()


def _places(events: pl.Series, kinds: tuple[str, ...]) -> npt.NDArray[np.int16]:
    """int16 `[num_reviews]`: the place of each event among the kinds, -1 for null."""
    places = {kind: place for place, kind in enumerate(kinds)}
    return events.replace_strict(places, default=-1, return_dtype=pl.Int16).to_numpy()


def _first_of_unit(
    user: npt.NDArray[np.integer], when: IntArray, unit_key: IntArray, place: npt.NDArray[np.integer]
) -> IntArray:
    """int64 [num_reviews]: the smallest of `place` with the same user, moment and text."""
    frame = pl.DataFrame({"user": user, "when": when, "unit": unit_key, "place": place})
    return frame.select(pl.col("place").min().over("user", "when", "unit")).to_series().to_numpy().astype(np.int64)


def mix(left: npt.NDArray[np.integer], right: npt.NDArray[np.integer], seed: int) -> npt.NDArray[np.uint64]:
    """A seeded 64-bit hash of number pairs (the finaliser of SplitMix64, Steele et al. 2014)."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = np.full(len(left), seed, dtype=np.uint64)
    # One round a number: added up first, (1, 5) and (2, 4) would be the same.
    for value in (left, right):
        state = state * golden + value.astype(np.uint64) + golden
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state
