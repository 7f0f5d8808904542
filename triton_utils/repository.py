"""Triton's model repository on disk: versions are published whole, and replaced in one step."""

import errno
import os
import shutil
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rec_sys.contracts import InputError
from rec_sys.files import atomic_folder, sha256_of, sweep_unfinished, writable_folder
from rec_sys.locks import hold_lock
from triton_utils.model_config import (
    CONFIG_FILE,
    MODEL_FILE,
    ServingOptions,
    identities_of,
    make_config,
    read_config,
    same_tensors,
    write_config,
)
from triton_utils.onnx_signature import read_signature

_LOCK_SECONDS: Final = 60.0
_SETTING: Final = "triton.model_repository"


@dataclass(frozen=True)
class Candidate:
    """A model to publish.

    Attributes:
        identity: What it was made from; clients find the version that fits their index by it.
    """

    name: str
    onnx: Path
    identity: str
    options: ServingOptions


@dataclass(frozen=True)
class Published:
    """What publishing a candidate came to.

    Attributes:
        version: The model's version that now answers by default.
        folder: That version's.
        is_new: False where the repository held the same model already.
        dropped: Older versions that are gone.
    """

    name: str
    version: int
    folder: Path
    is_new: bool
    dropped: tuple[int, ...]


class ModelRepository:
    """A folder of models, each with numbered versions and one config.pbtxt.

    Every subfolder is a model to Triton, hidden ones too, and it may look at any moment. So a model's new folder is
    filled beside the repository and then changes places with the old one; what is kept is linked, not copied.

    Args:
        folder: The repository. Its parent must lie on the same file system.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def models(self) -> dict[str, tuple[int, ...]]:
        """The versions of every model, oldest first, by the model's name."""
        names = sorted(path.parent.name for path in self.folder.glob(f"*/{CONFIG_FILE}"))
        return {name: tuple(self._versions(name)) for name in names}

    def publish(self, candidate: Candidate) -> Published:
        """Makes a model the newest version of its name; nothing is written where it is already.

        Older versions are kept up to `kept_versions`, as far as they take and give the same tensors: all versions of
        a model share one config.pbtxt.

        Raises:
            InputError: The file cannot be served, the disk is full or may not be written to, or another process
                publishes here.
        """
        signature = read_signature(candidate.onnx)
        with self._locked():
            # One killed after its model had taken its place has left the old one, and this may replace nothing.
            sweep_unfinished(self.folder.absolute().parent)
            old = self._read_config(candidate.name)
            versions = self._versions(candidate.name)
            config = make_config(candidate.name, signature, candidate.options, {})
            fitting = versions if old is not None and same_tensors(old, config) else []
            identities = identities_of(old) if fitting else {}
            newest = max(versions, default=0)
            is_new = newest not in fitting or not self._holds(candidate, newest, identities)
            sources = {number: self._file(candidate.name, number) for number in fitting}
            if is_new:
                newest += 1
                sources[newest] = candidate.onnx
                identities[newest] = candidate.identity
            kept = sorted(sources)[-candidate.options.common.kept_versions :]
            config = make_config(candidate.name, signature, candidate.options, {n: identities.get(n, "") for n in kept})
            if is_new or kept != versions or config != old:
                self._replace(candidate.name, {number: sources[number] for number in kept}, config)
        dropped = tuple(number for number in versions if number not in kept)
        return Published(candidate.name, newest, self._file(candidate.name, newest).parent, is_new, dropped)

    def holds(self, name: str, identity: str) -> bool:
        """Whether a version of a model was made from a bundle or encoder."""
        config = self._read_config(name)
        return config is not None and identity in identities_of(config).values()

    def newest_identity(self, name: str) -> str | None:
        """What the newest version of a model was made from; None where there is none."""
        config = self._read_config(name)
        identities = {} if config is None else identities_of(config)
        return identities[max(identities)] if identities else None

    def _holds(self, candidate: Candidate, version: int, identities: dict[int, str]) -> bool:
        same_origin = identities.get(version) == candidate.identity
        return same_origin and sha256_of(self._file(candidate.name, version)) == sha256_of(candidate.onnx)

    def _replace(self, name: str, sources: dict[int, Path], config: Any) -> None:
        beside = self.folder.parent / f"{self.folder.name}.{name}"
        needed = sum(path.stat().st_size for path in sources.values())
        try:
            with atomic_folder(self.folder / name, bytes_needed=needed, beside=beside) as building:
                for version, source in sources.items():
                    (building / str(version)).mkdir()
                    _link(source, building / str(version) / MODEL_FILE)
                write_config(config, building / CONFIG_FILE)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            raise InputError(
                "the model repository is a mount of its own, so nothing can be moved into it in one step",
                where=str(self.folder),
                remedy="mount the folder above it instead, or choose another with triton.model_repository=...",
            ) from error

    def _read_config(self, name: str) -> Any:
        path = self.folder / name / CONFIG_FILE
        return read_config(path) if path.is_file() else None

    def _versions(self, name: str) -> list[int]:
        files = (self.folder / name).glob(f"*/{MODEL_FILE}")
        return sorted(int(path.parent.name) for path in files if path.parent.name.isdecimal())

    def _file(self, name: str, version: int) -> Path:
        return self.folder / name / str(version) / MODEL_FILE

    def prove_writable(self) -> None:
        """Makes the folder; publishing fills siblings of it, so its parent must take files too.

        Raises:
            InputError: One of both cannot be written to.
        """
        for folder in (self.folder, self.folder.absolute().parent):
            writable_folder(folder, _SETTING)

    def _locked(self) -> AbstractContextManager[object]:
        self.prove_writable()
        remedy = f"wait for it, or choose another folder with {_SETTING}=..."
        busy = "another process publishes into this model repository", remedy
        return hold_lock(self.folder / ".lock", timeout=_LOCK_SECONDS, busy=busy, setting=_SETTING)


def _link(source: Path, target: Path) -> None:
    """One file under two names; a copy where the file system or the file's owner does not allow that."""
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
