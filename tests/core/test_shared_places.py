"""Places that processes share are neither kept nor taken by mistake."""

import asyncio

import pytest

from lambda_kit import MemoryJobStore
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.shared_places import SharedPlaces


class PausingStore(MemoryJobStore):
    """Does what it is asked for, but lets its caller wait for the answer, or gives none."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.was_asked = asyncio.Event()
        self.lost_answers = 0

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        self.was_asked.set()
        await self.may_answer.wait()
        is_there = await super().acquire_slot(name, holder, limit=limit, lease_seconds=lease_seconds)
        self._maybe_lose()
        return is_there

    async def release_slot(self, name: str, holder: str) -> None:
        self._maybe_lose()
        await super().release_slot(name, holder)

    def _maybe_lose(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise UnavailableError("no answer")


async def test_a_place_that_is_given_back_while_it_is_renewed_is_free() -> None:
    store = PausingStore()
    places = SharedPlaces(store, owner="me", lease_seconds=1000)
    assert await places.acquire("tool", "first", 2)
    assert await places.acquire("tool", "second", 2)
    store.may_answer.clear()
    store.was_asked.clear()
    renewal = asyncio.create_task(places.renew())
    await store.was_asked.wait()
    places.release("first")
    places.release("second")
    await places.stop()
    store.may_answer.set()
    await renewal
    assert [await places.acquire("tool", job_id, 2) for job_id in ("third", "fourth", "fifth")] == [True, True, False]


async def test_a_place_that_could_not_be_given_back_is_given_back_later() -> None:
    store = PausingStore()
    places = SharedPlaces(store, owner="me", lease_seconds=1000)
    assert await places.acquire("tool", "first", 1)
    store.lost_answers = 1
    places.release("first")
    await places.stop()
    assert not await places.acquire("tool", "second", 1)
    await places.renew()
    assert await places.acquire("tool", "second", 1)


async def test_a_place_that_was_taken_without_an_answer_is_given_back() -> None:
    store = PausingStore()
    places = SharedPlaces(store, owner="me", lease_seconds=1000)
    store.lost_answers = 1
    with pytest.raises(UnavailableError):
        await places.acquire("tool", "first", 1)
    assert not await places.acquire("tool", "second", 1)
    await places.renew()
    assert await places.acquire("tool", "second", 1)


async def test_a_place_that_was_taken_at_the_second_try_is_kept() -> None:
    store = PausingStore()
    places = SharedPlaces(store, owner="me", lease_seconds=1000)
    store.lost_answers = 1
    with pytest.raises(UnavailableError):
        await places.acquire("tool", "first", 1)
    assert await places.acquire("tool", "first", 1)
    await places.renew()
    assert not await places.acquire("tool", "second", 1)
