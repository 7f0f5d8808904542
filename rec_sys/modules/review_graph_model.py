"""The model: both towers over blocks of the review graph, and what their vectors mean together."""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from rec_sys.graph.blocks import Hop, ProductBlock, Reviews, UserBlock
from rec_sys.graph.rating_offsets import RatingOffsets
from rec_sys.modules.review_features import ReviewEncoder
from rec_sys.modules.towers import ProductTower, UserTower
from rec_sys.settings import GraphSettings, ModelSettings

_SILENT: Final = 1e9  # a temperature at which every cosine is nothing
_MOST_SCALE: Final = math.log(100)  # of a cosine; a learned temperature stays above 0.01


class ReviewGraphModel(nn.Module):
    """User and product vectors from reviews.

    Args:
        num_products: Products with learned vectors.
        text_dim: Width of the text vectors.
        model: The model's settings.
        graph: The graph's settings.
    """

    rating_mean: Tensor
    product_offset: Tensor

    def __init__(self, num_products: int, text_dim: int, model: ModelSettings, graph: GraphSettings) -> None:
        super().__init__()
        self.settings = model
        self.text_dim = text_dim
        self.review_encoder = ReviewEncoder(text_dim, model.dim)
        self.user_tower = UserTower(model, graph)
        self.product_tower = ProductTower(num_products, text_dim, model, graph)
        # Without towers their vectors stay as they were drawn; they are kept from counting, and the rest is the same.
        silent = model.tower == "none"
        self.log_scale = nn.Parameter(
            torch.tensor(-math.log(_SILENT if silent else model.temperature)), requires_grad=model.fit_temperature
        )
        self.rating_scale = nn.Parameter(torch.tensor(0.0 if silent else 0.5))
        self.register_buffer("rating_mean", torch.zeros(()))
        self.register_buffer("product_offset", torch.zeros(num_products))

    def fit_statistics(self, review_text: Tensor, product_text: Tensor, offsets: RatingOffsets) -> None:
        """Sets what the train split says in closed form; texts are some, float `[n, text_dim]`."""
        self.review_encoder.text.fit_statistics(review_text)
        self.product_tower.input_text.fit_statistics(product_text)
        self.product_tower.output_text.fit_statistics(product_text)
        self.rating_mean.fill_(offsets.mean)
        self.product_offset.copy_(torch.from_numpy(offsets.of_products()))

    def encode_users(self, block: UserBlock) -> Tensor:
        """The hidden state of a user block's queries: float `[num_queries, dim]`."""
        products = block.products
        inputs = self.product_tower.read_inputs(products.index, products.text, products.has_text)
        hidden: Tensor = self.user_tower(inputs, self._encode_reviews(block.reviews), block)
        return hidden

    def encode_products(self, block: ProductBlock, hide_ids: Tensor | None = None) -> Tensor:
        """The hidden state of a product block, some products seen as if never trained on: float `[num_rows, dim]`."""
        index = block.products.index
        if hide_ids is not None:
            index = index.masked_fill(hide_ids, self.product_tower.num_products)
        neighbours = None
        if block.hop is not None and self.settings.product_hop:
            near = block.hop.neighbours
            inputs = self.product_tower.read_inputs(near.index, near.text, near.has_text)
            neighbours = NeighbourSum.apply(inputs, block.hop)
        hidden: Tensor = self.product_tower(index, self._encode_reviews(block.reviews), block, neighbours)
        return hidden

    def _encode_reviews(self, reviews: Reviews) -> Tensor:
        encoded: Tensor = self.review_encoder(reviews.text, reviews.has_text, reviews.rating)
        return encoded

    @property
    def temperature(self) -> float:
        """What the cosine is divided by."""
        return float((-self.log_scale.clamp(max=_MOST_SCALE)).exp())

    def scale(self, users: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors whose products are the logits: hidden `[b, dim]`, hidden `[p, dim]` -> the same shapes."""
        # Scaling the small factor spares one pass over [b, p].
        scaled = self.user_tower.to_ranking(users) * self.log_scale.clamp(max=_MOST_SCALE).exp()
        return scaled, self.product_tower.to_ranking(products)

    def rank(self, users: Tensor, products: Tensor) -> Tensor:
        """Softmax logits, cosine over temperature: hidden `[b, dim]`, hidden `[p, dim]` -> float `[b, p]`."""
        scaled, units = self.scale(users, products)
        return scaled @ units.T

    def rate(self, users: Tensor, products: Tensor, user_offset: Tensor, product_offset: Tensor) -> Tensor:
        """Predicted stars of user-product pairs.

        Without offsets the score is 5/2 (cos + 1); with them it is mean + user + product offset + scale * cos.

        Args:
            users: float `[n, dim]`, hidden.
            products: float `[n, dim]`, hidden.
            user_offset: float `[n]`, stars.
            product_offset: float `[n]`, stars.

        Returns:
            float `[n]`, stars.
        """
        cosine = (self.user_tower.to_rating(users) * self.product_tower.to_rating(products)).sum(dim=-1)
        if not self.settings.rating_offsets:
            return 2.5 * (cosine + 1)
        return self.rating_mean + user_offset + product_offset + self.rating_scale * cosine


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
