"""A walk through time: what a baseline has seen when it is asked."""

import numpy as np
import pytest

from rec_sys.baselines.popular import PopularBaseline, PopularRecentBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import NoSettings, PopularRecentSettings
from rec_sys.experiments.benchmark.measure_baseline import WalkThroughTime
from tests.review_graphs import make_interactions, random_table

BASELINES = [PopularBaseline(NoSettings()), PopularRecentBaseline(PopularRecentSettings())]


@pytest.mark.parametrize("baseline", BASELINES, ids=["popular", "popular_recent"])
def test_popularity_is_that_of_each_questions_day(baseline: PopularBaseline) -> None:
    columns, _ = make_interactions(random_table(4))
    bound = np.array([20, 20, 31, 50])
    nothing = np.zeros(0, dtype=np.int32)
    histories = Histories(np.arange(4, dtype=np.int32), np.zeros(5, dtype=np.int64), nothing, nothing)
    walk = WalkThroughTime(baseline.fit(TrainingReviews.of_edges(columns, np.arange(20))), histories, bound, columns)
    # As the evaluation asks, in batches.
    scores = np.concatenate([walk.score(np.arange(3)), walk.score(np.array([3]))])
    for row, until in zip(scores, bound, strict=True):
        fitted = type(baseline)(baseline.settings).fit(TrainingReviews.of_edges(columns, np.arange(until)))
        np.testing.assert_array_equal(row, fitted.score(histories.take(np.array([0])))[0])
    assert len(np.unique(scores, axis=0)) == 3
