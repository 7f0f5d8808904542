"""The READMEs, read as what they claim: commands that run, requests that are answered, links and names that exist."""

import ast
import importlib
import itertools
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.testclient import TestClient

from rec_sys.contracts import InputError
from rec_sys.data import inspect
from rec_sys.entry import CONFIG_DIR, compose_settings
from rec_sys.inference.contract import Review as SentReview
from rec_sys.inference.request_parsing import parse
from rec_sys.serving.application import create_application
from rec_sys.serving.questions import SimilarQuestion
from rec_sys.settings import Section, ServingSettings
from rec_sys.settings_request import sections_in
from tests.compose_files import COMPOSE, compose
from tests.pipeline_stages import stages
from tests.scripted_recommender import KNOWN_USER, ScriptedRecommender

REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = ("rec_sys", "triton_utils", "config", "tests")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|\s{2,})# .*$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
MODULE = re.compile(r"(?<![\w/.])(?:rec_sys|triton_utils)(?:\.\w+)+")
PATH = re.compile(r"(?:rec_sys|triton_utils|config|tests|\.ci)/[\w./-]*")
VARIABLE = re.compile(r"[A-Z][A-Z_]+")
ASSIGNMENT = re.compile(r"[A-Z][A-Z_]*=.*", re.DOTALL)
SETTING = re.compile(r"[a-z_]+(?:\.[a-z_0-9]+)*=\S+")
SEPARATORS = {"\n", ";", "&&", "||", "|"}
HARMLESS = {"cat", "head"}
CAMPAIGNS = "tests.chaos."
TOUR = "tests.page_tour"


class ReadmeError(AssertionError):
    """Something that a README says does not hold."""


