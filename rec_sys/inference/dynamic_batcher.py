"""Questions that come at the same time are answered together: the first goes at once, the next wait for its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from rec_sys.panics import panics_as_errors

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Errors = tuple[type[Exception], ...]


async def answer_apart(
    answer: Callable[[Sequence[Question]], Awaitable[Sequence[Answer | Exception]]],
    questions: Sequence[Question],
    common: Errors = (),
) -> Sequence[Answer | Exception]:
    """Answers a block; where it fails, its halves apart, down to the question that fails alone: no other is harmed.

    Args:
        answer: Answers a block: for each question its answer, or what went wrong with it.
        questions: The block.
        common: What goes wrong with all questions alike; it is everybody's answer.
    """
    try:
        with panics_as_errors():
            answers = await answer(questions)
        if len(answers) != len(questions):
            raise ValueError(f"{len(answers)} answers to {len(questions)} questions")
        return answers
    except common as error:
        return [error] * len(questions)
    except Exception as error:  # whatever it is, it is one question's own
        if len(questions) == 1:
            return [error]
    half = len(questions) // 2
    first = await answer_apart(answer, questions[:half], common)
    return [*first, *await answer_apart(answer, questions[half:], common)]


class DynamicBatcher(Generic[Question, Answer]):
    """Dynamic batching: gathers questions into blocks; for one event loop.

    Args:
        answer: As `answer_apart` takes it.
        at_once: Most questions of a block.
        side_by_side: Blocks under way at the same time.
        common: As `answer_apart` takes it.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Awaitable[Sequence[Answer | Exception]]],
        at_once: int,
        side_by_side: int = 1,
        common: Errors = (),
    ) -> None:
        self._answer, self._at_once, self._side_by_side, self._common = answer, at_once, side_by_side, common
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._workers: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def ask(self, question: Question) -> Answer:
        """The answer to one question; raises what went wrong with it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._workers) < self._side_by_side:
            self._workers.add(asyncio.create_task(self._work()))
        return await future

    async def _work(self) -> None:
        block: list[tuple[Question, asyncio.Future[Answer]]] = []
        try:
            while self._waiting:
                # Whoever has given up in the meantime needs no answer.
                self._waiting = [one for one in self._waiting if not one[1].done()]
                block = self._waiting[: self._share()]
                del self._waiting[: len(block)]
                if block:
                    await self._answer_block(block)
        finally:
            # At once and not by a callback: who asks before that would wait for a worker that is through.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            # A worker that is cancelled, or ends with the process, leaves nobody waiting for ever.
            left = block if self._workers else [*block, *self._waiting]
            for _, future in left:
                future.cancel()

    def _share(self) -> int:
        """Questions of the next block: of all that have no answer yet what each block has, so that none waits long."""
        everybody = len(self._waiting) + self._under_way
        return min(self._at_once, -(-everybody // self._side_by_side))

    async def _answer_block(self, block: list[tuple[Question, "asyncio.Future[Answer]"]]) -> None:
        self._under_way += len(block)
        try:
            answers = await answer_apart(self._answer, [question for question, _ in block], self._common)
        finally:
            self._under_way -= len(block)
        for (_, future), answer in zip(block, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
