"""Puts a bundle's products into the index: `uv run -m rec_sys.vector_database.create_vectorbase`.

`action=rollback` serves the version before, `action=status` says what is served.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from rec_sys.console import say
from rec_sys.entry import run_entry
from rec_sys.files import writable_folder
from rec_sys.settings import CommandSettings, EdgeIndex, IndexSettings

if TYPE_CHECKING:
    from rec_sys.bundle import Bundle
    from rec_sys.vector_database.contract import IndexVersion
    from rec_sys.vector_database.publication import IndexPublisher

_LOG: Final = logging.getLogger(__name__)


class CreateVectorbaseSettings(CommandSettings):
    """Everything config/create_vectorbase.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the newest in output_dir.")
    force: bool = Field(False, description="Replace what is served though it is of another data set.")
    action: Literal["publish", "rollback", "status"] = Field(
        "publish", description="rollback: serve the version before; status: say what is served."
    )
    index: IndexSettings


def run(settings: CreateVectorbaseSettings) -> None:
    """Does what is asked; the last line printed says which version is served."""
    from rec_sys.bundle import find_bundle
    from rec_sys.vector_database.opening import open_publisher

    publisher = open_publisher(settings.index)
    if settings.action != "status" and isinstance(settings.index, EdgeIndex):
        writable_folder(settings.index.folder, "index.folder")
    if settings.action == "publish":
        version = publish(find_bundle(settings.bundle, settings.output_dir), publisher, settings.force)
    elif settings.action == "rollback":
        version = publisher.rollback()
        _LOG.info(f"rolled back to {version.name}, made from bundle {version.bundle}")
    else:
        status = publisher.status()
        if status.served is None:
            say(f"index: {publisher.place} serves nothing yet")
            return
        version = status.served
        _LOG.info(
            f"{version.num_products:,} products of bundle {version.bundle}, written {version.created};"
            f" a rollback goes to {next(iter(status.kept), 'nothing')}"
        )
    say(f"index: {publisher.place} serves {version.name}")


def publish(bundle: "Bundle", publisher: "IndexPublisher", force: bool = False) -> "IndexVersion":
    """Serves a bundle's products; raises as `IndexPublisher.publish` and `read_catalogue`."""
    from rec_sys.vector_database.catalogue import read_catalogue

    catalogue = read_catalogue(bundle)
    entries = "no memory" if catalogue.memory is None else f"a memory of {catalogue.memory.nnz:,} weights"
    _LOG.info(f"bundle: {len(catalogue):,} products, {entries} in {bundle.folder}")
    publication = publisher.publish(catalogue, force)
    if not publication.is_new:
        _LOG.info("this bundle is served already; nothing was written")
        return publication.version
    _LOG.info(f"served: {publication.version.name}; a rollback goes to {next(iter(publication.kept), 'nothing')}")
    if publication.dropped:
        _LOG.info(f"dropped: {', '.join(publication.dropped)}")
    return publication.version


if __name__ == "__main__":
    run_entry(run, CreateVectorbaseSettings, "create_vectorbase")
