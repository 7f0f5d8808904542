"""Gives every text its vector and embeds only what no run before has embedded."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.progress import WorkProgress
from rec_sys.settings import EngineSettings, TextSettings
from rec_sys.text.encoder import Positions, TextEncoder, cut_batches
from rec_sys.text.opening import open_encoder
from rec_sys.text.store import LOCK_PAUSE_SECONDS, NULL_KEY, Keys, Vectors, VectorStore, make_keys

_LOG: Final = logging.getLogger(__name__)

# What a killed run loses at most, and how long another process waits for its turn.
_SECONDS_A_CLAIM: Final = 4.0
_FIRST_CLAIM_TOKENS: Final = 8_192
_TEXTS_AT_ONCE: Final = 16_384


@dataclass(frozen=True)
class EmbeddedTexts:
    """Vectors in the order of the texts asked for.

    Attributes:
        vectors: float16 [num_texts, dim], as long as the encoder makes them, zero for null; memory-mapped where a file
            was asked for.
        num_embedded: Distinct texts that this call embedded.
        num_reused: Distinct texts that were there already, or that another process embedded meanwhile.
    """

    vectors: Vectors
    num_embedded: int
    num_reused: int


def embed_texts(
    texts: pl.Series | Sequence[str | None],
    settings: TextSettings,
    cache_dir: Path,
    out: Path | None = None,
    engine: EngineSettings | None = None,
) -> EmbeddedTexts:
    """Looks up the vectors of texts and embeds those that are missing.

    Finished work is published every few seconds. A run that was killed goes on from there, and its vectors equal
    those of an undisturbed run bit for bit on the same machine; two runs at once share the work.

    Args:
        texts: Any texts, repeated ones and nulls included.
        settings: The text settings.
        cache_dir: The exported model goes to `models`, the vectors to `vectors` below it.
        out: An .npy file to write the vectors to, for more of them than fit in memory.
        engine: Who embeds; None: this process.

    Raises:
        InputError: Weights, device or folder cannot be used, or the disk is full.
    """
    series = _as_series(texts)
    keys = np.concatenate([make_keys([]), *map(make_keys, _blocks(series))])
    encoder = open_encoder(settings, cache_dir)
    store = VectorStore(cache_dir / "vectors", encoder.encoder_id, encoder.dim)
    distinct, first = np.unique(keys, return_index=True)
    distinct, first = distinct[distinct != NULL_KEY], first[distinct != NULL_KEY]
    missing = first[~store.lookup(distinct).found]
    num_embedded = 0
    if len(missing):
        own, own_keys = series.gather(missing), keys[missing]
        if engine is not None and engine.kind == "ray":
            num_embedded = _embed_on_cluster(own, own_keys, encoder, store, settings, cache_dir, engine)
        else:
            num_embedded = _embed_missing(own, own_keys, encoder, store)
    vectors = store.read(keys) if out is None else store.read_into(keys, out)
    return EmbeddedTexts(vectors, num_embedded, len(distinct) - num_embedded)


def _as_series(texts: pl.Series | Sequence[str | None]) -> pl.Series:
    if isinstance(texts, pl.Series):
        return texts.cast(pl.String)
    # Half of a surrogate pair has no UTF-8 form.
    readable = [None if text is None else text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    return pl.Series("text", readable, dtype=pl.String)


def _embed_missing(texts: pl.Series, keys: Keys, encoder: TextEncoder, store: VectorStore) -> int:
    """Embeds distinct texts, claim by claim; returns how many of them this process embedded."""
    encoder.prepare()
    lengths, waiting = _in_order(texts, keys, encoder)
    num_embedded, claim_tokens = 0, _FIRST_CLAIM_TOKENS
    began = time.monotonic()
    with WorkProgress("text: embedding", "texts", len(texts), int(lengths.sum())) as progress:
        while len(waiting):
            with store.writing() as others_published:
                if others_published:
                    found = store.lookup(keys[waiting]).found
                    progress.advance(int(found.sum()), int(lengths[waiting[found]].sum()), own=False)
                    waiting = waiting[~found]
                claim_began = time.monotonic()
                batches = list(_claim(cut_batches(lengths, waiting, encoder.token_budget), lengths, claim_tokens))
                done = _embed_claim(texts, keys, batches, encoder, store)
            num_tokens = int(lengths[waiting[:done]].sum())
            progress.advance(done, num_tokens)
            num_embedded, waiting = num_embedded + done, waiting[done:]
            took = time.monotonic() - claim_began
            claim_tokens = max(_FIRST_CLAIM_TOKENS, int(num_tokens * _SECONDS_A_CLAIM / max(took, 1e-3)))
            time.sleep(LOCK_PAUSE_SECONDS)
    _say_speed(num_embedded, time.monotonic() - began)
    return num_embedded


def _in_order(texts: pl.Series, keys: Keys, encoder: TextEncoder) -> tuple[npt.NDArray[np.int32], Positions]:
    """Each text's tokens, and the places longest first, equal lengths by key: the set of texts alone decides it."""
    lengths = np.concatenate([encoder.count(block) for block in _blocks(texts)])
    return lengths, np.lexsort((keys, -lengths))


