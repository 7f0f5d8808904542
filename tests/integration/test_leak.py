"""The promise that nothing of the future is read: planted reviews move no score before their time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rec_sys.contracts import MILLISECONDS_A_DAY, ReviewColumn, SplitName
from rec_sys.data.interactions import build_interactions
from rec_sys.data.prepare import prepare
from rec_sys.data.splits import split_reviews
from rec_sys.entry import compose_settings
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.product_hop import ProductHop
from rec_sys.graph.rating_offsets import RatingOffsets, fit_rating_offsets
from rec_sys.graph.review_graph import ReviewGraph, assemble_graph
from rec_sys.graph.sampler import TemporalSampler
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import EvaluationSettings, Settings
from rec_sys.train.assembly import fit_co_review, make_builders
from rec_sys.train.batches import TrainingBatch, TrainingBatches
from tests.review_graphs import (
    ReviewTable,
    edges_before,
    make_graph,
    make_interactions,
    random_table,
    small_graph_settings,
    small_model_settings,
)
from tests.text_width import TEXT_DIM

NUM_USERS, NUM_PRODUCTS, NUM_DAYS = 9, 11, 40
CONVOLUTIONS = ["transformer_conv", "gat"]

days = st.integers(1, NUM_DAYS - 1)
plants = st.fixed_dictionaries(
    {
        "user": st.integers(0, NUM_USERS - 1),
        "product": st.integers(0, NUM_PRODUCTS - 1),
        "later": st.integers(0, 1000),
        "body": st.one_of(st.just(-1), st.integers(0, 29), st.just(99)),  # none, one that stands elsewhere, a new one
        "rating": st.sampled_from([1.0, 5.0, np.nan]),
    }
)


def random_model(convolution: str) -> ReviewGraphModel:
    """Every part of it speaks: with zero-initialised vectors some leaks could not be seen."""
    torch.manual_seed(1)
    model = ReviewGraphModel(
        NUM_PRODUCTS, TEXT_DIM, small_model_settings(convolution=convolution), small_graph_settings()
    ).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model


MODELS = {convolution: random_model(convolution) for convolution in CONVOLUTIONS}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The tensors are tiny: several threads would mostly wait for each other."""
    torch.set_num_threads(1)


def plant_all(table: ReviewTable, reviews: list[dict[str, Any]], day: int) -> ReviewTable:
    """Plants reviews on or after a day, with text vectors far from all others."""
    for number, review in enumerate(reviews):
        columns = {name: value for name, value in review.items() if name != "later"}
        table = table.plant(**columns, day=day + review["later"], vector=20.0 + number)
    return table


def make_builder(graph: ReviewGraph, offsets: RatingOffsets, readable: npt.NDArray[np.bool_]) -> BlockBuilder:
    hop = ProductHop(graph, readable, limit=100)
    return BlockBuilder(
        TemporalSampler(graph, readable, readable), None, offsets, user_limit=5, product_limit=3, hop=hop
    )


def readable_edges(graph: ReviewGraph, order: npt.NDArray[np.int64], table: ReviewTable) -> npt.NDArray[np.bool_]:
    """Some reviews belong to other parts; planted ones are all readable, which is the worst that can happen."""
    return (np.random.default_rng(0).random(len(table)) < 0.8)[order] | (order >= 60)


@torch.inference_mode()
def scores_at(table: ReviewTable, day: int, convolution: str, offsets: RatingOffsets) -> torch.Tensor:
    """Logits and stars of all products for all users as seen at the start of a day."""
    graph, order = make_graph(table, product_text=True)
    builder = make_builder(graph, offsets, readable_edges(graph, order, table))
    model = MODELS[convolution]
    bound = edges_before(graph, day * MILLISECONDS_A_DAY)
    users = builder.build_users(np.arange(NUM_USERS), np.full(NUM_USERS, bound))
    products = builder.build_products(np.arange(NUM_PRODUCTS), bound)
    hidden, answers = model.encode_users(users), model.encode_products(products)
    stars = [
        model.rate(hidden[user].expand(NUM_PRODUCTS, -1), answers, users.user_offset[user], torch.zeros(NUM_PRODUCTS))
        for user in range(NUM_USERS)
    ]
    return torch.stack([model.rank(hidden, answers), torch.stack(stars)])


