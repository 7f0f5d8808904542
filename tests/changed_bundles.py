"""Bundles that are changed on purpose and noted anew, so that they are whole in all but what a test changes."""

import json
from pathlib import Path
from typing import Any

from rec_sys.checksums import CHECKSUMS, hash_files, write_checksums
from rec_sys.contracts import BundleFile


def note_anew(folder: Path, **fields: Any) -> None:
    """Writes other fields into the manifest, and the hashes of the files as they are now."""
    path = folder / BundleFile.MANIFEST
    manifest = json.loads(path.read_text()) | fields
    manifest["files"] = {name: digest for name, digest in hash_files(folder).items() if name != BundleFile.MANIFEST}
    path.write_text(json.dumps(manifest))
    write_checksums(folder)


def as_earlier_versions_wrote_it(folder: Path) -> None:
    """Leaves the hashes to the manifest alone, which nothing vouches for."""
    (folder / CHECKSUMS).unlink()
