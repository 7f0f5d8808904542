"""A product that came after training is served as the experiment places it: the same vector, column and score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from rec_sys.bundle import Bundle, BundleContents, write_bundle
from rec_sys.contracts import HistoryColumn, ProductColumn, ProductVector, SplitName, TowerFile
from rec_sys.data.splits import Split, split_reviews
from rec_sys.experiments.cold_start.protocol import place_products
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.inference import placing
from rec_sys.inference.placing import FirstReview, place_product, placing_ground
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.modules import tower_export
from rec_sys.modules.counted_memory import count_memory
from rec_sys.modules.placing import Arrivals, known_products, placing_tensors, train_reviews, with_columns
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.newcomers import place_column
from rec_sys.product_kinds import ProductKinds
from rec_sys.scoring import ScoreFormula, score_products, sparse_tensors
from rec_sys.settings import EdgeIndex, EvaluationSettings, MemorySettings, ModelSettings, NewcomerSettings
from rec_sys.vector_database.contract import ProductDetails, ProductQuery, UserTaste
from rec_sys.vector_database.opening import open_index, open_publisher
from tests.review_graphs import make_builder, make_graph, random_table, small_graph_settings, small_model_settings
from tests.text_width import TEXT_DIM

NEW, USER_REVIEWS, PRODUCT_REVIEWS, TEMPERATURE = 4, 5, 3, 0.07
COUNTS = MemorySettings(method="counts", session=1.0, text=1.0, author_power=0.25, product_power=0.35, neighbours=50)
MODEL: ModelSettings = small_model_settings(co_review=COUNTS, newcomers=NewcomerSettings(factor=0.8, neighbours=3))


def reviewed_once() -> ReviewGraph:
    table = random_table(6, num_reviews=160, num_users=14, num_products=9, num_days=90)
    first = np.unique(table.user * table.num_products + table.product, return_index=True)[1]
    names = ("user", "product", "day", "body", "rating", "vector")
    return make_graph(
        replace(table, **{name: getattr(table, name)[np.sort(first)] for name in names}), product_text=True
    )[0]


def known_split(graph: ReviewGraph) -> Split:
    columns = graph.interactions
    of_review = np.where(columns.product_index == NEW, SplitName.LATER, SplitName.TRAIN).astype(np.uint8)
    split = split_reviews(columns, EvaluationSettings(), seed=0)
    return replace(split, of_review=of_review, text_visible=np.ones(columns.num_reviews, dtype=bool))


def product_table(num_products: int) -> pl.DataFrame:
    count = range(num_products)
    return pl.DataFrame(
        {
            ProductColumn.ASIN: [f"p{number}" for number in count],
            ProductColumn.TITLE: [None] * num_products,
            ProductColumn.BRAND: ["a" if number % 2 else "b" for number in count],
            ProductColumn.CATEGORIES: [["all", f"kind {number % 3}"] for number in count],
            ProductColumn.PRICE: [5.0 + number for number in count],
            ProductColumn.RATING_MEAN: [4.0] * num_products,
            ProductColumn.REVIEW_COUNT: [3] * num_products,
            ProductColumn.FIRST_REVIEW: [0] * num_products,
            ProductColumn.LAST_REVIEW: [0] * num_products,
        },
        schema_overrides={ProductColumn.TITLE: pl.String},
    )


def write_placing_bundle(folder: Path, graph: ReviewGraph, split: Split, model: ReviewGraphModel) -> Bundle:
    columns, edges = graph.interactions, split.train_edges
    memory = count_memory(train_reviews(graph, split), columns.num_users, columns.num_products, COUNTS)
    vectors = np.random.default_rng(2).normal(size=(columns.num_products, model.settings.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    text = np.array(graph.product_text_vectors, dtype=np.float32)
    histories = pl.DataFrame(
        {
            HistoryColumn.USER_ID: [f"u{user}" for user in columns.user_index[edges].tolist()],
            HistoryColumn.PRODUCT_INDEX: columns.product_index[edges],
            HistoryColumn.RATING: pl.Series(columns.rating[edges]).fill_nan(None),
            HistoryColumn.TIMESTAMP: columns.timestamp[edges],
            HistoryColumn.TEXT_ROW: graph.text_row[edges],
            HistoryColumn.SNIPPET: pl.Series([None] * len(edges), dtype=pl.String),
            HistoryColumn.WEIGHT: np.ones(len(edges), dtype=np.float32),
            HistoryColumn.KNOWN: np.ones(len(edges), dtype=bool),
        }
    ).sort(HistoryColumn.USER_ID, maintain_order=True)
    contents = BundleContents(
        data_name="invented",
        data_fingerprint="invented",
        text_encoder="none",
        weights={name: value.numpy() for name, value in model.state_dict().items()},
        settings={"model": MODEL.model_dump(mode="json"), "text": {"source": "none"}},
        products=product_table(columns.num_products),
        product_vectors={
            ProductVector.OUTPUT: vectors,
            ProductVector.INPUT: vectors,
            ProductVector.RATING: vectors,
            ProductVector.RATING_OFFSET: np.zeros(columns.num_products, dtype=np.float32),
            ProductVector.TEXT: text,
        },
        metrics={},
        histories=histories,
        history_text=np.array(graph.text_vectors),
        score=ScoreFormula(temperature=TEMPERATURE, memory_weight=2.0),
        user_reviews=USER_REVIEWS,
        product_reviews=PRODUCT_REVIEWS,
        has_time=True,
        memory=dict(sparse_tensors(memory.matrix)),
        placing=placing_tensors(graph, split),
        towers=tower_export.export_towers(model, USER_REVIEWS, PRODUCT_REVIEWS),
    )
    write_bundle(folder, contents)
    return Bundle(folder)


@pytest.fixture(scope="module")
def graph() -> ReviewGraph:
    return reviewed_once()


@pytest.fixture(scope="module")
def model(graph: ReviewGraph) -> ReviewGraphModel:
    settings = small_graph_settings(user_reviews=USER_REVIEWS, product_reviews=PRODUCT_REVIEWS)
    return ReviewGraphModel(graph.interactions.num_products, TEXT_DIM, MODEL, settings).eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, graph: ReviewGraph, model: ReviewGraphModel) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:  # the user tower takes no part, and its export half of the time
        product_tower = {TowerFile.PRODUCT: tower_export.ProductTowerExport(model, PRODUCT_REVIEWS)}
        patch.setattr(tower_export, "export_modules", lambda *_: product_tower)
        return write_placing_bundle(tmp_path_factory.mktemp("placing") / "bundle", graph, known_split(graph), model)


@pytest.mark.parametrize(("num_reviews", "by"), [(3, "text"), (0, "text"), (3, "kind")])
def test_a_new_product_is_served_as_the_experiment_places_it(
    tmp_path: Path,
    graph: ReviewGraph,
    model: ReviewGraphModel,
    bundle: Bundle,
    num_reviews: int,
    by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns, split = graph.interactions, known_split(graph)
    first = np.flatnonzero(columns.product_index == NEW)[:num_reviews]
    settings = NewcomerSettings.model_validate(MODEL.newcomers.model_dump() | {"by": by})
    kinds = ProductKinds.of_table(product_table(columns.num_products))
    # The experiment's way.
    memory = count_memory(train_reviews(graph, split), columns.num_users, columns.num_products, COUNTS)
    newcomer = Arrivals(graph, split, split.text_visible, kinds, COUNTS).of_product(NEW, first)
    column = place_column(newcomer, known_products(graph, split, memory, kinds), COUNTS, settings)
    seen = split.of_review == SplitName.TRAIN
    seen[first] = True
    builder = make_builder(graph, product_side=seen, user_limit=USER_REVIEWS, product_limit=PRODUCT_REVIEWS)
    hidden = place_products(model, builder, np.array([NEW]))
    vector = model.product_tower.to_ranking(hidden)[NEW].detach().numpy()
    # The service's way.
    served = ServedBundle(bundle)
    ground = placing_ground(served)
    changed = replace(ground, settings=MODEL.model_copy(update={"newcomers": settings}))
    monkeypatch.setattr(placing, "placing_ground", lambda _: changed)
    row = product_table(columns.num_products).row(NEW, named=True)
    details = ProductDetails(
        row[ProductColumn.ASIN],
        None,
        None,
        row[ProductColumn.BRAND],
        tuple(row[ProductColumn.CATEGORIES]),
        row["price"],
    )
    reviews = [
        FirstReview(
            user_id=f"u{columns.user_index[edge]}",
            rating=None if np.isnan(columns.rating[edge]) else float(columns.rating[edge]),
            timestamp=int(columns.timestamp[edge]),
            text=None if graph.text_row[edge] < 0 else graph.text_vectors[graph.text_row[edge]].astype(np.float32),
        )
        for edge in first.tolist()
    ]
    placed = place_product(served, details, np.array(graph.product_text_vectors[NEW], dtype=np.float32), reviews)

    np.testing.assert_allclose(placed.vector, vector, atol=1e-5)
    found = np.zeros(columns.num_products, dtype=np.float32)
    found[list(placed.memory)] = list(placed.memory.values())
    np.testing.assert_allclose(found, column, rtol=1e-4, atol=1e-6)
    assert column.any()

    # And the index answers with the score that the experiment computes.
    index = EdgeIndex(backend="edge", folder=tmp_path / "index", progress=False)
    open_publisher(index).publish(served.catalogue)
    user, weights = np.full(model.settings.dim, model.settings.dim**-0.5, dtype=np.float32), {0: 2.0, 1: 1.5, 7: 0.5}
    with open_index(index) as opened:
        opened.upsert([placed])
        hits = opened.search(ProductQuery(UserTaste(user, weights), limit=columns.num_products)).hits
    history = sparse.csr_matrix((list(weights.values()), ([0] * 3, list(weights))), shape=(1, columns.num_products))
    vectors = np.array(served.catalogue.vectors)
    vectors[NEW] = vector
    matrix = with_columns(memory, np.array([NEW]), column[:, None]).matrix
    expected = score_products(user[None], vectors, TEMPERATURE, history.astype(np.float32), matrix)[0]
    scores = {hit.product.asin: hit.score for hit in hits}
    np.testing.assert_allclose([scores[f"p{number}"] for number in range(len(expected))], expected, rtol=1e-4)


def test_a_bundle_without_placing_tensors_places_by_the_tower_alone(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "placing", lambda self: None)
    placed = place_product(ServedBundle(bundle), ProductDetails("new"), None, [FirstReview(rating=5.0)])
    assert placed.memory == {}
    assert np.linalg.norm(placed.vector) == pytest.approx(1, abs=1e-5)
