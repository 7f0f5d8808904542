"""Our model beside the baselines, on one split: `uv run -m rec_sys.experiments.benchmark`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.benchmark.settings import BenchmarkSettings


def run(settings: BenchmarkSettings) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.experiments.benchmark.benchmark import run as measure

    measure(settings)


if __name__ == "__main__":
    run_entry(run, BenchmarkSettings, "benchmark")
