"""The share of the personal part that validation keeps is the one that the stars were made with."""

import numpy as np
import pytest
import torch

from rec_sys.data.splits import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.experiments.cold_start.protocol import ask_one_by_one
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.train.calibration import choose_rating_share, scale_rating_term
from tests.review_graphs import make_builder, make_graph, random_table, small_graph_settings, small_model_settings


def some_model(**changes: object) -> tuple[ReviewGraphModel, BlockBuilder, Queries]:
    """A model that nobody trained, and questions about reviews that its builder does not see."""
    graph, _ = make_graph(random_table(3, num_reviews=80))
    known = np.arange(80) % 3 > 0
    builder = make_builder(graph, user_side=known, product_side=known)
    torch.manual_seed(0)
    model = ReviewGraphModel(graph.interactions.num_products, small_model_settings(**changes), small_graph_settings())
    with torch.no_grad():
        model.rating_scale.fill_(2.0)
    return model, builder, ask_one_by_one(graph.interactions, np.flatnonzero(~known), known)


def predict(model: ReviewGraphModel, builder: BlockBuilder, queries: Queries) -> np.ndarray:
    return ModelScorer(model, builder, queries).score_targets(np.arange(len(queries)))[1].numpy()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_that_made_the_stars_is_found_and_kept(share: float, caplog: pytest.LogCaptureFixture) -> None:
    model, builder, queries = some_model()
    made, _, _ = some_model()
    scale_rating_term(made, share)
    stars = predict(made, builder, queries)
    builder.graph.interactions.rating[queries.target_edges] = stars
    before = model.rating_scale.item()

    found = choose_rating_share(model, builder, queries, 7)

    assert found == share
    assert model.rating_scale.item() == before  # only looked at
    assert f"keeps {share:.0%}" in caplog.messages[0]
    scale_rating_term(model, found)
    np.testing.assert_allclose(predict(model, builder, queries), stars, atol=1e-5)


def test_without_offsets_or_stars_everything_is_kept() -> None:
    assert choose_rating_share(*some_model(rating_offsets=False), 7) == 1.0
    model, builder, queries = some_model()
    builder.graph.interactions.rating[queries.target_edges] = np.nan
    assert choose_rating_share(model, builder, queries, 7) == 1.0
