"""A server's process: bound to this one, stopped for certain, and able to say how it ended."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError

_LAUNCHER: Final = Path(__file__).with_name("bound_process.py")
_LINES_SHOWN: Final = 12
_BYTES_READ: Final = 200_000
# Triton's tables, information and warnings, and what it misses on every machine without a GPU: nothing of it ends it.
_NOISE: Final = re.compile(r"^(\s*$|[+|]|[IW]\d{4} |E\d{4} .*CudaDriverHelper|Error: Failed to initialize NVML)")


class ServerProcess:
    """A process that is asked to end when this one is gone, however that happens.

    Args:
        command: The program and its arguments.
        environment: Its environment variables.
        log_path: Where its output is appended.

    Raises:
        InputError: The log cannot be written.
        OSError: The program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_path: Path) -> None:
        self._command = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *command]
        self._environment = environment
        self.log_path = log_path
        self._began_at = log_path.stat().st_size if log_path.is_file() else 0
        self._started, self._ended = threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        # The kernel binds a child to the thread that started it, and a caller's thread may soon be gone: this one
        # lives as long as the child.
        threading.Thread(target=self._live_with_it, name="triton", daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise self._explain_failure(self._failure) from self._failure

    def _live_with_it(self) -> None:
        try:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches it through us alone
                )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._process.wait()
        self._ended.set()

    def _explain_failure(self, error: OSError) -> Exception:
        if error.filename != str(self.log_path):
            return error
        return InputError(
            f"the server's log cannot be written: {error.strerror}",
            where=str(self.log_path),
            remedy="choose another file with triton.log_path=...",
        )

    @property
    def _child(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def process_id(self) -> int:
        """The process's number."""
        return self._child.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for its end; False where it still runs after so many seconds."""
        return self._ended.wait(seconds)

    def stop(self, seconds: float) -> None:
        """Asks it to end, and makes it after so many seconds; nothing happens where it has ended."""
        if self.is_alive():
            self._child.terminate()
            if not self.wait(seconds):
                self._child.kill()
                self.wait()

    def how_it_ended(self) -> str:
        """The exit code or signal, in words."""
        if self.is_alive():
            return "still running"
        code = self._child.returncode
        return f"exit code {code}" if code >= 0 else f"ended by signal {-code} ({signal.Signals(-code).name})"

    def last_lines(self) -> list[str]:
        """The newest lines of its log that may say what went wrong; the newest of all where there is none."""
        with self.log_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._began_at, size - _BYTES_READ))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        telling = [line for line in lines if not _NOISE.match(line)]
        return (telling or lines)[-_LINES_SHOWN:]
