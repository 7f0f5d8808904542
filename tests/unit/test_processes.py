"""A child is heard, ends with its parent and takes what it started with it; Hydra reads back what was quoted."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rec_sys.entry import compose_settings
from rec_sys.processes import ChildProcess, module_command, overrides, quote
from rec_sys.serving.demo import DemoSettings
from tests.triton_servers import is_running, until


def python(source: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(source)]


def test_the_lines_of_both_streams_are_heard_whole_and_apart() -> None:
    printed: list[str] = []
    said: list[str] = []
    source = "import sys; print('one\\n\\ntwo '); print('error: ü', file=sys.stderr); sys.exit(3)"
    with ChildProcess(python(source), printed.append, said.append) as child:
        assert child.wait(60)
    assert (printed, said) == (["one", "", "two "], ["error: ü"])
    assert (child.exit_code, child.how_it_ended(), child.is_alive()) == (3, "exit code 3", False)


def test_both_streams_go_to_a_file_behind_what_it_holds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    child = ChildProcess(python("import sys; print(1, flush=True); print(2, file=sys.stderr)"), log)
    assert child.wait(60)
    assert log.read_text() == "before\n1\n2\n"


def test_a_module_of_this_project_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    child = ChildProcess(module_command("rec_sys.contracts", []))
    assert child.wait(60)
    assert child.exit_code == 0


@pytest.mark.parametrize("listens", [True, False])
def test_what_a_child_started_ends_with_it(listens: bool) -> None:
    ignore = "" if listens else "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    source = f"""
        import signal, subprocess, time
        {ignore}
        print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
        time.sleep(60)
    """
    heard: list[str] = []
    with ChildProcess(python(source), heard.append) as child:
        assert until(lambda: bool(heard))
        child.stop(20 if listens else 0.3)
    assert child.exit_code == -(signal.SIGTERM if listens else signal.SIGKILL)
    assert until(lambda: not is_running(int(heard[0])), 10)


def test_what_a_child_left_behind_is_ended_too() -> None:
    heard: list[str] = []
    child = ChildProcess(
        python("import subprocess; print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL).pid)"),
        heard.append,
    )
    assert child.wait(60)
    assert child.exit_code == 0
    assert until(lambda: not is_running(int(heard[0])), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_children_of_children_end_when_the_first_is_killed() -> None:
    inner = python("import time; time.sleep(60)")
    child = f"""
        import time
        from rec_sys.processes import ChildProcess
        print(ChildProcess({inner!r}).process_id, flush=True)
        time.sleep(60)
    """
    parent = f"""
        import time
        from rec_sys.processes import ChildProcess
        child = ChildProcess({python(child)!r}, lambda line: print(child.process_id, line, flush=True))
        time.sleep(60)
    """
    with subprocess.Popen(python(parent), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        family = [int(number) for number in first.stdout.readline().split()]
        assert len(family) == 2
        assert all(map(is_running, family))
        first.kill()
    assert until(lambda: not any(map(is_running, family)), 10)


def test_waiting_hears_an_interrupt() -> None:
    """Ctrl-C reaches this process alone; the child is asked to end by the `with`."""
    source = f"""
        import signal
        from rec_sys.processes import ChildProcess
        with ChildProcess({python("import time; time.sleep(60)")!r}) as child:
            print(child.process_id, flush=True)
            child.wait()
    """
    with subprocess.Popen(python(source), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        os.kill(parent.pid, signal.SIGINT)
        assert parent.wait(30) != 0
    assert not is_running(child)


def test_a_program_that_cannot_be_started_is_no_silence(tmp_path: Path) -> None:
    said: list[str] = []
    child = ChildProcess([str(tmp_path / "nothing")], errors=said.append)
    assert child.wait(60)
    assert child.exit_code == 1
    assert "No such file" in said[-1]


ODD = st.text(st.sampled_from("\\\"'${}[](),=:~+*#a é?\n\t"), max_size=12) | st.text(max_size=12)
# OmegaConf takes a text of three question marks alone for a value that is missing, and offers no way around it.
TEXTS = ODD.filter(lambda text: text != "???")
NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(TEXTS | NUMBERS | st.lists(TEXTS | NUMBERS, max_size=3))
def test_hydra_reads_back_what_was_quoted(value: object) -> None:
    read = OverridesParser.create().parse_override(f"key={quote(value)}").value()
    assert OmegaConf.to_container(OmegaConf.create({"key": read}), resolve=True) == {"key": value}


PATHS = [
    "/a folder/with, [odd] {signs}",
    "/it's=so",
    '/say "hi"',
    "/ünïcode/back\\slash",
    '/a\\"b\\\\"c\\',
    "/of ${money}",
]


@pytest.mark.parametrize("path", PATHS)
def test_any_path_can_be_a_setting(path: str) -> None:
    given = overrides({"output_dir": Path(path), "training": ["experiment=quick", f"data.path={path}"], "port": 7})
    settings = compose_settings(given, DemoSettings, "demo")
    assert settings.output_dir == Path(path)
    assert settings.training == ("experiment=quick", f"data.path={path}")
    assert (settings.port, settings.bundle) == (7, None)
