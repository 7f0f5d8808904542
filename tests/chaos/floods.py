"""Floods beside polite clients: `uv run -m tests.chaos.floods --seed 0 --connections 10000`.

Slow heads and bodies, silent connections, no file left, bodies of every size, bytes that are no HTTP, and calls drawn
from the service's own description. Polite clients get all their answers, at most twice as late; nobody gets a status
that is not documented, nor an error of the service's own.
"""

import asyncio
import resource
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context

import httpx
import psutil

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.odd_calls import Call, draw_bodies, draw_bytes, draw_calls
from tests.chaos.served_house import Part, lone_gateway

RECEIVE_SECONDS = 2.0  # that the gateway waits for its clients
FLOOD_SECONDS = 5.0
POLITE_CLIENTS, POLITE_PAUSE = 4, 0.02
SLOWER = 2.0  # times
NOISE_SECONDS = 0.25  # that a shared machine adds to some answer of a hundred, flood or not
MOST_GROWTH_BYTES = 60_000_000
MOST_LOGGED_BYTES = 200_000
SPARE_FILES, MORE_THAN_SPARE = 20, 200
A_SECOND = 200  # connections that a flood opens: of more, two shared cores are full, whoever asks
CALLS_A_SECOND, AT_ONCE = 20, 8
HEAD = b"POST /v1/recommendations HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
SLOW = {
    "slow heads": (HEAD, b"X"),
    "slow bodies": (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "silence": (b"", b""),
}
ENDED = 0  # without a word, as a connection that says nothing or makes room for another

Flood = Callable[[], Awaitable[None]]


def attack(campaign: Campaign, connections: int, slower: float = SLOWER, seconds: float = FLOOD_SECONDS) -> None:
    """Lets flood after flood come.

    Args:
        campaign: What is tried.
        connections: In a flood of them; calls are a tenth as many.
        slower: How many times as late the polite clients may get their answers.
        seconds: How long a flood lasts, beyond the time to open its connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with (
            lone_gateway(receive_timeout_seconds=RECEIVE_SECONDS, idle_timeout_seconds=2) as (url, gateway),
            ProcessPoolExecutor(1, get_context("spawn")) as beside,
        ):
            house = _FloodedHouse(campaign, url, gateway, beside)
            for name, flood in house.floods(connections, seconds).items():
                with campaign.case(name, gateway.log):
                    house.survive(name, flood, slower)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def be_polite(url: str, seconds: float) -> tuple[float, Counter[str]]:
    """Asks as good clients do, for so long; the 99th percentile of the seconds to an answer, and what was answered."""

    def ask(number: int) -> tuple[list[float], list[str]]:
        took, told = [], []
        with httpx.Client(timeout=30, limits=httpx.Limits(keepalive_expiry=1)) as client:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends or not took:
                began = time.monotonic()
                try:
                    body = {"reviews": [{"asin": f"p{number}", "rating": 5}]}
                    told.append(str(client.post(f"{url}/v1/recommendations", json=body).status_code))
                except httpx.HTTPError as error:
                    told.append(repr(error))
                took.append(time.monotonic() - began)
                time.sleep(POLITE_PAUSE)
        return took, told

    with ThreadPoolExecutor(POLITE_CLIENTS) as threads:
        found = list(threads.map(ask, range(POLITE_CLIENTS)))
    seconds_taken = [one for took, _ in found for one in took]
    return statistics.quantiles(seconds_taken, n=100)[98], Counter(one for _, told in found for one in told)


class _FloodedHouse:
    """A gateway, its polite clients, and what is done to it meanwhile."""

    def __init__(self, campaign: Campaign, url: str, gateway: Part, beside: ProcessPoolExecutor) -> None:
        self._campaign, self._url, self._gateway, self._beside = campaign, url, gateway, beside
        self._port = int(url.rpartition(":")[2])
        self._process = psutil.Process(gateway.process.process_id)
        beside.submit(be_polite, url, 1).result()
        self._in_peace = 0.0
        self._length = self._seconds = 0.0
        self._files, self._memory = self._process.num_fds(), gateway.resident_bytes

    def floods(self, connections: int, seconds: float) -> dict[str, Flood]:
        """All of them by name."""
        self._length, self._seconds = seconds, seconds + connections / A_SECOND
        random, count = self._campaign.random, max(20, connections // 10)
        description = httpx.get(f"{self._url}/openapi.json").json()
        drawn = {
            "bodies of every size": draw_bodies(random, count),
            "bytes that are no HTTP": draw_bytes(random, count),
            "calls from the description": draw_calls(random, description, count),
        }
        return {
            **{f"{connections} {name}": lambda s=slow: self._hold(connections, *s) for name, slow in SLOW.items()},
            "no file left": self._take_files,
            **{f"{count} {name}": lambda calls=calls: self._send(calls) for name, calls in drawn.items()},
        }

    def survive(self, name: str, flood: Flood, slower: float) -> None:
        """Lets a flood come, and raises where anybody else noticed it or something is left of it."""
        logged = self._logged_bytes()
        peace, _ = self._beside.submit(be_polite, self._url, self._length).result()
        self._in_peace = max(self._in_peace, peace)
        self._campaign.figures["p99 in peace, at most"] = f"{self._in_peace * 1000:.0f} ms"
        polite = self._beside.submit(be_polite, self._url, self._seconds)
        asyncio.run(_run(flood))
        late, told = polite.result()
        self._campaign.figures[f"p99 beside {name}"] = f"{late * 1000:.0f} ms of {told.total()}"
        assert set(told) == {"200"}, told
        assert late < max(slower * self._in_peace, NOISE_SECONDS), f"{late:.3f} s, {self._in_peace:.3f} in peace"
        assert httpx.get(f"{self._url}/health/ready", timeout=10).status_code == 200
        logged = self._logged_bytes() - logged
        assert logged < MOST_LOGGED_BYTES, f"{logged:,} bytes of log"
        ends = time.monotonic() + 10 * RECEIVE_SECONDS
        while (left := self._process.num_fds() - self._files) > SPARE_FILES:
            assert time.monotonic() < ends, f"{left} more open files than before"
            time.sleep(0.1)
        grown = self._gateway.resident_bytes - self._memory
        self._campaign.figures["memory gained"] = f"{grown / 1e6:.0f} MB"
        assert grown < MOST_GROWTH_BYTES, f"{grown / 1e6:.0f} MB more memory"

    def _logged_bytes(self) -> int:
        return self._gateway.log.stat().st_size if self._gateway.log.exists() else 0

    async def _hold(self, count: int, begun: bytes, part: bytes) -> None:
        """Opens connections, and keeps each as long as the service lets it."""
        ends = time.monotonic() + self._seconds
        held: list[asyncio.Task[int]] = []
        for number in range(count):
            held.append(asyncio.create_task(self._drip(begun, part, ends)))
            if number % 20 == 0:
                await asyncio.sleep(20 / A_SECOND)
        unexpected = set(await asyncio.gather(*held)) - {408, 503, ENDED}
        assert not unexpected, unexpected

    async def _drip(self, begun: bytes, part: bytes, ends: float) -> int:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(begun)
                while time.monotonic() < ends:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            return _status_of(await reader.read(1_000))
                    writer.write(part)
            finally:
                writer.close()
        return ENDED

    async def _take_files(self) -> None:
        """Lets the service open a few files more, and opens more connections than that."""
        soft, hard = self._process.rlimit(psutil.RLIMIT_NOFILE)
        await asyncio.sleep(0.5)  # the polite are there
        self._process.rlimit(psutil.RLIMIT_NOFILE, (self._process.num_fds() + SPARE_FILES, hard))
        try:
            await self._hold(MORE_THAN_SPARE, b"", b"")
        finally:
            self._process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))

    async def _send(self, calls: Iterable[Call]) -> None:
        waiting = iter(calls)

        async def send_some() -> None:
            for call in waiting:
                call.check(await self._exchange(call.sent))
                await asyncio.sleep(AT_ONCE / CALLS_A_SECOND)

        await asyncio.gather(*(send_some() for _ in range(AT_ONCE)))

    async def _exchange(self, sent: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = b""
        with suppress(ConnectionError):
            writer.write(sent)
            if not sent.endswith(b"\n"):
                await writer.drain()
            async with asyncio.timeout(30):
                answer = await reader.read(-1)
        writer.close()
        return _status_of(answer)


async def _run(flood: Flood) -> None:
    await flood()


def _status_of(answer: bytes) -> int:
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else ENDED


if __name__ == "__main__":
    run_by_hand("floods", attack, "connections", 10_000)
