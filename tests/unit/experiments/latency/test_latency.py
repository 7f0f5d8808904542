"""The measurement of latencies: users who ask in a closed loop, and what is written of it."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.experiments.latency.latency import closed_loop, run
from rec_sys.experiments.latency.latency_report import LatencyRow, markdown, summarise
from rec_sys.experiments.latency.settings import LatencySettings
from rec_sys.inference.contract import RecommendationRequest, StepTimes
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.product_indexes import quick_folder
from tests.serving_bundles import write_serving_bundle


def test_each_user_asks_again_when_the_answer_is_there_and_errors_are_counted() -> None:
    under_way, most = 0, 0

    async def ask(request: RecommendationRequest) -> StepTimes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        if request.offset % 4 == 3:
            raise InputError("no", where="here", remedy="none")
        return StepTimes(index=5, total=5)

    requests = (RecommendationRequest(offset=number) for number in itertools.count())
    latencies, times, errors, elapsed = asyncio.run(closed_loop(ask, requests, 3, 0.2))
    assert most == 3
    assert len(latencies) == len(times)
    assert errors == pytest.approx(len(latencies) / 3, abs=2)
    assert min(latencies) >= 0.005
    assert 0.2 <= elapsed < 1
    row = summarise("triton", "new", 3, [0.001, 0.002, 0.1], times, errors, 2.0)
    assert (row.p50, row.answers, row.answers_a_second, row.index) == (2.0, 3, 1.5, 5.0)


def test_the_report_is_a_table_of_all_rows() -> None:
    row = LatencyRow("triton", "embedded", 8, 100, 0, 4.5, 12.0, 1500.0, 0.0, 1.5, 2.0, 0.5, 1.0)
    text = markdown([row], {"cores": 4, "load_average": 0.5})
    assert "| triton | embedded | 8 | 100 | 0 | 4.5 | 12.0 | 1500.0 | 0.0 | 1.5 | 2.0 | 0.5 | 1.0 |" in text
    assert "cores 4, load average 0.5" in text


def test_a_bundle_is_measured_and_the_report_written(capsys: pytest.CaptureFixture[str]) -> None:
    with quick_folder() as folder:
        bundle = write_serving_bundle(folder / "bundles" / "only")
        settings = LatencySettings.model_validate(
            {
                "output_dir": folder,
                "index": {"backend": "edge", "folder": folder / "index", "check_queries": 4, "progress": False},
                "inference": {},
                "triton": {},
                "measurement": {"runtimes": ["in_process"], "concurrent": [1, 4], "seconds": 0.2},
            }
        )
        EdgePublisher(settings.index).publish(read_catalogue(bundle))  # type: ignore[arg-type]
        run(settings)
        said = capsys.readouterr().out
        assert "this bundle's model reads no new texts" in said
        assert said.splitlines()[-1] == f"latency: {folder / 'latency'}"
        report = json.loads((folder / "latency" / "latency.json").read_text())
        assert [(row["runtime"], row["texts"], row["concurrent"]) for row in report["rows"]] == [
            ("in_process", "embedded", 1),
            ("in_process", "embedded", 4),
        ]
        for row in report["rows"]:
            assert row["answers"] > 10
            assert row["errors"] == 0
            assert 0 < row["p50"] <= row["p99"]
        assert Path(folder / "latency" / "latency.md").read_text().count("| in_process |") == 2
