"""Asks the models of a Triton server over gRPC: any number of rows, of any length, checked before they are sent."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import np_to_triton_dtype

from rec_sys.contracts import InputError
from triton_utils.connection import TritonConnection
from triton_utils.model_requests import (
    Arrays,
    ModelDescription,
    check_inputs,
    cut_rows,
    describe,
    fit_length,
    length_of,
    restore_length,
)

_PARTS_AT_ONCE: Final = 4


class TritonClient:
    """A connection to one server, for one event loop.

    Args:
        url: `host:port` of the server's gRPC protocol; of several that serve the same models, with commas between.
        deadline_seconds: Longest time for a request, all tries together.
        attempts: Tries of a request that finds the server unavailable.
        backoff_seconds: Longest pause before the second try; it doubles with each.
    """

    def __init__(
        self, url: str, *, deadline_seconds: float = 5.0, attempts: int = 4, backoff_seconds: float = 0.05
    ) -> None:
        self.url = url
        self._deadline = deadline_seconds
        self._connection = TritonConnection(url, attempts, backoff_seconds)
        self._models: dict[tuple[str, str], ModelDescription] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; the next request would open another."""
        await self._connection.close()

    async def is_ready(self) -> bool:
        """Whether the server serves all its models."""
        return await self._connection.is_well(lambda grpc, seconds: grpc.is_server_ready(client_timeout=seconds))

    async def is_model_ready(self, model: str, version: str = "") -> bool:
        """Whether the server serves this model; without a version, its newest."""
        return await self._connection.is_well(
            lambda grpc, seconds: grpc.is_model_ready(model, version, client_timeout=seconds)
        )

    async def describe(self, model: str, version: str = "", *, refresh: bool = False) -> ModelDescription:
        """What a model takes and gives, as its server says; asked once and remembered, unless `refresh` is set.

        Raises:
            InputError: There is no such model.
            TritonUnavailable: The server did not say.
            TritonError: It failed.
        """
        key = (model, version)
        if refresh or key not in self._models:
            response = await self._connection.ask(
                lambda grpc, seconds: grpc.get_model_config(model, version, client_timeout=seconds),
                model,
                self._deadline,
            )
            self._models[key] = describe(response.config)
        return self._models[key]

    async def find_version(self, model: str, identity: str) -> str | None:
        """The newest version made from a bundle or an encoder, by its identity; None where it is not served.

        Raises:
            InputError: There is no such model.
            TritonUnavailable: The server did not say.
            TritonError: It failed.
        """
        for refresh in (False, True):
            identities = (await self.describe(model, refresh=refresh)).identities
            versions = [number for number, known in identities.items() if known == identity]
            if versions:
                return str(max(versions))
        return None

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, npt.NDArray[Any]],
        *,
        outputs: Iterable[str] | None = None,
        version: str = "",
        deadline_seconds: float | None = None,
    ) -> Arrays:
        """Any number of rows of any length: padded to the lengths that the model batches best, cut where too many.

        Args:
            model: The model's name.
            inputs: An array for every input, `[rows, ...]` or `[rows, length, ...]`, padded with zeros.
            outputs: The outputs wanted; None for all.
            version: One of the model's versions; empty for the newest.
            deadline_seconds: Longest time for each part of it; None for the client's own.

        Returns:
            The outputs by name, read-only, `[rows, ...]` or `[rows, length, ...]`.

        Raises:
            InputError: The inputs do not fit the model, or there is no such model.
            TritonUnavailable: The server could not be reached, or not in time.
            TritonError: It failed.
        """
        description, checked = await self._check(model, version, inputs)
        wanted = list(description.outputs if outputs is None else outputs)
        length = length_of(description, checked)
        limit = asyncio.Semaphore(_PARTS_AT_ONCE)

        async def ask(part: Arrays) -> Arrays:
            async with limit:
                return await self._infer(model, version, part, wanted, deadline_seconds)

        parts = [ask(part) for part in cut_rows(description, fit_length(description, checked))]
        answers = await asyncio.gather(*parts) if len(parts) > 1 else [await parts[0]]
        joined = {
            name: np.concatenate([answer[name] for answer in answers]) if len(answers) > 1 else answers[0][name]
            for name in wanted
        }
        return restore_length(description, joined, length)

    async def _check(
        self, model: str, version: str, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[ModelDescription, Arrays]:
        known = (model, version) in self._models
        description = await self.describe(model, version)
        try:
            return description, check_inputs(description, inputs)
        except InputError:
            if not known:
                raise
        # A version with other tensors may have been published since the model was described.
        description = await self.describe(model, version, refresh=True)
        return description, check_inputs(description, inputs)

    async def _infer(
        self, model: str, version: str, inputs: Arrays, outputs: list[str], deadline_seconds: float | None
    ) -> Arrays:
        tensors = [
            InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)).set_data_from_numpy(array)
            for name, array in inputs.items()
        ]
        requested = [InferRequestedOutput(name) for name in outputs]
        result = await self._connection.ask(
            lambda grpc, seconds: grpc.infer(
                model, tensors, model_version=version, outputs=requested, client_timeout=seconds
            ),
            model,
            self._deadline if deadline_seconds is None else deadline_seconds,
        )
        return {name: result.as_numpy(name) for name in outputs}
