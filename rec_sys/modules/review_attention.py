r"""Attention message passing over reviews, in two forms that compute the same numbers.

`forward` is PyG's convolution over a bipartite edge list: no padding, used in training. `attend_densely` is the same
attention over a padded `[batch, length, dim]` block with a mask: what ONNX and Triton can batch. On a graph whose
destination nodes own their edges (a star a user, a star a product) the two are equal.

TransformerConv (Shi et al. 2021, eq. 3 and 4): :math:`\alpha = softmax(q^T (k + e) / \sqrt{d})`, message
:math:`v + e`. GATv2Conv (Brody et al. 2022, eq. 7): :math:`\alpha = softmax(a^T LeakyReLU(W_l x_j + W_r x_i + W_e e))`,
message :math:`W_l x_j`; it has no edge features in its messages, so there a source is the product *as reviewed*:
the product's vector plus the review's.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GATv2Conv, TransformerConv


class ReviewAttention(nn.Module):
    """Attention of destination nodes over their reviews.

    Args:
        dim: Width of sources, edge features, destinations and output.
        num_heads: Attention heads; must divide `dim`.
        convolution: Which of PyG's convolutions.
        dropout: Share of attention weights dropped in training.
    """

    def __init__(
        self, dim: int, num_heads: int, convolution: Literal["transformer_conv", "gat"], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.convolution: TransformerConv | GATv2Conv
        if convolution == "transformer_conv":
            self.convolution = TransformerConv(
                (dim, dim), dim // num_heads, num_heads, edge_dim=dim, dropout=dropout, root_weight=False
            )
        else:
            self.convolution = GATv2Conv(
                (dim, dim), dim // num_heads, num_heads, edge_dim=dim, dropout=dropout, add_self_loops=False, bias=False
            )

    def forward(
        self, source: Tensor, source_of_edge: Tensor, edge: Tensor, destination: Tensor, destination_of_edge: Tensor
    ) -> Tensor:
        """Attends over an edge list.

        Args:
            source: float `[num_sources, dim]`.
            source_of_edge: int64 `[num_edges]`.
            edge: float `[num_edges, dim]`.
            destination: float `[num_destinations, dim]`.
            destination_of_edge: int64 `[num_edges]`.

        Returns:
            float `[num_destinations, dim]`; zero for a destination without edges.
        """
        if isinstance(self.convolution, GATv2Conv):
            source = source[source_of_edge] + edge
            source_of_edge = torch.arange(len(edge), device=edge.device)
        edge_index = torch.stack([source_of_edge, destination_of_edge])
        attended: Tensor = self.convolution((source, destination), edge_index, edge)
        return attended

    def attend_densely(self, source: Tensor, edge: Tensor, destination: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attends over a padded block.

        Args:
            source: float `[batch, length, dim]`.
            edge: float `[batch, length, dim]`.
            destination: float `[batch, dim]`.
            mask: float 0/1 `[batch, length]`.

        Returns:
            float `[batch, dim]` and the weights, float `[batch, length]`, averaged over the heads. Rows without any
            review get zeros.
        """
        convolution = self.convolution
        if isinstance(convolution, TransformerConv):
            edge_part = convolution.lin_edge(edge)
            query = self._split(convolution.lin_query(destination)).unsqueeze(1)  # [batch, 1, heads, width]
            key = self._split(convolution.lin_key(source) + edge_part)  # [batch, length, heads, width]
            value = self._split(convolution.lin_value(source) + edge_part)
            logits = (query * key).sum(dim=-1) / key.shape[-1] ** 0.5  # [batch, length, heads]
        else:
            value = self._split(convolution.lin_l(source + edge))
            summed = self._split(convolution.lin_edge(edge)) + value
            summed = summed + self._split(convolution.lin_r(destination)).unsqueeze(1)
            logits = (functional.leaky_relu(summed, convolution.negative_slope) * convolution.att).sum(dim=-1)
        present = mask.unsqueeze(-1)
        logits = logits - (1 - present) * 1e9
        exponent = (logits - logits.amax(dim=1, keepdim=True)).exp() * present
        # clamp, not "+ eps": the exporter removes additions of tiny constants, and an empty row would be 0/0.
        weights = exponent / exponent.sum(dim=1, keepdim=True).clamp(min=1e-9)
        attended = (weights.unsqueeze(-1) * value).sum(dim=1)
        return attended.flatten(start_dim=1), weights.mean(dim=-1)

    def _split(self, joined: Tensor) -> Tensor:
        """[..., dim] -> [..., heads, dim / heads]."""
        heads: Tensor = joined.unflatten(-1, (self.num_heads, -1))
        return heads
