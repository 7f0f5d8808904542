"""An epoch of training batches: nothing dropped, nothing seen too early, the same again under a seed."""

from collections import Counter
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.review_graph import assemble_graph
from rec_sys.train.batches import TrainingBatch, TrainingBatches
from tests.review_graphs import make_builder, make_graph, make_interactions, random_table

NUM_REVIEWS = 60


def epoch_of(builder: BlockBuilder, edges: npt.NDArray[np.int64], **changes: Any) -> TrainingBatches:
    options: dict[str, Any] = {"batch_size": 8, "num_candidates": 0, "id_dropout": 0.3, "seed": 0, "epoch": 0}
    return TrainingBatches(builder, edges, **(options | changes))


def train_builder(seed: int, reads: bool = True, share: float = 0.8) -> tuple[BlockBuilder, npt.NDArray[np.int64]]:
    """A graph in which every review has a product of its own, so that a target column names its edge."""
    table = random_table(seed, num_reviews=NUM_REVIEWS, num_bodies=10)
    table = replace(table, product=np.random.default_rng(seed).permutation(NUM_REVIEWS), num_products=NUM_REVIEWS + 5)
    graph, _ = make_graph(table)
    train = np.random.default_rng(seed).random(NUM_REVIEWS) < share
    product_limit = 3 if reads else 0
    builder = make_builder(graph, user_side=train, product_side=train, product_limit=product_limit)
    return builder, np.flatnonzero(train)


def edges_of(batch: TrainingBatch, builder: BlockBuilder) -> list[int]:
    product = batch.products.products.index[batch.target_column].numpy()
    edge_of_product = np.argsort(builder.graph.interactions.product_index)
    return edge_of_product[product].tolist()


def tensors(block: Any) -> list[torch.Tensor]:
    values = [getattr(block, field.name) for field in fields(block)]
    return [leaf for value in values for leaf in (tensors(value) if is_dataclass(value) else [torch.as_tensor(value)])]


def assert_equal_batches(left: list[TrainingBatch], right: list[TrainingBatch]) -> None:
    assert len(left) == len(right)
    for ours, theirs in zip(left, right, strict=True):
        torch.testing.assert_close(tensors(ours), tensors(theirs), rtol=0, atol=0, equal_nan=True)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(0, 3), st.integers(1, 80), st.integers(1, 4), st.booleans())
def test_an_epoch_predicts_every_train_review_once_over_all_processes(
    seed: int, epoch: int, batch_size: int, processes: int, reads: bool
) -> None:
    batch_size = max(batch_size, processes)
    builder, edges = train_builder(seed, reads)
    shards = [
        epoch_of(builder, edges, seed=seed, epoch=epoch, batch_size=batch_size, shard=(number, processes))
        for number in range(processes)
    ]
    batches = [list(shard) for shard in shards]
    # Unequal numbers of batches would leave the other processes waiting for ever.
    assert {len(of_one) for of_one in batches} == {len(shards[0])}
    predicted = Counter(edge for of_one in batches for batch in of_one for edge in edges_of(batch, builder))
    assert predicted == Counter(edges.tolist())
    # One process alone reads the same windows, with the same products under the same bound, in the same order.
    alone = epoch_of(builder, edges, seed=seed, epoch=epoch, batch_size=batch_size)
    for whole, *parts in zip(alone, *batches, strict=True):
        assert edges_of(whole, builder) == [edge for part in parts for edge in edges_of(part, builder)]
        for part in parts:
            torch.testing.assert_close(tensors(part.products), tensors(whole.products), rtol=0, atol=0)
            assert torch.equal(part.hide_ids, whole.hide_ids)
        assert sum(part.share for part in parts) == pytest.approx(processes)
        if any((~whole.stars.isnan()).tolist()):
            assert sum(part.rated_share for part in parts) == pytest.approx(processes)