def fitted_offsets(table: ReviewTable) -> RatingOffsets:
    """Rating offsets are fitted once like weights; here on the reviews that are there in any case."""
    graph, _ = make_graph(table)
    return fit_rating_offsets(graph, np.arange(len(table)), 5.0)


@settings(max_examples=40)
@given(st.integers(0, 1000), days, st.lists(plants, min_size=1, max_size=5), st.sampled_from(CONVOLUTIONS))
def test_planted_future_reviews_move_no_score(
    seed: int, day: int, reviews: list[dict[str, Any]], convolution: str
) -> None:
    table = random_table(seed)
    offsets = fitted_offsets(table)
    before = scores_at(table, day, convolution, offsets)
    after = scores_at(plant_all(table, reviews, day), day, convolution, offsets)
    assert torch.equal(before, after)


@settings(max_examples=20)
@given(st.integers(0, 1000), days, plants, st.sampled_from(CONVOLUTIONS))
def test_a_planted_past_review_moves_scores_of_its_user_and_its_product(
    seed: int, day: int, review: dict[str, Any], convolution: str
) -> None:
    # The newest review before the day: it cannot fall out of the last L.
    table = random_table(seed)
    offsets = fitted_offsets(table)
    before = scores_at(table, day, convolution, offsets)
    after = scores_at(plant_all(table, [review | {"later": 0}], day - 1), day, convolution, offsets)
    change = (before - after).abs()
    assert (change[0, review["user"]] > 0).any()
    assert (change[0, :, review["product"]] > 0).any()


def batches_before(table: ReviewTable, day: int, offsets: RatingOffsets, **changes: Any) -> list[TrainingBatch]:
    """An epoch of batches that predict the reviews before a day, planted ones aside."""
    graph, order = make_graph(table, product_text=True)
    readable = readable_edges(graph, order, table)
    builder = make_builder(graph, offsets, readable)
    targets = np.flatnonzero((readable & (order < 60))[: edges_before(graph, day * MILLISECONDS_A_DAY)])
    options = {"batch_size": 6, "num_candidates": 0, "id_dropout": 0.2, "seed": 0, "epoch": 0}
    return list(TrainingBatches(builder, targets, **(options | changes)))


def leaves(block: Any) -> list[tuple[str, torch.Tensor]]:
    if isinstance(block, torch.Tensor):
        return [("", block)]
    if not hasattr(block, "__dict__"):
        return [("", torch.as_tensor(block))]
    return [(f"{name}.{path}", leaf) for name, value in vars(block).items() for path, leaf in leaves(value)]


def assert_same_batches(left: list[TrainingBatch], right: list[TrainingBatch], *, but: tuple[str, ...] = ()) -> None:
    assert len(left) == len(right)
    for ours, theirs in zip(left, right, strict=True):
        for (path, value), (_, other) in zip(leaves(ours), leaves(theirs), strict=True):
            if not path.startswith(but) or not but:
                torch.testing.assert_close(value, other, rtol=0, atol=0, equal_nan=True, msg=f"{path} differs")


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(15, NUM_DAYS - 1), st.lists(plants, min_size=1, max_size=5))
def test_planted_future_reviews_move_nothing_in_training_batches_before_them(
    seed: int, day: int, reviews: list[dict[str, Any]]
) -> None:
    table = random_table(seed)
    offsets = fitted_offsets(table)
    before = batches_before(table, day, offsets)
    assert_same_batches(before, batches_before(plant_all(table, reviews, day), day, offsets))


def test_a_planted_past_review_is_seen_in_training_batches() -> None:
    table = random_table(0)
    offsets = fitted_offsets(table)
    planted = table.plant(user=1, product=1, day=0, body=99, rating=5)
    with pytest.raises(AssertionError, match="differs"):
        assert_same_batches(batches_before(table, 30, offsets), batches_before(planted, 30, offsets))


def change_review(table: ReviewTable, row: int, rating: float) -> ReviewTable:
    """Another text vector and other stars for one review, its body and everything else as it was."""
    vector, stars = table.vector.copy(), table.rating.copy()
    vector[row] = 25.0
    stars[row] = rating
    return replace(table, vector=vector, rating=stars)


