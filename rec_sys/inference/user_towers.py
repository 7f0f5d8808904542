"""Where the user tower runs: in this process or behind Triton, with equal answers."""

import asyncio
import threading
from operator import attrgetter
from typing import Any, Final

import onnxruntime
from cachetools import LRUCache, cachedmethod

from rec_sys.contracts import ServedModel, TowerTensor
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.triton_models import TritonModels
from rec_sys.vector_database.catalogue import FloatArray

TowerAnswer = tuple[FloatArray, FloatArray]
"""User vectors, float32 `[batch, dim]`, and the weights of the reviews, float32 `[batch, length]`."""

_OUTPUTS: Final = [TowerTensor.USER_VECTOR, TowerTensor.REVIEW_WEIGHTS]
_QUICK: Final = 512  # places of a block, padding included, that are done before a thread could take them over
_KEPT: Final = 2  # sessions: of the bundle served and of the one that a rollback goes to


class TowerInProcess:
    """The exported tower on onnxruntime, with `num_threads` for a block; 0 = every core."""

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._sessions: LRUCache[str, Any] = LRUCache(_KEPT)
        self._lock = threading.Lock()

    async def read(self, served: ServedBundle, inputs: dict[str, FloatArray]) -> TowerAnswer:
        """Reads a block of users with the tower of a bundle.

        Raises:
            InputError: The bundle has no exported tower.
        """
        if inputs[TowerTensor.MASK].size <= _QUICK:
            return self._run(served, inputs)
        return await asyncio.to_thread(self._run, served, inputs)

    def _run(self, served: ServedBundle, inputs: dict[str, FloatArray]) -> TowerAnswer:
        vectors, weights = self.session(served).run(_OUTPUTS, inputs)
        return vectors, weights

    def label(self) -> str:
        """Where it runs, for answers."""
        return "in_process"

    # The lock is held while the cache is looked at, not while a tower is opened.
    @cachedmethod(attrgetter("_sessions"), key=lambda self, served: served.identity, lock=attrgetter("_lock"))
    def session(self, served: ServedBundle) -> Any:
        """The bundle's tower, opened once.

        Raises:
            InputError: The bundle has no exported tower, or it is damaged.
        """
        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._num_threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = served.user_tower()
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise served.damaged_tower(f"onnxruntime cannot open the user tower ({error})") from error


class TowerInTriton:
    """The tower behind Triton."""

    def __init__(self, models: TritonModels) -> None:
        self._models = models
        self._version = "?"

    async def read(self, served: ServedBundle, inputs: dict[str, FloatArray]) -> TowerAnswer:
        """Reads a block of users with the tower of a bundle.

        Raises:
            ServingUnavailable: Triton is away, or does not serve the towers of this bundle.
        """
        found = await self._models.infer(ServedModel.USER_TOWER, served.identity, inputs)
        self._version = await self._models.version(ServedModel.USER_TOWER, served.identity)
        return found[TowerTensor.USER_VECTOR], found[TowerTensor.REVIEW_WEIGHTS]

    def label(self) -> str:
        """Where it runs, for answers: with the version asked last."""
        return f"triton, version {self._version}"
