"""The project's own commands as processes of this one: run to their end, or kept until this one ends."""

from queue import Empty, SimpleQueue
from typing import Final, Self

from rec_sys.console import say_error
from rec_sys.contracts import InputError
from rec_sys.processes import STOP_SECONDS, ChildProcess, module_command

_LOOK_SECONDS: Final = 0.2


class Command:
    """A command of this project in a process of its own, which ends with this object.

    What it prints goes to standard error; lines of the form `name: value` can be waited for.

    Args:
        module: The module to run.
        given: Its command line.
        stop_seconds: The time it gets to end by itself.
    """

    def __init__(self, module: str, given: list[str], stop_seconds: float = STOP_SECONDS) -> None:
        self.module = module
        self._given = given
        self._stop_seconds = stop_seconds
        self._lines: SimpleQueue[str] = SimpleQueue()

    def __enter__(self) -> Self:
        self.process = ChildProcess(module_command(self.module, self._given), self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stop(self._stop_seconds)

    def wait_for(self, words: tuple[str, ...], last: str) -> dict[str, str]:
        """The values of lines such as `grpc: 127.0.0.1:8001`, by their word, as soon as the `last` line has come.

        Raises:
            InputError: It ended before.
        """
        found: dict[str, str] = {}
        while (line := self._next_line()) != last:
            word, _, value = line.partition(": ")
            if word in words:
                found[word] = value
        return found

    def finish(self) -> None:
        """Waits until it has ended well.

        Raises:
            InputError: It ended with an error.
        """
        self.process.wait()
        if self.process.exit_code:
            raise self._explain("failed")

    def check(self) -> None:
        """Returns while it runs.

        Raises:
            InputError: It has ended.
        """
        if not self.process.is_alive():
            raise self._explain("ended while it was needed")

    def pause(self) -> None:
        """Waits a moment, or less where it prints something."""
        try:
            self._lines.get(timeout=_LOOK_SECONDS)
        except Empty:
            return

    def _hear(self, line: str) -> None:
        say_error(f"{self.module}: {line.rstrip()}")
        self._lines.put(line.rstrip())

    def _next_line(self) -> str:
        while True:
            has_ended = self.process.wait(0)  # and all its lines are in the queue
            try:
                return self._lines.get(timeout=_LOOK_SECONDS)
            except Empty as nothing:
                if has_ended:
                    raise self._explain("ended before it was ready") from nothing

    def _explain(self, how: str) -> InputError:
        return InputError(
            f"{self.module} {how} (exit code {self.process.exit_code})",
            where=" ".join(["python -m", self.module, *self._given]),
            remedy="read what it said above",
        )
