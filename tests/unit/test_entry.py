"""How a command ends: its exit code, what it prints and what it leaves behind."""

import errno
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from rec_sys import entry
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.settings import Section, Settings
from rec_sys.shown_text import escape_controls

REPOSITORY = Path(entry.__file__).resolve().parent.parent


class Command:
    """A command under test, run in this process in an empty folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capfd, self.folder = monkeypatch, capfd, folder
        self.received: list[Settings] = []
        monkeypatch.chdir(folder)

    def __call__(
        self,
        *arguments: str,
        run: Callable[[Any], None] | None = None,
        settings_type: type[Section] = Settings,
        config_name: str = "config",
    ) -> tuple[int, str, str]:
        def keep(given: Any) -> None:
            self.received.append(given)
            if run:
                run(given)

        self.monkeypatch.setattr(sys, "argv", ["command", *arguments])
        with pytest.raises(SystemExit) as stop:
            run_entry(keep, settings_type, config_name)
        out, err = self.capfd.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, out, err

    def files(self) -> list[Path]:
        return list(self.folder.iterdir())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    return Command(monkeypatch, capfd, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [["trainer.lerning_rate=1"], ["data=nothing"], ["seed"], ["data=sequences"], ["--multirun", "model.dim=128,3"]],
)
def test_a_wrong_setting_ends_in_one_message_and_nothing_written(command: Command, arguments: list[str]) -> None:
    code, out, err = command(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 3
    assert command.received == []
    assert command.files() == []


def test_a_command_receives_its_settings_and_ends_with_0(command: Command) -> None:
    code, out, err = command("seed=5", "model=gat")
    assert (code, out, err) == (0, "", "")
    assert [(given.seed, given.model.convolution) for given in command.received] == [(5, "gat")]
    assert command.files() == []


def fail_with(error: Exception) -> Callable[[Settings], None]:
    def failing_command(given: Settings) -> None:
        raise error

    return failing_command


def test_bad_input_found_later_ends_in_one_message_too(command: Command) -> None:
    error = InputError("reviews.gz is empty", where="reviews.gz", remedy="fetch it again")
    code, out, err = command(run=fail_with(error))
    assert (code, out) == (2, "")
    assert err == "error: reviews.gz is empty\n  where: reviews.gz\n  what to do: fetch it again\n"


HARM = ("\x1b[31m", "\x1b]0;mine\x07", "\x9b2J", "\u202e", "\ud800")


@pytest.mark.parametrize("kind", ["error", "trace", "log"])
def test_no_text_of_others_steers_the_terminal(command: Command, kind: str) -> None:
    """In an error, in a trace, in a line of the log, and in what begins a line of ours."""
    text = " and ".join(HARM)

    def warn(given: Settings) -> None:
        logging.getLogger("rec_sys.test").info("a title %s\n[   0.0 s] forged", text)

    failing = {"error": fail_with(InputError(text, where=text, remedy=text)), "trace": fail_with(ValueError(text))}
    _, out, err = command(run=failing.get(kind, warn))
    for harm in HARM:
        assert escape_controls(harm) in err
        assert harm not in out + err
    assert not [line for line in err.splitlines() if line.endswith("forged") and line.startswith("[")]


@pytest.mark.parametrize("harm", HARM)
def test_no_value_that_is_refused_steers_the_terminal(command: Command, harm: str) -> None:
    _, out, err = command(f"model={harm}")
    assert harm not in out + err


def test_a_full_disk_is_no_stack_trace(command: Command) -> None:
    code, _, err = command("output_dir=results", run=fail_with(OSError(errno.ENOSPC, "No space left on device")))
    assert code == 2
    assert "the disk is full" in err
    assert str(command.folder / "results") in err
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EIO, "a defect"), KeyError("a defect")])
def test_a_defect_shows_its_whole_stack_trace(command: Command, error: Exception) -> None:
    code, _, err = command(run=fail_with(error))
    assert code == 1
    assert "Traceback" in err
    assert "failing_command" in err
    assert type(error).__name__ in err
    assert "HYDRA_FULL_ERROR" not in err


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    script = """
import sys; sys.path.insert(0, sys.argv.pop(1))
from rec_sys.entry import run_entry
from rec_sys.settings import Settings
run_entry(lambda settings: print("line\\n" * 100_000, flush=True), Settings, "config")
"""
    command = [sys.executable, "-c", script, str(REPOSITORY)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_death_inside_a_library_has_a_word(tmp_path: Path) -> None:
    script = """