@pytest.mark.parametrize("reads", [True, False])
def test_an_epoch_repeats_and_differs_from_the_next_and_from_another_seed(reads: bool) -> None:
    builder, edges = train_builder(1, reads)
    once, again = (list(epoch_of(builder, edges, seed=3, epoch=2)) for _ in range(2))
    assert_equal_batches(once, again)
    assert_equal_batches(once, list(once_more := epoch_of(builder, edges, seed=3, epoch=2)))
    assert_equal_batches(once, list(once_more))  # iterated a second time
    orders = [
        [edges_of(batch, builder) for batch in epoch_of(builder, edges, seed=seed, epoch=epoch)]
        for seed, epoch in ((3, 2), (3, 3), (4, 2), (2, 3))
    ]
    assert len({str(order) for order in orders}) == 4


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([0, 4, 200]), st.booleans())
def test_batches_hold_targets_candidates_and_masks_of_a_slow_reading(
    seed: int, num_candidates: int, reads: bool
) -> None:
    table = random_table(seed, num_reviews=NUM_REVIEWS, num_products=20, num_bodies=10)
    graph, _ = make_graph(table)
    columns = graph.interactions
    train = np.random.default_rng(seed).random(NUM_REVIEWS) < 0.8
    builder = make_builder(graph, user_side=train, product_side=train, product_limit=3 if reads else 0)
    edges = np.flatnonzero(train)
    predicted = Counter[tuple[int, int]]()
    for batch in epoch_of(builder, edges, num_candidates=num_candidates, id_dropout=0.0):
        candidates = batch.products.products.index.numpy()
        size = len(batch.target_column)
        assert (np.diff(candidates) > 0).all()
        assert not batch.hide_ids.any()
        if num_candidates == 4:
            assert len(candidates) == min(20, 4 + len(batch.target_column.unique()))
        else:
            assert candidates.tolist() == list(range(20))
            assert (batch.log_sampled == 0).all()
        target = candidates[batch.target_column]
        predicted.update((int(one), int(np.nan_to_num(stars))) for one, stars in zip(target, batch.stars, strict=True))
        histories = [
            batch.users.products.index[batch.users.product_of_edge[batch.users.edges.row == row]].tolist()
            for row in range(size)
        ]
        masked = set(zip(batch.masked_row.tolist(), candidates[batch.masked_column.numpy()].tolist(), strict=True))
        assert masked == {(row, one) for row, products in enumerate(histories) for one in products if one in candidates}
        rated = ~batch.stars.isnan()
        without = builder.offsets.of_products_without(target, batch.stars.numpy())
        np.testing.assert_array_equal(batch.product_offset, without)
        assert (batch.product_offset[~rated] == torch.from_numpy(builder.offsets.of_products()[target])[~rated]).all()
    expected = zip(columns.product_index[edges], np.nan_to_num(columns.rating[edges]), strict=True)
    assert predicted == Counter((int(product), int(stars)) for product, stars in expected)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 30))
def test_no_batch_reads_its_own_reviews_or_later_ones(seed: int, batch_size: int) -> None:
    builder, edges = train_builder(seed)
    columns = builder.graph.interactions
    edge_of_product = np.argsort(columns.product_index)
    for batch in epoch_of(builder, edges, batch_size=batch_size):
        asked = edges_of(batch, builder)
        starts = columns.unit_start[asked]
        read = edge_of_product[batch.users.products.index[batch.users.product_of_edge].numpy()]
        assert (read < starts[batch.users.edges.row.numpy()]).all()
        read = edge_of_product[batch.products.products.index[batch.products.edges.row].numpy()]
        assert (read < starts.min()).all()
        bodies = set(columns.body_index[asked].tolist()) - {-1}
        texts = batch.products.reviews.has_text[batch.products.edges.review].numpy()
        assert not any(text and columns.body_index[edge] in bodies for text, edge in zip(texts, read, strict=True))


def test_the_log_chance_is_how_often_a_product_is_a_candidate() -> None:
    table = random_table(5, num_reviews=400, num_products=12, num_days=400)
    builder = make_builder(make_graph(table)[0], product_limit=0)
    drawn = np.zeros(12)
    count = 0
    for epoch in range(60):
        for batch in epoch_of(builder, np.arange(400), num_candidates=8, batch_size=10, epoch=epoch):
            candidates = batch.products.products.index.numpy()
            drawn[candidates] += 1
            count += 1
            expected = batch.log_sampled
    full = epoch_of(builder, np.arange(400), num_candidates=8, batch_size=10)
    np.testing.assert_allclose(drawn / count, np.exp(full._log_sampled), atol=0.02)
    assert len(expected) == len(candidates)
    np.testing.assert_array_equal(expected, full._log_sampled[candidates])


