"""What a review costs as the data grows: `uv run -m rec_sys.experiments.scaling`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.scaling.settings import ScalingSettings


def run(settings: ScalingSettings) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.experiments.scaling.scaling import run as measure

    measure(settings)


if __name__ == "__main__":
    run_entry(run, ScalingSettings, "scaling")
