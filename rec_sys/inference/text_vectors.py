"""Texts to vectors, each one once: what was read lately is remembered, wherever the encoder runs."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from rec_sys.contracts import ServedModel, TextEncoderTensor
from rec_sys.inference.contract import ServingUnavailable
from rec_sys.inference.dynamic_batcher import DynamicBatcher
from rec_sys.inference.triton_models import TritonModels
from rec_sys.text.encoder import TextEncoder, cut_batches
from rec_sys.text.tokens import TextTokenizer
from rec_sys.vector_database.catalogue import FloatArray

_TEXTS_AT_ONCE: Final = 64
_TOKENS_A_REQUEST: Final = 2_048  # padded; more texts of one answer are asked for side by side


class TextRuntime(Protocol):
    """Where the text encoder runs."""

    async def encode(self, texts: Sequence[str]) -> FloatArray:
        """float32 `[len(texts), text_dim]`."""


class EncoderInProcess:
    """The encoder in this process, on threads of its own."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    async def encode(self, texts: Sequence[str]) -> FloatArray:
        """See `TextRuntime`."""
        return await asyncio.to_thread(self._encoder.encode, texts)


class EncoderInTriton:
    """The encoder behind Triton; the texts become tokens here."""

    def __init__(self, encoder: TextEncoder, tokenizer: TextTokenizer, models: TritonModels) -> None:
        self._encoder, self._tokenizer, self._models = encoder, tokenizer, models

    async def encode(self, texts: Sequence[str]) -> FloatArray:
        """See `TextRuntime`.

        Raises:
            ServingUnavailable: Triton is away, or does not serve this encoder.
        """
        lengths = self._tokenizer.count(texts)
        order = np.argsort(-lengths, kind="stable")
        batches = list(cut_batches(lengths, order, _TOKENS_A_REQUEST))

        async def ask(positions: npt.NDArray[np.intp]) -> FloatArray:
            token_ids, mask = self._tokenizer.pad([texts[position] for position in positions.tolist()])
            found = await self._models.infer(
                ServedModel.TEXT_ENCODER,
                self._encoder.encoder_id,
                {TextEncoderTensor.INPUT_IDS: token_ids, TextEncoderTensor.ATTENTION_MASK: mask},
            )
            vectors: FloatArray = found[TextEncoderTensor.VECTOR]
            return vectors

        vectors = np.empty((len(texts), self._encoder.dim), dtype=np.float32)
        for positions, found in zip(batches, await asyncio.gather(*map(ask, batches)), strict=True):
            vectors[positions] = found
        return vectors


class TextsTogether:
    """Embeds the texts of users who ask at the same time together."""

    def __init__(self, runtime: TextRuntime) -> None:
        async def encode(texts: Sequence[str]) -> list[FloatArray]:
            return list(await runtime.encode(texts))

        self._batcher = DynamicBatcher(encode, _TEXTS_AT_ONCE, common=(ServingUnavailable,))

    async def encode(self, texts: Sequence[str]) -> FloatArray:
        """See `TextRuntime`."""
        return np.stack(await asyncio.gather(*map(self._batcher.ask, texts)))


class TextVectors:
    """Remembers what was embedded lately.

    Vectors are rounded to half precision, as training keeps them, so that a review counts the same whether the bundle
    has it or it is sent.
    """

    def __init__(self, capacity: int) -> None:
        self._kept: LRUCache[bytes, FloatArray] = LRUCache(capacity)
        self.hits = 0
        self.misses = 0

    async def encode(self, texts: Sequence[str], encoder_id: str, runtime: TextRuntime) -> list[FloatArray]:
        """A float32 `[text_dim]` for each text; equal texts are embedded once, by `runtime` where not remembered."""
        keys = [_key(text, encoder_id) for text in texts]
        found = {key: vector for key in dict.fromkeys(keys) if (vector := self._kept.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        self.hits += len(texts) - len(missing)
        self.misses += len(missing)
        if missing:
            vectors = await runtime.encode(list(missing.values()))
            for key, vector in zip(missing, vectors, strict=True):
                found[key] = vector.astype(np.float16).astype(np.float32)
                if self._kept.maxsize:  # a cache of no size refuses every value
                    self._kept[key] = found[key]
        return [found[key] for key in keys]

    def forget(self, text: str, encoder_id: str) -> None:
        """Has a text embedded anew when it comes again."""
        self._kept.pop(_key(text, encoder_id), None)


def _key(text: str, encoder_id: str) -> bytes:
    return hashlib.blake2b(f"{encoder_id}\0{text}".encode("utf-8", "replace")).digest()
