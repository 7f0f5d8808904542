"""Says whether a data set is the one prepared before: a hash over its files and the settings that shape it."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Final

from rec_sys.files import atomic_file, sha256_of
from rec_sys.settings import DataSettings

FORMAT_VERSION: Final = 4  # raised when preparation itself changes what it writes
# Where a file is does not shape the result; its content does.
_PLACES: Final = {
    *("reviews_path", "metadata_path", "users_path", "path"),
    *("reviews_download", "metadata_download", "use_metadata"),
}
_WORTH_REMEMBERING: Final = 1 << 20  # bytes
_SETTLED_SECONDS: Final = 2.0  # a file changed within its clock's tick could change again unseen


def data_fingerprint(data: DataSettings, files: tuple[Path, ...], cache: Path) -> str:
    """The sha256, in hex, that names a data set of these settings and raw files; large files' hashes are cached."""
    content = {
        "format": FORMAT_VERSION,
        "settings": data.model_dump(mode="json", exclude=_PLACES),
        "files": [file_sha256(file, cache) for file in files],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path, cache: Path | None = None) -> str:
    """The sha256 of a file's content, in hex.

    `cache` is a JSON file of known hashes; a file of equal path, size and change time is not read again.
    """
    status = path.stat()
    if status.st_size < _WORTH_REMEMBERING:
        cache = None
    key, state = str(path.absolute()), [status.st_size, status.st_mtime_ns]
    known = _read_cache(cache)
    if known.get(key, [])[:2] == state:
        return str(known[key][2])
    digest = sha256_of(path)
    if cache is not None and time.time() - status.st_mtime > _SETTLED_SECONDS:
        known[key] = [*state, digest]
        with atomic_file(cache) as unfinished:
            unfinished.write_text(json.dumps(known, indent=1))
    return digest


def _read_cache(cache: Path | None) -> dict[str, list[Any]]:
    if cache is None or not cache.is_file():
        return {}
    try:
        known = json.loads(cache.read_text())
    except ValueError:
        # It only saves time; a damaged one is written anew.
        return {}
    return known if isinstance(known, dict) else {}
