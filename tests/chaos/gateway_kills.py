"""A gateway killed while reviews are written and removed: what it acknowledged is there once, and in the next answer.

uv run -m tests.chaos.gateway_kills --seed 0 --cases 200
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from rec_sys.processes import overrides
from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.served_house import PATIENCE_SECONDS, free_port, published_folder
from tests.serving_bundles import USER_REVIEWS
from tests.warm_processes import WarmProcess

_WRITERS: Final = 4
_LONGEST: Final = 0.5  # seconds of writing before the kill
_REMOVED: Final = 4  # of so many requests one removes a review
_NEWEST: Final = 1_600_000_000_000  # milliseconds; every review has a moment of its own


@dataclass
class Writer:
    """One user who writes and removes reviews, and what they were told.

    Attributes:
        user_id: Theirs.
        kept: The ids of the reviews that are acknowledged and not removed.
        unanswered: The requests of which nobody knows what became: reviews, or the id of one to be removed.
        moments: How many reviews were sent.
    """

    user_id: str
    kept: set[str] = field(default_factory=set)
    unanswered: list[list[dict[str, Any]] | str] = field(default_factory=list)
    moments: int = 0

    def write_until_killed(self, client: httpx.Client, draws: list[float]) -> None:
        """Sends one request after the other until there is no answer."""
        for draw in draws:
            if self.kept and draw < 1 / _REMOVED:
                asked: list[dict[str, Any]] | str = sorted(self.kept)[int(draw * 1_000) % len(self.kept)]
            else:
                asked = [self._review(draw) for _ in range(1 + int(draw * 1_000) % 3)]
            try:
                self.send(client, asked)
            except httpx.TransportError:
                self.unanswered.append(asked)
                return

    def send(self, client: httpx.Client, asked: list[dict[str, Any]] | str, *, again: bool = False) -> None:
        """Sends a request and notes what is acknowledged; `again` where it may have been taken before."""
        if isinstance(asked, str):
            answer = client.delete(f"/v1/users/{self.user_id}/reviews/{asked}")
            assert answer.status_code in ((204, 404) if again else (204,)), answer.text
            self.kept.discard(asked)
        else:
            answer = client.post("/v1/reviews", json={"reviews": asked})
            assert answer.status_code == 201, answer.text
            self.kept |= {one["review_id"] for one in answer.json()["reviews"]}

    def check(self, client: httpx.Client) -> None:
        """What was not answered is sent again; then exactly what is acknowledged is listed, and read for an answer."""
        before = set(self._listed(client))
        removed = {asked for asked in self.unanswered if isinstance(asked, str)}
        assert self.kept - removed <= before, f"{len(self.kept - removed - before)} acknowledged reviews are lost"
        for asked in self.unanswered:
            self.send(client, asked, again=True)
        self.unanswered.clear()
        listed = self._listed(client)
        assert len(listed) == len(set(listed)), "a review is there twice"
        assert set(listed) == self.kept, "reviews are there that nobody knows, or gone that nobody removed"
        if self.kept:
            answer = client.get(f"/v1/users/{self.user_id}/recommendations")
            assert answer.status_code == 200, answer.text
            used, all_used = answer.json()["reviews_used"], min(USER_REVIEWS, len(self.kept))
            assert used == all_used, f"an answer reads {used} reviews instead of {all_used}"

    def _review(self, draw: float) -> dict[str, Any]:
        self.moments += 1
        asin = f"p{(self.moments + int(draw * 100)) % 60}"
        return {"user_id": self.user_id, "asin": asin, "rating": 4, "timestamp": _NEWEST + 60_000 * self.moments}

    def _listed(self, client: httpx.Client) -> list[str]:
        answer = client.get(f"/v1/users/{self.user_id}/reviews", params={"limit": 1_000})
        if answer.status_code == 404:
            return []
        assert answer.status_code == 200, answer.text
        return [one["review_id"] for one in answer.json()["reviews"]]


def attack(campaign: Campaign, cases: int) -> None:
    """Kills so many gateways on one store, each at a drawn moment under writes, each started on what the last left."""
    with published_folder() as folder:
        writers: list[Writer] = []
        acknowledged = resent = 0
        for number in range(cases + 1):  # the last is not killed
            with campaign.case(f"after {number} kills", folder), _gateway(folder) as (process, client):
                resent += sum(len(writer.unanswered) for writer in writers)
                for writer in writers:
                    writer.check(client)
                acknowledged += sum(len(writer.kept) for writer in writers)
                writers = [Writer(f"kill {number} writer {one}") for one in range(_WRITERS)]
                if number < cases:
                    _write_and_kill(process, client, writers, campaign)
        campaign.figures |= {"acknowledged reviews": acknowledged, "requests without an answer": resent}


def _write_and_kill(process: WarmProcess, client: httpx.Client, writers: list[Writer], campaign: Campaign) -> None:
    draws = [[campaign.random.random() for _ in range(10_000)] for _ in writers]
    delay = campaign.random.uniform(0, _LONGEST)
    with ThreadPoolExecutor(len(writers)) as pool:
        writing = [
            pool.submit(writer.write_until_killed, client, drawn) for writer, drawn in zip(writers, draws, strict=True)
        ]
        time.sleep(delay)
        process.kill()
        for one in writing:
            one.result()


@contextmanager
def _gateway(folder: Path) -> Iterator[tuple[WarmProcess, httpx.Client]]:
    """A gateway of its own process that is ready, and a client of it."""
    port = free_port()
    given = {"output_dir": folder, "serving.port": port, "serving.log_level": "warning"}
    with (
        WarmProcess("-m", "rec_sys.serving.gateway", *overrides(given)) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _is_ready(client):
            assert process.poll() is None, f"the gateway does not start: {process.communicate()}"
            assert time.monotonic() < deadline, "the gateway is not ready"
            time.sleep(0.02)
        yield process, client


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    run_by_hand("gateway_kills", attack, "cases", 200)
