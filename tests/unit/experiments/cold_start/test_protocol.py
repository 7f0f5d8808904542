"""Strangers: what is known of them is cut off, or withheld, and nothing else changes."""

from typing import Any

import numpy as np
import pytest

from rec_sys.contracts import InputError, SplitName
from rec_sys.data.interactions import Interactions
from rec_sys.data.queries import Queries, truncate_histories
from rec_sys.data.splits import Split, split_reviews
from rec_sys.experiments.cold_start.protocol import (
    OWN,
    ask_one_by_one,
    compare_scorers,
    withhold_products,
    without_own,
)
from rec_sys.settings import EvaluationSettings
from tests.review_graphs import make_interactions, random_table
from tests.unit.evaluation.test_ranking import make_queries

FIRST_REVIEWS = 2


@pytest.fixture(scope="module")
def interactions() -> Interactions:
    return make_interactions(random_table(5, num_reviews=150, num_users=15, num_products=12))[0]


@pytest.fixture(scope="module")
def split(interactions: Interactions) -> Split:
    return split_reviews(interactions, EvaluationSettings(), seed=0)


def history(queries: Queries, row: int) -> list[int]:
    return queries.history_edges[queries.history_offsets[row] : queries.history_offsets[row + 1]].tolist()


@pytest.mark.parametrize("length", [0, 1, 2, 4])
def test_a_cut_history_keeps_its_first_reviews_and_the_question(split: Split, length: int) -> None:
    whole = split.test
    cut = truncate_histories(whole, length)
    able = [row for row in range(len(whole)) if len(history(whole, row)) >= length]
    assert len(cut) == len(able) > 0
    for row, before in enumerate(able):
        assert history(cut, row) == history(whole, before)[:length]
        assert cut.user_index[row] == whole.user_index[before]
        targets = slice(*cut.target_offsets[row : row + 2]), slice(*whole.target_offsets[before : before + 2])
        assert cut.target_edges[targets[0]].tolist() == whole.target_edges[targets[1]].tolist()
        # The towers read what lies below the bound: neither the rest of the history nor more than before.
        rest = history(whole, before)[length:]
        assert cut.bound[row] == (rest[0] if rest else whole.bound[before])
        assert all(edge < cut.bound[row] for edge in history(cut, row))


def test_one_question_a_review_sees_the_known_reviews_before_it(interactions: Interactions) -> None:
    known = np.random.default_rng(0).random(interactions.num_reviews) < 0.6
    asked = np.arange(3, interactions.num_reviews, 4)
    queries = ask_one_by_one(interactions, asked, known)
    expected: dict[int, list[int]] = {}
    for edge in asked.tolist():
        earlier = np.flatnonzero(known[: interactions.unit_start[edge]])
        own = earlier[interactions.user_index[earlier] == interactions.user_index[edge]]
        if len(own):
            expected[edge] = own.tolist()
    assert queries.target_edges.tolist() == list(expected)
    assert [history(queries, row) for row in range(len(queries))] == list(expected.values())
    assert queries.num_cold == len(asked) - len(expected)


def test_nothing_of_a_withheld_product_reaches_training(interactions: Interactions, split: Split) -> None:
    withheld = withhold_products(interactions, split, 0.3, FIRST_REVIEWS, seed=3)
    hidden = np.isin(interactions.product_index, withheld.products)
    able = (np.bincount(interactions.product_index) > FIRST_REVIEWS).sum()
    assert len(withheld.products) == round(0.3 * able)
    assert set(withheld.split.of_review[hidden].tolist()) == {SplitName.LATER}
    np.testing.assert_array_equal(withheld.split.of_review[~hidden], split.of_review[~hidden])
    for queries in (withheld.split.validation, withheld.split.test):
        assert len(queries)
        assert not np.isin(queries.history_products, withheld.products).any()
        assert not np.isin(queries.target_products, withheld.products).any()