@dataclass(frozen=True)
class Readme:
    """One README.

    Attributes:
        path: The file.
        text: What it says.
    """

    path: Path
    text: str

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language, such as `bash`."""
        return [body for name, body in FENCE.findall(self.text) if name == language]

    @property
    def prose(self) -> str:
        """Everything outside the fenced blocks."""
        return FENCE.sub("", self.text)

    @property
    def commands(self) -> list[list[str]]:
        """Every command: of the bash blocks, and those in the text that begin with `uv run`."""
        inline = [text for text in INLINE.findall(re.sub(r"\n(?!\n|\|)", " ", self.prose)) if text.startswith("uv run")]
        return [words for script in (*self.blocks("bash"), *inline) for words in split_commands(script)]


@dataclass(frozen=True)
class Run:
    """A command of this project with the settings that it is given."""

    module: str
    overrides: tuple[str, ...]

    @property
    def sections(self) -> set[str]:
        """The top level of its settings."""
        return {re.split(r"[.=]", override)[0] for override in self.overrides}


def readmes() -> dict[str, Readme]:
    """Every README of the project, by its path in the repository."""
    paths = [REPOSITORY / "README.md", *(path for room in ROOMS for path in (REPOSITORY / room).rglob("README.md"))]
    return {
        path.relative_to(REPOSITORY).as_posix(): Readme(path, path.read_text(encoding="utf-8"))
        for path in sorted(paths)
        if "model_repository" not in path.parts
    }


def split_commands(script: str) -> list[list[str]]:
    """The words of every command of a script, without redirections and comments."""
    lexer = shlex.shlex(COMMENT.sub("", script).replace("\\\n", " "), posix=True, punctuation_chars=";|&<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word.strip(" \t") in SEPARATORS or set(word) == {"\n"}:
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]


def check_script(script: str) -> None:
    """Whether a shell can read it."""
    result = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    if result.returncode:
        raise ReadmeError(f"bash cannot read this: {result.stderr}")


def check_command(words: list[str]) -> list[Run]:
    """Whether a command would start: its program, module, files and addresses exist.

    Returns:
        The runs of this project's commands that it starts, for `compose_all` to check.

    Raises:
        Exception: It would not start.
    """
    while words and ASSIGNMENT.fullmatch(words[0]):
        check_variable(words[0].partition("=")[0])
        words = words[1:]
    program, *rest = words
    if program == "uv":
        return _check_uv(rest)
    if program == "docker":
        return _check_docker(rest)
    if program == "curl":
        ask(rest)
    elif program == "bash":
        _check_files(rest)
    elif program == "echo":
        for review in json.loads(rest[0]):
            parse(SentReview, review)
    elif program not in HARMLESS:
        raise ReadmeError(f"no test knows how to check the command {program}")
    return []


def _check_uv(words: list[str]) -> list[Run]:
    if words[0] != "run":
        raise ReadmeError(f"uv {words[0]}?")
    words = words[1:]
    while words[0] == "--group":
        if words[1] not in _project()["dependency-groups"]:
            raise ReadmeError(f"pyproject.toml has no dependency group {words[1]}")
        words = words[2:]
    program, *rest = words
    if program == "dvc":
        action, *targets = rest
        if action not in ("repro", "metrics"):
            raise ReadmeError(f"dvc {action}?")
        if unknown := [name for target in targets if (name := target.partition(":")[2]) and name not in stages()]:
            raise ReadmeError(f"dvc.yaml has no stage {unknown[0]}")
        return []
    if program == "-m":
        module, *arguments = rest
        if module.startswith(CAMPAIGNS):
            return _check_campaign(module, arguments)
        if module == TOUR and find_module(module):  # which hands on what the demo is given
            module = "rec_sys.serving.demo"
        entry(module)
        if module == inspect.__name__:  # takes files without a name too
            arguments = inspect.name_arguments(arguments)
        return [Run(module, tuple(overrides)) for overrides in runs(arguments)]
    if program not in {script.name for script in entry_points(group="console_scripts")}:
        raise ReadmeError(f"no package brings the command {program}")
    if program == "pytest":
        _check_files([word for word in rest if "/" in word])
    return []


def _check_campaign(module: str, words: list[str]) -> list[Run]:
    file = find_module(module)
    named = re.search(r"run_by_hand\(\"(\w+)\", \w+, \"(\w+)\"", Path(file).read_text()) if file else None
    if named is None or module != f"{CAMPAIGNS}{named[1]}":
        raise ReadmeError(f"{module} is no campaign")
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option not in ("--seed", f"--{named[2]}") or not value.isdigit():
            raise ReadmeError(f"what is {option} {value}?")
    return []


def runs(words: list[str]) -> list[list[str]]:
    """The settings of every run that a command line asks for: several where it says `-m`."""
    if "--help" in words:
        return [[]]
    overrides = [word for word in words if "=" in word]
    flags = [word for word in words if "=" not in word]
    if set(flags) - {"-m", "--cfg", "job"}:
        raise ReadmeError(f"what is {' '.join(flags)}?")
    if "-m" not in flags:
        return [overrides]
    sweeps = [[f"{name}={value}" for value in values.split(",")] for name, _, values in map(_parted, overrides)]
    return [list(combination) for combination in itertools.product(*sweeps)]


def compose_all(wanted: Iterable[Run]) -> Iterator[str]:
    """What is wrong with the settings of some runs.

    Composing takes a third of a second, so runs of one command that share no section are composed together; only where
    that fails, each is composed alone.
    """
    bins: list[list[Run]] = []
    for run in sorted(set(wanted), key=lambda run: (run.module, -len(run.overrides), run.overrides)):
        fitting = (
            others
            for others in bins
            if entry(others[0].module) == entry(run.module) and not any(run.sections & one.sections for one in others)
        )
        others = next(fitting, None)
        if others is None:
            bins.append([run])
        else:
            others.append(run)
    for together in bins:
        if _explain_settings(Run(together[0].module, tuple(itertools.chain(*(run.overrides for run in together))))):
            yield from filter(None, map(_explain_settings, together))


def _explain_settings(run: Run) -> str | None:
    """What the command itself would say of its settings; None where it would start."""
    try:
        compose_settings(run.overrides, *entry(run.module))
    except InputError as error:
        return f"{run.module} {' '.join(run.overrides)}: {error}"
    return None


def _parted(override: str) -> tuple[str, str, str]:
    return override.partition("=")


@cache
def entry(module: str) -> tuple[type[Section], str]:
    """The type of a command's settings, and the file in config/ that it starts from."""
    spec = find_module(f"{module}.__main__") or find_module(module)
    if spec is None:
        raise ReadmeError(f"there is no command {module}")
    calls = [
        node
        for node in ast.walk(ast.parse(Path(spec).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run_entry"
    ]
    if len(calls) != 1:
        raise ReadmeError(f"{module} is no command")
    type_name, config_name = ast.unparse(calls[0].args[1]), ast.literal_eval(calls[0].args[2])
    name = module if not spec.endswith("__main__.py") else f"{module}.__main__"
    return getattr(importlib.import_module(name), type_name), config_name


def command_modules() -> list[str]:
    """Every module that `uv run -m` can start."""
    texts = {
        path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".").removesuffix(".__main__"): path
        for path in (*rooms_sources("rec_sys"), *rooms_sources("triton_utils"))
    }
    return sorted(name for name, path in texts.items() if "    run_entry(" in path.read_text(encoding="utf-8"))


def find_module(name: str) -> str | None:
    """The file of a module of this project, which is not imported for that."""
    path = REPOSITORY.joinpath(*name.split("."))
    found = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    return str(found) if found else None


def check_module(name: str) -> None:
    """Whether a dotted name is a module, or something that a module defines."""
    above, _, last = name.rpartition(".")
    if find_module(name) or REPOSITORY.joinpath(*name.split(".")).is_dir():
        return
    file = find_module(above)
    if file is None or not re.search(rf"^(?:class |def |async def )?{last}\b", Path(file).read_text(), re.MULTILINE):
        raise ReadmeError(f"there is no {name}")


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def _check_files(words: list[str]) -> None:
    for word in words:
        if not (REPOSITORY / word.partition("::")[0]).exists():
            raise ReadmeError(f"there is no {word}")


def _check_docker(words: list[str]) -> list[Run]:
    """`docker compose` with profiles, services and commands that the file has."""
    if words[0] != "compose":
        raise ReadmeError(f"docker {words[0]}?")
    profiles = {profile for service in compose().services.values() for profile in service.profiles}
    rest = words[1:]
    while rest[0] == "--profile":
        if rest[1] not in profiles:
            raise ReadmeError(f"docker-compose.yml has no profile {rest[1]}")
        rest = rest[2:]
    action, *rest = rest
    if action not in ("up", "run", "down"):
        raise ReadmeError(f"docker compose {action}?")
    services = [word for word in rest if not word.startswith("-")]
    if services and services[0] not in compose().services:
        raise ReadmeError(f"docker-compose.yml has no service {services[0]}")
    found = re.findall(r"python -m ([\w.]+)(.*)", " ".join(services[1:]))
    return [Run(module, tuple(overrides.split())) for module, overrides in found]


def check_variable(name: str) -> None:
    """Whether an environment variable is read by the code, the containers or the numeric libraries."""
    if name.endswith("_NUM_THREADS"):
        return
    files = [COMPOSE, REPOSITORY / "tests" / "conftest.py", *rooms_sources("rec_sys"), *rooms_sources("triton_utils")]
    if not any(name in path.read_text(encoding="utf-8") for path in files):
        raise ReadmeError(f"nothing reads the variable {name}")


@cache
def rooms_sources(room: str) -> tuple[Path, ...]:
    """The modules of a room and of those inside it."""
    return tuple((REPOSITORY / room).rglob("*.py"))


# ---- requests over HTTP ----


@cache
def client() -> TestClient:
    """The gateway over a recommender that needs no bundle."""
    return TestClient(create_application(ServingSettings(), ScriptedRecommender()), raise_server_exceptions=False)


def ask(words: list[str]) -> Any:
    """What the gateway answers to a `curl` command; users and products are replaced by one that it knows."""
    url, headers, body, method = "", {}, None, "GET"
    options = iter(words)
    for word in options:
        if word == "-H":
            name, _, value = next(options).partition(": ")
            headers[name] = value
        elif word == "-d":
            body, method = next(options), "POST" if method == "GET" else method
        elif word == "-X":
            method = next(options)
        elif word == "-s":
            continue
        elif word.startswith("http"):
            url = word
        else:
            raise ReadmeError(f"curl {word}?")
    parts = urlsplit(url)
    path = re.sub(r"/users/[^/]+", f"/users/{KNOWN_USER}", re.sub(r"/products/[^/]+/", "/products/p1/", parts.path))
    address = f"{path}?{parts.query}" if parts.query else path
    response = client().request(method, address, headers=headers, content=body)
    if response.status_code not in (200, 201, 204):
        raise ReadmeError(f"curl {address} is answered {response.status_code}: {response.text}")
    return response.json() if response.headers.get("content-type") == "application/json" else response.text


# ---- links and names ----


def broken_links(readme: Readme) -> Iterator[str]:
    """The targets of links and pictures that do not exist, headings included."""
    for target in LINK.findall(readme.prose):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (readme.path.parent / name).resolve() if name else readme.path
        if not path.exists() or (anchor and anchor not in headings(path)):
            yield target


def headings(path: Path) -> set[str]:
    """The anchors of a README's headings, as GitHub spells them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def unknown_names(readme: Readme) -> Iterator[str]:
    """Modules and files that the text names and that do not exist."""
    for name in MODULE.findall(readme.text):
        try:
            check_module(name)
        except ReadmeError:
            yield name
    for text in INLINE.findall(readme.prose):
        if PATH.fullmatch(text) and not (REPOSITORY / text).exists():
            yield text


def settings_named(readme: Readme) -> set[str]:
    """Settings in the text, such as `evaluation.refit=true`, each to be one of some command."""
    texts = (text.split() for text in INLINE.findall(readme.prose))
    return {word for words in texts if all(map(SETTING.fullmatch, words)) for word in words}


def setting_names(section: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every dotted setting of a section, whichever of its kinds is chosen."""
    for name, field in section.model_fields.items():
        yield f"{above}{name}"
        for kind in sections_in(field.annotation):
            yield from setting_names(kind, f"{above}{name}.")


@cache
def is_setting(setting: str) -> bool:
    """Whether a command has this setting, or the gateway takes it in an address."""
    name, _, value = setting.partition("=")
    if (field := SimilarQuestion.model_fields.get(name)) and (name != "by" or value in get_args(field.annotation)):
        return True
    if (CONFIG_DIR / name).is_dir():
        return (CONFIG_DIR / name / f"{value}.yaml").is_file()
    return any(name in setting_names(entry(module)[0]) for module in command_modules())
