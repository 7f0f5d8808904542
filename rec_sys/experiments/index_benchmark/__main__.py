"""How fast and how exact the index is: `uv run -m rec_sys.experiments.index_benchmark`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.index_benchmark.settings import IndexBenchmarkSettings


def run(settings: IndexBenchmarkSettings) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.experiments.index_benchmark.index_benchmark import run as measure

    measure(settings)


if __name__ == "__main__":
    run_entry(run, IndexBenchmarkSettings, "index_benchmark")
