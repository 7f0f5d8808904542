"""Parts that die, hang and slow down under a steady load: `uv run -m tests.chaos.dying_parts --seed 0 --seconds 30`.

Every answer is whole and of one bundle, or by a fallback that it names, or 503 with `Retry-After`; what was hurt is
back within seconds, and no memory is lost.
"""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.served_house import ServedHouse, slowed

FALLBACKS = ("none", "in_process", "popular")
PARTS = ("triton", "stub", "index")
FAULTS = ("kill", "hang", "slow")
A_SECOND = 30.0  # requests; what the stand-in for the index answers on two shared cores
RECOVERY_SECONDS = 5.0
CALM_SECONDS = 1.0
MOST_GROWTH_BYTES = 40_000_000
QUESTIONS = [{"reviews": [{"asin": f"p{first}", "rating": 5}, {"asin": f"p{first + 7}"}]} for first in range(8)]


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
    def is_full(self) -> bool:
        """Whether nothing was amiss."""
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
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Asks until it is cancelled."""
        number = 0
        while True:
            for gateway in self._house.urls:
                task = asyncio.create_task(self._ask(gateway, number % len(QUESTIONS)))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)
                number += 1
                await asyncio.sleep(self._pause)

    async def finish(self) -> None:
        """Waits for the last answers."""
        await asyncio.gather(*self._waiting)

    async def _ask(self, gateway: str, question: int) -> None:
        self.answered.append(await exchange(self._client, self._house, gateway, question))


async def exchange(client: httpx.AsyncClient, house: ServedHouse, gateway: str, question: int) -> Answered:
    """One question and what became of it; a status of 0 where there is no answer."""
    sent = time.monotonic()
    try:
        found = await ask(client, house.urls[gateway], question)
        status, headers, content = found.status_code, found.headers, found.json()
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        status, headers, content = 0, httpx.Headers(), {"error": repr(error)}
    return Answered(sent, time.monotonic() - sent, gateway, question, status, headers, content)


async def ask(client: httpx.AsyncClient, url: str, question: int) -> httpx.Response:
    """One question."""
    return await client.post(f"{url}/v1/recommendations", json=QUESTIONS[question])


def attack(campaign: Campaign, seconds: int, a_second: float = A_SECOND, recovery: float = RECOVERY_SECONDS) -> None:
    """Hurts one part after the other.

    Args:
        campaign: What is tried.
        seconds: For so long.
        a_second: Requests, to all gateways together.
        recovery: The longest time until all is well again.
    """
    with ServedHouse(FALLBACKS) as house:
        asyncio.run(_attack(campaign, house, seconds, a_second, recovery))


async def _attack(campaign: Campaign, house: ServedHouse, seconds: int, a_second: float, recovery: float) -> None:
    limits = httpx.Limits(max_connections=1_000)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        golden = await ask_in_peace(house, client)
        load = Load(house, client, a_second)
        asking = asyncio.create_task(load.run())
        await asyncio.sleep(2)
        before = {name: part.resident_bytes for name, part in house.gateways.items()}
        end, total = time.monotonic() + seconds, 0
        recoveries: dict[str, float] = {}
        # Every pair once before any comes twice.
        pairs = [(part, fault) for part in PARTS for fault in FAULTS]
        campaign.random.shuffle(pairs)
        while time.monotonic() < end:
            part, fault = pairs[campaign.tried % len(pairs)]
            with campaign.case(f"{fault} {part}", house.logs):
                total += len(load.answered)
                load.answered.clear()
                healed = await _hurt(campaign, house, part, fault)
                recoveries[f"{fault} {part}"] = await _recovered(load, healed, recovery)
                for answer in list(load.answered):
                    check_answer(answer, golden)
        asking.cancel()
        await load.finish()
        with campaign.case("memory", house.logs):
            growth = {name: part.resident_bytes - before[name] for name, part in house.gateways.items()}
            assert max(growth.values()) < MOST_GROWTH_BYTES, growth
    campaign.figures |= {
        "answers": total + len(load.answered),
        "recoveries": ", ".join(f"{name} {seconds:.1f} s" for name, seconds in recoveries.items()),
        "most memory gained": f"{max(growth.values()) / 1e6:.0f} MB",
    }


async def ask_in_peace(house: ServedHouse, client: httpx.AsyncClient) -> Golden:
    """What each bundle answers; the one that was served at first is served again in the end."""
    golden: Golden = {}
    for _ in house.bundles:
        found = [(await ask(client, house.urls["none"], number)).json() for number in range(len(QUESTIONS))]
        [bundle] = {answer["versions"]["bundle"] for answer in found}
        golden[bundle] = [[(one["asin"], one["score"]) for one in answer["products"]] for answer in found]
        await asyncio.to_thread(house.publish_and_wait)
    assert golden.keys() == {bundle.identity for bundle in house.bundles}
    return golden


async def _hurt(campaign: Campaign, house: ServedHouse, part: str, fault: str) -> float:
    """Hurts a part, publishes meanwhile; the time from which on it can be well."""
    lasting, is_published = campaign.random.uniform(0.5, 3), campaign.random.random() < 0.7
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
