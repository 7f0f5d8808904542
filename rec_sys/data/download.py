"""Downloads raw files once: resumed where a transfer broke off, checked where a checksum is known."""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from rec_sys.console import error_console, text_column
from rec_sys.contracts import InputError
from rec_sys.data.fingerprint import file_sha256
from rec_sys.files import explain_disk_errors, writable_folder
from rec_sys.settings import Address, RawFile

_ATTEMPTS: Final = 6
_ATTEMPTS_TO_CONNECT: Final = 3  # without a network there is nothing to wait for
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)


class _Interrupted(Exception):
    """The server failed for the moment; the next attempt goes on where this one stopped."""


def download(
    file: RawFile,
    folder: Path,
    *,
    setting: str = "data.reviews_path",
    client: httpx.Client | None = None,
    wait_seconds: float = 0.5,
) -> Path:
    """Fetches a file, or finds it in place; in place it is used without a network.

    Args:
        file: Its address, and its sha256 where that is known.
        folder: Where it is kept, under the address's last part.
        setting: The setting that names a local file instead, for errors.
        client: Makes the requests; None for one of our own.
        wait_seconds: Before the second attempt; doubled before each further one.

    Raises:
        InputError: There is no address or no network, the server refuses, or the checksum differs.
    """
    if file.url is None:
        raise InputError("there is no address to download from", where="settings", remedy=f"add {setting}=<file>")
    address = file.url.get_secret_value()
    target = writable_folder(folder) / _file_name(file.url)
    if target.is_file():
        _check_sha256(file, target, f"delete it to download it again, or use it as it is with {setting}={target}")
        return target
    part = target.with_name(target.name + ".part")
    retrying = Retrying(
        retry=retry_if_exception_type((httpx.TransportError, _Interrupted)),
        wait=wait_exponential(multiplier=wait_seconds, max=30),
        stop=_enough,
        reraise=True,
    )
    name = text_column("{task.description}")
    columns = name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    try:
        own = httpx.Client(timeout=_TIMEOUT, follow_redirects=True) if client is None else nullcontext(client)
        with own as connection, Progress(*columns, console=error_console()) as progress, explain_disk_errors(folder):
            progress.add_task(target.name, total=None)
            retrying(_fetch, connection, address, part, progress)
    except (httpx.HTTPError, httpx.InvalidURL, _Interrupted) as error:
        raise InputError(
            f"{file.url} could not be downloaded ({error or type(error).__name__})",
            where=f"{part} ({_size(part):,} bytes so far)",
            remedy=f"run again to go on; or fetch {file.url} by hand and save it as {target.absolute()}; "
            f"or give a local copy with {setting}=<file>",
        ) from error
    _check_sha256(file, part, f"run again to download it anew, or fetch {file.url} by hand and give it as {setting}")
    part.replace(target)
    _validator_file(part).unlink(missing_ok=True)
    return target


def _file_name(url: Address) -> str:
    """The last part of an address, where it is a name that stays in its folder."""
    name = httpx.URL(url.get_secret_value()).path.rpartition("/")[2]
    if name in ("", ".", "..") or re.search(r"[\\\x00-\x1f\x7f]", name):
        raise InputError("the address ends with no file's name", where=str(url), remedy="give the address of a file")
    return name


def _fetch(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    """One attempt: asks for what is missing from `part` and appends it."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are stored, which the checksum is of
    version = _validator_file(part)
    if have and _size(version):
        validator = version.read_text()
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        _check_status(response, url)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise _Interrupted("the partial file is longer than the server's")
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise _Interrupted("the server sent another range than was asked for")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        # What tells the server's present file from a later one, empty where nothing does; a weak tag cannot.
        tag = response.headers.get("ETag", "W/")
        version.write_text(response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag)
        progress.update(progress.task_ids[0], total=total, completed=start)
        with part.open("ab" if resumed else "wb") as output:
            # As they arrive: a chunk that is still being collected would be lost when the connection dies.
            for chunk in response.iter_raw():
                output.write(chunk)
                progress.advance(progress.task_ids[0], len(chunk))
    if total is not None and _size(part) != total:
        raise _Interrupted(f"{_size(part):,} of {total:,} bytes arrived")


def _check_status(response: httpx.Response, url: str) -> None:
    if url.startswith("https:") and response.url.scheme != "https":
        raise httpx.UnsupportedProtocol(f"redirected to {response.url}, which is not https")
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise _Interrupted(f"the server answers {response.status_code} {response.reason_phrase}")
    if response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        response.raise_for_status()


def _enough(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    limit = _ATTEMPTS_TO_CONNECT if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else _ATTEMPTS
    return state.attempt_number >= limit or isinstance(error, httpx.UnsupportedProtocol)


def _check_sha256(file: RawFile, path: Path, remedy: str) -> None:
    if file.sha256 is None:
        return
    found = file_sha256(path, path.parent / ".hashes.json")
    if found != file.sha256:
        if path.suffix == ".part":
            path.unlink()
            _validator_file(path).unlink(missing_ok=True)
        raise InputError(
            f"the file is not the published one: sha256 expected {file.sha256}, got {found}",
            where=str(path),
            remedy=remedy,
        )


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
