"""`uv run -m rec_sys.experiments.benchmark`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.benchmark.benchmark import run
from rec_sys.experiments.benchmark.settings import BenchmarkSettings

if __name__ == "__main__":
    run_entry(run, BenchmarkSettings, "benchmark")
