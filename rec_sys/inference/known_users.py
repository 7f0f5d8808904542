"""The users that a bundle knows, by what they reviewed."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys import ragged
from rec_sys.contracts import HistoryColumn
from rec_sys.ranker.facts import UserFacts
from rec_sys.vector_database.catalogue import FloatArray, IntArray


class KnownUsers:
    """The reviews of the users that the bundle knows, by `contracts.HistoryColumn`.

    Attributes:
        product: int64 `[num_reviews]`, product indices; by user, then oldest first.
        rating: float32 `[num_reviews]`, 0 where missing.
        timestamp: int64 `[num_reviews]`.
        text_row: int64 `[num_reviews]`, -1 where missing.
        snippet: How each review begins; null where it has no text.
        weight: float32 `[num_reviews]`, how much it says beside others.
        known: bool `[num_reviews]`, whether answers leave its product out.
        held_out: bool `[num_reviews]`, whether the test split asked for it; of none in bundles that do not say.
        sequence: int64 `[num_reviews]`, its place in the store's log, 0 where it was never there.
        user: int64 `[num_reviews]`, who wrote it, a row of `facts`.
        facts: What is known of the users beside their reviews.
    """

    def __init__(self, histories: pl.DataFrame) -> None:
        self.product: IntArray = histories[HistoryColumn.PRODUCT_INDEX].to_numpy().astype(np.int64)
        self.rating: FloatArray = histories[HistoryColumn.RATING].fill_null(0).to_numpy().astype(np.float32)
        self.timestamp: IntArray = histories[HistoryColumn.TIMESTAMP].to_numpy().astype(np.int64)
        self.text_row: IntArray = histories[HistoryColumn.TEXT_ROW].to_numpy().astype(np.int64)
        self.snippet = histories[HistoryColumn.SNIPPET]
        self.weight: FloatArray = np.ones(histories.height, dtype=np.float32)
        self.known: npt.NDArray[np.bool_] = np.ones(histories.height, dtype=np.bool_)
        places = histories.get_column(HistoryColumn.SEQUENCE, default=pl.zeros(histories.height, pl.Int64, eager=True))
        self.sequence: IntArray = places.fill_null(0).to_numpy()
        none = pl.zeros(histories.height, pl.Boolean, eager=True)
        self.held_out = histories.get_column(HistoryColumn.HELD_OUT, default=none).to_numpy()
        if HistoryColumn.WEIGHT in histories.columns:  # an older bundle has no events
            self.weight = histories[HistoryColumn.WEIGHT].to_numpy().astype(np.float32)
            self.known = histories[HistoryColumn.KNOWN].to_numpy()
        runs = histories.select(pl.col(HistoryColumn.USER_ID).rle()).unnest(HistoryColumn.USER_ID)
        bounds = ragged.offsets_of(runs["len"].to_numpy())
        self.user: IntArray = ragged.row_of_entries(bounds)
        self.facts = UserFacts.of_table(None, runs["value"])
        self._rows = dict(zip(runs["value"].to_list(), itertools.pairwise(bounds.tolist()), strict=True))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._rows

    def rows(self, user_id: str) -> IntArray:
        """A user's reviews, the newest first, as places in the columns; empty for an unknown user."""
        start, end = self._rows.get(user_id, (0, 0))
        return np.arange(end - 1, start - 1, -1, dtype=np.int64)

    def before_test(self, user_id: str) -> tuple[IntArray, IntArray]:
        """The reviews that the test split asked a user for, and those before them, which it asked with; both the
        newest first, both empty where the user was not asked."""
        rows = self.rows(user_id)
        asked = np.flatnonzero(self.held_out[rows])
        return (rows[asked], rows[asked[-1] + 1 :]) if len(asked) else (rows[:0], rows[:0])

    def add_facts(self, table: pl.DataFrame | None) -> None:
        """Takes in what a table with `contracts.UserColumn` says of them."""
        self.facts = UserFacts.of_table(table, list(self._rows))

    def place(self, user_id: str | None) -> int:
        """A user's row of `facts`; the last one for an unknown user."""
        start, end = self._rows.get(user_id, (0, 0)) if user_id is not None else (0, 0)
        return int(self.user[start]) if end > start else len(self.facts.values) - 1

    def forget(self, user_id: str) -> None:
        """Knows a user no more, nor what they wrote."""
        rows = self.rows(user_id)
        self.facts.values[self.place(user_id)] = np.nan
        self._rows.pop(user_id, None)
        if len(rows):
            self.snippet = self.snippet.set(pl.arange(0, len(self.snippet), eager=True).is_in(rows.tolist()), None)
