r"""The score of a product for a user, in its one home: two towers and a sparse item-item model, summed.

.. math:: s(u, j) = \frac{\cos(u, j)}{T} + w \sum_r h_r \, M_{i(r), j} + g \, p_j + b \, q_{u, j}, \qquad
    h_r = e(r) \, \rho^{n(r)} \, (1 + c \, e^{-a(r) / D}).

The sum runs over the user's newest reviews r: :math:`i(r)` is the product reviewed, :math:`n(r)` the number of newer
reviews, :math:`a(r)` the days before the newest one, :math:`e(r)` its weight among events, 1 where there are none; M is
the co-review memory, see `modules.memory`; the last two terms, popularity and repeats, are those of `score_terms`. The
letters are `ScoreFormula`'s T = `temperature`, w = `memory_weight`, :math:`\rho` = `recency`, c = `session`,
D = `session_days`, g = `popularity_weight`. For histories of one review or a few, w and g may be others (`short`).

Training, evaluation, exact search, index queries and explanations compute with this module. numpy and scipy only.
"""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from rec_sys import ragged
from rec_sys.contracts import MemoryTensor
from rec_sys.score_terms import RepeatRates

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class ShortHistory(BaseModel):
    """What counts for users of whom as little is known, beside the weights of all others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory: float = Field(1.0, ge=0, description="The memory's weight is multiplied by this.")
    popularity: float = Field(0.0, ge=0, description="This is added to the popularity's weight.")


class ScoreFormula(BaseModel):
    """The numbers of the score: a bundle keeps them, and whoever computes scores carries them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0, description="The towers' cosine is divided by this.")
    memory_weight: float = Field(0.0, description="The memory's sum is multiplied by this before it is added.")
    recency: float = Field(1.0, description="Weight of a review in that sum against the next newer one.")
    session: float = Field(0.0, description="How much more the reviews written about the newest one's day weigh.")
    session_days: float = Field(7.0, description="Days in which that fades to a third (1/e).")
    popularity_weight: float = Field(0.0, description="The popularity, at most 1, is multiplied by this and added.")
    popularity_half_life: float | None = Field(
        None, gt=0, description="Days in which a review halves its weight there."
    )
    repeats: RepeatRates | None = Field(None, description="What products of the history get; None = nothing.")
    short: tuple[ShortHistory, ...] = Field((), description="Of histories of one review, of two, and so on.")

    @property
    def reads_popularity(self) -> bool:
        """Whether it counts for anybody."""
        return self.popularity_weight > 0 or any(short.popularity > 0 for short in self.short)

    def memory_shares(self, reviews: npt.NDArray[np.integer]) -> FloatArray:
        """What the memory's weight is multiplied by, for histories of so many reviews: float32 `[n]`."""
        return self._by_length([short.memory for short in self.short], 1.0, reviews)

    def popularity_weights(self, reviews: npt.NDArray[np.integer]) -> FloatArray:
        """What the popularity is multiplied by, likewise: float32 `[n]`."""
        added = self._by_length([short.popularity for short in self.short], 0.0, reviews)
        return np.float32(self.popularity_weight) + added

    def _by_length(self, of_short: list[float], of_others: float, reviews: npt.NDArray[np.integer]) -> FloatArray:
        table = np.array([of_others, *of_short, of_others], dtype=np.float32)
        found: FloatArray = table[np.minimum(reviews, len(table) - 1)]
        return found

    def weigh_reviews(
        self,
        newer: npt.NDArray[np.integer],
        age: npt.NDArray[np.floating],
        evidence: npt.NDArray[np.floating] | None = None,
    ) -> FloatArray:
        """The reviews' weights h in the memory's sum, which `memory_weight` multiplies: float32 `[n]`.

        What is reviewed together was often bought together, which is why a session weighs more than its place says.

        Args:
            newer: `[n]`, how many newer reviews the history has.
            age: `[n]`, days before the history's newest review; negative where unknown.
            evidence: `[n]`, the reviews' own weights; None where all say the same.
        """
        weights = self.recency ** np.asarray(newer, dtype=np.float64)
        if self.session > 0:
            more = 1 + self.session * np.exp(-np.maximum(age, 0) / self.session_days)
            weights = weights * np.where(age >= 0, more, 1.0)
        if evidence is not None:
            weights = weights * evidence
        return weights.astype(np.float32)

    def weigh_histories(
        self,
        offsets: IntArray,
        products: npt.NDArray[np.integer],
        num_products: int,
        limit: int,
        age: npt.NDArray[np.floating] | None = None,
        evidence: npt.NDArray[np.floating] | None = None,
    ) -> sparse.csr_matrix:
        """`weigh_reviews` for the newest `limit` reviews of many histories, times their `memory_shares`.

        Args:
            offsets: int64 `[rows + 1]`.
            products: int `[total]`, each row's products, oldest first.
            num_products: Size of the catalogue.
            limit: Most reviews that are read.
            age: `[total]`, see `weigh_reviews`; None = unknown.
            evidence: `[total]`, likewise; None = all say the same.

        Returns:
            float32 CSR `[rows, num_products]`; a product reviewed twice has the sum.
        """
        row = ragged.row_of_entries(offsets)
        newer = offsets[row + 1] - 1 - np.arange(len(products))
        read = newer < limit
        days = np.full(len(products), -1.0) if age is None else age
        weights = self.weigh_reviews(newer[read], days[read], None if evidence is None else evidence[read])
        weights = weights * self.memory_shares(np.diff(offsets))[row[read]]
        return sparse.csr_matrix((weights, (row[read], products[read])), shape=(len(offsets) - 1, num_products))


