"""Checkpoints are read without running anything."""

import os
from pathlib import Path

import pytest
import torch

from rec_sys.contracts import InputError
from rec_sys.train.checkpoints import CheckpointReader, read_checkpoint


class Planted:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_that_would_run_something_is_refused_by_its_name(tmp_path: Path) -> None:
    path, planted = tmp_path / "last.ckpt", tmp_path / "planted"
    torch.save({"history": [], "state_dict": Planted(planted)}, path)
    for read in (read_checkpoint, CheckpointReader().load_checkpoint):
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