def test_ids_are_hidden_at_the_rate_asked_for() -> None:
    builder, edges = train_builder(2)
    hidden = torch.cat([batch.hide_ids for epoch in range(20) for batch in epoch_of(builder, edges, epoch=epoch)])
    assert 0.27 < hidden.float().mean() < 0.33


def test_candidates_look_in_training_as_they_do_in_use_where_products_read_nothing() -> None:
    # Windows are random there, so no bound tells what a product's popularity was: it must not be told at all.
    builder, edges = train_builder(2, reads=False)
    in_use = builder.build_products(np.arange(NUM_REVIEWS + 5), NUM_REVIEWS)
    for batch in epoch_of(builder, edges):
        assert torch.equal(batch.products.activity, in_use.activity)


def bare_builder(seed: int) -> tuple[BlockBuilder, npt.NDArray[np.int64]]:
    """Sequences and nothing else: no text, no stars, no time."""
    table = random_table(seed, num_reviews=NUM_REVIEWS, has_time=False)
    nothing = np.full(NUM_REVIEWS, np.nan, dtype=np.float32)
    interactions, _ = make_interactions(replace(table, body=np.full(NUM_REVIEWS, -1), rating=nothing))
    train = np.random.default_rng(seed).random(NUM_REVIEWS) < 0.8
    builder = make_builder(assemble_graph(interactions), user_side=train, product_side=train, transitions=1000)
    return builder, np.flatnonzero(train)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.booleans())
def test_bare_sequences_come_by_user_and_hide_those_users_transitions(seed: int, backwards: bool) -> None:
    builder, edges = bare_builder(seed)
    columns = builder.graph.interactions
    assert builder.hop is not None
    batches = list(epoch_of(builder, edges, reversal=0.999999 * backwards, batch_size=6))
    windows = list(epoch_of(builder, edges, batch_size=6)._windows(np.random.default_rng((0, 0))))
    for batch, window in zip(batches, windows, strict=True):
        assert batch.users.backwards == backwards
        assert not batch.hide_ids.any()  # nothing else is known of a product
        users = columns.user_index[window]
        # Whoever is in a batch is in it with all their reviews, but for those whom its two ends cut.
        whole = np.bincount(columns.user_index[edges], minlength=columns.num_users)[np.unique(users)]
        assert (np.unique(users, return_counts=True)[1] < whole).sum() <= 2
        hop = batch.products.hop
        assert hop is not None
        expected = builder.hop.read_without(users, np.arange(11))
        np.testing.assert_array_equal(hop.weight, expected.weight)
        # What the history holds lies on the one side of the question.
        for query, edge in enumerate(window):
            own = batch.users.edges.row.numpy() == query
            read = batch.users.products.index[batch.users.product_of_edge].numpy()[own].tolist()
            mine = [one for one in edges if columns.user_index[one] == columns.user_index[edge]]
            side = (
                [one for one in mine if one > edge][:5] if backwards else [one for one in mine if one < edge][::-1][:5]
            )
            assert read == columns.product_index[side].tolist()


def test_a_product_that_was_only_looked_at_competes() -> None:
    builder, edges = train_builder(1)
    columns = builder.graph.interactions
    ordered = np.random.default_rng(1).random(columns.num_reviews) < 0.3
    builder.of_kind = ordered
    looked_at = 0
    for batch in epoch_of(builder, edges):
        candidates = batch.products.products.index.numpy()
        users = batch.users
        row, product = users.edges.row.numpy(), users.products.index[users.product_of_edge].numpy()
        known = {(int(one), int(what)) for one, what in zip(row[users.known], product[users.known], strict=True)}
        masked = set(zip(batch.masked_row.tolist(), candidates[batch.masked_column.numpy()].tolist(), strict=True))
        assert masked == known
        looked_at += len(row) - int(users.known.sum())
    assert looked_at


def test_an_unmasked_history_competes() -> None:
    builder, edges = bare_builder(1)
    assert any(len(batch.masked_row) for batch in epoch_of(builder, edges))
    assert not any(len(batch.masked_row) for batch in epoch_of(builder, edges, mask_history=False))


def test_reviews_with_a_text_or_stars_are_never_read_backwards() -> None:
    builder, edges = train_builder(1)
    assert not any(batch.users.backwards for batch in epoch_of(builder, edges, reversal=0.99))
