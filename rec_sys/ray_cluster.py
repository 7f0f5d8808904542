"""Work on a Ray cluster: blocks go out to actors, results come back as they are done, in whatever order.

The block of an actor that dies, or whose machine does, goes to another; what has come back is never asked for twice.
Neither Ray Data nor Ray's own pool of actors does it: the one takes four times as long to start and says a worker's
error in words of its own, the other leaves the block of a lost machine, and Ray then waits for ever.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any, Final, TypeVar

from rec_sys.bundle import hash_code
from rec_sys.contracts import InputError
from rec_sys.settings import EngineSettings

Block = TypeVar("Block")
Result = TypeVar("Result")

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage is reported
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # the first one is raised
}
_ANSWER_SECONDS: Final = 5.0
_LEAVING_SECONDS: Final = 5.0  # until the CPUs of actors that are gone are said to be free
_LOOKED_EVERY: Final = 0.2
_RETRIES: Final = 3  # of a block whose actor dies; one that kills every actor is given up


@contextmanager
def connected(engine: EngineSettings, on_gpus: bool) -> Iterator[int]:
    """Holds a connection to the cluster; yields how many actors are to work there.

    Raises:
        InputError: Ray is not installed, the cluster does not answer, or it has too few devices free.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        import ray
    except ImportError as error:
        remedy = "uv sync --group ray, or pip install ray"
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
            yield _count_when_free(engine, on_gpus)
        finally:
            if not was_connected:
                ray.shutdown()


def _prove_open(address: str) -> None:
    """Ray itself asks a closed address for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()


def _count_when_free(engine: EngineSettings, on_gpus: bool) -> int:
    """`count_actors` as soon as those of the step before are gone."""
    import ray

    cluster: Any = ray  # which types neither of these
    whole = cluster.cluster_resources()
    count_actors(engine, whole, whole, on_gpus)
    until = time.monotonic() + _LEAVING_SECONDS
    while True:
        try:
            return count_actors(engine, whole, cluster.available_resources(), on_gpus)
        except InputError:
            if time.monotonic() > until:
                raise
        time.sleep(_LOOKED_EVERY)


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


class _Actor:
    """A worker that is made with its first block, so that what is wrong with it is raised as any other error."""

    def __init__(self, worker: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], code: str) -> None:
        self._worker, self._arguments, self._code = worker, arguments, code
        self._made: Callable[[Any], Any] | None = None

    def work(self, block: Any) -> Any:
        if self._made is None:
            if hash_code() != self._code:
                raise InputError(
                    "a machine of the Ray cluster has another version of this project",
                    where=socket.gethostname(),
                    remedy="install the same one there, and start Ray there anew",
                )
            self._made = self._worker(*self._arguments)
        return self._made(block)


def work_through(
    blocks: Iterable[Block],
    worker: Callable[..., Callable[[Block], Result]],
    arguments: tuple[Any, ...],
    actors: int,
    on_gpus: bool = False,
) -> Iterator[tuple[int, Result]]:
    """Yields the place of each block, counted from 0, and what a worker makes of it, as it is done.

    Args:
        blocks: Each is given to a worker whole; they are taken when an actor is free.
        worker: Makes a worker of the arguments; each actor makes one.
        arguments: For it.
        actors: How many.
        on_gpus: Each with a GPU of its own.

    Raises:
        InputError: As a worker raised it; or the actors of one block died again and again.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    actor_of: Any = ray.remote(num_cpus=1, num_gpus=1 if on_gpus else 0)(_Actor)
    start = partial(actor_of.remote, worker, arguments, hash_code())
    free = [start() for _ in range(actors)]
    at_work: dict[Any, tuple[Any, int, Block, int]] = {}
    lost: list[tuple[int, Block, int]] = []
    coming = ((place, block, 0) for place, block in enumerate(blocks))

    def give() -> None:
        while free and (given := lost.pop() if lost else next(coming, None)) is not None:
            actor, (place, block, deaths) = free.pop(), given
            at_work[actor.work.remote(block)] = actor, place, block, deaths
        while free:  # there is no block for it, and one that takes the place of a dead one may want its CPU
            ray.kill(free.pop())

    try:
        give()
        while at_work:
            (done, *_), _ = ray.wait([*at_work])
            actor, place, block, deaths = at_work[done]
            try:
                result = ray.get(done)
            except RayError as error:
                if isinstance(error, RayTaskError) or deaths == _RETRIES:
                    raise _explained(error) from error
                ray.kill(actor)  # a machine that cannot be reached may be at it still
                del at_work[done]
                lost.append((place, block, deaths + 1))
                free.append(start())
                give()
                continue
            del at_work[done]
            free.append(actor)
            give()  # before anything is done with the result
            yield place, result
    finally:
        for actor in [*free, *(actor for actor, *_ in at_work.values())]:
            ray.kill(actor)


def _explained(error: Exception) -> InputError:
    """What a worker said, or that its actor died too often."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, InputError):
        return InputError(cause.what, where=cause.where, remedy=cause.remedy)
    return InputError(
        f"the Ray cluster could not finish: {str(error).strip().splitlines()[-1]}",
        where="engine=ray",
        remedy="see its logs; the same command goes on from what is done",
    )
