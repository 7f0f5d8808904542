"""The line to a Qdrant server: what can go wrong on it, in the user's words."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from rec_sys.contracts import InputError
from rec_sys.settings import ServerIndex
from rec_sys.vector_database.contract import IndexUnavailableError
from rec_sys.vector_database.search_request import VersionGoneError

_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = (401, 403)
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)


def connect(settings: ServerIndex) -> QdrantClient:
    """A client of the server; nothing is asked of it yet."""
    with warnings.catch_warnings():
        # It warns of a key on a line without TLS; between containers of one host that is the usual thing.
        warnings.filterwarnings("ignore", message=".*insecure connection.*")
        return QdrantClient(
            url=settings.url, api_key=settings.api_key or None, timeout=settings.timeout, check_compatibility=False
        )


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _PASSING
    return isinstance(error, ResponseHandlingException | ResourceExhaustedResponse)


@contextmanager
def explained(settings: ServerIndex) -> Iterator[None]:
    """Turns the client's errors into ours.

    Raises:
        VersionGoneError: The collection does not exist (any more).
        IndexUnavailableError: The server cannot be reached, is overloaded or at fault.
        InputError: It does not let us in.
    """
    try:
        yield
    except (ApiException, ResourceExhaustedResponse) as error:
        status = error.status_code if isinstance(error, UnexpectedResponse) else None
        if status == _NOT_FOUND:
            raise VersionGoneError(str(error)) from error
        if status in _NOT_ALLOWED:
            raise InputError(
                "the Qdrant server refuses the API key",
                where=settings.url,
                remedy="set QDRANT_API_KEY or index.api_key",
            ) from error
        if not is_passing(error):
            raise
        reason = error.source if isinstance(error, ResponseHandlingException) else str(error).partition("\n")[0]
        raise IndexUnavailableError(
            f"the Qdrant server does not answer ({reason})",
            where=settings.url,
            remedy="start it, or give its address with index.url=...; index=edge needs no server",
        ) from error
    except ValueError as error:  # what the client's in-memory mode says where a server answers 404
        if "not found" in str(error):
            raise VersionGoneError(str(error)) from error
        raise
