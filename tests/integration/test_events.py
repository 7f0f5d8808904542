"""Events of different strength, from the file to the answer."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys import ReviewGraphRecommender
from rec_sys.contracts import HistoryColumn
from rec_sys.entry import compose_settings
from rec_sys.inference import infer
from tests.training_runs import train_here, write_events

WEIGHTS = "data.events.weights={view:0.05,order:1}"


def test_orders_are_predicted_better_where_views_weigh_little(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events = (*write_events(tmp_path), "model.tower=none", "model.co_review.l2=[3]")
    alike = train_here(caplog, tmp_path / "alike", *events).metrics["test"]["ndcg_at_10_masked"]
    weighed = train_here(caplog, tmp_path / "weighed", *events, WEIGHTS).metrics["test"]["ndcg_at_10_masked"]
    assert weighed > 1.15 * alike


def test_whoever_has_ordered_is_answered_by_it_and_what_was_looked_at_may_be_recommended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train_here(caplog, tmp_path, *write_events(tmp_path), WEIGHTS, "trainer.max_epochs=4", towers=True)
    test, popular = run.metrics["test"], run.metrics["baselines"]["popular"]
    assert test["num_queries"] == 90
    assert test["ndcg_at_10_masked"] > 1.2 * popular["ndcg_at_10_masked"]
    histories = run.bundle.histories()
    weights = histories.select(pl.col(HistoryColumn.WEIGHT).round(3), HistoryColumn.KNOWN).unique()
    assert sorted(weights.rows()) == [(pytest.approx(0.05), False), (1.0, True)]

    products = run.bundle.products()["asin"]
    user = histories.filter(pl.col(HistoryColumn.USER_ID) == "u7")
    own = {known: set(products[part[HistoryColumn.PRODUCT_INDEX]]) for (known,), part in user.group_by("known")}
    model = ReviewGraphRecommender.load(tmp_path)
    found = set(model.recommend(["u7"], k=30)["asin"].to_list())
    rows = pl.read_csv(tmp_path / "events.csv").filter(pl.col("user_id") == "u7")
    again = model.recommend_for_reviews(rows, k=30)
    stranger = model.recommend_for_reviews(rows.with_columns(user_id=pl.lit("somebody")), k=30)
    caplog.clear()
    model.recommend_for_reviews(rows.drop("event"), k=3)
    model.close()
    assert "without the column 'event', which held the kinds of events, every row weighs 1" in caplog.text
    assert again["asin"].to_list() == stranger["asin"].to_list()
    np.testing.assert_allclose(again["score"], stranger["score"], atol=1e-4)
    assert set(again["asin"]) == found
    (tmp_path / "users.csv").write_text("user_id\nu7\n")
    arguments = [f"output_dir={tmp_path}", f"users={tmp_path / 'users.csv'}", "limit=30", f"output={tmp_path / 'all'}"]
    infer.run(compose_settings(arguments, infer.InferSettings, "infer"))
    assert set(pl.read_parquet(tmp_path / "all" / "*.parquet")["asin"]) == found
    assert found == set(products) - own[True]
    assert found & own[False]
