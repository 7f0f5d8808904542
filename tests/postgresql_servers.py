"""A real PostgreSQL server for tests: the one whose address is given, or one of this machine, started and stopped."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

ADDRESS = "POSTGRESQL_URL"  # of the environment: a server on which databases may be made
_FOLDERS = "/usr/lib/postgresql/*/bin"  # Debian keeps them out of PATH
_USER = "rec_sys"


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The address of a running server; skips the test where there is none."""
    given = os.environ.get(ADDRESS)
    if given:
        yield given
        return
    if not is_installed():
        pytest.skip(f"PostgreSQL is not installed, and {ADDRESS} names no server")
    # Not below pytest's own folder: the path of a socket is short, and the server's user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o755)
    if (user := _server_user()) is not None:
        shutil.chown(folder, user)
    try:
        _call(folder, "initdb", "-A", "trust", "-U", _USER, "--no-sync")
        with (folder / "data" / "postgresql.conf").open("a") as settings:  # no power fails during a test
            settings.write(f"unix_socket_directories = '{folder}'\nlisten_addresses = ''\nfsync = off\n")
        _call(folder, "pg_ctl", "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql://{_USER}@/postgres?host={folder}"
        finally:
            _call(folder, "pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_installed() -> bool:
    """Whether a server can be started here."""
    return _programs() is not None


def processes_of(server: str) -> list[psutil.Process]:
    """All processes of a server of ours, the first of which has started the others."""
    folder = _folder(server)
    postmaster = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    return [postmaster, *postmaster.children()]


def kill_and_restart(server: str) -> None:
    """Ends a server of ours as a loss of power would, and starts it again."""
    for process in processes_of(server):
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(10)
    folder = _folder(server)
    _call(folder, "pg_ctl", "-l", str(folder / "log"), "-w", "start")


@contextmanager
def hung(server: str) -> Iterator[None]:
    """A server of ours stands still: it keeps its connections, takes new ones, and answers nothing."""
    postmaster = processes_of(server)[0]
    stopped = [postmaster]
    postmaster.suspend()
    for child in postmaster.children():
        child.suspend()
        stopped.append(child)
    try:
        yield
    finally:
        for process in reversed(stopped):
            process.resume()


def new_database(server: str) -> str:
    """The address of an empty database on a server."""
    url, name = make_url(server.replace("postgresql://", "postgresql+psycopg://", 1)), f"test_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)


def _folder(address: str) -> Path:
    """Of a server of ours, from its address or that of a database on it."""
    return Path(unquote(address.rpartition("host=")[2]))


def _call(folder: Path, program: str, *arguments: str) -> None:
    programs = _programs()
    assert programs is not None
    command = [str(programs / program), "-D", str(folder / "data"), *arguments]
    subprocess.run(command, check=True, user=_server_user(), cwd=folder, stdout=subprocess.DEVNULL, timeout=120)


def _server_user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None  # the server refuses to be run by root


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = sorted(Path("/").glob(_FOLDERS.removeprefix("/")))
    return folders[-1] if folders else None
