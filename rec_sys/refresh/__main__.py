"""Makes tomorrow's model: `uv run -m rec_sys.refresh`, one command for cron.

Trains on the served bundle's data and what the store holds, by the served bundle's own settings; asks the candidate
and the served bundle the same newest questions, and publishes the candidate unless it is worse by more than the
standard error of the difference. Otherwise the served one stays, and the exit code is 3. `action=rollback` brings the
last one back. A kill at any moment leaves the old or the new bundle served, and the same command goes on.
"""

from rec_sys.entry import run_entry
from rec_sys.refresh.settings import RefreshSettings


def run(settings: RefreshSettings) -> None:
    """Does what is asked; the last line printed says what is live."""
    from rec_sys.refresh.command import run as start

    start(settings)


if __name__ == "__main__":
    run_entry(run, RefreshSettings, "refresh")
