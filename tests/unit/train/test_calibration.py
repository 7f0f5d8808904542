"""What validation chooses is what measures best, and the share kept is the one that the stars were made with."""

import numpy as np
import pytest
import torch

from rec_sys.data.queries import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.experiments.cold_start.protocol import ask_one_by_one
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory, fit_memories
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import MemorySettings
from rec_sys.train.calibration import choose_memory_term, choose_rating_share, scale_rating_term
from tests.review_graphs import make_builder, make_graph, random_table, small_graph_settings, small_model_settings
from tests.text_width import TEXT_DIM

NUM_PRODUCTS, NUM_QUERIES = 40, 33
FORMULA = ScoreFormula(temperature=0.07, recency=0.9)


def some_model(**changes: object) -> tuple[ReviewGraphModel, BlockBuilder, Queries]:
    """A model that nobody trained, and questions about reviews that its builder does not see."""
    graph, _ = make_graph(random_table(3, num_reviews=80))
    known = np.arange(80) % 3 > 0
    builder = make_builder(graph, user_side=known, product_side=known)
    torch.manual_seed(0)
    model = ReviewGraphModel(
        graph.interactions.num_products, TEXT_DIM, small_model_settings(**changes), small_graph_settings()
    )
    with torch.no_grad():
        model.rating_scale.fill_(2.0)
    return model, builder, ask_one_by_one(graph.interactions, np.flatnonzero(~known), known)


def predict(model: ReviewGraphModel, builder: BlockBuilder, queries: Queries) -> np.ndarray:
    return ModelScorer(model, builder, queries).rate_all(7)[0]


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


@pytest.fixture
def queries() -> Queries:
    """Users with one to four earlier reviews and one or two targets."""
    random = np.random.default_rng(2)
    history, targets = random.integers(1, 5, NUM_QUERIES), random.integers(1, 3, NUM_QUERIES)
    return Queries(
        user_index=np.arange(NUM_QUERIES, dtype=np.int32),
        bound=np.full(NUM_QUERIES, 10**6, dtype=np.int64),
        target_offsets=np.concatenate([[0], np.cumsum(targets)]),
        target_products=_distinct(random, targets),
        target_edges=np.zeros(targets.sum(), dtype=np.int64),
        history_offsets=np.concatenate([[0], np.cumsum(history)]),
        history_products=random.integers(0, NUM_PRODUCTS, history.sum()).astype(np.int32),
        num_cold=0,
    )


def _distinct(random: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    return np.concatenate([random.permutation(NUM_PRODUCTS)[:count] for count in counts]).astype(np.int32)


@pytest.fixture
def memories() -> dict[float, CoReviewMemory]:
    random = np.random.default_rng(3)
    user, product = random.integers(0, 50, 600), random.integers(0, NUM_PRODUCTS, 600)
    return fit_memories(user, product, 50, NUM_PRODUCTS, MemorySettings(), (1.0, 30.0))


def test_every_choice_is_measured_as_the_evaluation_measures_it(
    queries: Queries, memories: dict[float, CoReviewMemory]
) -> None:
    logits = np.random.default_rng(4).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)
    weights = (0.0, 2.0, 50.0)

    terms = {l2: MemoryTerm(memory, FORMULA, 3) for l2, memory in memories.items()}
    l2, chosen, figures = choose_memory_term(lambda rows: logits[rows], queries, terms, weights, query_batch=10)

    for strength, memory in memories.items():
        for weight in weights:
            term = MemoryTerm(memory, FORMULA.model_copy(update={"memory_weight": weight}), 3)
            measured = evaluate_ranking(
                lambda rows, term=term: logits[rows] + term.score(queries, rows), queries, NUM_PRODUCTS, (10,)
            )
            expected = measured.metrics["ndcg_at_10_masked"]
            assert figures[f"{strength:g}/{weight:g}"] == pytest.approx(expected, abs=1e-6)
    assert chosen.memory is memories[l2]
    assert figures[f"{l2:g}/{chosen.formula.memory_weight:g}"] == max(figures.values())
    assert len(set(figures.values())) > 3


def test_a_memory_that_says_nothing_is_given_no_weight(queries: Queries, memories: dict[float, CoReviewMemory]) -> None:
    silent = MemoryTerm(CoReviewMemory(memories[1.0].matrix * 0), FORMULA, 3)
    logits = np.random.default_rng(4).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)

    _, chosen, _ = choose_memory_term(lambda rows: logits[rows], queries, {1.0: silent}, (0.0, 10.0), 16)

    assert chosen.formula.memory_weight == 0.0
