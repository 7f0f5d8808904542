"""How long an answer takes, and where the time goes: `uv run -m rec_sys.experiments.latency`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.latency.settings import LatencySettings


def run(settings: LatencySettings) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.experiments.latency.latency import run as measure

    measure(settings)


if __name__ == "__main__":
    run_entry(run, LatencySettings, "latency")
