"""The model's figures on a part, against a plain computation from its own vectors."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split, split_reviews
from rec_sys.evaluation.model_scorer import ModelScorer, SplitResult, encode_catalogue, evaluate_model
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.evaluation.rating import rating_metrics
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.settings import EvaluationSettings
from tests.review_graphs import make_builder, make_graph, random_table, small_graph_settings, small_model_settings
from tests.text_width import TEXT_DIM

NUM_PRODUCTS = 11


def settings_of(protocol: str, **changes: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate(
        {"protocol": protocol, "validation_fraction": 0.25, "test_fraction": 0.25} | changes
    )


def part_of(
    protocol: str, rated: bool = True, **model: Any
) -> tuple[ReviewGraphModel, BlockBuilder, Split, EvaluationSettings]:
    table = random_table(7, num_reviews=120)
    if not rated:
        table.rating[:] = np.nan
    graph, _ = make_graph(table, product_text=True)
    settings = settings_of(protocol)
    split = split_reviews(graph.interactions, settings, 0)
    train = np.zeros(120, dtype=bool)
    train[split.train_edges] = True
    builder = make_builder(graph, user_side=split.of_review != 2, product_side=train, text_visible=split.text_visible)
    torch.manual_seed(0)
    network = ReviewGraphModel(
        NUM_PRODUCTS, TEXT_DIM, small_model_settings(dropout=0.5, **model), small_graph_settings()
    )
    network.fit_statistics(torch.zeros(0, TEXT_DIM), torch.zeros(0, TEXT_DIM), builder.offsets)
    return network, builder, split, settings


def vectors(
    model: ReviewGraphModel, builder: BlockBuilder, queries: Queries
) -> tuple[torch.Tensor, torch.Tensor, npt.NDArray[np.float32]]:
    """Users, products and logits, each from blocks of their own."""
    with torch.inference_mode():
        blocks = [
            builder.build_users(np.array([user]), np.array([bound]))
            for user, bound in zip(queries.user_index, queries.bound, strict=True)
        ]
        users = torch.cat([model.encode_users(block) for block in blocks])
        products = model.encode_products(builder.build_products(np.arange(NUM_PRODUCTS), 120))
        offsets = torch.cat([block.user_offset for block in blocks])
        logits = model.rank(users, products)
        stars = torch.stack(
            [
                model.rate(users[row].expand(NUM_PRODUCTS, -1), products, offsets[row], model.product_offset)
                for row in range(len(users))
            ]
        )
    return logits, stars, logits.numpy()


def naive_loss(logits: torch.Tensor, queries: Queries) -> float:
    losses = []
    for row in range(len(queries)):
        history = set(queries.history_products[slice(*queries.history_offsets[row : row + 2])].tolist())
        for target in queries.target_products[slice(*queries.target_offsets[row : row + 2])]:
            rivals = [logit for product, logit in enumerate(logits[row].tolist()) if product not in history - {target}]
            losses.append(math.log(sum(map(math.exp, rivals))) - logits[row, target].item())
    return sum(losses) / len(losses)


@pytest.mark.parametrize("query_batch", [1, 2, 1024])
@pytest.mark.parametrize("protocol", ["leave_last_out", "global_time"])
def test_metrics_and_losses_are_those_of_a_plain_computation(protocol: str, query_batch: int) -> None:
    model, builder, split, _ = part_of(protocol)
    settings = settings_of(protocol, query_batch=query_batch)
    queries = split.test
    if protocol == "global_time":
        assert len(queries.target_products) > len(queries)  # several targets a question
    result: SplitResult = evaluate_model(model, builder, queries, settings)
    logits, stars, scores = vectors(model, builder, queries)

    dense = evaluate_ranking(lambda rows: scores[rows], queries, NUM_PRODUCTS, settings.ks)
    assert {key: result.metrics[key] for key in dense.metrics} == pytest.approx(dense.metrics)
    assert result.metrics["ranking_loss"] == pytest.approx(naive_loss(logits, queries), rel=1e-5)

    row = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
    guesses = stars[row, queries.target_products].numpy()
    given = builder.graph.interactions.rating[queries.target_edges]
    rated = ~np.isnan(given)
    assert 0 < rated.sum() < len(given)
    expected = rating_metrics(guesses[rated], given[rated])
    assert {key: result.metrics[key] for key in expected} == pytest.approx(expected, rel=1e-4)
    assert result.metrics["rating_loss"] == pytest.approx(((guesses - given)[rated] ** 2).mean(), rel=1e-4)
    assert result.metrics["loss"] == pytest.approx(result.metrics["ranking_loss"] + 0.1 * result.metrics["rating_loss"])


def test_without_ratings_the_loss_is_the_ranking_loss() -> None:
    model, builder, split, settings = part_of("leave_last_out", rated=False, ranking_weight=2.0)
    metrics = evaluate_model(model, builder, split.validation, settings).metrics
    assert metrics["loss"] == pytest.approx(2 * metrics["ranking_loss"])
    assert not {"rmse", "mae", "auc", "rating_loss"} & set(metrics)


def test_measuring_twice_gives_the_same_though_the_model_has_dropout() -> None:
    model, builder, split, settings = part_of("leave_last_out")
    model.train()
    first, second = (evaluate_model(model, builder, split.test, settings).metrics for _ in range(2))
    assert first == second


def test_the_catalogue_in_pieces_is_the_whole_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    model, builder, split, _ = part_of("leave_last_out")
    whole = encode_catalogue(model.eval(), builder)
    monkeypatch.setattr("rec_sys.evaluation.model_scorer.PRODUCT_CHUNK", 4)
    torch.testing.assert_close(encode_catalogue(model, builder), whole)
    assert ModelScorer(model, builder, split.test).score(np.array([1, 0])).shape == (2, NUM_PRODUCTS)
