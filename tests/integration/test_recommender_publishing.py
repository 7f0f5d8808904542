"""Users ask the recommender all the time while other processes publish, roll back and are killed."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rec_sys.bundle import Bundle
from rec_sys.inference.contract import RecommendationAnswer, RecommendationRequest
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, InferenceSettings
from tests.product_indexes import quick_folder
from tests.serving_bundles import expected_answer, known_reviews, write_serving_bundle
from tests.warm_processes import WarmProcess

USERS = [f"user {number}" for number in range(8)]
LIMIT = 5


def command(folder: Path, *arguments: str) -> list[str]:
    module = "rec_sys.vector_database.create_vectorbase"
    quick = ("index.check_queries=4", "index.progress=false", "index.batch_bytes=10000")
    return ["-m", module, f"output_dir={folder}", *quick, *arguments]


def start(folder: Path, *arguments: str) -> WarmProcess:
    return WarmProcess(*command(folder, *arguments), together=True)


async def finish(folder: Path, *arguments: str) -> None:
    process = start(folder, *arguments)
    said, _ = await asyncio.to_thread(process.communicate, timeout=600)
    assert process.returncode == 0, said


def kill_in_the_middle(folder: Path, bundle: Path) -> None:
    """Kills a publisher as soon as it has begun to write a version."""
    versions = folder / "index" / "versions"
    before = set(versions.iterdir())
    process = start(folder, f"bundle={bundle}")
    try:
        while not set(versions.iterdir()) - before:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.0005)
    finally:
        process.kill()
    assert process.wait(600) == -signal.SIGKILL
    process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        for seed in range(3):
            write_serving_bundle(folder / "bundles" / str(seed), seed=seed, num_products=300)
        yield folder


def expected_by_bundle(folder: Path) -> dict[tuple[str, str], tuple[list[str], list[float]]]:
    found = {}
    for path in (folder / "bundles").iterdir():
        bundle = Bundle(path)
        for user_id in USERS:
            reviews = known_reviews(bundle, user_id)
            scores, _, _ = expected_answer(bundle, reviews)
            scores[[review.product for review in reviews if review.product is not None]] = -np.inf
            best = np.argsort(-scores)[:LIMIT]
            found[bundle.identity, user_id] = [f"p{row}" for row in best], scores[best].tolist()
    return found


async def under_load(
    folder: Path, act: Callable[[Recommender], Awaitable[None]]
) -> tuple[list[RecommendationAnswer], list[Exception]]:
    """Everything that eight users are answered while something happens."""
    edge = EdgeIndex(backend="edge", folder=folder / "index")
    answers: list[RecommendationAnswer] = []
    errors: list[Exception] = []
    async with Recommender(edge, InferenceSettings(), folder) as recommender:
        going = True

        async def ask(user_id: str) -> None:
            while going:
                try:
                    answers.append(await recommender.recommend(RecommendationRequest(user_id=user_id, limit=LIMIT)))
                except Exception as error:
                    errors.append(error)
                await asyncio.sleep(0.01)  # leaves the processor to the publishers

        askers = [asyncio.create_task(ask(user_id)) for user_id in USERS]
        try:
            await act(recommender)
        finally:
            going = False
            await asyncio.gather(*askers)
    return answers, errors


def assert_each_is_from_one_version(folder: Path, answers: list[RecommendationAnswer]) -> Counter[str]:
    expected = expected_by_bundle(folder)
    for answer in answers:
        asins, scores = expected[answer.versions.bundle, str(answer.user_id)]
        assert [product.asin for product in answer.products] == asins
        assert [product.score for product in answer.products] == pytest.approx(scores, abs=1e-3)
    return Counter(answer.versions.bundle for answer in answers)


def test_publishing_and_rolling_back_under_load_fails_no_answer_and_mixes_none(folder: Path) -> None:
    identities = [Bundle(folder / "bundles" / str(seed)).identity for seed in range(3)]

    async def act(recommender: Recommender) -> None:
        for seed in (1, 2):
            await finish(folder, f"bundle={folder / 'bundles' / str(seed)}")
            answer = await recommender.recommend(RecommendationRequest(user_id=USERS[0], limit=LIMIT))
            assert answer.versions.bundle == identities[seed]
        await finish(folder, "action=rollback")
        answer = await recommender.recommend(RecommendationRequest(user_id=USERS[0], limit=LIMIT))
        assert answer.versions.bundle == identities[1]

    async def whole() -> tuple[list[RecommendationAnswer], list[Exception]]:
        await finish(folder, f"bundle={folder / 'bundles' / '0'}")
        return await under_load(folder, act)

    answers, errors = asyncio.run(whole())
    assert errors == []
    counts = assert_each_is_from_one_version(folder, answers)
    assert counts.keys() == set(identities)


def test_a_publisher_that_is_killed_leaves_answers_as_they_were_and_the_next_one_completes(folder: Path) -> None:
    identities = [Bundle(folder / "bundles" / str(seed)).identity for seed in range(3)]
    before: list[RecommendationAnswer] = []

    async def act(recommender: Recommender) -> None:
        # In a thread of its own: the loop is busy with answers and might look only when all is done.
        await asyncio.to_thread(kill_in_the_middle, folder, folder / "bundles" / "1")
        before.append(await recommender.recommend(RecommendationRequest(user_id=USERS[0], limit=LIMIT)))
        await finish(folder, f"bundle={folder / 'bundles' / '1'}")
        before.append(await recommender.recommend(RecommendationRequest(user_id=USERS[0], limit=LIMIT)))

    async def whole() -> tuple[list[RecommendationAnswer], list[Exception]]:
        await finish(folder, f"bundle={folder / 'bundles' / '0'}")
        return await under_load(folder, act)

    answers, errors = asyncio.run(whole())
    assert errors == []
    assert [answer.versions.bundle for answer in before] == identities[:2]
    counts = assert_each_is_from_one_version(folder, answers)
    assert counts.keys() == set(identities[:2])
