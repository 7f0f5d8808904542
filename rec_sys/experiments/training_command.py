"""Training's own command in a process of its own: what a user gets, without what it leaves behind in a process."""

from collections.abc import Set
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from rec_sys.console import say_error
from rec_sys.contracts import InputError
from rec_sys.processes import ChildProcess, module_command


def train(arguments: list[str]) -> Path:
    """Runs the training command; its messages go to this process's stderr.

    Returns:
        The bundle's folder.

    Raises:
        InputError: It ended with an error; the message is training's own where it gave one.
    """
    return Path(run_command("rec_sys.train.train", arguments, "bundle: "))


def run_command(module: str, arguments: list[str], last_line: str) -> str:
    """What follows `last_line` in the last line that a command prints; its messages go to this process's stderr.

    Raises:
        InputError: It ended with an error; the message is the command's own where it gave one.
    """
    printed: list[str] = []
    messages: list[str] = []

    def pass_on(line: str) -> None:
        say_error(line)
        messages.append(line)

    with ChildProcess(module_command(module, arguments), printed.append, pass_on) as child:
        child.wait()
    if child.exit_code or not printed or not printed[-1].startswith(last_line):
        last = [line for line in messages if line.startswith("error: ")] or [line for line in messages if line]
        reason = last[-1].removeprefix("error: ") if last else "without a message"
        raise InputError(
            f"{module.rpartition('.')[2]} ended with exit code {child.exit_code}: {reason}",
            where=f"{module} {' '.join(arguments)}",
            remedy="see the row's log, and try that command alone",
        )
    return printed[-1].removeprefix(last_line)


def untracked(typed: list[str]) -> list[str]:
    """Without MLflow unless it is asked for: a table's trainings are no runs of their own."""
    return typed if any(group_of(text) == "tracking" for text in typed) else [*typed, "tracking=none"]


def typed_for_training(own: Set[str]) -> list[str]:
    """What the user typed for a command that hands its settings on to training.

    Args:
        own: The groups and settings that only that command understands.
    """
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    return [text for text in typed if group_of(text) not in own]


def group_of(text: str) -> str:
    """The group of settings that an argument of the command line is about."""
    return text.lstrip("+~").partition("=")[0].partition(".")[0]
