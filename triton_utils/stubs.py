"""The stub processes of Triton's Python backend, one for each instance of a model, and the memory they share with it.

Triton looks after none of them: where one dies its model stays "ready" and every request to it fails, and what it
shared with the server stays in memory for good.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

_SHARED_MEMORY: Final = Path("/dev/shm")
_UNLOADING_SECONDS: Final = 0.2  # in which the server asks how a stub ended whose model it unloads


class StubProcesses:
    """The stubs of one server.

    Args:
        backends: The server's own copy of the backends, which their programs are started from.
        prefix: How the names of their shared memory begin, as the server was told.
    """

    def __init__(self, backends: Path, prefix: str) -> None:
        self._backends = backends
        self._prefix = prefix
        self._models: dict[int, str] = {}

    def find_lost(self, server: int) -> str | None:
        """The model whose stub has died without the server's asking how it ended."""
        dead = self._dead(server)
        if dead:
            time.sleep(_UNLOADING_SECONDS)
            dead &= self._dead(server)
        return next((self._models.get(process_id, "a model") for process_id in dead), None)

    def _dead(self, server: int) -> set[int]:
        """Stubs that have ended; of the others, the model is noted."""
        dead = set()
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(server).children():
                with suppress(psutil.NoSuchProcess):
                    if child.status() == psutil.STATUS_ZOMBIE:  # it has no command line any more
                        dead.add(child.pid)
                    elif child.pid not in self._models:
                        self._models[child.pid] = " ".join(child.cmdline()[1:2])
        return dead

    def end(self) -> None:
        """Ends those that a killed server has left, and frees the memory of all that ever were."""
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or [""]
            if command[0].startswith(f"{self._backends}{os.sep}"):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        for memory in _SHARED_MEMORY.glob(f"{self._prefix}*"):
            memory.unlink(missing_ok=True)
