"""The answers that were given last: what spoke for each of their products, for events that name them."""

import hashlib
import struct
import zlib
from typing import Any, Final, Literal, get_args

import numpy as np

from rec_sys.inference.contract import ProductsAnswer, RecommendationAnswer, Source
from rec_sys.inference.recommender import MODELS
from rec_sys.serving.worker_memory import ALONE, WorkerMemory

AnsweredBy = Literal["similar", "search", "trending", "new"]
UNKNOWN: Final = "unknown"  # the answer is too old, or was another gateway's
# Whatever an event is counted under: no label is chosen by a client.
SOURCES: Final = (*get_args(Source), UNKNOWN)
ANSWERED_BY: Final = (*MODELS, *get_args(AnsweredBy), UNKNOWN)
_KEPT: Final = 5_000  # answers of each worker
_PRODUCTS: Final = 100  # of an answer, the most of a page
_FIELDS: Final[Any] = [("model", "u1"), ("count", "u1"), ("source", "u1", _PRODUCTS)]
_ANSWER: Final = np.dtype([*_FIELDS, ("asin", "<u4", _PRODUCTS)])
_SOURCE_CODES: Final = {source: code for code, source in enumerate(SOURCES)}
_MODEL_CODES: Final = {model: code for code, model in enumerate(ANSWERED_BY)}


class RecentAnswers:
    """Answers by request id, the newest of each worker, in some 3 MB; ids and products are kept as checksums."""

    def __init__(self, memory: WorkerMemory = ALONE, kept: int = _KEPT) -> None:
        self._kept, self._number = kept, memory.number
        size = kept * _ANSWER.itemsize
        answers = memory.view("recent_answers", memory.count * size)
        self._answers = np.frombuffer(answers, _ANSWER).reshape(memory.count, kept)
        self._own = answers[memory.number * size :]
        ids = memory.view("recent_answers.ids", memory.count * kept * 8)
        self._ids = np.frombuffer(ids, np.uint64).reshape(memory.count, kept)
        self._own_ids = ids.cast("Q")[memory.number * kept :]
        self._given = memory.numbers("recent_answers.given")

    def keep(self, request_id: str, answer: ProductsAnswer, by: AnsweredBy | None = None) -> None:
        """Notes an answer; `by` says what was asked, where it was no recommendation."""
        model = answer.model if isinstance(answer, RecommendationAnswer) else by
        products = answer.products[:_PRODUCTS]
        sources = bytes([_SOURCE_CODES[one.source] for one in products]).ljust(_PRODUCTS)
        asins = struct.pack(f"<{len(products)}I", *[_checksum(one.asin) for one in products])
        head = struct.pack("<BB", _MODEL_CODES[model or UNKNOWN], len(products))
        noted, given = head + sources + asins, self._given[self._number]
        place = given % self._kept
        start = place * _ANSWER.itemsize
        self._own[start : start + len(noted)] = noted
        self._own_ids[place] = _digest(request_id)
        self._given[self._number] = given + 1

    def of(self, request_id: str, asin: str) -> tuple[str, str]:
        """The source of a product in an answer, and the model that gave it."""
        places = np.argwhere(self._ids == _digest(request_id))
        if not len(places):
            return UNKNOWN, UNKNOWN
        # A client may use an id again: of one worker the latest answer counts.
        worker, place = min(places.tolist(), key=lambda found: (self._given[found[0]] - 1 - found[1]) % self._kept)
        answer = self._answers[worker, place]
        same = np.flatnonzero(answer["asin"][: int(answer["count"])] == _checksum(asin))
        return SOURCES[int(answer["source"][same[0]])] if len(same) else UNKNOWN, ANSWERED_BY[int(answer["model"])]


def _digest(request_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=8).digest(), "little")


def _checksum(asin: str) -> int:
    return zlib.crc32(asin.encode())