def refit_with_mean(table: ReviewTable, mean: float) -> RatingOffsets:
    """Product offsets fitted on a table around a given mean, which is a weight like any other."""
    rated = ~np.isnan(table.rating)
    product = table.product[rated]
    deviation = table.rating[rated].astype(np.float64) - mean
    return RatingOffsets(
        mean=mean,
        product_sum=np.bincount(product, weights=deviation, minlength=table.num_products),
        product_count=np.bincount(product, minlength=table.num_products).astype(np.float64),
        pseudo_counts=5.0,
    )


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(0, 59))
def test_the_predicted_review_is_no_input_of_its_own_prediction(seed: int, row: int) -> None:
    """A batch of one: whatever the predicted review says, its author and the candidates look the same."""
    table = random_table(seed)
    assume(not np.isnan(table.rating[row]))
    # Where the author has reviewed the product before, the product's offset is part of the author's own; and that is
    # fitted on all train reviews, this one too, as the weights are.
    mine = (table.user == table.user[row]) & (table.day < table.day[row])
    assume(table.product[row] not in table.product[mine])
    changed = change_review(table, row, 5.0 if table.rating[row] < 4 else 1.0)
    batches = []
    for version in (table, changed):
        graph, order = make_graph(version, product_text=True)
        builder = make_builder(graph, refit_with_mean(version, 3.0), np.ones(60, dtype=bool))
        edge = np.flatnonzero(order == row)
        batches += TrainingBatches(
            builder, edge, batch_size=1, num_candidates=0, id_dropout=0.0, seed=0, epoch=0
        )  # fmt: skip
    ours, theirs = batches
    assert ours.stars.item() != theirs.stars.item()
    # The leave-one-out offset is the rounding of two sums.
    torch.testing.assert_close(ours.product_offset, theirs.product_offset, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.users.user_offset, theirs.users.user_offset, rtol=0, atol=0)
    assert_same_batches([ours], [theirs], but=("stars", "product_offset"))


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(0, 59))
def test_the_predicted_text_is_read_nowhere_else(seed: int, row: int) -> None:
    """Its copies on other reviews, of the same author or of others, are hidden too."""
    table = random_table(seed, num_bodies=4)
    body = table.body[row]
    assume(body >= 0)
    vector = table.vector.copy()
    vector[table.body == body] = 25.0
    batches = []
    for version in (table, replace(table, vector=vector)):
        graph, order = make_graph(version)
        builder = make_builder(graph, refit_with_mean(version, 3.0), np.ones(60, dtype=bool))
        edge = np.flatnonzero(order == row)
        batches += TrainingBatches(
            builder, edge, batch_size=1, num_candidates=0, id_dropout=0.0, seed=0, epoch=0
        )  # fmt: skip
    assert_same_batches(batches[:1], batches[1:])
    for reviews in (batches[1].users.reviews, batches[1].products.reviews):
        assert not (reviews.text == 25).any()


def bare_batch(table: ReviewTable, user: int) -> TrainingBatch:
    """All reviews of one user as a batch, where reviews are an order of products and nothing else."""
    nothing = np.full(len(table), np.nan, dtype=np.float32)
    bare = replace(table, body=np.full(len(table), -1), rating=nothing, has_time=False)
    graph = assemble_graph(make_interactions(bare)[0])
    every = np.ones(len(table), dtype=bool)
    builder = make_builder(graph, fit_rating_offsets(graph, np.arange(len(table)), 5.0), every)
    edges = np.flatnonzero(graph.interactions.user_index == user)
    options = {"batch_size": 100, "num_candidates": 0, "id_dropout": 0.0, "seed": 0, "epoch": 0}
    (batch,) = TrainingBatches(builder, edges, **options)
    return batch


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(0, NUM_USERS - 2))
def test_no_product_vector_has_read_a_transition_that_is_being_predicted(seed: int, user: int) -> None:
    """Whatever the asked user has reviewed in which order, the candidates are the same."""
    table = random_table(seed)
    assume((table.user == user).sum() > 1)
    other = np.where(
        table.user == user, np.random.default_rng(seed).integers(0, NUM_PRODUCTS, len(table)), table.product
    )
    found = []
    for version in (table, replace(table, product=other)):
        hop = bare_batch(version, user).products.hop
        assert hop is not None
        weights = torch.zeros(NUM_PRODUCTS, NUM_PRODUCTS)
        row = torch.repeat_interleave(torch.arange(NUM_PRODUCTS), hop.offsets.diff())
        found.append(weights.index_put_((row, hop.neighbours.index[hop.neighbour]), hop.weight, accumulate=True))
    torch.testing.assert_close(*found)


