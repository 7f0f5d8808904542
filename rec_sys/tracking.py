"""The only room that knows MLflow: one run, from its settings to its pictures, in a database of the user's own.

MLflow is imported when a run starts, never before: the import takes seconds, and its telemetry, its start messages
and its look for git must be turned off first. Nothing leaves the machine unless `tracking.uri` names a server.
"""

import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from rec_sys.contracts import BundleFile, InputError
from rec_sys.files import atomic_file, explain_disk_errors
from rec_sys.locks import hold_lock
from rec_sys.settings import TrackingSettings
from rec_sys.tracking_address import (
    ARTIFACTS,
    NO_ANSWER,
    ask_server,
    database_path,
    explained,
    open_database,
    refuse_experiment,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_SETTING_LENGTH: Final = 500  # characters
SYSTEM_METRICS_SECONDS: Final = 2.0  # a run on the sample lasts a minute; MLflow's own 10 s would show six points
_MOST_PARAMS_A_REQUEST: Final = 100  # MLflow refuses more
_LOCK_SECONDS: Final = 300.0  # the first process needs some seconds for the migration
_LEGAL_METRIC: Final = re.compile(r"[\w\-. /:]+")
_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

_log = logging.getLogger(__name__)


class Tracker:
    """One MLflow run, from `with` to its end; with `tracking.enabled=false` the same calls do nothing.

    An exception ends the run as FAILED, an interruption as KILLED, all else as FINISHED. With `uri` empty the database
    is `output_dir`/mlflow.db and the artifacts are in `output_dir`/mlflow-artifacts; the folder is made when missing.
    """

    def __init__(self, settings: TrackingSettings, output_dir: Path, run_name: str) -> None:
        self._settings = settings
        self._run_name = run_name
        self._folder = output_dir
        given = settings.uri.get_secret_value() if settings.uri else None
        self._database = database_path(given, output_dir) if settings.enabled else None
        self._client: MlflowClient | None = None
        self._monitor: Any = None
        self.uri = f"sqlite:///{self._database}" if self._database else given
        self.run_id: str | None = None
        self.num_skipped = 0  # metric values that were not finite

    def __enter__(self) -> Self:
        """Starts the run.

        Raises:
            InputError: The tracking address does not answer, or its database cannot be used.
        """
        if self._settings.enabled:
            with _explained_failures(str(self.uri)):
                self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run; a failure to do so never hides the error that ended the training."""
        if self._client is None or self.run_id is None:
            return
        from mlflow.exceptions import MlflowException

        if self._monitor is not None:
            self._monitor.finish()
        try:
            if self.num_skipped:
                self.set_tags({"skipped_metric_values": self.num_skipped})
            self._client.set_terminated(self.run_id, status=_final_status(error))
        except (MlflowException, InputError) as failure:
            if error is None:
                raise
            _log.warning("MLflow could not end run %s: %s", self.run_id, failure)
        finally:
            self._client = None

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Nested settings, flattened with dots; values beyond 500 characters are cut."""
        if not self._settings.enabled:
            return
        from mlflow.entities import Param

        params = [Param(key, _shorten(value)) for key, value in _flatten(settings)]
        for start in range(0, len(params), _MOST_PARAMS_A_REQUEST):
            self._log_batch(params=params[start : start + _MOST_PARAMS_A_REQUEST])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers of one step (an epoch); values that are not finite are left out and counted.

        Raises:
            ValueError: MLflow would refuse a name (`ndcg@10`).
        """
        illegal = [name for name in metrics if not _LEGAL_METRIC.fullmatch(name)]
        if illegal:
            raise ValueError(f"MLflow takes letters, digits and _ - . / : in a metric's name, so not {illegal}")
        if not self._settings.enabled:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = [Metric(name, float(value), now, step) for name, value in metrics.items() if math.isfinite(value)]
        self.num_skipped += len(metrics) - len(finite)
        self._log_batch(metrics=finite)

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Copies a folder, as the bundle, to the run's artifacts."""
        if self._settings.enabled:
            with self._running() as (client, run_id):
                client.log_artifacts(run_id, str(path), artifact_path)

    def log_picture(self, path: Path) -> None:
        """Copies a picture to the run's `pictures` folder."""
        if self._settings.enabled:
            with self._running() as (client, run_id):
                client.log_artifact(run_id, str(path), BundleFile.PICTURES)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Words to find the run by."""
        if not self._settings.enabled:
            return
        from mlflow.entities import RunTag

        self._log_batch(tags=[RunTag(name, str(value)) for name, value in tags.items()])

    def _log_batch(self, **entities: Any) -> None:
        with self._running() as (client, run_id):
            client.log_batch(run_id, **entities)

    @contextmanager
    def _running(self) -> Iterator[tuple["MlflowClient", str]]:
        if self._client is None or self.run_id is None:
            raise RuntimeError("the run is not open: use the tracker inside its with block")
        with explain_disk_errors(self._folder):
            yield self._client, self.run_id

    def _start(self) -> None:
        ask_server(self.uri)
        if self._database is None:
            client, experiment_id = self._connect(artifacts=None)
        else:
            with _brought_up_to_date(self._database):
                client, experiment_id = self._connect(artifacts=self._database.parent / ARTIFACTS)
        run = client.create_run(experiment_id, run_name=self._run_name, tags={"mlflow.source.name": "rec_sys"})
        self._client, self.run_id = client, run.info.run_id
        if self._settings.system_metrics:
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor: Any = SystemMetricsMonitor  # MLflow leaves it untyped
            self._monitor = monitor(self.run_id, SYSTEM_METRICS_SECONDS, tracking_uri=self.uri)
            self._monitor.start()

    def _connect(self, artifacts: Path | None) -> tuple["MlflowClient", str]:
        """The client and the experiment's id; the experiment is made when it is missing."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.uri)
        name = self._settings.experiment
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            return client, client.create_experiment(name, artifact_location=str(artifacts) if artifacts else None)
        refuse_experiment(name, experiment.lifecycle_stage, Path(experiment.artifact_location), self._database)
        return client, experiment.experiment_id


@contextmanager
def connected(settings: TrackingSettings, output_dir: Path) -> Iterator["MlflowClient"]:
    """MLflow's client, for what belongs to no run.

    Raises:
        InputError: The tracking address does not answer, or what is asked inside the block fails.
    """
    given = settings.uri.get_secret_value() if settings.uri else None
    database = database_path(given, output_dir)
    uri = f"sqlite:///{database}" if database else given
    with _explained_failures(str(uri)):
        from mlflow import MlflowClient

        ask_server(uri)
        if database is not None:
            with _brought_up_to_date(database):
                pass
        yield MlflowClient(tracking_uri=uri)


@contextmanager
def _explained_failures(uri: str) -> Iterator[None]:
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with explained(uri, (MlflowException, SQLAlchemyError, CommandError, *NO_ANSWER)):
        yield


@contextmanager
def _brought_up_to_date(database: Path) -> Iterator[None]:
    lock = database.with_name(f"{database.name}.lock")
    busy = "another process keeps MLflow's database to itself", "end it, or add tracking.enabled=false"
    with hold_lock(lock, timeout=_LOCK_SECONDS, busy=busy):
        _migrate(database)
        yield


def _migrate(database: Path) -> None:
    """Brings the database to MLflow's current schema; the caller holds the lock.

    Processes that start together on a fresh file would run the same migration twice and leave it broken. A new file
    is migrated under another name first, so that a killed migration leaves nothing behind.
    """
    from mlflow.db import upgrade

    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not database.exists():
        with atomic_file(database) as unfinished:
            upgrade.main([f"sqlite:///{unfinished}"], standalone_mode=False)
        return
    with open_database(database):
        pass
    upgrade.main([f"sqlite:///{database}"], standalone_mode=False)


def _final_status(error: BaseException | None) -> str:
    interrupted = error
    if isinstance(error, SystemExit):
        # Lightning answers an interruption with exit(1); what it answered stays behind as the context.
        if error.code in (None, 0):
            return "FINISHED"
        interrupted = error.__context__
    if isinstance(interrupted, KeyboardInterrupt):
        return "KILLED"
    return "FINISHED" if error is None else "FAILED"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shorten(value: object) -> str:
    text = str(value) if isinstance(value, str | Path) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SETTING_LENGTH else text[: MAX_SETTING_LENGTH - 1] + "…"
