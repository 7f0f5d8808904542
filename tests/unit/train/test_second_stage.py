"""The trees of a second stage do not depend on the unit of the first stage's score."""

from dataclasses import replace

import numpy as np
import pytest

from rec_sys.ranker.boosting import RankingTable
from rec_sys.settings import ModelSettings, RankerSettings
from rec_sys.train.second_stage import learn_trees


def some_table() -> RankingTable:
    random = np.random.default_rng(0)
    question = np.repeat(np.arange(60), 50)
    features = random.normal(size=(len(question), 3)).astype(np.float32)
    score = random.normal(size=len(question)).astype(np.float32) * 2 + question.astype(np.float32)
    return RankingTable(question, features, score, features[:, 0] + 0.2 * random.normal(size=len(question)) > 1.5)


def test_the_spread_is_that_within_questions() -> None:
    table = RankingTable(
        np.array([0, 0, 1, 1]), np.zeros((4, 1), np.float32), np.float32([1, 3, 11, 13]), np.ones(4) > 0
    )
    assert table.spread() == pytest.approx(1.0)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_what_trees_add_is_in_the_unit_of_the_score(library: str) -> None:
    pytest.importorskip(library)
    settings = ModelSettings(ranker=library, second_stage=RankerSettings(rounds=10, min_candidates=20, num_threads=1))
    table = some_table()
    added = learn_trees(table, settings, 0).predict(table.features)
    larger = learn_trees(replace(table, score=table.score * 64), settings, 0).predict(table.features)
    assert added.std() > 0.01
    np.testing.assert_allclose(larger, 64 * added, rtol=1e-3, atol=0.05)
