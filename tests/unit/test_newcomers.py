"""Columns for products that the co-review memory does not know: their own evidence, and that of like products."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from rec_sys.contracts import ProductColumn, SplitName
from rec_sys.data.splits import Split, split_reviews
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.modules.counted_memory import count_memory
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.modules.placing import Arrivals, known_products, placing_tensors, train_reviews, with_columns, with_rare
from rec_sys.newcomers import KnownProducts, Newcomer, place_column, weigh_beside
from rec_sys.product_kinds import ProductKinds
from rec_sys.settings import EvaluationSettings, MemorySettings, NewcomerSettings
from rec_sys.unit_vectors import unit_vectors
from tests.review_graphs import make_graph, random_table

COUNTS = MemorySettings(
    method="counts", session=1.0, session_days=20.0, author_power=0.25, product_power=0.35, text=1.0, neighbours=1000
)
NOTHING: Any = {
    "review_text": np.empty((0, 3), np.float32),
    "product_text": np.zeros(3, np.float32),
    "beside": np.empty(0, np.int64),
    "beside_weight": np.empty(0, np.float32),
    "kinds": np.empty(0, np.int64),
}


def all_train(graph: ReviewGraph) -> Split:
    split = split_reviews(graph.interactions, EvaluationSettings(), seed=0)
    number = graph.interactions.num_reviews
    return replace(split, of_review=np.zeros(number, np.uint8), text_visible=np.ones(number, dtype=bool))


@pytest.fixture
def known() -> KnownProducts:
    """Four products; the last one has no reviews, the third nothing in the memory."""
    memory = np.array([[0, 4, 0, 0], [2, 0, 0, 9], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    return KnownProducts(
        memory=sparse.csc_matrix(memory),
        reviews=np.array([5, 3, 2, 0], dtype=np.float32),
        review_text=np.array([[1, 0, 0], [0.6, 0.8, 0], [1, 0, 0], [1, 0, 0]], dtype=np.float32),
        common_text=np.array([0, 0, 1], dtype=np.float32),
        product_text=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32),
        kinds=sparse.csr_matrix(np.array([[1, 1], [1, 0], [0, 1], [1, 1]], dtype=np.float32)),
        price=np.array([10, 20, np.nan, 10], dtype=np.float32),
    )


def test_what_first_reviews_say_themselves_is_what_the_memory_would_count() -> None:
    graph, _ = make_graph(random_table(3, num_reviews=120, num_users=20, num_days=60))
    columns, split = graph.interactions, all_train(graph)
    pairs = columns.user_index.astype(np.int64) * columns.num_products + columns.product_index
    once = np.isin(np.arange(len(pairs)), np.unique(pairs, return_index=True)[1])
    split = replace(split, of_review=np.where(once, SplitName.TRAIN, SplitName.LATER).astype(np.uint8))
    counted = count_memory(train_reviews(graph, split), columns.num_users, columns.num_products, COUNTS)
    kinds = ProductKinds.unknown(columns.num_products)
    tensors = placing_tensors(graph, split)
    known = KnownProducts.of_tensors(tensors, counted.matrix, np.zeros((columns.num_products, 1), np.float32), kinds)
    for product in range(4):
        first = np.flatnonzero((columns.product_index == product) & once)
        without = replace(split, of_review=np.where(columns.product_index == product, SplitName.LATER, split.of_review))
        newcomer = Arrivals(graph, without, split.text_visible, kinds, COUNTS).of_product(product, first)
        found = place_column(newcomer, known, COUNTS, NewcomerSettings(factor=0))
        np.testing.assert_allclose(found, counted.matrix[:, [product]].toarray()[:, 0], rtol=2e-3, atol=1e-6)
        assert found.any()


def test_the_nearest_known_products_lend_their_columns_by_likeness(known: KnownProducts) -> None:
    # Two reviews, the common part taken off: the direction (1, 0, 0).
    newcomer = Newcomer(**NOTHING | {"review_text": np.array([[2, 0, 1], [1, 0, 1]], np.float32)})
    settings = NewcomerSettings(factor=2.0, neighbours=3, evenness=0)
    memory = known.memory.toarray()
    # The third has no column to lend and the fourth no reviews, however like they are.
    expected = 2.0 * (1.0 * memory[:, 0] + 0.6 * memory[:, 1]) / 1.6
    np.testing.assert_allclose(place_column(newcomer, known, COUNTS, settings), expected, rtol=1e-6)
    nearest = place_column(newcomer, known, COUNTS, settings.model_copy(update={"neighbours": 1}))
    np.testing.assert_allclose(nearest, 2.0 * memory[:, 0], rtol=1e-6)
    even = place_column(newcomer, known, COUNTS, settings.model_copy(update={"evenness": 1.0}))
    mean = (3 + 5 + 9) / 3
    expected = 2.0 * (1.0 * memory[:, 0] * mean / 3 + 0.6 * memory[:, 1] * mean / 5) / 1.6
    np.testing.assert_allclose(even, expected, rtol=1e-6)


def test_a_product_without_reviews_is_placed_by_its_description_or_its_kind(known: KnownProducts) -> None:
    settings = NewcomerSettings(factor=1.0, neighbours=1, evenness=0)
    described = Newcomer(**NOTHING | {"product_text": np.array([0.1, 1, 0], np.float32)})
    memory = known.memory.toarray()
    np.testing.assert_allclose(place_column(described, known, COUNTS, settings), memory[:, 1], rtol=1e-6)
    by_kind = settings.model_copy(update={"by": "kind"})
    both = Newcomer(**NOTHING | {"kinds": np.array([0, 1])}, price=10.0)
    np.testing.assert_allclose(place_column(both, known, COUNTS, by_kind), memory[:, 0], rtol=1e-6)
    dear = Newcomer(**NOTHING | {"kinds": np.array([0])}, price=21.0)
    np.testing.assert_allclose(place_column(dear, known, COUNTS, by_kind), memory[:, 1], rtol=1e-6)
    assert not place_column(Newcomer(**NOTHING), known, COUNTS, settings).any()
    assert not place_column(Newcomer(**NOTHING), known, COUNTS, by_kind).any()


def test_regressions_see_each_product_alone_and_the_strongest_weights_are_kept(known: KnownProducts) -> None:
    ridge = MemorySettings(l2=(1.0, 5.0, 30.0), neighbours=2)
    weights = weigh_beside(ridge, np.array([4, 2, 2]), np.array([1.0, np.nan, 3.0]), np.array([1.0, 0.5, 2.0]))
    newcomer = Newcomer(**NOTHING | {"beside": np.array([0, 0, 1]), "beside_weight": weights})
    found = place_column(newcomer, known, ridge, NewcomerSettings(factor=0))
    np.testing.assert_allclose(found, [1.5 / 10, 2 / 8, 0, 0], rtol=1e-6)
    narrow = ridge.model_copy(update={"neighbours": 1})
    np.testing.assert_allclose(place_column(newcomer, known, narrow, NewcomerSettings(factor=0)), [0, 0.25, 0, 0])


def test_rare_products_gain_the_column_of_the_one_that_is_written_about_most_alike() -> None:
    graph, _ = make_graph(random_table(3, num_reviews=120, num_users=20, num_days=60))
    columns, split = graph.interactions, all_train(graph)
    counted = count_memory(train_reviews(graph, split), columns.num_users, columns.num_products, COUNTS)
    reviews = np.bincount(columns.product_index, minlength=columns.num_products)
    most = int(np.sort(reviews)[2])
    rare = reviews <= most
    assert 0 < rare.sum() < columns.num_products
    settings = NewcomerSettings(factor=2.0, neighbours=1, evenness=0, rare=most)
    old = counted.matrix.toarray()
    new = with_rare(graph, split, counted, settings).matrix.toarray()
    np.testing.assert_array_equal(new[:, ~rare], old[:, ~rare])
    written = known_products(graph, split, counted, ProductKinds.unknown(columns.num_products)).review_text
    alike = written @ written.T
    np.fill_diagonal(alike, -1)
    for product in np.flatnonzero(rare):
        nearest = alike[product].argmax()
        lent = old[:, nearest] * (alike[product, nearest] > 0)  # of one nobody has reviewed nothing is known
        np.testing.assert_allclose(new[:, product], old[:, product] + 2 * lent, rtol=1e-5, atol=1e-6)
    nobody = with_rare(graph, split, counted, settings.model_copy(update={"rare": 0}))
    assert (nobody.matrix != counted.matrix).nnz == 0


def test_columns_replace_those_of_the_memory() -> None:
    memory = CoReviewMemory(sparse.csr_matrix(np.arange(1, 10, dtype=np.float32).reshape(3, 3)))
    found = with_columns(memory, np.array([1]), np.array([[7.0], [0.0], [8.0]], np.float32)).matrix.toarray()
    np.testing.assert_array_equal(found, [[1, 7, 3], [4, 0, 6], [7, 8, 9]])


def test_kinds_are_categories_and_brands_and_new_names_are_none() -> None:
    table = pl.DataFrame(
        {
            ProductColumn.CATEGORIES: [["a", "b"], None, ["x"]],
            ProductColumn.BRAND: ["x", None, None],
            ProductColumn.PRICE: [1.5, None, 3.0],
        }
    )
    kinds = ProductKinds.of_table(table)
    np.testing.assert_array_equal(kinds.matrix.toarray(), [[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    assert kinds.of_names(["b", "nowhere"], "x").tolist() == [1, 2]
    np.testing.assert_array_equal(kinds.price, np.array([1.5, np.nan, 3.0], np.float32))


def test_rows_of_length_one_or_zero() -> None:
    np.testing.assert_allclose(unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)
