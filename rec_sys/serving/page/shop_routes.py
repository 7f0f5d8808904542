"""The views by which a shop is run: its products, what was written of them, and what is trending."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from rec_sys.contracts import InputError
from rec_sys.inference.contract import Page, Review, UnknownProductError
from rec_sys.inference.live_trends import Window
from rec_sys.inference.product_messages import ChangedFacts, TakenProduct
from rec_sys.inference.product_records import ProductRecords
from rec_sys.inference.user_records import UserRecords
from rec_sys.serving.page.customer_form import as_message
from rec_sys.serving.page.page_route import PageRoute, local, problem_of, redirect
from rec_sys.serving.page.rendering import render
from rec_sys.serving.page.sessions import Form, Sessions
from rec_sys.serving.page.shop_form import WAS, ProductForm
from rec_sys.serving.problems import Problem, Refusal

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

SHOP: Final = "/shop"
_LISTED: Final = 25
_MOST_SKIPPED: Final = 1_000_000
_LAST_SEQUENCE: Final = 2**63 - 1  # of a log, as databases number
# What was done, as the next page says it; an address names one of them, so that nobody puts words into the page.
_SAID: Final = {
    "added": "The product is taken: the next answer knows it.",
    "changed": "The change is taken: the next answer knows it.",
    "later": "It is safe, and is answered as soon as what is away is back.",
    "same": "Nothing was another than before.",
    "deleted": "The product is gone from the next answer on.",
    "removed": "The review is removed.",
    "forgotten": "The customer is forgotten.",
}


@dataclass(frozen=True)
class Question:
    """What is asked once more before it is done, since it cannot be taken back."""

    title: str
    words: str
    consequence: str
    address: str
    fields: dict[str, str]
    button: str
    back: str


def shop_routes(recommender: "Recommender", sessions: Sessions) -> APIRouter:
    """The routes of these views; none without a store, which keeps what they write."""
    router = APIRouter(
        prefix=SHOP, route_class=PageRoute, include_in_schema=False, dependencies=[sessions.needing("read")]
    )
    if recommender.products is not None:
        _product_routes(router, recommender.products, sessions)
    if recommender.records is not None:
        _review_routes(router, recommender, recommender.records, sessions)

    @router.get("/trending")
    async def trending(request: Request, window: str = "") -> Response:
        chosen: Window = window if window in get_args(Window) else "week"  # type: ignore[assignment] # one of these, as just seen
        found = await recommender.lists.trending(Page(limit=_LISTED), chosen)
        return _shown(request, "trending", window=chosen, windows=get_args(Window), products=found.products)

    return router


def _product_routes(router: APIRouter, products: ProductRecords, sessions: Sessions) -> None:
    may_write = [sessions.needing("write")]

    @router.get("")
    async def listed(
        request: Request, find: str = "", skip: Annotated[int, Query(ge=0, le=_MOST_SKIPPED)] = 0, said: str = ""
    ) -> Response:
        words = find.strip()[:200]
        page = await products.page(words, _LISTED, skip)
        return _shown(request, "products", find=words, page=page, skip=skip, each=_LISTED, said=_SAID.get(said))

    @router.get("/product", dependencies=may_write)
    async def edit(request: Request, asin: str = "", find: str = "", skip: str = "") -> Response:
        form = ProductForm.of(await products.about(asin)) if asin else ProductForm()
        back = _address(SHOP, find=find, skip=skip)
        return _shown(request, "product_form", form=form, filled=form, is_new=not asin, back=back)

    @router.post("/product", dependencies=may_write)
    async def save(request: Request, fields: Form) -> Response:
        form, filled = ProductForm.read(fields), ProductForm.read(fields, WAS)
        given = dict(fields)
        is_new, back = given.get("is_new") == "yes", local(given.get("back", SHOP))
        try:
            said = await (_add(products, form) if is_new else _change(products, form, filled))
        except (HTTPException, InputError) as error:
            fault = await problem_of(request, error)
            return _shown(request, "product_form", fault, form=form, filled=filled, is_new=is_new, back=back)
        return _done(SHOP, said, find=form.asin)

    @router.post("/stock", dependencies=may_write)
    async def stock(fields: Form) -> Response:
        given = dict(fields)
        facts = ChangedFacts(in_stock=given.get("in_stock") == "yes")
        taken = await products.change(given.get("asin", ""), facts)
        return _done(SHOP, _word(taken, "changed"), find=given.get("find", ""), skip=given.get("skip", "0"))

    @router.get("/product/delete", dependencies=may_write)
    async def ask(request: Request, asin: str, find: str = "", skip: str = "") -> Response:
        title = (await products.about(asin)).title or asin
        question = Question(
            "Delete a product",
            title,
            "No answer holds it from the next one on. Reviews of it still count, and it can be added again.",
            f"{SHOP}/product/delete",
            {"asin": asin},
            "Delete it",
            _address(SHOP, find=find, skip=skip),
        )
        return _shown(request, "confirm", question=question)

    @router.post("/product/delete", dependencies=may_write)
    async def delete(fields: Form) -> Response:
        await products.remove(dict(fields).get("asin", ""))
        return _done(SHOP, "deleted")


def _review_routes(router: APIRouter, recommender: "Recommender", records: UserRecords, sessions: Sessions) -> None:
    may_write, place = [sessions.needing("write")], f"{SHOP}/reviews"

    @router.get("/reviews")
    async def newest(
        request: Request, before: Annotated[int | None, Query(ge=0, le=_LAST_SEQUENCE)] = None, said: str = ""
    ) -> Response:
        found = await records.newest(_LISTED + 1, before)
        asins = {one.asin for one in found}
        titles, there = await recommender.insight.titles(asins), await recommender.insight.in_catalogue(asins)
        older = found[_LISTED - 1].sequence if len(found) > _LISTED else None
        content: dict[str, Any] = {"reviews": found[:_LISTED], "titles": titles, "there": there, "older": older}
        return _shown(request, "reviews", said=_SAID.get(said), **content)

    @router.get("/reviews/delete", dependencies=may_write)
    async def ask(request: Request, user_id: str, review_id: str) -> Response:
        if not await records.has(user_id, review_id):
            raise _gone(place)
        question = Question(
            "Delete a review",
            f"One review by {user_id}",
            "It is removed from the store, and the next answer does not know it.",
            f"{SHOP}/reviews/delete",
            {"user_id": user_id, "review_id": review_id},
            "Delete it",
            place,
        )
        return _shown(request, "confirm", question=question)

    @router.post("/reviews/delete", dependencies=may_write)
    async def delete(fields: Form) -> Response:
        given = dict(fields)
        if not await records.remove(given.get("user_id", ""), given.get("review_id", "")):
            raise _gone(place)
        return _done(place, "removed")

    @router.get("/forget", dependencies=may_write)
    async def ask_to_forget(request: Request, user_id: str) -> Response:
        known = await records.page(user_id, 1, 0)
        question = Question(
            "Forget a customer",
            f"{user_id}, with {known.total} review{'' if known.total == 1 else 's'}",
            "All that was written by them is removed, and what the model's data has of them is used no more."
            " This cannot be undone.",
            f"{SHOP}/forget",
            {"user_id": user_id},
            "Forget them",
            place,
        )
        return _shown(request, "confirm", question=question)

    @router.post("/forget", dependencies=may_write)
    async def forget(fields: Form) -> Response:
        await records.forget(dict(fields).get("user_id", ""))
        return _done(place, "forgotten")


def _gone(place: str) -> Refusal:
    return Refusal(404, "there is no such review any more", where="the review", remedy=f"look at {place}")


async def _add(products: ProductRecords, form: ProductForm) -> str:
    if not form.asin:
        raise Refusal(422, "the product has no id", where="Id", remedy="give it one; nothing else may have it")
    facts = form.facts()
    try:
        await products.about(form.asin)
    except UnknownProductError:
        asin = as_message(Review, asin=form.asin).asin
        return _word(await products.put(asin, facts), "added")
    raise Refusal(
        409,
        f"there is a product {form.asin} already",
        where="Id",
        remedy="give this one another id, or edit that one",
    )


async def _change(products: ProductRecords, form: ProductForm, filled: ProductForm) -> str:
    facts = form.changes(filled, await products.about(form.asin))
    return "same" if facts is None else _word(await products.change(form.asin, facts), "changed")


def _word(taken: TakenProduct, word: str) -> str:
    return word if taken.searchable else "later"


def _done(address: str, said: str, **more: str) -> RedirectResponse:
    return redirect(_address(address, said=said, **more))


def _address(view: str, **given: str) -> str:
    """Of a view, with what is given of it: the words that were searched for, and how far somebody has turned."""
    kept = {name: value for name, value in given.items() if value and (name, value) != ("skip", "0")}
    return f"{view}?{urlencode(kept)}" if kept else view


def _shown(request: Request, view: str, fault: Problem | None = None, **content: Any) -> Response:
    status = 200 if fault is None else fault.status
    return render(request, f"shop/{view}.html", status, here=SHOP, view=view, fault=fault, **content)
