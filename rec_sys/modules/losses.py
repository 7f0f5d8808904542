"""The two objectives: which product comes next, and how many stars it gets."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def ranking_loss(
    logits: Tensor, target_column: Tensor, masked: tuple[Tensor, Tensor], log_sampled: Tensor | None = None
) -> Tensor:
    """Softmax cross-entropy over products, the history left out of the competition.

    Args:
        logits: float `[batch, num_candidates]`.
        target_column: int64 `[batch]`, the column of the product that was reviewed next.
        masked: Rows and columns, int64 `[n]` each, of the history's products.
        log_sampled: float `[num_candidates]`, log of the chance that a candidate was drawn, subtracted from its logit
            (logQ correction, Yi et al. 2019, eq. 3); None where every product is a candidate.

    Returns:
        Mean loss in nats, float scalar.
    """
    if log_sampled is not None:
        logits = logits - log_sampled
    row, column = masked
    # A product reviewed once more is a right answer, not history.
    again = column == target_column[row]
    logits = logits.index_put((row[~again], column[~again]), torch.full_like(logits[:1, 0], float("-inf")))
    return functional.cross_entropy(logits.float(), target_column)


def rating_loss(predicted: Tensor, stars: Tensor, error: Literal["absolute", "squared"]) -> Tensor:
    """Mean error over the rated reviews, in stars or squared stars; 0 where none is rated.

    Args:
        predicted: float `[n]`.
        stars: float `[n]`, NaN where missing.
        error: Which error.
    """
    rated = ~stars.isnan()
    difference = (predicted - stars.nan_to_num())[rated]
    each = difference.abs() if error == "absolute" else difference.square()
    return each.sum() / rated.sum().clamp(min=1)
