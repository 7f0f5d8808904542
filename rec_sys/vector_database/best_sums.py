"""The best products by the sum of two scores, each of which ranks them on its own.

This is the threshold algorithm (Fagin, Lotem and Naor 2003, section 4): the best of both rankings are fetched, the
score that one of them lacks is looked up where the sum could still be among the best, and nothing more is fetched as
soon as no product that stands in neither could be.
"""

from collections.abc import Collection
from typing import Final, Protocol

Scores = dict[int, float]  # by the product's key, the best first

# Products than the page has: with them the first try is enough for nearly all pages of the sample.
_MORE_AT_FIRST: Final = 16
_GROWTH: Final = 3


class Ranking(Protocol):
    """Products by one score."""

    def best(self, count: int) -> Scores:
        """The best ones; fewer where no more have a score."""

    def of(self, keys: Collection[int]) -> Scores:
        """The scores of some products, those left out that have none."""


def best_sums(
    dense: Ranking,
    sparse: Ranking,
    *,
    wanted: int,
    most: int,
    at_first: int | None = None,
    dropped: Collection[int] = (),
) -> Scores:
    """The best products by both scores together.

    Args:
        dense: A score that every product has; where it is searched approximately, what it misses may be missed here.
        sparse: A score that counts 0 where a product has none.
        wanted: Most products to answer.
        most: Products that are fetched of each ranking at most: what is not among these of either may be missed.
        at_first: Products that are fetched of each before more are; None for as many as the page needs as a rule.
        dropped: Products that are not answered.
    """
    count = min(wanted + len(dropped) + _MORE_AT_FIRST if at_first is None else at_first, most)
    while True:
        by_dense, by_sparse = dense.best(count), sparse.best(count)
        # What any product not fetched can have at most; with all fetched that have a sparse score, exactly 0 of it.
        has_more_sparse = len(by_sparse) == count
        rest_dense = min(by_dense.values()) if len(by_dense) == count else -float("inf")
        rest_sparse = max(0.0, min(by_sparse.values())) if has_more_sparse else 0.0
        keys = [key for key in {**by_dense, **by_sparse} if key not in dropped]
        bound = {key: by_dense.get(key, rest_dense) + by_sparse.get(key, rest_sparse) for key in keys}
        is_last = count == most or (len(by_dense) < count and not has_more_sparse)
        if is_last or rest_dense + rest_sparse <= _least(bound.values(), wanted):
            whole = {key: bound[key] for key in keys if key in by_dense and (key in by_sparse or not has_more_sparse)}
            least = _least(whole.values(), wanted)
            open_keys = [key for key in keys if key not in whole and bound[key] >= least]
            more_dense = dense.of([key for key in open_keys if key not in by_dense])
            more_sparse = sparse.of([key for key in open_keys if key not in by_sparse])
            for key in open_keys:
                value = by_dense.get(key, more_dense.get(key))
                if value is not None:
                    whole[key] = value + by_sparse.get(key, more_sparse.get(key, 0.0))
            if is_last or rest_dense + rest_sparse <= _least(whole.values(), wanted):
                return dict(sorted(whole.items(), key=lambda item: -item[1])[:wanted])
        count = min(_GROWTH * count, most)


def _least(values: Collection[float], wanted: int) -> float:
    """The least of the best so many, which a product must reach to be among them."""
    return sorted(values, reverse=True)[wanted - 1] if len(values) >= wanted else -float("inf")
