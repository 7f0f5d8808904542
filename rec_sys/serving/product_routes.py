"""Addresses that answer products: for reviews, for a user, for a product, for words."""

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from rec_sys.inference.contract import ProductsAnswer, RecommendationAnswer, RecommendationRequest
from rec_sys.serving.documentation import REVIEWS, errors
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.path_ids import PathId
from rec_sys.serving.questions import ListQuestion, SearchQuestion, SimilarQuestion, UserQuestion, asked, described
from rec_sys.serving.recent_answers import AnsweredBy, RecentAnswers

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

_JSON: Final = "application/json"


def product_routes(recommender: "Recommender", metrics: GatewayMetrics, recent: RecentAnswers) -> APIRouter:
    """The routes over one recommender; answers are kept for events that name them."""
    router = APIRouter(prefix="/v1", tags=["products"])

    def finish(request: Request, answer: ProductsAnswer, by: AnsweredBy | None = None) -> Response:
        metrics.count_answer(answer)
        recent.keep(request.state.request_id, answer, by)
        request.state.times = answer.times
        # The answer is a validated message already; the framework would check it a second time.
        return Response(answer.model_dump_json(), media_type=_JSON)

    @router.post(
        "/recommendations",
        response_model=RecommendationAnswer,
        responses=errors(401, 403, 404, 408, 413, 422, 429, 500, 503),
        summary="Recommendations for whoever wrote these reviews",
    )
    async def recommend(
        request: Request, question: Annotated[RecommendationRequest, Body(openapi_examples=REVIEWS)]
    ) -> Response:
        """A user is their reviews: the newest are read, none is kept.

        Send them newest last, or each with a `timestamp`; their order counts. With the `user_id` of a known user they
        are added to those that are known. What may be answered stands in `filter`, as `{"filter": {"max_price": 50}}`.
        """
        return finish(request, await recommender.recommend(question))

    @router.get(
        "/users/{user_id}/recommendations",
        openapi_extra=described(UserQuestion),
        response_model=RecommendationAnswer,
        responses=errors(401, 403, 404, 414, 422, 429, 500, 503),
        summary="Recommendations for a known user",
    )
    async def recommend_known(
        request: Request,
        user_id: PathId,
        question: Annotated[UserQuestion, asked(UserQuestion)],
    ) -> Response:
        """From the reviews that the service's data has of this user."""
        return finish(request, await recommender.recommend(question.request(user_id)))

    @router.get(
        "/products/{asin}/similar",
        openapi_extra=described(SimilarQuestion),
        response_model=ProductsAnswer,
        responses=errors(401, 403, 404, 414, 422, 429, 500, 503),
        summary="Products like another",
    )
    async def similar(
        request: Request,
        asin: PathId,
        question: Annotated[SimilarQuestion, asked(SimilarQuestion)],
    ) -> Response:
        """The product itself is not among them; scores are cosines."""
        return finish(request, await recommender.similar(asin, question.page(), by=question.by), "similar")

    @router.get(
        "/products/trending",
        openapi_extra=described(ListQuestion),
        response_model=ProductsAnswer,
        responses=errors(401, 403, 414, 422, 429, 500, 503),
        summary="What is trending",
    )
    async def trending(request: Request, question: Annotated[ListQuestion, asked(ListQuestion)]) -> Response:
        """By clicks, orders and reviews, each counting half after the window's time. What nothing has happened to since
        the model was trained has the source `popular`: its past speaks for it.
        """
        return finish(request, await recommender.lists.trending(question.page(), question.window), "trending")

    @router.get(
        "/products/new",
        openapi_extra=described(ListQuestion),
        response_model=ProductsAnswer,
        responses=errors(401, 403, 414, 422, 429, 500, 503),
        summary="What is new",
    )
    async def new(request: Request, question: Annotated[ListQuestion, asked(ListQuestion)]) -> Response:
        """What came last, and of that what is wanted first."""
        return finish(request, await recommender.lists.new(question.page(), question.window), "new")

    @router.get(
        "/products/search",
        openapi_extra=described(SearchQuestion),
        response_model=ProductsAnswer,
        responses=errors(401, 403, 404, 414, 422, 429, 500, 503),
        summary="Products whose text means the like, or has the words",
    )
    async def search(request: Request, question: Annotated[SearchQuestion, asked(SearchQuestion)]) -> Response:
        """By meaning and by the words of title and brand, such as a model number; scores are reciprocal ranks."""
        return finish(request, await recommender.search(question.q, question.page()), "search")

    return router
