"""One gRPC connection to a Triton server: deadlines, another try where the server was away, errors in plain words."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_before_delay, wait_random_exponential
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from rec_sys.contracts import InputError

_MOST_BYTES: Final = 2**31 - 1
# A server that has come back is noticed within a second; gRPC's own pauses grow to two minutes.
_CHANNEL: Final = (
    ("grpc.max_send_message_length", _MOST_BYTES),
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Every address that the name has is asked in turn, but for those that cannot be reached, until they can again.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
)
_HEALTH_SECONDS: Final = 1.0
_LEAST_SECONDS: Final = 0.001
_LONGEST_PAUSE: Final = 1.0  # seconds

Result = TypeVar("Result")
# A call of the protocol: the connected client and the seconds left, to the awaited answer.
Call = Callable[[Any, float], Awaitable[Result]]


class TritonError(Exception):
    """Triton could not answer, and not because of what it was asked."""


class TritonUnavailable(TritonError):
    """The server cannot be reached, does not serve the model now, or has too much to do."""


class TritonTimeout(TritonUnavailable):
    """The answer did not come before the deadline."""


class TritonConnection:
    """A connection that is opened by its first call and used for all; the arguments are `TritonClient`'s."""

    def __init__(self, url: str, attempts: int, backoff_seconds: float) -> None:
        self.url = url
        self._attempts = attempts
        self._backoff = backoff_seconds
        self._client: Any = None

    async def close(self) -> None:
        """Closes the connection; the next call would open another."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def is_well(self, call: Call[bool]) -> bool:
        """Whether a question about health is answered, and with yes."""
        try:
            return bool(await call(self._connected(), _HEALTH_SECONDS))
        except (InferenceServerException, TritonUnavailable):
            return False

    async def ask(self, call: Call[Result], subject: str, deadline_seconds: float) -> Result:
        """Makes a call about a model, again where the server was unavailable and there is time left.

        Raises:
            InputError: The server refuses the request, or has no such model.
            TritonUnavailable: The server could not be reached, or not in time.
            TritonError: It failed.
        """
        clock = asyncio.get_running_loop().time
        ends = clock() + deadline_seconds

        async def attempt() -> Result:
            try:
                return await call(self._connected(), max(_LEAST_SECONDS, ends - clock()))
            except InferenceServerException as error:
                raise self._translate(error, subject, deadline_seconds) from error

        try:
            return await attempt()
        except TritonUnavailable as error:
            failures = [error]
        # Only now, because preparing it would take a tenth of the time of a call that succeeds.
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_be_back),
            stop=stop_after_attempt(self._attempts) | stop_before_delay(ends - clock()),
            wait=wait_random_exponential(multiplier=self._backoff, max=_LONGEST_PAUSE),
            reraise=True,
        )

        async def attempt_again() -> Result:
            if failures:  # the first try, which is already made
                raise failures.pop()
            return await attempt()

        return await retrying(attempt_again)

    def _connected(self) -> Any:
        # Not before the first call: the connection belongs to the event loop that runs then.
        if self._client is None:
            self._client = InferenceServerClient(_target_of(self.url), channel_args=list(_CHANNEL))
        return self._client

    def _translate(self, error: InferenceServerException, subject: str, deadline_seconds: float) -> Exception:
        status = str(error.status()).removeprefix("StatusCode.")
        message = str(error.message()).strip()
        if status == "DEADLINE_EXCEEDED":
            return TritonTimeout(f"Triton at {self.url} did not answer for {subject} within {deadline_seconds:g} s")
        if status == "UNAVAILABLE":
            return TritonUnavailable(f"Triton at {self.url} is unavailable for {subject}: {message}")
        if status in ("NOT_FOUND", "INVALID_ARGUMENT"):
            return InputError(
                f"Triton refuses the request: {message}",
                where=f"model {subject} at {self.url}",
                remedy="ask for a model, version and tensors that it serves",
            )
        return TritonError(f"Triton at {self.url} failed for {subject}: {status}: {message}")


def _target_of(url: str) -> str:
    """As gRPC calls it; where there are several, it takes numbers alone."""
    if "," not in url:
        return url
    found: list[str] = []
    for host, port in (address.rsplit(":", 1) for address in url.split(",")):
        try:
            numbers = {info[4][0] for info in socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)}
        except OSError:  # the others may be there
            continue
        found += [f"{number}:{port}" for number in sorted(map(str, numbers))]
    if not found:
        raise TritonUnavailable(f"no address of Triton's has a number that can be looked up: {url}")
    return f"ipv4:{','.join(found)}"


def _may_be_back(error: BaseException) -> bool:
    return isinstance(error, TritonUnavailable) and not isinstance(error, TritonTimeout)
