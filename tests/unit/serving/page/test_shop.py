"""Running the shop at the page: what each form says to the recommender, and what a token that may not write sees."""

import asyncio
import re
from dataclasses import replace
from unittest.mock import AsyncMock
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from tests import scripted_recommender
from tests.scripted_recommender import KNOWN_PRODUCT, KNOWN_USER, PRODUCT, ScriptedRecommender
from tests.unit.serving.conftest import Start
from tests.unit.serving.page.test_sessions import TOKENS, sign_in

NEW = {"is_new": "yes", "asin": " p9 ", "title": "Banjo", "categories": "Folk\r\n\r\nBanjos", "price": "329.5"}
# Everything that writes, and the views that lead to it.
FORMS = {
    "/shop/product": NEW,
    "/shop/stock": {"asin": KNOWN_PRODUCT, "in_stock": "no"},
    "/shop/product/delete": {"asin": KNOWN_PRODUCT},
    "/shop/reviews/delete": {"user_id": KNOWN_USER, "review_id": "r1"},
    "/shop/forget": {"user_id": KNOWN_USER},
}
LEADING = ["/shop/product", f"/shop/product?asin={KNOWN_PRODUCT}", f"/shop/product/delete?asin={KNOWN_PRODUCT}"]
LEADING += ["/shop/reviews/delete?user_id=u1&review_id=r1", f"/shop/forget?user_id={KNOWN_USER}"]
VIEWS = ["/shop", "/shop/reviews", "/shop/trending"]


@pytest.fixture
def shop(start: Start) -> TestClient:
    client = start(tokens=TOKENS)
    client.follow_redirects = False
    sign_in(client, "write-secret")
    return client


def test_a_read_token_sees_no_button_and_can_press_none(shop: TestClient, recommender: ScriptedRecommender) -> None:
    written = {view: shop.get(view).text for view in VIEWS}
    assert all(f'action="{form}"' in written["/shop"] for form in ["/shop/stock"])
    assert "/shop/product/delete?" in written["/shop"]
    assert "/shop/forget?" in written["/shop/reviews"]
    sign_in(shop, "read-secret")
    for view in VIEWS:
        shown = shop.get(view)
        assert shown.status_code == 200
        assert not [form for form in FORMS if form in shown.text]
        assert 'method="post"' not in shown.text.replace('method="post" action="/sign-out"', "")
    for address in LEADING:
        assert shop.get(address).status_code == 403
    for address, fields in FORMS.items():
        refused = shop.post(address, data=fields)
        assert refused.status_code == 403
        assert "the token of reader may not write" in refused.text
    assert recommender.products.said == {}


@pytest.mark.parametrize("address", [*VIEWS, *LEADING])
def test_without_a_token_there_is_only_the_sign_in(address: str, start: Start) -> None:
    client = start(tokens=TOKENS)
    client.follow_redirects = False
    assert client.get(address).headers["Location"] == f"/sign-in?{urlencode({'next': address})}"
    assert {client.post(form, data=fields).headers["Location"] for form, fields in FORMS.items()} == {"/sign-in"}


def test_every_question_has_a_button_that_does_it_and_a_way_back(shop: TestClient) -> None:
    for address in LEADING[2:]:
        shown = shop.get(address).text
        assert f'action="{address.partition("?")[0]}"' in shown
        assert "Cancel</a>" in shown
    listed = shop.get("/shop?find=guitar+a%26b&skip=25").text
    assert f'/shop/product?asin={KNOWN_PRODUCT}&amp;find=guitar+a%26b&amp;skip=25"' in listed.replace("%20", "+")
    for leading in ("product", "product/delete"):
        shown = shop.get(f"/shop/{leading}?asin={KNOWN_PRODUCT}&find=guitar+a%26b&skip=25").text
        assert '<a href="/shop?find=guitar+a%26b&amp;skip=25">Cancel</a>' in shown
    wrong = NEW | {"price": "dear"}
    for back, kept in {"/shop?find=guitar": "/shop?find=guitar", "//elsewhere.example": "/"}.items():
        assert f'<a href="{kept}">Cancel</a>' in shop.post("/shop/product", data=wrong | {"back": back}).text
    done = {form: shop.post(form, data=fields).headers["Location"] for form, fields in FORMS.items()}
    assert list(done.values()) == [
        "/shop?said=added&find=p9",
        "/shop?said=changed",
        "/shop?said=deleted",
        "/shop/reviews?said=removed",
        "/shop/reviews?said=forgotten",
    ]
    for gone in ("product/delete?asin=p7", "reviews/delete?user_id=u1&review_id=r7", "forget?user_id=u7"):
        assert shop.get(f"/shop/{gone}").status_code == 404


