"""A month of a shop's days, played through: `uv run -m rec_sys.experiments.simulated_month`.

A model is trained on the data's first three years. Then, day by day, every review's author is asked for before it is
written: of the frozen model, of one that reads what was written (live), and of one that is refreshed weekly beside it.
What most have reviewed until then is the floor. All leave the author's own products out, and all answers are those of
the service's own recommender.
"""

from rec_sys.entry import run_entry
from rec_sys.experiments.simulated_month.settings import SimulatedMonthSettings


def run(settings: SimulatedMonthSettings) -> None:
    """Plays the month through; the last line printed is the folder of the table and the picture."""
    from rec_sys.experiments.simulated_month.command import run as start

    start(settings)


if __name__ == "__main__":
    run_entry(run, SimulatedMonthSettings, "simulated_month")
