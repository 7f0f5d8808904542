"""Processes that this one starts: heard line by line, stopped with what they started, ended when this one is gone.

Values of their command lines are written in Hydra's grammar, so that any path or text can be one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

Listener = Callable[[str], None]

STOP_SECONDS: Final = 20.0
_HEAR_SECONDS: Final = 5.0  # for the last lines of one that has ended; what it left behind may hold the pipe open
_ROOT: Final = Path(__file__).resolve().parents[1]
# Becomes the command, and asks Linux to end it with this process; other systems have no such thing.
_LAUNCHER: Final = Path(__file__).with_name("bound_process.py")


class ChildProcess:
    """A process in a session of its own, so that Ctrl-C reaches it through this one alone.

    It is asked to end (SIGTERM) when this process is gone, however that happens; what it started, when it has ended.

    Args:
        command: The program and its arguments.
        output: A function that takes the lines of its standard output, or a file to which all that it prints is
            appended; None = where this process prints.
        errors: A function that takes the lines of its standard error; None = to that file, or as this process's own.
        environment: Its variables; None = this process's, in which Python finds this project.

    Raises:
        OSError: The program cannot be started, or the file cannot be written.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: Path | Listener | None = None,
        errors: Listener | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        bound = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())] if sys.platform == "linux" else []
        self._command = [*bound, *command]
        self._environment = project_environment() if environment is None else environment
        self._started, self._ended = threading.Event(), threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._failure: OSError | None = None
        # The kernel binds a child to the thread that started it, and a caller's thread may soon be gone: this one
        # lives as long as the child.
        threading.Thread(target=self._live_with_it, args=(output, errors), name=command[0], daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        heard = ((self._child.stdout, output), (self._child.stderr, errors))
        self._readers = [
            threading.Thread(target=_read, args=(stream, listener), daemon=True) for stream, listener in heard if stream
        ]
        for reader in self._readers:
            reader.start()

    def _live_with_it(self, output: Path | Listener | None, errors: Listener | None) -> None:
        try:
            with ExitStack() as stack:
                file: Any = stack.enter_context(output.open("ab")) if isinstance(output, Path) else None
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file if output is None or file else subprocess.PIPE,
                    stderr=subprocess.PIPE if errors else file,
                    text=True,
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._process.wait()
        self._signal_session(signal.SIGTERM)  # what it left behind
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _child(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    @property
    def process_id(self) -> int:
        """The process's number."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, a signal as a negative number; None while it runs."""
        return self._child.returncode if self._ended.is_set() else None

    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it has ended and its lines are heard; False where it still runs after so many seconds."""
        if not self._ended.wait(seconds):
            return False
        for reader in self._readers:
            reader.join(_HEAR_SECONDS)
        return True

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Asks it to end, and makes it and all of its session after so many seconds; one that has ended is left."""
        if self.is_alive():
            self._child.terminate()
            if not self.wait(seconds):
                self._signal_session(signal.SIGKILL)
                self.wait()

    def _signal_session(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process_id, number)

    def how_it_ended(self) -> str:
        """The exit code or signal, in words."""
        code = self.exit_code
        if code is None:
            return "still running"
        return f"exit code {code}" if code >= 0 else f"ended by signal {-code} ({signal.Signals(-code).name})"


def _read(stream: IO[str], listener: Listener) -> None:
    with stream:
        for line in stream:
            listener(line.rstrip("\n"))


def project_environment() -> dict[str, str]:
    """This process's variables, with which Python finds this project from any folder and prints without delay."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def module_command(module: str, arguments: Iterable[str]) -> list[str]:
    """The command line of a module under this Python."""
    return [sys.executable, "-m", module, *arguments]


def overrides(settings: Mapping[str, object]) -> list[str]:
    """Settings as Hydra's command line gives them."""
    return [f"{name}={quote(value)}" for name, value in settings.items()]


def quote(value: object) -> str:
    """A value in Hydra's grammar: read back, it is the same number, list or text, whatever the text contains.

    There a backslash is itself unless it stands before a quotation mark, and in OmegaConf, which reads the value
    next, unless it stands before an interpolation `${`.
    """
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return f"[{','.join(map(quote, value))}]"
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(value))
    text = re.sub(r'(\\+)(?="|\Z)', r"\1\1", text).replace('"', r"\"")
    return f'"{text}"'
