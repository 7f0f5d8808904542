"""Two rankings of the same products fused into one, by meaning and by words.

Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009) as Qdrant has it: a product's score is the sum of
1 / (k + rank) over the rankings that hold it, ranks counted from 0. Qdrant would fuse within one layer of an index; the
rankings of all layers are merged here before, so that a product that came today is ranked beside those published.
"""

from collections.abc import Sequence
from typing import Final

from rec_sys.vector_database.search_request import StoredPoint

DEPTH: Final = 20  # best products of each ranking that are fused; behind them those by meaning go on
_K: Final = 10  # the best of 1, 2, 10 and 60 for the sample's model numbers, categories and reviews together


def fuse(
    by_meaning: Sequence[StoredPoint], by_words: Sequence[StoredPoint], offset: int, limit: int
) -> list[StoredPoint]:
    """A page of one ranking, each product once; among equals what has the words comes first.

    Pages join to one ranking as long as `by_meaning` reaches to the page's end and `DEPTH` products further, and
    `by_words` has `DEPTH` products at most.
    """
    points = {point.id: point for point in [*by_words, *by_meaning]}
    scores = {point.id: 1 / (_K + rank) for rank, point in enumerate(by_words)}
    for rank, point in enumerate(by_meaning):
        if rank < DEPTH or point.id not in scores:
            scores[point.id] = scores.get(point.id, 0.0) + 1 / (_K + rank)
    best = sorted(scores, key=lambda point: -scores[point])[offset : offset + limit]
    return [points[point]._replace(score=scores[point]) for point in best]
