"""The cold-start table: standard errors with one seed, deviations over several."""

from typing import Any

from rec_sys.experiments.cold_start.command import markdown


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
