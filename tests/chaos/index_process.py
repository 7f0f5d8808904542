"""The stand-in for a Qdrant server in a process that can be killed, stopped and slowed: `PORT BUNDLE BUNDLE`.

It serves the last bundle, and the next of them whenever SIGUSR1 comes.
"""

import itertools
import signal
import sys
from pathlib import Path
from queue import SimpleQueue

from rec_sys.bundle import Bundle
from rec_sys.settings import ServerIndex
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.server_publisher import ServerPublisher
from rec_sys.vector_database.server_version import connect
from tests.qdrant_over_http import qdrant_over_http

PUBLISH = signal.SIGUSR1


def main(port: int, folders: list[str]) -> None:
    """Serves until it is ended."""
    asked: SimpleQueue[int] = SimpleQueue()
    signal.signal(PUBLISH, lambda number, _: asked.put(number))
    with qdrant_over_http(port) as wire:
        settings = ServerIndex(backend="server", url=wire.url, check_queries=4, progress=False)
        publisher = ServerPublisher(settings, connect(settings))
        catalogues = [read_catalogue(Bundle(Path(folder))) for folder in folders]
        for catalogue in catalogues:
            publisher.publish(catalogue)
        print("ready", flush=True)
        for catalogue in itertools.cycle(catalogues):
            asked.get()
            publisher.publish(catalogue)
            print("published", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
