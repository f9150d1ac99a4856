"""Thousands who go on at the same moment leave the event loop to others now and then."""

import asyncio

from lambda_kit.core.runtime.turns import Turns

MANY = 200
AT_ONCE = 8


async def test_only_few_go_on_in_one_round_of_the_event_loop_and_in_the_order_in_which_they_came() -> None:
    turns = Turns(AT_ONCE)
    passed: list[int] = []
    by_round: list[int] = []

    async def one(number: int) -> None:
        if (turn := turns.take()) is not None:
            await turn
        passed.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(MANY)]
    while len(passed) < MANY:
        before = len(passed)
        await asyncio.sleep(0)
        by_round.append(len(passed) - before)
    await asyncio.gather(*tasks)
    assert passed == list(range(MANY))
    assert max(by_round) <= AT_ONCE


async def test_who_was_cancelled_while_waiting_takes_no_turn_of_others() -> None:
    turns = Turns(1)
    assert turns.take() is None
    waiting = [turn for _ in range(MANY) if (turn := turns.take()) is not None]
    for turn in waiting[:-1]:
        turn.cancel()
    async with asyncio.timeout(10.0):
        await waiting[-1]
