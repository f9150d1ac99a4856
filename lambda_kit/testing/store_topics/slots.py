"""Promises of `acquire_slot` and `release_slot`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import StorePromises

__all__ = ["SlotPromises"]


class SlotPromises(StorePromises):
    """How many may do something at once."""

    async def test_there_are_so_many_slots_as_the_limit(self, store: JobStore) -> None:
        assert [await self._acquire(store, f"h{n}", limit=3) for n in range(5)] == [True, True, True, False, False]

    async def test_a_slot_given_back_is_free(self, store: JobStore) -> None:
        await self._acquire(store, "a")
        assert not await self._acquire(store, "b")
        await store.release_slot("name", "a")
        assert await self._acquire(store, "b")

    async def test_slots_of_other_names_are_other_slots(self, store: JobStore) -> None:
        assert await self._acquire(store, "a")
        assert await store.acquire_slot("other", "a", limit=1, lease_seconds=10)
        await store.release_slot("other", "a")
        assert not await self._acquire(store, "b")

    async def test_a_holder_has_one_slot_however_often_it_asks(self, store: JobStore) -> None:
        assert [await self._acquire(store, "a", limit=2) for _ in range(3)] == [True, True, True]
        assert await self._acquire(store, "b", limit=2)
        assert not await self._acquire(store, "c", limit=2)

    async def test_a_slot_whose_lease_ran_out_is_free(self, store: JobStore, clock: ManualClock) -> None:
        await self._acquire(store, "a")
        await self.pass_time(clock, 0.5)
        assert not await self._acquire(store, "b")
        await self.pass_time(clock, 0.6)
        assert await self._acquire(store, "b")
        assert not await self._acquire(store, "a")

    async def test_a_slot_that_is_renewed_lasts(self, store: JobStore, clock: ManualClock) -> None:
        await self._acquire(store, "a")
        await self.pass_time(clock, 0.6)
        assert await self._acquire(store, "a")
        await self.pass_time(clock, 0.6)
        assert not await self._acquire(store, "b")

    async def test_giving_back_what_one_has_not_is_no_error_and_frees_nothing(self, store: JobStore) -> None:
        await store.release_slot("name", "nobody")
        await self._acquire(store, "a")
        await store.release_slot("name", "nobody")
        assert not await self._acquire(store, "b")

    async def test_of_many_that_ask_at_once_no_more_than_the_limit_win(self, store: JobStore) -> None:
        won = await asyncio.gather(*(self._acquire(store, f"h{n}", limit=5) for n in range(30)))
        assert sum(won) == 5

    async def _acquire(self, store: JobStore, holder: str, *, limit: int = 1) -> bool:
        return await store.acquire_slot("name", holder, limit=limit, lease_seconds=self.time_unit_seconds)
