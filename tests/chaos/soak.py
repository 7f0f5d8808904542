"""The service at work for long: `uv run -m tests.chaos.soak --seed 0 --seconds 3600`.

Triton and a gateway with an index and a store of its own are asked at a share of the rate that they can answer, while
bundles are published and rolled back, and reviews are written and removed. Every answer is whole and of one bundle; no
memory and no open file is lost with time.
"""

import asyncio
import itertools
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.dying_parts import QUESTIONS, Golden, ask_in_peace, check_answer, exchange
from tests.chaos.served_house import ServedHouse

SHARE: Final = 0.8  # of the rate that it can answer
CLIENTS: Final = 6
MEASURING_SECONDS: Final = 3.0
WARM_UP: Final = 0.25  # of the time: caches fill, allocators find their size
SAMPLE_SECONDS: Final = 0.5
CHANGE_SECONDS: Final = 8.0  # between publications or rollbacks, on average
WRITE_SECONDS: Final = 0.25  # between a review and its removal
MOST_MB: Final = 1.0  # that a process may gain in ten minutes
MOST_FILES: Final = 2.0
JUDGED_SECONDS: Final = 120  # below that, all is warm-up


@dataclass
class Watched:
    """A process over time.

    Attributes:
        seconds: When it was looked at.
        megabytes: Its resident memory then.
        files: Its open files then.
    """

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def gain(self) -> float:
        """Megabytes in ten minutes, after the warm-up; the slope of a line through all that was seen."""
        first = int(len(self.seconds) * WARM_UP)
        return float(np.polyfit(self.seconds[first:], self.megabytes[first:], 1)[0] * 600)

    def more_files(self) -> float:
        """How many more it has open in the last third than in the one before."""
        third = len(self.files) // 3
        return statistics.mean(self.files[-third:]) - statistics.mean(self.files[-2 * third : -third])

    def check(self) -> None:
        """Raises where something is lost."""
        assert self.gain() < MOST_MB, f"{self.gain():+.2f} MB in ten minutes"
        assert self.more_files() < MOST_FILES, f"{self.more_files():+.1f} open files"


class Soak:
    """One run."""

    def __init__(self, campaign: Campaign, house: ServedHouse, client: httpx.AsyncClient, golden: Golden) -> None:
        self._campaign, self._house, self._client, self._golden = campaign, house, client, golden
        self._url = house.urls["none"]
        self.answers = self.changes = self.written = 0
        self.watched: dict[str, Watched] = defaultdict(Watched)
        self._is_over = False

    async def measure(self) -> float:
        """Answers a second to clients that ask without a pause."""
        before, began = self.answers, time.monotonic()
        await self._ask_for(MEASURING_SECONDS, 0)
        return (self.answers - before) / (time.monotonic() - began)

    async def run(self, seconds: float, a_second: float) -> None:
        """Keeps all at work for so long; raises what one of them does."""
        beside = [asyncio.create_task(work()) for work in (self._change, self._write, self._watch)]
        try:
            await self._ask_for(seconds, CLIENTS / a_second)
        finally:
            self._is_over = True
            await asyncio.gather(*beside)

    async def _ask_for(self, seconds: float, pause: float) -> None:
        ends = time.monotonic() + seconds

        async def ask(first: int) -> None:
            for question in itertools.count(first):
                began = time.monotonic()
                if began > ends:
                    return
                answer = await exchange(self._client, self._house, "none", question % len(QUESTIONS))
                assert answer.status == 200, f"{answer.status} {answer.content}"
                check_answer(answer, self._golden)
                self.answers += 1
                await asyncio.sleep(max(0.0, began + pause - time.monotonic()))

        await asyncio.gather(*(ask(number) for number in range(CLIENTS)))

    async def _change(self) -> None:
        """Publishes the other bundle, or goes back to it."""
        while not self._is_over:
            await self._wait(self._campaign.random.uniform(0, 2 * CHANGE_SECONDS))
            with self._campaign.case("a change", self._house.logs):
                goes_back = self._campaign.random.random() < 0.5
                if not (goes_back and await asyncio.to_thread(self._house.roll_back)):
                    await asyncio.to_thread(self._house.publish)
            self.changes += 1

    async def _write(self) -> None:
        """Has a few users write, read and remove what they wrote."""
        for number in itertools.count():
            if self._is_over:
                return
            review = {"user_id": f"writer {number % 7}", "asin": f"p{number % 50}", "rating": 1 + number % 5}
            taken = await self._client.post(f"{self._url}/v1/reviews", json=review)
            assert taken.status_code == 201, taken.text
            [name] = [one["review_id"] for one in taken.json()["reviews"]]
            place = f"{self._url}/v1/users/{review['user_id']}/reviews"
            listed = (await self._client.get(place)).json()["reviews"]
            assert name in [one["review_id"] for one in listed], "what was taken is not listed"
            removed = await self._client.delete(f"{place}/{name}")
            assert removed.status_code == 204, removed.text
            self.written += 1
            await self._wait(WRITE_SECONDS)

    async def _watch(self) -> None:
        processes = self._house.processes()
        while not self._is_over:
            for name, process in processes.items():
                one = self.watched[name]
                one.seconds.append(time.monotonic())
                one.megabytes.append(process.memory_info().rss / 1e6)
                one.files.append(process.num_fds())
            await self._wait(SAMPLE_SECONDS)

    async def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self._is_over and (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(left, SAMPLE_SECONDS))


def attack(campaign: Campaign, seconds: int) -> None:
    """Keeps the service at work for so long; what its processes gain is judged from `JUDGED_SECONDS` on."""
    with ServedHouse(("none",), edge=True) as house:
        asyncio.run(_attack(campaign, house, seconds))


async def _attack(campaign: Campaign, house: ServedHouse, seconds: int) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        soak = Soak(campaign, house, client, await ask_in_peace(house, client))
        rate = 0.0
        with campaign.case("answers", house.logs):
            rate = await soak.measure()
            await soak.run(seconds, SHARE * rate)
    for name, watched in soak.watched.items() if seconds >= JUDGED_SECONDS else ():
        with campaign.case(name, house.logs):
            watched.check()
    campaign.figures |= {
        "answers": f"{soak.answers:,}, at most {SHARE * rate:.0f} a second",
        "publications and rollbacks": soak.changes,
        "reviews written and removed": soak.written,
        "gained in ten minutes": ", ".join(f"{name} {one.gain():+.2f} MB" for name, one in soak.watched.items()),
        "more open files": ", ".join(f"{name} {one.more_files():+.1f}" for name, one in soak.watched.items()),
    }


if __name__ == "__main__":
    run_by_hand("soak", attack, "seconds", 600)
