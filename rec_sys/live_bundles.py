"""Which bundles there are and which one is live, for whoever decides it and whoever shows it."""

import logging
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Literal

from rec_sys.bundle import Bundle, bundle_folders, find_by_identity
from rec_sys.bundle_manifest import bundle_identity
from rec_sys.contracts import InputError
from rec_sys.settings import TrackingSettings
from rec_sys.vector_database.contract import IndexVersion
from rec_sys.vector_database.publication import IndexPublisher

REGISTERED_MODEL: Final = "rec_sys"  # as MLflow calls it unless the settings say otherwise

State = Literal["live", "kept", "not published"]

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedBundle:
    """A bundle, or a version of the index whose bundle is gone.

    Attributes:
        identity: Of the bundle.
        folder: None where it is not here.
        state: kept: a rollback can go to it.
        version: Of the index, where it is published.
        data_name: What it was trained on; empty where it cannot be read.
        created: UTC, ISO 8601; empty likewise.
        figures: Of its test split.
        fault: What is wrong with it.
    """

    identity: str
    folder: Path | None
    state: State
    version: str | None = None
    data_name: str = ""
    created: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    fault: str | None = None

    @property
    def name(self) -> str:
        """As its folder is called."""
        return self.identity if self.folder is None else self.folder.name


def list_bundles(publisher: IndexPublisher, output_dir: Path) -> list[ListedBundle]:
    """All of them, the newest first; then published versions whose bundle is not here.

    Raises:
        InputError: The index cannot be reached.
    """
    status = publisher.status()
    published: dict[str, tuple[State, str | None]] = {
        publisher.describe(name).bundle: ("kept", name) for name in reversed(status.kept)
    }
    if status.served is not None:
        published[status.served.bundle] = ("live", status.served.name)
    nowhere: tuple[State, None] = ("not published", None)
    found = []
    for folder in bundle_folders(output_dir):
        identity = bundle_identity(folder)
        state, version = published.pop(identity, nowhere)
        listed = partial(ListedBundle, identity, folder, state, version)
        try:
            found.append(listed(*_about(folder, identity)))
        except InputError as error:
            found.append(listed(fault=error.what))
    found.sort(key=lambda one: (one.created, one.name), reverse=True)
    gone = [ListedBundle(identity, None, state, version) for identity, (state, version) in published.items()]
    return [*found, *gone]


@lru_cache(maxsize=256)  # a bundle never changes, and all of it is read once
def _about(folder: Path, identity: str) -> tuple[str, str, dict[str, float]]:
    """What a bundle says of itself; raises `InputError` where it is damaged."""
    bundle = Bundle(folder)
    return bundle.manifest.data_name, bundle.manifest.created, bundle.metrics()["test"]


def name_in_mlflow(
    version: IndexVersion, publisher: IndexPublisher, tracking: TrackingSettings, output_dir: Path, model: str
) -> None:
    """Names what is live, and what was before it, in MLflow; where that fails, what is live is live all the same."""
    if not tracking.enabled:
        return
    from rec_sys.registry import name_versions  # MLflow takes seconds to load

    def with_folder(version: IndexVersion) -> tuple[str, Path | None]:
        return version.bundle, find_by_identity(output_dir, version.bundle)

    kept = publisher.status().kept
    previous = with_folder(publisher.describe(kept[0])) if kept else None
    wanted = {"live": with_folder(version), "previous": previous}
    try:
        name_versions(tracking, output_dir, model, wanted)
    except InputError as error:
        _LOG.warning(f"MLflow does not know it: {error.what}: {error.where}")
