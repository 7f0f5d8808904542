"""The real Triton server out of a Python wheel: where its parts lie, and how they are put together.

The wheel nvidia-pytriton carries the server, its libraries and Python's backend, but no onnxruntime backend; ours
(`backends/onnxruntime/model.py`) takes that place.
"""

import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError

STUBS_BACKEND: Final = "python"  # runs ours, and is the one to be told how
BACKEND: Final = "onnxruntime"
_BACKEND_SOURCE: Final = Path(__file__).parent / "backends" / BACKEND / "model.py"
_PACKAGE: Final = "pytriton"
_LIBRARIES: Final = "nvidia_pytriton.libs"
_STUB: Final = "triton_python_backend_stub"
_OUR_PATHS: Final = ("purelib", "platlib")


@dataclass(frozen=True)
class TritonCore:
    """Parts of a Triton that can run here.

    Attributes:
        libraries: Folders of shared libraries that it and its helpers need.
        python_backend: Files of Python's backend.
    """

    program: Path
    libraries: tuple[Path, ...]
    python_backend: tuple[Path, ...]

    def write_backends(self, folder: Path) -> None:
        """Lays out the backends as the server looks for them; copies, since it refuses links that lead outside."""
        for name, files in ((STUBS_BACKEND, self.python_backend), (BACKEND, (_BACKEND_SOURCE,))):
            (folder / name).mkdir(parents=True)
            for file in files:
                shutil.copy(file, folder / name / file.name)

    def environment(self) -> dict[str, str]:
        """This process's environment, with what the server and its helpers look up in theirs."""
        libraries = [*map(str, self.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        # The helpers' interpreter finds its standard library by the first python3 on the path.
        programs = [str(Path(sys.base_exec_prefix, "bin")), os.environ.get("PATH", os.defpath)]
        return os.environ | {
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
            "PATH": os.pathsep.join(programs),
            "ONNXRUNTIME_BACKEND_PATH": os.pathsep.join(dict.fromkeys(sysconfig.get_path(name) for name in _OUR_PATHS)),
        }


def find_core() -> TritonCore:
    """The server that is installed beside this Python.

    Raises:
        InputError: There is none for this platform or this Python, or a part of it is missing.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise InputError(
            "Triton's core is published for Linux on x86-64 alone",
            where=f"this machine: {platform.system()} on {platform.machine()}",
            remedy="run NVIDIA's image by docker compose, or compute in process without Triton",
        )
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(
            "the package nvidia-pytriton, which carries Triton's core, is not installed",
            where=sys.prefix,
            remedy="run uv sync",
        )
    package = Path(found.submodule_search_locations[0])
    root = package / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = root / "python_backend_stubs" / version / _STUB
    program = root / "bin" / "tritonserver"
    libraries = package.parent / _LIBRARIES
    backend = tuple(sorted((root / "backends" / "python").glob("*")))
    for path in (program, libraries, stub):
        if not path.exists():
            raise InputError(
                f"this nvidia-pytriton has no {path.name} for Python {version}",
                where=str(path),
                remedy="run uv sync --reinstall-package nvidia-pytriton, with a Python from 3.11 to 3.13",
            )
    return TritonCore(program, (libraries, *_python_libraries()), (*backend, stub))


def _python_libraries() -> Iterator[Path]:
    """The folder of this Python's shared library, which the backend's helper processes are linked to."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    folders = [sysconfig.get_config_var("LIBDIR"), Path(sys.base_exec_prefix, "lib"), Path(sys.base_prefix, "lib")]
    for folder in dict.fromkeys(Path(folder) for folder in folders if folder):
        if (folder / name).exists():
            yield folder
            return
    raise InputError(
        f"this Python has no {name}, which Triton's Python backend needs",
        where=sys.base_exec_prefix,
        remedy="use a Python that uv installs (uv python install), or install the system's libpython package",
    )
