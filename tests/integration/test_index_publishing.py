"""While a version is published, readers go on; a process that is killed on the way changes nothing that is served."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import IndexUnavailableError, ProductAnswer, ProductIndex
from rec_sys.vector_database.edge_folder import EdgeFolder
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.publication import compare, draw_users
from tests import warm_processes
from tests.product_indexes import holds, make_catalogue, new_product, open_back_end, quick_folder

NUM_PRODUCTS = 100

# A process that publishes bundles, each order in a child of its own; an order may be to die at a step.
WRITER = """
import json, os, signal, sys
from pathlib import Path
from rec_sys.bundle import Bundle
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database import edge_folder, edge_index, edge_version
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher

def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

def die_after(function):
    def run(*arguments, **named):
        function(*arguments, **named)
        die()
    return run

def drop_half(folder):
    (folder / edge_version.VERSION_FILE).unlink()
    for file in sorted(folder.rglob("*.json")):
        file.unlink()
    die()

STEPS = {
    "the first batch is written": (edge_version.EdgeVersion, "write", die_after),
    "everything is written": (edge_version.EdgeVersion, "build", lambda function: die),
    "it is laid out": (edge_version.EdgeVersion, "build", die_after),
    "it is about to be checked": (edge_index, "write_version", die_after),
    "it is whole": (edge_folder.EdgeFolder, "switch", lambda function: die),
    "the link is prepared": (Path, "symlink_to", die_after),
    "it is served": (edge_folder.EdgeFolder, "switch", die_after),
    "an old version is half gone": (edge_folder, "drop_version", lambda function: drop_half),
}

def publish(order):
    if order["step"]:
        where, name, kill = STEPS[order["step"]]
        setattr(where, name, kill(getattr(where, name)))
    publisher = EdgePublisher(EdgeIndex.model_validate(order["settings"]))
    for folder in order["bundles"]:
        publisher.publish(read_catalogue(Bundle(Path(folder))))

