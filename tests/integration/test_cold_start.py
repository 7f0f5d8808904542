"""The cold-start command on a small table of strong tastes: cold-start users and new products do better than chance."""

import json
from pathlib import Path

import pytest

from rec_sys.experiments.cold_start.command import PICTURE, RESULTS, TABLE, TRADE_OFF
from tests.training_runs import SMALL, write_table
from tests.warm_processes import run


def test_one_command_measures_users_with_few_reviews_and_withheld_products(tmp_path: Path) -> None:
    table = write_table(tmp_path)
    command = ["-m", "rec_sys.experiments.cold_start", *SMALL, *table, f"output_dir={tmp_path / 'out'}"]
    command += ["trainer.max_epochs=6", "cold_start.withheld_share=0.3", "cold_start.history_lengths=[0,2]"]
    done = run(*command, timeout=600)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.splitlines()[-1].removeprefix("cold start: "))
    assert path.name == TABLE
    found = {(row["case"], row["name"]): row for row in json.loads((path.parent / RESULTS).read_text())}
    cases = ("cold-start users, first 0 reviews", "cold-start users, first 2 reviews")
    for case in cases:
        assert found[case, "review_graph"]["num_queries"] == found[case, "popular"]["num_queries"] > 30
    assert (cases[0], "content") not in found  # there is nothing to go by
    assert (cases[1], "content") in found
    # Two reviews say which of the three tastes it is.
    known = found[cases[1], "popular"]
    assert known["own_minus_ndcg"] > 2 * known["own_minus_ndcg_error"]
    among = "new products among themselves"
    random = found[among, "random"]
    assert random["own_minus_ndcg"] > 2 * random["own_minus_ndcg_error"]
    among_all = "new products among all"
    assert (among_all, "review_graph, without their reviews") in found
    assert ("known products beside them", "review_graph, unknown to the memory") in found
    assert path.read_text().count("\n|") == len(found) + 1
    points = json.loads((path.parent / TRADE_OFF).read_text())
    assert [point["factor"] for point in points] == 2 * [None, 0.25, 0.5, 0.75, 1.0, 1.5]
    default = next(point for point in points if point["factor"] == 0.75 and point["reviews"])
    assert default["new"] == pytest.approx(found[among_all, "review_graph"]["ndcg_at_10_masked"])
    assert (path.parent / PICTURE).read_bytes().startswith(b"\x89PNG")
