"""The page in a real browser, over a real recommender whose products and users are called as badly as they can be."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from rec_sys.inference.recommender import Recommender
from rec_sys.serving.application import create_application
from tests.live_shops import Shop, reads_texts, wait_until
from tests.page_browser import ATTACKS, Visitor, browsing, find_browser, listening, visiting
from tests.served_roads import share_text_models
from tests.serving_bundles import HELD_OUT_USER, write_serving_bundle

PRODUCTS = 60
FIRST_PAINT_BYTES = 150_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    command = find_browser()
    if command is None:
        pytest.skip("a browser: install chromium")
    with browsing(command) as browser:
        yield browser


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, text_cache_dir: Path) -> Shop:
    output_dir = tmp_path_factory.mktemp("page")
    share_text_models(output_dir, text_cache_dir)
    titles = [f"Guitar {number} {ATTACKS[number % len(ATTACKS)]}" for number in range(PRODUCTS)]
    shop = Shop(output_dir, write_serving_bundle(output_dir / "bundles" / "one", words=titles, **reads_texts()))
    shop.publish(shop.bundle)
    return shop


@pytest.fixture(scope="module")
def url(browser: Browser, shop: Shop) -> Iterator[str]:
    settings = shop.settings()
    recommender = Recommender(settings.index, settings.inference, shop.output_dir, None, settings.store)
    with listening(create_application(settings.serving, recommender)) as address:
        wait_until(lambda: httpx.get(f"{address}/health/ready").status_code == 200)
        yield address


@pytest.fixture
def visitor(browser: Browser, url: str) -> Iterator[Visitor]:
    with visiting(browser, url) as visitor:
        yield visitor


def products(page: Page) -> list[str]:
    return page.locator("#answer h3").all_inner_texts()


def press_until(page: Page, key: str, wanted: str) -> None:
    """Moves the focus by a key to an element."""
    for _ in range(60):
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{wanted} cannot be reached by {key}")


def test_a_visitor_writes_a_review_by_keyboard_alone_and_the_products_change(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    before = products(page)
    assert len(before) == 10
    press_until(page, "Tab", "#find")
    page.keyboard.type("guitar 4")
    expect(page.locator("#suggestions label").first).to_contain_text("Guitar 4")
    press_until(page, "Tab", "[name=new_asin]")
    page.keyboard.press("Space")
    chosen = page.locator("[name=new_asin]:checked").locator("..").inner_text()
    press_until(page, "Tab", "[name=new_stars]")
    page.keyboard.press("Space")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    press_until(page, "Tab", "#new_text")
    page.keyboard.type(f"Warm and quiet. {ATTACKS[0]}")
    press_until(page, "Tab", "[value=add]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("From 1 review")
    assert products(page) != before
    reviews = page.get_by_role("list", name="Reviews")
    expect(reviews).to_contain_text(chosen)
    expect(reviews).to_contain_text("5 ★")
    expect(page.locator("#answer article").first).to_contain_text("because you wrote Warm and quiet.")
    assert "graph attention" in str(page.locator("#answer svg").first.get_attribute("aria-label"))
    assert page.evaluate("document.activeElement.id") == "find"  # ready for the next review
    press_until(page, "Shift+Tab", "#user_id")
    press_until(page, "Tab", "[value='remove:0']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Nothing is written")
    assert products(page) == before


def test_without_a_script_the_same_buttons_do_the_same(browser: Browser, url: str) -> None:
    with visiting(browser, url, java_script_enabled=False) as visitor:
        page = visitor.page
        visitor.go("/?user_id=user+1")
        first = products(page)[0]
        page.get_by_role("button", name="Not interested").first.click()
        expect(page.get_by_role("status")).to_contain_text("1 not wanted")
        assert first not in products(page)
        page.fill("#new_text", "Half a sentence")
        page.fill("#user_id", "")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#you")).to_have_text("A visitor")
        expect(page.locator("#new_text")).to_have_value("Half a sentence")
        page.fill("#find", "guitar 7")
        page.get_by_role("button", name="Find").click()
        page.locator("[name=new_asin]").first.check()
        page.get_by_label("3", exact=True).check()
        page.fill("#new_text", ATTACKS[3])
        page.get_by_role("button", name="Add the review").click()
        expect(page.get_by_role("status")).to_contain_text("From 1 review")
        expect(page.get_by_role("list", name="Reviews")).to_contain_text(ATTACKS[3])


def test_what_a_visitor_has_written_is_there_after_back_and_half_a_review_goes_along(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    for words in ("Warm and quiet.", "Half a sent"):
        with page.expect_response("**/suggestions?find=guitar+4"):
            page.locator("#find").press_sequentially("guitar 4")
        page.get_by_label("Guitar 4", exact=False).nth(len(words) % 2).check()
        page.get_by_label("4", exact=True).check()
        page.fill("#new_text", words)
        if words.endswith("."):
            page.get_by_role("button", name="Add the review").click()
            expect(page.get_by_role("status")).to_contain_text("From 1 review")
    page.get_by_role("link", name="Similar").first.click()
    page.wait_for_url("**/product?*")
    page.go_back(wait_until="networkidle")
    expect(page.get_by_role("status")).to_contain_text("From 1 review")
    expect(page.get_by_role("list", name="Reviews")).to_contain_text("Warm and quiet.")
    expect(page.locator("#new_text")).to_have_value("Half a sent")
    page.reload(wait_until="networkidle")
    expect(page.get_by_role("list", name="Reviews")).to_contain_text("Warm and quiet.")
    page.fill("#user_id", "user 1")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#you")).to_have_text("Customer user 1")
    expect(page.locator("#new_text")).to_have_value("Half a sent")
    expect(page.get_by_label("4", exact=True)).to_be_checked()
    expect(page.locator("[name=new_asin]:checked")).to_have_count(1)
    expect(page.get_by_role("list", name="Reviews")).not_to_contain_text("Warm and quiet.")
    page.go_back(wait_until="networkidle")
    expect(page.get_by_role("list", name="Reviews")).to_contain_text("Warm and quiet.")
    page.get_by_role("link", name="Compare models").click()
    page.get_by_role("link", name="Be a customer").click()
    expect(page.get_by_role("list", name="Reviews")).to_contain_text("Warm and quiet.")
    expect(page.locator("#new_text")).to_have_value("Half a sent")
    page.get_by_role("button", name=re.compile("Remove")).click()
    expect(page.get_by_role("status")).to_contain_text("Nothing is written")
    page.get_by_role("link", name="Product map").click()
    page.get_by_role("link", name="Be a customer").click()
    expect(page.locator("#new_text")).to_have_value("Half a sent")
    expect(page.get_by_role("list", name="Reviews")).to_have_count(0)


@pytest.mark.parametrize("attack", [ATTACKS[2], ATTACKS[7]])
def test_a_new_customers_review_is_kept_and_can_be_taken_back(attack: str, visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    page.fill("#user_id", attack)
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing is known of this customer")
    page.locator("#find").press_sequentially("guitar 1")
    page.locator("[name=new_asin]").first.check()
    page.get_by_label("5", exact=True).check()
    page.fill("#new_text", f"Lovely {attack}")
    page.get_by_role("button", name="Add the review").click()
    expect(page.get_by_role("status")).to_contain_text("From 1 review")
    page.reload()
    expect(page.get_by_role("list", name="Reviews")).to_contain_text("Lovely")
    page.get_by_role("button", name=re.compile("Remove")).click()
    expect(page.get_by_role("status")).to_contain_text("Nothing is known of this customer")


def test_what_is_not_wanted_goes_and_a_fault_is_said(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/?user_id=user+1")
    first = products(page)[0]
    page.get_by_role("button", name="Not interested").first.click()
    expect(page.get_by_role("status")).to_contain_text("1 not wanted")
    assert first not in products(page)
    assert page.evaluate("document.activeElement.id") == "products"
    page.route("**/suggestions?*", lambda route: route.fulfill(status=503, json={"error": "busy", "remedy": "wait"}))
    page.locator("#find").press_sequentially("g")
    expect(page.locator("[data-complaint]")).to_have_text("busy. wait")
    # The browser itself notes an answer of 503.
    assert [fault for fault in visitor.faults if "503" not in fault] == []
    visitor.faults.clear()


def test_the_models_are_compared_and_looked_into(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/?user_id=user+1")
    title = products(page)[0]
    page.get_by_role("link", name=f"Products similar to {title}", exact=True).click()
    assert page.get_by_role("heading", level=1).inner_text() == title
    assert page.locator("[data-drawing] line[data-kind=graph]").count() == 8
    assert 1 <= page.locator("[data-drawing] line[data-kind=memory]").count() <= 8
    neighbour = page.locator("[data-lists] a").first.inner_text()
    page.locator("[data-lists] a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(neighbour)
    page.get_by_role("link", name="Compare models").click()
    page.fill("#user_id", "user 1")
    page.get_by_role("button", name="Show").click()
    lists = page.locator("[data-lists] section")
    assert lists.get_by_role("heading").all_inner_texts() == ["hybrid", "graph", "memory", "popular"]
    assert lists.first.get_by_role("link").first.inner_text() == title
    visitor.go(f"/compare?{urlencode({'user_id': HELD_OUT_USER})}")
    test = page.get_by_role("region", name="As the test asked")
    held_out = test.get_by_role("link").first.inner_text()
    marked = page.locator("[data-held-out]")
    named = page.locator("[data-lists] section", has_text="What was held out is not among its first 10.")
    assert marked.count() + named.count() == 4
    assert set(marked.get_by_role("link").all_inner_texts()) <= {held_out}
    visitor.look_for_barriers()
    test.get_by_role("link", name="From all reviews").click()
    expect(page.locator("#test")).to_have_text("From all reviews")
    assert held_out not in page.locator("[data-lists]").inner_text()
    visitor.go("/understand?user_id=user+1")
    named = page.locator("#main svg").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    shares = [float(one.split()[1]) for one in named if one.startswith("attention")]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert shares == sorted(shares, reverse=True)
    visitor.go("/map")
    point = page.locator("[data-map] a").first
    name = point.get_attribute("aria-label")
    point.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(str(name))
    visitor.go("/models")
    expect(page.get_by_role("table").first).to_contain_text("a question was answered")


def test_a_shop_is_run_without_a_script(browser: Browser, url: str) -> None:
    title = f"Banjo {ATTACKS[5]}"
    with visiting(browser, url, java_script_enabled=False) as visitor:
        page = visitor.page
        visitor.go("/shop")
        page.get_by_role("link", name="Add a product").click()
        page.get_by_label("Id", exact=True).fill("banjo/5")
        page.get_by_label("Title").fill(title)
        page.get_by_label("Categories").fill("Folk\nBanjos")
        page.get_by_role("button", name="Add it").click()
        expect(page.get_by_role("status")).to_contain_text("the next answer knows it")
        page.get_by_role("link", name=f"Edit {title}").click()
        page.get_by_label("Price").fill("329.5")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("[data-rows] li")).to_contain_text("329.50")
        page.get_by_role("button", name=f"Out of stock: {title}").click()
        expect(page.locator("[data-rows] li").first).to_contain_text("out of stock")
        page.get_by_role("button", name=f"Back in stock: {title}").click()
        page.get_by_role("link", name=f"Delete {title}").click()
        expect(page.get_by_role("heading", level=2)).to_have_text(title)
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("link", name=f"Delete {title}").click()
        page.get_by_role("button", name="Delete it").click()
        expect(page.get_by_role("status")).to_contain_text("The product is gone")
        assert title not in page.content()
        writer = f"ann {ATTACKS[2]}"
        visitor.go(f"/?{urlencode({'user_id': writer})}")
        for words in ("guitar 2", "guitar 3"):
            page.fill("#find", words)
            page.get_by_role("button", name="Find").click()
            page.locator("[name=new_asin]").first.check()
            page.get_by_label("4", exact=True).check()
            page.fill("#new_text", f"Of {words} {ATTACKS[0]}")
            page.get_by_role("button", name="Add the review").click()
        visitor.go("/shop/reviews")
        theirs = page.locator("[data-rows] li", has_text=writer)
        expect(theirs).to_have_count(2)
        expect(theirs.first.locator("strong a")).to_contain_text("Guitar 3")
        theirs.first.get_by_role("link", name=re.compile("^Delete")).click()
        page.get_by_role("button", name="Delete it").click()
        expect(theirs).to_have_count(1)
        theirs.get_by_role("link", name=re.compile("^Forget")).click()
        expect(page.get_by_role("heading", level=2)).to_have_text(f"{writer}, with 1 review")
        page.get_by_role("button", name="Forget them").click()
        expect(theirs).to_have_count(0)
        page.get_by_role("link", name="Trending").click()
        expect(page.locator("[data-rows] li").first).to_contain_text("reviews")


REVIEWS = """wer;was;wieviel;am
anna;p1;8;03/04/2026
<script>window.hacked = 1</script>;p2;10;17/04/2026
;p3;2;18/04/2026
bert;p4;0;19/04/2026
"""


def offer(page: Page, content: str, kind: str = "reviews") -> None:
    page.get_by_role("link", name="Run the shop").click()
    page.get_by_role("link", name="Import").click()
    page.get_by_role("radio", name=kind).check()
    page.locator("#chosen").set_input_files({"name": "Käufe <b>.csv", "mimeType": "", "buffer": content.encode()})
    page.get_by_role("button", name="Look at it").click()


def test_a_file_is_looked_at_corrected_and_taken_in_once(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    offer(page, REVIEWS)
    expect(page.get_by_role("alert")).to_contain_text("no column is known to be the product", timeout=60_000)
    expect(page.get_by_role("heading", level=2).first).to_have_text("Käufe <b>.csv")
    visitor.look_for_barriers()
    for role, column in {"Customer": "wer", "Product’s id": "was", "Rating": "wieviel", "Time": "am"}.items():
        page.get_by_label(role, exact=True).select_option(column)
    for lowest, said in {
        "none": "the ratings’ scale is no two numbers",
        "10": "the lowest rating is not below",
    }.items():
        page.get_by_label("Lowest rating").fill(lowest)
        page.get_by_label("Highest rating").fill("10")
        page.get_by_role("button", name="Look again").click()
        expect(page.get_by_role("alert").first).to_contain_text(said)
        expect(page.get_by_label("Lowest rating")).to_have_value(lowest)
        expect(page.get_by_label("Customer", exact=True)).to_have_value("wer")
    assert [fault for fault in visitor.faults if "422" not in fault] == []  # the browser itself notes those
    visitor.faults.clear()
    page.get_by_label("Lowest rating").fill("0")
    page.get_by_role("button", name="Look again").click()
    expect(page.locator("#file-part")).to_contain_text("3 reviews can be taken, 1 would be set aside", timeout=60_000)
    rows = page.get_by_role("group", name="Table: the first rows").get_by_role("row").all_inner_texts()
    assert rows[1].split("\t")[:4] == ["anna", "p1", "4.2", "2026-04-03"]
    assert len(rows) == 4
    expect(page.locator("[data-warning]")).to_contain_text("Ratings from 0 to 10 become 1 to 5 stars.")
    visitor.look_for_barriers()
    page.get_by_role("button", name="Take it in").click()
    expect(page.get_by_role("status")).to_contain_text("3 reviews taken, 3 of them new", timeout=60_000)
    page.get_by_role("link", name="Look at them").click()
    expect(page.locator("[data-rows] li", has_text="anna")).to_contain_text("4.2 ★")
    offer(page, "customer,product,rating,date\nanna,p1,4.2,2026-04-03\nnew,p5,5,2026-04-04\n")
    page.get_by_role("button", name="Take it in").click(timeout=60_000)
    expect(page.get_by_role("status")).to_contain_text("2 reviews taken, 1 of them new", timeout=60_000)
    page.get_by_role("button", name="Done with it").click()
    expect(page.get_by_text("Files held now")).to_have_count(1)  # the one before


def test_a_rollback_by_a_button_is_served_from_the_next_question_on(visitor: Visitor, shop: Shop) -> None:
    drums = [f"Drum {number}" for number in range(PRODUCTS)]
    shop.publish(write_serving_bundle(shop.output_dir / "bundles" / "two", seed=1, words=drums, **reads_texts()))
    page = visitor.page
    visitor.go("/?user_id=user+1")
    assert products(page)[0].startswith("Drum")
    page.get_by_role("link", name="Models and health").click()
    rows = page.get_by_role("group", name="Table: bundles").get_by_role("row")
    expect(rows.filter(has_text="two")).to_contain_text("live")
    page.get_by_role("link", name="Go back to one").click()
    page.get_by_role("button", name="Go back to it").click()
    expect(rows.filter(has_text="one")).to_contain_text("live")
    visitor.go("/?user_id=user+1")
    assert products(page)[0].startswith("Guitar")


VIEWS = ["/", "/?user_id=user+1&find=guitar", "/?user_id=" + "x" * 600]
VIEWS += ["/compare?user_id=user+1", "/understand?user_id=user+1", "/product?asin=p3", "/map?category=All", "/models"]
VIEWS += ["/shop", "/shop/product?asin=p3", "/shop/reviews", "/shop/trending", "/shop/product/delete?asin=p3"]
VIEWS += ["/shop/import"]
LOOKS = {"light": {"color_scheme": "light"}, "dark phone": {"color_scheme": "dark", "viewport": PHONE}}


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_is_kept_out(look: str, browser: Browser, url: str) -> None:
    with visiting(browser, url, **LOOKS[look]) as visitor:
        for view in VIEWS if look == "light" else VIEWS[1::3]:
            visitor.go(view)
            visitor.faults[:] = [fault for fault in visitor.faults if "422" not in fault]
            assert 5_000 < visitor.count_bytes() < FIRST_PAINT_BYTES
            visitor.look_for_barriers()
            visitor.check()
