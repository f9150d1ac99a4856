"""Places that processes share are neither kept nor taken by mistake."""

import asyncio

import pytest

from lambda_kit import MemoryJobStore
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.semaphore import DistributedSemaphore


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


def new_places(store: PausingStore) -> DistributedSemaphore:
    places = DistributedSemaphore(store, lease_seconds=1000)
    places.worker_id = "me"
    return places


async def acquired(places: DistributedSemaphore, limit: int) -> str:
    place = await places.acquire("tool", limit)
    assert place is not None
    return place


async def test_a_place_that_is_given_back_while_it_is_renewed_is_free() -> None:
    store = PausingStore()
    places = new_places(store)
    held = [await acquired(places, 2), await acquired(places, 2)]
    store.may_answer.clear()
    store.was_asked.clear()
    renewal = asyncio.create_task(places.renew())
    await store.was_asked.wait()
    for place in held:
        places.give_back(place)
    await places.stop()
    store.may_answer.set()
    await renewal
    await acquired(places, 2)
    await acquired(places, 2)
    assert await places.acquire("tool", 2) is None


async def test_a_place_that_could_not_be_given_back_is_given_back_later() -> None:
    store = PausingStore()
    places = new_places(store)
    place = await acquired(places, 1)
    store.lost_answers = 1
    places.give_back(place)
    await places.stop()
    other = new_places(store)
    other.worker_id = "other"
    assert await other.acquire("tool", 1) is None
    await places.renew()
    await acquired(other, 1)


async def test_a_place_that_was_taken_without_an_answer_is_given_back() -> None:
    store = PausingStore()
    places = new_places(store)
    store.lost_answers = 1
    with pytest.raises(UnavailableError):
        await places.acquire("tool", 1)
    other = new_places(store)
    other.worker_id = "other"
    assert await other.acquire("tool", 1) is None
    await places.renew()
    await acquired(other, 1)


async def test_a_place_that_was_taken_at_the_second_try_is_kept() -> None:
    store = PausingStore()
    places = new_places(store)
    store.lost_answers = 1
    with pytest.raises(UnavailableError):
        await places.acquire("tool", 1)
    await acquired(places, 1)
    await places.renew()
    assert await places.acquire("tool", 1) is None


async def test_a_job_that_is_run_again_while_its_first_run_ends_has_a_place_of_its_own() -> None:
    store = PausingStore()
    places = new_places(store)
    first = await acquired(places, 2)
    await acquired(places, 2)
    places.give_back(first)
    await places.stop()
    await acquired(places, 2)
    assert await places.acquire("tool", 2) is None
