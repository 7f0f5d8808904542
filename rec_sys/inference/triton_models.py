"""The models behind Triton, each asked in the version that fits the bundle that is served."""

from collections.abc import Mapping
from typing import Any, Final

import numpy.typing as npt

from rec_sys.contracts import InputError
from rec_sys.inference.contract import ServingUnavailable
from rec_sys.settings import InferenceSettings
from triton_utils.client import TritonClient
from triton_utils.connection import TritonError
from triton_utils.model_requests import Arrays

_TRIES: Final = 2  # a version may be replaced between looking it up and asking it


class TritonModels:
    """Triton's models by what they were made from."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self.client = TritonClient(
            settings.triton_url, deadline_seconds=settings.deadline_seconds, attempts=settings.attempts
        )

    async def version(self, model: str, identity: str) -> str:
        """The newest version of a model made from a bundle or encoder.

        Raises:
            ServingUnavailable: Triton is away or does not serve it.
        """
        try:
            version = await self.client.find_version(model, identity)
        except (TritonError, InputError) as error:
            raise self._away(str(error)) from error
        if version is None:
            raise self._away(f"Triton serves no {model} made from {identity}")
        return version

    async def on_gpu(self, model: str) -> bool:
        """Whether Triton computes a model on a GPU.

        Raises:
            ServingUnavailable: Triton is away or does not serve it.
        """
        try:
            return (await self.client.describe(model)).on_gpu
        except (TritonError, InputError) as error:
            raise self._away(str(error)) from error

    async def infer(self, model: str, identity: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Asks the version made from a bundle or encoder.

        Raises:
            ServingUnavailable: Triton is away, failed, or does not serve it.
        """
        for attempt in range(_TRIES):
            version = await self.version(model, identity)
            try:
                return await self.client.infer(model, inputs, version=version)
            except TritonError as error:
                raise self._away(str(error)) from error
            except InputError as error:
                # What is sent is ours and fits the bundle, so that the version has gone since it was looked up.
                if attempt + 1 == _TRIES:
                    raise self._away(error.what) from error
                try:
                    await self.client.describe(model, refresh=True)
                except (TritonError, InputError) as failed:
                    raise self._away(str(failed)) from failed
        raise AssertionError("the loop returns or raises")

    def _away(self, what: str) -> ServingUnavailable:
        return ServingUnavailable(
            what,
            component="triton",
            where=f"Triton at {self.client.url}",
            remedy="start triton_utils.server and publish the bundle with rec_sys.modules.model_export, or choose"
            " inference=in_process",
            retry_after=self._settings.retry_after_seconds,
        )
