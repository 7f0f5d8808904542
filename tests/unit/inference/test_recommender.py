"""The recommender on a real tower and a real index: scores, reasons, filters and what goes wrong."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from rec_sys.bundle import Bundle
from rec_sys.contracts import HistoryColumn
from rec_sys.inference.contract import (
    Filter,
    Page,
    RecommendationAnswer,
    RecommendationRequest,
    RequestError,
    Review,
    ServingUnavailable,
    UnknownProductError,
    UnknownUserError,
)
from rec_sys.inference.insight import NamedProduct
from rec_sys.inference.known_users import KnownUsers
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, InferenceSettings, TableData
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.product_indexes import quick_folder
from tests.serving_bundles import (
    HELD_OUT_USER,
    NEWEST,
    PlainReview,
    expected_answer,
    known_reviews,
    popularity_term,
    write_serving_bundle,
)

Result = TypeVar("Result")
Question = Callable[[Recommender], Awaitable[Result]]
DAY = 86_400_000


def edge(folder: Path) -> EdgeIndex:
    return EdgeIndex.model_validate(
        {"backend": "edge", "folder": folder / "index", "check_queries": 4, "progress": False}
    )


def publish(bundle: Bundle, folder: Path) -> None:
    EdgePublisher(edge(folder)).publish(read_catalogue(bundle))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        publish(write_serving_bundle(folder / "bundles" / "first"), folder)
        yield folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return Bundle(folder / "bundles" / "first")


def ask(folder: Path, question: Question[Result], **inference: Any) -> Result:
    async def asked() -> Result:
        async with Recommender(edge(folder), InferenceSettings(**inference), folder) as recommender:
            return await question(recommender)

    return asyncio.run(asked())


def recommend(folder: Path, request: RecommendationRequest, **inference: Any) -> RecommendationAnswer:
    return ask(folder, lambda recommender: recommender.recommend(request), **inference)


def best(scores: np.ndarray, left_out: set[int], count: int) -> list[int]:
    return [row for row in np.argsort(-scores) if row not in left_out][:count]


def sent_as(bundle: Bundle, user_id: str) -> tuple[Review, ...]:
    return tuple(
        Review(asin=f"p{review.product}", rating=review.rating, timestamp=review.timestamp)
        for review in known_reviews(bundle, user_id)
    )


@pytest.mark.parametrize("user_id", ["user 0", "user 7", "user 11"])
def test_a_known_user_gets_the_models_own_ranking_and_its_reasons(folder: Path, bundle: Bundle, user_id: str) -> None:
    answer = recommend(folder, RecommendationRequest(user_id=user_id, limit=7), max_reasons=100)
    reviews = known_reviews(bundle, user_id)
    scores, attention, memory = expected_answer(bundle, reviews)
    wanted = best(scores, {review.product for review in reviews if review.product is not None}, 7)
    assert [product.asin for product in answer.products] == [f"p{row}" for row in wanted]
    assert [product.rank for product in answer.products] == list(range(1, 8))
    assert answer.known_user
    assert answer.basis == "reviews"
    assert answer.versions.bundle == bundle.identity
    read = reviews[: len(attention)]
    for product, row in zip(answer.products, wanted, strict=True):
        assert product.score == pytest.approx(scores[row], abs=1e-4)
        beside_towers = memory[:, row].sum() + popularity_term(bundle, len(read))[row]
        assert product.memory_score == pytest.approx(beside_towers, abs=1e-4)
        assert product.source == ("memory" if beside_towers > scores[row] / 2 else "graph")
        given = {reason.asin: reason for reason in product.reasons}
        if product.source == "graph":
            assert list(given) == [f"p{read[place].product}" for place in np.argsort(-attention, kind="stable")]
        for place, review in enumerate(read):
            if (reason := given.get(f"p{review.product}")) is not None:
                assert reason.weight == pytest.approx(attention[place], abs=1e-5)
                assert reason.memory == pytest.approx(memory[place, row], abs=1e-4)
                assert reason.rating == review.rating
                assert reason.timestamp == review.timestamp


def test_reviews_that_are_sent_count_like_those_that_are_known(folder: Path, bundle: Bundle) -> None:
    known = recommend(folder, RecommendationRequest(user_id="user 4"))
    # Any order: their times say which is the newest.
    sent = recommend(folder, RecommendationRequest(reviews=sent_as(bundle, "user 4")))
    assert [(product.asin, pytest.approx(product.score)) for product in known.products] == [
        (product.asin, product.score) for product in sent.products
    ]
    assert not sent.known_user


def test_reviews_that_are_sent_weigh_as_they_say(folder: Path) -> None:
    def scores(*weights: dict[str, float]) -> np.ndarray:
        sent = tuple(Review(asin=f"p{row}", rating=5, **weight) for row, weight in enumerate(weights))
        request = RecommendationRequest(reviews=sent, limit=60, include_seen=True)
        answer = ask(folder, lambda recommender: recommender.recommend(request))
        return np.array([product.score for product in sorted(answer.products, key=lambda product: product.asin)])

    plain = scores({}, {})
    np.testing.assert_allclose(scores({"weight": 1}, {"weight": 1.0}), plain, rtol=1e-6)
    assert np.abs(scores({}, {"weight": 0.1}) - plain).max() > 0.1


def test_more_reviews_may_be_sent_than_the_bundle_has(folder: Path, bundle: Bundle) -> None:
    sent = [Review(asin=f"p{row % 60}", rating=1 + row % 5, timestamp=NEWEST + row) for row in range(300)]
    assert len(sent) > bundle.histories().height
    answer = ask(folder, lambda recommender: recommender.recommend(RecommendationRequest(reviews=tuple(sent))))
    last = ask(folder, lambda recommender: recommender.recommend(RecommendationRequest(reviews=tuple(sent[-60:]))))
    assert [product.score for product in answer.products] == [product.score for product in last.products]
    assert answer.reviews_used == last.reviews_used


def test_reviews_of_a_known_user_are_added_to_what_is_known(folder: Path, bundle: Bundle) -> None:
    later = Review(asin="p3", rating=5, timestamp=NEWEST + 10 * DAY)
    answer = recommend(folder, RecommendationRequest(user_id="user 4", reviews=(later,)))
    together = [PlainReview(3, 5, NEWEST + 10 * DAY), *known_reviews(bundle, "user 4")]
    scores, _, _ = expected_answer(bundle, together)
    wanted = best(scores, {review.product for review in together if review.product is not None}, 10)
    assert [product.asin for product in answer.products] == [f"p{row}" for row in wanted]
    assert "p3" not in {product.asin for product in answer.products}


def test_reviews_without_a_time_are_the_newest_in_their_order(folder: Path, bundle: Bundle) -> None:
    reviews = (Review(asin="p1", rating=1), Review(asin="p2", timestamp=NEWEST), Review(asin="p3", rating=4))
    answer = recommend(folder, RecommendationRequest(reviews=reviews, limit=3))
    order = [PlainReview(3, 4), PlainReview(1, 1), PlainReview(2, None, NEWEST)]
    scores, _, _ = expected_answer(bundle, order)
    assert [product.asin for product in answer.products] == [f"p{row}" for row in best(scores, {1, 2, 3}, 3)]
    assert answer.products[0].score == pytest.approx(max(np.delete(scores, [1, 2, 3])), abs=1e-4)


def test_many_users_get_what_each_would_get_alone_in_their_order(folder: Path, bundle: Bundle) -> None:
    requests = [RecommendationRequest(user_id=f"user {number}", limit=4) for number in (5, 1, 30, 2, 5)]
    requests.append(RecommendationRequest(limit=4))

    async def both(recommender: Recommender) -> tuple[list[RecommendationAnswer], list[RecommendationAnswer]]:
        together = await asyncio.gather(*map(recommender.recommend, requests))
        return together, [await recommender.recommend(one) for one in requests]

    together, alone = ask(folder, both)
    for one, other in zip(together, alone, strict=True):
        assert one.user_id == other.user_id
        assert [product.asin for product in one.products] == [product.asin for product in other.products]
        assert np.allclose([product.score for product in one.products], [p.score for p in other.products], atol=1e-5)


def test_one_bad_request_among_many_spoils_no_other(folder: Path) -> None:
    async def both(recommender: Recommender) -> list[RecommendationAnswer | BaseException]:
        good = recommender.recommend(RecommendationRequest(user_id="user 1"))
        bad = recommender.recommend(RecommendationRequest(user_id="nobody"))
        return await asyncio.gather(good, bad, return_exceptions=True)

    good, bad = ask(folder, both)
    assert isinstance(good, RecommendationAnswer)
    assert isinstance(bad, UnknownUserError)


def test_a_question_that_the_index_cannot_even_read_spoils_no_other(folder: Path) -> None:
    unreadable = Filter.model_construct(brands=("\ud800",))  # past the checks of a request

    async def ask_all(recommender: Recommender) -> list[RecommendationAnswer | BaseException]:
        good = [recommender.recommend(RecommendationRequest(user_id=f"user {number}")) for number in range(7)]
        bad = recommender.recommend(RecommendationRequest.model_construct(user_id="user 7", filter=unreadable))
        return await asyncio.wait_for(asyncio.gather(bad, *good, return_exceptions=True), 20)

    bad, *good = ask(folder, ask_all)
    assert [answer.user_id for answer in good if isinstance(answer, RecommendationAnswer)] == [
        f"user {number}" for number in range(7)
    ]
    assert isinstance(bad, TypeError)


def test_who_was_asked_by_the_test_is_answered_from_the_reviews_before(folder: Path, bundle: Bundle) -> None:
    async def question(recommender: Recommender) -> tuple[RecommendationAnswer, tuple[NamedProduct, ...], object]:
        asked = RecommendationRequest(user_id=HELD_OUT_USER, limit=7)
        held_out = await recommender.insight.asked_by_test(HELD_OUT_USER)
        return (
            await recommender.recommend(asked, as_tested=True),
            held_out,
            await recommender.insight.asked_by_test("x"),
        )

    answer, held_out, of_nobody = ask(folder, question)
    newest, *before = known_reviews(bundle, HELD_OUT_USER)
    assert before
    scores, _, _ = expected_answer(bundle, before)
    wanted = best(scores, {review.product for review in before if review.product is not None}, 7)
    assert [product.asin for product in answer.products] == [f"p{row}" for row in wanted]
    assert ([one.asin for one in held_out], of_nobody) == ([f"p{newest.product}"], ())
    older = KnownUsers(bundle.histories().drop(HistoryColumn.HELD_OUT))  # of a bundle that does not say
    assert [len(rows) for rows in older.before_test(HELD_OUT_USER)] == [0, 0]


def test_whoever_has_no_reviews_gets_the_towers_answer_for_somebody_unknown(folder: Path, bundle: Bundle) -> None:
    answer = recommend(folder, RecommendationRequest(limit=5))
    scores, _, _ = expected_answer(bundle, [])
    assert answer.basis == "no_reviews"
    assert [product.asin for product in answer.products] == [f"p{row}" for row in best(scores, set(), 5)]
    assert {product.source for product in answer.products} == {"graph"}
    assert answer.fallback is None


def test_whoever_has_no_reviews_gets_what_is_popular_where_the_settings_say_so(folder: Path, bundle: Bundle) -> None:
    answer = recommend(folder, RecommendationRequest(limit=5, offset=2), empty_history="popular")
    counts = bundle.products()["review_count"].to_numpy()
    assert [product.asin for product in answer.products] == [f"p{row}" for row in np.argsort(-counts)[2:7]]
    assert {product.source for product in answer.products} == {"popular"}
    assert [product.rank for product in answer.products] == [3, 4, 5, 6, 7]


def test_reviews_of_products_that_nobody_knows_are_told_apart(folder: Path, bundle: Bundle) -> None:
    reviews = (Review(asin="from elsewhere", text="splendid"), Review(asin="p5", text="too loud"))
    answer = recommend(folder, RecommendationRequest(reviews=reviews, limit=3))
    scores, _, _ = expected_answer(bundle, [PlainReview(5)])
    assert [product.asin for product in answer.products] == [f"p{row}" for row in best(scores, {5}, 3)]
    assert [(ignored.field, ignored.asin) for ignored in answer.ignored] == [
        ("reviews[0]", "from elsewhere"),
        ("reviews[1].text", "p5"),
    ]
    assert "reads no text" in answer.ignored[0].reason
    alone = recommend(folder, RecommendationRequest(reviews=reviews[:1], limit=3))
    assert alone.basis == "no_known_product"
    assert alone.products


def test_filters_pages_and_seen_products_are_respected(folder: Path, bundle: Bundle) -> None:
    limits = Filter(categories_any=("Kind 1",), max_price=60, not_seen=("p1",))
    first = recommend(folder, RecommendationRequest(user_id="user 2", limit=3, filter=limits))
    second = recommend(folder, RecommendationRequest(user_id="user 2", limit=3, offset=3, filter=limits))
    reviews = known_reviews(bundle, "user 2")
    scores, _, _ = expected_answer(bundle, reviews)
    prices = bundle.products()["price"].to_numpy()
    left_out = {row for row in range(60) if row % 3 != 1 or prices[row] > 60} | {1}
    seen = {review.product for review in reviews if review.product is not None}
    found = [product.asin for answer in (first, second) for product in answer.products]
    assert found == [f"p{row}" for row in best(scores, left_out | seen, 6)]
    again = recommend(folder, RecommendationRequest(user_id="user 2", limit=60, include_seen=True))
    assert {f"p{product}" for product in seen} <= {product.asin for product in again.products}


def test_diversity_changes_the_order_and_ends_somewhere(folder: Path) -> None:
    plain = recommend(folder, RecommendationRequest(user_id="user 2"))
    diverse = recommend(folder, RecommendationRequest(user_id="user 2", diversity=0.9))
    assert diverse.products[0].asin == plain.products[0].asin
    assert [product.asin for product in diverse.products] != [product.asin for product in plain.products]
    with pytest.raises(RequestError, match="diversified") as refused:
        recommend(folder, RecommendationRequest(user_id="user 2", diversity=0.9, offset=195))
    assert refused.value.field == "offset"


def test_without_explanation_there_are_no_reasons(folder: Path) -> None:
    answer = recommend(folder, RecommendationRequest(user_id="user 2", explain=False))
    assert not any(product.reasons for product in answer.products)


def test_similar_products_come_by_their_vectors(folder: Path, bundle: Bundle) -> None:
    answer = ask(folder, lambda recommender: recommender.similar("p8", Page(limit=4)))
    vectors = bundle.product_vectors()["output"]
    assert [product.asin for product in answer.products] == [f"p{row}" for row in best(vectors @ vectors[8], {8}, 4)]
    assert {product.source for product in answer.products} == {"graph"}
    assert answer.versions.bundle == bundle.identity


def test_what_cannot_be_asked_of_products_is_named(folder: Path) -> None:
    with pytest.raises(UnknownProductError, match="no product nothing"):
        ask(folder, lambda recommender: recommender.similar("nothing", Page()))
    with pytest.raises(RequestError, match="no text") as refused:
        ask(folder, lambda recommender: recommender.similar("p1", Page(), by="text"))
    assert refused.value.field == "by"
    for text in ("guitar", "   "):
        with pytest.raises(RequestError) as refused:
            ask(folder, lambda recommender, text=text: recommender.search(text, Page()))
        assert refused.value.field == "q"


def test_an_empty_answer_says_why(folder: Path, bundle: Bundle) -> None:
    brand = bundle.products()["brand"].drop_nulls()[0]
    unknown = Filter(brands=(f"{brand}x",), categories_any=("No such thing",))
    nearest = f"no product of the bundle has the brand '{brand}x'; the nearest: '{brand}'"
    answers = [
        recommend(folder, RecommendationRequest(user_id="user 2", filter=unknown)),
        ask(folder, lambda recommender: recommender.similar("p1", Page(filter=unknown))),
    ]
    for answer in answers:
        assert answer.products == ()
        assert answer.hints[0].startswith("no product passes the filter")
        assert answer.hints[1].startswith(nearest)
        assert answer.hints[2].startswith("no product of the bundle has the category 'No such thing'")
    assert recommend(folder, RecommendationRequest(user_id="user 2")).hints == ()
    late = recommend(folder, RecommendationRequest(user_id="user 2", offset=9_000))
    assert late.hints == ("no product: the ranking ends before offset 9000",)


def test_ratings_are_on_the_scale_of_the_data(folder: Path, tmp_path: Path) -> None:
    shop = {"name": "shop", "reader": "table", "reviews_path": "shop.csv", "rating_scale": (0, 10)}
    publish(write_serving_bundle(tmp_path / "bundles" / "shop", data=TableData.model_validate(shop)), tmp_path)

    def asked(where: Path, *ratings: float | None) -> RecommendationAnswer:
        reviews = tuple(Review(asin=f"p{place}", rating=rating) for place, rating in enumerate(ratings))
        return recommend(where, RecommendationRequest(reviews=reviews))

    of_ten, of_five = asked(tmp_path, 10, 0, 7.5, None), asked(folder, 5, 1, 4, None)
    assert of_ten.products == of_five.products
    assert {reason.rating for product in of_ten.products for reason in product.reasons} <= {5, 1, 4, None}
    for where, rating, scale in ((tmp_path, 10.5, "0 to 10"), (tmp_path, -1, "0 to 10"), (folder, 0, "1 to 5")):
        with pytest.raises(RequestError, match=f"outside the scale of this model's data, {scale}") as refused:
            asked(where, None, rating)
        assert refused.value.field == "reviews[1].rating"
    for where, scale in ((tmp_path, (0, 10)), (folder, (1, 5))):
        (tower, *_) = ask(where, lambda recommender: recommender.models())
        assert tower.details["rating_scale"] == scale


def test_too_much_is_refused_by_its_field(folder: Path) -> None:
    reviews = tuple(Review(asin="p1") for _ in range(4))
    with pytest.raises(RequestError, match="4 reviews are sent, 3") as refused:
        recommend(folder, RecommendationRequest(reviews=reviews), max_reviews=3)
    assert refused.value.field == "reviews"
    long = (Review(asin="p1"), Review(asin="p2", text="x" * 11))
    with pytest.raises(RequestError, match="11 characters, 10") as refused:
        recommend(folder, RecommendationRequest(reviews=long), max_text_characters=10)
    assert refused.value.field == "reviews[1].text"


def test_without_an_index_the_part_is_named_or_what_is_popular_stands_in(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "bundles", tmp_path / "bundles")
    with pytest.raises(ServingUnavailable, match="the index is empty") as away:
        recommend(tmp_path, RecommendationRequest(user_id="user 1"), retry_after_seconds=7)
    assert (away.value.component, away.value.retry_after) == ("index", 7)
    assert away.value.remedy.startswith("run rec_sys.vector_database.create_vectorbase first")
    answer = recommend(tmp_path, RecommendationRequest(user_id="user 1"), fallback="popular")
    assert answer.fallback == "popular"
    assert answer.fallback_reason == "the index is empty"
    assert {product.source for product in answer.products} == {"popular"}
    assert answer.versions.index is None
    health = ask(tmp_path, lambda recommender: recommender.health())
    assert not health.ready
    assert [(part.part, part.ready) for part in health.parts] == [("index", False)]
    assert ask(tmp_path, lambda recommender: recommender.models()) == ()


def test_where_nothing_is_trained_training_comes_first(tmp_path: Path) -> None:
    with pytest.raises(ServingUnavailable, match="nothing has been trained yet") as away:
        recommend(tmp_path, RecommendationRequest(user_id="user 1"))
    assert away.value.remedy.startswith("run rec_sys.train.train first, then rec_sys.vector_database.create_vectorbase")


def test_an_index_whose_bundle_is_elsewhere_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "index", tmp_path / "index", symlinks=True)
    with pytest.raises(ServingUnavailable, match="which is not here") as away:
        recommend(tmp_path, RecommendationRequest(user_id="user 1"))
    assert away.value.component == "bundle"


def test_triton_that_is_away_is_named_or_the_tower_here_stands_in(folder: Path) -> None:
    there = {"runtime": "triton", "triton_url": "127.0.0.1:9", "attempts": 1, "deadline_seconds": 1}
    request = RecommendationRequest(user_id="user 1")
    with pytest.raises(ServingUnavailable, match=r"127\.0\.0\.1:9") as away:
        recommend(folder, request, **there)
    assert away.value.component == "triton"
    answer = recommend(folder, request, fallback="in_process", **there)
    assert answer.fallback == "in_process"
    assert answer.versions.towers == "in_process"
    plain = recommend(folder, request)
    assert [product.asin for product in answer.products] == [product.asin for product in plain.products]
    popular = recommend(folder, request, fallback="popular", **there)
    assert popular.fallback == "popular"
    health = ask(folder, lambda recommender: recommender.health(), **there)
    assert not health.ready
    assert {part.part: part.ready for part in health.parts} == {"index": True, "bundle": True, "triton": False}
    assert ask(folder, lambda recommender: recommender.health(), fallback="in_process", **there).ready


def test_another_bundle_is_followed_as_soon_as_it_is_served(tmp_path: Path) -> None:
    with quick_folder() as folder:
        first = write_serving_bundle(folder / "bundles" / "first")
        publish(first, folder)

        async def across(recommender: Recommender) -> list[RecommendationAnswer]:
            request = RecommendationRequest(user_id="user 3", limit=3)
            answers = [await recommender.recommend(request)]
            second = write_serving_bundle(folder / "bundles" / "second", seed=1, num_products=45)
            publish(second, folder)
            answers.append(await recommender.recommend(request))
            EdgePublisher(edge(folder)).rollback()
            answers.append(await recommender.recommend(request))
            return answers

        answers = ask(folder, across)
        bundles = [first, Bundle(folder / "bundles" / "second"), first]
        for answer, bundle in zip(answers, bundles, strict=True):
            reviews = known_reviews(bundle, "user 3")
            scores, _, _ = expected_answer(bundle, reviews)
            seen = {review.product for review in reviews if review.product is not None}
            assert answer.versions.bundle == bundle.identity
            assert [product.asin for product in answer.products] == [f"p{row}" for row in best(scores, seen, 3)]


def test_health_and_models_name_what_answers(folder: Path, bundle: Bundle) -> None:
    health = ask(folder, lambda recommender: recommender.health())
    assert health.ready
    assert {part.part for part in health.parts} == {"index", "bundle", "answers"}
    models = ask(folder, lambda recommender: recommender.models())
    assert [model.name for model in models] == ["user_tower", "memory", "product_index"]
    assert {model.identity for model in models} == {bundle.identity}


def test_times_are_told_by_step(folder: Path) -> None:
    times = recommend(folder, RecommendationRequest(user_id="user 1")).times
    assert min(times.tower, times.index, times.total) > 0
    assert times.total == pytest.approx(times.text + times.tower + times.index + times.ranker + times.rest, abs=0.01)


def test_repeats_are_shown_where_the_setting_says_so_and_are_the_unmasked_ranking(folder: Path, bundle: Bundle) -> None:
    request = RecommendationRequest(user_id="user 7", limit=10)
    scores, _, memory = expected_answer(bundle, reviews := known_reviews(bundle, "user 7"))
    shown = recommend(folder, request, repeats="show", max_reasons=100)
    assert [product.asin for product in shown.products] == [f"p{row}" for row in best(scores, set(), 10)]
    asked_for = recommend(folder, request.model_copy(update={"include_seen": True}), max_reasons=100)
    assert shown.products == asked_for.products
    repeated = next(product for product in shown.products if product.asin in {f"p{one.product}" for one in reviews[:6]})
    assert repeated.asin in {reason.asin for reason in repeated.reasons}
    assert sum(reason.memory for reason in repeated.reasons) == pytest.approx(
        memory[:, int(repeated.asin[1:])].sum(), abs=1e-4
    )
    hidden = {product.asin for product in recommend(folder, request).products}
    assert not hidden & {f"p{one.product}" for one in reviews}
