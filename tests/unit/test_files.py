"""Writes are whole or absent, and a disk that refuses them is named."""

import errno
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file, atomic_folder, explain_disk_errors, require_space, writable_folder


def test_a_file_appears_only_when_its_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "figures.json"
    with atomic_file(target) as unfinished:
        unfinished.write_text("1")
        assert not target.exists()
    assert target.read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="broke"), atomic_file(target) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError("broke")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_files_get_the_permissions_of_ordinary_ones(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    with atomic_file(tmp_path / "atomic") as unfinished:
        unfinished.write_text("")
    assert (tmp_path / "atomic").stat().st_mode == ordinary.stat().st_mode


def test_a_folder_replaces_the_one_that_stood_there(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").write_text("old")
    with atomic_folder(target) as unfinished:
        (unfinished / "deep").mkdir()
        (unfinished / "deep" / "new").write_text("new")
        assert (target / "old").read_text() == "old"
    assert [path.name for path in target.iterdir()] == ["deep"]
    assert (target / "deep" / "new").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_replaced_where_the_system_cannot_exchange_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rec_sys.files._exchange", lambda first, second: False)
    target = tmp_path / "bundle"
    for content in ("old", "new"):
        with atomic_folder(target) as unfinished:
            (unfinished / "content").write_text(content)
    assert (target / "content").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_what_may_not_be_removed_of_a_replaced_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "bundle"
    with atomic_folder(target):
        pass
    assert not caplog.records
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # as where it is another user's
    with atomic_folder(target):
        pass
    (left,) = tmp_path.glob(".bundle.*")
    assert f"may not be removed; change its owner or its permissions: {left}" in caplog.text


def test_a_folder_set_aside_by_a_killed_writer_is_put_back(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    (tmp_path / ".bundle.old").mkdir()
    (tmp_path / ".bundle.old" / "content").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(target):
        raise RuntimeError
    assert (target / "content").read_text() == "old"


def test_a_failing_writer_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as unfinished:
        (unfinished / "half").write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def _write_until_killed(target: Path) -> None:
    with atomic_folder(target) as unfinished:
        (unfinished / "half").write_text("half")
        time.sleep(60)


def _wait_for_half(folder: Path) -> None:
    deadline = time.monotonic() + 200
    while not list(folder.glob(".bundle.*/half")):
        assert time.monotonic() < deadline, "the writer never started"
        time.sleep(0.01)


def test_what_a_killed_writer_left_is_swept_away_but_a_living_one_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    writer = multiprocessing.get_context("spawn").Process(target=_write_until_killed, args=(target,))
    writer.start()
    _wait_for_half(tmp_path)
    with atomic_folder(target) as unfinished:
        (unfinished / "whole").write_text("whole")
    assert list(tmp_path.glob(".bundle.*/half")), "a living writer's folder was taken"
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    (tmp_path / ".file.abc.unfinished").write_text("half")
    later = tmp_path / "later bundle"  # of another name, as every bundle is
    with atomic_folder(later) as unfinished:
        (unfinished / "whole").write_text("whole")
    assert sorted(tmp_path.iterdir()) == [target, later]


def test_what_is_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make_and_sweep(suffix: str, prefix: str, folder: Path) -> str:
        made.append(mkdtemp(suffix, prefix, folder))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make_and_sweep)
    with atomic_folder(tmp_path / "bundle") as unfinished:
        assert [str(unfinished)] == made[1:]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_whichever_library_meets_it(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with (
        pytest.raises(InputError, match=r"the disk is full(.|\n)*1,000 bytes are needed") as caught,
        explain_disk_errors(tmp_path, bytes_needed=1000),
    ):
        pl.DataFrame({"a": range(1_000_000)}).write_parquet(full, compression="uncompressed")
    assert str(tmp_path) in caught.value.where
    with pytest.raises(InputError, match="the disk is full"), explain_disk_errors(tmp_path):
        full.write_text("x")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the disk is full"), atomic_folder(tmp_path / "bundle") as unfinished:
        (unfinished / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_finds_no_room_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the disk is full"), explain_disk_errors(tmp_path):
        raise RuntimeError("Service runtime error: Not enough space available for optimization, needed: 24.41 MiB")


def test_room_is_looked_for_before_it_is_needed(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(InputError, match=r"the disk is full(.|\n)*about 1(,000){6} bytes") as caught:
        require_space(tmp_path, 10**18, "index.folder")
    assert "index.folder=" in (caught.value.remedy or "")


def test_errors_of_reading_inside_a_writer_are_not_taken_for_errors_of_writing(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_file(tmp_path / "target"):
        raise PermissionError(errno.EACCES, "Permission denied", "some input")


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to") as caught:
        writable_folder(tmp_path / "file" / "data")
    assert str(tmp_path / "file") in caught.value.where
    with pytest.raises(InputError, match="cannot be written to"), atomic_file(tmp_path / "file" / "x" / "y"):
        pass


def test_an_unfinished_folder_can_lie_where_nobody_watches(tmp_path: Path) -> None:
    watched, beside = tmp_path / "models", tmp_path / "models.tower"
    for content in ("first", "second"):
        with atomic_folder(watched / "tower", beside=beside) as unfinished:
            assert unfinished.parent == tmp_path
            assert [path.name for path in watched.iterdir()] == ([] if content == "first" else ["tower"])
            (unfinished / "file").write_text(content)
    assert (watched / "tower" / "file").read_text() == "second"
    with pytest.raises(RuntimeError), atomic_folder(watched / "tower", beside=beside):
        raise RuntimeError("broke")
    assert (watched / "tower" / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
