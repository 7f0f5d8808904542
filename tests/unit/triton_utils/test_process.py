"""A process lives no longer than its parent, and its end is told with the lines that say why."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from tests.triton_servers import is_running, until
from triton_utils.process import ServerProcess

REPOSITORY = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds a process to its parent")


def start(script: str, log: Path) -> ServerProcess:
    return ServerProcess(["/bin/sh", "-c", script], os.environ, log)


def test_the_exit_code_and_the_telling_lines_are_kept(tmp_path: Path) -> None:
    lines = ["I1122 10:00:00.1 all is well", "+---+", "| a |", "", "E1122 10:00:00.2 no such file", "error: gone"]
    process = start("; ".join(f"echo '{line}'" for line in lines) + "; exit 3", tmp_path / "log")
    assert process.wait(200)
    assert not process.is_alive()
    assert process.how_it_ended() == "exit code 3"
    assert process.last_lines() == ["E1122 10:00:00.2 no such file", "error: gone"]
    assert (tmp_path / "log").read_text().splitlines() == lines


def test_a_log_without_telling_lines_is_shown_as_it_is(tmp_path: Path) -> None:
    process = start("echo 'I1122 10:00:00.1 all is well'", tmp_path / "log")
    assert process.wait(200)
    assert process.last_lines() == ["I1122 10:00:00.1 all is well"]


def test_lines_of_an_earlier_process_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("error: long ago\n")
    process = start("echo 'error: now'", tmp_path / "log")
    assert process.wait(200)
    assert process.last_lines() == ["error: now"]


def test_a_signal_is_told_by_its_name(tmp_path: Path) -> None:
    process = start("sleep 60", tmp_path / "log")
    assert process.is_alive()
    assert not process.wait(0.01)
    assert process.how_it_ended() == "still running"
    os.kill(process.process_id, signal.SIGKILL)
    assert process.wait(200)
    assert process.how_it_ended() == "ended by signal 9 (SIGKILL)"


def test_stopping_asks_first(tmp_path: Path) -> None:
    process = start("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done", tmp_path / "log")
    assert until(lambda: "ready" in (tmp_path / "log").read_text())
    process.stop(20)
    assert process.how_it_ended() == "exit code 0"
    assert "bye" in (tmp_path / "log").read_text()
    process.stop(20)  # once is enough


def test_who_does_not_listen_is_ended(tmp_path: Path) -> None:
    process = start("trap '' TERM; echo ready; while :; do sleep 0.05; done", tmp_path / "log")
    assert until(lambda: "ready" in (tmp_path / "log").read_text())
    process.stop(0.2)
    assert process.how_it_ended() == "ended by signal 9 (SIGKILL)"


def test_the_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[ServerProcess] = []
    thread = threading.Thread(target=lambda: started.append(start("sleep 60", tmp_path / "log")))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].is_alive()
    started[0].stop(20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    script = f"""
import os, sys, time
from pathlib import Path
from triton_utils.process import ServerProcess
process = ServerProcess(["/bin/sleep", "60"], os.environ, Path({str(tmp_path / "log")!r}))
print(process.process_id, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(number)
        parent.wait(200)
        assert until(lambda: not is_running(child))


def test_a_program_that_does_not_exist_is_an_early_end(tmp_path: Path) -> None:
    process = ServerProcess([str(tmp_path / "nothing")], os.environ, tmp_path / "log")
    assert process.wait(200)
    assert process.how_it_ended() == "exit code 1"
    assert any("No such file" in line for line in process.last_lines())


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="log cannot be written") as caught:
        start("sleep 60", tmp_path)
    assert caught.value.where == str(tmp_path)
