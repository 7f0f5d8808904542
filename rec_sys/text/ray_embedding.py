"""Texts embedded by the actors of a Ray cluster, in the batches of one process, so that the vectors are the same."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.ray_cluster import connected, work_through
from rec_sys.settings import EngineSettings, TextSettings
from rec_sys.text.encoder import Positions
from rec_sys.text.store import Vectors

_TOKENS_A_BLOCK: Final = 65_536  # seconds of one core; what the death of an actor costs

Batches = list[tuple[Positions, list[str]]]
Embedded = tuple[Positions, Vectors]


class EncodingActor:
    """An encoder that stays open: batches of texts in, their vectors out.

    Args:
        settings: The text settings.
        cache_dir: Where this machine keeps the exported model, which is made where it is missing.
    """

    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        from rec_sys.text.opening import open_encoder

        self.encoder = open_encoder(settings, cache_dir)
        self.encoder.prepare()

    def __call__(self, block: Batches) -> Embedded:
        """Positions and texts of each batch -> positions of all and their vectors, float16 [n, dim]."""
        positions = np.concatenate([positions for positions, _ in block])
        local = np.split(np.arange(len(positions)), np.cumsum([len(positions) for positions, _ in block[:-1]]))
        vectors = np.empty((len(positions), self.encoder.dim), dtype=np.float16)
        for places, found in self.encoder.encode_batches([text for _, texts in block for text in texts], local):
            vectors[places] = found
        return positions, vectors


def embed_on_ray(
    texts: pl.Series,
    lengths: npt.NDArray[np.int32],
    batches: Sequence[Positions],
    settings: TextSettings,
    cache_dir: Path,
    engine: EngineSettings,
) -> Iterator[Embedded]:
    """Yields positions and vectors, float16 [n, dim], of some batches at a time, as they are done.

    Args:
        texts: All texts.
        lengths: int32 [num_texts], their tokens.
        batches: Positions of those to embed, each batch for one run of the encoder.
        settings: The text settings.
        cache_dir: As each machine has it, for its exported model.
        engine: Which cluster, how many actors.

    Raises:
        InputError: The cluster or the encoder cannot be used.
    """
    on_gpus = settings.device == "cuda"
    own = settings.model_copy(update={"num_threads": 1, "device": "cuda" if on_gpus else "cpu"})
    with connected(engine, on_gpus) as actors:
        blocks = _blocks(texts, lengths, batches)
        for _, embedded in work_through(blocks, EncodingActor, (own, cache_dir.absolute()), actors, on_gpus):
            yield embedded


def _blocks(texts: pl.Series, lengths: npt.NDArray[np.int32], batches: Sequence[Positions]) -> Iterator[Batches]:
    """Batches together until they have so many tokens."""
    block, tokens = Batches(), 0
    for batch in batches:
        block.append((batch, texts.gather(batch).to_list()))
        tokens += int(lengths[batch].sum())
        if tokens >= _TOKENS_A_BLOCK:
            yield block
            block, tokens = [], 0
    if block:
        yield block
