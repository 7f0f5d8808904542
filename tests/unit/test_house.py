"""Habits of the house that no linter knows: how long a module is, what it is called, what no file may name."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("rec_sys", "triton_utils")
LONGEST_MODULE = 300
# Put together here, so that this file does not name what it looks for.
REGISTRY_HOSTS = [
    f"{name}.{ending}"
    for name, ending in (
        ("pypi", "org"),
        ("python" + "hosted", "org"),
        ("pypi.nvidia", "com"),
        ("download.pytorch", "org"),
        ("npm" + "js", "org"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("proxy.golang", "org"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.})>-])/(?:home/[a-z_][\w-]*|root/|tmp/|work/)")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


def source_files() -> list[Path]:
    return sorted(path for folder in SOURCE_FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))


@cache
def project_files() -> list[Path]:
    """What is or could be committed: everything that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode()
    except (FileNotFoundError, subprocess.CalledProcessError):
        # An unpacked archive has no history; what tools and commands leave behind starts with a dot or is outputs/.
        inside = (path for path in REPOSITORY.rglob("*") if path.is_file())
        hidden = re.compile(r"(^|/)(\.(?!ci/|gitignore|pre-commit|github/)|__pycache__|outputs/)")
        return sorted(path for path in inside if not hidden.search(path.relative_to(REPOSITORY).as_posix()))
    return sorted(path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file())


def text_of(path: Path) -> str:
    """The file as text; empty for pictures and other binary files."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="ignore")


def registry_hosts_in(text: str) -> list[str]:
    variables = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX")
    given = (
        urlsplit(url.rpartition("=")[2]).hostname for name in variables for url in os.environ.get(name, "").split()
    )
    hosts = {*REGISTRY_HOSTS, *given} - {None, "localhost", "127.0.0.1"}
    return sorted(host for host in hosts if host and host in text)


def unexplained_length(text: str) -> int | None:
    """The number of lines of a module that is too long and does not say why in its first line."""
    lines = text.splitlines()
    says_why = bool(lines) and re.search(r"\b(because|long(er)?|lines)\b", lines[0], re.IGNORECASE)
    return len(lines) if len(lines) > LONGEST_MODULE and not says_why else None


def test_no_file_names_the_host_of_a_package_registry() -> None:
    # The lock names the public registry because uv writes it there.
    files = [path for path in project_files() if path.name != "uv.lock"]
    assert len(files) > 20
    assert {str(path): hosts for path in files if (hosts := registry_hosts_in(text_of(path)))} == {}


def test_no_file_names_a_path_of_one_machine() -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}:{number}": line.strip()
        for path in project_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if MACHINE_PATH.search(line)
    }
    assert found == {}


def test_a_module_longer_than_others_says_why_in_its_first_line() -> None:
    lengths = {str(path.relative_to(REPOSITORY)): unexplained_length(text_of(path)) for path in source_files()}
    assert len(lengths) > 10
    assert {path: length for path, length in lengths.items() if length} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    parts = {(path, part) for path in source_files() for part in path.relative_to(REPOSITORY).with_suffix("").parts}
    assert [(str(path), part) for path, part in parts if part in VAGUE_NAMES] == []


@pytest.mark.parametrize("host", REGISTRY_HOSTS)
def test_a_registry_host_would_be_found(host: str) -> None:
    assert registry_hosts_in(f"see https://files.{host}/simple") == [host]


def test_the_host_of_the_registry_in_use_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "https://name:secret@mirror.example.net:8080/simple")
    assert registry_hosts_in("index = mirror.example.net") == ["mirror.example.net"]


@pytest.mark.parametrize("parts", [("home", "ada", "data"), ("root", ".cache"), ("tmp", "x"), ("work", "main")])
def test_a_path_of_one_machine_would_be_found(parts: tuple[str, ...]) -> None:
    path = "".join(f"/{part}" for part in parts)
    assert MACHINE_PATH.search(path)
    assert MACHINE_PATH.search(f'open("{path}")')
    assert not MACHINE_PATH.search(f"https://example.org{path}")
    assert not MACHINE_PATH.search(f"outputs{path}")


def test_an_unexplained_long_module_would_be_found() -> None:
    body = "\n" * LONGEST_MODULE
    assert unexplained_length(f'"""Reads reviews."""{body}') is None
    assert unexplained_length(f'"""Reads reviews.\n"""{body}x') == LONGEST_MODULE + 2
    assert unexplained_length(f'"""One table of constants, long because it stands in one place."""{body}x') is None
    assert unexplained_length('"""Reads reviews."""') is None
