"""Where MLflow keeps its runs, and whether it can: found out before long work, without MLflow's import of seconds."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import httpx

from rec_sys.contracts import InputError
from rec_sys.settings import Address, TrackingSettings

DATABASE: Final = "mlflow.db"
ARTIFACTS: Final = "mlflow-artifacts"
_DATABASES: Final = ("postgresql", "mysql", "mssql")  # servers that MLflow keeps its runs in
_BUSY_SECONDS: Final = 20.0  # as long as MLflow waits for another process's write
NO_ANSWER: Final = (sqlite3.Error, httpx.HTTPError, httpx.InvalidURL, OSError, ModuleNotFoundError)


def prove_trackable(settings: TrackingSettings, output_dir: Path) -> None:
    """Finds out whether a run could be recorded: before long work, and without MLflow's import.

    Raises:
        InputError: The address does not answer, or its database or its experiment cannot be used.
    """
    if not settings.enabled:
        return
    given = settings.uri.get_secret_value() if settings.uri else None
    database = database_path(given, output_dir)
    with explained(f"sqlite:///{database}" if database else str(given), NO_ANSWER):
        if database is None:
            ask_server(given)
        elif database.exists():
            with open_database(database) as connection:
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone() is None:
                    return  # MLflow fills it
                asked = "SELECT lifecycle_stage, artifact_location FROM experiments WHERE name = ?"
                for stage, stored in connection.execute(asked, (settings.experiment,)):
                    refuse_experiment(settings.experiment, stage, Path(stored), database)


def database_path(uri: str | None, output_dir: Path) -> Path | None:
    """The absolute path of a SQLite database; None where the address is not one."""
    if uri and re.fullmatch("sqlite:/*(:memory:)?", uri):
        raise InputError(
            "a database in memory would keep no run",
            where=f"setting tracking.uri: {uri}",
            remedy="give sqlite:///path, leave it out for mlflow.db in output_dir, or set tracking=none",
        )
    if uri and not uri.startswith("sqlite:///"):
        return None
    path = (Path(uri.removeprefix("sqlite:///")) if uri else output_dir / DATABASE).absolute()
    if re.search("[%?#]", str(path)):
        raise InputError(
            "MLflow cannot keep its database under a name with %, ? or #",
            where=str(path),
            remedy="choose another output_dir, or set tracking=none",
        )
    return path


def ask_server(uri: str | None) -> None:
    """MLflow itself would repeat an unanswered request, or a connection that is refused, for minutes."""
    if uri is not None and uri.startswith(("http://", "https://")):
        httpx.get(f"{uri.rstrip('/')}/health", timeout=5, follow_redirects=True)
    elif uri is not None and uri.startswith(_DATABASES):
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError

        try:
            engine = create_engine(uri)
            engine.connect().close()
            engine.dispose()
        except SQLAlchemyError as error:
            raise ConnectionError(str(getattr(error, "orig", None) or error)) from error


@contextmanager
def open_database(database: Path) -> Iterator[sqlite3.Connection]:
    """MLflow would try for minutes to open what is no database, or what may not be written."""
    with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
        yield connection


def refuse_experiment(name: str, stage: str, stored: Path, database: Path | None) -> None:
    """Refuses an experiment that is deleted, or whose files stay where its database was copied from."""
    if stage != "active":
        raise InputError(
            f"the experiment {name} was deleted",
            where="setting tracking.experiment",
            remedy="restore it in MLflow, or choose another name with tracking.experiment=...",
        )
    if database and stored.name == ARTIFACTS and stored.resolve() != (database.parent / ARTIFACTS).resolve():
        raise InputError(
            f"the experiment {name} keeps its files in {stored}: its database was moved or copied",
            where=str(database),
            remedy="choose another experiment with tracking.experiment=..., or another output_dir",
        )


@contextmanager
def explained(uri: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Every way in which an address can fail to answer, as one message."""
    try:
        yield
    except errors as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"MLflow cannot be used: {reason[0]}",
            where=f"tracking address {Address(uri)}",
            remedy="mend the address (tracking.uri) or its database, or do without it: tracking=none",
        ) from error
