"""`uv run -m rec_sys.experiments.scaling`."""

from rec_sys.entry import run_entry
from rec_sys.experiments.scaling.scaling import ScalingSettings, run

if __name__ == "__main__":
    run_entry(run, ScalingSettings, "scaling")
