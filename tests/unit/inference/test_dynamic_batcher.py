"""Questions that wait are answered together, each with its own answer or error."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import pytest

from rec_sys.inference.dynamic_batcher import DynamicBatcher


def test_what_comes_while_a_block_is_answered_is_the_next_block() -> None:
    blocks: list[list[int]] = []

    async def answer(block: Sequence[int]) -> list[int]:
        blocks.append(list(block))
        await asyncio.sleep(0.01)
        return [number * number for number in block]

    async def ask() -> list[int]:
        gathering = DynamicBatcher(answer, at_once=3)
        first = asyncio.create_task(gathering.ask(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [*await asyncio.gather(*(gathering.ask(number) for number in range(2, 7))), await first]

    assert asyncio.run(ask()) == [4, 9, 16, 25, 36, 1]
    assert blocks == [[1], [2, 3, 4], [5, 6]]


def test_many_who_ask_again_and_again_all_get_their_answers() -> None:
    async def answer(block: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        return list(block)

    async def ask() -> int:
        gathering = DynamicBatcher(answer, at_once=4, side_by_side=2)

        async def user(number: int) -> int:
            return sum([await gathering.ask(number) == number for _ in range(50)])

        return sum(await asyncio.gather(*map(user, range(20))))

    assert asyncio.run(asyncio.wait_for(ask(), 20)) == 1000


class PanicException(BaseException):
    """As libraries written in Rust raise it."""


class AwayError(Exception):
    """What goes wrong with all alike."""


async def answers_of(
    answer: Callable[[Sequence[int]], Awaitable[Sequence[int | Exception]]], numbers: Iterable[int]
) -> list[int | BaseException]:
    gathering = DynamicBatcher(answer, at_once=64, common=(AwayError,))
    asked = asyncio.gather(*map(gathering.ask, numbers), return_exceptions=True)
    return await asyncio.wait_for(asked, 20)


@pytest.mark.parametrize("error", [RuntimeError, TypeError, UnicodeError, PanicException])
def test_a_question_that_breaks_its_block_harms_no_other(error: type[BaseException]) -> None:
    blocks: list[int] = []

    async def answer(block: Sequence[int]) -> list[int | Exception]:
        blocks.append(len(block))
        if 9 in block:
            raise error("all of it")
        return [ValueError("one of it") if number == 2 else number for number in block]

    found = asyncio.run(answers_of(answer, range(64)))
    wrong = {place: str(answer) for place, answer in enumerate(found) if isinstance(answer, BaseException)}
    assert wrong == {2: "one of it", 9: "all of it"}
    assert [number for number in found if isinstance(number, int)] == [n for n in range(64) if n not in (2, 9)]
    assert len(blocks) == 13  # halves of halves, not one by one


def test_what_goes_wrong_with_all_alike_is_not_asked_apart() -> None:
    blocks: list[int] = []

    async def answer(block: Sequence[int]) -> list[int]:
        blocks.append(len(block))
        raise AwayError

    found = asyncio.run(answers_of(answer, range(8)))
    assert all(isinstance(answer, AwayError) for answer in found)
    assert blocks == [8]


def test_too_few_answers_leave_nobody_waiting() -> None:
    async def answer(block: Sequence[int]) -> list[int]:
        return [number for number in block if number != 3]

    found = asyncio.run(answers_of(answer, range(5)))
    assert [found[place] for place in (0, 1, 2, 4)] == [0, 1, 2, 4]
    assert "0 answers to 1 questions" in str(found[3])


def test_a_worker_that_is_cancelled_leaves_nobody_waiting() -> None:
    async def answer(_: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError

    async def ask() -> list[int | BaseException]:
        gathering = DynamicBatcher(answer, at_once=2)
        asked = asyncio.gather(*map(gathering.ask, range(5)), return_exceptions=True)
        return await asyncio.wait_for(asked, 20)

    assert [type(answer) for answer in asyncio.run(ask())] == [asyncio.CancelledError] * 5


def test_whoever_gives_up_takes_nothing_from_the_others() -> None:
    seen: list[int] = []

    async def answer(block: Sequence[int]) -> list[int]:
        seen.extend(block)
        await asyncio.sleep(0.01)
        return list(block)

    async def ask() -> int:
        gathering = DynamicBatcher(answer, at_once=1)
        first, second, third = (asyncio.create_task(gathering.ask(number)) for number in (1, 2, 3))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        return await first + await third

    assert asyncio.run(ask()) == 4
    assert seen == [1, 3]


def test_blocks_side_by_side_share_what_waits() -> None:
    blocks: list[list[int]] = []

    async def answer(block: Sequence[int]) -> list[int]:
        blocks.append(list(block))
        await asyncio.sleep(0.01)
        return list(block)

    async def ask() -> None:
        gathering = DynamicBatcher(answer, at_once=64, side_by_side=2)
        await asyncio.gather(*map(gathering.ask, range(9)))

    asyncio.run(ask())
    assert blocks == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
