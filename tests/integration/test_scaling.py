"""Measuring growth, at sizes of a few seconds: the real road in real processes, and nothing left behind."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments.scaling import scaling
from rec_sys.experiments.scaling.one_epoch import STAGES
from rec_sys.experiments.scaling.scaling import REPORT, compare, report_table, run
from rec_sys.experiments.scaling.settings import ScalingSettings
from tests import warm_processes

SMALL = ("model.dim=16", "graph.user_reviews=8", "graph.product_reviews=4", "trainer.num_candidates=16")


def settings(output_dir: Path, *overrides: str) -> ScalingSettings:
    return compose_settings([f"output_dir={output_dir}", *SMALL, *overrides], ScalingSettings, "scaling")


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    run(settings(folder, "scaling.sizes=[1500,3000]"))
    return folder


def test_every_stage_of_every_size_is_measured(output_dir: Path) -> None:
    report = json.loads((output_dir / "scaling" / REPORT).read_text())
    assert [size["num_reviews"] for size in report["sizes"]] == [1500, 3000]
    assert [size["num_products"] for size in report["sizes"]] == [30, 60]
    for size in report["sizes"]:
        assert 0.5 * size["num_reviews"] < size["num_train_reviews"] < size["num_reviews"]
        assert set(STAGES) < size["stages"].keys()
        seconds = [size["stages"][stage]["seconds"] for stage in STAGES]
        assert min(seconds) > 0
        assert size["seconds"]["all"] == pytest.approx(sum(seconds))
        assert size["microseconds"]["all"] == pytest.approx(sum(seconds) / size["num_reviews"] * 1e6)
    first, second = (size["microseconds"] for size in report["sizes"])
    assert report["sizes"][1]["ratio"] == pytest.approx({stage: second[stage] / first[stage] for stage in first})


def measure_warm(module: str, request: BaseModel, folder: Path, where: str, remedy: str) -> Any:
    """As `measure_apart`, in a process that was forked with the libraries imported."""
    asked, found = folder / "request.json", folder / "found.json"
    asked.write_text(request.model_dump_json())
    ended = warm_processes.run("-m", module, str(asked), str(found), timeout=600)
    assert ended.returncode == 0, ended.stderr
    return json.loads(found.read_text())


def test_interactions_alone_are_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "measure_apart", measure_warm)
    changes = [
        "scaling.sizes=[2000]",
        "scaling.text=false",
        "scaling.reviews_a_product=20",
        "scaling.train_reviews=600",
    ]
    run(settings(tmp_path, *changes))
    (size,) = json.loads((tmp_path / "scaling" / REPORT).read_text())["sizes"]
    assert (size["num_reviews"], size["num_products"]) == (2000, 100)
    # Two batches of 512.
    assert size["train_share"] == pytest.approx(1_024 / size["num_train_reviews"])
    assert min(size["stages"][stage]["seconds"] for stage in STAGES) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory is anonymous")
def test_the_memory_measured_is_the_fresh_process_s_own(output_dir: Path) -> None:
    for size in json.loads((output_dir / "scaling" / REPORT).read_text())["sizes"]:
        for stage in STAGES:
            found = size["stages"][stage]
            assert 100e6 < found["peak_anonymous_bytes"] < found["peak_resident_bytes"] <= size["peak_resident_bytes"]
        assert size["peak_resident_bytes"] < 4e9


def test_only_the_report_stays(output_dir: Path) -> None:
    assert [path.relative_to(output_dir).as_posix() for path in output_dir.rglob("*") if path.is_file()] == [
        f"scaling/{REPORT}"
    ]


def test_a_size_that_the_disk_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2,500,000,000,000,000,000 bytes of disk") as refused:
        run(settings(tmp_path, "scaling.sizes=[1000000000000000]"))
    assert "scaling.sizes" in refused.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kills_the_child", "exit_code"), [(True, 2), (False, 143)])
def test_a_killed_measurement_leaves_neither_files_nor_a_process(
    tmp_path: Path, kills_the_child: bool, exit_code: int
) -> None:
    arguments = (f"output_dir={tmp_path}", *SMALL, "scaling.sizes=[20000]")
    command = [sys.executable, "-m", "rec_sys.experiments.scaling", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        worker = wait_for_worker(process.pid)
        if kills_the_child:
            worker.kill()
        else:
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == exit_code
    assert not worker.is_running()
    assert list((tmp_path).rglob("*")) == []
    if kills_the_child:
        assert "ended by signal 9\n  where: 20,000 reviews" in errors
        assert "Traceback" not in errors


def wait_for_worker(pid: int) -> psutil.Process:
    """The process that measures."""
    parent = psutil.Process(pid)
    for _ in range(1200):
        for child in parent.children():
            if "rec_sys.experiments.scaling.one_epoch" in child.cmdline():
                return child
        time.sleep(0.05)
    raise AssertionError("no process was started")


def test_time_is_compared_a_review() -> None:
    report = compare([found(1_000, seconds=2.0), found(10_000, seconds=30.0)])
    assert report["sizes"][0]["microseconds"]["train"] == pytest.approx(2_000)
    assert report["sizes"][1]["ratio"] == pytest.approx(dict.fromkeys((*STAGES, "all"), 1.5))
    cells = [list(column.cells) for column in report_table(report).columns]
    assert cells[0][0] == "1,000"
    assert cells[5][-1] == "1.50"
    assert cells[6][-1] == "3"
    assert cells[7][-1] == "-"


def found(num_reviews: int, seconds: float) -> dict[str, Any]:
    stage = {
        "seconds": seconds,
        "processor_seconds": seconds,
        "peak_resident_bytes": 2_000_000,
        "peak_anonymous_bytes": None,
    }
    stages = dict.fromkeys(STAGES, stage)
    return {"num_reviews": num_reviews, "peak_resident_bytes": 3_000_000, "stages": stages}
