"""Questions as they stand in an address: the recommender's own messages, laid flat."""

from typing import Any, Literal

from pydantic import Field

from rec_sys.inference.contract import Excerpt, Filter, Page, RecommendationRequest
from rec_sys.inference.live_trends import Window

_FILTERS = tuple(Filter.model_fields)
_EXCERPT = tuple(Excerpt.model_fields)


class PageQuestion(Filter, Excerpt):
    """A page of a ranking; what is repeated in the address is a list."""

    def page(self) -> Page:
        """As the recommender takes it."""
        return Page(**self._page_fields())

    def _page_fields(self) -> dict[str, Any]:
        limits = Filter(**{name: getattr(self, name) for name in _FILTERS})
        return {name: getattr(self, name) for name in _EXCERPT} | {"filter": limits}


class UserQuestion(PageQuestion):
    """Recommendations for a known user."""

    include_seen: bool = Field(False, description="Also answer products that the user has reviewed.")
    explain: bool = Field(True, description="Give reasons.")
    model: str = Field("hybrid", max_length=100, description="hybrid, graph, memory or popular.")
    unknown: Literal["refuse", "popular"] = Field("refuse", description="popular: whoever is unknown gets that.")
    max_per_brand: int | None = Field(None, ge=1, le=100, description="Most products of one brand.")

    def request(self, user_id: str) -> RecommendationRequest:
        """As the recommender takes it."""
        own = {name: getattr(self, name) for name in UserQuestion.__annotations__}
        return RecommendationRequest(user_id=user_id, **own, **self._page_fields())


class ListQuestion(Filter):
    """A page of a list that is the same for everybody."""

    limit: int = Field(10, ge=1, le=100, description="Most products.")
    offset: int = Field(0, ge=0, le=10_000, description="Products to skip, for later pages.")
    window: Window = Field("week", description="What happened a day, a week or a month ago counts half.")

    def page(self) -> Page:
        """As the recommender takes it."""
        limits = Filter(**{name: getattr(self, name) for name in _FILTERS})
        return Page(limit=self.limit, offset=self.offset, filter=limits)


class SimilarQuestion(PageQuestion):
    """Products like another."""

    by: Literal["graph", "text"] = Field("graph", description="What reviews made of the products, or their own texts.")


class SearchQuestion(PageQuestion):
    """Products whose text means the like of some words."""

    q: str = Field(min_length=1, max_length=1_000, description="What is looked for.")
