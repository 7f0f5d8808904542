"""What one worker has taken, the next answer of every other one knows: workers tell each other how far the log goes."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rec_sys.contracts import InputError
from rec_sys.serving.admission import PROBES
from rec_sys.serving.worker_memory import WorkerMemory

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender
    from rec_sys.inference.user_records import UserRecords

_READING: Final = ("GET", "HEAD")


class WrittenElsewhere:
    """Reads the log before a request where another worker has written, and tells the others what is written here."""

    def __init__(
        self, application: ASGIApp, recommender: "Recommender", records: "UserRecords", memory: WorkerMemory
    ) -> None:
        self._application, self._recommender, self._records = application, recommender, records
        self._number = memory.number
        self._known = memory.numbers("log_positions")  # up to where each worker knows the log
        self._catching_up = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["path"].startswith(PROBES):
            await self._application(scope, receive, send)
            return
        if self._is_behind():
            async with self._catching_up:
                if self._is_behind():
                    with suppress(InputError):  # the store is away: questions go on from what is known
                        await self._recommender.catch_up()
        writes = scope["method"] not in _READING

        async def tell(message: Message) -> None:
            if writes and message["type"] == "http.response.start":  # before its sender can ask another worker
                self._known[self._number] = self._records.position
            await send(message)

        await self._application(scope, receive, tell)

    def _is_behind(self) -> bool:
        return max(self._known) > self._records.position
