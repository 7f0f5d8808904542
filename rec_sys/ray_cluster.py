"""Work on a Ray cluster: blocks go out to actors, results come back as they are done, in whatever order.

An actor that dies is started again and given its block anew; what has come back is never asked for twice.
"""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError
from rec_sys.settings import EngineSettings

if TYPE_CHECKING:
    import pyarrow

_LOG: Final = logging.getLogger(__name__)
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "ERROR",
}
_ANSWER_SECONDS: Final = 5.0
_RETRIES: Final = 3  # of a block whose actor dies; one that kills every actor is given up


@contextmanager
def connected(engine: EngineSettings, on_gpus: bool) -> Iterator[int]:
    """Holds a connection to the cluster; yields how many actors are to work there.

    Raises:
        InputError: Ray is not installed, the cluster does not answer, or it has too few devices free.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        import ray.data
    except ImportError as error:
        remedy = "uv sync --group ray, or pip install 'ray[data]'"
        raise InputError("Ray is not installed", where="setting engine=ray", remedy=remedy) from error

    was_connected = ray.is_initialized()
    # Ray prints on standard output, which is the command's own.
    with redirect_stdout(sys.stderr):
        try:
            if not was_connected:
                _prove_open(engine.address)
                ray.init(engine.address, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"no Ray cluster answers: {str(error).splitlines()[0]}",
                where=f"setting engine.address={engine.address}",
                remedy="start one with `ray start --head`, or give the address of its head",
            ) from error
        try:
            cluster: Any = ray  # which types neither of these
            yield count_actors(engine, cluster.cluster_resources(), cluster.available_resources(), on_gpus)
        finally:
            if not was_connected:
                ray.shutdown()


def _prove_open(address: str) -> None:
    """Ray itself asks a closed address for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()


def count_actors(engine: EngineSettings, whole: dict[str, float], free: dict[str, float], on_gpus: bool = False) -> int:
    """How many actors are to work, of which each holds a CPU, and a GPU where they work `on_gpus`.

    Raises:
        InputError: More are asked for than are free, less the CPU that reads. Ray would wait for ever without a word.
    """
    cpus, most = int(whole.get("CPU", 0)), int(free.get("CPU", 0)) - 1
    what = f"{int(free.get('CPU', 0))} of its {cpus} CPUs are free, one of which must be left to read"
    if on_gpus:
        gpus = int(free.get("GPU", 0))
        what += f", and {gpus} of its {int(whole.get('GPU', 0))} GPUs"
        most = min(most, gpus)
    more = "add machines with `ray start --address=...`"
    if most < 1 or (engine.actors or 1) > most:
        asked = f"{engine.actors or 1} actor{'s do' if (engine.actors or 1) > 1 else ' does'}"
        raise InputError(
            f"{asked} not fit the Ray cluster: {what}",
            where=f"setting engine.actors={'null' if engine.actors is None else engine.actors}",
            remedy=f"set engine.actors={most}, or {more}" if most >= 1 else more,
        )
    return engine.actors or most


def work_through(
    blocks: "Iterable[pyarrow.Table]", worker: type, arguments: tuple[Any, ...], actors: int, on_gpus: bool = False
) -> "Iterator[pyarrow.Table]":
    """Yields what the workers make of blocks, as it is done.

    Args:
        blocks: Tables, each given to a worker whole.
        worker: A class whose objects take a table and return one; each actor makes one.
        arguments: It is made with.
        actors: How many.
        on_gpus: Each with a GPU of its own.

    Raises:
        InputError: As a worker raised it; or the actors of one block died again and again.
    """
    import ray.data
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    with warnings.catch_warnings(action="ignore"):  # no other argument bounds the retries yet
        done = ray.data.from_arrow(list(blocks)).map_batches(
            worker,
            fn_constructor_args=arguments,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
            num_gpus=1 if on_gpus else 0,
            max_task_retries=_RETRIES,
        )
    try:
        yield from done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, InputError):
            raise InputError(cause.what, where=cause.where, remedy=cause.remedy) from error
        raise InputError(
            f"the Ray cluster could not finish: {str(error).strip().splitlines()[-1]}",
            where="engine=ray",
            remedy="see its logs; the same command goes on from what is done",
        ) from error
