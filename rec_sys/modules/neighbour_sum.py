"""The sum over a product's neighbours, whose gradient is the same sum the other way round."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rec_sys.graph.blocks import Hop


class NeighbourSum(torch.autograd.Function):
    """Sparse matrix times dense: float `[num_neighbours, dim]` -> float32 `[num_rows, dim]`.

    torch's own way back scatters row by row; with the edges sorted both ways it is another sum over sorted rows,
    about ten times as fast on a CPU.
    """

    @staticmethod
    def forward(context: Any, inputs: Tensor, hop: Hop) -> Tensor:
        """The sum."""
        context.hop, context.dtype = hop, inputs.dtype
        return _sum_rows(inputs.float(), hop.neighbour, hop.offsets, hop.weight)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None]:
        """The gradient of the inputs."""
        hop: Hop = context.hop
        back = _sum_rows(gradients[0].float(), hop.back_row, hop.back_offsets, hop.weight[hop.back_order])
        return back.to(context.dtype), None


def _sum_rows(values: Tensor, index: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    return functional.embedding_bag(
        index, values.contiguous(), offsets, mode="sum", per_sample_weights=weight, include_last_offset=True
    )