def score_products(
    users: FloatArray,
    products: FloatArray,
    temperature: float,
    history: sparse.csr_matrix | None = None,
    memory: sparse.csr_matrix | None = None,
) -> FloatArray:
    """The score of every product for every user: float32 `[num_users, num_products]`.

    Args:
        users: float32 `[num_users, dim]`, unit length.
        products: float32 `[num_products, dim]`, unit length.
        temperature: See `ScoreFormula`.
        history: float32 CSR `[num_users, rows of the memory]`, w times h of each user's reviews, and the weights of
            the further terms; None without a memory.
        memory: float32 CSR `[num_products, num_products]`, or with the rows of `score_terms`; None where there is none.
    """
    scores: FloatArray = (users / temperature).astype(np.float32) @ products.T
    if history is not None and memory is not None:
        added = (history @ memory).tocoo()
        scores[added.row, added.col] += added.data
    return scores


def memory_parts(
    weights: FloatArray,
    reviewed: npt.NDArray[np.integer],
    scored: npt.NDArray[np.integer],
    memory: sparse.csr_matrix | None,
) -> FloatArray:
    """What each review adds to the score of a product, the summands of the memory's term: float32 `[n]`.

    Args:
        weights: float32 `[n]`, w times h of the reviews.
        reviewed: `[n]`, rows of the memory: the products reviewed.
        scored: `[n]`, its columns: the products scored.
        memory: As in `score_products`.
    """
    if memory is None or not len(weights):
        return np.zeros(len(weights), dtype=np.float32)
    parts: FloatArray = weights * np.asarray(memory[reviewed, scored]).ravel()
    return parts


def is_from_memory(score: npt.NDArray[np.floating], memory: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Whether the memory's term is the larger part of a score: what an answer calls its source.

    What the memory adds nothing to does not come from it, however low the rest is.
    """
    found: npt.NDArray[np.bool_] = (memory > 0) & (memory > score - memory)
    return found


def sparse_tensors(
    rows: sparse.csr_matrix,
) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.int32] | npt.NDArray[np.float32]]:
    """Rows as a bundle keeps them, see `contracts.MemoryTensor`."""
    return {
        MemoryTensor.OFFSETS: rows.indptr.astype(np.int64),
        MemoryTensor.NEIGHBOURS: rows.indices.astype(np.int32),
        MemoryTensor.WEIGHTS: rows.data.astype(np.float32),
    }