def test_a_products_form_says_what_is_another_and_nothing_else(
    shop: TestClient, recommender: ScriptedRecommender
) -> None:
    said = recommender.products.said
    shop.post("/shop/product", data=NEW)
    added = said.pop("p9")
    assert added is not None
    assert (added.title, added.categories, added.price) == ("Banjo", ("Folk", "Banjos"), 329.5)
    assert added.in_stock is False  # the box is not ticked
    edited = {"is_new": "no", "asin": KNOWN_PRODUCT, "title": "Guitar", "brand": "", "price": "9.90", "in_stock": "yes"}
    shown = shop.get(f"/shop/product?asin={KNOWN_PRODUCT}").text
    edited |= (filled := dict(re.findall(r'type="hidden" name="(was_\w+)" value="([^"]*)"', shown)))
    assert filled == {
        **{"was_title": "Guitar", "was_brand": "Maker", "was_categories": "", "was_price": "9.9"},
        **{"was_description": "", "was_in_stock": "yes"},
    }
    assert shop.post("/shop/product", data=edited).headers["Location"].startswith("/shop?said=changed")
    changed = said.pop(KNOWN_PRODUCT)
    assert changed is not None
    assert changed.model_dump(exclude_unset=True) == {"brand": None}
    same = shop.post("/shop/product", data=edited | {"brand": "Maker"})
    assert "said=same" in same.headers["Location"]
    # Somebody else has written the other brand meanwhile, which this form does not take back.
    stale = edited | {"was_brand": "An older one", "brand": "An older one", "was_description": "a\r\nb"}
    stale |= {"description": "a\nb", "title": "Banjo"}
    assert "said=changed" in shop.post("/shop/product", data=stale).headers["Location"]
    assert (changed := said.pop(KNOWN_PRODUCT)) is not None
    assert changed.model_dump(exclude_unset=True) == {"title": "Banjo"}
    assert said == {}
    for typed, read in {"12,50": 12.5, "0,5": 0.5, "0.001": 0.001}.items():
        shop.post("/shop/product", data=NEW | {"price": typed})
        assert (added := said.pop("p9")) is not None
        assert added.price == read


def test_what_is_near_a_product_says_whether_it_can_be_had_and_leads_to_its_form(
    shop: TestClient, recommender: ScriptedRecommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = shop.get(f"/product?asin={KNOWN_PRODUCT}").text
    assert ("out of stock" in shown, f'href="/shop/product?asin={KNOWN_PRODUCT}"' in shown) == (False, True)
    assert "By their reviews" in shown
    listed = asyncio.run(recommender.products.about(KNOWN_PRODUCT)).model_copy(update={"in_stock": False})
    monkeypatch.setattr(recommender.products, "about", AsyncMock(return_value=listed))
    new = replace(PRODUCT, review_count=0, price=0.001)
    monkeypatch.setattr(scripted_recommender, "PRODUCT", new)
    sign_in(shop, "read-secret")
    shown = shop.get(f"/product?asin={KNOWN_PRODUCT}").text
    assert ("out of stock" in shown, "/shop/product?" in shown, ">0.001<" in shown) == (True, False, True)
    assert ("By their reviews" in shown, "nobody has reviewed it yet" in shown) == (False, True)


def test_what_is_not_in_the_catalogue_is_named_and_leads_nowhere(
    shop: TestClient, recommender: ScriptedRecommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, views = f'href="/product?asin={KNOWN_PRODUCT}"', ["/shop/reviews", f"/understand?user_id={KNOWN_USER}"]
    shown = [shop.get(view).text for view in views]
    assert [(link in one, "not in the catalogue" in one) for one in shown] == [(True, False)] * 2
    monkeypatch.setattr(recommender.insight, "in_catalogue", AsyncMock(return_value=frozenset()))
    shown = [shop.get(view).text for view in views]
    assert [(link in one, "not in the catalogue" in one) for one in shown] == [(False, True)] * 2


@pytest.mark.parametrize(
    ("typed", "words", "status"),
    [
        ({"asin": " "}, "the product has no id", 422),
        ({"asin": KNOWN_PRODUCT}, "there is a product p1 already", 409),
        ({"price": "dear"}, "price takes a number", 422),
        ({"price": "1,299"}, "price takes a number", 422),  # a thousand, or one and a bit
        ({"asin": "x" * 600}, "an id has 512 characters at most", 422),
    ],
)
def test_a_fault_stands_above_the_form_with_what_was_typed(
    typed: dict[str, str], words: str, status: int, shop: TestClient
) -> None:
    shown = shop.post("/shop/product", data=NEW | typed)
    assert (shown.status_code, words in shown.text) == (status, True)
    assert 'value="Banjo"' in shown.text


def test_a_place_beyond_every_log_is_refused_in_words(shop: TestClient) -> None:
    sign_in(shop, "read-secret")
    for place in (-1, 2**63, 10**30):
        assert shop.get("/shop/reviews", params={"before": place}).status_code == 422


def test_nobody_puts_words_into_the_page(shop: TestClient) -> None:
    assert "data-said" not in shop.get("/shop?said=call+0800").text
    assert "data-said" in shop.get("/shop?said=deleted").text


def test_a_gateway_without_a_store_runs_no_shop(start: Start, recommender: ScriptedRecommender) -> None:
    recommender.records = recommender.products = None  # type: ignore[assignment]
    client = start()
    assert 'href="/shop"' not in client.get("/").text
    assert client.get("/shop").status_code == 404
