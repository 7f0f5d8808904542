"""Locks are taken in one way, and a folder that cannot hold one is named before any work."""

import ast
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from rec_sys.contracts import InputError
from rec_sys.data import dataset, fingerprint, prepared_folder, readers
from rec_sys.data.prepare import prepare
from rec_sys.files import writable_folder
from rec_sys.locks import hold_lock, locked_folder
from rec_sys.settings import SequencesData
from rec_sys.vector_database.edge_folder import EdgeFolder
from triton_utils.repository import ModelRepository

ROOT = Path(__file__).parents[2]
NOBODY = 65534
# What preparation imports where it begins: whoever stepped down from root may not even read Python's own library.
IMPORTED_FIRST = dataset, fingerprint, prepared_folder, readers


@pytest.fixture
def sealed() -> Iterator[Path]:
    """A folder with one in it, neither of which may be written to; permissions do not bind root, so it steps down."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "sealed"
        (folder / "data").mkdir(parents=True)
        for path in (folder / "data", folder):
            path.chmod(0o555)
        Path(home).chmod(0o755)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            for path in (folder, folder / "data"):
                path.chmod(0o755)


def test_a_folder_that_is_there_and_sealed_is_refused_with_the_setting_that_chose_it(sealed: Path) -> None:
    for folder in (sealed, sealed / "new"):
        with pytest.raises(InputError, match="cannot be written to") as caught:
            writable_folder(folder, "index.folder")
        assert caught.value.where == str(folder)
        assert "index.folder=..." in caught.value.remedy


def test_a_lock_in_a_sealed_folder_is_refused_and_no_stack_trace(sealed: Path) -> None:
    for hold in (lambda: hold_lock(sealed / ".lock", waiting="x"), lambda: locked_folder(sealed, "busy", "wait")):
        with pytest.raises(InputError, match="cannot be written to"):
            hold()


def test_preparation_index_and_model_repository_are_refused_before_any_work(sealed: Path) -> None:
    data = SequencesData(name="x", reader="sequences", path=Path(__file__))
    with pytest.raises(InputError, match="cannot be written to") as caught:
        prepare(data, sealed)
    assert caught.value.where == str(sealed / "data")
    with pytest.raises(InputError, match="cannot be written to") as caught, EdgeFolder(sealed / "index").locked(0):
        pass
    assert "index.folder=..." in caught.value.remedy
    with pytest.raises(InputError, match="cannot be written to") as caught:
        ModelRepository(sealed / "models").prove_writable()
    assert "triton.model_repository=..." in caught.value.remedy


def test_who_waits_says_so_and_goes_on_when_the_other_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rec_sys.locks._PATIENCE", 0.05)
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(tmp_path / ".lock"):
            is_held.set()
            time.sleep(0.3)
            is_over.set()

    threading.Thread(target=hold).start()
    is_held.wait()
    with caplog.at_level("INFO"), hold_lock(tmp_path / ".lock", waiting="waits for the other"):
        assert is_over.is_set()
    assert "waits for the other" in caplog.text


def test_who_does_not_wait_is_told_what_is_busy(tmp_path: Path) -> None:
    with (
        locked_folder(tmp_path, "somebody is here", "wait for them"),
        pytest.raises(InputError, match="somebody is here") as caught,
    ):
        locked_folder(tmp_path, "somebody is here", "wait for them")
    assert caught.value.where == str(tmp_path)


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FileLock, **_: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(InputError, match="knows no locks"):
        hold_lock(tmp_path / ".lock")


def test_locks_are_taken_nowhere_else() -> None:
    """The store of texts makes a lock of its own, since it takes it again while it holds it."""
    allowed = {ROOT / "rec_sys" / "locks.py", ROOT / "rec_sys" / "text" / "store.py"}
    for path in {*(ROOT / "rec_sys").rglob("*.py"), *(ROOT / "triton_utils").rglob("*.py")} - allowed:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "filelock" not in names, f"{path}: use rec_sys.locks"
