"""How well cold-start users, of whom little is known, and new products, which training has not seen, are served.

A user's history is cut to its first reviews and the same questions are asked again. Products are withheld from
training altogether, then placed by their text and their first reviews, and asked for by those who reviewed them later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from rec_sys import ragged
from rec_sys.baselines.reviews import Histories
from rec_sys.contracts import InputError, SplitName
from rec_sys.data.interactions import BoolArray, FloatArray, IntArray, Interactions
from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split
from rec_sys.data.straddling_texts import hide_straddling_texts
from rec_sys.evaluation.model_scorer import PRODUCT_CHUNK
from rec_sys.evaluation.ranking import RankingResult, evaluate_ranking
from rec_sys.evaluation.uncertainty import standard_error_of_mean
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import move_to
from rec_sys.modules.review_graph_model import ReviewGraphModel

Scorer = Callable[[npt.NDArray[np.int64]], FloatArray]

OWN: Final = "review_graph"
FIGURES: Final = ("ndcg_at_10_masked", "recall_at_10_masked")


@dataclass(frozen=True)
class Withheld:
    """Products that training does not see.

    Attributes:
        products: int64, ascending.
        first: bool `[num_reviews]`, their first reviews, which place them.
        split: The split without any of their reviews.
        placed: The same with their first reviews in the train split: what a catalogue knows once they have arrived.
        questions: Each later review of one of them, asked of its author's other reviews before it.
    """

    products: IntArray
    first: BoolArray
    split: Split
    placed: Split
    questions: Queries


def withhold_products(
    interactions: Interactions, split: Split, share: float, first_reviews: int, seed: int
) -> Withheld:
    """Draws a share of the products with more than `first_reviews` reviews and takes all their reviews out of a split.

    Raises:
        InputError: No product has enough reviews, or nobody who reviewed a withheld one has other reviews.
    """
    product = interactions.product_index
    offsets, order = ragged.group_rows(product, interactions.num_products)
    rank = np.empty(len(product), dtype=np.int64)
    rank[order] = ragged.place_in_row(np.diff(offsets))
    able = np.flatnonzero(np.diff(offsets) > first_reviews)
    count = min(len(able), max(1, round(share * len(able))))
    drawn = np.sort(np.random.default_rng(seed).choice(able, count, replace=False)) if len(able) else able
    hidden = np.isin(product, drawn)
    used = split.of_review != SplitName.LATER
    known = used & ~hidden & (split.of_review != SplitName.TEST)
    later = np.flatnonzero(hidden & used & (rank >= first_reviews))
    questions = ask_one_by_one(interactions, later, known, split.of_kind)
    if len(questions) == 0:
        raise InputError(
            f"no product has more than {first_reviews} reviews by people with others before",
            where="setting cold_start.first_reviews",
            remedy="lower it, raise cold_start.withheld_share, or bring more data",
        )
    without = _split_anew(interactions, split, np.where(hidden, SplitName.LATER, split.of_review).astype(np.uint8))
    first = hidden & (rank < first_reviews)
    placed = np.where(first, SplitName.TRAIN, without.of_review).astype(np.uint8)
    visible = hide_straddling_texts(placed, interactions.body_index)
    # A question's own text, wherever else it stands, is no first review of anything.
    asked = np.unique(interactions.body_index[questions.target_edges])
    visible &= ~np.isin(interactions.body_index, asked[asked >= 0])
    return Withheld(drawn, first, without, replace(without, of_review=placed, text_visible=visible), questions)


def _split_anew(interactions: Interactions, split: Split, of_review: npt.NDArray[np.uint8]) -> Split:
    """A split by other parts; its questions are asked one by one, so that no protocol needs to be known."""
    known = np.isin(of_review, (SplitName.TRAIN, SplitName.HISTORY))
    validation, test = (np.flatnonzero(of_review == part) for part in (SplitName.VALIDATION, SplitName.TEST))
    later = known | (of_review == SplitName.VALIDATION)
    return replace(
        split,
        of_review=of_review,
        text_visible=hide_straddling_texts(of_review, interactions.body_index),
        validation=ask_one_by_one(interactions, validation, known, split.of_kind),
        test=ask_one_by_one(interactions, test, later, split.of_kind),
    )


def ask_one_by_one(
    interactions: Interactions, edges: IntArray, known: BoolArray, of_kind: BoolArray | None = None
) -> Queries:
    """One question for each review, as seen from just before it; those without anything known before are left out.

    `edges`, int64, are the reviews that are asked for, where they are `of_kind`, as in `Split`; `known`, bool
    `[num_reviews]`, says what may stand in a history.
    """
    if of_kind is not None:
        edges = edges[of_kind[edges]]
    by_user = np.flatnonzero(known)
    by_user = by_user[np.argsort(interactions.user_index[by_user], kind="stable")]
    # A user's reviews ascend, so one key finds both the user and the place in their history.
    size = interactions.num_reviews + 1
    keys = interactions.user_index[by_user].astype(np.int64) * size + by_user
    user = interactions.user_index[edges].astype(np.int64)
    bound = interactions.unit_start[edges]
    low, high = np.searchsorted(keys, user * size), np.searchsorted(keys, user * size + bound)
    kept = high > low
    edges, bound, low, counts = edges[kept], bound[kept], low[kept], (high - low)[kept]
    offsets = ragged.offsets_of(counts)
    history = by_user[ragged.take_ranges(low, counts)]
    return Queries(
        user_index=interactions.user_index[edges],
        bound=bound,
        target_offsets=np.arange(len(edges) + 1),
        target_products=interactions.product_index[edges],
        target_edges=edges,
        history_offsets=offsets,
        history_products=interactions.product_index[history],
        num_cold=int((~kept).sum()),
        history_edges=history,
        history_known=None if of_kind is None else of_kind[history],
    )


@torch.inference_mode()
def place_products(model: ReviewGraphModel, builder: BlockBuilder, new_products: IntArray) -> Tensor:
    """Hidden states of the catalogue, float `[products, dim]`; new products have no learned vector, and no popularity.

    The builder sees the first reviews of the new products (int64), which training has not seen, on the product side.
    """
    columns = builder.graph.interactions
    hidden = np.isin(np.arange(columns.num_products), new_products)
    pieces = []
    for start in range(0, columns.num_products, PRODUCT_CHUNK):
        rows = np.arange(start, min(start + PRODUCT_CHUNK, columns.num_products), dtype=np.int64)
        device = model.rating_mean.device
        block = move_to(builder.build_products(rows, columns.num_reviews), device)
        unknown = torch.from_numpy(hidden[rows]).to(device)
        # Few reviews say that a product is new here, not that few people want it: no activity is the average one.
        activity = block.activity.masked_fill(unknown.unsqueeze(1), 0.0)
        pieces.append(model.eval().encode_products(replace(block, activity=activity), unknown))
    return torch.cat(pieces)


def without_own(score: Scorer, queries: Queries, interactions: Interactions, edges: IntArray) -> Scorer:
    """The same scores, with the products last that the user asked has reviewed by one of `edges`, the target aside.

    Reviews that a score was made from would else come back: a memory that counted what a user reviewed later, or
    first of a new product, ranks just that before all others.
    """
    shape = (interactions.num_users, interactions.num_products)
    pairs = (interactions.user_index[edges], interactions.product_index[edges])
    reviewed = sparse.csr_matrix((np.ones(len(edges), dtype=np.bool_), pairs), shape=shape)

    def score_others(rows: npt.NDArray[np.int64]) -> FloatArray:
        own = reviewed[queries.user_index[rows]].tocoo()
        scores = np.array(score(rows), dtype=np.float32)
        targets, target = ragged.take_rows(queries.target_offsets, rows)
        place = ragged.row_of_entries(targets), queries.target_products[target]
        kept = scores[place]
        scores[own.row, own.col] = -np.inf
        scores[place] = kept
        return scores

    return score_others


def score_by_histories(
    score: Callable[[Histories], FloatArray],
    queries: Queries,
    interactions: Interactions,
    text_row: npt.NDArray[np.int32],
) -> Scorer:
    """A baseline's answers to the rows of some questions."""
    histories = Histories.of_queries(queries, interactions, text_row)
    return lambda rows: score(histories.take(rows))


