"""Triton's core is found where it is installed, and where it cannot be the reason is said."""

import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rec_sys.contracts import InputError
from tests.triton_servers import needs_core
from triton_utils.core import find_core


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64")])
def test_other_platforms_are_told_what_to_do_instead(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(InputError, match="Linux on x86-64 alone") as caught:
        find_core()
    assert machine in caught.value.where
    assert "docker compose" in caught.value.remedy


@needs_core
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nvidia-pytriton.* is not installed"):
        find_core()


@needs_core
def test_a_python_without_a_stub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", SimpleNamespace(major=3, minor=99))
        with pytest.raises(InputError, match=r"no triton_python_backend_stub for Python 3\.99"):
            find_core()


@needs_core
def test_the_backends_lie_as_triton_looks_for_them(tmp_path: Path) -> None:
    core = find_core()
    core.write_backends(tmp_path / "backends")
    files = {path.relative_to(tmp_path / "backends").as_posix() for path in (tmp_path / "backends").rglob("*.*")}
    assert {"onnxruntime/model.py", "python/libtriton_python.so", "python/triton_python_backend_utils.py"} <= files
    stub = tmp_path / "backends" / "python" / "triton_python_backend_stub"
    assert os.access(stub, os.X_OK)
    # The server refuses links that lead out of the folder.
    assert not any(path.is_symlink() for path in (tmp_path / "backends").rglob("*"))
    assert os.access(core.program, os.X_OK)


@needs_core
def test_the_environment_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/mine")
    monkeypatch.setenv("SOMETHING", "else")
    environment = find_core().environment()
    libraries = environment["LD_LIBRARY_PATH"].split(os.pathsep)
    assert libraries[-1] == "/opt/mine"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert any(Path(folder, f"libpython{version}.so.1.0").exists() for folder in libraries)
    assert any(Path(folder).name == "nvidia_pytriton.libs" for folder in libraries)
    assert environment["SOMETHING"] == "else"
    assert any(
        Path(folder, "onnxruntime").is_dir() for folder in environment["ONNXRUNTIME_BACKEND_PATH"].split(os.pathsep)
    )
