"""`uv run -m rec_sys.experiments.latency`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.latency.latency import LatencySettings, run

if __name__ == "__main__":
    run_entry(run, LatencySettings, "latency")
