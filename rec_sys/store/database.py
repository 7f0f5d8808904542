"""The store's database: SQLite in a file of its own, or a PostgreSQL server; opened, migrated, its errors explained."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rec_sys.contracts import InputError
from rec_sys.files import writable_folder
from rec_sys.settings import Address, StoreSettings
from rec_sys.store.messages import StoreUnavailable
from rec_sys.store.tables import METADATA

FILE: Final = "store.db"
NEWEST: Final = "a1"  # the last step of `migrations`
_BUSY_SECONDS: Final = 20
_CACHED_KB: Final = 256  # of SQLite's file by each connection
_MIGRATION_LOCK: Final = 7_265_632_773  # any number that is not somebody else's in the same database
_WRITES: Final = "writes"


def open_engine(settings: StoreSettings, output_dir: Path) -> tuple[Engine, str]:
    """The database and how messages call it.

    Raises:
        InputError: The address is none, or its driver is missing.
        StoreUnavailable: It does not answer.
    """
    if settings.url is None:
        path = writable_folder(output_dir, "store.url") / FILE
        url, shown = f"sqlite:///{path.absolute()}", str(path.absolute())
    else:
        url, shown = settings.url.get_secret_value(), str(settings.url)
    # psycopg 3, whatever of PostgreSQL's usual spellings is given.
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise InputError(
                f"{parsed.get_backend_name()} is no database that the store can use",
                where="setting store.url",
                remedy="give sqlite:///path or postgresql://user@host/database",
            )
        if parsed.get_backend_name() == "sqlite" and _in_memory(parsed):
            raise InputError(
                "a database in memory keeps nothing, and each connection would have one of its own",
                where=f"setting store.url: {shown}",
                remedy="give sqlite:///path, leave it out for store.db in output_dir, or set store=none",
            )
        engine = create_engine(parsed, **_options(parsed.get_backend_name()))
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(
            "this is no address of a database",
            where=f"setting store.url: {shown}",
            remedy="give sqlite:///path or postgresql://user@host/database",
        ) from error
    except ModuleNotFoundError as error:
        raise InputError(
            f"the driver {error.name} is not installed",
            where=f"setting store.url: {shown}",
            remedy="install it: uv sync --extra postgresql",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with explained(shown):
        migrate(engine, shown)
    return engine, shown


def writing(engine: Engine) -> Engine:
    """The same database for transactions that write: they follow one another."""
    return engine.execution_options(**{_WRITES: True})


def migrate(engine: Engine, shown: str) -> None:
    """Brings the tables to the newest step; a database that is there already costs one question.

    Raises:
        InputError: A newer version of this software has made it.
    """
    with engine.connect() as connection:
        if _step(connection) == NEWEST:
            return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with (
        writing(engine).begin() as connection,
        EnvironmentContext(config, script, fn=lambda at, _: script._upgrade_revs("head", at)) as steps,
    ):
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        steps.configure(connection=connection, target_metadata=METADATA)
        try:
            steps.run_migrations()
        except CommandError as error:
            raise InputError(
                "the store was made by a newer version of this software",
                where=shown,
                remedy="update this one, or choose another store with store.url=...",
            ) from error


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Every way in which a database can fail, as one message.

    Raises:
        StoreUnavailable: It does.
    """
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        raise StoreUnavailable(
            f"the store does not answer: {Address(reason[0])}",
            where=shown,
            remedy="see whether the database is there, takes connections and has room; then try again",
        ) from error


def _in_memory(url: URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _options(backend: str) -> dict[str, Any]:
    if backend == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS, "check_same_thread": False}}
    return {"pool_pre_ping": True, "pool_timeout": _BUSY_SECONDS, "connect_args": {"connect_timeout": 5}}


def _step(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions on its own, and too late to keep order
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # what was acknowledged survives a power failure
    cursor.execute("PRAGMA secure_delete=ON")  # what was forgotten is overwritten
    cursor.execute(f"PRAGMA cache_size=-{_CACHED_KB}")  # each connection keeps its own; the newest pages are asked for
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
