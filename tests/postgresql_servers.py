"""A real PostgreSQL server for tests: the one whose address is given, or one of this machine, started and stopped."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    programs = _programs()
    if programs is None:
        pytest.skip(f"PostgreSQL is not installed, and {ADDRESS} names no server")
    # Not below pytest's own folder: the path of a socket is short, and the server's user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to be run by root
    folder.chmod(0o755)
    if user is not None:
        shutil.chown(folder, user)

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    try:
        call("initdb", "-A", "trust", "-U", _USER, "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"  # no power fails during a test
        call("pg_ctl", "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql://{_USER}@/postgres?host={folder}"
        finally:
            call("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def hung(server: str) -> Iterator[None]:
    """A server of ours stands still: it keeps its connections, takes new ones, and answers nothing."""
    folder = Path(server.rpartition("host=")[2])
    postmaster = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
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


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = sorted(Path("/").glob(_FOLDERS.removeprefix("/")))
    return folders[-1] if folders else None
