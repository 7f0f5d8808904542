"""Checkpoints are read without running anything."""

import errno
import os
from pathlib import Path

import pytest
import torch

from rec_sys.contracts import InputError
from rec_sys.train.checkpoints import CheckpointFiles, read_checkpoint


class Planted:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_that_would_run_something_is_refused_by_its_name(tmp_path: Path) -> None:
    path, planted = tmp_path / "last.ckpt", tmp_path / "planted"
    torch.save({"history": [], "state_dict": Planted(planted)}, path)
    for read in (read_checkpoint, CheckpointFiles().load_checkpoint):
        with pytest.raises(InputError, match="cannot be read") as refused:
            read(path)
        assert refused.value.where == str(path)
    assert not planted.exists()


@pytest.mark.parametrize("kept", [0, 100, -200])
def test_half_a_checkpoint_is_refused_by_its_name(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"history": [{"loss": 1.0}], "state_dict": {"weight": torch.ones(100)}}, path)
    assert read_checkpoint(path)["history"] == [{"loss": 1.0}]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="cannot be read") as refused:
        read_checkpoint(path)
    assert refused.value.where == str(path)


def test_a_checkpoint_that_cannot_be_written_whole_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    writer = CheckpointFiles()
    writer.save_checkpoint({"epoch": 1}, path)

    class BreaksOff:
        def __reduce__(self) -> tuple[object, ...]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match="the disk is full"):
        writer.save_checkpoint({"weights": torch.zeros(1_000), "epoch": BreaksOff()}, path)
    assert read_checkpoint(path) == {"epoch": 1}
    assert [one.name for one in path.parent.iterdir()] == ["last.ckpt"]


def test_what_is_no_file_of_checkpoints_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"PK\x03\x04" + b"\0" * 10)  # as a full disk left it
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(path)