def all_settings(protocol: str) -> Settings:
    fractions = {"validation_fraction": 0.25, "test_fraction": 0.25}
    return compose_settings(
        [f"evaluation={protocol}", *(f"evaluation.{key}={value}" for key, value in fractions.items()), "text=none",
         "graph.user_reviews=5", "graph.product_reviews=3"],
        Settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def settings_by_protocol() -> dict[str, Settings]:
    return {protocol: all_settings(protocol) for protocol in ("leave_last_out", "random_split", "global_time")}


@pytest.mark.parametrize("protocol", ["leave_last_out", "random_split", "global_time"])
def test_what_was_reviewed_in_the_test_part_moves_no_test_score(
    protocol: str, settings_by_protocol: dict[str, Settings]
) -> None:
    """The whole road from split to scores: other stars, texts and later times of test reviews change nothing."""
    table = random_table(5, num_reviews=150, num_days=90)
    chosen = settings_by_protocol[protocol]
    scores = []
    last_day = table.day.max()
    for asks_later in (False, True):
        graph, order = make_graph(table, product_text=True)
        split = split_reviews(graph.interactions, chosen.evaluation, 0)
        rows = order[split.of_review == SplitName.TEST]
        if asks_later:
            vector, rating, day = table.vector.copy(), table.rating.copy(), table.day.copy()
            vector[rows], rating[rows] = 25.0, 1.0
            day[rows[table.day[rows] == last_day]] += 3000
            table = replace(table, vector=vector, rating=rating, day=day)
            assert (table.day > last_day).any()
            graph, order = make_graph(table, product_text=True)
            split = split_reviews(graph.interactions, chosen.evaluation, 0)
            assert set(rows) == set(order[split.of_review == SplitName.TEST])
        builders = make_builders(graph, split, chosen)
        formula = ScoreFormula(temperature=0.07, memory_weight=5, recency=0.9)
        memory = MemoryTerm(fit_co_review(graph, split, chosen.model.co_review, l2=10.0), formula, limit=5)
        for part, queries in (("validation", split.validation), ("test", split.test)):
            scorer = ModelScorer(MODELS["transformer_conv"], builders[part], queries, memory)
            scores.append(scorer.score(np.arange(len(queries))))
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_array_equal(scores[1], scores[3])


@pytest.mark.parametrize("protocol", ["leave_last_out", "global_time"])
def test_no_text_of_real_reviews_is_read_on_one_side_and_asked_about_on_the_other(
    real_fashion: Path, tmp_path: Path, protocol: str
) -> None:
    """Shops repeat one review for every variant of a product: texts stand many times in this file."""
    given = compose_settings(["data=instruments_2018", f"data.reviews_path={real_fashion}"], Settings)
    dataset = prepare(given.data, tmp_path)
    assert (dataset.summary.rows_read, dataset.summary.duplicates_merged) == (3176, 89)
    interactions = build_interactions(dataset)
    text, title = (
        dataset.reviews()[interactions.review_row][name].fill_null("").str.strip_chars()
        for name in (ReviewColumn.TEXT, ReviewColumn.TITLE)
    )
    body = pl.select(pl.when(text != "").then(text).otherwise(title)).to_series().to_list()
    num_straddling = 0
    for seed in range(2):
        split = split_reviews(interactions, EvaluationSettings.model_validate({"protocol": protocol}), seed)
        late = np.where(split.of_review == SplitName.HISTORY, SplitName.TRAIN, split.of_review)
        latest: dict[str, int] = {}
        for one, part in zip(body, late, strict=True):
            latest[one] = max(latest.get(one, 0), int(part))
        straddles = np.array([one != "" and latest[one] > part for one, part in zip(body, late, strict=True)])
        np.testing.assert_array_equal(split.text_visible, ~straddles)
        num_straddling += straddles.sum()
        # A purchase's variants are one unit and stay together.
        assert (split.of_review == split.of_review[interactions.unit_start]).all()
    assert num_straddling > 0  # so that this test can fail
    assert (interactions.unit_start != np.arange(len(body))).any()
