"""Texts embedded by the actors of a Ray cluster, in the batches of one process, so that the vectors are the same."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.ray_cluster import connected, work_through
from rec_sys.settings import EngineSettings, TextSettings
from rec_sys.text.encoder import Positions

if TYPE_CHECKING:
    import pyarrow

_TOKENS_A_BLOCK: Final = 65_536  # seconds of one core; what the death of an actor costs

Embedded = tuple[Positions, npt.NDArray[np.float16]]


class EncodingActor:
    """An encoder that stays open: a table of batches of texts in, a table of their vectors out.

    Args:
        settings: The text settings.
        cache_dir: Where this machine keeps the exported model, which is made where it is missing.
    """

    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        from rec_sys.text.opening import open_encoder

        self.encoder = open_encoder(settings, cache_dir)
        self.encoder.prepare()

    def __call__(self, block: "pyarrow.Table") -> "pyarrow.Table":
        """Columns batch, position, text -> position, vector (the bytes of float16 [dim])."""
        import pyarrow

        texts, batch = block["text"].to_pylist(), block["batch"].to_numpy()
        batches = np.split(np.arange(len(texts)), np.flatnonzero(np.diff(batch)) + 1)
        vectors = np.empty((len(texts), self.encoder.dim), dtype=np.float16)
        for positions, found in self.encoder.encode_batches(texts, batches):
            vectors[positions] = found
        rows = pyarrow.array([row.tobytes() for row in vectors], pyarrow.binary())
        return pyarrow.table({"position": block["position"], "vector": rows})


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
        for done in work_through(blocks, EncodingActor, (own, cache_dir.absolute()), actors, on_gpus):
            vectors = np.frombuffer(b"".join(done["vector"].to_pylist()), dtype=np.float16)
            yield done["position"].to_numpy(), vectors.reshape(len(done), -1)


def _blocks(
    texts: pl.Series, lengths: npt.NDArray[np.int32], batches: Sequence[Positions]
) -> "Iterator[pyarrow.Table]":
    """Batches in tables of bounded length."""
    import pyarrow

    start, tokens = 0, 0
    for number, batch in enumerate(batches, 1):
        tokens += int(lengths[batch].sum())
        if tokens < _TOKENS_A_BLOCK and number < len(batches):
            continue
        chosen = batches[start:number]
        positions = np.concatenate(chosen)
        yield pyarrow.table(
            {
                "batch": np.repeat(np.arange(len(chosen)), [len(one) for one in chosen]),
                "position": positions,
                "text": pyarrow.array(texts.gather(positions).to_list(), pyarrow.large_string()),
            }
        )
        start, tokens = number, 0
