"""New products beside a train split: what is known of its products, and of others by their first reviews."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rec_sys.contracts import MILLISECONDS_A_DAY, PlacingTensor
from rec_sys.data.interactions import BoolArray, FloatArray, IntArray
from rec_sys.data.splits import Split
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.modules.counted_memory import KnownReviews, describe_texts
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.newcomers import KnownProducts, Newcomer, neighbours_column, weigh_beside
from rec_sys.product_kinds import ProductKinds
from rec_sys.settings import MemorySettings, NewcomerSettings


def train_reviews(graph: ReviewGraph, split: Split) -> KnownReviews:
    """The train split's reviews, with the texts that may be read."""
    columns, edges = graph.interactions, split.train_edges
    return KnownReviews(
        user_index=columns.user_index[edges],
        product_index=columns.product_index[edges],
        timestamp=columns.timestamp[edges] if columns.has_time else None,
        text_row=np.where(split.text_visible[edges], graph.text_row[edges], -1).astype(np.int32),
        text_vectors=graph.text_vectors,
        weight=columns.weights_of(edges),
    )


def placing_tensors(graph: ReviewGraph, split: Split) -> dict[str, npt.NDArray[np.floating]]:
    """What new products are placed by, as a bundle keeps it, see `contracts.PlacingTensor`."""
    reviews, size = train_reviews(graph, split), graph.interactions.num_products
    review_text, common = describe_texts(reviews, size)
    return {
        PlacingTensor.REVIEWS: np.bincount(reviews.product_index, minlength=size).astype(np.float32),
        PlacingTensor.REVIEW_TEXT: review_text.astype(np.float16),
        PlacingTensor.COMMON_TEXT: common,
    }


def known_products(graph: ReviewGraph, split: Split, memory: CoReviewMemory, kinds: ProductKinds) -> KnownProducts:
    """What a memory of the train split is of."""
    tensors = placing_tensors(graph, split)
    return KnownProducts.of_tensors(
        tensors, memory.matrix, np.asarray(graph.product_text_vectors, dtype=np.float32), kinds
    )


def with_columns(memory: CoReviewMemory, products: IntArray, columns: FloatArray) -> CoReviewMemory:
    """A memory with other columns for some products: int64 `[n]`, float32 `[num_products, n]`."""
    size = memory.matrix.shape[0]
    kept = sparse.diags(1 - np.isin(np.arange(size), products).astype(np.float32))
    placed = sparse.csc_matrix(columns).tocoo()
    new = sparse.csr_matrix((placed.data, (placed.row, products[placed.col])), shape=memory.matrix.shape)
    return CoReviewMemory((memory.matrix @ kept + new).tocsr().astype(np.float32))


def with_rare(graph: ReviewGraph, split: Split, memory: CoReviewMemory, settings: NewcomerSettings) -> CoReviewMemory:
    """A memory of the train split that knows rarely reviewed products by others of such texts too.

    The column of a product with at most `settings.rare` train reviews gains `settings.factor` times those of its
    neighbours.
    """
    known = known_products(graph, split, memory, ProductKinds.unknown(graph.interactions.num_products))
    rare = np.flatnonzero(known.reviews <= settings.rare)
    if not len(rare):
        return memory
    lent = [neighbours_column(known.like_known(product), known, settings) for product in rare.tolist()]
    own = memory.matrix.tocsc()[:, rare].toarray()
    return with_columns(memory, rare, own + np.float32(settings.factor) * np.stack(lent, axis=1).astype(np.float32))


class Arrivals:
    """Products that arrive after training, with their first reviews.

    Args:
        graph: All reviews.
        split: Its train split is what is known; the first reviews are not in it.
        visible: bool `[num_reviews]`, whose text may be read, of the first reviews too.
        kinds: Of all products.
        settings: Of the memory.
    """

    def __init__(
        self, graph: ReviewGraph, split: Split, visible: BoolArray, kinds: ProductKinds, settings: MemorySettings
    ) -> None:
        self._graph, self._visible, self._kinds, self._settings = graph, visible, kinds, settings
        columns, edges = graph.interactions, split.train_edges
        order = np.argsort(columns.user_index[edges], kind="stable")
        self._known = edges[order]
        self._offsets = np.searchsorted(columns.user_index[self._known], np.arange(columns.num_users + 1))

    def of_product(self, product: int, first: IntArray) -> Newcomer:
        """A product with its first reviews: int64 `[n]`, edges, none for one without any."""
        columns = self._graph.interactions
        others = [self._others(int(edge)) for edge in first]
        beside = np.concatenate([edges for edges, _ in others] or [np.empty(0, dtype=np.int64)])
        own = np.repeat(first, [len(edges) for edges, _ in others])
        counts = np.repeat([count for _, count in others], [len(edges) for edges, _ in others])
        days = np.full(len(beside), np.nan)
        if columns.has_time:
            days = (columns.timestamp[own] - columns.timestamp[beside]) / MILLISECONDS_A_DAY
        weights = columns.weights_of(np.concatenate([own, beside]))
        evidence = None if weights is None else weights[: len(own)] * weights[len(own) :]
        rows = self._graph.text_row[first]
        rows = rows[(rows >= 0) & self._visible[first]]
        return Newcomer(
            review_text=np.asarray(self._graph.text_vectors[rows], dtype=np.float32),
            product_text=np.asarray(self._graph.product_text_vectors[product], dtype=np.float32),
            beside=columns.product_index[beside].astype(np.int64),
            beside_weight=weigh_beside(self._settings, counts, days, evidence),
            kinds=self._kinds.matrix[product].indices.astype(np.int64),
            price=float(self._kinds.price[product]),
        )

    def _others(self, edge: int) -> tuple[IntArray, int]:
        """What the author of a first review has reviewed besides, and how many reviews they have with it."""
        columns = self._graph.interactions
        user = int(columns.user_index[edge])
        edges = self._known[self._offsets[user] : self._offsets[user + 1]]
        edges = edges[columns.product_index[edges] != columns.product_index[edge]]
        return edges, len(edges) + 1
