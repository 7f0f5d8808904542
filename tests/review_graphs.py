"""Small random review graphs, made so that a review can be planted without moving the others."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import Interactions
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import Edges, ProductBlock, UserBlock
from rec_sys.graph.product_hop import ProductHop
from rec_sys.graph.rating_offsets import fit_rating_offsets
from rec_sys.graph.review_graph import ReviewGraph, assemble_graph
from rec_sys.graph.sampler import TemporalSampler
from rec_sys.settings import GraphSettings, ModelSettings
from tests.text_width import TEXT_DIM


@dataclass(frozen=True)
class ReviewTable:
    """Reviews in any order: int user, product, day and body (-1 = no text), float stars (NaN = none), text vectors."""

    num_users: int
    num_products: int
    user: npt.NDArray[np.int64]
    product: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    body: npt.NDArray[np.int64]
    rating: npt.NDArray[np.float32]
    vector: npt.NDArray[np.float16]
    has_time: bool = True
    weight: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.user)

    def plant(self, **columns: Any) -> "ReviewTable":
        """The table with one review more, behind the others; `vector` may be left out."""
        vector = np.full((1, TEXT_DIM), columns.pop("vector", 30.0), dtype=np.float16)
        added = {name: np.append(getattr(self, name), value) for name, value in columns.items()}
        added = {name: value.astype(getattr(self, name).dtype) for name, value in added.items()}
        return replace(self, **added, vector=np.concatenate([self.vector, vector]))


def random_table(
    seed: int,
    *,
    num_reviews: int = 60,
    num_users: int = 9,
    num_products: int = 11,
    num_days: int = 40,
    num_bodies: int = 30,
    has_time: bool = True,
    are_events: bool = False,
) -> ReviewTable:
    """Some users and products without any review, missing texts and stars, half stars, texts that stand twice."""
    random = np.random.default_rng(seed)
    body = random.integers(-3, num_bodies, num_reviews).clip(min=-1)
    rating = random.choice([1, 2, 3, 3.5, 4, 5, np.nan], num_reviews).astype(np.float32)
    of_body = random.normal(size=(num_bodies, TEXT_DIM)) / TEXT_DIM**0.5
    return ReviewTable(
        num_users=num_users,
        num_products=num_products,
        user=random.integers(0, max(1, num_users - 1), num_reviews),
        product=random.integers(0, max(1, num_products - 1), num_reviews),
        day=random.integers(0, num_days, num_reviews),
        body=body,
        rating=rating,
        vector=of_body[body].astype(np.float16),
        has_time=has_time,
        weight=random.choice([0.1, 0.4, 1.0, 3.0], num_reviews).astype(np.float32) if are_events else None,
    )


def make_interactions(table: ReviewTable) -> tuple[Interactions, npt.NDArray[np.int64]]:
    """The interactions, and for each edge its row in the table."""
    order = np.lexsort((np.arange(len(table)), table.body, table.user, table.day))
    user, day, body = table.user[order], table.day[order], table.body[order]
    unit_start = np.arange(len(table), dtype=np.int64)
    for edge in range(1, len(table)):
        same = user[edge] == user[edge - 1] and day[edge] == day[edge - 1] and body[edge] == body[edge - 1] >= 0
        unit_start[edge] = unit_start[edge - 1] if same else edge
    interactions = Interactions(
        num_users=table.num_users,
        num_products=table.num_products,
        has_time=table.has_time,
        user_index=user.astype(np.int32),
        product_index=table.product[order].astype(np.int32),
        rating=table.rating[order],
        timestamp=day * MILLISECONDS_A_DAY if table.has_time else day,
        body_index=body.astype(np.int32),
        unit_start=unit_start,
        review_row=np.arange(len(table), dtype=np.int64),
        weight=None if table.weight is None else table.weight[order],
    )
    return interactions, order


def make_graph(table: ReviewTable, *, product_text: bool = False) -> tuple[ReviewGraph, npt.NDArray[np.int64]]:
    """The graph, and for each edge its row in the table; two of three products have a text if any has."""
    interactions, order = make_interactions(table)
    text_row = np.where(table.body >= 0, np.arange(len(table)), -1)[order].astype(np.int32)
    of_products = None
    if product_text:
        of_products = np.random.default_rng(1).normal(size=(table.num_products, TEXT_DIM)) / TEXT_DIM**0.5
        of_products[::3] = 0
    no_products = of_products is None
    vectors = None if no_products else of_products.astype(np.float16)
    return assemble_graph(interactions, table.vector, text_row, vectors), order


def edges_before(graph: ReviewGraph, timestamp: int) -> int:
    """The bound that stands for a moment: every review with an earlier timestamp has a smaller edge id."""
    return int(np.searchsorted(graph.interactions.timestamp, timestamp, side="left"))


def make_builder(
    graph: ReviewGraph,
    *,
    user_side: npt.NDArray[np.bool_] | None = None,
    product_side: npt.NDArray[np.bool_] | None = None,
    text_visible: npt.NDArray[np.bool_] | None = None,
    user_limit: int = 5,
    product_limit: int = 3,
    pseudo_counts: float = 5.0,
    transitions: int = 4,
) -> BlockBuilder:
    """A builder whose rating offsets and product hop are fitted on what the product side sees."""
    number = graph.interactions.num_reviews
    fitted = np.arange(number) if product_side is None else np.flatnonzero(product_side)
    sampler = TemporalSampler(graph, user_side, product_side)
    offsets = fit_rating_offsets(graph, fitted, pseudo_counts)
    visible = np.ones(graph.interactions.num_reviews, dtype=bool) if product_side is None else product_side
    hop = ProductHop(graph, visible, transitions)
    return BlockBuilder(sampler, text_visible, offsets, user_limit, product_limit, hop)


def small_model_settings(**changes: Any) -> ModelSettings:
    """A model that computes in no time."""
    return ModelSettings.model_validate({"dim": 16, "num_heads": 2, "dropout": 0.0, "id_dropout": 0.0} | changes)


def small_graph_settings(**changes: Any) -> GraphSettings:
    """Reads as far as `make_builder` does."""
    return GraphSettings.model_validate({"user_reviews": 5, "product_reviews": 3} | changes)


def pad_edges(edges: Edges, values: Tensor, num_rows: int, length: int) -> Tensor:
    """Values of edges at `[row, distance]`, zero elsewhere: the form that the exported towers take."""
    padded = torch.zeros(num_rows, length, *values.shape[1:], dtype=values.dtype)
    padded[edges.row, edges.distance] = values
    return padded


def pad_reviews(block: UserBlock | ProductBlock, num_rows: int, length: int) -> list[Tensor]:
    """Text, has_text, rating, age and mask of a block's edges, padded."""
    edges, reviews = block.edges, block.reviews
    of_edges = [reviews.text[edges.review].float(), reviews.has_text[edges.review], reviews.rating[edges.review]]
    weight = edges.evidence.exp() if len(edges.evidence) else torch.ones(len(edges.row))
    return [pad_edges(edges, one, num_rows, length) for one in (*of_edges, edges.age, weight)]