def compare_scorers(
    scorers: Mapping[str, Scorer], queries: Queries, candidates: IntArray | None, num_products: int, query_batch: int
) -> dict[str, dict[str, Any]]:
    """The same questions to everybody, the history masked.

    Args:
        scorers: Our own model is `OWN`, or begins with it; scores are `[rows, num_products]`.
        queries: The questions.
        candidates: int64, ascending, the only products that compete; None = all.
        num_products: Size of the catalogue.
        query_batch: Questions at once.

    Returns:
        For each name the `FIGURES`, `mean_rank_share` (0 = always first, 0.5 = chance), their standard errors as
        `..._error`, and what our own model has more, `own_minus_ndcg` with its paired `own_minus_ndcg_error`.
    """
    if candidates is not None:
        queries = _among(queries, candidates, num_products)
    results = {}
    size = num_products if candidates is None else len(candidates)
    for name, score in scorers.items():
        narrow = score if candidates is None else _columns(score, candidates)
        results[name] = evaluate_ranking(narrow, queries, size, (10,), query_batch)
    own = results[OWN].per_query[FIGURES[0]].to_numpy()
    found = {}
    for name, result in results.items():
        found[name] = _describe(result, queries, size)
        if name != OWN:
            difference = own - result.per_query[FIGURES[0]].to_numpy()
            found[name] |= {
                "own_minus_ndcg": float(difference.mean()),
                "own_minus_ndcg_error": standard_error_of_mean(difference),
            }
    return found


def _describe(result: RankingResult, queries: Queries, size: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"num_queries": len(queries)}
    for name in FIGURES:
        figures[name] = result.metrics[name]
        figures[f"{name}_error"] = result.standard_error.get(name, float("nan"))
    rank = result.targets["rank_masked"].to_numpy()
    seen = np.diff(queries.history_offsets)[result.targets["query"].to_numpy()]
    share = ((rank - 1) / np.maximum(size - seen - 1, 1))[np.isfinite(rank)]
    figures["mean_rank_share"] = float(share.mean())
    figures["mean_rank_share_error"] = standard_error_of_mean(share)
    return figures


def _columns(score: Scorer, candidates: IntArray) -> Scorer:
    return lambda rows: score(rows)[:, candidates]


def _among(queries: Queries, candidates: IntArray, num_products: int) -> Queries:
    """The same questions in a catalogue of the candidates alone, which number from 0."""
    place = np.full(num_products, -1, dtype=np.int64)
    place[candidates] = np.arange(len(candidates))
    kept = place[queries.history_products] >= 0
    return replace(
        queries,
        target_products=place[queries.target_products].astype(np.int32),
        history_offsets=ragged.offsets_of(ragged.count_in_rows(queries.history_offsets, kept)),
        history_products=place[queries.history_products[kept]].astype(np.int32),
        history_edges=queries.history_edges[kept],
        history_known=None if queries.history_known is None else queries.history_known[kept],
    )
