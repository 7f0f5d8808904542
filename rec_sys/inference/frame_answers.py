"""Answers for many users or products at once, as the rows of a frame; what a row cannot say is logged."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from rec_sys.contracts import InputError
from rec_sys.inference.contract import (
    Filter,
    Page,
    ProductsAnswer,
    RecommendationAnswer,
    RecommendationRequest,
    RequestError,
    UnknownUserError,
)
from rec_sys.inference.recommender import Recommender
from rec_sys.inference.request_parsing import parse

_LOG: Final = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=ProductsAnswer)
Row = tuple[str, str, int, float, str]  # who or what was asked for, product, rank, score, source

_LONGEST_PAGE: Final = 100  # products of one request
_AT_ONCE: Final = 1_024  # requests that wait for the recommender together, which asks in blocks


async def recommend_products(
    recommender: Recommender,
    reviews: Mapping[str, list[dict[str, Any]]],
    k: int,
    common: Mapping[str, Any],
    popular: bool,
) -> list[Row]:
    """Products for users.

    Args:
        recommender: Who answers.
        reviews: Each user's reviews beside those that the bundle has.
        k: Products a user.
        common: The fields that all requests share, `filter` among them.
        popular: Whether users whom the bundle does not know are answered as somebody unknown.

    Raises:
        InputError: Users are not known, or a review cannot be meant.
    """
    unknown = set[str]()

    async def ask(user: str, page: dict[str, int]) -> RecommendationAnswer | None:
        content = {**common, **page, "reviews": reviews[user]}
        try:
            return await recommender.recommend(parse(RecommendationRequest, content | {"user_id": user}))
        except UnknownUserError:
            if popular:
                return await recommender.recommend(parse(RecommendationRequest, content))
            unknown.add(user)
            return None
        except RequestError as error:
            limit = {"reviews": "max_reviews", "text": "max_text_characters"}.get(error.field.rpartition(".")[2], "")
            remedy = f"{error.remedy}; or raise inference.{limit}=..." if limit else error.remedy
            raise InputError(error.what, where=f"{error.where} of user {user}", remedy=remedy) from error

    answers = await _ask_all(ask, reviews, k)
    if unknown:
        raise InputError(
            f"{len(unknown):,} of {len(reviews):,} users are not known, such as {', '.join(sorted(unknown)[:3])}",
            where="users",
            remedy='leave them out, ask with on_unknown="popular", or give their reviews to recommend_for_reviews',
        )
    _warn_of_ignored([answer for _, page, answer in answers if not page["offset"]])
    await _warn_of_empty(recommender, answers, common["filter"])
    return _rows(answers)


async def similar_products(
    recommender: Recommender, asins: Iterable[str], k: int, by: Literal["graph", "text"]
) -> list[Row]:
    """Products like others.

    Raises:
        InputError: A product is not in the index, or has no text.
    """

    async def ask(asin: str, page: dict[str, int]) -> ProductsAnswer:
        return await recommender.similar(asin, parse(Page, page), by)

    return _rows(await _ask_all(ask, asins, k))


async def _ask_all(
    ask: Callable[[str, dict[str, int]], Coroutine[Any, Any, Answer | None]], names: Iterable[str], k: int
) -> list[tuple[str, dict[str, int], Answer]]:
    """Asks for each name in pages, many at a time; the answers there are, with the name and the page of each."""
    pages = [
        (name, {"limit": min(_LONGEST_PAGE, k - offset), "offset": offset})
        for name in names
        for offset in range(0, k, _LONGEST_PAGE)
    ]
    found = []
    for start in range(0, len(pages), _AT_ONCE):
        some = pages[start : start + _AT_ONCE]
        for (name, page), answer in zip(some, await asyncio.gather(*(ask(*one) for one in some)), strict=True):
            if answer is not None:
                found.append((name, page, answer))
    for reason in dict.fromkeys(answer.fallback_reason for _, _, answer in found if answer.fallback):
        _LOG.warning(f"a fallback answers: {reason}")
    return found


def _rows(answers: Iterable[tuple[str, dict[str, int], ProductsAnswer]]) -> list[Row]:
    return [
        (name, product.asin, product.rank, product.score, product.source)
        for name, _, answer in answers
        for product in answer.products
    ]


def _warn_of_ignored(answers: Sequence[RecommendationAnswer]) -> None:
    reasons = Counter(ignored.reason for answer in answers for ignored in answer.ignored)
    for reason, number in reasons.items():
        _LOG.warning(f"reviews, or texts of reviews, that were not used: {number:,}; {reason}")


async def _warn_of_empty(
    recommender: Recommender, answers: Sequence[tuple[str, dict[str, int], RecommendationAnswer]], wanted: Filter
) -> None:
    """Says what of a filter no product meets, and for whom there is no product at all."""
    parts = await recommender.unmet_parts(wanted) if answers and wanted != Filter() else []
    for part in parts:
        _LOG.warning(f"filter: {part}")
    empty = [name for name, page, answer in answers if not page["offset"] and not answer.products]
    if empty:
        users = len({name for name, _, _ in answers})
        why = "no product passes the filter" if wanted != Filter() else "no product is left that is new to them"
        _LOG.warning(f"no answer for {len(empty):,} of {users:,} users, such as {empty[0]}: {why}")
