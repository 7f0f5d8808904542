"""A form with a file, as browsers send it: read as far as it may be large, and taken apart."""

import asyncio
from email.parser import HeaderParser
from typing import Final, NamedTuple

from fastapi import Request

from rec_sys.serving.admission import discard
from rec_sys.serving.problems import Refusal

UPLOADS: Final = "/shop/import"  # where files are sent to
_KIND: Final = "multipart/form-data"
_CLOSE: Final = {"Connection": "close"}  # what may still come is not read
_LINE: Final = b"\r\n"


class Upload(NamedTuple):
    """What was sent: the form's fields, and its file."""

    fields: dict[str, str]
    name: str
    content: bytes


async def read_upload(request: Request, most: int, seconds: float) -> Upload:
    """Reads a form with one file.

    Args:
        request: Whose body was not read yet.
        most: Bytes.
        seconds: The time it may take.

    Raises:
        Refusal: 413, 408 or 422; it is too large, too slow, or no form with a file.
    """
    head = HeaderParser().parsestr(f"Content-Type: {request.headers.get('content-type', '')}")
    boundary = head.get_param("boundary")
    if head.get_content_type() != _KIND or not isinstance(boundary, str):
        raise _unreadable("this is no form with a file")
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise _unreadable("its sender has left")
                more = message.get("more_body", False)
                body += message.get("body", b"")
                if len(body) > most:
                    if more:
                        await discard(request.receive)
                    raise _too_large(most)
    except TimeoutError as error:
        what = f"the file was not here after {seconds:g} s"
        raise Refusal(408, what, where="File", remedy="pack it (gzip), or send it in parts", headers=_CLOSE) from error
    return await asyncio.to_thread(_taken_apart, bytes(body), boundary.encode())


def _taken_apart(body: bytes, boundary: bytes) -> Upload:
    """By RFC 7578: parts between lines of the boundary, each with a head of its own."""
    fields: dict[str, str] = {}
    file: tuple[str, bytes] | None = None
    for part in (_LINE + body).split(_LINE + b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(_LINE).partition(_LINE + _LINE)
        said = HeaderParser().parsestr(head.decode(errors="replace"))
        name, filename = said.get_param("name", header="content-disposition"), said.get_filename()
        if filename is None:
            fields[str(name)] = content.decode(errors="replace")
        elif filename:
            file = (filename, content)
    if file is None:
        raise _unreadable("no file is chosen")
    if not file[1]:
        raise _unreadable(f"the file {file[0]} is empty")
    return Upload(fields, *file)


def _too_large(most: int) -> Refusal:
    remedy = "pack it (gzip), or send it in parts; what is known already counts once"
    return Refusal(413, f"the file is larger than {most:,} bytes", where="File", remedy=remedy, headers=_CLOSE)


def _unreadable(what: str) -> Refusal:
    return Refusal(422, what, where="File", remedy="choose a file, or drop one on the field")
