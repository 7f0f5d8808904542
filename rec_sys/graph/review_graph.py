"""The review graph: users and products are nodes, reviews are edges, all in one order of time.

The columns are `.npy` files that are memory-mapped, so a graph larger than the memory still trains, and building it
twice with the same data, text model and tie rule costs nothing.
"""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.checksums import CHECKSUMS, check_folder, write_checksums
from rec_sys.contracts import InputError
from rec_sys.data.interactions import IntArray, Interactions, SmallIntArray
from rec_sys.files import atomic_folder

_REBUILT = "it is built again"
FORMAT_VERSION = 3  # of the files, and of the rules that order the edges
# Where no text has a width: as wide as the default encoder's, so that a model draws the same weights without texts.
_DIM_WITHOUT_TEXT = 384


@dataclass(frozen=True)
class Adjacency:
    """Compressed sparse rows: the edges of each node, ascending, and so in time order.

    Attributes:
        offsets: int64 `[num_nodes + 1]`.
        edges: int64 `[num_edges]`.
    """

    offsets: IntArray
    edges: IntArray


def build_adjacency(node_of_edge: SmallIntArray, edges: IntArray, num_nodes: int) -> Adjacency:
    """Groups ascending edge ids, int64 `[num_edges]`, by their node, int32 `[num_reviews]` over all edges."""
    offsets, order = ragged.group_rows(node_of_edge[edges], num_nodes)
    return Adjacency(offsets, edges[order])


@dataclass(frozen=True)
class ReviewGraph:
    """All reviews as edges, with their features.

    Attributes:
        interactions: The edges' columns.
        text_vectors: float16 `[num_texts, text_dim]`, unit length; memory-mapped.
        text_row: int32 `[num_reviews]`, row of `text_vectors`, -1 where a review has no text.
        product_text_vectors: float16 `[num_products, text_dim]`, zero where a product has no text.
        by_user: Edges of each user.
        by_product: Edges of each product.
    """

    interactions: Interactions
    text_vectors: npt.NDArray[np.float16]
    text_row: SmallIntArray
    product_text_vectors: npt.NDArray[np.float16]
    by_user: Adjacency
    by_product: Adjacency

    @property
    def text_dim(self) -> int:
        """Width of the text vectors."""
        return int(self.text_vectors.shape[1])

    @property
    def has_text(self) -> bool:
        """Whether any review has a text."""
        return len(self.text_vectors) > 0

    @property
    def has_product_text(self) -> bool:
        """Whether any product has a text."""
        return bool(np.any(self.product_text_vectors))

    @property
    def has_rating(self) -> bool:
        """Whether any review has stars."""
        return not bool(np.isnan(self.interactions.rating).all())


def assemble_graph(
    interactions: Interactions,
    text_vectors: npt.NDArray[np.float16] | None = None,
    text_row: SmallIntArray | None = None,
    product_text_vectors: npt.NDArray[np.float16] | None = None,
) -> ReviewGraph:
    """A graph in memory; a missing text is -1 and a missing product text a zero vector."""
    edges = np.arange(interactions.num_reviews, dtype=np.int64)
    if text_vectors is None:
        text_vectors = np.zeros((0, _DIM_WITHOUT_TEXT), dtype=np.float16)
    if product_text_vectors is None:
        product_text_vectors = np.zeros((interactions.num_products, text_vectors.shape[1]), dtype=np.float16)
    return ReviewGraph(
        interactions=interactions,
        text_vectors=text_vectors,
        text_row=np.full(interactions.num_reviews, -1, dtype=np.int32) if text_row is None else text_row,
        product_text_vectors=product_text_vectors,
        by_user=build_adjacency(interactions.user_index, edges, interactions.num_users),
        by_product=build_adjacency(interactions.product_index, edges, interactions.num_products),
    )


def name_graph(**identity: Any) -> str:
    """The folder name of a graph: a hash of everything that shapes it."""
    text = json.dumps({"format": FORMAT_VERSION, **identity}, sort_keys=True)
    return "graph-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def save_graph(graph: ReviewGraph, folder: Path) -> None:
    """Writes a graph as `.npy` columns; the folder appears whole or not at all."""
    interactions = graph.interactions
    with atomic_folder(folder) as building:
        scalars = {}
        for field in fields(interactions):
            value = getattr(interactions, field.name)
            if isinstance(value, np.ndarray):
                np.save(building / f"{field.name}.npy", value)
            else:
                scalars[field.name] = value
        np.save(building / "text_row.npy", graph.text_row)
        for name in ("text_vectors", "product_text_vectors"):
            _save_in_pieces(building / f"{name}.npy", getattr(graph, name))
        for name in ("by_user", "by_product"):
            adjacency = getattr(graph, name)
            np.save(building / f"{name}.offsets.npy", adjacency.offsets)
            np.save(building / f"{name}.edges.npy", adjacency.edges)
        (building / "graph.json").write_text(json.dumps(scalars))
        write_checksums(building)


def _save_in_pieces(path: Path, vectors: npt.NDArray[np.floating]) -> None:
    """float16 on disk, without a second copy in memory."""
    if vectors.size == 0:
        np.save(path, vectors.astype(np.float16))
        return
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=vectors.shape)
    for start in range(0, len(vectors), 65_536):
        target[start : start + 65_536] = vectors[start : start + 65_536]
    target.flush()


def load_graph(folder: Path) -> ReviewGraph:
    """Opens a saved graph; its columns stay on disk until they are read.

    Raises:
        InputError: A file is missing or was changed.
    """
    if not (folder / CHECKSUMS).is_file():
        raise InputError("there is no whole graph", where=str(folder), remedy=_REBUILT)
    check_folder(folder, "the graph", _REBUILT)

    def column(name: str) -> Any:
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    scalars = json.loads((folder / "graph.json").read_text())
    scalars["event_kinds"] = tuple(scalars["event_kinds"])
    arrays = {field.name: column(field.name) for field in fields(Interactions) if field.name not in scalars}
    return ReviewGraph(
        interactions=Interactions(**scalars, **arrays),
        text_vectors=column("text_vectors"),
        text_row=column("text_row"),
        product_text_vectors=column("product_text_vectors"),
        by_user=Adjacency(column("by_user.offsets"), column("by_user.edges")),
        by_product=Adjacency(column("by_product.offsets"), column("by_product.edges")),
    )
