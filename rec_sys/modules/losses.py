"""The two objectives: which product comes next, and how many stars it gets."""

from typing import Any, Final, Literal

import torch
from torch import Tensor

_CHUNK: Final = 512  # rows of a softmax that exist at once: 10 MB of bfloat16 for 10,000 products
_MANY_CANDIDATES: Final = 4096  # with fewer, the matrix products are too small for a lower precision to save time


class _ChunkedSoftmax(torch.autograd.Function):
    """Cross-entropy of a product of two matrices, by chunks of rows, gradients included.

    What would be `[batch, num_candidates]` exists for `_CHUNK` rows at a time, in the precision of the products, and
    its gradients are taken while it is there: nothing is kept or computed again for the way back. So does the fused
    linear cross-entropy of Liger Kernel (Hsu et al. 2024, arXiv 2410.10989); Cut Cross-Entropy (Wijmans
    et al. 2024, arXiv 2411.09009) goes further and never writes the logits to memory at all, for which it needs a GPU.

    With logits z = U P' (less log q), softmax s and targets y: loss = -mean(log s_y), dz = (s - onehot(y)) / batch,
    dU = dz P, dP = dz' U.
    """

    @staticmethod
    def forward(
        context: Any,
        users: Tensor,
        products: Tensor,
        target: Tensor,
        masked: tuple[Tensor, Tensor],
        log_sampled: Tensor | None,
        precision: torch.dtype,
    ) -> Tensor:
        """The loss, its gradients put aside."""
        left, right = users.detach().to(precision), products.detach().to(precision)
        correction = None if log_sampled is None else log_sampled.to(precision)
        row, column = masked
        # A product reviewed once more is a right answer, not history.
        history = column != target[row]
        row, column = row[history], column[history]
        starts = range(0, len(left), _CHUNK)
        bounds = torch.searchsorted(row, torch.tensor([*starts, len(left)], device=row.device)).tolist()
        user_gradient = torch.empty_like(users, dtype=torch.float32)
        product_gradient = torch.zeros_like(products, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float32, device=users.device)
        transposed = right.T.contiguous()
        for start, first, last in zip(starts, bounds, bounds[1:], strict=False):
            chunk = slice(start, start + _CHUNK)
            logits = left[chunk] @ transposed  # [chunk, num_candidates]
            if correction is not None:
                logits -= correction
            logits[row[first:last] - start, column[first:last]] = float("-inf")
            share = torch.softmax(logits, dim=1)
            asked = target[chunk].unsqueeze(1)
            right_share = share.gather(1, asked)
            total -= right_share.float().log().sum()
            share.scatter_(1, asked, right_share - 1)
            user_gradient[chunk] = (share @ right).float()
            product_gradient += (share.T @ left[chunk]).float()
        context.save_for_backward(user_gradient / len(left), product_gradient / len(left))
        return total / len(left)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """The gradients, scaled."""
        users, products = context.saved_tensors
        return users * gradients[0], products * gradients[0], None, None, None, None


def softmax_loss(
    users: Tensor,
    products: Tensor,
    target_column: Tensor,
    masked: tuple[Tensor, Tensor],
    log_sampled: Tensor | None = None,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Softmax cross-entropy of `users @ products.T`, the history left out, without ever holding that matrix.

    Args:
        users: float `[batch, dim]`, their length times the candidate's is the largest logit.
        products: float `[num_candidates, dim]`.
        target_column: int64 `[batch]`, the column of the product that was reviewed next.
        masked: Rows, ascending, and columns, int64 `[n]` each, of the history's products.
        log_sampled: float `[num_candidates]`, log of the chance that a candidate was drawn, subtracted from its logit
            (logQ correction, Yi et al. 2019, eq. 3); None where every product is a candidate.
        precision: Of the three matrix products; sums are float32 in any case.

    Returns:
        Mean loss in nats, float32 scalar.
    """
    with torch.autocast(users.device.type, enabled=False):
        loss: Tensor = _ChunkedSoftmax.apply(
            users.float(), products.float(), target_column, masked, log_sampled, precision
        )
    return loss


def softmax_precision(device: torch.device, num_candidates: int) -> torch.dtype:
    """bfloat16 where it is much faster and there is much to compute, else float32.

    It moves a logit by up to 0.03 at a temperature of 0.07, which no figure on the validation split has shown.
    """
    if num_candidates < _MANY_CANDIDATES:
        return torch.float32
    if device.type == "cuda":
        return torch.bfloat16
    # Elsewhere the processor would emulate it.
    abilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else torch.float32


def rating_loss(predicted: Tensor, stars: Tensor, error: Literal["absolute", "squared"]) -> Tensor:
    """Mean error of float `[n]` over the rated reviews, in stars or their squares; stars are NaN where missing."""
    rated = ~stars.isnan()
    difference = (predicted - stars.nan_to_num())[rated]
    each = difference.abs() if error == "absolute" else difference.square()
    return each.sum() / rated.sum().clamp(min=1)
