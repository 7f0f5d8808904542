r"""The score's two terms beside towers and memory: how popular a product is, and how likely it is come to again.

.. math:: g \, p_j + b \, q(\text{count}_j, \text{age}_j),

:math:`p_j` is the popularity of product j, 1 for the most popular one; q the share of histories with a product that
were followed by that same product, by how often and how long ago it stands there, of events also by how much the
heaviest says (a basket more than a look); 0 for all that they do not hold.
The letters are `ScoreFormula.popularity_weight` and `RepeatRates.weight`.

Both are further rows of the co-review memory, so that an index answers with them from the sparse vectors that it has:
of n products, row n holds the popularity, row n + 1 + i product i itself. numpy and scipy only.
"""

from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import sparse

from rec_sys import ragged

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

AGE_BOUNDS: Final = (1.0, 7.0, 30.0, 90.0, 365.0)  # days, or newer reviews where there is no time; ages from 0 on
COUNT_BOUNDS: Final = (2, 3)  # a product that stands there once, twice, more often


_Row = Annotated[tuple[float, ...], Field(min_length=len(COUNT_BOUNDS) + 1, max_length=len(COUNT_BOUNDS) + 1)]


class RepeatRates(BaseModel):
    """How likely products of a history are come to again; a bundle keeps it with the score's formula."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rates: tuple[_Row, ...] = Field(description="By age, in each of the kinds that evidence_bounds make.")
    by_time: bool = Field(description="Ages are days before the newest review; else numbers of newer reviews.")
    weight: float = Field(1.0, ge=0, description="The share is multiplied by this before it is added.")
    age_bounds: tuple[float, ...] = Field(AGE_BOUNDS, description="Ages from each of these on have a row of their own.")
    evidence_bounds: tuple[float, ...] = Field(
        (), description="The same of what the heaviest event with the product weighs; empty where all say the same."
    )

    @model_validator(mode="after")
    def _whole(self) -> "RepeatRates":
        if len(self.rates) != (len(self.age_bounds) + 1) * (len(self.evidence_bounds) + 1):
            raise ValueError("rates has not one row for each age and kind of evidence")
        return self

    def of_reviews(
        self,
        products: npt.NDArray[np.integer],
        newer: npt.NDArray[np.integer],
        age: npt.NDArray[np.floating],
        evidence: npt.NDArray[np.floating] | None = None,
    ) -> FloatArray:
        """What the reviews of one history, in any order, add to the score of their products: float32 `[n]`.

        Of several reviews of one product the newest has it all, the others 0.

        Args:
            products: int `[n]`.
            newer: int `[n]`, how many newer reviews the history has.
            age: `[n]`, days before the newest review; negative where unknown.
            evidence: `[n]`, what each says beside others; None where all say the same.
        """
        from_newest = np.argsort(newer, kind="stable")
        _, first, which, count = np.unique(
            products[from_newest], return_index=True, return_inverse=True, return_counts=True
        )
        added, newest = np.zeros(len(products), dtype=np.float32), from_newest[first]
        old = np.where(age >= 0, age, newer) if self.by_time else np.asarray(newer, dtype=np.float64)
        heaviest = np.zeros(len(first))
        np.maximum.at(heaviest, which, np.ones(len(products)) if evidence is None else evidence[from_newest])
        table = np.array(self.rates, dtype=np.float32)
        row = rate_rows(old[newest], heaviest, self.age_bounds, self.evidence_bounds)
        added[newest] = np.float32(self.weight) * table[row, count_bins(count)]
        return added


def rate_rows(
    age: npt.NDArray[np.floating],
    heaviest: npt.NDArray[np.floating],
    age_bounds: tuple[float, ...],
    evidence_bounds: tuple[float, ...],
) -> IntArray:
    """The row of `RepeatRates.rates` for each age and what the heaviest event weighs: int64 `[n]`."""
    kind = np.searchsorted(evidence_bounds, heaviest, side="right").astype(np.int64)
    return kind * (len(age_bounds) + 1) + np.searchsorted(age_bounds, age, side="right").astype(np.int64)


def count_bins(count: npt.NDArray[np.integer]) -> IntArray:
    """The column for each number of reviews, from 1 on: int64 `[n]`."""
    return np.searchsorted(COUNT_BOUNDS, count, side="right").astype(np.int64)


def popularity_of(
    product: npt.NDArray[np.integer],
    num_products: int,
    timestamp: IntArray | None = None,
    weight: FloatArray | None = None,
    half_life: float | None = None,
) -> FloatArray:
    """The popularity of each product among some reviews, 1 for the most popular: float32 `[num_products]`.

    Args:
        product: int `[num_reviews]`.
        num_products: Size of the catalogue.
        timestamp: int64 `[num_reviews]`; None where there is no time.
        weight: float32 `[num_reviews]`, how much each says beside others; None = all say the same.
        half_life: In which a review halves its weight, in the unit of `timestamp`; None = never.
    """
    says = np.ones(len(product)) if weight is None else np.asarray(weight, dtype=np.float64)
    if half_life is not None and timestamp is not None and len(product):
        says = says * 0.5 ** ((timestamp.max() - timestamp) / half_life)
    total = np.bincount(product, says, minlength=num_products)
    return (total / max(float(total.max(initial=0.0)), 1e-30)).astype(np.float32)


def with_terms(memory: sparse.csr_matrix, popularity: FloatArray | None, repeats: bool) -> sparse.csr_matrix:
    """The memory with the rows of both terms, float32 CSR `[2 * num_products + 1, num_products]`, or as it is."""
    size = memory.shape[1]
    if popularity is None and not repeats:
        return memory
    row = sparse.csr_matrix((1, size), dtype=np.float32) if popularity is None else sparse.csr_matrix(popularity[None])
    itself = sparse.identity(size, dtype=np.float32, format="csr") if repeats else sparse.csr_matrix((size, size))
    return sparse.vstack([memory, row, itself], format="csr", dtype=np.float32)


def without_terms(rows: sparse.csr_matrix) -> tuple[sparse.csr_matrix, FloatArray | None]:
    """The memory alone, and the popularity where it has a row."""
    size = rows.shape[1]
    if rows.shape[0] == size:
        return rows, None
    return rows[:size], rows[size].toarray()[0].astype(np.float32)


def term_weights(
    num_products: int, popularity_weight: float, products: npt.NDArray[np.integer], repeats: FloatArray
) -> dict[int, float]:
    """What both terms weigh in a user's query, by row of the memory.

    Args:
        num_products: Size of the catalogue.
        popularity_weight: See above.
        products: int `[n]`, a history's; those beyond the catalogue are unknown and left out.
        repeats: float32 `[n]`, see `RepeatRates.of_reviews`.
    """
    found = {num_products: popularity_weight} if popularity_weight else {}
    known = (repeats != 0) & (products < num_products)
    rows = num_products + 1 + products[known].astype(np.int64)
    return found | dict(zip(rows.tolist(), repeats[known].tolist(), strict=True))


def repeat_scores(
    rates: RepeatRates,
    offsets: IntArray,
    products: npt.NDArray[np.integer],
    age: npt.NDArray[np.floating] | None,
    num_products: int,
    limit: int,
    evidence: npt.NDArray[np.floating] | None = None,
) -> sparse.csr_matrix:
    """`RepeatRates.of_reviews` for the newest `limit` reviews of many histories, oldest first.

    Returns:
        float32 CSR `[rows, num_products]`.
    """
    row = ragged.row_of_entries(offsets)
    newer = offsets[row + 1] - 1 - np.arange(len(products))
    read = newer < limit
    row, products, newer = row[read], products[read], newer[read]
    days = np.full(len(products), -1.0) if age is None else age[read]
    # A history and its product are one product of its own.
    says = None if evidence is None else evidence[read]
    added = rates.of_reviews(row * num_products + products, newer, days, says)
    return sparse.csr_matrix((added, (row, products)), shape=(len(offsets) - 1, num_products))
