"""Versions are published whole, old ones kept where they fit, and nothing else lies where Triton looks."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

import triton_utils.repository
from rec_sys.contracts import InputError
from tests.served_models import candidate, write_lookup, write_sums
from triton_utils.model_config import identities_of, read_config
from triton_utils.repository import ModelRepository

REPOSITORY = Path(__file__).resolve().parents[3]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def identities(repository: ModelRepository, name: str = "sums") -> dict[int, str]:
    return identities_of(read_config(repository.folder / name / "config.pbtxt"))


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "models")


def test_the_first_version_is_one_and_the_file_is_the_candidates(repository: ModelRepository, tmp_path: Path) -> None:
    source = write_sums(tmp_path / "sums.onnx")
    published = repository.publish(candidate(source))
    assert (published.version, published.is_new, published.dropped) == (1, True, ())
    assert published.folder == repository.folder / "sums" / "1"
    assert (published.folder / "model.onnx").read_bytes() == source.read_bytes()
    assert repository.models() == {"sums": (1,)}
    # Triton would take every other folder for a model.
    assert sorted(path.name for path in repository.folder.iterdir() if path.is_dir()) == ["sums"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "sums.onnx"]


def test_the_same_model_is_not_published_again(repository: ModelRepository, tmp_path: Path) -> None:
    source = write_sums(tmp_path / "sums.onnx")
    repository.publish(candidate(source))
    before = (repository.folder / "sums").stat().st_ino
    published = repository.publish(candidate(source))
    assert (published.version, published.is_new) == (1, False)
    assert (repository.folder / "sums").stat().st_ino == before


def test_what_a_killed_publisher_had_replaced_goes_though_nothing_is_new(
    repository: ModelRepository, tmp_path: Path
) -> None:
    source = write_sums(tmp_path / "sums.onnx")
    repository.publish(candidate(source))
    left = tmp_path / ".models.sums.killed.unfinished"  # the old folder, when the new one has taken its place
    (left / "1").mkdir(parents=True)
    assert not repository.publish(candidate(source)).is_new
    assert not left.exists()


def test_other_settings_change_the_configuration_and_not_the_version(
    repository: ModelRepository, tmp_path: Path
) -> None:
    source = write_sums(tmp_path / "sums.onnx")
    repository.publish(candidate(source))
    published = repository.publish(candidate(source, max_batch_size=7))
    assert (published.version, published.is_new) == (1, False)
    assert read_config(repository.folder / "sums" / "config.pbtxt").max_batch_size == 7


def test_the_newest_versions_are_kept_with_what_they_were_made_from(
    repository: ModelRepository, tmp_path: Path
) -> None:
    dropped = []
    for number in range(1, 5):
        source = write_sums(tmp_path / f"{number}.onnx", factor=number)
        dropped.append(repository.publish(candidate(source, identity=f"bundle {number}", kept_versions=2)).dropped)
    assert dropped == [(), (), (1,), (2,)]
    assert repository.models() == {"sums": (3, 4)}
    assert identities(repository) == {3: "bundle 3", 4: "bundle 4"}
    for number in (3, 4):
        kept = repository.folder / "sums" / str(number) / "model.onnx"
        assert kept.read_bytes() == (tmp_path / f"{number}.onnx").read_bytes()


def test_the_same_file_of_another_bundle_is_a_version_of_its_own(repository: ModelRepository, tmp_path: Path) -> None:
    source = write_sums(tmp_path / "sums.onnx")
    repository.publish(candidate(source, identity="first"))
    assert repository.publish(candidate(source, identity="second")).version == 2
    assert identities(repository) == {1: "first", 2: "second"}


def test_versions_of_other_tensors_cannot_stay(repository: ModelRepository, tmp_path: Path) -> None:
    repository.publish(candidate(write_sums(tmp_path / "narrow.onnx")))
    published = repository.publish(candidate(write_sums(tmp_path / "wide.onnx", width=9), identity="second"))
    assert (published.version, published.dropped) == (2, (1,))
    assert repository.models() == {"sums": (2,)}
    assert identities(repository) == {2: "second"}


def test_models_do_not_disturb_each_other(repository: ModelRepository, tmp_path: Path) -> None:
    repository.publish(candidate(write_sums(tmp_path / "sums.onnx")))
    before = files_of(repository.folder / "sums")
    repository.publish(candidate(write_lookup(tmp_path / "lookup.onnx"), name="lookup"))
    assert repository.models() == {"lookup": (1,), "sums": (1,)}
    assert files_of(repository.folder / "sums") == before


def test_a_large_file_is_linked_where_the_disk_allows_it(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_sums(tmp_path / "sums.onnx")
    published = repository.publish(candidate(source))
    assert (published.folder / "model.onnx").stat().st_ino == source.stat().st_ino

    def refuse(*names: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    published = repository.publish(candidate(source, identity="second"))
    copied = published.folder / "model.onnx"
    assert copied.read_bytes() == source.read_bytes()
    assert copied.stat().st_ino != source.stat().st_ino


def test_what_cannot_be_served_leaves_the_old_version(repository: ModelRepository, tmp_path: Path) -> None:
    repository.publish(candidate(write_sums(tmp_path / "sums.onnx")))
    before = files_of(repository.folder)
    with pytest.raises(InputError, match="opset 23"):
        repository.publish(candidate(write_sums(tmp_path / "new.onnx", opset=23), identity="second"))
    assert files_of(repository.folder) == before


def test_a_full_disk_leaves_the_old_version(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.publish(candidate(write_sums(tmp_path / "sums.onnx")))
    before = files_of(repository.folder)

    def fill(*names: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(triton_utils.repository, "_link", fill)
    with pytest.raises(InputError, match="the disk is full"):
        repository.publish(candidate(write_sums(tmp_path / "b.onnx", factor=2), identity="second"))
    assert files_of(repository.folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.onnx", "models", "sums.onnx"]


def test_a_killed_publisher_leaves_the_old_version_and_the_next_one_completes(
    repository: ModelRepository, tmp_path: Path
) -> None:
    repository.publish(candidate(write_sums(tmp_path / "sums.onnx")))
    before = files_of(repository.folder)
    source = write_sums(tmp_path / "b.onnx", factor=2)
    script = f"""
import os, signal
from pathlib import Path
import triton_utils.repository as room
from tests.served_models import candidate
link = room._link
def link_and_die(source, target):
    link(source, target)
    if source == Path({str(source)!r}):
        os.kill(os.getpid(), signal.SIGKILL)
room._link = link_and_die
room.ModelRepository(Path({str(repository.folder)!r})).publish(candidate(Path({str(source)!r}), identity="second"))
"""
    died = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, timeout=600)
    assert died.returncode == -signal.SIGKILL
    assert files_of(repository.folder) == before
    assert len(list(tmp_path.glob(".models.sums.*"))) == 1  # what it left is not where Triton looks
    assert repository.publish(candidate(source, identity="second")).version == 2
    assert list(tmp_path.glob(".models.sums.*")) == []


def test_two_publishers_take_turns(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_utils.repository, "_LOCK_SECONDS", 0.1)
    source = write_sums(tmp_path / "sums.onnx")
    repository.folder.mkdir()
    with FileLock(repository.folder / ".lock"), pytest.raises(InputError, match="another process publishes"):
        repository.publish(candidate(source))
    assert repository.publish(candidate(source)).version == 1


def test_a_repository_on_a_mount_of_its_own_is_explained(
    repository: ModelRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError, match="a mount of its own") as caught:
        repository.publish(candidate(write_sums(tmp_path / "sums.onnx")))
    assert "mount the folder above it" in caught.value.remedy
    assert repository.models() == {}
