"""Decides what is live: `uv run -m rec_sys.publish`.

Publishes the towers and the products of one bundle together: both are checked first, and what is served changes in
one step at the end, or not at all. `action=list` shows the bundles, which one is live and where a rollback can go;
`action=rollback` goes there.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from rec_sys.console import say
from rec_sys.contracts import InputError, ServedModel
from rec_sys.entry import run_entry
from rec_sys.files import writable_folder
from rec_sys.settings import (
    CommandSettings,
    EdgeIndex,
    ExportSettings,
    IndexSettings,
    TrackingSettings,
    TritonSettings,
)

if TYPE_CHECKING:
    from rec_sys.bundle import Bundle
    from rec_sys.vector_database.contract import IndexVersion
    from rec_sys.vector_database.publication import IndexPublisher

_LOG: Final = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2
_REGISTRY: Final = "models:/"


class PublicationSettings(CommandSettings):
    """Where bundles go live, and how."""

    version: str | None = Field(None, description="Of the index, to go back to; empty: the one before.")
    force: bool = Field(False, description="Replace what is served though it is of another data set.")
    triton_url: str | None = Field(
        None,
        pattern=r"^[^/@]+:\d+$",
        description="host:port of a Triton that must have loaded the towers before the products follow; empty: none"
        " is waited for.",
    )
    registered_model: str = Field("rec_sys", min_length=1, description="Its name in MLflow.")
    index: IndexSettings
    export: ExportSettings = Field(ExportSettings(), description="How the towers and the text encoder are published.")
    triton: TritonSettings
    tracking: TrackingSettings


class PublishSettings(PublicationSettings):
    """Everything config/publish.yaml composes."""

    bundle: str | None = Field(
        None, description="A bundle's folder, or models:/NAME@ALIAS of MLflow; empty: the newest in output_dir."
    )
    action: Literal["publish", "rollback", "list"] = Field("publish", description="See above.")


def run(settings: PublishSettings) -> None:
    """Does what is asked; the last line printed says what is live."""
    from rec_sys.vector_database.opening import open_publisher

    publisher = open_publisher(settings.index)
    if settings.action != "list" and isinstance(settings.index, EdgeIndex):
        writable_folder(settings.index.folder, "index.folder")
    if settings.action == "publish":
        version = publish(_find(settings), publisher, settings)
    elif settings.action == "rollback":
        version = roll_back(publisher, settings)
    else:
        say_bundles(publisher, settings.output_dir)
        return
    register(version, publisher, settings)
    say(f"live: bundle {version.bundle}, index version {version.name}")


def publish(bundle: "Bundle", publisher: "IndexPublisher", settings: PublicationSettings) -> "IndexVersion":
    """Serves a bundle.

    Raises:
        InputError: A part does not fit or differs from torch, another data set is served, or Triton does not load the
            towers; what was live is live still.
    """
    from rec_sys.modules.publication import checked_models
    from rec_sys.vector_database.catalogue import read_catalogue

    catalogue = read_catalogue(bundle)
    _LOG.info(f"bundle: {bundle.manifest.data_name}, {len(catalogue):,} products in {bundle.folder}")
    publisher.refuse_other_data(catalogue, settings.force)  # before a minute of checks
    with checked_models(bundle, settings.export, settings.triton, settings.output_dir / "text") as publish_models:

        def publish_towers() -> None:
            for published in publish_models():
                _LOG.info(f"model: {published.name}, version {published.version}")
            _wait_for_triton(bundle.identity, settings)

        publication = publisher.publish(catalogue, settings.force, publish_towers)
    if not publication.is_new:
        _LOG.info("its products are served already")
    return publication.version


def roll_back(publisher: "IndexPublisher", settings: PublicationSettings) -> "IndexVersion":
    """Goes back to an earlier version, its towers first where Triton has them no more.

    Raises:
        InputError: It is not kept, or its bundle is gone and so are its towers.
    """
    from rec_sys.bundle import Bundle, find_by_identity
    from rec_sys.modules.publication import publish_bundle
    from triton_utils.repository import ModelRepository

    kept = publisher.status().kept
    target = settings.version or next(iter(kept), None)
    if target in kept:
        identity = publisher.describe(target).bundle
        if not ModelRepository(settings.triton.model_repository).holds(ServedModel.USER_TOWER, identity):
            _LOG.info("its towers are not in the repository any more, and are exported anew")
            folder = find_by_identity(settings.output_dir, identity)
            if folder is None:
                raise InputError(
                    f"the towers of bundle {identity} are gone, and so is the bundle",
                    where=str((settings.output_dir / "bundles").absolute()),
                    remedy="copy the bundle there, or go back to another version",
                )
            publish_bundle(Bundle(folder), settings.export, settings.triton, settings.output_dir / "text")
        _wait_for_triton(identity, settings)
    return publisher.rollback(target)


def say_bundles(publisher: "IndexPublisher", output_dir: Path) -> None:
    """A line for every bundle, the newest first."""
    from rec_sys.live_bundles import list_bundles

    live = "nothing"
    for one in list_bundles(publisher, output_dir):
        state = one.state if one.version is None else f"{one.state} as {one.version}"
        if one.state == "live":
            live = f"bundle {one.identity}"
        if one.folder is None:
            say(f"bundle {one.identity}, which is not in {output_dir / 'bundles'}; {state}")
            continue
        figure = one.figures.get("ndcg_at_10_masked")
        about = one.fault or f"{one.data_name}, {one.created}"
        about += "" if figure is None else f", test NDCG@10 {figure:.4f}"
        say(f"{one.name}: {about}; {state}")
    say(f"live: {live}")


def _find(settings: PublishSettings) -> "Bundle":
    from rec_sys.bundle import find_bundle

    given = settings.bundle
    if given is not None and given.startswith(_REGISTRY):
        from rec_sys.registry import registered_folder

        folder = registered_folder(settings.tracking, settings.output_dir, given)
        return find_bundle(folder, settings.output_dir)
    return find_bundle(None if given is None else Path(given).expanduser(), settings.output_dir)


def register(version: "IndexVersion", publisher: "IndexPublisher", settings: PublicationSettings) -> None:
    """See `name_in_mlflow`."""
    from rec_sys.live_bundles import name_in_mlflow

    name_in_mlflow(version, publisher, settings.tracking, settings.output_dir, settings.registered_model)


def _wait_for_triton(identity: str, settings: PublicationSettings) -> None:
    if settings.triton_url is None:
        return
    from triton_utils.client import TritonClient
    from triton_utils.connection import TritonError

    url, seconds = settings.triton_url, settings.triton.start_timeout_seconds

    async def wait() -> None:
        deadline, why = time.monotonic() + seconds, "it does not answer"
        async with TritonClient(url, attempts=1) as client:
            while time.monotonic() < deadline:
                try:
                    if await client.find_version(ServedModel.USER_TOWER, identity) is not None:
                        return
                    why = "it has not loaded them"
                except (TritonError, InputError) as error:
                    why = str(error)
                await asyncio.sleep(_POLL_SECONDS)
        raise InputError(
            f"Triton does not serve the new towers: {why}",
            where=url,
            remedy="see its log, and whether it reads triton.model_repository; what was live is live still",
        )

    asyncio.run(wait())


if __name__ == "__main__":
    run_entry(run, PublishSettings, "publish")
