"""The demo as a process that trains the sample: run once for all tests of the training and of what serves it."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import filelock
import psutil

from rec_sys.processes import overrides
from tests.served_roads import share_text_models
from tests.triton_servers import HAS_CORE, is_running, until

# The main job on a sample that is embedded in seconds; by one low weight for the memory, other vectors rank otherwise.
SMALL = (
    *("experiment=quick", "trainer.max_epochs=2", "data.num_users=60", "data.num_products=40", "data.num_reviews=420"),
    *("model.co_review.weights=[20]", "model.co_review.l2=[100]"),
)


@dataclass
class Demo:
    """A run of the demo, from its start to its end by a signal.

    Attributes:
        output_dir: What it worked in.
        said: Its lines on standard output.
        answers: What each curl line answered.
        started: The processes that it had started, by number.
        code: Its exit code.
        seconds: How long it took to end.
        left: Those of `started` that were still there a moment later.
    """

    output_dir: Path
    said: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    code: int | None = None
    seconds: float = 0.0
    left: list[int] = field(default_factory=list)

    @property
    def errors(self) -> Path:
        """Its standard error, with each line of a command that it ran behind the module's name."""
        return self.output_dir.with_name("errors.txt")

    @property
    def served_dir(self) -> Path:
        """A copy of what it left, for the tests that publish to it."""
        return self.output_dir.with_name("served")

    @property
    def curl_lines(self) -> list[str]:
        return [line for line in self.said if line.startswith("curl")]

    def run(self) -> None:
        settings = {
            "output_dir": self.output_dir,
            "model_repository": self.output_dir / "models",
            "training": SMALL,
            "runtime": "triton" if HAS_CORE else "in_process",
        }
        with self.errors.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rec_sys.serving.demo", *overrides(settings)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        patience = threading.Timer(900, process.kill)
        patience.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                self.said.append(line.rstrip("\n"))
                if self.said[-1] == "ready":
                    break
            assert self.said[-1:] == ["ready"], self.errors.read_text()[-3000:]
            for curl in self.curl_lines if shutil.which("curl") else []:
                done = subprocess.run(curl, shell=True, capture_output=True, check=True, timeout=600)
                self.answers.append(json.loads(done.stdout))
            self.started = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            self.code = process.wait(300)
            self.seconds = time.monotonic() - began
            until(lambda: not any(map(is_running, self.started)), 60)
            self.left = [number for number in self.started if is_running(number)]
        finally:
            patience.cancel()
            process.kill()
            process.wait()
            process.stdout.close()


def run_demo_once(folder: Path, text_cache_dir: Path) -> Demo:
    """The demo where there is no bundle yet: it trains, exports, publishes and serves.

    Args:
        folder: Shared by all processes of the tests; the first that comes runs the demo.
        text_cache_dir: Of the exported text encoder.
    """
    folder.mkdir(exist_ok=True)
    report = folder / "demo.json"
    with filelock.FileLock(folder / ".lock"):
        if not report.exists():
            demo = Demo(folder / "outputs")
            share_text_models(demo.output_dir, text_cache_dir)
            demo.run()
            shutil.copytree(demo.output_dir, demo.served_dir, symlinks=True)
            report.write_text(json.dumps(asdict(demo), default=str))
    found = json.loads(report.read_text())
    return Demo(**found | {"output_dir": Path(found["output_dir"])})
