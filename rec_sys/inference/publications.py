"""The bundles behind what is served: which there are, what their trainings left, and the way back to an earlier one."""

import asyncio
from pathlib import Path
from typing import Final

from rec_sys.bundle import find_by_identity
from rec_sys.contracts import BundleFile, InputError, ServedModel
from rec_sys.files import writable_folder
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import RequestError, ServingUnavailable
from rec_sys.live_bundles import REGISTERED_MODEL, ListedBundle, list_bundles, name_in_mlflow
from rec_sys.refresh_history import RefreshOutcome, refreshes
from rec_sys.settings import EdgeIndex, TrackingSettings
from rec_sys.vector_database.contract import IndexVersion
from rec_sys.vector_database.opening import open_publisher
from triton_utils.connection import TritonError

_BENCHMARKS: Final = "benchmark"  # in output_dir, a folder each
_REPORT: Final = "report.html"
_BY_HAND: Final = "run rec_sys.publish action=rollback version={} where the bundles are trained"


class Publications:
    """Looks where training and publishing leave their files; for one event loop, whose threads do the reading."""

    def __init__(self, backends: Backends, output_dir: Path) -> None:
        self._backends, self._output_dir = backends, output_dir

    async def bundles(self) -> list[ListedBundle]:
        """See `list_bundles`."""

        def look() -> list[ListedBundle]:
            return list_bundles(open_publisher(self._backends.index_settings), self._output_dir)

        return await asyncio.to_thread(look)

    async def refreshes(self) -> tuple[RefreshOutcome, ...]:
        """The last ones, the newest first."""
        return await asyncio.to_thread(refreshes, self._output_dir)

    async def pictures(self) -> dict[str, Path]:
        """The pictures of the served bundle's training, and its card, by name; nothing else of its folder.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        bundle = (await self._backends.served()).bundle
        wanted = [name for name in bundle.manifest.files if name.startswith(f"{BundleFile.PICTURES}/")]
        if BundleFile.CARD in bundle.manifest.files:
            wanted.append(BundleFile.CARD)
        return {Path(name).name: bundle.folder / name for name in wanted}

    async def reports(self) -> dict[str, Path]:
        """The benchmarks' reports on the data of the served bundle, by the name of their folder.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        data_name = (await self._backends.served()).manifest.data_name
        found = await asyncio.to_thread(lambda: sorted((self._output_dir / _BENCHMARKS).glob(f"*/{_REPORT}")))
        return {one.parent.name: one for one in found if one.parent.name.startswith(f"{data_name}-")}

    async def roll_back(self, version: str, tracking: TrackingSettings | None) -> IndexVersion:
        """Serves an earlier version from the next question on; MLflow's aliases follow where it is used.

        Raises:
            RequestError: It is not kept, or what it takes is not where this service reads.
            ServingUnavailable: Triton is away.
            InputError: The index cannot be written from here.
        """
        publisher = open_publisher(self._backends.index_settings)
        status = await asyncio.to_thread(publisher.status)
        if version not in status.kept:
            raise RequestError(f"version {version} is not kept", field="version", remedy="choose one that is")
        identity = (await asyncio.to_thread(publisher.describe, version)).bundle
        if await asyncio.to_thread(find_by_identity, self._output_dir, identity) is None:
            what = f"the bundle {identity} is not where this service reads"
            raise RequestError(what, field="version", remedy=_BY_HAND.format(version))
        await self._need_towers(identity, version)
        index = self._backends.index_settings
        if isinstance(index, EdgeIndex):
            await asyncio.to_thread(writable_folder, index.folder, "index.folder")
        served = await asyncio.to_thread(publisher.rollback, version)
        if tracking is not None:
            await asyncio.to_thread(name_in_mlflow, served, publisher, tracking, self._output_dir, REGISTERED_MODEL)
        return served

    async def _need_towers(self, identity: str, version: str) -> None:
        """Returns where Triton has the towers of a bundle, or is not asked at all."""
        if self._backends.triton is None:
            return
        try:
            has_them = await self._backends.triton.client.find_version(ServedModel.USER_TOWER, identity) is not None
        except (TritonError, InputError) as error:
            what, where = "Triton does not say whether it has the towers", self._backends.settings.triton_url
            seconds = self._backends.settings.retry_after_seconds
            raise ServingUnavailable(
                what, component="triton", where=where, remedy="try again later", retry_after=seconds
            ) from error
        if not has_them:
            what = f"Triton has not loaded the towers of bundle {identity}"
            raise RequestError(what, field="version", remedy=_BY_HAND.format(version) + ", which exports them anew")
