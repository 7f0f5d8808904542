"""Several processes answer at one port: as one service, whichever of them is asked, dies or comes back."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rec_sys.processes import overrides
from tests.chaos.served_house import published_folder
from tests.triton_servers import is_running, until
from tests.warm_processes import WarmProcess

WORKERS = 2
REVIEW = {"user_id": "ada", "asin": "p3", "rating": 5, "text": "Warm and quiet."}
PRODUCT = {"title": "Five-String Banjo", "brand": "Holloway", "categories": ["Kind 1"], "price": 329.5}


@dataclass
class Service:
    """A service of two workers, and a connection to each of them."""

    process: WarmProcess
    url: str
    said: list[str]
    stack: ExitStack = field(default_factory=ExitStack)

    def workers(self) -> list[int]:
        return sorted(child.pid for child in psutil.Process(self.process.pid).children() if is_running(child.pid))

    def client_of(self, worker: int) -> httpx.Client:
        """A client whose one connection that process has taken."""
        for _ in range(100):
            limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
            client = self.stack.enter_context(httpx.Client(base_url=self.url, limits=limits, timeout=30))
            with client.stream("GET", "/health/live") as response:
                own = response.extensions["network_stream"].get_extra_info("client_addr")
                response.read()
            taken = {tuple(one.raddr) for one in psutil.Process(worker).net_connections("tcp") if one.raddr}
            if tuple(own) in taken:
                return client
        raise AssertionError(f"worker {worker} takes no connection")

    def each(self) -> list[httpx.Client]:
        return [self.client_of(worker) for worker in self.workers()]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with published_folder() as folder:
        # Nobody looks at the store by themselves while the tests run.
        serving = {"serving.port": 0, "serving.workers": WORKERS, "serving.log_level": "warning"}
        given = {"output_dir": folder, "store.poll_seconds": 60, **serving}
        with WarmProcess("-m", "rec_sys.serving.gateway", *overrides(given)) as process:
            said: list[str] = []
            while not said or said[-1] != "listening":
                line = process.stdout.readline()
                assert line, process.communicate()
                said.append(line.strip())
            service = Service(process, said[0].removeprefix("gateway: "), said)
            with service.stack:
                for client in service.each():
                    assert until(lambda asked=client: asked.get("/health/ready").status_code == 200, 60)  # type: ignore[misc]
                yield service


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_it_says_once_where_it_listens_with_all_its_workers(service: Service) -> None:
    assert [line.partition(":")[0] for line in service.said] == ["gateway", "documentation", "listening"]
    assert len(service.workers()) == WORKERS


def test_what_one_worker_takes_is_in_the_next_answer_of_the_other(service: Service) -> None:
    first, second = service.each()
    assert second.get("/v1/users/ada/recommendations").status_code == 404
    assert first.post("/v1/reviews", json=REVIEW).status_code == 201
    assert second.get("/v1/users/ada/recommendations").json()["reviews_used"] == 1
    assert second.put("/v1/products/banjo", json=PRODUCT).status_code == 200
    assert first.get("/v1/products/banjo/similar").status_code == 200
    assert second.delete("/v1/users/ada").status_code == 200
    assert first.get("/v1/users/ada/recommendations").status_code == 404


def test_one_page_of_metrics_counts_for_all_and_loses_nothing_with_a_worker(service: Service) -> None:
    clients = service.each()
    route = {"route": "/v1/products/{asin}/similar", "status": "200"}
    before = [metric(client, "gateway_requests_total", **route) for client in clients]
    answers = [client.get("/v1/products/p3/similar") for client in clients]
    # A worker counts an answer when it is out, so that another may be asked for the page before that.
    wanted = [one + 2 for one in before]
    assert until(lambda: [metric(client, "gateway_requests_total", **route) for client in clients] == wanted, 30)
    assert until(lambda: metric(clients[0], "gateway_requests_in_progress") == 0, 30)
    assert metric(clients[0], "gateway_serving_info") == 1
    assert metric(clients[0], "process_resident_memory_bytes", worker="1") > 1e7

    # Events find the answer that they name, whoever gave it.
    named = [(answer.headers["X-Request-ID"], answer.json()["products"][0]["asin"]) for answer in reversed(answers)]
    for client, (request_id, asin) in zip(clients, named, strict=True):
        event = {"event": "impression", "request_id": request_id, "asin": asin}
        assert client.post("/v1/events", json=event).status_code == 201
    for client in clients:
        assert metric(client, "gateway_events_total", source="graph", model="similar") == 2
        assert metric(client, "gateway_click_through", source="graph", model="similar") == 0

    killed, kept = service.workers()
    os.kill(killed, signal.SIGKILL)
    [other] = [client for client, worker in zip(clients, sorted((killed, kept)), strict=True) if worker == kept]
    assert other.get("/v1/products/p3/similar").status_code == 200
    assert until(lambda: len({*service.workers()} - {killed}) == WORKERS, 30)
    [new] = set(service.workers()) - {kept}
    assert service.client_of(new).get("/v1/products/p3/similar").status_code == 200
    assert until(lambda: metric(other, "gateway_requests_total", **route) == before[0] + 4, 30)
    assert metric(service.client_of(new), "gateway_events_total", source="graph", model="similar") == 2


def test_an_import_that_is_stopped_or_whose_worker_is_killed_keeps_what_was_safe(service: Service) -> None:
    def shown(address: str) -> tuple[bool, int]:
        text = kept.get(address).text
        number = re.search(r"([\d,]+)(?: of [\d,]+ reviews are safe|[ a-z]+ safe before)", text)
        return "has ended" in text, int(number[1].replace(",", "")) if number else 0

    worker, other = service.workers()
    taking, kept = service.client_of(worker), service.client_of(other)
    count = 8_000
    rows = "\n".join(f"eva,p{row % 50},5,{1_600_000_000 + row}" for row in range(count))
    file = {"file": ("all.csv", f"user,product,rating,time\n{rows}\n")}

    def take() -> str:
        address = taking.post("/shop/import", data={"kind": "reviews"}, files=file).headers["Location"]
        assert until(lambda: "Take it in" in kept.get(address).text)
        taking.post(address, data={"do": "take"})
        assert until(lambda: shown(address)[1] > 0)
        return str(address)

    address = take()
    stopped = kept.get(kept.post(address, data={"do": "discard"}).headers["Location"]).text
    assert re.search(r"Stopped: [\d,]+ rows or a few more were safe by then", stopped)

    address = take()
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: shown(address)[0], 30)
    safe = shown(address)[1]
    assert 0 < safe < count
    assert until(lambda: len(service.workers()) == WORKERS, 30)
    kept.post("/v1/reviews", json=REVIEW | {"user_id": "eva"})  # reads what the other has written, too
    there = kept.get("/v1/users/eva/reviews").json()["total"] - 1
    assert safe <= there <= count


def test_a_signal_ends_the_service_and_every_worker(service: Service) -> None:
    workers = service.workers()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 128 + signal.SIGTERM
    assert not any(map(is_running, workers))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/health/live")


PROGRAM = """
import sys, time
from rec_sys.serving.workers import GatewayWorkers
from rec_sys.settings import ServingSettings

def answer(memory):
    if sys.argv[1] == "fails" and memory.number:
        sys.exit(3)
    memory.processes[memory.number] = __import__("os").getpid()
    time.sleep(60)

with GatewayWorkers(ServingSettings(workers=2), answer) as workers:
    workers.wait_until_they_listen()
    print(workers._folder.name, flush=True)
    workers.keep_them_alive()
"""


def test_workers_end_with_a_service_that_is_killed() -> None:
    with WarmProcess("-c", PROGRAM, "sleeps") as process:
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        workers = [child.pid for child in psutil.Process(process.pid).children()]
        assert len(workers) == 2
        process.kill()
        assert until(lambda: not any(map(is_running, workers)), 20)
        assert not folder.exists()


def test_a_worker_that_cannot_start_ends_the_service_in_words() -> None:
    with WarmProcess("-c", PROGRAM, "fails") as process:
        _, said = process.communicate(60)
    assert process.returncode == 1
    assert "worker 1 ended before it listened (exit code 3)" in said
