"""Questions as they stand in an address: the recommender's own messages, laid flat."""

from typing import Annotated, Any, Literal, TypeVar, get_origin

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from rec_sys.inference.contract import Excerpt, Filter, Page, RecommendationRequest
from rec_sys.inference.live_trends import Window

_FILTERS = tuple(Filter.model_fields)
_EXCERPT = tuple(Excerpt.model_fields)

Question = TypeVar("Question", bound=BaseModel)


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


def asked(question: type[Question]) -> Any:
    """A dependency that reads a question off an address, in a fifth of the time that FastAPI takes for its fields."""
    lists = {name for name, field in question.model_fields.items() if get_origin(field.annotation) is tuple}

    async def read(request: Request) -> Question:
        given = request.query_params
        try:
            return question.model_validate(
                {name: given.getlist(name) if name in lists else given[name] for name in given}
            )
        except ValidationError as error:
            faults = error.errors(include_url=False)
            raise RequestValidationError([{**fault, "loc": ("query", *fault["loc"])} for fault in faults]) from error

    return Depends(read)


def described(question: type[BaseModel]) -> dict[str, Any]:
    """The same question for the documentation, as FastAPI describes it: `openapi_extra` of a route."""
    scratch = FastAPI()

    @scratch.get("/")
    async def ask(question: Annotated[question, Query()]) -> None:  # type: ignore[valid-type]
        """Describes its fields."""

    return {"parameters": scratch.openapi()["paths"]["/"]["get"]["parameters"]}