def _say_speed(num_texts: int, seconds: float) -> None:
    _LOG.info(f"text: {num_texts:,} texts in {seconds:,.1f} s, {num_texts / seconds:,.0f} a second")


def _embed_on_cluster(
    texts: pl.Series,
    keys: Keys,
    encoder: TextEncoder,
    store: VectorStore,
    settings: TextSettings,
    cache_dir: Path,
    engine: EngineSettings,
) -> int:
    """The same by the actors of a cluster; what comes back is published every few seconds, as one process does."""
    from rec_sys.text.ray_embedding import embed_on_ray

    lengths, order = _in_order(texts, keys, encoder)
    batches = list(cut_batches(lengths, order, encoder.token_budget))
    began = published = time.monotonic()
    num_embedded, held = 0, list[tuple[Positions, Vectors]]()
    with WorkProgress("text: embedding", "texts", len(texts), int(lengths.sum())) as progress:
        for positions, vectors in embed_on_ray(texts, lengths, batches, settings, cache_dir, engine):
            held.append((positions, vectors))
            progress.advance(len(positions), int(lengths[positions].sum()))
            if time.monotonic() - published > _SECONDS_A_CLAIM:
                num_embedded += _publish(held, keys, store)
                held, published = [], time.monotonic()
        num_embedded += _publish(held, keys, store)
    _say_speed(num_embedded, time.monotonic() - began)
    return num_embedded


def _publish(held: list[tuple[Positions, Vectors]], keys: Keys, store: VectorStore) -> int:
    """Publishes vectors by their places in `keys`, but for those that others have published meanwhile."""
    if not held:
        return 0
    positions, vectors = (np.concatenate(parts) for parts in zip(*held, strict=True))
    with store.writing():
        new = ~store.lookup(keys[positions]).found
        store.append(keys[positions[new]], vectors[new])
    return int(new.sum())


def _embed_claim(
    texts: pl.Series, keys: Keys, batches: list[Positions], encoder: TextEncoder, store: VectorStore
) -> int:
    """Embeds whole batches and publishes them together; returns how many texts they hold."""
    if not batches:
        return 0
    positions = np.concatenate(batches)
    local = np.split(np.arange(len(positions)), np.cumsum([len(batch) for batch in batches[:-1]]))
    claimed = texts.gather(positions).to_list()
    store.append(keys[positions], np.concatenate([found for _, found in encoder.encode_batches(claimed, local)]))
    return len(positions)


def _claim(batches: Iterator[Positions], lengths: npt.NDArray[np.int32], num_tokens: int) -> Iterator[Positions]:
    """The first batches, until they hold so many tokens."""
    for batch in batches:
        yield batch
        num_tokens -= int(lengths[batch].sum())
        if num_tokens <= 0:
            return


def _blocks(texts: pl.Series) -> Iterator[list[str]]:
    """The texts in lists of bounded length; a null stays None."""
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        yield texts.slice(start, _TEXTS_AT_ONCE).to_list()
