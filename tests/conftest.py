"""What every test stands on: limited threads, fixed seeds, no network, and real reviews where there are any."""

import errno
import gc
import logging
import os
import random
import signal
import socket
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

DATA_DIR_VARIABLE = "REC_SYS_DATA_DIR"
CACHE_VARIABLE = "REC_SYS_TEST_CACHE"
STAGES = ("unit", "integration", "e2e", "chaos")

if sys.dont_write_bytecode and sys.pycache_prefix is None:
    # To compile the libraries takes two thirds of their import. Where Python is not to write beside their sources
    # (PYTHONDONTWRITEBYTECODE, as containers set it), a run compiles them once into a folder of its own, not once a
    # process; the workers, the servers and the commands inherit the variable.
    if CACHE_VARIABLE in os.environ:
        _compiled = str(Path(os.environ[CACHE_VARIABLE]).absolute() / "bytecode")
    else:
        _compiled_folder = tempfile.TemporaryDirectory(prefix="rec_sys-tests-")  # removed when this process ends
        _compiled = _compiled_folder.name
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = _compiled
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# The tests run in several processes at once, and the threads of all of them share the cores.
_THREADS = str(max(1, min(4, _CORES // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))))
# Before numpy, Polars or torch is imported: they read these once.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ[_name] = _THREADS
    os.environ.setdefault(_name, _THREADS)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the cores to the others
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")
# Libraries that would call home or a hub answer at once that they cannot, also in child processes.
for _name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"):
    os.environ.setdefault(_name, "1")
gc.set_threshold(10_000)  # as a command does, before most is imported

import filelock  # noqa: E402
import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
from hydra.core.config_store import ConfigStore  # noqa: E402

hypothesis.settings.register_profile("house", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("house")

# Hydra copies its store whenever it composes, and here that holds the defaults of every command: half of the time that
# composing took. There is one store a process, and what is read from it is a copy.
ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]

logging.getLogger("rec_sys").setLevel(logging.INFO)  # what a command tells its user, for caplog

# A runner in the background of a script is told to ignore Ctrl-C, and the commands under test would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with its folder and puts the quick folders first."""
    here = Path(__file__).parent
    for item in items:
        stage = item.path.relative_to(here).parts[0]
        if stage not in STAGES:
            raise pytest.UsageError(f"{item.nodeid}: tests live in {', '.join(f'tests/{name}' for name in STAGES)}")
        item.add_marker(stage)
    items.sort(key=lambda item: STAGES.index(item.path.relative_to(here).parts[0]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes what has no UTF-8 form, which workers cannot send: tests ask with such texts, and logs quote them."""
    report = yield
    report.sections = [(name, _sendable(text)) for name, text in report.sections]
    if report.longrepr is not None and _sendable(str(report.longrepr)) != str(report.longrepr):
        report.longrepr = _sendable(str(report.longrepr))
    return report


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def pytest_collection_finish() -> None:
    """Keeps what the imports made out of every later garbage collection."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Leaves no process behind."""
    if "tests.warm_processes" in sys.modules:
        sys.modules["tests.warm_processes"].end_server()


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """The same random numbers for a test whether it runs alone or after others."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.manual_seed(0)
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine can be reached, so no test passes because some server happened to answer."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise OSError(errno.ENETUNREACH, f"tests do not use the network (asked for {host})")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real reviews."""
    given = os.environ.get(DATA_DIR_VARIABLE)
    if not given:
        pytest.skip(f"real reviews: set {DATA_DIR_VARIABLE} to the folder that holds them")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"{DATA_DIR_VARIABLE}={given} is no folder")
    return folder.resolve()


def _real_file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        pytest.skip(f"real reviews: {name} is not in the folder that {DATA_DIR_VARIABLE} names")
    return folder / name


@pytest.fixture(scope="session")
def real_2014(data_dir: Path) -> Path:
    """Amazon's instrument reviews of 2014: 10,261 rows."""
    return _real_file(data_dir, "reviews_Musical_Instruments_5.json.gz")


@pytest.fixture(scope="session")
def real_fashion(data_dir: Path) -> Path:
    """Amazon's fashion reviews of 2018: 3,176 rows, 89 of them exact duplicates."""
    return _real_file(data_dir, "AMAZON_FASHION_5.json.gz")


@pytest.fixture(scope="session")
def real_sequences(data_dir: Path) -> Path:
    """The products that 2018's users reviewed, in order: neither text nor rating."""
    return _real_file(data_dir, "instruments_2018_sequences.jsonl.gz")


@pytest.fixture(scope="session")
def text_cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the text encoder is exported to, once for all tests and all processes that run them.

    The variable names a folder that outlives the run, to save the export while working on the tests.
    """
    from rec_sys.settings import TextSettings
    from rec_sys.text.opening import open_encoder

    given = os.environ.get(CACHE_VARIABLE)
    own = tmp_path_factory.getbasetemp()
    folder = Path(given) if given else (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "text_encoder"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        open_encoder(TextSettings(device="cpu", num_threads=1), folder).encode(["exported by the first who asks"])
    return folder.resolve()
