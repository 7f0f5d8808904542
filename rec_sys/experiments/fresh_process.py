"""A measurement in a process of its own: its memory is its own, and it can be ended while a library computes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from rec_sys.console import say_error
from rec_sys.contracts import InputError
from rec_sys.entry import show_log
from rec_sys.processes import ChildProcess, module_command

_REFUSED: Final = 2
_STOP_SECONDS: Final = 2.0  # nothing in it needs to be cleaned up: the folder is the caller's

RequestType = TypeVar("RequestType", bound=BaseModel)


def measure_apart(module: str, request: BaseModel, folder: Path, where: str, remedy: str) -> Any:
    """What a module finds when it is started with a request.

    Args:
        module: Calls `answer_request` as it is started.
        request: What it is to measure.
        folder: Where both write; it exists.
        where: What is measured, for the message of a process that was killed.
        remedy: What may be done then.

    Raises:
        InputError: The process was killed.
        SystemExit: It failed, and has said why.
    """
    asked, found = folder / "request.json", folder / "found.json"
    asked.write_text(request.model_dump_json())
    child = ChildProcess(module_command(module, [str(asked), str(found)]))
    try:
        child.wait()
    finally:
        child.stop(_STOP_SECONDS)
    code = child.exit_code or 0
    if code < 0:
        raise InputError(f"the measuring process was ended by signal {-code}", where=where, remedy=remedy)
    if code:
        sys.exit(code)
    return json.loads(found.read_text())


def answer_request(measure: Callable[[RequestType], Any], request_type: type[RequestType]) -> None:
    """Measures what the command line's first file asks for, and writes what is found to the second one."""
    asked, found = map(Path, sys.argv[1:])
    show_log()
    try:
        answer = measure(request_type.model_validate_json(asked.read_text()))
    except InputError as error:
        say_error(f"error: {error}")
        sys.exit(_REFUSED)
    found.write_text(json.dumps(answer))