def test_withheld_products_are_placed_by_their_first_reviews_and_asked_for_by_later_ones(
    interactions: Interactions, split: Split
) -> None:
    withheld = withhold_products(interactions, split, 0.3, FIRST_REVIEWS, seed=3)
    for product in withheld.products.tolist():
        edges = np.flatnonzero(interactions.product_index == product)
        assert np.flatnonzero(withheld.first & (interactions.product_index == product)).tolist() == edges[:2].tolist()
    questions = withheld.questions
    assert not withheld.first[questions.target_edges].any()
    assert np.isin(questions.target_products, withheld.products).all()
    assert not np.isin(questions.history_products, withheld.products).any()
    assert (split.of_review[questions.history_edges] != SplitName.TEST).all()
    # No text that is asked about can be read anywhere.
    asked = interactions.body_index[questions.target_edges]
    read = interactions.body_index[withheld.placed.text_visible]
    assert not np.isin(asked[asked >= 0], read).any()


def test_the_draw_is_seeded_and_too_many_first_reviews_are_refused(interactions: Interactions, split: Split) -> None:
    def drawn(seed: int, first: int = FIRST_REVIEWS) -> list[int]:
        return withhold_products(interactions, split, 0.3, first, seed).products.tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    with pytest.raises(InputError, match="no product has more than 1000 reviews"):
        drawn(1, first=1000)


def test_among_candidates_the_others_do_not_compete_and_differences_are_paired() -> None:
    queries = make_queries(targets=[[1], [3]], histories=[[0], [2]])
    object.__setattr__(queries, "history_edges", np.array([0, 1]))
    own = np.array([[9, 1, 8, 0], [9, 9, 9, 1]], dtype=np.float32)
    other = np.array([[9, 0, 8, 1], [9, 0, 9, 1]], dtype=np.float32)
    scorers: dict[str, Any] = {OWN: lambda rows: own[rows], "other": lambda rows: other[rows]}

    found = compare_scorers(scorers, queries, np.array([1, 3]), 4, query_batch=1)

    # Of the candidates 1 and 3 ours puts 1 first for the first user, and for the second 1 before 3.
    assert found[OWN]["mean_rank_share"] == pytest.approx(0.5)
    second = 1 / np.log2(3)
    assert found[OWN]["ndcg_at_10_masked"] == pytest.approx((1 + second) / 2)
    assert found["other"]["ndcg_at_10_masked"] == pytest.approx((second + 1) / 2)
    assert found["other"]["own_minus_ndcg"] == pytest.approx(0)
    assert found["other"]["own_minus_ndcg_error"] == pytest.approx(1 - second)
    everybody = compare_scorers(scorers, queries, None, 4, query_batch=1)
    assert everybody[OWN]["num_queries"] == 2
    assert everybody[OWN]["mean_rank_share"] == pytest.approx((0.5 + 1.0) / 2)  # ranks 2 and 3 of three


def test_what_a_user_reviewed_at_another_time_comes_last_but_for_the_target(interactions: Interactions) -> None:
    edges = np.arange(0, interactions.num_reviews, 2)
    queries = ask_one_by_one(interactions, np.arange(100, 130), np.ones(interactions.num_reviews, dtype=bool))
    rows = np.arange(len(queries))[::-1]
    scores = np.random.default_rng(0).random((len(queries), interactions.num_products)).astype(np.float32)
    found = without_own(lambda asked: scores[asked], queries, interactions, edges)(rows)
    for place, row in enumerate(rows.tolist()):
        own = edges[interactions.user_index[edges] == queries.user_index[row]]
        last = set(interactions.product_index[own].tolist()) - {int(queries.target_products[row])}
        assert set(np.flatnonzero(np.isneginf(found[place])).tolist()) == last
        kept = ~np.isneginf(found[place])
        np.testing.assert_array_equal(found[place][kept], scores[row][kept])
    assert not np.isneginf(scores).any()
