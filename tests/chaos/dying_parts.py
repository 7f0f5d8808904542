"""Parts that die, hang and slow down under a steady load: `uv run -m tests.chaos.dying_parts --seed 0 --seconds 30`.

Every answer is whole and of one bundle, or by a fallback that it names, or 503 with `Retry-After`; what was hurt is
back within seconds, and no memory is lost.
"""

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.served_house import ServedHouse, slowed
from tests.postgresql_servers import (
    hung,
    is_installed,
    kill_and_restart,
    new_database,
    postgresql_server,
    processes_of,
)

FALLBACKS = ("none", "in_process", "popular")
FAULTS = ("kill", "hang", "slow")
A_SECOND = 100.0  # requests
A_SECOND_BY_SERVER = 30.0  # what the stand-in for the index answers on two shared cores
WRITES = 10  # of so many requests one is a review to be kept
RECOVERY_SECONDS = 5.0
CALM_SECONDS = 1.0
MOST_GROWTH_BYTES = 40_000_000
QUESTIONS = [{"reviews": [{"asin": f"p{first}", "rating": 5}, {"asin": f"p{first + 7}"}]} for first in range(8)]


WRITE = -1  # in place of a question
WRITERS = 5
SEEN_SECONDS = 1.0  # within which a gateway knows what another has taken
PAGE = 1_000  # reviews that are listed at once


@dataclass(frozen=True)
class Answered:
    """One request and what became of it."""

    sent: float
    seconds: float
    gateway: str
    question: int
    status: int
    headers: httpx.Headers
    content: dict[str, Any]

    @property
    def is_write(self) -> bool:
        """Whether a review was sent to be kept."""
        return self.question == WRITE

    @property
    def is_full(self) -> bool:
        """Whether nothing was amiss."""
        if self.is_write:
            return self.status == 201
        return self.status == 200 and self.content["fallback"] is None

    def ranking(self) -> list[tuple[str, float]]:
        """The products with their scores."""
        return [(product["asin"], product["score"]) for product in self.content["products"]]


Golden = dict[str, list[list[tuple[str, float]]]]
"""By bundle, what each question is answered in peace."""


