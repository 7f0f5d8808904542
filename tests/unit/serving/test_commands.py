"""The project's commands as processes: what they print is heard, and none outlives the one that started it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.serving.commands import Command
from tests.triton_servers import is_running, until

PATIENT = """
import sys, time
print("place: here: and there")
print("noise")
print("listening", flush=True)
time.sleep(60)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)" + PATIENT


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of modules to run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, source in (("patient", PATIENT), ("stubborn", STUBBORN), ("failing", "import sys; sys.exit(3)")):
        (tmp_path / f"{name}_module.py").write_text(source)
    return "patient_module"


def test_values_are_heard_up_to_the_last_line_and_the_end_is_certain(module: str) -> None:
    with Command(module, []) as command:
        assert command.wait_for(("place", "other"), "listening") == {"place": "here: and there"}
        command.check()
        assert is_running(command.process.process_id)
    assert command.process.exit_code == -signal.SIGTERM


def test_one_that_does_not_listen_is_ended_all_the_same(module: str) -> None:
    with Command("stubborn_module", [], stop_seconds=0.3) as command:
        command.wait_for((), "listening")
    assert command.process.exit_code == -signal.SIGKILL


def test_one_that_fails_is_named_with_its_exit_code(module: str) -> None:
    with Command("failing_module", ["a=1"]) as command:
        for wait in (command.finish, lambda: command.wait_for((), "listening"), command.check):
            with pytest.raises(InputError, match=r"failing_module .*exit code 3") as refused:
                wait()
    assert refused.value.where == "python -m failing_module a=1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_none_outlives_a_process_that_is_killed(module: str) -> None:
    script = f"""
        import time
        from rec_sys.serving.commands import Command
        with Command({module!r}, []) as command:
            command.wait_for((), "listening")
            print(command.process.process_id, flush=True)
            time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        assert until(lambda: not is_running(child), 100)
    finally:
        if is_running(child):
            os.kill(child, signal.SIGKILL)
