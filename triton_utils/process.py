"""A server's process, able to say how it ended with the lines of its log that say why."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError
from rec_sys.processes import ChildProcess

_LINES_SHOWN: Final = 12
_BYTES_READ: Final = 200_000
# Triton's tables, information and warnings, and what it misses on every machine without a GPU: nothing of it ends it.
_NOISE: Final = re.compile(r"^(\s*$|[+|]|[IW]\d{4} |E\d{4} .*CudaDriverHelper|Error: Failed to initialize NVML)")


class ServerProcess(ChildProcess):
    """A server whose output is appended to a log.

    Raises:
        InputError: The log cannot be written.
        OSError: The program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_path: Path) -> None:
        self.log_path = log_path
        self._began_at = log_path.stat().st_size if log_path.is_file() else 0
        try:
            super().__init__(command, log_path, environment=environment)
        except OSError as error:
            if error.filename != str(log_path):
                raise
            raise InputError(
                f"the server's log cannot be written: {error.strerror}",
                where=str(log_path),
                remedy="choose another file with triton.log_path=...",
            ) from error

    def last_lines(self) -> list[str]:
        """The newest lines of its log that may say what went wrong; the newest of all where there is none."""
        with self.log_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._began_at, size - _BYTES_READ))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        telling = [line for line in lines if not _NOISE.match(line)]
        return (telling or lines)[-_LINES_SHOWN:]
