"""Two layers answer as one version that holds what both hold, whatever hides what."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import PayloadField
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.best_sums import Scores
from rec_sys.vector_database.catalogue import Catalogue, IndexPoint, point_id
from rec_sys.vector_database.contract import (
    Diversity,
    Examples,
    InputError,
    ProductFilter,
    ProductHit,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UnknownProductError,
    UserTaste,
)
from rec_sys.vector_database.edge_version import EdgeVersion
from rec_sys.vector_database.overlay import ProductOverlay, layered
from rec_sys.vector_database.search_request import SearchRequest, VersionReader
from rec_sys.vector_database.searching import answer
from tests.product_indexes import make_catalogue

SETTINGS = EdgeIndex(backend="edge", folder=Path("index"), candidates=5)
NUM_PRODUCTS, MOVED = 80, 20


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("bundle"), NUM_PRODUCTS)


def version_of(folder: Path, catalogue: Catalogue, points: list[IndexPoint]) -> EdgeVersion:
    folder.mkdir()
    made = EdgeVersion.create(folder, catalogue.version(SETTINGS), SETTINGS)
    made.write(points)
    return made


@pytest.fixture(scope="module")
def whole(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> EdgeVersion:
    """One version of all products, some of which cost another price."""
    points = catalogue.points(np.arange(NUM_PRODUCTS))
    points[MOVED:] = map(cheaper, points[MOVED:])
    return version_of(tmp_path_factory.mktemp("whole") / "version", catalogue, points)


@pytest.fixture
def layers(catalogue: Catalogue, tmp_path: Path) -> tuple[VersionReader, ProductOverlay]:
    """Some of them below, the others above; of those below many stand above at another price."""
    points = catalogue.points(np.arange(NUM_PRODUCTS))
    below = version_of(tmp_path / "below", catalogue, points[: NUM_PRODUCTS // 2])
    overlay = ProductOverlay(catalogue.version(SETTINGS))
    overlay.write(list(map(cheaper, points[MOVED:])))
    return layered(below, overlay), overlay


def cheaper(point: IndexPoint) -> IndexPoint:
    return replace(point, payload=point.payload | {PayloadField.PRICE: 0.5})


def ask(reader: VersionReader, query: ProductQuery) -> list[ProductHit]:
    return list(answer(reader, [query], SETTINGS)[0].hits)


def told(hits: list[ProductHit]) -> list[tuple[object, ...]]:
    return [(hit.product.asin, hit.product.price, pytest.approx(hit.score, abs=1e-5)) for hit in hits]


def queries(catalogue: Catalogue) -> list[ProductQuery]:
    random = np.random.default_rng(1)
    vector = random.normal(size=catalogue.vectors.shape[1]).astype(np.float32)
    vector /= np.linalg.norm(vector)
    words = random.normal(size=catalogue.text.shape[1]).astype(np.float32)
    asin = catalogue.asins[0]
    drawn = Examples((asin, catalogue.asins[-2]), (catalogue.asins[5],))
    return [
        ProductQuery(UserTaste(vector, {3: 1.0, 50: 0.5}), limit=10),
        ProductQuery(UserTaste(vector), limit=7, offset=5),
        ProductQuery(UserTaste(vector, {3: 2.0}), limit=9, offset=60),
        ProductQuery(UserTaste(vector, {3: 2.0}), limit=50, offset=70),
        ProductQuery(UserTaste(vector), ProductFilter(max_price=1, not_seen=catalogue.asins[30:35])),
        ProductQuery(SimilarTo(asin), limit=10),
        ProductQuery(SimilarTo(catalogue.asins[-1], by="text"), limit=10),
        ProductQuery(TextMeaning(words), limit=10, offset=3),
        ProductQuery(UserTaste(vector, {3: 1.0}), limit=10, diversity=Diversity(0.4, 40)),
        ProductQuery(TextMeaning(words / np.float32(np.linalg.norm(words))), diversity=Diversity(0.4, 40)),
        ProductQuery(UserTaste(vector, {3: 1.0}), examples=drawn),
        ProductQuery(TextMeaning(words, "Product 75"), limit=30, offset=1),
    ]


@pytest.mark.parametrize("number", range(12))
def test_both_layers_answer_as_one(
    layers: tuple[VersionReader, ProductOverlay], whole: EdgeVersion, catalogue: Catalogue, number: int
) -> None:
    query = queries(catalogue)[number]
    assert told(ask(layers[0], query)) == told(ask(whole, query))


def test_what_is_removed_or_out_of_stock_is_answered_by_neither(
    layers: tuple[VersionReader, ProductOverlay], catalogue: Catalogue
) -> None:
    reader, overlay = layers
    everything = ProductQuery(UserTaste(catalogue.vectors[0]), limit=NUM_PRODUCTS)
    best = [hit.product.asin for hit in ask(reader, everything)]
    overlay.remove(best[:4])
    overlay.set_out_of_stock(best[4:8])
    assert [hit.product.asin for hit in ask(reader, everything)] == best[8:]
    with_stock = replace(everything, filter=ProductFilter(out_of_stock=True))
    assert [hit.product.asin for hit in ask(reader, with_stock)] == best[4:]
    with pytest.raises(UnknownProductError):
        ask(reader, ProductQuery(SimilarTo(best[0])))
    overlay.set_out_of_stock(())
    assert [hit.product.asin for hit in ask(reader, everything)] == best[4:]


def test_a_product_that_comes_back_is_answered_again(
    layers: tuple[VersionReader, ProductOverlay], catalogue: Catalogue
) -> None:
    reader, overlay = layers
    asin = catalogue.asins[2]
    overlay.remove([asin])
    overlay.write(catalogue.points(np.array([2])))
    assert asin in [hit.product.asin for hit in ask(reader, ProductQuery(UserTaste(catalogue.vectors[2]), limit=5))]


def test_vectors_of_another_bundle_are_not_compared(catalogue: Catalogue, tmp_path: Path) -> None:
    points = catalogue.points(np.arange(NUM_PRODUCTS))
    below = version_of(tmp_path / "below", catalogue, points)
    overlay = ProductOverlay(catalogue.version(SETTINGS).model_copy(update={"bundle": "another"}))
    overlay.remove(catalogue.asins)
    assert layered(below, overlay) is below


def test_a_vector_of_another_width_is_refused_as_by_one_version(
    layers: tuple[VersionReader, ProductOverlay],
) -> None:
    with pytest.raises(InputError, match="width"):
        ask(layers[0], ProductQuery(UserTaste(np.ones(3, dtype=np.float32))))


def test_a_product_taken_away_while_it_is_asked_for_is_left_out(
    layers: tuple[VersionReader, ProductOverlay], catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, overlay = layers
    query = next(query for query in queries(catalogue) if isinstance(query.by, UserTaste))
    before = ask(reader, query)
    gone = next(hit.product.asin for hit in before if overlay.holds(point_id(hit.product.asin)))
    scores = EdgeVersion._scores

    def scored_and_taken_away(version: EdgeVersion, request: SearchRequest) -> Scores:
        found = scores(version, request)
        overlay.remove([gone])
        return found

    monkeypatch.setattr(EdgeVersion, "_scores", scored_and_taken_away)
    assert gone not in {hit.product.asin for hit in ask(reader, query)}
