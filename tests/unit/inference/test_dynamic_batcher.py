"""Questions that wait are answered together, each with its own answer or error."""

import asyncio
from collections.abc import Sequence

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


def test_an_error_reaches_the_one_whose_it_is_and_a_failed_block_everybody() -> None:
    async def answer(block: Sequence[int]) -> list[int | Exception]:
        if 9 in block:
            raise RuntimeError("all of it")
        return [ValueError("one of it") if number == 2 else number for number in block]

    async def ask(*numbers: int) -> list[int | BaseException]:
        gathering = DynamicBatcher(answer, at_once=5)
        return await asyncio.gather(*map(gathering.ask, numbers), return_exceptions=True)

    one, two = asyncio.run(ask(1, 2))
    assert one == 1
    assert isinstance(two, ValueError)
    assert [str(error) for error in asyncio.run(ask(1, 9))] == ["all of it"] * 2


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
