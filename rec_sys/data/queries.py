"""The questions of a split: who is asked, as seen from when, and what they came to next."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import BoolArray, IntArray, Interactions, SmallIntArray


@dataclass(frozen=True)
class Queries:
    """Users who are each asked once, "what next?", as seen from just before their edge bound.

    Attributes:
        user_index: int32 `[num_queries]`.
        bound: int64 `[num_queries]`; the history is the user's visible edges with an id below it.
        target_offsets: int64 `[num_queries + 1]`, into the targets.
        target_products: int32 `[num_targets]`, the products that were reviewed next.
        target_edges: int64 `[num_targets]`, their reviews.
        history_offsets: int64 `[num_queries + 1]`, into the history.
        history_products: int32 `[history_length]`, products of the user's visible earlier reviews.
        num_cold: Users who had to be left out because nothing is known of them before the bound.
        history_edges: int64 `[history_length]`, the reviews of `history_products`.
        history_known: bool `[history_length]`, whether a masked ranking leaves them out: those of a kind that is
            predicted, none where what was bought may be bought again; None where all are.
    """

    user_index: SmallIntArray
    bound: IntArray
    target_offsets: IntArray
    target_products: SmallIntArray
    target_edges: IntArray
    history_offsets: IntArray
    history_products: SmallIntArray
    num_cold: int
    history_edges: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    history_known: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.user_index)

    def spread(self, most: int) -> IntArray:
        """At most so many of the queries, at equal distances: int64 `[n]`."""
        return np.arange(0, len(self), max(1, -(-len(self) // most)))

    def take(self, rows: npt.NDArray[np.integer]) -> "Queries":
        """Some of the queries: int `[n]`."""
        targets, target = ragged.take_rows(self.target_offsets, rows)
        histories, entry = ragged.take_rows(self.history_offsets, rows)
        return replace(
            self,
            user_index=self.user_index[rows],
            bound=self.bound[rows],
            target_offsets=targets,
            target_products=self.target_products[target],
            target_edges=self.target_edges[target],
            history_offsets=histories,
            history_products=self.history_products[entry],
            history_edges=self.history_edges[entry],
            history_known=None if self.history_known is None else self.history_known[entry],
        )

    def masked_products(self, rows: npt.NDArray[np.integer]) -> tuple[IntArray, SmallIntArray]:
        """What a masked ranking leaves out: the products that the history has come to as it is asked about.

        Of somebody who has looked at a product and is asked what they will order it stays in.

        Args:
            rows: int `[n]`, queries.

        Returns:
            Places in `rows`, int64 `[m]`, ascending, and products, int32 `[m]`.
        """
        offsets, entries = ragged.take_rows(self.history_offsets, rows)
        place = ragged.row_of_entries(offsets)
        if self.history_known is not None:
            known = self.history_known[entries]
            place, entries = place[known], entries[known]
        return place, self.history_products[entries]

    def unmasked(self) -> "Queries":
        """The same questions, with nothing that a masked ranking leaves out."""
        return replace(self, history_known=np.zeros(len(self.history_edges), dtype=np.bool_))


def ask_users(
    interactions: Interactions,
    of_review: npt.NDArray[np.uint8],
    of_kind: BoolArray | None,
    asked: int,
    known: tuple[int, ...],
    cut: bool,
    cold: bool = False,
) -> Queries:
    """The questions of a split; of the users with a history, or of those without one.

    Args:
        interactions: The reviews.
        of_review: uint8 `[num_reviews]`, each review's split.
        of_kind: bool `[num_reviews]`, whether a review is of a kind that is predicted; None where all are.
        asked: The split whose reviews are asked for.
        known: The splits that histories are read from.
        cut: Everybody is asked at one moment, that of the first review asked for.
        cold: Ask the users without a history.
    """
    target_edges = np.flatnonzero(of_review == asked if of_kind is None else (of_review == asked) & of_kind)
    # By user, then by time: the order in which the offsets below count.
    target_edges = target_edges[np.argsort(interactions.user_index[target_edges], kind="stable")]
    users, first = np.unique(interactions.user_index[target_edges], return_index=True)
    bound = np.full(len(users), target_edges.min()) if cut else interactions.unit_start[target_edges[first]]
    place = np.full(interactions.num_users, -1, dtype=np.int64)
    place[users] = np.arange(len(users))

    history = np.flatnonzero(np.isin(of_review, known) & (place[interactions.user_index] >= 0))
    history = history[history < bound[place[interactions.user_index[history]]]]
    history = history[np.argsort(interactions.user_index[history], kind="stable")]
    history_count = np.bincount(place[interactions.user_index[history]], minlength=len(users))
    target_count = np.diff(np.append(first, len(target_edges)))

    chosen = (history_count > 0) != cold
    if cold:
        history = np.empty(0, dtype=np.int64)
    return _gather(interactions, of_kind, (users, bound, target_edges, target_count), (history, history_count), chosen)


def ask_daily(
    interactions: Interactions,
    of_review: npt.NDArray[np.uint8],
    of_kind: BoolArray | None,
    asked: int,
    known: tuple[int, ...],
) -> Queries:
    """The questions of a split day by day: a user is asked on each day that has reviews of theirs, with all before it.

    So a history holds what the split's own earlier days have brought; days are those of UTC. The questions go with the
    time, users of one day by their index; those without a history are left out. The arguments are as in `ask_users`.
    """
    day = interactions.timestamp // MILLISECONDS_A_DAY
    target_edges = np.flatnonzero(of_review == asked if of_kind is None else (of_review == asked) & of_kind)
    target_edges = target_edges[np.lexsort((interactions.user_index[target_edges], day[target_edges]))]
    user, when = interactions.user_index[target_edges], day[target_edges]
    starts = np.append(True, (user[1:] != user[:-1]) | (when[1:] != when[:-1]))[: len(user)]
    target_count = np.diff(np.append(np.flatnonzero(starts), len(user)))
    users, bound = user[starts], np.searchsorted(day, when[starts])

    visible = np.flatnonzero(np.isin(of_review, (*known, asked)))
    offsets, order = ragged.group_rows(interactions.user_index[visible], interactions.num_users)
    taken, entries = ragged.take_rows(offsets, users)
    history = visible[order[entries]]
    row = ragged.row_of_entries(taken)
    before = history < bound[row]
    history, history_count = history[before], np.bincount(row[before], minlength=len(users))
    return _gather(
        interactions,
        of_kind,
        (users, bound, target_edges, target_count),
        (history, history_count),
        chosen=history_count > 0,
    )


def _gather(
    interactions: Interactions,
    of_kind: BoolArray | None,
    asked: tuple[npt.NDArray[np.integer], IntArray, IntArray, IntArray],
    known: tuple[IntArray, IntArray],
    chosen: BoolArray,
) -> Queries:
    """Some of the questions that could be asked.

    Args:
        interactions: The reviews.
        of_kind: As for `ask_users`.
        asked: Users and bounds, `[n]`, target edges by question, and how many each question has, `[n]`.
        known: The edges of the histories, by question, those of the chosen ones alone; how many each has, `[n]`.
        chosen: bool `[n]`.
    """
    (users, bound, target_edges, target_count), (history, history_count) = asked, known
    kept = target_edges[np.repeat(chosen, target_count)]
    return Queries(
        user_index=users[chosen].astype(np.int32),
        bound=bound[chosen].astype(np.int64),
        target_offsets=ragged.offsets_of(target_count[chosen]),
        target_products=interactions.product_index[kept],
        target_edges=kept,
        history_offsets=ragged.offsets_of(history_count[chosen]),
        history_products=interactions.product_index[history],
        num_cold=int((history_count == 0).sum()),
        history_edges=history,
        history_known=None if of_kind is None else of_kind[history],
    )


def truncate_histories(queries: Queries, length: int) -> Queries:
    """The same questions, with only the first `length` reviews of each history known; those with fewer are left out."""
    counts = np.diff(queries.history_offsets)
    rows = np.flatnonzero(counts >= length)
    start = queries.history_offsets[rows]
    place = (start[:, None] + np.arange(length)).ravel()
    # What was the next review of the history is now the end of what may be read.
    cut = counts[rows] > length
    after = queries.history_edges[np.where(cut, start + length, 0)]
    target_offsets, target = ragged.take_rows(queries.target_offsets, rows)
    return Queries(
        user_index=queries.user_index[rows],
        bound=np.where(cut, after, queries.bound[rows]),
        target_offsets=target_offsets,
        target_products=queries.target_products[target],
        target_edges=queries.target_edges[target],
        history_offsets=np.arange(len(rows) + 1) * length,
        history_products=queries.history_products[place],
        num_cold=0,
        history_edges=queries.history_edges[place],
        history_known=None if queries.history_known is None else queries.history_known[place],
    )
