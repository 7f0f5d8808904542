"""Publishes a bundle's towers and its text encoder for Triton: `uv run -m rec_sys.modules.model_export`.

torch takes seconds to import, so it is imported when the settings have proved sound.
"""

import logging
import warnings
from pathlib import Path
from typing import Final

from pydantic import Field

from rec_sys.console import say
from rec_sys.contracts import InputError, ServedModel
from rec_sys.entry import run_entry
from rec_sys.settings import CommandSettings, ExportSettings, TritonSettings

_LOG: Final = logging.getLogger(__name__)


class ModelExportSettings(CommandSettings):
    """Everything config/model_export.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the newest in output_dir.")
    force: bool = Field(False, description="Replace what is served though it is of another data set.")
    export: ExportSettings = Field(ExportSettings(), description="How the towers and the text encoder are published.")
    triton: TritonSettings


def run(settings: ModelExportSettings) -> None:
    """Checks and publishes; prints a line for every model and, last, the repository."""
    from rec_sys.bundle import find_bundle, find_by_identity
    from rec_sys.bundle_manifest import read_manifest
    from triton_utils.repository import ModelRepository

    bundle = find_bundle(settings.bundle, settings.output_dir)
    _LOG.info(f"bundle: {bundle.folder}")
    served = ModelRepository(settings.triton.model_repository).newest_identity(ServedModel.USER_TOWER)
    folder = None if served is None else find_by_identity(settings.output_dir, served)
    data_name = None if folder is None else read_manifest(folder).data_name
    if not settings.force and data_name not in (None, bundle.manifest.data_name):
        raise InputError(
            f"towers of {data_name} are served here, and this bundle is of {bundle.manifest.data_name}",
            where=str(settings.triton.model_repository.absolute()),
            remedy="name a bundle of the same data, give this one a repository of its own with"
            " triton.model_repository=..., or replace what is served with force=true",
        )
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
