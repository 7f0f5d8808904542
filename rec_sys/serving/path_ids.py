"""Ids in addresses: whatever training took can be asked for, slashes included."""

import re
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Path
from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

from rec_sys.contracts import LONGEST_ID, tidy_id

# What would look like another address once it is decoded, and the sign that encodes it.
_KEPT: Final = re.compile(rb"(%2[fF]|%25)")

PathId = Annotated[
    str, Path(min_length=1, max_length=3 * LONGEST_ID), AfterValidator(lambda raw: tidy_id(unquote(raw)))
]


class EncodedSlashes:
    """Keeps `%2F` as it is where servers decode it, so that an id with a slash is one part of its address."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        raw = scope.get("raw_path") or b""
        if scope["type"] == "http" and _KEPT.search(raw):
            parts = [part if _KEPT.fullmatch(part) else unquote(part).encode() for part in _KEPT.split(raw)]
            scope = {**scope, "path": b"".join(parts).decode()}
        await self._application(scope, receive, send)