class Load:
    """Asks all gateways so often a second, whether they answer or not."""

    def __init__(self, house: ServedHouse, client: httpx.AsyncClient, a_second: float) -> None:
        self._house, self._client, self._pause = house, client, 1 / a_second
        self.answered: list[Answered] = []
        self.kept: dict[str, set[str]] = {f"writer {number}": set() for number in range(WRITERS)}
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Asks until it is cancelled."""
        number = 0
        while True:
            for gateway in self._house.urls:
                is_write = number % WRITES == 0
                does = self._write(gateway, number) if is_write else self._ask(gateway, number % len(QUESTIONS))
                task = asyncio.create_task(does)
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)
                number += 1
                await asyncio.sleep(self._pause)

    async def finish(self) -> None:
        """Waits for the last answers."""
        await asyncio.gather(*self._waiting)

    async def _ask(self, gateway: str, question: int) -> None:
        self.answered.append(await exchange(self._client, self._house, gateway, question))

    async def _write(self, gateway: str, number: int) -> None:
        """Sends a review of its own moment; what is acknowledged is noted by its writer."""
        user_id = f"writer {number // WRITES % WRITERS}"
        review = {"user_id": user_id, "asin": f"p{number % 50}", "rating": 4, "timestamp": 1_700_000_000_000 + number}
        answer = await exchange(self._client, self._house, gateway, WRITE, review)
        if answer.status == 201:
            self.kept[user_id] |= {one["review_id"] for one in answer.content["reviews"]}
        self.answered.append(answer)

    async def _list(self, url: str, user_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = {"limit": PAGE, "offset": len(found)}
            answer = await self._client.get(f"{url}/v1/users/{user_id}/reviews", params=page)
            assert answer.status_code == 200 or not self.kept[user_id], answer.text
            found += answer.json().get("reviews", [])
            if len(found) < page["offset"] + PAGE:
                return found

    async def check_kept(self) -> None:
        """Raises where a gateway does not list, once, what was acknowledged."""
        await asyncio.sleep(SEEN_SECONDS)  # what came by another gateway
        for url in self._house.urls.values():
            for user_id, kept in self.kept.items():
                names = [one["review_id"] for one in await self._list(url, user_id)]
                assert len(names) == len(set(names)), f"{user_id} has a review twice"
                assert kept <= set(names), f"{len(kept - set(names))} acknowledged reviews of {user_id} are lost"


async def exchange(
    client: httpx.AsyncClient, house: ServedHouse, gateway: str, question: int, review: dict[str, Any] | None = None
) -> Answered:
    """One question, or a review to be kept, and what became of it; a status of 0 where there is no answer."""
    sent, url = time.monotonic(), house.urls[gateway]
    try:
        if review is None:
            found = await ask(client, url, question)
        else:
            found = await client.post(f"{url}/v1/reviews", json=review)
        status, headers, content = found.status_code, found.headers, found.json()
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        status, headers, content = 0, httpx.Headers(), {"error": repr(error)}
    return Answered(sent, time.monotonic() - sent, gateway, question, status, headers, content)


async def ask(client: httpx.AsyncClient, url: str, question: int) -> httpx.Response:
    """One question."""
    return await client.post(f"{url}/v1/recommendations", json=QUESTIONS[question])


def attack(
    campaign: Campaign,
    seconds: int,
    a_second: tuple[float, float] = (A_SECOND, A_SECOND_BY_SERVER),
    recovery: float = RECOVERY_SECONDS,
) -> None:
    """Hurts one part after the other, half of the time in a service on PostgreSQL, half in one on an index server.

    Args:
        campaign: What is tried.
        seconds: For so long.
        a_second: Requests, to all gateways of the one and of the other together.
        recovery: The longest time until all is well again.
    """
    with ExitStack() as stack:
        store = new_database(stack.enter_context(postgresql_server())) if is_installed() else None
        for edge, rate in zip((True, False), a_second, strict=True):
            with ServedHouse(FALLBACKS, edge=edge, store=store if edge else None) as house:
                parts = ("triton", "stub", *(("store",) if edge and store else ()), *(() if edge else ("index",)))
                asyncio.run(_Attack(campaign, house, parts, recovery).run(seconds / 2, rate))


class _Attack:
    """On one service."""

    def __init__(self, campaign: Campaign, house: ServedHouse, parts: Sequence[str], recovery: float) -> None:
        self._campaign, self._house, self._recovery = campaign, house, recovery
        self._pairs = [(part, fault) for part in parts for fault in FAULTS]
        campaign.random.shuffle(self._pairs)

    async def run(self, seconds: float, a_second: float) -> None:
        """Hurts its parts; every pair once before any comes twice."""
        limits = httpx.Limits(max_connections=1_000)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:
            golden = await ask_in_peace(self._house, client)
            load = Load(self._house, client, a_second)
            asking = asyncio.create_task(load.run())
            await asyncio.sleep(2)
            before = {name: part.resident_bytes for name, part in self._house.gateways.items()}
            end, total = time.monotonic() + seconds, 0
            for part, fault in itertools.cycle(self._pairs):
                if time.monotonic() > end:
                    break
                total += await self._hurt_once(load, golden, part, fault)
            asking.cancel()
            await load.finish()
            with self._campaign.case("what was acknowledged", self._house.logs):
                await load.check_kept()
            with self._campaign.case("memory", self._house.logs):
                growth = {name: part.resident_bytes - before[name] for name, part in self._house.gateways.items()}
                assert max(growth.values()) < MOST_GROWTH_BYTES, growth
        figures = self._campaign.figures
        figures["answers"] = int(str(figures.get("answers", 0))) + total
        figures["reviews kept"] = int(str(figures.get("reviews kept", 0))) + sum(map(len, load.kept.values()))
        gained = max(growth.values()) / 1e6
        figures["most megabytes gained"] = max(round(gained), int(str(figures.get("most megabytes gained", 0))))

    async def _hurt_once(self, load: Load, golden: Golden, part: str, fault: str) -> int:
        """How many answers there were meanwhile."""
        with self._campaign.case(f"{fault} {part}", self._house.logs):
            load.answered.clear()
            healed = await _hurt(self._campaign, self._house, part, fault)
            took = await _recovered(load, healed, self._recovery)
            self._campaign.figures[f"{fault} {part}"] = f"well after {took:.1f} s"
            for answer in list(load.answered):
                check_answer(answer, golden)
        return len(load.answered)


async def ask_in_peace(house: ServedHouse, client: httpx.AsyncClient) -> Golden:
    """What each bundle answers; the one that was served at first is served again in the end."""
    golden: Golden = {}
    for _ in house.bundles:
        found = [(await ask(client, house.urls["none"], number)).json() for number in range(len(QUESTIONS))]
        [bundle] = {answer["versions"]["bundle"] for answer in found}
        for url in house.urls.values():  # all have opened it, which takes its memory once
            await ask(client, url, 0)
        golden[bundle] = [[(one["asin"], one["score"]) for one in answer["products"]] for answer in found]
        await asyncio.to_thread(house.publish_and_wait)
    assert golden.keys() == {bundle.identity for bundle in house.bundles}
    return golden


async def _hurt(campaign: Campaign, house: ServedHouse, part: str, fault: str) -> float:
    """Hurts a part, publishes meanwhile; the time from which on it can be well."""
    lasting, is_published = campaign.random.uniform(0.5, 3), campaign.random.random() < 0.7
    if part == "store":
        return await _hurt_store(house, fault, lasting)
    process_id = house.process_of(part)
    if fault == "kill":
        os.kill(process_id, signal.SIGKILL)
        healed = time.monotonic()
        if part == "index":  # nothing of the service starts it again
            await asyncio.to_thread(house.index.process.wait)
            house.index.start()
            await asyncio.to_thread(house.index.wait_for, "ready")
            healed = time.monotonic()
        if is_published:
            house.publish()
        return healed
    if is_published and part != "index":
        asyncio.get_running_loop().call_later(lasting / 2, house.publish)
    if fault == "slow":
        with slowed(process_id):
            await asyncio.sleep(lasting)
        return time.monotonic()
    os.kill(process_id, signal.SIGSTOP)
    try:
        await asyncio.sleep(lasting)
    finally:
        os.kill(process_id, signal.SIGCONT)
    return time.monotonic()


async def _hurt_store(house: ServedHouse, fault: str, lasting: float) -> float:
    store = house.store
    assert store is not None
    if fault == "kill":
        await asyncio.to_thread(kill_and_restart, store)
    else:
        processes = [process.pid for process in processes_of(store)]
        with hung(store) if fault == "hang" else slowed(*processes):
            await asyncio.sleep(lasting)
    return time.monotonic()


async def _recovered(load: Load, healed: float, most: float) -> float:
    """Waits until all is answered in full again for a while; the seconds that it took."""
    while True:
        await asyncio.sleep(0.2)
        now = time.monotonic()
        amiss = [answer.sent for answer in load.answered if not answer.is_full]
        well_since = max([healed, *amiss])
        if now - well_since > CALM_SECONDS and any(answer.sent > well_since for answer in load.answered):
            return well_since - healed
        assert now - healed < most + CALM_SECONDS, f"not well {now - healed:.1f} s after"


def check_answer(answer: Answered, golden: Golden) -> None:
    """Raises where an answer is neither whole nor says what it lacks."""
    told = f"{answer.gateway}: {answer.status} {answer.content}"
    if answer.status == 503:
        assert int(answer.headers["Retry-After"]) >= 1, told
        assert answer.content["error"], told
        return
    if answer.is_write:
        assert answer.status == 201, told
        return
    assert answer.status == 200, told
    assert answer.content["fallback"] in (None, answer.gateway), told
    if answer.content["fallback"] == "popular":
        assert answer.content["fallback_reason"], told
        return
    expected = golden[answer.content["versions"]["bundle"]][answer.question]
    found = answer.ranking()
    assert [asin for asin, _ in found] == [asin for asin, _ in expected], told
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-3), told


if __name__ == "__main__":
    run_by_hand("dying_parts", attack, "seconds", 30)
