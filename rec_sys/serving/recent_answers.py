"""The answers that were given last: what spoke for each of their products, for events that name them."""

from typing import Final, Literal, get_args

from cachetools import LRUCache

from rec_sys.inference.contract import ProductsAnswer, RecommendationAnswer, Source
from rec_sys.inference.recommender import MODELS

AnsweredBy = Literal["similar", "search", "trending", "new"]
UNKNOWN: Final = "unknown"  # the answer is too old, or was another gateway's
# Whatever an event is counted under: no label is chosen by a client.
SOURCES: Final = (*get_args(Source), UNKNOWN)
ANSWERED_BY: Final = (*MODELS, *get_args(AnsweredBy), UNKNOWN)
_PRODUCTS_KEPT: Final = 50_000  # of all answers together; some 10 MB


class RecentAnswers:
    """Answers by request id, as long as there is room."""

    def __init__(self, products_kept: int = _PRODUCTS_KEPT) -> None:
        self._answers: LRUCache[str, tuple[str, dict[str, str]]] = LRUCache(products_kept, lambda one: 1 + len(one[1]))

    def keep(self, request_id: str, answer: ProductsAnswer, by: AnsweredBy | None = None) -> None:
        """Notes an answer; `by` says what was asked, where it was no recommendation."""
        model = answer.model if isinstance(answer, RecommendationAnswer) else by
        self._answers[request_id] = (model or UNKNOWN, {one.asin: one.source for one in answer.products})

    def of(self, request_id: str, asin: str) -> tuple[str, str]:
        """The source of a product in an answer, and the model that gave it."""
        model, sources = self._answers.get(request_id, (UNKNOWN, {}))
        return sources.get(asin, UNKNOWN), model
