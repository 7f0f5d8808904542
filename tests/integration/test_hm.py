"""A clothes shop from its files to its own file of predictions: zeros, quantities, ties, repurchases, a cascade."""

import asyncio
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import HistoryColumn
from rec_sys.data.generate import GenerateSettings
from rec_sys.data.generate import run as generate
from rec_sys.data.generated import hm as files
from rec_sys.evaluation.ranking_metrics import capped_average_precision
from rec_sys.inference.backends import Backends
from rec_sys.inference.submissions import hm
from rec_sys.inference.submissions.checking import check_submission
from rec_sys.inference.submissions.export import export_submission
from rec_sys.inference.submissions.truth import mean_average_precision
from rec_sys.settings import EdgeIndex, InferenceSettings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.training_runs import train_here

SIZES = {"users": 150, "products": 40, "purchases": 2_600}
FEW = ("model.tower=none", "text=none", "model.second_stage.rounds=10", "model.second_stage.candidates=20")
WAYS = ("towers", "memory", "popular", "repurchased", "same_brand")


def naive_map(listed: list[str], wanted: set[str], length: int) -> float:
    """The contest's formula, word by word."""
    total = 0.0
    for k in range(1, min(length, len(listed)) + 1):
        if listed[k - 1] in wanted:
            total += len(set(listed[:k]) & wanted) / k
    return total / min(len(wanted), length)


@pytest.mark.parametrize(
    ("listed", "wanted", "expected"),
    [
        (["a", "b", "c"], {"a"}, 1.0),
        (["b", "a", "c"], {"a", "c"}, (1 / 2 + 2 / 3) / 2),
        (["x", "a"], {"a", "b", "c", "d"}, (1 / 2) / 4),
        ([f"p{at}" for at in range(12)], {f"p{at}" for at in range(20)}, 1.0),  # twelve places hold twelve
        ([*(f"x{at}" for at in range(12)), "a"], {"a"}, 0.0),  # the thirteenth is not looked at
    ],
)
def test_map_at_12_of_cases_by_hand(listed: list[str], wanted: set[str], expected: float) -> None:
    assert mean_average_precision({"u": listed}, {"u": sorted(wanted)}, hm.LENGTH) == pytest.approx(expected)
    assert naive_map(listed, wanted, 12) == pytest.approx(expected)
    rank = {product: place for place, product in enumerate(listed, start=1)}
    ranks = np.array([rank.get(product, np.inf) for product in wanted])
    assert capped_average_precision(ranks, np.array([0, len(wanted)]), 12)[0] == pytest.approx(expected)


def test_map_at_12_agrees_with_an_independent_implementation() -> None:
    random = np.random.default_rng(0)
    products = [f"p{number}" for number in range(40)]
    lists = {f"u{user}": random.permutation(products)[:12].tolist() for user in range(50)}
    bought = {f"u{user}": random.choice(products, random.integers(1, 20)).tolist() for user in range(60)}
    expected = np.mean([naive_map(lists.get(user, []), set(wanted), 12) for user, wanted in bought.items()])
    assert mean_average_precision(lists, bought, hm.LENGTH, absent_counts=True) == pytest.approx(expected)


def test_from_files_to_the_contest_s_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = tmp_path / "raw"
    generate(GenerateSettings.model_validate({"schema": "hm", "out": raw, **SIZES}))
    run = train_here(caplog, tmp_path, "data=hm", f"data.folder={raw}", "experiment=hm", *FEW, towers=True)
    test, histories = run.metrics["test"], run.bundle.histories()
    products = run.bundle.products()
    assert products["asin"].str.contains(r"^0\d{9}$").all()
    rows = pl.read_csv(raw / files.TRANSACTIONS, schema_overrides={"article_id": pl.String})
    assert histories[HistoryColumn.WEIGHT].sum() == rows.height  # equal rows are a quantity
    assert histories.height == rows.select("t_dat", "customer_id", "article_id").n_unique()
    assert (histories[HistoryColumn.TIMESTAMP] % 86_400_000 == 0).all()
    assert test["recall_at_12"] == test["recall_at_12_masked"]  # repurchases count: nothing is masked
    assert 0 < test["capped_map_at_12"] <= 1

    stages = run.metrics["cascade"]
    recalls = [stages[name]["recall"] for name in ("candidates", "filter", "best", "ranked_list")]
    assert recalls == sorted(recalls, reverse=True)
    assert all(stages[way]["recall"] <= stages["candidates"]["recall"] for way in WAYS)
    assert stages["best"]["size"] <= 20 < stages["candidates"]["size"]
    assert stages["ranked_list"]["size"] <= 12
    assert stages["candidates"]["milliseconds"] > 0

    edge = {"backend": "edge", "folder": tmp_path / "index", "check_queries": 4, "progress": False}
    index = EdgeIndex.model_validate(edge)
    EdgePublisher(index).publish(read_catalogue(run.bundle))
    path = tmp_path / "hm.csv"

    async def export() -> object:
        backends = Backends(index, InferenceSettings(), tmp_path, None)
        try:
            truth = raw / files.NEXT_TRANSACTIONS
            return await export_submission(backends, hm.FORMAT, path, raw / files.CUSTOMERS, truth)
        finally:
            await backends.close()

    result = asyncio.run(export())
    customers = pl.read_csv(raw / files.CUSTOMERS)["customer_id"].to_list()
    lists = check_submission(path, hm.FORMAT, products["asin"].to_list(), customers)
    silent = [customer for customer in customers if customer not in set(histories[HistoryColumn.USER_ID])]
    assert silent
    assert len({tuple(lists[customer]) for customer in silent}) == 1  # filled with what sold last week
    again = {user: set(part["article_id"]) for (user,), part in rows.group_by("customer_id")}
    assert any(set(lists[user]) & had for user, had in again.items())
    later = pl.read_csv(raw / files.NEXT_TRANSACTIONS, schema_overrides={"article_id": pl.String})
    bought = {user: set(part["article_id"]) for (user,), part in later.group_by("customer_id")}
    expected = np.mean([naive_map(lists[user], wanted, 12) for user, wanted in bought.items()])
    assert result.measured["model"]["map_at_12"] == pytest.approx(expected)  # type: ignore[attr-defined]
    assert result.measured["model"]["map_at_12"] > 0  # type: ignore[attr-defined]
