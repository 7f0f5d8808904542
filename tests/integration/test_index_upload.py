"""The way to a Qdrant server: batches of a bounded size, tries again where it may help, goes on where it broke off."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import models

from rec_sys.contracts import InputError
from rec_sys.settings import ServerIndex
from rec_sys.vector_database import server_publisher
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import IndexUnavailableError, ProductIndex, ProductQuery, UserTaste
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.opening import open_index, open_publisher
from rec_sys.vector_database.publication import compare, draw_users
from tests.product_indexes import holds, make_catalogue, new_product
from tests.qdrant_over_http import Request, Wire, qdrant_over_http

NUM_PRODUCTS = 400
BATCH_BYTES = 400_000


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("bundle") / "bundle", NUM_PRODUCTS)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with qdrant_over_http() as wire:
        yield wire


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_publisher, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(server_publisher, "_SECONDS_BETWEEN_POLLS", 0.01)


def settings_of(url: str, **others: object) -> ServerIndex:
    chosen = {"check_queries": 8, "progress": False, "batch_bytes": BATCH_BYTES, **others}
    return ServerIndex.model_validate({"backend": "server", "url": url, **chosen})


def is_upload(request: Request) -> bool:
    return request.method == "PUT" and request.path.endswith("/points")


def assert_answers_are_from(catalogue: Catalogue, index: ProductIndex) -> None:
    users = draw_users(catalogue, 3, seed=9)
    answers = index.search_many(users)
    assert {answer.version.bundle for answer in answers} == {catalogue.identity}
    assert compare(answers, users, ExactRanking(catalogue)).recall == 1


def test_what_goes_over_the_wire_comes_back_as_the_models_ranking(wire: Wire, catalogue: Catalogue) -> None:
    settings = settings_of(wire.url, api_key="secret")
    open_publisher(settings).publish(catalogue)
    assert_answers_are_from(catalogue, open_index(settings))
    uploads = [request for request in wire.requests if is_upload(request)]
    assert len(uploads) > 3
    assert max(request.size for request in uploads) <= BATCH_BYTES
    assert {request.api_key for request in wire.requests} == {"secret"}


def test_shards_replicas_and_the_consistency_of_writes_reach_the_server(wire: Wire, catalogue: Catalogue) -> None:
    settings = settings_of(wire.url, shards=6, replicas=3, write_consistency=2)
    open_publisher(settings).publish(catalogue)
    [made] = [one.body for one in wire.requests if one.method == "PUT" and one.path.count("/") == 2]
    names = ("shard_number", "replication_factor", "write_consistency_factor")
    assert [made[name] for name in names] == [6, 3, 2]
    with pytest.raises(ValueError, match=r"index\.write_consistency=2 asks for more replicas than the 1"):
        settings_of(wire.url, write_consistency=2)


def test_an_overloaded_server_is_tried_again(
    wire: Wire, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[Request] = []

    def refuse_every_other(request: Request) -> int | None:
        if len(refused) < 8 and len(wire.requests) % 2:
            refused.append(request)
            return (503, 429, 500)[len(refused) % 3]
        return None

    wire.refuse = refuse_every_other
    settings = settings_of(wire.url)
    open_publisher(settings).publish(catalogue)
    assert len(refused) == len([line for line in caplog.messages if "tries again in" in line]) == 8
    wire.refuse = lambda request: None
    assert_answers_are_from(catalogue, open_index(settings))


def test_a_server_that_stays_away_is_given_up_and_the_next_publish_goes_on(
    wire: Wire, catalogue: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(wire.url, upload_attempts=3)
    before = make_catalogue(tmp_path / "before", 50, seed=1)
    open_publisher(settings).publish(before)
    index = open_index(settings)

    wire.requests.clear()
    wire.refuse = lambda request: 503 if is_upload(request) and len(sent(wire)) > 2 else None
    with pytest.raises(IndexUnavailableError, match="does not answer") as refused:
        open_publisher(settings).publish(catalogue)
    assert refused.value.where == wire.url
    assert len(sent(wire)) == 2 + 3
    assert_answers_are_from(before, index)

    arrived = NUM_PRODUCTS - wire.client.count(unfinished(wire)).count
    wire.requests.clear()
    wire.refuse = lambda request: None
    assert open_publisher(settings).publish(catalogue).is_new
    assert f"goes on: {NUM_PRODUCTS - arrived} of {NUM_PRODUCTS} products are there already" in caplog.messages
    assert 0 < arrived < NUM_PRODUCTS
    assert_answers_are_from(catalogue, index)
    assert open_publisher(settings).rollback().bundle == before.identity
    assert_answers_are_from(before, index)


def sent(wire: Wire) -> list[Request]:
    return [request for request in wire.requests if is_upload(request)]


def unfinished(wire: Wire) -> str:
    served = {alias.collection_name for alias in wire.client.get_aliases().aliases}
    (name,) = {found.name for found in wire.client.get_collections().collections} - served
    return name


def delete_alias(name: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))


def create_alias(name: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=name, collection_name=collection))


def test_what_does_not_belong_into_an_unfinished_version_is_removed(wire: Wire, catalogue: Catalogue) -> None:
    settings = settings_of(wire.url)
    publisher = open_publisher(settings)
    publisher.publish(catalogue)
    index = open_index(settings)
    index.upsert([new_product("B-NEW", catalogue.vectors[0]), new_product(catalogue.asins[3], catalogue.vectors[4])])
    version = index.version().name
    wire.client.update_collection_aliases([delete_alias("products")])
    assert publisher.publish(catalogue).version.name == version
    assert not holds(index, "B-NEW")
    assert_answers_are_from(catalogue, index)


def test_a_collection_of_another_make_is_made_anew(wire: Wire, catalogue: Catalogue) -> None:
    settings = settings_of(wire.url)
    name = f"products--{catalogue.version(settings).name}"
    wire.client.create_collection(name, vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT))
    open_publisher(settings).publish(catalogue)
    assert_answers_are_from(catalogue, open_index(settings))


def test_a_version_that_another_publisher_drops_is_named(wire: Wire, catalogue: Catalogue) -> None:
    settings = settings_of(wire.url)

    def drop_it(request: Request) -> int | None:
        if is_upload(request) and len(sent(wire)) == 3:
            wire.client.delete_collection(unfinished(wire))
        return None

    wire.refuse = drop_it
    with pytest.raises(InputError, match="was dropped while it was written: another process has published"):
        open_publisher(settings).publish(catalogue)


def test_a_reader_moves_on_when_the_version_it_began_with_is_dropped(wire: Wire, tmp_path: Path) -> None:
    settings = settings_of(wire.url)
    publisher = open_publisher(settings)
    first, second = (make_catalogue(tmp_path / str(seed), 50, seed=seed) for seed in (1, 2))
    earlier = publisher.publish(first).version
    publisher.publish(second)
    dropped: list[str] = []

    def drop_before_the_question(request: Request) -> int | None:
        # The reader has looked at the alias; before it asks, another version is served and its own is gone.
        if request.path.endswith("/query/batch") and not dropped:
            dropped.append(request.path.split("/")[2])
            wire.client.update_collection_aliases(
                [delete_alias("products"), create_alias("products", f"products--{earlier.name}")]
            )
            wire.client.delete_collection(dropped[0])
        return None

    wire.refuse = drop_before_the_question
    answer = open_index(settings).search(ProductQuery(UserTaste(first.vectors[0])))
    assert dropped == [f"products--{second.version(settings).name}"]
    assert answer.version == earlier
    assert answer.hits[0].product.product_index == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_api_key_is_said_to_be_one(wire: Wire, catalogue: Catalogue, status: int) -> None:
    wire.refuse = lambda request: status
    settings = settings_of(wire.url, api_key="wrong")
    with pytest.raises(InputError, match="refuses the API key") as refused:
        open_publisher(settings).publish(catalogue)
    assert not isinstance(refused.value, IndexUnavailableError)
    with pytest.raises(InputError, match="refuses the API key"):
        open_index(settings).version()


def test_a_server_that_is_not_there_is_named(catalogue: Catalogue) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        settings = settings_of(url, upload_attempts=2)
        for ask in (
            lambda: open_index(settings).version(),
            lambda: open_index(settings).search_many(draw_users(catalogue, 1, seed=0)),
            lambda: open_publisher(settings).publish(catalogue),
        ):
            with pytest.raises(IndexUnavailableError, match="does not answer") as refused:
                ask()
            assert refused.value.where == url


def test_a_server_without_the_index_says_what_to_run(wire: Wire) -> None:
    with pytest.raises(IndexUnavailableError, match="the index is empty: there is no alias products") as refused:
        open_index(settings_of(wire.url)).version()
    assert "create_vectorbase" in refused.value.remedy


def test_a_collection_in_the_aliass_place_is_left_alone(wire: Wire, catalogue: Catalogue) -> None:
    wire.client.create_collection("products", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT))
    with pytest.raises(InputError, match="there is a collection named products"):
        open_publisher(settings_of(wire.url)).publish(catalogue)
    assert [found.name for found in wire.client.get_collections().collections] == ["products"]


def test_two_indexes_on_one_server_do_not_touch_each_other(wire: Wire, catalogue: Catalogue, tmp_path: Path) -> None:
    settings, others = settings_of(wire.url), settings_of(wire.url, collection="others")
    other = make_catalogue(tmp_path / "other", 50, seed=1)
    open_publisher(others).publish(other)
    for seed in (2, 3, 4):
        open_publisher(settings).publish(make_catalogue(tmp_path / str(seed), 50, seed=seed))
    assert_answers_are_from(other, open_index(others))
    assert len(wire.client.get_collections().collections) == 4
