"""Questions that come at the same time are answered together: the first goes at once, the next wait for its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class DynamicBatcher(Generic[Question, Answer]):
    """Dynamic batching: gathers questions into blocks; for one event loop.

    Args:
        answer: Answers a block: for each question its answer, or what went wrong with it.
        at_once: Most questions of a block.
        side_by_side: Blocks under way at the same time.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Awaitable[Sequence[Answer | Exception]]],
        at_once: int,
        side_by_side: int = 1,
    ) -> None:
        self._answer, self._at_once, self._side_by_side = answer, at_once, side_by_side
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._workers: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """The answer to one question; raises what went wrong with it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._workers) < self._side_by_side:
            self._workers.add(asyncio.create_task(self._work()))
        return await future

    async def _work(self) -> None:
        try:
            await self._answer_waiting()
        finally:
            # At once and not by a callback: who asks before that would wait for a worker that is through.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _answer_waiting(self) -> None:
        while self._waiting:
            # Whoever has given up in the meantime needs no answer.
            block = [(question, future) for question, future in self._waiting[: self._at_once] if not future.done()]
            del self._waiting[: self._at_once]
            if not block:
                continue
            try:
                answers = await self._answer([question for question, _ in block])
            except Exception as error:
                # It reaches everybody who asked, as it would have done without batching.
                answers = [error] * len(block)
            for (_, future), answer in zip(block, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
