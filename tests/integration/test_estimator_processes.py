"""The recommender for Python in processes beside the one that loaded it: forked ones are told, others answer."""

import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rec_sys import ReviewGraphRecommender
from rec_sys.contracts import InputError
from tests.serving_bundles import write_serving_bundle

LONGEST = 60  # seconds that a child may take; one that waits for ever is ended


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_serving_bundle(folder / "bundles" / "only")
    return folder


@pytest.fixture(scope="module")
def model(output_dir: Path) -> Iterator[ReviewGraphRecommender]:
    model = ReviewGraphRecommender.load(output_dir)
    model.recommend(["user 1"])
    yield model
    model.close()


def in_a_fork(do: Callable[..., Any], *arguments: Any) -> tuple[str, int | None]:
    """What a forked child says of an `InputError`, and its exit code; None where it had to be ended."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)

    def run(*arguments: Any) -> None:
        try:
            do(*arguments)
            sending.send("nothing was refused")
        except InputError as error:
            sending.send(str(error))

    child = context.Process(target=run, args=arguments)
    child.start()
    said = receiving.recv() if receiving.poll(LONGEST) else ""
    child.join(LONGEST if said else 0)
    if child.is_alive():
        child.kill()
        child.join()
        return said, None
    return said, child.exitcode


@pytest.mark.parametrize("do", ["ask", "load", "fit", "ask what was pickled"])
def test_a_forked_process_is_told_at_once_what_to_do(
    model: ReviewGraphRecommender, output_dir: Path, do: str, tmp_path: Path
) -> None:
    pickled = pickle.dumps(model)
    doing: dict[str, Callable[[], Any]] = {
        "ask": lambda: model.recommend(["user 1"]),
        "load": lambda: ReviewGraphRecommender.load(output_dir),
        "fit": lambda: ReviewGraphRecommender(output_dir=tmp_path).fit(),
        "ask what was pickled": lambda: pickle.loads(pickled).similar(["p3"]),
    }
    said, exit_code = in_a_fork(doing[do])
    assert "forked from one that has fitted or loaded" in said
    assert 'get_context("spawn")' in said
    assert exit_code == 0


def test_a_pool_of_forked_processes_hands_the_refusal_on(model: ReviewGraphRecommender) -> None:
    forking = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, forking) as pool, pytest.raises(InputError, match="forked from one that") as refused:
        pool.submit(model.recommend, ["user 1"]).result(LONGEST)
    assert "spawn" in refused.value.remedy


def test_a_forked_process_drops_the_model_without_waiting(output_dir: Path) -> None:
    held = [ReviewGraphRecommender.load(output_dir)]
    held[0].recommend(["user 1"])
    assert in_a_fork(held.clear) == ("nothing was refused", 0)
    assert held[0].recommend(["user 1"]).height == 10
    held[0].close()


def test_a_model_handed_to_another_process_answers_there(model: ReviewGraphRecommender) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found: pl.DataFrame = pool.submit(model.recommend, ["user 1"], k=5).result(LONGEST)
    assert_frame_equal(found, model.recommend(["user 1"], k=5))


def test_a_model_that_is_closed_or_dropped_leaves_no_thread(output_dir: Path) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "rec_sys"]

    before = threads()
    model = ReviewGraphRecommender.load(output_dir)
    model.recommend(["user 1"])
    assert len(threads()) == len(before) + 1
    model.close()
    assert threads() == before
    model = ReviewGraphRecommender.load(output_dir)
    model.recommend(["user 1"])
    del model
    assert threads() == before
