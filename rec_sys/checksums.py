"""The sha256 of every file of a folder, noted when it is written and compared once when it is opened.

A file that was changed, cut or lost would else be read as if nothing were: a wrong vector looks like a right one. A
gigabyte takes 0.8 s (one core with SHA instructions).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError
from rec_sys.files import forbidden, sha256_of

CHECKSUMS: Final = "SHA256SUMS"  # as `sha256sum --check` reads it
NOTE_SUFFIX: Final = ".sha256"
_DIGITS: Final = 64

Digest = Callable[[Path], str]  # in hex; sha256_of, unless a file may be written anew with the same content


def hash_files(folder: Path, digest: Digest = sha256_of) -> dict[str, str]:
    """The sha256 of every file below a folder, by its path there; but for the file that notes them."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in found)
    return {name: digest(folder / name) for name in names if name != CHECKSUMS}


def write_checksums(folder: Path, hashes: Mapping[str, str] | None = None, note: str = CHECKSUMS) -> None:
    """Notes the files of a folder that is complete, or those of `hashes`, in its file `note`."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted((hashes or hash_files(folder)).items())]
    (folder / note).write_text("".join(lines), encoding="utf-8")


def read_checksums(folder: Path, remedy: str, note: str = CHECKSUMS) -> dict[str, str]:
    """What a folder's files were when it was written, by their paths there; empty where nobody noted it.

    Raises:
        InputError: The note is damaged or may not be read.
    """
    path = folder / note
    if not path.is_file():
        return {}
    try:
        lines = [line.partition("  ") for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
        sound = bool(lines) and all(len(bytes.fromhex(digest)) * 2 == _DIGITS and name for digest, _, name in lines)
    except PermissionError as error:
        raise forbidden(error) from error
    except (ValueError, OSError):
        sound = False
    if not sound:
        raise InputError("the file of checksums is damaged", where=str(path), remedy=remedy)
    return {name: digest for digest, _, name in lines}


def check_files(folder: Path, expected: Mapping[str, str], what: str, remedy: str, digest: Digest = sha256_of) -> None:
    """Compares files with what they were.

    Args:
        folder: Where they are.
        expected: Their sha256, by their paths in the folder.
        what: Whose files they are, for errors.
        remedy: What to do about it.
        digest: What `expected` was made with.

    Raises:
        InputError: Naming the first that is missing, may not be read or was changed.
    """
    for name, noted in expected.items():
        path = folder / name
        try:
            is_sound = digest(path) == noted
        except PermissionError as error:
            raise forbidden(error) from error
        except (OSError, ValueError):
            is_sound = False
        if not is_sound:
            raise InputError(f"a file of {what} is missing or was changed", where=str(path), remedy=remedy)


def check_folder(folder: Path, what: str, remedy: str, digest: Digest = sha256_of, note: str = CHECKSUMS) -> None:
    """Compares the files of a folder with their note; raises as `check_files` and `read_checksums`.

    Where nobody noted them, as in a folder that an earlier version wrote, nothing is compared.
    """
    check_files(folder, read_checksums(folder, remedy, note), what, remedy, digest)


def note_file(path: Path) -> None:
    """Notes a file that stands alone, beside it."""
    write_checksums(path.parent, {path.name: sha256_of(path)}, f"{path.name}{NOTE_SUFFIX}")


def check_file(path: Path, what: str, remedy: str) -> None:
    """Compares a file with what `note_file` noted of it; raises as `check_folder`."""
    check_folder(path.parent, what, remedy, note=f"{path.name}{NOTE_SUFFIX}")
