"""Every README says what is so: its commands start, its requests are answered, its links and names exist."""

import ast
import json

import pytest

from rec_sys.contracts import InputError
from tests import readmes as checks
from tests.readmes import REPOSITORY, Readme, ReadmeError

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


# ---- what the checks would find ----


def readme(text: str) -> Readme:
    return Readme(REPOSITORY / "README.md", text)


@pytest.mark.parametrize(
    "command",
    [
        "uv run -m rec_sys.train.trian",
        "uv run -m rec_sys.files",
        "uv run --group peers -m rec_sys.experiments.benchmark",
        "uv run nosuchprogram ui",
        "uv run pytest tests/units",
        "uv run -m rec_sys.train.train --everything",
        "uv run -m tests.chaos.dying_part --seed 0",
        "uv run -m tests.chaos.campaign --seed 0",
        "uv run -m tests.chaos.dying_parts --seed 0 --count 9",
        "bash .ci/walk",
        "docker compose --profile cpu up",
        "docker compose up prepared",
        "NO_SUCH_VARIABLE_ANYWHERE=1 uv run pytest",
        "make all",
        "curl -s http://127.0.0.1:8080/v1/recommendation -d '{}'",
        "curl -s http://127.0.0.1:8080/v1/recommendations -d '{\"wishes\": 3}'",
        "curl -s 'http://127.0.0.1:8080/v1/products/search?q=strings&limit=many'",
        "curl --silent http://127.0.0.1:8080/metrics",
        'echo \'[{"asin": "p1", "raiting": 5}]\' > mine.json',
    ],
)
def test_a_command_that_would_not_start_is_found(command: str) -> None:
    [words] = checks.split_commands(command)
    with pytest.raises((ReadmeError, InputError)):
        checks.check_command(words)


def test_a_wrong_setting_is_found_among_right_ones() -> None:
    right = [checks.Run("rec_sys.inference.infer", (setting,)) for setting in ("limit=3", "index=server")]
    wrong = [
        checks.Run("rec_sys.inference.infer", ("inference.fallbck=none",)),
        checks.Run("rec_sys.inference.infer", ("limit=1000",)),
        checks.Run("rec_sys.train.train", ("data=table",)),  # without reviews_path
    ]
    found = list(checks.compose_all([*right, *wrong]))
    assert [line.split(":")[0] for line in found] == [f"{run.module} {run.overrides[0]}" for run in wrong]


def test_a_script_is_split_as_a_shell_does() -> None:
    script = "# first\nA=1 one x \\\n  'y # z'   # a remark\necho '[1,\n2]' > file && two\n"
    assert checks.split_commands(script) == [["A=1", "one", "x", "y # z"], ["echo", "[1,\n2]", ">", "file"], ["two"]]
    with pytest.raises(ReadmeError, match="bash"):
        checks.check_script("echo 'never closed")


def test_each_value_of_a_sweep_is_a_run() -> None:
    assert checks.runs(["-m", "seed=0,1", "model=gat"]) == [["seed=0", "model=gat"], ["seed=1", "model=gat"]]
    assert checks.runs(["baselines=[a,b]", "--cfg", "job"]) == [["baselines=[a,b]"]]


def test_links_names_and_settings_that_do_not_exist_are_found() -> None:
    broken = ["rec_sys/nowhere", ".readme/no.png", "#rec_sy", "tests/README.md#none"]
    links = " ".join(f"[a]({target})" for target in (*broken, "#rec_sys", "tests/README.md#tests", "config"))
    assert list(checks.broken_links(readme(links))) == broken
    names = "`rec_sys.fils` rec_sys.files.no_such and `rec_sys.files.atomic_file`, `rec_sys/fils.py` `rec_sys/files.py`"
    assert list(checks.unknown_names(readme(names))) == ["rec_sys.fils", "rec_sys.files.no_such", "rec_sys/fils.py"]
    right = "`model=gat seed=1` `graph.user_reviews=3` `by=graph` `max_price=3` `x == y`"
    named = checks.settings_named(readme(f"{right} `model=gut` `by=chance`"))
    assert [setting for setting in sorted(named) if not checks.is_setting(setting)] == ["by=chance", "model=gut"]
