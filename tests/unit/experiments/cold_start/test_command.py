"""The cold-start table: standard errors with one seed, deviations over several."""

from typing import Any

import pytest

from rec_sys.experiments.cold_start.command import markdown
from rec_sys.experiments.cold_start.trade_off import mean_points


def row(name: str, seed: int, ndcg: float, **more: Any) -> dict[str, Any]:
    figures = {"ndcg_at_10_masked": ndcg, "recall_at_10_masked": 0.5, "mean_rank_share": 0.25}
    errors = {f"{key}_error": 0.01 for key in figures}
    return {"case": "users", "name": name, "seed": seed, "num_queries": 40, **figures, **errors, **more}


def test_one_seed_shows_the_standard_error_over_the_questions() -> None:
    table = markdown([row("ours", 0, 0.3), row("popular", 0, 0.2, own_minus_ndcg=0.1, own_minus_ndcg_error=0.02)])
    assert "| users | ours | 40 | 0.3000 ± 0.0100 | 0.5000 ± 0.0100 | 0.2500 ± 0.0100 | - |" in table
    assert "| 0.1000 ± 0.0200 |" in table
    assert "standard error over the questions" in table


def test_several_seeds_show_their_mean_and_deviation() -> None:
    table = markdown([row("ours", 0, 0.3), row("ours", 1, 0.5)])
    assert "| users | ours | 40 | 0.4000 ± 0.1414 |" in table
    assert "deviation over seeds" in table


def test_the_curve_compares_each_factor_with_the_same_seeds_without_columns() -> None:
    def point(seed: int, factor: float | None, new: float, known: float, reviews: bool = True) -> dict[str, Any]:
        return {"seed": seed, "factor": factor, "reviews": reviews, "new": new, "known": known}

    points = [point(0, None, 0.0, 0.1), point(0, 1.0, 0.02, 0.09), point(1, None, 0.02, 0.3), point(1, 1.0, 0.04, 0.29)]
    others = [point(0, None, 0.5, 0.9, reviews=False), point(1, None, 0.5, 0.9, reviews=False)]
    found = mean_points([*points, *others], reviews=True)
    assert [factor for factor, *_ in found] == [None, 1.0]
    assert found[0][1:] == pytest.approx((0.0, 0.01))
    assert found[1][1:] == pytest.approx((-5.0, 0.03))
