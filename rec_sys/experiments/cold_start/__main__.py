"""`uv run -m rec_sys.experiments.cold_start`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.cold_start.command import run
from rec_sys.experiments.cold_start.settings import ColdStartSettings

if __name__ == "__main__":
    run_entry(run, ColdStartSettings, "cold_start")
