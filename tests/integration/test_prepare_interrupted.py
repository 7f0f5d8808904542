"""The command as it runs: killed, out of disk, beside itself, and at scale."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.data.dataset import PreparedDataset
from tests import warm_processes
from tests.warm_processes import WarmProcess

REPOSITORY = Path(__file__).resolve().parents[2]


def _command(*overrides: str) -> list[str]:
    return [sys.executable, "-m", "rec_sys.data.prepare", *overrides]


def _run(*overrides: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return warm_processes.run("-m", "rec_sys.data.prepare", *overrides, timeout=600, environment=environment)


@pytest.fixture(scope="module")
def many_reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150,000 reviews: several batches, and time enough to be interrupted."""
    path = tmp_path_factory.mktemp("raw") / "reviews.json"
    row = {"overall": 5.0, "reviewText": "Stays in tune and sounds warm. " * 8}
    with path.open("w") as file:
        for number in range(150_000):
            ids = {"reviewerID": f"U{number % 9_973}", "asin": f"P{number % 997}"}
            file.write(json.dumps(row | ids | {"unixReviewTime": 1_400_000_000 + number}) + "\n")
    return path


def _wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 600
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} never appeared"
        time.sleep(0.002)


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith((".lock", ".hashes.json")))


def test_a_killed_run_leaves_no_finished_folder_and_the_next_one_cleans_up(many_reviews: Path, tmp_path: Path) -> None:
    overrides = ("data=instruments_2018", f"data.reviews_path={many_reviews}", f"output_dir={tmp_path}")
    process = WarmProcess("-m", "rec_sys.data.prepare", *overrides)
    home = tmp_path / "data"
    _wait_for(home, ".instruments_2018-*.unfinished/*/reviews-00000.parquet")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [name for name in _left(home) if not name.startswith(".")] == []
    finished = _run(*overrides)
    assert finished.returncode == 0, finished.stderr
    folder = Path(finished.stdout.strip().splitlines()[-1].removeprefix("dataset: "))
    assert PreparedDataset(folder).summary.num_reviews == 150_000
    assert _left(home) == [folder.name]


def test_a_full_disk_ends_in_one_message_and_leaves_nothing(many_reviews: Path, tmp_path: Path) -> None:
    overrides = ("data=instruments_2018", f"data.reviews_path={many_reviews}", f"output_dir={tmp_path}")
    # A limit on the size of a file (in kB) meets the same path as a full disk and needs no rights to set up.
    limited = ["bash", "-c", 'ulimit -f 48; exec "$@"', "bash", *_command(*overrides)]
    # Python would put what it compiles beside the sources, cut off at the limit, for every later process to fail on.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    failed = subprocess.run(limited, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600)
    assert failed.returncode == 2, failed.stderr
    assert "Traceback" not in failed.stderr
    assert "the disk is full" in failed.stderr
    assert str(tmp_path / "data") in failed.stderr
    assert "bytes are needed" in failed.stderr
    assert _left(tmp_path / "data") == []


def test_two_runs_at_once_prepare_once(many_reviews: Path, tmp_path: Path) -> None:
    overrides = ("data=instruments_2018", f"data.reviews_path={many_reviews}", f"output_dir={tmp_path}")
    both = [WarmProcess("-m", "rec_sys.data.prepare", *overrides) for _ in range(2)]
    outputs = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("already prepared" in errors for _, errors in outputs) == 1
    assert len(_left(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "file is empty"),
        (b'{"user_id": "U", "parent_asin": "P", "rating": 5}\n', "2023"),
    ],
)
def test_unusable_input_ends_with_code_2_and_one_message(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "reviews.json"
    if content is not None:
        path.write_bytes(content)
    failed = _run("data=instruments_2018", f"data.reviews_path={path}", f"output_dir={tmp_path / 'out'}")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert "Traceback" not in failed.stderr
    assert said in failed.stderr
    assert str(path) in failed.stderr
    assert failed.stdout == ""


def test_without_a_network_the_command_says_what_to_fetch(tmp_path: Path) -> None:
    # Nothing listens on this proxy, so no address can be reached, wherever the test runs.
    environment = os.environ | dict.fromkeys(
        ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9"
    )
    environment |= {"NO_PROXY": "", "no_proxy": ""}
    failed = _run("data=instruments_2014", f"output_dir={tmp_path}", environment=environment)
    assert failed.returncode == 2, failed.stderr
    assert "reviews_Musical_Instruments_5.json.gz by hand" in failed.stderr
    assert str(tmp_path / "raw" / "reviews_Musical_Instruments_5.json.gz") in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own peak of memory")
def test_a_million_reviews_fit_into_little_memory(tmp_path: Path) -> None:
    """600 MB of text; sorting it all at once takes 2 GB, in stretches of time 1.3 GB, of which 0.35 are libraries."""
    num_reviews = 1_000_000
    random = np.random.default_rng(5)
    path = tmp_path / "reviews.parquet"

    def draw(low: int, high: int) -> pl.Series:
        return pl.Series(random.integers(low, high, num_reviews))

    pl.select(
        user_id=draw(0, 50_000),
        asin=draw(0, 9_000),
        rating=draw(1, 6),
        timestamp=draw(1_200_000_000, 1_600_000_000),
        text=pl.concat_str(pl.int_range(num_reviews), pl.lit(" words of a review" * 33)),
    ).write_parquet(path)
    program = (
        "import sys; from pathlib import Path; from rec_sys.entry import compose_settings;"
        "from rec_sys.settings import Settings; from rec_sys.data.prepare import prepare;"
        "settings = compose_settings(sys.argv[1:], Settings); found = prepare(settings.data, settings.output_dir);"
        "peak = Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0];"
        "print(found.summary.num_reviews, peak)"
    )
    overrides = ["data=table", f"data.reviews_path={path}", f"output_dir={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "-c", program, *overrides], cwd=REPOSITORY, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found, peak_kilobytes = (int(number) for number in done.stdout.split())
    assert found == num_reviews
    assert peak_kilobytes < 1_700_000
