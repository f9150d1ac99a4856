"""Thousands who go on at the same moment leave the event loop to others now and then."""

import asyncio

from lambda_kit.core.runtime.turns import FairTurns, Turns

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
    async with asyncio.timeout(60):
        await waiting[-1]


class Senders:
    """Requests that need some rounds of the event loop each, as those of a service do."""

    def __init__(self, turns: FairTurns) -> None:
        self.turns = turns
        self.answered: list[str] = []
        self.is_over = False

    async def request(self, sender: str) -> None:
        if (turn := self.turns.take(sender)) is not None:
            await turn
        for _ in range(4):
            await asyncio.sleep(0)
        self.answered.append(sender)

    async def keep_asking(self, sender: str) -> None:
        while not self.is_over:
            await self.request(sender)


async def test_the_request_of_one_sender_waits_for_one_of_another_however_many_that_has() -> None:
    senders = Senders(FairTurns())
    tasks = [asyncio.create_task(senders.keep_asking("ann")) for _ in range(MANY)]
    await senders.request("bob")  # only now it is known that there are several
    waited_for: list[int] = []
    for _ in range(20):
        await asyncio.sleep(0)
        before = senders.answered.count("ann")
        await senders.request("bob")
        waited_for.append(senders.answered.count("ann") - before)
    senders.is_over = True
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    assert max(waited_for[1:]) <= 2


async def test_a_sender_that_is_alone_waits_for_no_turn() -> None:
    turns = FairTurns()
    assert [turns.take("ann") for _ in range(MANY)] == [None] * MANY


async def test_who_is_alone_again_waits_no_longer() -> None:
    turns = FairTurns(memory_seconds=0.0)
    assert turns.take("ann") is turns.take("bob") is turns.take("ann") is None
    assert [turns.take("ann") for _ in range(MANY)] == [None] * MANY


async def test_a_request_that_was_given_up_takes_no_turn_of_its_senders_others() -> None:
    turns = FairTurns()
    assert turns.take("ann") is turns.take("bob") is None
    waiting = [turn for _ in range(MANY) if (turn := turns.take("bob")) is not None]
    assert len(waiting) == MANY
    for turn in waiting[:-1]:
        turn.cancel()
    async with asyncio.timeout(60):
        await waiting[-1]
