"""Fine-tunes a text encoder on the reviews of a data set: `uv run -m rec_sys.text.finetune data=...`."""

from rec_sys.entry import run_entry
from rec_sys.text.finetune.settings import FinetuneRun


def run(settings: FinetuneRun) -> None:
    """Runs the command; what it needs is imported when the settings have proved sound."""
    from rec_sys.text.finetune.command import run as finetune

    finetune(settings)


if __name__ == "__main__":
    run_entry(run, FinetuneRun, "finetune")
