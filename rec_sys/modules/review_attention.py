r"""Attention message passing over reviews, in three forms that compute the same numbers.

`forward` is PyG's convolution over a bipartite edge list, without padding. `attend_by_terms` is the same for one
shared query, many times faster: what training uses for users. `attend_densely` is the same attention over a padded
`[batch, length, dim]` block with a mask: what ONNX and Triton can batch. On a graph whose destination nodes own their
edges (a star a user, a star a product) all are equal.

TransformerConv (Shi et al. 2021, eq. 3 and 4): :math:`\alpha = softmax(q^T (k + e) / \sqrt{d})`, message
:math:`v + e`. GATv2Conv (Brody et al. 2022, eq. 7): :math:`\alpha = softmax(a^T LeakyReLU(W_l x_j + W_r x_i + W_e e))`,
message :math:`W_l x_j`; it has no edge features in its messages, so there a source is the product *as reviewed*:
the product's vector plus the review's.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GATv2Conv, TransformerConv
from torch_geometric.utils import softmax

from rec_sys.modules.generated_files import remove_generated_files


@dataclass(frozen=True)
class EdgeTerm:
    """A term of the edges' keys and values, whose rows many edges share.

    Attributes:
        table: float `[num_rows, dim]`.
        index: int64 `[num_edges]`, the edge's row; None where every edge has `amount` of every row.
        amount: float `[num_edges, num_rows]`, given instead of `index`.
    """

    table: Tensor
    index: Tensor | None = None
    amount: Tensor | None = None

    def spread(self, values: Tensor) -> Tensor:
        """float `[num_rows, n]` -> float `[num_edges, n]`."""
        if self.index is not None:
            return values[self.index]
        assert self.amount is not None
        return self.amount @ values


def sum_terms(terms: list[tuple[EdgeTerm, Tensor]], weights: Tensor, offsets: Tensor) -> Tensor:
    """Weighted sums over each destination's edges, values float `[num_rows, n]` -> float `[num_destinations, n]`."""
    total = torch.zeros((), device=weights.device)
    for term, values in terms:
        if term.index is not None:
            total = total + functional.embedding_bag(
                term.index, values.float(), offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
            )
        else:
            assert term.amount is not None
            row = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=weights.device), offsets.diff())
            amount = torch.zeros(len(offsets) - 1, term.amount.shape[1], device=weights.device)
            total = total + amount.index_add(0, row, weights.unsqueeze(-1) * term.amount) @ values.float()
    return total


class ReviewAttention(nn.Module):
    """Attention of destination nodes over their reviews; `num_heads` must divide `dim`, the width of all vectors."""

    def __init__(self, dim: int, num_heads: int, convolution: Literal["transformer_conv", "gat"]) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.convolution: TransformerConv | GATv2Conv
        if convolution == "transformer_conv":
            self.convolution = TransformerConv((dim, dim), dim // num_heads, num_heads, edge_dim=dim, root_weight=False)
        else:
            self.convolution = GATv2Conv(
                (dim, dim), dim // num_heads, num_heads, edge_dim=dim, add_self_loops=False, bias=False
            )
        remove_generated_files()

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

    @property
    def shares_parts(self) -> bool:
        """Whether keys and values are sums over terms of an edge, so that `attend_by_terms` can be used."""
        return isinstance(self.convolution, TransformerConv)

    def attend_by_terms(
        self, query: Tensor, source: EdgeTerm, terms: list[EdgeTerm], row: Tensor, num_rows: int
    ) -> Tensor:
        """`forward` for one query that all destinations share, without a row of `dim` numbers for any edge.

        Keys and values are linear, so those of an edge are the sums of those of its terms, and each term is computed
        once however many edges share it: the product, the review, the place.

        Args:
            query: float `[dim]`.
            source: The edges' products.
            terms: What else the edges carry.
            row: int64 `[num_edges]`, destinations, ascending.
            num_rows: Number of destinations.

        Returns:
            float `[num_rows, dim]`; zero for a destination without edges.
        """
        convolution = self.convolution
        assert isinstance(convolution, TransformerConv)
        asked = self._split(convolution.lin_query(query))  # [heads, width]
        width = asked.shape[-1]
        of_edge = [(source, convolution.lin_key(source.table), convolution.lin_value(source.table))]
        of_edge += [(term, both, both) for term in terms for both in [convolution.lin_edge(term.table)]]
        logits = torch.zeros(len(row), self.num_heads, device=row.device)
        for term, key, _ in of_edge:
            logits = logits + term.spread((self._split(key) * asked).sum(dim=-1).float()) / width**0.5
        weights = softmax(logits, row, num_nodes=num_rows)
        offsets = torch.searchsorted(row, torch.arange(num_rows + 1, device=row.device))
        pooled = [
            sum_terms([(term, value[:, head * width : (head + 1) * width]) for term, _, value in of_edge],
                      weights[:, head], offsets)
            for head in range(self.num_heads)
        ]  # fmt: skip
        return torch.cat(pooled, dim=-1)

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
