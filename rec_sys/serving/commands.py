"""The project's own commands as processes of this one: run to their end, or kept until this one ends."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from rec_sys.contracts import InputError

_ROOT: Final = Path(__file__).resolve().parents[2]
# Becomes the command, and asks Linux to end it when this process is gone, however that happens.
_LAUNCHER: Final = _ROOT / "triton_utils" / "bound_process.py"
_STOP_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.2


def arguments(settings: Mapping[str, object]) -> list[str]:
    """Settings as a command line gives them; a text is quoted, so that any path can be one."""
    return [f"{name}={_spell(value)}" for name, value in settings.items()]


def _spell(value: object) -> str:
    """A value in Hydra's grammar, in which a backslash is itself unless it stands before a quotation mark."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return f"[{','.join(map(_spell, value))}]"
    text = re.sub(r'(\\+)(?="|$)', r"\1\1", str(value)).replace('"', r"\"")
    return f'"{text}"'


class Command:
    """A command of this project in a process of its own, which ends with this object.

    What it prints goes to standard error; lines of the form `name: value` can be waited for.

    Args:
        module: The module to run.
        given: Its command line.

    Attributes:
        module: The module that runs.
    """

    def __init__(self, module: str, given: list[str]) -> None:
        self.module = module
        self._given = given
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        bound = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())] if sys.platform == "linux" else []
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [*bound, sys.executable, "-m", self.module, *self._given],
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches it through us alone
        )
        threading.Thread(target=self._read, name=self.module, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Asks it to end, and makes it where it does not; nothing happens where it has ended."""
        process = self._child
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_for(self, words: tuple[str, ...], last: str) -> dict[str, str]:
        """The values of lines such as `grpc: 127.0.0.1:8001`, as soon as a last line has come.

        Args:
            words: What stands before the colon.
            last: The line after which it serves.

        Raises:
            InputError: It ended before.
        """
        found: dict[str, str] = {}
        while (line := self._lines.get()) != last:
            if line is None:
                raise self._explain("ended before it was ready")
            word, _, value = line.partition(": ")
            if word in words:
                found[word] = value
        return found

    def finish(self) -> None:
        """Waits until it has ended well.

        Raises:
            InputError: It ended with an error.
        """
        if self._child.wait() != 0:
            raise self._explain("failed")

    def check(self) -> None:
        """Returns while it runs.

        Raises:
            InputError: It has ended.
        """
        if self._child.poll() is not None:
            raise self._explain("ended while it was needed")

    def pause(self) -> None:
        """Waits a moment, or less where it prints something."""
        try:
            self._lines.get(timeout=_LOOK_SECONDS)
        except Empty:
            return

    @property
    def process_id(self) -> int:
        """The process's number."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._child.poll()

    @property
    def _child(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                print(f"{self.module}: {line.rstrip()}", file=sys.stderr, flush=True)
                self._lines.put(line.rstrip())
        self._lines.put(None)

    def _explain(self, how: str) -> InputError:
        return InputError(
            f"{self.module} {how} (exit code {self._child.wait()})",
            where=" ".join(["python -m", self.module, *self._given]),
            remedy="read what it said above",
        )
