"""The two towers: a user is a function of their reviews, a product of its id, its text and its reviews.

Ids are used on the product side alone, and may be absent there too (a product never trained on), so both towers
answer for nodes that training has not seen.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rec_sys.graph.blocks import NUM_ACTIVITIES, Hop
from rec_sys.modules.neighbour_sum import NeighbourSum
from rec_sys.modules.review_attention import EdgeTerm, ReviewAttention
from rec_sys.modules.review_features import PlaceEncoder, TextProjection
from rec_sys.settings import GraphSettings, ModelSettings


class FeedForward(nn.Module):
    """Pre-norm residual block, four times as wide inside (Xiong et al. 2020).

    Args:
        dim: Width.
        dropout: Share of the inner activations dropped in training.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """float `[..., dim]` -> float `[..., dim]`."""
        widened: Tensor = hidden + self.block(hidden)
        return widened


class UserTower(nn.Module):
    """Reads a user's newest reviews with one learned query a head.

    Args:
        model: The model's settings.
        graph: The graph's settings; `user_reviews` is the longest history.
    """

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

    def forward(
        self,
        product_inputs: Tensor,
        product_of_edge: Tensor,
        reviews: Tensor,
        review_of_edge: Tensor,
        distance: Tensor,
        age: Tensor,
        query_of_edge: Tensor,
        num_queries: int,
        backwards: bool = False,
    ) -> Tensor:
        """The hidden user state over an edge list.

        Args:
            product_inputs: float `[num_products, dim]`.
            product_of_edge: int64 `[num_edges]`.
            reviews: float `[num_reviews, dim]`, encoded reviews.
            review_of_edge: int64 `[num_edges]`.
            distance: int64 `[num_edges]`, newer reviews of the same query; 0 = the newest.
            age: float `[num_edges]`, days.
            query_of_edge: int64 `[num_edges]`, ascending.
            num_queries: Number of users asked for.
            backwards: The edges come from the future of the question; for training alone.

        Returns:
            float `[num_queries, dim]`, not normalised.
        """
        source = self.dropout(product_inputs)
        reviews = self.dropout(reviews)
        if self.attention.shares_parts:
            terms = [EdgeTerm(reviews, review_of_edge), EdgeTerm(self.place.distance.weight, distance)]
            if bool((age >= 0).any()):
                terms.append(EdgeTerm(self.place.age.weight.T, amount=self.place.describe_age(age)))
            attended = self.attention.attend_by_terms(
                self.query, EdgeTerm(source, product_of_edge), terms, query_of_edge, num_queries
            )
        else:
            edge = reviews[review_of_edge] + self.place(distance, age)
            destination = self.query.expand(num_queries, -1)
            attended = self.attention(source, product_of_edge, edge, destination, query_of_edge)
        newest = distance == 0
        first_source = torch.zeros_like(attended).index_add(
            0, query_of_edge[newest], source[product_of_edge[newest]].to(attended.dtype)
        )
        known = torch.zeros(num_queries, 1, device=attended.device, dtype=attended.dtype)
        known = known.index_fill(0, query_of_edge[newest], 1.0)
        if backwards:
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
            mask: float 0/1 `[batch, length]`.

        Returns:
            The hidden state, float `[batch, dim]`, and the reviews' weights, float `[batch, length]`.
        """
        edge = reviews + self.place(distance, age)
        destination = self.query.expand(mask.shape[0], -1)
        attended, weights = self.attention.attend_densely(product_inputs, edge, destination, mask)
        known = mask[:, :1]
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
        model: The model's settings.
        graph: The graph's settings; `product_reviews` is the most reviews read.
    """

    def __init__(self, num_products: int, model: ModelSettings, graph: GraphSettings) -> None:
        super().__init__()
        self.num_products = num_products
        self.input_id = nn.Embedding(num_products + 1, model.dim, padding_idx=num_products)
        self.output_id = nn.Embedding(num_products + 1, model.dim, padding_idx=num_products)
        for table in (self.input_id, self.output_id):
            nn.init.normal_(table.weight, std=0.1 if model.product_ids else 0.0)
            table.weight.requires_grad_(model.product_ids)
            with torch.no_grad():
                table.weight[num_products].zero_()
        self.input_text = TextProjection(model.dim)
        self.output_text = TextProjection(model.dim)
        self.place = PlaceEncoder(model.dim, max(1, graph.product_reviews))
        self.attention = ReviewAttention(model.dim, model.num_heads, model.convolution)
        self.source = nn.Parameter(torch.randn(1, model.dim) * 0.1)
        self.query = nn.Parameter(torch.randn(model.dim) * 0.1)
        self.activity = nn.Linear(NUM_ACTIVITIES, model.dim, bias=False)
        self.hop = nn.Parameter(torch.tensor(1.0), requires_grad=model.product_hop)
        self.dropout = nn.Dropout(model.dropout)
        self.rating_head = nn.Linear(model.dim, model.dim, bias=False)

    def read_inputs(self, products: Tensor, text: Tensor, has_text: Tensor) -> Tensor:
        """What a product in a history says: int64 `[n]`, float `[n, 384]`, float `[n]` -> float `[n, dim]`."""
        inputs: Tensor = self.input_id(products) + self.input_text(text, has_text)
        return inputs

    def forward(
        self,
        products: Tensor,
        text: Tensor,
        has_text: Tensor,
        activity: Tensor,
        reviews: Tensor,
        distance: Tensor,
        age: Tensor,
        product_of_edge: Tensor,
        neighbours: Tensor | None = None,
    ) -> Tensor:
        """The hidden product state over an edge list.

        Args:
            products: int64 `[num_rows]`, `num_products` for one without a learned vector.
            text: float `[num_rows, 384]`, MiniLM vectors of the products' texts.
            has_text: float 0/1 `[num_rows]`.
            activity: float `[num_rows, NUM_ACTIVITIES]`, see `ProductBlock`.
            reviews: float `[num_edges, dim]`, encoded reviews.
            distance: int64 `[num_edges]`, newer reviews of the same product.
            age: float `[num_edges]`, days.
            product_of_edge: int64 `[num_edges]`, row of `products`.
            neighbours: float `[num_rows, dim]`, weighted sums of the neighbours' inputs; None = there are none.

        Returns:
            float `[num_rows, dim]`, not normalised.
        """
        described = self._describe(products, text, has_text, activity)
        if neighbours is not None:
            # A product without a learned vector is placed as one that came later: it has followed nothing yet.
            trained = (products != self.num_products).to(neighbours.dtype)
            described = described + self.hop * trained.unsqueeze(-1) * neighbours
        edge = self.dropout(reviews + self.place(distance, age))
        source_of_edge = torch.zeros_like(product_of_edge)
        if len(edge) == 0:
            return described
        attended: Tensor = self.attention(self.source, source_of_edge, edge, described + self.query, product_of_edge)
        return described + attended

    def sum_neighbours(self, inputs: Tensor, hop: Hop) -> Tensor:
        """What a product's neighbours say: float `[num_neighbours, dim]` -> float `[num_rows, dim]`."""
        summed: Tensor = NeighbourSum.apply(inputs, hop)
        return summed

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
        """The same over a padded block: reviews float `[batch, length, dim]`, mask float 0/1 `[batch, length]`."""
        described = self._describe(products, text, has_text, activity)
        edge = reviews + self.place(distance, age)
        source = self.source.unsqueeze(0).expand(edge.shape[0], edge.shape[1], -1)
        attended, weights = self.attention.attend_densely(source, edge, described + self.query, mask)
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
