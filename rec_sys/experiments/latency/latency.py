"""How long does an answer take, and where does the time go? `uv run -m rec_sys.experiments.latency`.

Some users ask at the same time, each again as soon as the answer is there (a closed loop), in process and through
Triton, with texts that are embedded already and with new ones: one run, one table.
"""

import asyncio
import itertools
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Final, Literal

import httpx
import numpy as np

from rec_sys.console import print_table, say
from rec_sys.contracts import InputError
from rec_sys.experiments.latency.latency_report import LatencyRow, markdown, summarise, table
from rec_sys.experiments.latency.settings import LatencySettings
from rec_sys.files import atomic_folder
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import RecommendationAnswer, RecommendationRequest, Review, Runtime, StepTimes
from rec_sys.inference.recommender import Recommender
from triton_utils.server import TritonServer

Ask = Callable[[RecommendationRequest], Awaitable[StepTimes]]
Texts = Literal["embedded", "new"]

_WARM_UP_SECONDS: Final = 0.5
_SENTENCES: Final = (
    "Sounds warm and full, and the finish is flawless.",
    "It went out of tune within an hour; I sent it back.",
    "Good value for a beginner, though the case is thin.",
    "The cable crackles when it is moved.",
    "My daughter plays it every day and loves the light action.",
    "Solid stand, easy to fold, heavier than I thought.",
)


def run(settings: LatencySettings) -> None:
    """Measures and writes; the last line printed is the report's folder."""
    rows = asyncio.run(_measure(settings))
    about = _about(settings)
    folder = settings.output_dir / "latency"
    with atomic_folder(folder) as building:
        report = {**about, "rows": [asdict(row) for row in rows]}
        (building / "latency.json").write_text(json.dumps(report, indent=2) + "\n")
        (building / "latency.md").write_text(markdown(rows, about))
    print_table(table(rows))
    say(f"latency: {folder}")


async def _measure(settings: LatencySettings) -> list[LatencyRow]:
    what, rows = settings.measurement, []
    with ExitStack() as stack:
        for runtime in what.runtimes:
            inference = settings.inference.model_copy(update={"runtime": runtime})
            if runtime == "triton" and what.start_triton:
                own = {"grpc_port": 0, "http_port": 0, "metrics_port": 0, "poll_seconds": 0}
                server = stack.enter_context(TritonServer(settings.triton.model_copy(update=own)))
                inference = inference.model_copy(update={"triton_url": server.endpoints.grpc})
            async with Recommender(settings.index, inference, settings.output_dir, settings.bundle) as recommender:
                rows += await _measure_way(settings, runtime, _asking(recommender))
    if what.gateway_url is not None:
        headers = {} if what.gateway_token is None else {"Authorization": f"Bearer {what.gateway_token}"}
        limits = httpx.Limits(max_connections=max(what.concurrent))
        async with httpx.AsyncClient(base_url=what.gateway_url, headers=headers, limits=limits, timeout=30) as client:
            rows += await _measure_way(settings, "gateway", _asking_over_http(client))
    return rows


async def _measure_way(settings: LatencySettings, runtime: Runtime | Literal["gateway"], ask: Ask) -> list[LatencyRow]:
    what, rows = settings.measurement, []
    for texts in what.texts:
        requests = await _requests(settings, texts)
        if requests is None:
            say(f"{runtime}, {texts} texts: left out, since this bundle's model reads no new texts")
            continue
        await closed_loop(ask, requests, max(what.concurrent), _WARM_UP_SECONDS)
        for concurrent in what.concurrent:
            latencies, times, errors, elapsed = await closed_loop(ask, requests, concurrent, what.seconds)
            rows.append(summarise(runtime, texts, concurrent, latencies, times, errors, elapsed))
    return rows


async def closed_loop(
    ask: Ask, requests: Iterator[RecommendationRequest], concurrent: int, seconds: float
) -> tuple[list[float], list[StepTimes], int, float]:
    """Some users who each ask again and again.

    Returns:
        Seconds of each answer, their steps, the number of errors, and the seconds that all of it took.
    """
    latencies: list[float] = []
    times: list[StepTimes] = []
    errors = 0
    began = time.perf_counter()

    async def user() -> None:
        nonlocal errors
        while time.perf_counter() - began < seconds:
            request, asked = next(requests), time.perf_counter()
            try:
                times.append(await ask(request))
            except (InputError, httpx.HTTPError):
                errors += 1
                continue
            latencies.append(time.perf_counter() - asked)

    await asyncio.gather(*(user() for _ in range(concurrent)))
    return latencies, times, errors, time.perf_counter() - began


def _asking(recommender: Recommender) -> Ask:
    async def ask(request: RecommendationRequest) -> StepTimes:
        return (await recommender.recommend(request)).times

    return ask


def _asking_over_http(client: httpx.AsyncClient) -> Ask:
    async def ask(request: RecommendationRequest) -> StepTimes:
        if request.reviews:
            body = request.model_dump(mode="json", exclude_defaults=True)
            response = await client.post("/v1/recommendations", json=body)
        else:
            response = await client.get(f"/v1/users/{request.user_id}/recommendations")
        return RecommendationAnswer.model_validate(response.raise_for_status().json()).times

    return ask


async def _requests(settings: LatencySettings, texts: Texts) -> Iterator[RecommendationRequest] | None:
    """Requests without end; None where the model cannot read new texts."""
    backends = Backends(settings.index, settings.inference, settings.output_dir, settings.bundle)
    try:
        served = await backends.served()
    finally:
        await backends.close()
    random = np.random.default_rng(settings.measurement.seed)
    if texts == "embedded":
        users = list(served.users)
        if not users:
            raise InputError("the bundle knows no users", where=f"bundle {served.identity}", remedy="train on reviews")
        return (RecommendationRequest(user_id=users[number]) for number in _draw(random, len(users)))
    if served.text_settings.source != "encoder":
        return None
    asins, numbers, unique = served.asins, _draw(random, len(served.asins)), itertools.count()

    def review() -> Review:
        number = next(unique)
        # A time in it makes the text new to every run, and so to every cache.
        said = f"{_SENTENCES[number % len(_SENTENCES)]} {_SENTENCES[number // 7 % len(_SENTENCES)]}"
        return Review(asin=asins[next(numbers)], rating=1 + number % 5, text=f"{said} {time.time_ns()}")

    count = settings.measurement.new_reviews
    return (RecommendationRequest(reviews=tuple(review() for _ in range(count))) for _ in itertools.count())


def _draw(random: np.random.Generator, count: int) -> Iterator[int]:
    while True:
        yield from random.integers(count, size=1_000).tolist()


def _about(settings: LatencySettings) -> dict[str, str | int | float]:
    load = os.getloadavg()[0]
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "load_average": round(load, 1),
        "python": platform.python_version(),
        "index": settings.index.backend,
        "seconds_a_row": settings.measurement.seconds,
    }
