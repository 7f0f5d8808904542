"""A text is embedded once, however often and by however many it is asked for."""

import asyncio
from collections.abc import Sequence

import numpy as np

from rec_sys.inference.text_vectors import TextsTogether, TextVectors
from tests.text_width import TEXT_DIM


class CountingRuntime:
    """Embeds a text as its length and counts what it is given."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        await asyncio.sleep(0)
        return np.repeat(np.array([[len(text) / 3] for text in texts], dtype=np.float32), TEXT_DIM, axis=1)


def test_equal_texts_are_embedded_once_and_remembered() -> None:
    runtime, vectors = CountingRuntime(), TextVectors(10)
    first = asyncio.run(vectors.encode(["a", "bb", "a"], "encoder", runtime))
    second = asyncio.run(vectors.encode(["bb", "ccc"], "encoder", runtime))
    assert runtime.calls == [["a", "bb"], ["ccc"]]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(first[1], second[0])
    assert (vectors.hits, vectors.misses) == (2, 3)


def test_vectors_are_rounded_as_training_keeps_them() -> None:
    [vector] = asyncio.run(TextVectors(10).encode(["a"], "encoder", CountingRuntime()))
    assert vector.dtype == np.float32
    assert vector[0] == np.float32(np.float16(1 / 3))


def test_the_vectors_of_another_encoder_are_others() -> None:
    runtime, vectors = CountingRuntime(), TextVectors(10)
    for encoder in ("one", "other", "one"):
        asyncio.run(vectors.encode(["a"], encoder, runtime))
    assert runtime.calls == [["a"], ["a"]]


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    runtime, vectors = CountingRuntime(), TextVectors(2)
    for text in ("a", "b", "a", "c", "a", "b"):
        asyncio.run(vectors.encode([text], "encoder", runtime))
    assert runtime.calls == [["a"], ["b"], ["c"], ["b"]]
    nothing_kept = TextVectors(0)
    assert len(asyncio.run(nothing_kept.encode(["a", "a"], "encoder", CountingRuntime()))) == 2


def test_the_texts_of_several_users_are_embedded_together() -> None:
    runtime = CountingRuntime()

    async def ask() -> list[np.ndarray]:
        together = TextsTogether(runtime)
        return await asyncio.gather(together.encode(["a", "bb"]), together.encode(["ccc"]))

    one, other = asyncio.run(ask())
    assert (one.shape, other.shape) == ((2, TEXT_DIM), (1, TEXT_DIM))
    assert runtime.calls == [["a", "bb", "ccc"]]


def test_half_of_a_surrogate_pair_is_a_text_like_others() -> None:
    [vector] = asyncio.run(TextVectors(10).encode(["\ud83d"], "encoder", CountingRuntime()))
    assert vector.shape == (TEXT_DIM,)
