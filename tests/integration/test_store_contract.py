"""What a store promises, on SQLite and on a real PostgreSQL."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rec_sys.contracts import InputError
from rec_sys.settings import Address, StoreSettings
from rec_sys.store.database import FILE, NEWEST, migrate, open_engine
from rec_sys.store.messages import (
    Change,
    ChangeKind,
    KeyReusedError,
    Receipt,
    StoreUnavailable,
    WrittenBatch,
    WrittenEvent,
    WrittenProduct,
    WrittenReview,
)
from rec_sys.store.store import Store
from rec_sys.store.tables import METADATA
from tests.postgresql_servers import new_database, postgresql_server

MakeSettings = Callable[[], StoreSettings]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    if request.param == "sqlite":
        return StoreSettings(url=Address(f"sqlite:///{tmp_path / FILE}"))
    return StoreSettings(url=Address(new_database(request.getfixturevalue("server"))))


@pytest.fixture
def store(settings: StoreSettings, tmp_path: Path) -> Iterator[Store]:
    with Store(settings, tmp_path) as store:
        yield store


def review(number: int = 0, user: str = "ada", **values: object) -> WrittenReview:
    return WrittenReview.model_validate({"user_id": user, "asin": f"p{number}", "rating": 4.0, **values})


def write(store: Store, *reviews: WrittenReview, key: str | None = None) -> list[Receipt]:
    [receipts] = store.write([WrittenBatch(reviews, key)])
    assert isinstance(receipts, list)
    return receipts


def told(receipts: list[Receipt]) -> list[dict[str, object]]:
    return [receipt.model_dump() for receipt in receipts]


def sequences(changes: list[Change]) -> list[int]:
    return [change.sequence for change in changes]


def test_what_was_written_is_in_the_log_in_its_order(store: Store) -> None:
    receipts = write(store, review(1, title="Good", text="Loud & cléar \U0001f3b8"), review(2, timestamp=5))
    assert [receipt.sequence for receipt in receipts] == [1, 2]
    assert store.position() == 2
    before = time.time_ns() // 1_000_000
    first, second = store.changes_since(0)
    assert (first.kind, first.user_id, first.subject) == (ChangeKind.REVIEW, "ada", receipts[0].subject)
    assert first.review is not None
    assert second.review == review(2, timestamp=5)
    # Who says no time means now.
    assert before - 60_000 < (first.review.timestamp or 0) <= before
    assert (first.review.title, first.review.text, first.review.rating) == ("Good", "Loud & cléar \U0001f3b8", 4.0)
    assert sequences(store.changes_since(1)) == [2]
    assert sequences(store.changes_since(0, limit=1)) == [1]
    assert sequences(store.newest_reviews(5)) == [2, 1]
    assert sequences(store.newest_reviews(1, before=2)) == [1]


def test_a_review_sent_again_keeps_its_place(store: Store) -> None:
    first = write(store, review(1), review(2))
    again = write(store, review(2), review(1), review(1))
    assert told(again) == told([first[1], first[0], first[0]])
    assert [receipt.is_new for receipt in [*first, *again]] == [True, True, False, False, False]
    assert store.position() == 2
    others = [review(1, user="ben"), review(1, rating=5), review(1, text="x"), review(1, timestamp=1)]
    assert len({receipt.subject for receipt in [*first, *write(store, *others)]}) == 6


def test_an_event_is_one_however_often_it_is_sent_and_names_nobody(store: Store) -> None:
    click = WrittenEvent(event="click", request_id="r1", asin="p1")
    others = [click.model_copy(update=fields) for fields in ({"event": "order"}, {"asin": "p2"}, {"timestamp": 7})]
    [[first]] = store.write([WrittenBatch((click,))])
    [receipts] = store.write([WrittenBatch((click, *others))])
    assert [(one.sequence, one.is_new) for one in receipts] == [(1, False), (2, True), (3, True), (4, True)]
    changes = store.changes_since(0)
    assert {(change.kind, change.user_id, change.review) for change in changes} == {(ChangeKind.EVENT, None, None)}
    assert changes[0].event == click.model_copy(update={"timestamp": changes[0].written})
    assert (first.subject, changes[3].event) == (changes[0].subject, others[2])


def test_a_request_with_a_key_gets_its_answer_again_and_no_other_request_does(store: Store) -> None:
    first = write(store, review(1), key="a")
    again = write(store, review(1), key="a")
    assert (told(again), again[0].is_new) == (told(first), False)
    [error] = store.write([WrittenBatch((review(2),), "a")])
    assert isinstance(error, KeyReusedError)
    # In one transaction as well, and without harm to those beside it.
    answers = store.write([WrittenBatch((review(3),), "b"), WrittenBatch((review(4),), "b")])
    assert isinstance(answers[0], list)
    assert isinstance(answers[1], KeyReusedError)
    assert sequences(store.changes_since(0)) == [1, 2]


def test_a_removed_review_is_gone_and_the_log_says_so(store: Store) -> None:
    [receipt] = write(store, review(1))
    assert not store.remove_review("ben", receipt.subject)
    assert not store.remove_review("ada", "nothing")
    assert store.remove_review("ada", receipt.subject)
    assert not store.remove_review("ada", receipt.subject)
    [change] = store.changes_since(0)
    assert (change.sequence, change.kind, change.subject) == (2, ChangeKind.REVIEW_REMOVED, receipt.subject)
    # Written once more it is a new one.
    assert write(store, review(1)) == [Receipt(subject=receipt.subject, sequence=3, is_new=True)]


def test_what_is_said_of_a_product_stands_for_what_was_said_before(store: Store) -> None:
    banjo = WrittenProduct(asin="banjo/" * 80, title="Banjo", price=10.0)
    cheaper = WrittenProduct(asin=banjo.asin, price=8.5)
    assert [
        store.write_products([(ChangeKind.PRODUCT, banjo)]),
        store.write_products([(ChangeKind.PRODUCT_CHANGED, cheaper)]),
    ] == [1, 2]
    first, second = store.changes_since(0)
    assert (first.kind, first.product, first.user_id, first.review) == (ChangeKind.PRODUCT, banjo, None, None)
    assert second.product is not None
    assert second.product.model_dump(exclude_unset=True) == {"asin": banjo.asin, "price": 8.5}
    other = WrittenProduct(asin="other")
    assert store.write_products([(ChangeKind.PRODUCT, other)]) == 3
    # What is put again, or taken away, needs no word of what was before.
    assert store.write_products([(ChangeKind.PRODUCT, cheaper)]) == 4
    assert [(change.sequence, change.product) for change in store.changes_since(0)] == [(3, other), (4, cheaper)]
    assert store.write_products([(ChangeKind.PRODUCT_REMOVED, WrittenProduct(asin=banjo.asin))]) == 5
    assert [change.kind for change in store.changes_since(3)] == [ChangeKind.PRODUCT_REMOVED]


def test_of_a_forgotten_user_nothing_is_left_but_a_hash_that_others_can_compare(store: Store, tmp_path: Path) -> None:
    receipts = write(store, review(1, user="to-forget", text="a-secret-text"), review(2, user="to-forget"), review(3))
    store.remove_review("to-forget", receipts[1].subject)
    assert store.forget_user("to-forget") == 1
    kept, forgotten = store.changes_since(0)
    assert kept.user_id == "ada"
    assert (forgotten.kind, forgotten.user_id) == (ChangeKind.USER_FORGOTTEN, None)
    assert forgotten.subject == store.hash_of("to-forget") != store.hash_of("ada")
    for file in tmp_path.glob(f"{FILE}*"):  # SQLite's, its journal included
        content = file.read_bytes()
        assert b"to-forget" not in content
        assert b"a-secret-text" not in content


def test_another_store_on_the_same_database_hashes_alike(settings: StoreSettings, tmp_path: Path) -> None:
    with Store(settings, tmp_path) as one, Store(settings, tmp_path) as other:
        write(one, review(1))
        assert sequences(other.changes_since(0)) == [1]
        assert one.hash_of("ada") == other.hash_of("ada")


def test_a_reader_misses_nothing_that_writers_write_at_once(settings: StoreSettings, tmp_path: Path) -> None:
    def fill(writer: int) -> None:
        with Store(settings, tmp_path) as store:
            for number in range(15):
                write(store, review(number, user=f"u{writer}"))

    seen: list[int] = []
    with Store(settings, tmp_path) as reader, ThreadPoolExecutor(3) as threads:
        writing = [threads.submit(fill, writer) for writer in range(3)]
        while not all(one.done() for one in writing):
            seen += sequences(reader.changes_since(seen[-1] if seen else 0))
        for one in writing:
            one.result()
        seen += sequences(reader.changes_since(seen[-1] if seen else 0))
    assert seen == list(range(1, 46))


def write_until_killed(settings: StoreSettings, folder: Path, acknowledged: Path) -> None:
    with Store(settings, folder) as store, acknowledged.open("a") as file:
        for number in range(1_000_000):
            [receipt] = write(store, review(number))
            file.write(f"{receipt.sequence} {receipt.subject}\n")
            file.flush()


def test_a_killed_writer_loses_nothing_that_was_acknowledged(settings: StoreSettings, tmp_path: Path) -> None:
    acknowledged = tmp_path / "acknowledged"
    Store(settings, tmp_path).close()
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        writer = context.Process(target=write_until_killed, args=(settings, tmp_path, acknowledged))
        before = len(acknowledged.read_text().splitlines()) if acknowledged.exists() else 0
        writer.start()
        while not acknowledged.exists() or len(acknowledged.read_text().splitlines()) < before + 5:
            time.sleep(0.01)
            assert writer.is_alive()
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
    with Store(settings, tmp_path) as store:
        changes = store.changes_since(0)
        told = dict(line.split() for line in acknowledged.read_text().splitlines() if line.count(" ") == 1)
        assert {str(change.sequence): change.subject for change in changes}.items() >= told.items()
        assert len({change.subject for change in changes}) == len(changes)
        assert store.position() == changes[-1].sequence


def test_the_migrations_make_the_tables_that_the_code_names(settings: StoreSettings, tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine, shown = open_engine(settings, tmp_path)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == NEWEST
        assert compare_metadata(context, METADATA) == []
    migrate(engine, shown)  # once more changes nothing
    engine.dispose()


def test_a_store_of_a_newer_version_is_refused(settings: StoreSettings, tmp_path: Path) -> None:
    engine, _ = open_engine(settings, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'zz'"))
    engine.dispose()
    with pytest.raises(InputError, match="newer version") as refused:
        Store(settings, tmp_path)
    assert "update this one" in refused.value.remedy


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://host/database", "mysql is no database that the store can use"),
        ("nonsense", "this is no address of a database"),
        ("sqlite://", "in memory keeps nothing"),
        ("sqlite:///:memory:", "in memory keeps nothing"),
        ("sqlite:///file:shop?mode=memory&uri=true", "in memory keeps nothing"),
        ("sqlite:///nowhere/there/store.db", "does not answer"),
        ("postgresql://ada:a-password@127.0.0.1:1/rec_sys", "does not answer"),
    ],
)
def test_an_address_that_leads_nowhere_is_explained_without_its_password(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as refused:
        Store(StoreSettings(url=Address(url)), tmp_path)
    assert "a-password" not in str(refused.value)


def test_what_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no database at all, but long enough to look like something" * 20)
    with pytest.raises(StoreUnavailable, match="not a database") as refused:
        Store(StoreSettings(), tmp_path)
    assert FILE in refused.value.where


def test_a_database_that_goes_away_is_explained_and_may_come_back(settings: StoreSettings, tmp_path: Path) -> None:
    assert settings.url is not None
    with Store(settings, tmp_path) as store:
        address = settings.url.get_secret_value().replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(address)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE changes RENAME TO gone"))
        with pytest.raises(StoreUnavailable, match="changes"):
            store.changes_since(0)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO changes"))
        engine.dispose()
        assert store.changes_since(0) == []
