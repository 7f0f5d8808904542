"""Publishes a bundle's towers and its text encoder for Triton: `uv run -m rec_sys.modules.model_export`.

torch takes seconds to import, so it is imported when the settings have proved sound.
"""

import logging
import warnings
from pathlib import Path
from typing import Final

from pydantic import Field

from rec_sys.console import say
from rec_sys.entry import run_entry
from rec_sys.settings import CommandSettings, ExportSettings, TritonSettings

_LOG: Final = logging.getLogger(__name__)


class ModelExportSettings(CommandSettings):
    """Everything config/model_export.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the newest in output_dir.")
    export: ExportSettings
    triton: TritonSettings


def run(settings: ModelExportSettings) -> None:
    """Checks and publishes; prints a line for every model and, last, the repository."""
    from rec_sys.bundle import find_bundle

    bundle = find_bundle(settings.bundle, settings.output_dir)
    _LOG.info(f"bundle: {bundle.folder}")
    # What torch_geometric's import says of torch; nothing of it can be mended here.
    warnings.filterwarnings("ignore", message=r".*torch\.jit\.script.*deprecated.*")
    from rec_sys.modules.publication import publish_bundle

    for published in publish_bundle(bundle, settings.export, settings.triton, settings.output_dir / "text"):
        state = "published" if published.is_new else "unchanged"
        dropped = f", dropped {', '.join(map(str, published.dropped))}" if published.dropped else ""
        say(f"model: {published.name}, version {published.version} ({state}{dropped})")
    say(f"repository: {settings.triton.model_repository.absolute()}")


if __name__ == "__main__":
    run_entry(run, ModelExportSettings, "model_export")