for order in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        publish(order)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
STEPS = (
    "the first batch is written",
    "everything is written",
    "it is laid out",
    "it is about to be checked",
    "it is whole",
    "the link is prepared",
    "it is served",
    "an old version is half gone",
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four bundles of the same products, each with vectors of its own."""
    folder = tmp_path_factory.mktemp("bundles")
    for seed in range(4):
        make_catalogue(folder / str(seed), NUM_PRODUCTS, seed=seed)
    return [folder / str(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def catalogues(bundles: list[Path]) -> list[Catalogue]:
    from rec_sys.bundle import Bundle
    from rec_sys.vector_database.catalogue import read_catalogue

    return [read_catalogue(Bundle(bundle)) for bundle in bundles]


def settings_in(folder: Path) -> EdgeIndex:
    limits = {"check_queries": 8, "progress": False, "batch_bytes": 50_000}
    return EdgeIndex(backend="edge", folder=folder / "index", kept_versions=2, **limits)


def write(orders: list[tuple[EdgeIndex, list[Path], str | None]]) -> list[int]:
    """Publishes in another process; the exit codes of its children."""
    given = [
        {"settings": settings.model_dump(mode="json"), "bundles": [str(bundle) for bundle in bundles], "step": step}
        for settings, bundles, step in orders
    ]
    result = warm_processes.run("-c", WRITER, json.dumps(given), timeout=600)
    assert result.returncode == 0, result.stderr
    return [int(line) for line in result.stdout.split()]


def assert_answers_are_from(catalogue: Catalogue, index: ProductIndex) -> None:
    users = draw_users(catalogue, 3, seed=9)
    answers = index.search_many(users)
    assert {answer.version.bundle for answer in answers} == {catalogue.identity}
    agreement = compare(answers, users, ExactRanking(catalogue))
    assert (agreement.recall, agreement.worst_score_error < 1e-5) == (1, True)


def test_a_kill_at_any_step_leaves_what_is_served_and_the_next_publish_completes(
    bundles: list[Path], catalogues: list[Catalogue]
) -> None:
    # The index serves 1 and keeps 0 for a rollback when the writer comes with 2, which drops 0.
    with quick_folder() as root:
        places = {step: settings_in(root / str(number)) for number, step in enumerate(STEPS)}
        readers = {}
        for step, settings in places.items():
            publisher = EdgePublisher(settings)
            for catalogue in catalogues[:2]:
                publisher.publish(catalogue)
            readers[step] = EdgeProductIndex(settings)
            readers[step].version()
        codes = write([(settings, bundles[2:3], step) for step, settings in places.items()])
        assert codes == [-signal.SIGKILL] * len(STEPS)
        for step, settings in places.items():
            expected = catalogues[2 if step in ("it is served", "an old version is half gone") else 1]
            assert_answers_are_from(expected, readers[step])
            assert_answers_are_from(expected, EdgeProductIndex(settings))
            publisher = EdgePublisher(settings)
            publisher.publish(catalogues[3])
            assert_answers_are_from(catalogues[3], readers[step])
            versions = {path.name for path in EdgeFolder(settings.folder).versions.iterdir()}
            assert versions == {publisher.status().served.name, *publisher.status().kept}  # type: ignore[union-attr]
            assert publisher.rollback().bundle == expected.identity
            assert_answers_are_from(expected, readers[step])


class Askers:
    """Threads that ask all the time, and keep every answer and every error."""

    def __init__(self, index: ProductIndex, catalogues: list[Catalogue], num_threads: int) -> None:
        self._index = index
        self._users = draw_users(catalogues[0], 12, seed=1)
        self._stopped = threading.Event()
        self.answers: list[tuple[int, ProductAnswer]] = []
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(num_threads)]

    def _ask(self, number: int) -> None:
        while not self._stopped.is_set():
            number = (number + 1) % len(self._users)
            try:
                self.answers.append((number, self._index.search(self._users[number])))
            except BaseException as error:
                self.errors.append(error)

    def __enter__(self) -> "Askers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def assert_sound(self, catalogues: list[Catalogue]) -> Counter[str]:
        """No errors, and every answer is wholly that of the version it names; the answers by bundle."""
        assert self.errors == []
        rankings = {catalogue.identity: ExactRanking(catalogue) for catalogue in catalogues}
        seen: dict[tuple[str, int], ProductAnswer] = {}
        for number, answer in self.answers:
            key = answer.version.bundle, number
            if key not in seen:
                agreement = compare([answer], [self._users[number]], rankings[answer.version.bundle])
                assert (agreement.recall, agreement.worst_score_error < 1e-5) == (1, True)
                seen[key] = answer
            assert answer.hits == seen[key].hits
        return Counter(answer.version.bundle for _, answer in self.answers)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("back_end", ["edge", "in_memory"])
def test_a_reindex_under_load_has_no_errors_and_no_mixed_answers(back_end: str, catalogues: list[Catalogue]) -> None:
    with open_back_end(back_end, check_queries=8) as opened:
        publisher, index = opened.publisher, opened.index
        publisher.publish(catalogues[0])
        with Askers(index, catalogues, num_threads=2) as askers:
            for step in [*(lambda each=each: publisher.publish(each) for each in catalogues[1:]), publisher.rollback]:
                step()  # type: ignore[operator]
                served = index.version().bundle
                answered = len(askers.answers)
                wait_until(lambda answered=answered: len(askers.answers) > answered + 12)  # type: ignore[misc]
                assert {answer.version.bundle for _, answer in askers.answers[-10:]} == {served}
        by_bundle = askers.assert_sound(catalogues)
    assert by_bundle.keys() == {catalogue.identity for catalogue in catalogues}
    assert min(by_bundle.values()) >= 5


def test_readers_follow_a_writer_in_another_process(bundles: list[Path], catalogues: list[Catalogue]) -> None:
    with quick_folder() as root:
        settings = settings_in(root)
        EdgePublisher(settings).publish(catalogues[0])
        with EdgeProductIndex(settings) as index, Askers(index, catalogues, num_threads=2) as askers:
            index.version()
            assert write([(settings, bundles[1:], None)]) == [0]
            assert index.version().bundle == catalogues[3].identity
        by_bundle = askers.assert_sound(catalogues)
    assert by_bundle[catalogues[0].identity] > 0


def test_upserts_under_load_have_no_errors(catalogues: list[Catalogue]) -> None:
    with open_back_end("edge", check_queries=8) as opened:
        opened.publisher.publish(catalogues[0])
        with Askers(opened.index, catalogues, num_threads=2) as askers:
            for number in range(2):
                # Far from every user, so that the answers stay what they are.
                vector = -catalogues[0].vectors.mean(axis=0)
                opened.index.upsert([new_product(f"B-{number}", vector / (vector @ vector) ** 0.5)])
        askers.assert_sound(catalogues)
        assert opened.index.version().name.endswith(".2")
        assert all(holds(opened.index, f"B-{number}") for number in range(2))


@contextmanager
def published(catalogue: Catalogue) -> Iterator[tuple[EdgeIndex, EdgePublisher]]:
    with quick_folder() as root:
        settings = settings_in(root)
        publisher = EdgePublisher(settings)
        publisher.publish(catalogue)
        yield settings, publisher


def damage(settings: EdgeIndex, name: str) -> None:
    for file in EdgeFolder(settings.folder).path(name).rglob("*"):
        if file.is_file() and file.suffix in (".json", ".dat") and file.name != "version.json":
            file.write_bytes(file.read_bytes()[:10])


def test_a_damaged_version_is_named_and_mended_by_the_next_publish(catalogues: list[Catalogue]) -> None:
    with published(catalogues[0]) as (settings, publisher):
        version = publisher.publish(catalogues[1]).version
        damage(settings, version.name)
        index = EdgeProductIndex(settings)
        with pytest.raises(IndexUnavailableError, match="cannot be opened") as refused:
            index.search_many(draw_users(catalogues[1], 1, seed=0))
        assert version.name in refused.value.where
        publication = publisher.publish(catalogues[1])
        assert (publication.is_new, publication.version) == (True, version)
        assert_answers_are_from(catalogues[1], index)
        assert publisher.rollback().bundle == catalogues[0].identity


def test_a_rollback_leaves_a_damaged_version_behind(catalogues: list[Catalogue]) -> None:
    with published(catalogues[0]) as (settings, publisher):
        damage(settings, publisher.publish(catalogues[1]).version.name)
        publisher.rollback()
        assert_answers_are_from(catalogues[0], EdgeProductIndex(settings))


def test_a_second_writer_is_told_to_wait(catalogues: list[Catalogue]) -> None:
    with published(catalogues[0]) as (settings, publisher):
        hasty = EdgePublisher(settings.model_copy(update={"lock_timeout": 0.1}))
        with publisher._exclusive(), pytest.raises(InputError, match="another process is writing to the index"):
            hasty.publish(catalogues[1])
        assert hasty.publish(catalogues[1]).is_new


def test_an_index_that_moved_is_served_from_its_new_place(catalogues: list[Catalogue]) -> None:
    with published(catalogues[0]) as (settings, publisher):
        publisher.publish(catalogues[1])
        moved = settings.model_copy(update={"folder": settings.folder.with_name("moved")})
        settings.folder.rename(moved.folder)
        assert_answers_are_from(catalogues[1], EdgeProductIndex(moved))
        assert EdgePublisher(moved).rollback().bundle == catalogues[0].identity
