"""What serving hands to the user tower is what training would have read of the same reviews."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from rec_sys.bundle import Bundle, BundleContents, write_bundle
from rec_sys.contracts import HistoryColumn, ProductColumn, ProductVector, TowerTensor
from rec_sys.data.dataset import embedded_review_text
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.inference.contract import RecommendationRequest, Review
from rec_sys.inference.review_texts import join_text
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_reviews import read_user, tower_inputs
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import InferenceSettings
from tests.review_graphs import (
    make_builder,
    make_graph,
    pad_reviews,
    random_table,
    small_graph_settings,
    small_model_settings,
)
from tests.text_width import TEXT_DIM

LIMITS = InferenceSettings()
READS = 5


def make_model(graph: ReviewGraph) -> ReviewGraphModel:
    torch.manual_seed(0)
    model = ReviewGraphModel(
        graph.interactions.num_products, TEXT_DIM, small_model_settings(), small_graph_settings(user_reviews=READS)
    )
    with torch.no_grad():
        model.product_tower.input_text.missing.normal_()
    return model.eval()


def read_inputs(model: ReviewGraphModel, graph: ReviewGraph) -> np.ndarray:
    """float32 `[num_products + 1, dim]`; the last row is a product that training has not seen."""
    text = torch.from_numpy(np.array(graph.product_text_vectors)).float()
    text = torch.cat([text, torch.zeros(1, TEXT_DIM)])
    with torch.no_grad():
        found = model.product_tower.read_inputs(torch.arange(len(text)), text, (text != 0).any(dim=1).float())
    return np.asarray(found)


def serve(folder: Path, graph: ReviewGraph, model: ReviewGraphModel, known: np.ndarray | None = None) -> ServedBundle:
    columns = graph.interactions
    size, dim = columns.num_products, model.settings.dim
    outputs = np.random.default_rng(0).normal(size=(size, dim)).astype(np.float32)
    histories = pl.DataFrame(
        {
            HistoryColumn.USER_ID: [f"u{user}" for user in columns.user_index],
            HistoryColumn.PRODUCT_INDEX: np.array(columns.product_index),
            HistoryColumn.RATING: pl.Series(np.array(columns.rating)).fill_nan(None),
            HistoryColumn.TIMESTAMP: np.array(columns.timestamp),
            HistoryColumn.TEXT_ROW: np.array(graph.text_row),
            HistoryColumn.SNIPPET: [None] * columns.num_reviews,
            HistoryColumn.WEIGHT: np.ones(columns.num_reviews) if columns.weight is None else np.array(columns.weight),
            HistoryColumn.KNOWN: np.ones(columns.num_reviews, dtype=bool) if known is None else known,
        },
        schema_overrides={HistoryColumn.SNIPPET: pl.String},
    ).sort(HistoryColumn.USER_ID, maintain_order=True)
    contents = BundleContents(
        data_name="invented",
        data_fingerprint="invented",
        text_encoder="none",
        weights={name: value.numpy() for name, value in model.state_dict().items()},
        settings={"text": {"source": "none"}},
        products=pl.DataFrame(
            {
                ProductColumn.ASIN: [f"p{number}" for number in range(size)],
                **{name: [None] * size for name in (ProductColumn.TITLE, ProductColumn.BRAND, ProductColumn.TEXT)},
                ProductColumn.CATEGORIES: [[]] * size,
                ProductColumn.PRICE: [None] * size,
                ProductColumn.RATING_MEAN: [None] * size,
                ProductColumn.REVIEW_COUNT: [0] * size,
                ProductColumn.FIRST_REVIEW: [None] * size,
                ProductColumn.LAST_REVIEW: [None] * size,
            },
            schema_overrides={
                ProductColumn.TITLE: pl.String,
                ProductColumn.BRAND: pl.String,
                ProductColumn.TEXT: pl.String,
                ProductColumn.CATEGORIES: pl.List(pl.String),
                ProductColumn.PRICE: pl.Float32,
                ProductColumn.RATING_MEAN: pl.Float32,
                ProductColumn.FIRST_REVIEW: pl.Int64,
                ProductColumn.LAST_REVIEW: pl.Int64,
            },
        ),
        product_vectors={
            ProductVector.OUTPUT: outputs / np.linalg.norm(outputs, axis=1, keepdims=True),
            ProductVector.INPUT: read_inputs(model, graph)[:-1],
            ProductVector.TEXT: np.array(graph.product_text_vectors).astype(np.float32),
        },
        metrics={},
        histories=histories,
        history_text=np.array(graph.text_vectors),
        score=ScoreFormula(temperature=0.1),
        user_reviews=READS,
        product_reviews=3,
        has_time=columns.has_time,
    )
    write_bundle(folder, contents)
    return ServedBundle(Bundle(folder))


@pytest.mark.parametrize(("has_time", "are_events"), [(True, False), (False, False), (True, True)])
def test_known_users_are_read_as_training_reads_them(tmp_path: Path, has_time: bool, are_events: bool) -> None:
    table = random_table(3, num_reviews=90, has_time=has_time, are_events=are_events)
    graph, _ = make_graph(table, product_text=True)
    model = make_model(graph)
    served = serve(tmp_path / "bundle", graph, model)
    users = np.unique(graph.interactions.user_index).astype(np.int64)
    every = np.full(len(users), graph.interactions.num_reviews, dtype=np.int64)
    block = make_builder(graph, user_limit=READS).build_users(users, every)
    requests = [RecommendationRequest(user_id=f"u{user}") for user in users]
    found = tower_inputs([read_user(request, served, LIMITS) for request in requests], [{}] * len(users), served)
    length = found[TowerTensor.MASK].shape[1]
    assert length == READS
    names = (TowerTensor.REVIEW_TEXT, TowerTensor.HAS_TEXT, TowerTensor.RATING, TowerTensor.AGE, TowerTensor.MASK)
    for name, expected in zip(names, pad_reviews(block, len(users), length), strict=True):
        present = found[TowerTensor.MASK].astype(bool)
        assert np.allclose(found[name][present], expected.numpy()[present], atol=1e-6), name
        assert not found[name][~present].any() or name == TowerTensor.AGE
    inputs = read_inputs(model, graph)
    row, place = block.edges.row.numpy(), block.edges.distance.numpy()
    products = block.products.index.numpy()[block.product_of_edge.numpy()]
    assert np.allclose(found[TowerTensor.PRODUCT_INPUTS][row, place], inputs[products])


def test_answers_leave_out_what_was_ordered_and_popularity_weighs_events(tmp_path: Path) -> None:
    graph, _ = make_graph(random_table(4, num_reviews=90, are_events=True))
    columns = graph.interactions
    ordered = np.asarray(columns.weight) >= 1
    served = serve(tmp_path / "bundle", graph, make_model(graph), ordered)
    for user in np.unique(columns.user_index).tolist():
        found = read_user(RecommendationRequest(user_id=f"u{user}"), served, LIMITS)
        own = columns.product_index[(columns.user_index == user) & ordered]
        assert set(found.seen) == {f"p{product}" for product in own.tolist()}
        sent = read_user(RecommendationRequest(user_id=f"u{user}", reviews=(Review(asin="p1"),)), served, LIMITS)
        assert set(sent.seen) == {*found.seen, "p1"}
    popular = np.bincount(columns.product_index, columns.weight, minlength=columns.num_products)
    np.testing.assert_allclose(served.popularity, popular, rtol=1e-5)
    assert (np.diff(served.popularity[served.by_popularity]) <= 0).all()


def test_a_product_that_training_has_not_seen_is_read_as_the_tower_would_read_it(tmp_path: Path) -> None:
    graph, _ = make_graph(random_table(3), product_text=True)
    model = make_model(graph)
    served = serve(tmp_path / "bundle", graph, model)
    assert served.reads_unknown
    assert np.allclose(served.inputs[served.unknown_product], read_inputs(model, graph)[-1])


def test_headline_and_body_are_joined_as_training_joins_them() -> None:
    pairs = [
        ("Great", "It works."),
        ("Great!", "It works."),
        ("", "It works."),
        ("  Great ", None),
        (None, None),
        (" ", " "),
        ("Why?", ""),
    ]
    table = pl.DataFrame(pairs, schema={"title": pl.String, "text": pl.String}, orient="row")
    trained = table.select(embedded_review_text()).to_series().to_list()
    assert [join_text(Review(asin="p", title=title, text=text)) for title, text in pairs] == trained
