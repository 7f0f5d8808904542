"""Blocks of users answered by the actors of a Ray cluster, each with a replica of the index of its own."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from rec_sys.inference.backends import Backends
from rec_sys.inference.block_answers import answer_block
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.ray_cluster import connected, work_through
from rec_sys.settings import EngineSettings, IndexSettings, InferenceSettings


class AnsweringActor:
    """A bundle that stays open, with all that its index is made from: a block of users in, their products out.

    Args:
        index: The index settings; no index is asked.
        inference: Where the towers run.
        folder: Where this machine has the bundle.
        identity: Of the bundle.
        limit: Products a user.
        with_seen: As of `answer_block`.
    """

    def __init__(
        self,
        index: IndexSettings,
        inference: InferenceSettings,
        folder: Path,
        identity: str,
        limit: int,
        with_seen: bool,
    ) -> None:
        self._loop = asyncio.Runner()  # one for all blocks: a connection to Triton belongs to it
        self._backends = Backends(index, inference, folder.parent, folder)
        self._identity, self._limit, self._with_seen = identity, limit, with_seen

    def __call__(self, block: Sequence[str]) -> pl.DataFrame:
        """Known users -> what `answer_block` says of them."""
        return self._loop.run(self._answer(block))

    async def _answer(self, user_ids: Sequence[str]) -> pl.DataFrame:
        served = await self._backends.bundle(self._identity)
        return await answer_block(self._backends, served, user_ids, self._limit, self._with_seen)


def answer_on_ray(
    backends: Backends,
    served: ServedBundle,
    blocks: Sequence[Sequence[str]],
    limit: int,
    with_seen: bool,
    engine: EngineSettings,
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yields places in `blocks` and what `answer_block` says of each, once, as they are done.

    Raises:
        InputError: The cluster cannot be used, or a machine of it has not the bundle.
    """
    inference = backends.settings.model_copy(update={"num_threads": 1})
    folder = served.bundle.folder.absolute()
    arguments = backends.index_settings, inference, folder, served.identity, limit, with_seen
    with connected(engine, on_gpus=False) as actors:
        yield from work_through(blocks, AnsweringActor, arguments, actors)
