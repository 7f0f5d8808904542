"""The stub processes of Triton's Python backend, one for each instance of a model, and the memory they share with it.

Triton looks after none of them: where one dies its model stays "ready" and every request to it fails, and what it
shared with the server stays in memory for good.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

_SHARED_MEMORY: Final = Path("/dev/shm")
_WAIT_SECONDS: Final = 5.0


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
        self._dead: set[int] = set()

    def find_lost(self, server: int) -> str | None:
        """The model whose stub died before the last look and has not been taken back by the server since.

        A stub whose model is unloaded is dead for a moment, too, until the server asks how it ended.
        """
        dead = set()
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(server).children():
                with suppress(psutil.NoSuchProcess):  # the child; a zombie has no command line any more
                    if child.status() == psutil.STATUS_ZOMBIE:
                        dead.add(child.pid)
                    elif child.pid not in self._models:
                        self._models[child.pid] = " ".join(child.cmdline()[1:2])
        lost = dead & self._dead
        self._dead = dead
        return next((self._models.get(process_id, "a model") for process_id in lost), None)

    def end(self) -> None:
        """Ends those that a killed server has left, and frees the memory of all that ever were."""
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or [""]
            if command[0].startswith(f"{self._backends}{os.sep}"):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                    process.wait(_WAIT_SECONDS)
        for memory in _SHARED_MEMORY.glob(f"{self._prefix}*"):
            memory.unlink(missing_ok=True)
