"""What a text that is not UTF-8 may be written in: proposed with a sample to look at, never taken in silence."""

from pathlib import Path
from typing import Final

from charset_normalizer import from_bytes

from rec_sys.contracts import InputError
from rec_sys.raw_files.content import open_raw

# What tools of today and of the last thirty years write; the many others only resemble these. Of those that are about
# as likely as the likeliest, the first is proposed.
_USUAL: Final = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
_EQUAL: Final = 0.1  # of charset-normalizer's measure of mess, which is 0 to 1
_TELLING_LINES: Final = 200
_SHOWN: Final = 60  # characters
_BEGINNING: Final = 4096  # bytes


def not_utf8(path: Path) -> InputError:
    """For a file with bytes that are not UTF-8: names the first line of them and the likely encoding."""
    lines, first = _undecodable_lines(path)
    encoding = propose_encoding(b"\n".join(lines)) if lines else None
    if encoding is None:
        remedy = "save it as UTF-8, or give its encoding, such as data.encoding=cp1252"
    else:
        sample = lines[0].decode(encoding, "replace").strip()
        place = next((at for at, character in enumerate(sample) if ord(character) > 127), 0)
        shown = sample[max(0, place - _SHOWN // 2) : place + _SHOWN // 2]
        remedy = f"if {shown!r} reads well, add data.encoding={encoding}; else give its encoding or save it as UTF-8"
    return InputError("the file is not UTF-8", where=f"{path}, line {first}", remedy=remedy)


def likely_encoding(path: Path) -> str | None:
    """The likeliest encoding of a file that is not UTF-8; None of one that is, or where none fits."""
    if (unmarked := unmarked_utf16(path)) is not None:
        return unmarked
    lines = _undecodable_lines(path)[0]
    return propose_encoding(b"\n".join(lines)) if lines else None


def unmarked_utf16(path: Path) -> str | None:
    """utf-16-le or utf-16-be where a file without a byte order mark begins as one of them; None where it does not.

    In either, Latin letters, digits and separators have their NULs on one side alone; what has them on both is no text.
    """
    with open_raw(path) as stream:
        start = stream.peek(_BEGINNING)[:_BEGINNING]
    start = start[: len(start) // 2 * 2]
    for name, nulls, others in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if 0 not in others and nulls.count(0) > len(nulls) // 2:
            return name
    return None


def propose_encoding(text: bytes) -> str | None:
    """The likeliest of the usual encodings for some bytes that are not UTF-8; None where none fits."""
    found = list(from_bytes(text, cp_isolation=[*_USUAL], enable_fallback=False))
    least = min((match.chaos for match in found), default=0.0)
    likely = {name for match in found if match.chaos <= least + _EQUAL for name in match.could_be_from_charset}
    return next((name for name in _USUAL if name in likely), None)


def _undecodable_lines(path: Path) -> tuple[list[bytes], int]:
    """The first lines that are not UTF-8, and the number of the very first."""
    found: list[bytes] = []
    first = 1
    with open_raw(path, by_line=True) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                first = first if found else number
                found.append(raw.rstrip(b"\r\n"))
                if len(found) == _TELLING_LINES:
                    break
    return found, first
