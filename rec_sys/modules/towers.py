"""The two towers: a user is a function of their reviews, a product of its id, its text and its reviews.

Ids are used on the product side alone, and may be absent there too (a product never trained on), so both towers
answer for nodes that training has not seen.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rec_sys.graph.block_builder import LEAST_EVIDENCE
from rec_sys.graph.blocks import NUM_ACTIVITIES, ProductBlock, UserBlock
from rec_sys.modules.review_attention import EdgeTerm, ReviewAttention
from rec_sys.modules.review_features import PlaceEncoder, TextProjection
from rec_sys.settings import GraphSettings, ModelSettings


class FeedForward(nn.Module):
    """Pre-norm residual block, four times as wide inside (Xiong et al. 2020)."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """float `[..., dim]` -> float `[..., dim]`."""
        widened: Tensor = hidden + self.block(hidden)
        return widened


def split_mask(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a review is there, float 0/1, and the log of its weight: float `[batch, length]` each.

    `mask` is the weight, 0 where there is no review; 1, that of data without events, changes nothing.
    """
    return (mask > 0).to(mask.dtype), mask.clamp(min=LEAST_EVIDENCE).log()


class UserTower(nn.Module):
    """Reads a user's newest reviews with one learned query a head."""

    def __init__(self, model: ModelSettings, graph: GraphSettings) -> None:
        super().__init__()
        self.place = PlaceEncoder(model.dim, graph.user_reviews)
        self.attention = ReviewAttention(model.dim, model.num_heads, model.convolution)
        self.query = nn.Parameter(torch.randn(model.dim) * 0.1)
        self.unknown = nn.Parameter(torch.randn(model.dim) * 0.1)
        self.newest = nn.Linear(model.dim, model.dim, bias=False)
        nn.init.eye_(self.newest.weight)
        self.dropout = nn.Dropout(model.dropout)
        self.feed_forward = FeedForward(model.dim, model.dropout)
        self.backwards = nn.Parameter(torch.zeros(model.dim))
        self.rating_head = nn.Linear(model.dim, model.dim, bias=False)

    def forward(self, product_inputs: Tensor, reviews: Tensor, block: UserBlock) -> Tensor:
        """The hidden user state over a block's edges.

        Args:
            product_inputs: float `[num_products, dim]`, what the block's products say.
            reviews: float `[num_reviews, dim]`, the block's reviews, encoded.
            block: The histories.

        Returns:
            float `[num_queries, dim]`, not normalised.
        """
        distance, age, evidence = block.edges.distance, block.edges.age, block.edges.evidence
        query_of_edge = block.edges.row
        source = self.dropout(product_inputs)
        reviews = self.dropout(reviews)
        if self.attention.shares_parts:
            terms = [EdgeTerm(reviews, block.edges.review), EdgeTerm(self.place.distance.weight, distance)]
            if bool((age >= 0).any()):
                terms.append(EdgeTerm(self.place.age.weight.T, amount=self.place.describe_age(age)))
            if len(evidence):
                terms.append(EdgeTerm(self.place.evidence, amount=evidence.unsqueeze(-1)))
            attended = self.attention.attend_by_terms(
                self.query, EdgeTerm(source, block.product_of_edge), terms, query_of_edge, block.num_queries
            )
        else:
            edge = reviews[block.edges.review] + self.place(distance, age, evidence)
            destination = self.query.expand(block.num_queries, -1)
            attended = self.attention(source, block.product_of_edge, edge, destination, query_of_edge)
        newest = distance == 0
        first_source = torch.zeros_like(attended).index_add(
            0, query_of_edge[newest], source[block.product_of_edge[newest]].to(attended.dtype)
        )
        known = torch.zeros(block.num_queries, 1, device=attended.device, dtype=attended.dtype)
        known = known.index_fill(0, query_of_edge[newest], 1.0)
        if block.backwards:
            attended = attended + self.backwards
        return self._finish(attended, first_source, known)

    def read_densely(
        self, product_inputs: Tensor, reviews: Tensor, distance: Tensor, age: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same over a padded block, newest review first.

        Args:
            product_inputs: float `[batch, length, dim]`.
            reviews: float `[batch, length, dim]`.
            distance: int64 `[batch, length]`.
            age: float `[batch, length]`, days.
            mask: float `[batch, length]`, each review's weight, 0 where there is none.

        Returns:
            The hidden state, float `[batch, dim]`, and the reviews' weights, float `[batch, length]`.
        """
        present, evidence = split_mask(mask)
        edge = reviews + self.place(distance, age, evidence)
        destination = self.query.expand(mask.shape[0], -1)
        attended, weights = self.attention.attend_densely(product_inputs, edge, destination, present)
        known = present[:, :1]
        return self._finish(attended, product_inputs[:, 0] * known, known), weights

    def _finish(self, attended: Tensor, newest: Tensor, known: Tensor) -> Tensor:
        hidden = known * (attended + self.newest(newest)) + (1 - known) * self.unknown
        finished: Tensor = self.feed_forward(hidden)
        return finished

    def to_ranking(self, hidden: Tensor) -> Tensor:
        """Unit vectors that rank products by cosine: float `[num_queries, dim]`."""
        return functional.normalize(hidden, dim=-1)

    def to_rating(self, hidden: Tensor) -> Tensor:
        """Unit vectors that predict stars: float `[num_queries, dim]`."""
        return functional.normalize(self.rating_head(hidden), dim=-1)


class ProductTower(nn.Module):
    """Two vectors a product: what its being in a history says (input), and what answers a user (output).

    Separate input and output tables keep the history itself from ranking first, since hardly anything is bought twice.

    Args:
        num_products: Rows of the learned tables; row `num_products` stands for a product never trained on.
        text_dim: Width of the text vectors.
        model: The model's settings.
        graph: The graph's settings; `product_reviews` is the most reviews read.
    """

    def __init__(self, num_products: int, text_dim: int, model: ModelSettings, graph: GraphSettings) -> None:
        super().__init__()
        self.num_products = num_products
        self.input_id = nn.Embedding(num_products + 1, model.dim, padding_idx=num_products)
        self.output_id = nn.Embedding(num_products + 1, model.dim, padding_idx=num_products)
        for table in (self.input_id, self.output_id):
            nn.init.normal_(table.weight, std=0.1 if model.product_ids else 0.0)
            table.weight.requires_grad_(model.product_ids)
            with torch.no_grad():
                table.weight[num_products].zero_()
        self.input_text = TextProjection(text_dim, model.dim)
        self.output_text = TextProjection(text_dim, model.dim)
        self.place = PlaceEncoder(model.dim, max(1, graph.product_reviews))
        self.attention = ReviewAttention(model.dim, model.num_heads, model.convolution)
        self.source = nn.Parameter(torch.randn(1, model.dim) * 0.1)
        self.query = nn.Parameter(torch.randn(model.dim) * 0.1)
        self.activity = nn.Linear(NUM_ACTIVITIES, model.dim, bias=False)
        self.hop = nn.Parameter(torch.tensor(1.0), requires_grad=model.product_hop)
        self.dropout = nn.Dropout(model.dropout)
        self.rating_head = nn.Linear(model.dim, model.dim, bias=False)

    def read_inputs(self, products: Tensor, text: Tensor, has_text: Tensor) -> Tensor:
        """What a product in a history says: int64 `[n]`, float `[n, text_dim]`, float `[n]` -> float `[n, dim]`."""
        inputs: Tensor = self.input_id(products) + self.input_text(text, has_text)
        return inputs

    def forward(self, products: Tensor, reviews: Tensor, block: ProductBlock, neighbours: Tensor | None) -> Tensor:
        """The hidden product state over a block's edges.

        Args:
            products: int64 `[num_rows]`, `num_products` for one to be seen without its learned vector.
            reviews: float `[num_reviews, dim]`, the block's reviews, encoded.
            block: The products with their reviews.
            neighbours: float `[num_rows, dim]`, weighted sums of the neighbours' inputs; None = there are none.

        Returns:
            float `[num_rows, dim]`, not normalised.
        """
        described = self._describe(products, block.products.text, block.products.has_text, block.activity)
        if neighbours is not None:
            # A product without a learned vector is placed as one that came later: it has followed nothing yet.
            trained = (products != self.num_products).to(neighbours.dtype)
            described = described + self.hop * trained.unsqueeze(-1) * neighbours
        edges = block.edges
        edge = self.dropout(reviews[edges.review] + self.place(edges.distance, edges.age, edges.evidence))
        if len(edge) == 0:
            return described
        source_of_edge = torch.zeros_like(edges.row)
        attended: Tensor = self.attention(self.source, source_of_edge, edge, described + self.query, edges.row)
        return described + attended

    def read_densely(
        self,
        products: Tensor,
        text: Tensor,
        has_text: Tensor,
        activity: Tensor,
        reviews: Tensor,
        distance: Tensor,
        age: Tensor,
        mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The same over a padded block: reviews float `[batch, length, dim]`, mask float `[batch, length]`, weights."""
        described = self._describe(products, text, has_text, activity)
        present, evidence = split_mask(mask)
        edge = reviews + self.place(distance, age, evidence)
        source = self.source.unsqueeze(0).expand(edge.shape[0], edge.shape[1], -1)
        attended, weights = self.attention.attend_densely(source, edge, described + self.query, present)
        return described + attended, weights

    def _describe(self, products: Tensor, text: Tensor, has_text: Tensor, activity: Tensor) -> Tensor:
        described: Tensor = self.output_id(products) + self.output_text(text, has_text) + self.activity(activity)
        return described

    def to_ranking(self, hidden: Tensor) -> Tensor:
        """Unit vectors for the index: float `[num_rows, dim]`."""
        return functional.normalize(hidden, dim=-1)

    def to_rating(self, hidden: Tensor) -> Tensor:
        """Unit vectors that predict stars: float `[num_rows, dim]`."""
        return functional.normalize(self.rating_head(hidden), dim=-1)
