"""Views of the model: compared with its parts, looked into, and how it is."""

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from rec_sys.contracts import InputError
from rec_sys.inference.contract import Filter, Page, Recommendation, RecommendationRequest, RequestError, Review
from rec_sys.inference.recommender import MODELS
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.page.customer_form import as_message
from rec_sys.serving.page.neighbour_drawing import draw
from rec_sys.serving.page.page_route import PageRoute, problem_of
from rec_sys.serving.page.publication_routes import published
from rec_sys.serving.page.rendering import render
from rec_sys.serving.page.sessions import Sessions
from rec_sys.serving.page.step_latency import requests_answered, step_latencies
from rec_sys.settings import TrackingSettings

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

_LISTED: Final = 10
_NEIGHBOURS: Final = 8
_USERS_SHOWN: Final = 5
_MAPPED: Final = 400
_FIGURES: Final = ("ndcg_at_10", "recall_at_10", "mrr_at_10", "coverage_at_10", "rmse", "mae")
_WORDS: Final = {
    "hybrid": "the whole score",
    "graph": "attention over the graph alone",
    "memory": "the co-review memory alone",
    "popular": "the same for everyone",
}


def model_routes(
    recommender: "Recommender", metrics: GatewayMetrics, sessions: Sessions, tracking: TrackingSettings | None
) -> APIRouter:
    """The routes of these views."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[sessions.needing("read")])
    view = _ModelView(recommender)

    @router.get("/compare")
    async def compare(request: Request, user_id: str = "", reviews: str = "") -> Response:
        return await view.of_user(request, "compare", user_id.strip(), with_all=reviews == "all")

    @router.get("/understand")
    async def understand(request: Request, user_id: str = "") -> Response:
        return await view.of_user(request, "understand", user_id.strip())

    @router.get("/product")
    async def product(request: Request, asin: str) -> Response:
        return await view.of_product(request, asin.strip())

    @router.get("/map")
    async def product_map(request: Request, category: str = "") -> Response:
        points = await recommender.insight.product_map(_MAPPED)
        known = sorted({kind for point in points for kind in point.categories})
        chosen = category if category in known else ""
        return render(request, "map.html", here="/map", points=points, categories=known, category=chosen)

    @router.get("/models")
    async def models(request: Request) -> Response:
        health = await recommender.health()
        metrics.note_health(health)
        figures: dict[str, dict[str, float]] = {}
        if health.ready:
            figures = await recommender.insight.figures()
        return render(
            *(request, "models.html", 200 if health.ready else 503),
            here="/models",
            health=health,
            cards=await recommender.models(),
            figures=figures,
            shown=[name for name in _FIGURES if any(name in of_one for of_one in figures.values())],
            steps=step_latencies(metrics),
            requests=requests_answered(metrics),
            **await published(request, recommender, tracking),
        )

    return router


class _ModelView:
    def __init__(self, recommender: "Recommender") -> None:
        self._recommender = recommender

    async def of_user(self, request: Request, name: str, user_id: str, with_all: bool = False) -> Response:
        """A view of one user; who they are can be changed whatever goes wrong."""
        fault, content = None, dict[str, Any]()
        look = partial(self._compared, with_all=with_all) if name == "compare" else self._attention
        try:
            content = await look(user_id) if user_id else {}
        except (HTTPException, InputError) as error:
            fault = await problem_of(request, error)
        some_users = await self._recommender.insight.some_users(_USERS_SHOWN)
        return render(
            *(request, f"{name}.html", 200 if fault is None else fault.status),
            here=f"/{name}",
            fault=fault,
            user_id=user_id,
            some_users=some_users,
            **content,
        )

    async def _compared(self, user_id: str, with_all: bool) -> dict[str, Any]:
        held_out = await self._recommender.insight.asked_by_test(user_id)
        as_tested = bool(held_out) and not with_all
        asked = [as_message(RecommendationRequest, user_id=user_id, model=one, limit=_LISTED) for one in MODELS]
        answers = await asyncio.gather(*(self._recommender.recommend(one, as_tested=as_tested) for one in asked))
        found = Counter(product.asin for answer in answers for product in answer.products)
        lists = [(answer.model, _WORDS[answer.model], answer.products) for answer in answers]
        marked = {product.asin for product in held_out} if as_tested else ()
        there = await self._recommender.insight.in_catalogue(product.asin for product in held_out)
        held = {"held_out": held_out, "there": there, "as_tested": as_tested, "marked": marked}
        return {"lists": lists, "found": found, **held}

    async def _attention(self, user_id: str) -> dict[str, Any]:
        as_message(RecommendationRequest, user_id=user_id)
        reviews = await self._recommender.insight.attention(user_id)
        strongest = max((one.weight for one in reviews), default=0.0)
        return {
            "reviews": sorted(reviews, key=lambda one: -one.weight),
            "there": await self._recommender.insight.in_catalogue(one.asin for one in reviews),
            "strongest": strongest or 1.0,
            "remembered": max((one.memory for one in reviews), default=0.0) or 1.0,
        }

    async def of_product(self, request: Request, asin: str) -> Response:
        """A product and what is near it."""
        page = Page(limit=_NEIGHBOURS)
        graph = (await self._recommender.similar(asin, page, by="graph")).products
        only = as_message(Filter, only=(asin,), out_of_stock=True)
        asked = RecommendationRequest(model="popular", filter=only, limit=1, explain=False)
        themselves = (await self._recommender.recommend(asked)).products
        product = themselves[0] if themselves else None
        listed = None if self._recommender.products is None else await self._recommender.products.about(asin)
        is_reviewed = product is not None and product.review_count > 0
        if product is not None and not (is_reviewed or product.title or product.brand or product.categories):
            graph = ()  # nothing leads to where it stands
        memory, text = await self._remembered(asin), await self._alike(asin, page)
        return render(
            *(request, "product.html"),
            product=product,
            listed=listed,
            asin=asin,
            drawing=draw(graph, memory),
            groups=[
                ("By their reviews", "the graph’s vectors are near", graph)
                if is_reviewed
                else ("By the graph", "nobody has reviewed it yet: it stands where its text leads to", graph),
                ("By the co-review memory", "people reviewed both", memory),
                ("By their texts", "they say the like of themselves", text),
            ],
        )

    async def _remembered(self, asin: str) -> tuple[Recommendation, ...]:
        request = as_message(
            RecommendationRequest, reviews=(Review(asin=asin),), model="memory", limit=_NEIGHBOURS, explain=True
        )
        products = (await self._recommender.recommend(request)).products
        return tuple(one for one in products if any(reason.memory > 0 for reason in one.reasons))

    async def _alike(self, asin: str, page: Page) -> tuple[Recommendation, ...]:
        try:
            return (await self._recommender.similar(asin, page, by="text")).products
        except RequestError:  # the product has no text
            return ()
