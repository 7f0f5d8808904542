"""What every product index promises, asked of each back end: Edge, in memory, and a real server where there is one."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import (
    Diversity,
    Examples,
    IndexUnavailableError,
    NewProduct,
    ProductAnswer,
    ProductDetails,
    ProductFilter,
    ProductIndex,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UnknownProductError,
    UserTaste,
)
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.publication import compare, draw_users
from tests.product_indexes import (
    BACK_ENDS,
    OpenIndex,
    draw_questions,
    holds,
    make_catalogue,
    new_product,
    open_back_end,
)
from tests.text_width import TEXT_DIM

NUM_PRODUCTS = 300


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("bundle") / "a", NUM_PRODUCTS)


@pytest.fixture(scope="module", params=BACK_ENDS)
def served(request: pytest.FixtureRequest, catalogue: Catalogue) -> Iterator[OpenIndex]:
    """An index that serves the catalogue; tests that use it only ask."""
    with open_back_end(request.param) as opened:
        opened.publisher.publish(catalogue)
        yield opened


@pytest.fixture
def index(served: OpenIndex) -> ProductIndex:
    return served.index


@pytest.fixture(params=BACK_ENDS)
def fresh(request: pytest.FixtureRequest) -> Iterator[OpenIndex]:
    """An empty index."""
    with open_back_end(request.param) as opened:
        yield opened


def asins(answer: ProductAnswer) -> list[str]:
    return [hit.product.asin for hit in answer.hits]


# ---- asking ----


def test_answers_have_the_models_own_order_and_scores(index: ProductIndex, catalogue: Catalogue) -> None:
    questions = draw_questions(catalogue, 60, seed=3)
    agreement = compare(index.search_many(questions), questions, ExactRanking(catalogue))
    assert agreement.recall == 1
    assert agreement.worst_score_error < 1e-5


def test_hits_come_best_first_each_product_once(index: ProductIndex, catalogue: Catalogue) -> None:
    for answer in index.search_many(draw_users(catalogue, 10, seed=4)):
        scores = [hit.score for hit in answer.hits]
        assert len(scores) == 10
        assert scores == sorted(scores, reverse=True)
        assert len(set(asins(answer))) == 10


def test_the_memory_has_its_part_in_the_scores(index: ProductIndex, catalogue: Catalogue) -> None:
    exact = ExactRanking(catalogue)
    parts = []
    for user, answer in zip(users := draw_users(catalogue, 10, seed=5), index.search_many(users), strict=True):
        assert isinstance(user.by, UserTaste)
        alone = exact.scores(user.by.vector[None], [{}])[0]
        for hit in answer.hits:
            assert hit.product.product_index is not None
            assert hit.score - hit.memory_score == pytest.approx(alone[hit.product.product_index], abs=1e-4)
            parts.append(hit.memory_score)
    assert max(parts) > 1


def test_pages_join_to_the_whole_ranking(index: ProductIndex, catalogue: Catalogue) -> None:
    (user,) = draw_users(catalogue, 1, seed=6)
    whole = index.search(dataclasses.replace(user, limit=NUM_PRODUCTS))
    pages = [index.search(dataclasses.replace(user, limit=70, offset=start)) for start in range(0, NUM_PRODUCTS, 70)]
    assert [asin for page in pages for asin in asins(page)] == asins(whole)
    assert len(whole.hits) == NUM_PRODUCTS - len(user.filter.not_seen)


def test_a_page_behind_the_last_product_is_empty(index: ProductIndex, catalogue: Catalogue) -> None:
    (user,) = draw_users(catalogue, 1, seed=7)
    answer = index.search(dataclasses.replace(user, offset=NUM_PRODUCTS))
    assert answer.hits == ()
    assert answer.version == index.version()


def test_a_filter_that_nothing_passes_leaves_nothing(index: ProductIndex, catalogue: Catalogue) -> None:
    (user,) = draw_users(catalogue, 1, seed=8)
    nothing = ProductFilter(brands=("nobody",))
    assert index.search(dataclasses.replace(user, filter=nothing)).hits == ()
    diverse = dataclasses.replace(user, filter=nothing, diversity=Diversity())
    assert index.search(diverse).hits == ()


def test_what_was_seen_is_not_answered_even_where_it_is_known_to_nobody(
    index: ProductIndex, catalogue: Catalogue
) -> None:
    query = ProductQuery(UserTaste(catalogue.vectors[5]))
    best = asins(index.search(query))
    left_out = ProductFilter(not_seen=(*best[:5], "B-UNKNOWN", ""))
    assert asins(index.search(dataclasses.replace(query, filter=left_out, limit=5))) == best[5:]


def test_examples_draw_a_ranking_by_the_formula_of_average_vectors(index: ProductIndex, catalogue: Catalogue) -> None:
    (user,) = draw_users(catalogue, 1, seed=11)
    assert isinstance(user.by, UserTaste)
    liked, disliked = [4, 7], [9]
    examples = Examples(tuple(catalogue.asins[row] for row in liked), (catalogue.asins[9],))

    def drawn(vector: np.ndarray, vectors: np.ndarray, *others: np.ndarray) -> np.ndarray:
        mean = np.mean([*others, *vectors[liked]], axis=0)
        q = 2 * mean - vectors[disliked].mean(axis=0)
        return np.asarray(q / np.linalg.norm(q), dtype=np.float32)

    text = catalogue.text / np.maximum(np.linalg.norm(catalogue.text, axis=1, keepdims=True), 1e-9)
    asked = [
        (UserTaste(user.by.vector, user.by.review_weights), drawn(user.by.vector, catalogue.vectors, user.by.vector)),
        (UserTaste(np.zeros_like(user.by.vector)), drawn(user.by.vector, catalogue.vectors)),
        (SimilarTo(catalogue.asins[1]), drawn(user.by.vector, catalogue.vectors, catalogue.vectors[1])),
        (TextMeaning(catalogue.text[1]), drawn(user.by.vector, text, text[1])),
    ]
    for by, vector in asked:
        left_out = {*examples.asins, *([by.asin] if isinstance(by, SimilarTo) else [])}
        found = index.search(ProductQuery(by, limit=20, examples=examples))
        plain: UserTaste | TextMeaning = (
            TextMeaning(vector)
            if isinstance(by, TextMeaning)
            else UserTaste(vector, by.review_weights if isinstance(by, UserTaste) else {})
        )
        same = index.search(ProductQuery(plain, ProductFilter(not_seen=left_out), limit=20))
        assert asins(found) == asins(same)
        scale = 1 / catalogue.temperature if isinstance(by, SimilarTo) else 1
        assert [hit.score * scale for hit in found.hits] == pytest.approx([hit.score for hit in same.hits], abs=1e-4)
        for hit in found.hits:  # of what it was asked with and what the examples add, the whole is made
            assert set(hit.drawn_by) == set(examples.asins)
        if not isinstance(by, SimilarTo | TextMeaning) and not by.vector.any():
            sums = [sum(hit.drawn_by.values()) for hit in found.hits]
            assert sums == pytest.approx([hit.score for hit in found.hits], abs=1e-4)
    with pytest.raises(UnknownProductError, match="B-UNKNOWN"):
        index.search(ProductQuery(user.by, examples=Examples(unlike=("B-UNKNOWN",))))


def test_a_hit_brings_the_whole_product(index: ProductIndex, catalogue: Catalogue) -> None:
    (hit,) = index.search(ProductQuery(UserTaste(catalogue.vectors[5]), limit=1)).hits
    (row,) = catalogue.details.filter(asin=hit.product.asin).to_dicts()
    assert hit.product == ProductDetails(**row | {"categories": tuple(row["categories"])})


def test_more_diversity_makes_the_products_less_alike(index: ProductIndex, catalogue: Catalogue) -> None:
    def likeness(answer: ProductAnswer) -> float:
        chosen = catalogue.vectors[[hit.product.product_index for hit in answer.hits]]
        return float((chosen @ chosen.T).mean())

    for user in draw_users(catalogue, 5, seed=9):
        strengths = (None, Diversity(0.5, 60), Diversity(0.9, 60))
        plain, some, much = index.search_many([dataclasses.replace(user, diversity=each) for each in strengths])
        assert likeness(much) < likeness(some) < likeness(plain)
        assert len(set(asins(much))) == 10


def test_diverse_products_are_among_the_best_and_keep_their_scores(index: ProductIndex, catalogue: Catalogue) -> None:
    for user in draw_users(catalogue, 5, seed=10):
        best = index.search(dataclasses.replace(user, limit=40))
        scores = {hit.product.asin: hit.score for hit in best.hits}
        for hit in index.search(dataclasses.replace(user, diversity=Diversity(0.7, 40))).hits:
            assert hit.score == pytest.approx(scores[hit.product.asin], abs=1e-4)


def test_no_diversity_at_all_is_the_plain_ranking(index: ProductIndex, catalogue: Catalogue) -> None:
    for question in draw_questions(catalogue, 12, seed=13):
        plain = asins(index.search(question))
        assert asins(index.search(dataclasses.replace(question, diversity=Diversity(0, 60)))) == plain


def test_diverse_pages_join_to_the_whole(index: ProductIndex, catalogue: Catalogue) -> None:
    (user,) = draw_users(catalogue, 1, seed=11)
    diverse = dataclasses.replace(user, diversity=Diversity(0.5, 30))
    whole = asins(index.search(dataclasses.replace(diverse, limit=30)))
    pages = [asins(index.search(dataclasses.replace(diverse, limit=10, offset=start))) for start in (0, 10, 20)]
    assert [asin for page in pages for asin in page] == whole


def test_a_product_without_a_text_cannot_be_compared_by_it(index: ProductIndex, catalogue: Catalogue) -> None:
    silent = catalogue.asins[int(np.flatnonzero(~catalogue.text.any(axis=1))[0])]
    with pytest.raises(InputError, match=f"product {silent} has no text"):
        index.search(ProductQuery(SimilarTo(silent, "text")))
    assert silent not in asins(index.search(ProductQuery(TextMeaning(catalogue.text[0]), limit=NUM_PRODUCTS)))


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (SimilarTo("B-UNKNOWN"), "there is no product B-UNKNOWN"),
        (UserTaste(np.ones(31, dtype=np.float32)), "the index holds vectors of width 32"),
        (UserTaste(np.full(32, np.nan, dtype=np.float32)), "not finite"),
        (TextMeaning(np.ones(32, dtype=np.float32)), f"the index holds vectors of width {TEXT_DIM}"),
        (UserTaste(np.ones(32, dtype=np.float32), {NUM_PRODUCTS: 1.0}), f"the index holds {NUM_PRODUCTS} products"),
    ],
)
def test_a_question_that_does_not_fit_is_refused(
    index: ProductIndex, by: SimilarTo | UserTaste | TextMeaning, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        index.search(ProductQuery(by))


def test_no_questions_have_no_answers(index: ProductIndex) -> None:
    assert index.search_many([]) == []


# ---- writing ----


def test_an_empty_index_says_what_to_run(fresh: OpenIndex) -> None:
    with pytest.raises(IndexUnavailableError, match="the index is empty") as refused:
        fresh.index.version()
    assert "create_vectorbase" in refused.value.remedy
    assert fresh.publisher.status().served is None
    with pytest.raises(InputError, match="no version to go back to"):
        fresh.publisher.rollback()


def test_versions_take_over_from_each_other_and_back(fresh: OpenIndex, tmp_path: Path) -> None:
    """The reader is opened once and asked after every step."""
    catalogues = [make_catalogue(tmp_path / str(seed), 60, seed=seed) for seed in range(4)]
    first, second, third, fourth = catalogues
    publisher, index = fresh.publisher, fresh.index

    def served() -> str:
        answer = index.search(ProductQuery(UserTaste(first.vectors[0])))
        assert answer.version == index.version()
        return answer.version.bundle

    publications = []
    for catalogue in catalogues:
        publications.append(publisher.publish(catalogue, force=True))
        assert served() == catalogue.identity
    names = [publication.version.name for publication in publications]
    # Three are kept.
    assert [publication.kept for publication in publications] == [
        (),
        (names[0],),
        (names[1], names[0]),
        (names[2], names[1]),
    ]
    assert [publication.dropped for publication in publications] == [(), (), (), (names[0],)]

    again = publisher.publish(fourth)
    assert (again.is_new, again.version, again.dropped) == (False, publications[3].version, ())

    assert publisher.status().kept == (names[2], names[1])
    assert publisher.rollback() == publications[2].version
    assert served() == third.identity
    with pytest.raises(InputError, match=f"version {names[3]} is not kept"):
        publisher.rollback(names[3])
    assert publisher.rollback() == publications[1].version
    with pytest.raises(InputError, match="no version to go back to"):
        publisher.rollback()
    assert served() == second.identity

    assert publisher.publish(fourth, force=True).kept == (names[1],)
    assert publisher.publish(third, force=True).kept == (names[3], names[1])
    assert publisher.rollback(names[1]) == publications[1].version
    assert served() == second.identity


def test_model_numbers_find_the_products_whose_titles_have_them(fresh: OpenIndex, tmp_path: Path) -> None:
    titles = {
        3: "Shure SM57-LC Dynamic Microphone",
        5: "Coated Electric Guitar Strings, Light 9-42",
        7: "Coated Electric Guitar Strings, Regular 10-42",
        9: "Amplifier 942",
    }
    bare = make_catalogue(tmp_path / "bundle", 60)
    named = [titles.get(row, f"Thing {row}") for row in range(60)]
    catalogue = dataclasses.replace(bare, details=bare.details.with_columns(title=pl.Series(named)))
    fresh.publisher.publish(catalogue)

    asin = catalogue.asins
    meant = int(np.flatnonzero(catalogue.text.any(axis=1))[-1])  # the product that the text means, whatever its words

    def find(words: str, limit: int = 1, offset: int = 0, not_seen: tuple[str, ...] = ()) -> list[str]:
        query = ProductQuery(TextMeaning(catalogue.text[meant], words), ProductFilter(not_seen), limit, offset)
        return asins(fresh.index.search(query))

    for words in ("SM57", "sm-57", "which mic stand fits my sm57", "Shure SM 57"):
        assert find(words) == [asin[3]], words
    assert find("9-42") == find("light strings 9-42") == [asin[5]]
    assert find("9-42", not_seen=(asin[5],)) == [asin[meant]]  # a number of its own
    assert find("quiet evenings") == find("") == find("?!") == [asin[meant]]
    assert set(find("SM57", limit=2)) == {asin[3], asin[meant]}
    pages = [one for start in range(0, 63, 7) for one in find("strings 9-42", limit=7, offset=start)]
    assert pages == find("strings 9-42", limit=60)
    assert len(set(pages)) == len(pages) > 20
    diverse = ProductQuery(TextMeaning(catalogue.text[meant], "SM57"), limit=2, diversity=Diversity(0.2, 30))
    assert asin[3] in asins(fresh.index.search(diverse))
    # What came later is found by the words that it was given.
    later = new_product("B-LATER", catalogue.vectors[0], title="Telefunken M80")
    fresh.index.upsert([dataclasses.replace(later, words=catalogue.words.weigh("Telefunken M80"))])
    assert find("M80") == ["B-LATER"]


def test_what_is_served_of_one_data_set_is_not_replaced_by_another_by_accident(
    fresh: OpenIndex, tmp_path: Path
) -> None:
    shop = make_catalogue(tmp_path / "shop", 60)
    sample = dataclasses.replace(make_catalogue(tmp_path / "sample", 60, seed=1), data_name="sample")
    fresh.publisher.publish(shop)
    with pytest.raises(InputError, match=f"of {shop.data_name} are served here, and this bundle is of sample"):
        fresh.publisher.publish(sample)
    assert fresh.index.version().bundle == shop.identity
    assert fresh.publisher.publish(sample, force=True).version.bundle == sample.identity


def test_what_must_happen_before_a_version_is_served_can_prevent_it(fresh: OpenIndex, tmp_path: Path) -> None:
    first, second = (make_catalogue(tmp_path / str(seed), 60, seed=seed) for seed in range(2))
    fresh.publisher.publish(first)
    served: list[str] = []

    def refuse() -> None:
        served.append(fresh.index.version().bundle)
        raise InputError("not now", where="here", remedy="later")

    with pytest.raises(InputError, match="not now"):
        fresh.publisher.publish(second, force=True, before_switch=refuse)
    assert served == [first.identity] == [fresh.index.version().bundle]


def test_an_upserted_product_is_found_at_once_and_can_be_replaced(fresh: OpenIndex, catalogue: Catalogue) -> None:
    fresh.publisher.publish(catalogue)
    index = fresh.index
    user = UserTaste(np.eye(1, 32, dtype=np.float32)[0], {2: 1.0})
    new = new_product("B-NEW", user.vector, title="New", categories=("Strings",), price=9.5, rating_mean=4.0)
    before = index.search(ProductQuery(user, limit=NUM_PRODUCTS))

    version = index.upsert([dataclasses.replace(new, memory={2: 30.0, 7: 1.0})])
    answer = index.search(ProductQuery(user, limit=NUM_PRODUCTS + 1))
    assert answer.version == version == index.version()
    first, *others = answer.hits
    assert (first.product, first.memory_score) == (new.details, pytest.approx(30.0))
    assert first.score == pytest.approx(1 / catalogue.temperature + 30, rel=1e-5)
    assert [hit.product.asin for hit in others] == asins(before)
    assert asins(index.search(ProductQuery(user, ProductFilter(categories_any=["Strings"], max_price=9.5)))) == [
        "B-NEW"
    ]
    assert asins(index.search(ProductQuery(TextMeaning(np.asarray(new.text)), limit=1))) == ["B-NEW"]

    index.upsert([new_product("B-NEW", -user.vector, title="Newer")])
    answer = index.search(ProductQuery(user, limit=NUM_PRODUCTS + 1))
    assert (answer.hits[-1].product.asin, answer.hits[-1].product.title) == ("B-NEW", "Newer")
    assert len(answer.hits) == NUM_PRODUCTS + 1


def test_a_published_product_can_be_replaced_and_keeps_its_index(fresh: OpenIndex, catalogue: Catalogue) -> None:
    fresh.publisher.publish(catalogue)
    asin = catalogue.asins[7]
    fresh.index.upsert([NewProduct(ProductDetails(asin, title="Renamed"), catalogue.vectors[8])])
    renamed = fresh.index.search(ProductQuery(SimilarTo(catalogue.asins[8]), limit=1)).hits[0].product
    assert renamed == ProductDetails(asin, product_index=7, title="Renamed")
    like = fresh.index.search(ProductQuery(SimilarTo(asin), limit=1)).hits[0]
    assert (like.product.product_index, like.score) == (8, pytest.approx(1, abs=1e-5))


def test_upserted_products_go_with_the_next_bundle_and_not_before(
    fresh: OpenIndex, catalogue: Catalogue, tmp_path: Path
) -> None:
    publisher, index = fresh.publisher, fresh.index
    publisher.publish(catalogue)
    new = new_product("B-NEW", catalogue.vectors[0])
    index.upsert([new])
    assert not publisher.publish(catalogue).is_new
    assert holds(index, "B-NEW")
    other = make_catalogue(tmp_path / "other", 60, seed=1)
    publisher.publish(other)
    assert not holds(index, "B-NEW")
    publisher.rollback()
    assert holds(index, "B-NEW")
    publisher.publish(other)
    index.upsert([new])
    assert publisher.rollback().bundle == catalogue.identity


def test_a_product_that_does_not_fit_is_not_upserted(fresh: OpenIndex, catalogue: Catalogue) -> None:
    fresh.publisher.publish(catalogue)
    good, bad = new_product("B-GOOD", catalogue.vectors[0]), new_product("B-BAD", np.ones(31))
    with pytest.raises(InputError, match="the vector of product B-BAD"):
        fresh.index.upsert([good, bad])
    assert not holds(fresh.index, "B-GOOD")
    assert not holds(fresh.index, "B-BAD")


def test_a_version_that_fails_its_check_is_never_served(fresh: OpenIndex, catalogue: Catalogue, tmp_path: Path) -> None:
    fresh.publisher.publish(catalogue)
    # What is written is checked against the catalogue, so one that answers differently when it is asked must fail.
    broken = dataclasses.replace(
        make_catalogue(tmp_path / "other", 60, seed=1), details=catalogue.details[[*range(59), 58]]
    )
    with pytest.raises(InputError, match="the new version holds 59 products, the bundle 60"):
        fresh.publisher.publish(broken)
    assert fresh.index.version().bundle == catalogue.identity
    assert fresh.publisher.publish(make_catalogue(tmp_path / "sound", 60, seed=2)).is_new


def test_a_bundle_without_memory_or_text_can_be_served(fresh: OpenIndex, tmp_path: Path) -> None:
    bare = make_catalogue(tmp_path / "bare", 60, neighbours=0, has_text=False)
    fresh.publisher.publish(bare)
    users = draw_users(bare, 10, seed=0)
    assert compare(fresh.index.search_many(users), users, ExactRanking(bare)).recall == 1
    assert fresh.index.search(ProductQuery(TextMeaning(np.ones(TEXT_DIM, dtype=np.float32)))).hits == ()


def test_a_catalogue_that_is_searched_by_graph_finds_the_same(fresh: OpenIndex, tmp_path: Path) -> None:
    big = make_catalogue(tmp_path / "big", 600)
    followed = fresh.publisher
    followed._common = followed._common.model_copy(update={"exact_below": 100})
    version = followed.publish(big).version
    assert not version.exact
    users = draw_users(big, 15, seed=1)
    agreement = compare(fresh.index.search_many(users), users, ExactRanking(big))
    assert agreement.recall >= 0.99
    assert agreement.worst_score_error < 1e-5
