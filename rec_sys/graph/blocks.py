"""Blocks: the part of the graph that one batch reads, as tensors; `block_builder` makes them.

A review that several questions share is read and encoded once; edges refer to it by row.
"""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

Block = TypeVar("Block")

NUM_ACTIVITIES = 4


@dataclass(frozen=True)
class Reviews:
    """Distinct reviews of a block.

    Attributes:
        text: float16 `[num_reviews, text_dim]`, zero where unread; `[0, text_dim]` where the data has no text.
        has_text: float32 0/1 `[num_reviews]`.
        rating: float32 `[num_reviews]`, 0 where missing.
    """

    text: Tensor
    has_text: Tensor
    rating: Tensor


@dataclass(frozen=True)
class Products:
    """Products of a block.

    Attributes:
        index: int64 `[num_rows]`.
        text: float16 `[num_rows, text_dim]`; `[0, text_dim]` where no product of the data has a text.
        has_text: float32 0/1 `[num_rows]`.
    """

    index: Tensor
    text: Tensor
    has_text: Tensor


@dataclass(frozen=True)
class Edges:
    """Message-passing edges, each row's newest review first.

    Attributes:
        row: int64 `[num_edges]`, the destination: a query of a user block, a product row of a product block.
        review: int64 `[num_edges]`, row of `Reviews`.
        distance: int64 `[num_edges]`, how many newer reviews the row has.
        age: float32 `[num_edges]`, days before the row's newest review; -1 where the data has no time.
        evidence: float32 `[num_edges]`, log of how much the review says beside others; `[0]` where all say the same.
    """

    row: Tensor
    review: Tensor
    distance: Tensor
    age: Tensor
    evidence: Tensor


@dataclass(frozen=True)
class Hop:
    """Weighted edges from neighbouring products to product rows, sorted both ways.

    Attributes:
        neighbours: The distinct neighbours.
        offsets: int64 `[num_rows + 1]`, where each row's edges begin.
        neighbour: int64 `[num_edges]`, row of `neighbours`.
        weight: float32 `[num_edges]`.
        back_offsets: int64 `[num_neighbours + 1]`, the same edges by neighbour, for the way back of the gradient.
        back_row: int64 `[num_edges]`, product rows.
        back_order: int64 `[num_edges]`, the edge at each place of that order.
    """

    neighbours: Products
    offsets: Tensor
    neighbour: Tensor
    weight: Tensor
    back_offsets: Tensor
    back_row: Tensor
    back_order: Tensor


@dataclass(frozen=True)
class UserBlock:
    """Histories of some queries.

    Attributes:
        num_queries: Rows, some of which may have no edge.
        edges: The history's edges.
        product_of_edge: int64 `[num_edges]`, row of `products`.
        products: Distinct products of the histories.
        reviews: Distinct reviews of the histories.
        user_offset: float32 `[num_queries]`, how far above the products' mean this user rates.
        known: bool `[num_edges]`, reviews of a kind that is predicted: their products do not compete.
        backwards: The histories are read from the future: distance and age count away from the question as ever.
    """

    num_queries: int
    edges: Edges
    product_of_edge: Tensor
    products: Products
    reviews: Reviews
    user_offset: Tensor
    known: Tensor
    backwards: bool = False


@dataclass(frozen=True)
class ProductBlock:
    """Some products with their newest reviews.

    Attributes:
        products: The products.
        activity: float32 `[num_rows, NUM_ACTIVITIES]`: log of the review count against the catalogue's mean, whether
            there is none, and how recent the newest is (two decays, of a month and of a year; 0 without time). All 0
            where products read no reviews.
        edges: Edges from `reviews` to `products`.
        reviews: Distinct reviews of the products.
        hop: Edges from neighbouring products; None where the model has no hop.
    """

    products: Products
    activity: Tensor
    edges: Edges
    reviews: Reviews
    hop: Hop | None = None


def move_to(block: Block, device: torch.device) -> Block:
    """A copy of a (nested) dataclass with every tensor on the device."""
    moved: Any = {}
    for field in fields(block):  # type: ignore[arg-type] # there is no type of all dataclasses
        value = getattr(block, field.name)
        if isinstance(value, Tensor):
            value = value.to(device, non_blocking=True)
        elif is_dataclass(value):
            value = move_to(value, device)
        moved[field.name] = value
    return type(block)(**moved)
