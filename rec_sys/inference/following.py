"""A step that is taken again and again while something runs; what it cannot do is said once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from rec_sys.contracts import InputError

_LOG: Final = logging.getLogger(__name__)


@asynccontextmanager
async def following(step: Callable[[], Awaitable[None]], seconds: float, missed: str) -> AsyncIterator[None]:
    """Takes a step every so many seconds, for an `async with` block.

    Args:
        step: What is done; it may raise `InputError` and `OSError`, and is tried again.
        seconds: Between two of them.
        missed: What is not seen meanwhile, for the log.
    """

    async def follow() -> None:
        said = ""
        while True:
            try:
                await step()
                said = ""
            except (InputError, OSError) as error:
                if str(error) != said:  # once, however long it takes
                    _LOG.warning(f"{missed} is not seen: {error}")
                said = str(error)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
