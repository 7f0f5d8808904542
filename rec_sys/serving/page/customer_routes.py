"""The first view: somebody writes reviews, and the products beside them change."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from rec_sys.contracts import InputError
from rec_sys.inference.contract import Page, RecommendationAnswer, RequestError
from rec_sys.inference.insight import NamedProduct
from rec_sys.inference.review_messages import ListedReviews, NewReview, NewReviews
from rec_sys.serving.authentication import Bearer
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.page.customer_form import ADD, SHOW, TAKE_BACK, CustomerForm, as_message
from rec_sys.serving.page.page_route import PageRoute, problem_of, redirect
from rec_sys.serving.page.rendering import render
from rec_sys.serving.page.score_bars import score_bars
from rec_sys.serving.page.sessions import Form, Sessions, need
from rec_sys.serving.problems import Problem, Refusal
from rec_sys.serving.recent_answers import RecentAnswers

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

Found = TypeVar("Found")

_SUGGESTED: Final = 8
_USERS_SHOWN: Final = 5
_REVIEWS_SHOWN: Final = 20
_MOST_STARS: Final = 10  # beyond them a rating is typed
_BASIS: Final = {
    "reviews": "From {count}; the newest weigh most.",
    "no_reviews": "Nothing is written yet: this is what somebody unknown gets.",
    "no_known_product": "None of the reviews could be read: this is what somebody unknown gets.",
    "unknown_user": "Nothing is known of this customer yet: this is what most have reviewed.",
}


def customer_routes(
    recommender: "Recommender", metrics: GatewayMetrics, recent: RecentAnswers, sessions: Sessions
) -> APIRouter:
    """The routes of the view."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[sessions.needing("read")])
    view = _CustomerView(recommender, metrics, recent)

    @router.get("/")
    async def show(request: Request) -> Response:
        return await view.show(request, CustomerForm.read(request.query_params.multi_items()))

    @router.post("/")
    async def press(request: Request, fields: Form) -> Response:
        return await view.press(request, CustomerForm.read(fields))

    @router.get("/suggestions")
    async def suggest(request: Request, find: str = "") -> Response:
        return render(request, "suggestions.html", found=await view.find(find))

    return router


class _CustomerView:
    def __init__(self, recommender: "Recommender", metrics: GatewayMetrics, recent: RecentAnswers) -> None:
        self._recommender, self._metrics, self._recent = recommender, metrics, recent

    async def find(self, words: str) -> tuple[NamedProduct, ...]:
        """Products that are called so, and after them those that mean the like, where the model reads texts."""
        words = words.strip()[:200]
        if not words:
            return ()
        found = await self._recommender.insight.products_called(words, _SUGGESTED)
        if len(found) < _SUGGESTED:
            try:
                meant = await self._recommender.search(words, Page(limit=_SUGGESTED))
            except RequestError:  # this model reads no new texts
                return found
            known = {product.asin for product in found}
            more = (one for one in meant.products if one.asin not in known)
            found = (*found, *(NamedProduct(one.asin, one.title or one.asin) for one in more))[:_SUGGESTED]
        return found

    async def press(self, request: Request, form: CustomerForm) -> Response:
        """Does what the button says, then shows the view."""
        try:
            if form.action == SHOW and form.wanted != form.user_id:
                return redirect(form.address_of_wanted())
            if form.action.startswith(TAKE_BACK):
                return await self._take_back(request, form)
            if form.action != ADD:
                return await self.show(request, form)
            review = _new_review(form)
            if self._keeps(request, form) and self._recommender.records is not None:
                await self._recommender.records.take(NewReviews(reviews=(review,)))
                return redirect(form.address())
            await self._recommender.recommend(form.added().request())
            return await self.show(request, form.added())
        except (HTTPException, InputError) as error:
            return await self.show(request, form, await problem_of(request, error))

    async def show(self, request: Request, form: CustomerForm, fault: Problem | None = None) -> Response:
        """The view; a fault of the review stands beside it, any other beside the products."""
        answer, fault_of = None, "review"
        try:
            answer = await self._recommender.recommend(form.request())
        except (HTTPException, InputError) as error:
            fault, fault_of = await problem_of(request, error), "answer"
        else:
            self._metrics.count_answer(answer)
            self._recent.keep(request.state.request_id, answer)
            request.state.times = answer.times
        known = await self._reviews(form)
        asins = {one.asin for one in form.reviews} | {one.asin for one in (() if known is None else known.reviews)}
        insight = self._recommender.insight
        return render(
            *(request, "customer.html", 200 if fault is None else fault.status),
            here="/",
            form=form,
            fault=fault,
            fault_of=fault_of,
            some_users=await _unless_away(insight.some_users(_USERS_SHOWN), ()),
            found=await _unless_away(self.find(form.find), ()),
            keeps=self._keeps(request, form),
            known=known,
            titles=dict(zip(asins, asins, strict=True)) | await _unless_away(insight.titles(asins), {}),
            focus="products" if form.action.startswith("skip") else "find",
            **_shown(answer),
        )

    def _keeps(self, request: Request, form: CustomerForm) -> bool:
        """Whether a review is kept: it has a writer with a name, a store, and a token that may write."""
        bearer: Bearer = request.state.page_bearer
        return bool(form.user_id) and self._recommender.records is not None and "write" in bearer.scopes

    async def _take_back(self, request: Request, form: CustomerForm) -> Response:
        need(request.state.page_bearer, "write")
        if self._recommender.records is not None:
            await self._recommender.records.remove(form.user_id, form.action.removeprefix(TAKE_BACK))
        return redirect(form.address())

    async def _reviews(self, form: CustomerForm) -> ListedReviews | None:
        if not form.user_id or self._recommender.records is None:
            return None
        return await _unless_away(self._recommender.records.page(form.user_id, _REVIEWS_SHOWN, 0), None)


def _new_review(form: CustomerForm) -> NewReview:
    """The review that is being written; a visitor's has a writer without a meaning."""
    if not form.new.asin:
        raise Refusal(
            *(422, "no product is chosen"),
            where="Product",
            remedy="type a few letters of its name, and choose one of those that are found",
        )
    return as_message(NewReview, user_id=form.user_id or "visitor", **form.new.fields())


def _shown(answer: RecommendationAnswer | None) -> dict[str, Any]:
    """What the template shows of an answer."""
    low, high = (1.0, 5.0) if answer is None else answer.rating_scale
    by_steps = float(low).is_integer() and high - low < _MOST_STARS
    products = () if answer is None else answer.products
    count = 0 if answer is None else answer.reviews_used
    reviews = f"{count} review" if count == 1 else f"{count} reviews"
    return {
        "answer": answer,
        "products": list(zip(products, score_bars(products), strict=True)),
        "basis": "" if answer is None else _BASIS[answer.basis].format(count=reviews),
        "scale": range(int(low), int(high) + 1) if by_steps else (),
        "rating_scale": (low, high),
    }


async def _unless_away(asked: Awaitable[Found], otherwise: Found) -> Found:
    """What is asked for beside the answer; where a part is away, the answer's own banner says so."""
    try:
        return await asked
    except InputError:
        return otherwise
