"""The built package: one command for all others, and everything that they read inside."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rec_sys.__main__ import COMMANDS
from rec_sys.entry import CONFIG_DIR
from tests.readmes import command_modules

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_command_has_a_name() -> None:
    assert sorted(COMMANDS.values()) == command_modules()
    assert len({*COMMANDS.values()}) == len(COMMANDS)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installer would."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=REPOSITORY, capture_output=True, check=True)
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The installed command, away from the checkout."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-m", "rec_sys", *arguments]
    return subprocess.run(command, cwd=installed.parent, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_every_file_that_the_checkout_has(installed: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    wanted = {name for name in listed.stdout.splitlines() if name.startswith(("rec_sys/", "triton_utils/", "config/"))}
    inside = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert {f"rec_sys/{name}" if name.startswith("config/") else name for name in wanted} <= inside


def test_an_installed_command_reads_the_settings_inside_the_package(installed: Path) -> None:
    told = run(installed, "train", "modle.dim=3")
    assert (told.returncode, told.stdout) == (2, "")
    assert "did you mean model.dim?" in told.stderr
    shown = run(installed, "infer", "--cfg", "job")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "limit: 10" in shown.stdout
    assert CONFIG_DIR == REPOSITORY / "config"  # the checkout reads its own


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_without_a_name_the_commands_are_listed(installed: Path, arguments: tuple[str, ...]) -> None:
    told = run(installed, *arguments)
    assert told.returncode == 0
    assert [line.split() for line in told.stdout.splitlines()[2:]] == [list(pair) for pair in COMMANDS.items()]


def test_a_name_that_is_none_is_answered_with_those_there_are(installed: Path) -> None:
    told = run(installed, "trian")
    assert (told.returncode, told.stdout) == (2, "")
    assert "did you mean train?" in told.stderr
