"""Recommendations for a block of known users at once, out of the bundle alone: all products are scored."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys import ragged
from rec_sys.inference.answers import rated_reviews
from rec_sys.inference.backends import Backends
from rec_sys.inference.explanations import strongest_reviews
from rec_sys.inference.second_stage import describe_products
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.served_ranker import ServedRanker
from rec_sys.inference.user_reviews import MemoryQuery, UserReviews, memory_queries, stored_reviews, tower_inputs
from rec_sys.ranker.features import Candidates
from rec_sys.scoring import is_from_memory, memory_parts
from rec_sys.vector_database.catalogue import FloatArray, IntArray

_REASON: Final = pl.Struct({"asin": pl.String, "snippet": pl.String, "weight": pl.Float32, "memory": pl.Float32})
SCHEMA: Final[dict[str, Any]] = {
    "user_id": pl.String,
    "rank": pl.Int32,
    "asin": pl.String,
    "title": pl.String,
    "score": pl.Float32,
    "predicted_rating": pl.Float32,
    "source": pl.String,
    "reasons": pl.List(_REASON),
}


async def answer_block(
    backends: Backends, served: ServedBundle, user_ids: Sequence[str], limit: int, with_seen: bool = False
) -> pl.DataFrame:
    """A row a user and product, best first, as `SCHEMA`.

    Args:
        backends: The towers.
        served: The bundle.
        user_ids: Known users; what is computed holds a score of each for every product.
        limit: Products a user.
        with_seen: Whether what they have come to before is listed too, whatever the settings say.
    """
    every = [served.users.rows(user_id) for user_id in user_ids]
    places = map(served.users.place, user_ids)
    users = [stored_reviews(rows, served, place) for rows, place in zip(every, places, strict=True)]
    inputs = tower_inputs(users, [{}] * len(users), served)
    (vectors, weights), _, _ = await backends.read_users(served, inputs)
    in_memory = memory_queries(users, inputs, served)
    scores = served.exact.scores(vectors, [query.summed for query in in_memory])
    seen = [served.users.product[rows[served.users.known[rows]]] for rows in every]
    left_out = seen if backends.settings.repeats == "hide" and not with_seen else ()
    ranker = served.ranker
    products, best = served.exact.best(
        scores, limit if ranker is None else max(limit, ranker.card.candidates), left_out
    )
    row, place = np.nonzero(np.isfinite(best))
    chosen, first = products[row, place], best[row, place]
    score = first
    if ranker is not None:
        order, score = await _rank(backends, served, ranker, users, row, place, chosen, first, in_memory, limit)
        row, chosen, first = row[order], chosen[order], first[order]
        place = ragged.place_in_row(np.bincount(row, minlength=len(users)))
    by_memory, reasons = _explain(users, weights, in_memory, row, chosen, first, backends, served)
    details = served.catalogue.details[chosen]
    return pl.DataFrame(
        {
            "user_id": pl.Series(user_ids, dtype=pl.String)[row],
            "rank": (place + 1).astype(np.int32),
            "asin": details["asin"],
            "title": details["title"],
            "score": score,
            "predicted_rating": _stars(served, users, row, chosen),
            "source": pl.Series(np.where(by_memory, "memory", "graph")),
            "reasons": reasons,
        }
    )


def _stars(served: ServedBundle, users: Sequence[UserReviews], row: IntArray, product: IntArray) -> pl.Series:
    """The predicted stars of products for the users of their rows, which ascend; null where the data has none."""
    if served.stars is None:
        return pl.Series(np.full(len(row), np.nan, dtype=np.float32)).fill_nan(None)
    bounds = np.searchsorted(row, np.arange(len(users) + 1))
    parts = [
        served.stars.of_rows(product[start:end], rated_reviews(user, {}))
        for user, start, end in zip(users, bounds[:-1], bounds[1:], strict=True)
    ]
    return pl.Series(np.concatenate(parts, dtype=np.float32) if parts else np.empty(0, dtype=np.float32))


async def _rank(
    backends: Backends,
    served: ServedBundle,
    ranker: ServedRanker,
    users: Sequence[UserReviews],
    row: IntArray,
    place: IntArray,
    product: IntArray,
    score: FloatArray,
    in_memory: Sequence[MemoryQuery],
    limit: int,
) -> tuple[IntArray, FloatArray]:
    """The best products of each user in the ranker's order: places in the arguments, and their scores.

    `row` (the user), `place` (among their products), `product` and `score` are `[num_hits]`.
    """
    asked = np.flatnonzero(place < ranker.card.candidates)
    memory = served.exact.memory_scores([query.summed for query in in_memory], row[asked], product[asked])
    candidates = Candidates(row[asked], product[asked].astype(np.int64), score[asked], memory)
    value, _, _ = await backends.rank(served, ranker, describe_products(ranker, users, candidates))
    total = score.copy()
    total[asked] += value
    order = np.lexsort((place, -total, place >= ranker.card.candidates, row))
    order = order[ragged.place_in_row(np.bincount(row, minlength=len(users))) < limit]
    return order, total[order]


def _explain(
    users: list[UserReviews],
    weights: FloatArray,
    in_memory: list[MemoryQuery],
    row: IntArray,
    chosen: IntArray,
    score: FloatArray,
    backends: Backends,
    served: ServedBundle,
) -> tuple[npt.NDArray[np.bool_], pl.Series]:
    """For each product answered whether it comes from the memory, and its reasons.

    `weights`, float32 `[num_users, longest]`, is the tower's attention, `in_memory` what each user's reviews weigh in
    the memory; `row` (the user), `chosen` (the product) and `score` are `[num_hits]`.
    """
    # One entry for each review of each product answered.
    offsets, entry = ragged.take_rows(ragged.offsets_of(np.array([len(user) for user in users])), row)
    hit, place = ragged.row_of_entries(offsets), ragged.place_in_row(np.diff(offsets))
    origin = np.concatenate([user.origin for user in users])[entry]
    reviewed = np.concatenate([user.product for user in users])[entry]
    attention = weights[row[hit], place]
    own = np.concatenate([query.weights for query in in_memory])[entry]
    memory = memory_parts(own, reviewed, chosen[hit], served.catalogue.memory)
    memory += np.concatenate([query.repeats for query in in_memory])[entry] * (reviewed == chosen[hit])
    by_memory = is_from_memory(score, served.exact.memory_scores([query.summed for query in in_memory], row, chosen))
    best = strongest_reviews(hit, attention, memory, by_memory, backends.settings.max_reasons)
    listed = pl.DataFrame(
        {
            "hit": hit[best],
            "asin": pl.Series(served.asins)[reviewed[best]],
            "snippet": served.users.snippet[origin[best]],
            "weight": attention[best].astype(np.float32),
            "memory": memory[best],
        }
    )
    grouped = listed.group_by("hit", maintain_order=True).agg(pl.struct(pl.exclude("hit")).alias("reasons"))
    every = pl.DataFrame({"hit": np.arange(len(row))}).join(grouped, on="hit", how="left", maintain_order="left")
    return by_memory, every["reasons"].cast(SCHEMA["reasons"]).fill_null([])
