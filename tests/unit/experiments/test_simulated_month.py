"""The table of a month that was played through: paired errors over users, and those who had written before apart."""

from pathlib import Path

import polars as pl

from rec_sys.experiments.simulated_month.command import FROZEN, LIVE, POPULAR, REFRESHED, draw, markdown

ASKED = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "c"],
        "written_since": [0, 0, 1, 2],
        "day": [1, 1, 2, 3],
        POPULAR: [0.0, 0.0, 0.0, 0.0],
        FROZEN: [0.5, 0.0, 0.0, 0.0],
        LIVE: [0.5, 0.0, 1.0, 0.5],
        REFRESHED: [0.5, 0.0, 1.0, 0.5],
    }
)


def test_differences_are_paired_and_users_are_the_independent_draws(tmp_path: Path) -> None:
    rows = {line.split(" | ")[0]: line for line in markdown(ASKED).splitlines()}
    assert rows["| frozen"].startswith("| frozen | 0.1250 ± ")
    # Of c the two differences are one draw: deviations -.375, -.375 and .75, of three users over four questions.
    assert rows["| live - frozen"] == "| live - frozen | +0.3750 ± 0.2812 | +0.7500 ± 0.0000 |"
    assert rows["| live and refreshed - live"].startswith("| live and refreshed - live | +0.0000 ± 0.0000 |")
    draw(ASKED, tmp_path / "month.png")
    assert (tmp_path / "month.png").stat().st_size > 1_000