import os, signal, sys; sys.path.insert(0, sys.argv.pop(1))
from rec_sys.entry import run_entry
from rec_sys.settings import Settings
run_entry(lambda settings: os.kill(os.getpid(), signal.SIGBUS), Settings, "config")
"""
    command = [sys.executable, "-c", script, str(REPOSITORY)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGBUS
    assert "Bus error" in ended.stderr


def test_what_another_user_keeps_closed_is_one_message(command: Command, tmp_path: Path) -> None:
    def run(_: Settings) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "theirs"))

    code, _, err = command(run=run)
    assert code == 2
    assert err.startswith("error: this file or folder may not be used (Permission denied)")
    assert f"where: {tmp_path / 'theirs'}\n" in err


def test_an_exit_code_chosen_by_the_command_is_kept(command: Command) -> None:
    def leave(given: Settings) -> None:
        sys.exit(7)

    assert command(run=leave)[0] == 7


def test_help_and_cfg_show_the_settings_and_run_nothing(command: Command) -> None:
    code, out, _ = command("--help")
    assert (code, "  data=sample\n" in out, "trainer.learning_rate=0.002" in out) == (0, True, True)
    code, out, _ = command("--cfg", "job", "data=sequences", "seed=5")
    assert (code, "seed: 5" in out, "path: ???" in out) == (0, True, True)
    code, _, err = command("--cfg", "job", "sed=5")
    assert (code, "did you mean seed?" in err) == (2, True)
    assert command.received == []
    assert command.files() == []


def test_a_multirun_runs_every_combination(command: Command) -> None:
    code, _, _ = command("--multirun", "seed=1,2", "model=gat,transformer_conv")
    assert code == 0
    assert [(given.seed, given.model.convolution) for given in command.received] == [
        (1, "gat"),
        (1, "transformer_conv"),
        (2, "gat"),
        (2, "transformer_conv"),
    ]
    assert [path.name for path in command.files()] == ["outputs"]


def test_what_hydra_notes_of_a_multirun_has_no_secret(command: Command) -> None:
    given = "tracking.uri=http://ada:planted-password@127.0.0.1:1/mlflow"
    noted: list[str] = []

    def read(_: Settings) -> None:
        noted.extend(path.read_text() for path in Path("outputs").rglob("multirun.yaml"))

    code, _, _ = command("--multirun", "seed=1,2", given, run=read)
    assert code == 0
    assert [given.tracking.uri.get_secret_value() for given in command.received if given.tracking.uri] == [
        "http://ada:planted-password@127.0.0.1:1/mlflow"
    ] * 2
    assert len(noted) == 2
    assert all("seed=1,2" in text and "127.0.0.1" in text and "planted" not in text for text in noted)


def test_one_failed_run_of_a_multirun_does_not_stop_the_others(command: Command) -> None:
    def refuse_the_first(given: Settings) -> None:
        if given.seed == 1:
            raise InputError("too small", where="here", remedy="grow")

    code, _, err = command("--multirun", "seed=1,2", run=refuse_the_first)
    assert (code, [given.seed for given in command.received]) == (2, [1, 2])
    assert err.startswith("error: too small")


SLEEPING_COMMAND = """
import sys, threading, time
from pathlib import Path
from rec_sys.entry import run_entry
from rec_sys.settings import Settings

def run(settings):
    import polars  # which has a handler of its own for Ctrl-C
    try:
        Path("started").touch()
        {body}
    finally:
        Path("cleaned").touch()

run_entry(run, Settings, "config")
"""
# Lightning catches an interrupt, cleans up and leaves with a code of its own.
LIKE_LIGHTNING = """
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            sys.exit(1)
"""


@pytest.mark.parametrize(
    ("number", "code", "body"),
    [
        (signal.SIGTERM, 143, "time.sleep(60)"),
        (signal.SIGINT, 130, "time.sleep(60)"),
        (signal.SIGINT, 130, "threading.Event().wait()"),
        (signal.SIGTERM, 143, LIKE_LIGHTNING),
    ],
    ids=["terminated", "interrupted", "interrupted in a wait", "terminated inside a library that exits itself"],
)
def test_a_signal_lets_the_command_clean_up(tmp_path: Path, number: int, code: int, body: str) -> None:
    script = SLEEPING_COMMAND.format(body=body.strip())
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{script}"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 600
        while not (tmp_path / "started").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == code
    assert (tmp_path / "cleaned").exists()
    assert "interrupted" in err
    assert "Traceback" not in err


class BenchmarkSettings(Settings):
    baselines: tuple[Literal["popular", "ease"], ...] = Field(min_length=1)
    repeats: int = Field(1, ge=1)


@pytest.fixture
def benchmark_config(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository") / "config"
    shutil.copytree(entry.CONFIG_DIR, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "benchmark.yaml").write_text("defaults: [config, _self_]\nbaselines: [popular]\nrepeats: 1\nseed: 3\n")
    monkeypatch.setattr(entry, "CONFIG_DIR", folder)
    return folder


@pytest.mark.usefixtures("benchmark_config")
def test_another_command_builds_on_the_common_settings(command: Command) -> None:
    code, _, err = command(
        "baselines=[popular,ease]", "model=gat", settings_type=BenchmarkSettings, config_name="benchmark"
    )
    assert (code, err) == (0, "")
    received = command.received[0]
    assert isinstance(received, BenchmarkSettings)
    assert (received.baselines, received.seed, received.model.convolution) == (("popular", "ease"), 3, "gat")


@pytest.mark.usefixtures("benchmark_config")
@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("baselines=[popular,eas]", ["baselines[1]=eas cannot be used", "config/benchmark.yaml", "popular or ease"]),
        ("baseline=[popular]", ["baseline is not a setting", "did you mean baselines?"]),
        ("seed=-1", ["seed=-1", "config/benchmark.yaml"]),
        ("output_dir=[1]", ["output_dir=[1]", "config/benchmark.yaml"]),
        ("model.num_head=1", ["did you mean model.num_heads?"]),
    ],
)
def test_another_command_explains_its_own_settings(command: Command, override: str, fragments: list[str]) -> None:
    code, _, err = command(override, settings_type=BenchmarkSettings, config_name="benchmark")
    assert code == 2
    for fragment in fragments:
        assert fragment in err
