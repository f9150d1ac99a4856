"""Promises of `watch`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lambda_kit.core.model.job import Progress
from lambda_kit.core.ports.store import Change, JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import RESULT, StorePromises, new_event

__all__ = ["SubscriptionPromises"]

_LONG_SECONDS = 10.0


class _Watcher:
    """Notes which jobs it was told of."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, change: Change) -> None:
        if change.job_id is not None:
            self.told.put_nowait(change.job_id)

    async def next(self) -> str:
        async with asyncio.timeout(_LONG_SECONDS):
            return await self.told.get()

    async def until(self, job_id: str) -> None:
        while await self.next() != job_id:
            pass

    def forget(self) -> None:
        while not self.told.empty():
            self.told.get_nowait()


class SubscriptionPromises(StorePromises):
    """How one hears of changes."""

    async def test_every_kind_of_change_is_told(self, store: JobStore, clock: ManualClock) -> None:
        watcher = _Watcher()
        store.subscribe(watcher)

        async def told_of(change: Callable[[], Awaitable[object]]) -> None:
            watcher.forget()
            await change()
            await watcher.until("job-1")

        await told_of(lambda: self.pending(store, max_attempts=2))
        await told_of(lambda: self.claim(store))
        lease = await self.lease_of(store)
        await told_of(lambda: store.append_events(lease, [new_event(1, progress=Progress(1))]))
        await told_of(lambda: store.release(lease))
        await told_of(lambda: self.claim(store))
        await self.pass_time(clock, 1.1)
        await told_of(store.reap)
        await self.claim(store)
        lease = await self.lease_of(store)
        await told_of(lambda: store.request_cancel("job-1"))
        await told_of(lambda: store.finish(lease, RESULT))

    async def test_the_change_can_be_read_when_it_is_told(self, store: JobStore) -> None:
        watcher = _Watcher()
        store.subscribe(watcher)
        for n in range(5):
            await self.finished(store, f"job-{n}")
        await self.pending(store, "last")
        await watcher.until("last")
        assert await store.get("last") is not None

    async def test_each_watcher_is_told(self, store: JobStore) -> None:
        watchers = [_Watcher() for _ in range(3)]
        for watcher in watchers:
            store.subscribe(watcher)
        await self.pending(store)
        assert [await watcher.next() for watcher in watchers] == ["job-1"] * 3

    async def test_a_watch_that_was_ended_is_told_nothing(self, store: JobStore) -> None:
        ended, goes_on = _Watcher(), _Watcher()
        end = store.subscribe(ended)
        store.subscribe(goes_on)
        end()
        await self.pending(store)
        await goes_on.next()
        assert ended.told.empty()
        end()  # no error

    async def test_the_same_function_can_watch_twice(self, store: JobStore) -> None:
        watcher = _Watcher()
        end = store.subscribe(watcher)
        store.subscribe(watcher)
        end()
        await self.pending(store)
        assert await watcher.next() == "job-1"

    async def test_nothing_is_told_of_a_refused_change(self, store: JobStore) -> None:
        await self.finished(store, "ended")
        watcher = _Watcher()
        store.subscribe(watcher)
        await self.pending(store, "before")
        await watcher.until("before")
        watcher.forget()
        await store.create(self.new_job("before"), RESULT)
        await store.claim("ended", worker_id="w", lease_seconds=10)
        await store.request_cancel("ended")
        await self.pending(store, "after")
        assert await watcher.next() == "after"

    async def test_a_stop_ends_the_watches(self, store: JobStore) -> None:
        watcher = _Watcher()
        store.subscribe(watcher)
        await store.stop()
        await store.start()
        again = _Watcher()
        store.subscribe(again)
        await self.pending(store)
        await again.next()
        assert watcher.told.empty()

    @pytest.mark.parametrize("count", [200])
    async def test_watch_then_read_misses_nothing(self, store: JobStore, count: int) -> None:
        changed = asyncio.Event()
        end = store.subscribe(lambda _job_id: changed.set())
        lease = await self.claimed(store)

        async def report() -> None:
            for n in range(count):
                await store.append_events(lease, [new_event(n)])
                if n % 7 == 0:
                    await asyncio.sleep(0)
            await store.finish(lease, RESULT)

        async def follow() -> list[int]:
            seen: list[int] = []
            async with asyncio.timeout(_LONG_SECONDS):
                while True:
                    changed.clear()
                    page = await store.read_events("job-1", after=seen[-1] if seen else 0, limit=10)
                    assert page is not None
                    seen += [event.seq for event in page.events]
                    if page.final and seen[-1] == page.last_seq:
                        return seen
                    if seen[-1] == page.last_seq:
                        await changed.wait()

        seen, _ = await asyncio.gather(follow(), report())
        log = await store.read_events("job-1")
        assert log is not None
        assert seen[-len(log.events) :] == [event.seq for event in log.events]
        assert len(seen) == len(set(seen))
        end()

    async def test_a_watch_that_fails_harms_neither_the_store_nor_the_others(self, store: JobStore) -> None:
        def broken(_change: Change) -> None:
            raise RuntimeError("this watch is broken")

        store.subscribe(broken)
        watcher = _Watcher()
        store.subscribe(watcher)
        for job_id in ("one", "two"):
            await self.pending(store, job_id)
            await watcher.until(job_id)
