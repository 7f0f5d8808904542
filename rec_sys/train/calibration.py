"""How much of the personal part of a predicted rating is kept: what training has seen of it is more than is true."""

import logging
from typing import Final

import numpy as np
import torch

from rec_sys.data.splits import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.modules.review_graph_model import ReviewGraphModel

_LOG: Final = logging.getLogger(__name__)

SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def choose_rating_share(model: ReviewGraphModel, builder: BlockBuilder, queries: Queries, query_batch: int) -> float:
    """The share of the cosine's part in predicted stars that has the least squared error on the validation split.

    Args:
        model: The trained model; it is left as it was.
        builder: Sees the validation split's history.
        queries: The validation split.
        query_batch: Queries at once.

    Returns:
        One of `SHARES`, the smaller where two are equal; 1 where the score has no offsets or the split no stars.
    """
    if not model.settings.rating_offsets:
        return 1.0
    whole, stars = _predict(model, builder, queries, query_batch)
    rated = ~np.isnan(stars)
    if not rated.any():
        return 1.0
    scale = model.rating_scale.detach().clone()
    try:
        with torch.no_grad():
            model.rating_scale.zero_()
        offsets, _ = _predict(model, builder, queries, query_batch)
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


def _predict(
    model: ReviewGraphModel, builder: BlockBuilder, queries: Queries, query_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and given stars of the questions' targets."""
    scorer = ModelScorer(model, builder, queries)
    batches = np.array_split(np.arange(len(queries)), -(-len(queries) // query_batch))
    parts = [scorer.score_targets(rows)[1:] for rows in batches]
    predicted, stars = (torch.cat(column).numpy().astype(np.float64) for column in zip(*parts, strict=True))
    return predicted, stars
