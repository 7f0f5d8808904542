"""The real Triton serves models from a repository; everything is asked over gRPC."""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from rec_sys.contracts import InputError
from rec_sys.settings import TritonSettings
from tests.served_models import candidate, expected_sums, some_entries, write_lookup, write_sums
from tests.triton_servers import needs_core
from triton_utils.client import TritonClient
from triton_utils.repository import ModelRepository
from triton_utils.server import TritonServer

pytestmark = needs_core
Result = TypeVar("Result")
Question = Callable[[TritonClient], Awaitable[Result]]


class Served:
    """A running server with its repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = ModelRepository(folder / "models")
        self.repository.publish(candidate(write_sums(folder / "sums.onnx"), max_batch_size=16))
        self.repository.publish(candidate(write_lookup(folder / "lookup.onnx"), name="lookup", lengths=[4]))
        self.repository.publish(candidate(write_sums(folder / "moving.onnx"), name="moving", identity="bundle 1"))
        ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}
        settings = {"model_repository": self.repository.folder, "poll_seconds": 1, "log_path": folder / "triton.log"}
        self.server = TritonServer(TritonSettings.model_validate(settings | ports))

    def ask(self, question: Question[Result]) -> Result:
        """Asks through the client."""

        async def connected() -> Result:
            async with TritonClient(self.server.endpoints.grpc, deadline_seconds=20) as client:
                return await question(client)

        return asyncio.run(connected())

    def statistics(self, model: str) -> Any:
        """Triton's own counts of a model's newest version."""
        with tritonclient.grpc.InferenceServerClient(self.server.endpoints.grpc) as client:
            return client.get_inference_statistics(model).model_stats[-1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("served"))
    with found.server:
        yield found


def raw_inputs(arrays: dict[str, np.ndarray]) -> list[Any]:
    names = {np.dtype(np.float32): "FP32", np.dtype(np.float64): "FP64", np.dtype(np.int64): "INT64"}
    inputs = []
    for name, array in arrays.items():
        inputs.append(tritonclient.grpc.InferInput(name, list(array.shape), names[array.dtype]))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def test_health_is_true_for_what_is_served_and_false_for_what_is_not(served: Served) -> None:
    async def ask(client: TritonClient) -> list[bool]:
        return [
            await client.is_ready(),
            await client.is_model_ready("sums"),
            await client.is_model_ready("sums", "1"),
            await client.is_model_ready("sums", "9"),
            await client.is_model_ready("nothing"),
        ]

    assert served.ask(ask) == [True, True, True, False, False]


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 8), (3, 20), (16, 64), (100, 33), (2, 120)])
def test_answers_are_right_for_any_number_of_rows_of_any_length(served: Served, rows: int, length: int) -> None:
    inputs = some_entries(rows, length, seed=rows)
    inputs["mask"][:, 50:] = 0  # the model is said to read 50
    answers = served.ask(lambda client: client.infer("sums", inputs))
    for name, expected in expected_sums(inputs).items():
        np.testing.assert_allclose(answers[name], expected, atol=1e-5)


def test_only_the_outputs_asked_for_come_back(served: Served) -> None:
    inputs = some_entries(2, 5)
    answers = served.ask(lambda client: client.infer("sums", inputs, outputs=["total"]))
    assert list(answers) == ["total"]


def test_a_plain_client_of_triton_gets_the_same_answer(served: Served) -> None:
    inputs = some_entries(3, 8)
    with tritonclient.grpc.InferenceServerClient(served.server.endpoints.grpc) as client:
        result = client.infer("sums", raw_inputs(inputs | {"flag": inputs["flag"][:, None]}))
    for name, expected in expected_sums(inputs).items():
        np.testing.assert_allclose(result.as_numpy(name), expected, atol=1e-5)


def test_requests_of_one_length_are_computed_together_and_answered_apart(served: Served) -> None:
    requests = [some_entries(1, 8, seed=number) for number in range(200)]

    async def ask(client: TritonClient) -> list[dict[str, np.ndarray]]:
        await client.describe("sums")
        return await asyncio.gather(*(client.infer("sums", request) for request in requests))

    before = served.statistics("sums")
    answers = served.ask(ask)
    after = served.statistics("sums")
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_allclose(answer["total"], expected_sums(request)["total"], atol=1e-5)
    assert after.inference_count - before.inference_count == 200
    assert after.execution_count - before.execution_count < 200


def test_requests_of_different_lengths_do_not_disturb_each_other(served: Served) -> None:
    requests = [some_entries(1 + number % 3, 1 + number % 50, seed=number) for number in range(100)]

    async def ask(client: TritonClient) -> list[dict[str, np.ndarray]]:
        return await asyncio.gather(*(client.infer("sums", request) for request in requests))

    for request, answer in zip(requests, served.ask(ask), strict=True):
        for name, expected in expected_sums(request).items():
            np.testing.assert_allclose(answer[name], expected, atol=1e-5)


def test_a_request_that_cannot_be_computed_does_not_spoil_its_neighbours(served: Served) -> None:
    async def ask(client: TritonClient) -> list[Any]:
        await client.describe("lookup")
        ids = [np.full((1, 4), 99 if number % 5 == 0 else number % 10) for number in range(100)]
        calls = (client.infer("lookup", {"ids": one}) for one in ids)
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = served.ask(ask)
    for number, answer in enumerate(answers):
        if number % 5 == 0:
            assert isinstance(answer, InputError)
            assert "99" in str(answer)
        else:
            assert (answer["rows"] == number % 10).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entries": np.zeros((1, 8, 4))}, "float64, the model takes float32"),
        ({"entries": np.zeros((1, 8, 3), dtype=np.float32)}, r"the shape is \[1, 8, 3\]"),
        ({"mask": np.full((1, 8), np.nan, dtype=np.float32)}, r"there is nan at \[0, 0\]"),
    ],
)
def test_the_client_refuses_what_does_not_fit(served: Served, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        served.ask(lambda client: client.infer("sums", some_entries(1, 8) | change))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"entries": np.zeros((1, 8, 4))}, "INVALID_ARGUMENT"),
        ({"entries": np.zeros((1, 8, 3), dtype=np.float32)}, "INVALID_ARGUMENT"),
        ({"entries": np.zeros((17, 8, 4), dtype=np.float32)}, "INVALID_ARGUMENT"),
        ({"flag": np.zeros(1, dtype=np.float32)}, "INVALID_ARGUMENT"),
        # Each tensor fits by itself; that they do not fit together only the model notices.
        ({"mask": np.zeros((1, 9), dtype=np.float32)}, "INTERNAL"),
    ],
    ids=["type", "width", "too many rows", "no axis", "another length"],
)
def test_the_server_refuses_what_does_not_fit_and_serves_on(
    served: Served, change: dict[str, np.ndarray], status: str
) -> None:
    sound = some_entries(1, 8)
    sound["flag"] = sound["flag"][:, None]
    with tritonclient.grpc.InferenceServerClient(served.server.endpoints.grpc) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer("sums", raw_inputs(sound | change))
        assert caught.value.status() == f"StatusCode.{status}"
        assert client.infer("sums", raw_inputs(sound)).as_numpy("total").shape == (1, 4)


@pytest.mark.parametrize(("model", "version"), [("nothing", ""), ("sums", "9")])
def test_a_model_or_version_that_is_not_served_is_named(served: Served, model: str, version: str) -> None:
    with pytest.raises(InputError, match=model):
        served.ask(lambda client: client.infer(model, some_entries(1, 8), version=version))


def test_http_and_metrics_answer_too(served: Served) -> None:
    endpoints = served.server.endpoints
    with urllib.request.urlopen(f"{endpoints.http}/v2/models/sums/config", timeout=100) as response:
        config = json.load(response)
    assert config["backend"] == "onnxruntime"
    served.ask(lambda client: client.infer("sums", some_entries(1, 8)))
    with urllib.request.urlopen(endpoints.metrics, timeout=100) as response:
        metrics = response.read().decode()
    assert 'nv_inference_request_success{model="sums",version="1"}' in metrics


def test_a_new_version_takes_over_while_requests_come_and_the_old_one_can_still_be_asked(served: Served) -> None:
    inputs = some_entries(1, 8)
    totals = {factor: expected_sums(inputs, factor)["total"] for factor in (1.0, 2.0, 3.0)}

    def factor_of(answer: dict[str, np.ndarray]) -> float:
        fitting = [factor for factor, total in totals.items() if np.allclose(answer["total"], total, atol=1e-5)]
        assert len(fitting) == 1
        return fitting[0]

    async def ask(client: TritonClient) -> tuple[list[float], dict[str, float]]:
        seen: list[float] = []
        for factor in (2.0, 3.0):
            source = write_sums(served.folder / f"moving-{factor}.onnx", factor=factor)
            new = candidate(source, name="moving", identity=f"bundle {factor:g}", kept_versions=2)
            await asyncio.to_thread(served.repository.publish, new)
            ends = asyncio.get_running_loop().time() + 30
            while not seen or seen[-1] != factor:
                seen.append(factor_of(await client.infer("moving", inputs)))
                assert asyncio.get_running_loop().time() < ends, "the new version never came"
        by_version = {}
        for identity in ("bundle 2", "bundle 3"):
            version = await client.find_version("moving", identity)
            assert version is not None
            by_version[identity] = factor_of(await client.infer("moving", inputs, version=version))
        assert await client.find_version("moving", "bundle 1") is None
        return seen, by_version

    seen, by_version = served.ask(ask)
    # Never back, and not one request in between was refused.
    assert seen == sorted(seen)
    assert by_version == {"bundle 2": 2.0, "bundle 3": 3.0}


def test_a_version_of_other_tensors_is_noticed_by_a_connected_client(served: Served) -> None:
    async def ask(client: TritonClient) -> np.ndarray:
        await client.describe("moving")
        source = write_sums(served.folder / "wide.onnx", width=6)
        await asyncio.to_thread(served.repository.publish, candidate(source, name="moving", identity="wide"))
        inputs = some_entries(1, 8)
        inputs["entries"] = np.ones((1, 8, 6), dtype=np.float32)
        for _ in range(300):
            try:
                return (await client.infer("moving", inputs))["total"]
            except InputError:
                await asyncio.sleep(0.1)
        raise AssertionError("the new version never came")

    assert served.ask(ask).shape == (1, 6)
