"""What each text encoder costs and what it gives: `uv run -m rec_sys.experiments.text_benchmark`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.text_benchmark.settings import TextBenchmarkSettings


def run(settings: TextBenchmarkSettings) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.experiments.text_benchmark.command import run as measure

    measure(settings)


if __name__ == "__main__":
    run_entry(run, TextBenchmarkSettings, "text_benchmark")
