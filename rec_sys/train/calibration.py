"""What the validation split chooses beside the trained weights: what the memory counts for, and the rating's share.

The share is of the personal part of a predicted rating: what training has seen of it is more than is true.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from rec_sys import ragged
from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranking_metrics import ndcg
from rec_sys.evaluation.ranks import rank_targets
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.review_graph_model import ReviewGraphModel

_LOG: Final = logging.getLogger(__name__)

SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def choose_memory_term(
    tower: Callable[[npt.NDArray[np.int64]], FloatArray],
    queries: Queries,
    terms: Mapping[float, MemoryTerm],
    weights: tuple[float, ...],
    query_batch: int,
) -> tuple[float, MemoryTerm, dict[str, float]]:
    """The ridge strength and the memory's weight with the best NDCG@10 on the validation queries, history masked.

    The tower gives the logits of query rows. The terms, by ridge strength, hold memories fitted on the train split;
    their own weights are not read.

    Returns:
        The ridge strength, its term with the weight chosen, and the mean NDCG@10 of every choice by `l2/weight`.
    """
    means = {
        choice: float(by_query.mean())
        for choice, by_query in ndcg_of_choices(tower, queries, terms, weights, query_batch).items()
    }
    (l2, weight), _ = max(means.items(), key=lambda item: (item[1], -item[0][1]))
    formula = terms[l2].formula.model_copy(update={"memory_weight": weight})
    figures = {f"{choice[0]:g}/{choice[1]:g}": mean for choice, mean in means.items()}
    return l2, replace(terms[l2], formula=formula), figures


def ndcg_of_choices(
    tower: Callable[[npt.NDArray[np.int64]], FloatArray] | None,
    queries: Queries,
    terms: Mapping[float, MemoryTerm],
    weights: tuple[float, ...],
    query_batch: int,
    asked: npt.NDArray[np.int64] | None = None,
) -> dict[tuple[float, float], npt.NDArray[np.float64]]:
    """NDCG@10 of every query, or of those `asked`, `[num_asked]`, by ridge strength and the memory's weight.

    Without a tower it is silent.
    """
    asked = np.arange(len(queries)) if asked is None else asked
    found = {(l2, weight): np.empty(len(asked)) for l2 in terms for weight in weights}
    for start in range(0, len(asked), query_batch):
        piece = slice(start, start + query_batch)
        rows = asked[piece]
        logits = np.float32(0) if tower is None else tower(rows)
        target_offsets, targets = ragged.take_rows(queries.target_offsets, rows)
        wanted = ragged.row_of_entries(target_offsets), queries.target_products[targets]
        reviewed = queries.masked_products(rows)
        for l2, term in terms.items():
            remembered = term.unweighted(queries, rows)
            for weight in weights:
                _, masked = rank_targets(logits + np.float32(weight) * remembered, *wanted, *reviewed)
                found[l2, weight][piece] = ndcg(masked, target_offsets, k=10)
    return found


def choose_rating_share(model: ReviewGraphModel, builder: BlockBuilder, queries: Queries, query_batch: int) -> float:
    """The share of the cosine's part in predicted stars that has the least squared error on the validation split.

    Returns:
        One of `SHARES`, the smaller where two are equal; 1 where the score has no offsets or the split no stars.
    """
    scorer = ModelScorer(model, builder, queries)
    whole, stars = _predict(scorer, query_batch)
    rated = ~np.isnan(stars)
    if not model.settings.rating_offsets or not rated.any():
        return 1.0
    scale = model.rating_scale.detach().clone()
    try:
        with torch.no_grad():
            model.rating_scale.zero_()
        offsets, _ = _predict(scorer, query_batch)
    finally:
        with torch.no_grad():
            model.rating_scale.copy_(scale)
    errors = {share: float(np.square(offsets + share * (whole - offsets) - stars)[rated].mean()) for share in SHARES}
    share = min(errors, key=lambda one: (errors[one], one))
    _LOG.info(f"rating: validation keeps {share:.0%} of the personal part, rmse {errors[share] ** 0.5:.4f}")
    return share


@torch.no_grad()
def scale_rating_term(model: ReviewGraphModel, share: float) -> None:
    """Keeps a share of the personal part of the model's predicted stars; rankings stay as they are."""
    model.rating_scale.mul_(share)


def _predict(scorer: ModelScorer, query_batch: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Predicted and given stars of the questions' targets."""
    predicted, stars = scorer.rate_all(query_batch)
    return predicted.astype(np.float64), stars.astype(np.float64)
