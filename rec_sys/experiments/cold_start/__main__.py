"""How well cold-start users and new products are served: `uv run -m rec_sys.experiments.cold_start`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.cold_start.settings import ColdStartSettings


def run(settings: ColdStartSettings) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.experiments.cold_start.command import run as measure

    measure(settings)


if __name__ == "__main__":
    run_entry(run, ColdStartSettings, "cold_start")
