"""Every README says what is so: its commands start, its requests are answered, its links and names exist."""

import ast
import json

import pytest

from tests import readmes as checks
from tests.readmes import REPOSITORY

READMES = checks.readmes()
ROOMS = sorted(
    path.parent.relative_to(REPOSITORY).as_posix()
    for path in (*REPOSITORY.glob("rec_sys/*/__init__.py"), *REPOSITORY.glob("triton_utils/__init__.py"))
)


def test_every_room_has_a_readme() -> None:
    missing = [room for room in (*ROOMS, "config", "tests") if f"{room}/README.md" not in READMES]
    assert missing == []


def test_the_first_readme_is_read_in_five_minutes() -> None:
    assert len(READMES["README.md"].text.splitlines()) <= 200


@pytest.mark.parametrize("name", READMES)
def test_every_command_starts(name: str) -> None:
    readme = READMES[name]
    for script in readme.blocks("bash"):
        checks.check_script(script)
    assert readme.commands
    for words in readme.commands:
        checks.check_command(words)


def test_the_settings_of_every_command_compose() -> None:
    runs = [run for one in READMES.values() for words in one.commands for run in checks.check_command(words)]
    assert len(runs) > 50
    assert list(checks.compose_all(runs)) == []


@pytest.mark.parametrize("name", READMES)
def test_every_link_and_picture_exists(name: str) -> None:
    assert list(checks.broken_links(READMES[name])) == []


@pytest.mark.parametrize("name", READMES)
def test_every_module_and_file_exists(name: str) -> None:
    assert list(checks.unknown_names(READMES[name])) == []


@pytest.mark.parametrize("name", READMES)
def test_every_setting_named_is_one(name: str) -> None:
    unknown = [setting for setting in checks.settings_named(READMES[name]) if not checks.is_setting(setting)]
    assert unknown == []


@pytest.mark.parametrize("name", READMES)
def test_every_other_block_is_what_it_says(name: str) -> None:
    readme = READMES[name]
    for body in readme.blocks("json"):
        json.loads(body)
    for body in readme.blocks("python"):
        ast.parse(body)
    assert {language for language, _ in checks.FENCE.findall(readme.text)} <= {"", "bash", "json", "python", "mermaid"}


def test_every_command_of_the_project_stands_in_a_readme() -> None:
    shown = {words[words.index("-m") + 1] for one in READMES.values() for words in one.commands if "-m" in words}
    assert sorted(set(checks.command_modules()) - shown) == []
