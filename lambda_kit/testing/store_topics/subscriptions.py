"""Promises of `subscribe`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lambda_kit.core.model.job import Progress
from lambda_kit.core.ports.store import Change, JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import RESULT, StorePromises, new_event

__all__ = ["SubscriptionPromises"]

_LONG_SECONDS = 60.0


class _Subscriber:
    """Notes which jobs it was called for."""

    def __init__(self) -> None:
        self.changed: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, change: Change) -> None:
        if change.job_id is not None:
            self.changed.put_nowait(change.job_id)

    async def next(self) -> str:
        async with asyncio.timeout(_LONG_SECONDS):
            return await self.changed.get()

    async def until(self, job_id: str) -> None:
        while await self.next() != job_id:
            pass

    def forget(self) -> None:
        while not self.changed.empty():
            self.changed.get_nowait()


class SubscriptionPromises(StorePromises):
    """How one hears of changes."""

    async def test_every_kind_of_change_is_published(self, store: JobStore, clock: ManualClock) -> None:
        subscriber = _Subscriber()
        store.subscribe(subscriber)

        async def published_by(change: Callable[[], Awaitable[object]]) -> None:
            subscriber.forget()
            await change()
            await subscriber.until("job-1")

        await published_by(lambda: self.pending(store, max_attempts=2))
        await published_by(lambda: self.claim(store))
        lease = await self.lease_of(store)
        await published_by(lambda: store.append_events(lease, [new_event(1, progress=Progress(1))]))
        await published_by(lambda: store.release(lease))
        await published_by(lambda: self.claim(store))
        await self.pass_time(clock, 1.1)
        await published_by(store.reap)
        await self.claim(store)
        lease = await self.lease_of(store)
        await published_by(lambda: store.request_cancel("job-1"))
        await published_by(lambda: store.finish(lease, RESULT))

    async def test_the_change_can_be_read_when_it_is_published(self, store: JobStore) -> None:
        subscriber = _Subscriber()
        store.subscribe(subscriber)
        for n in range(5):
            await self.finished(store, f"job-{n}")
        await self.pending(store, "last")
        await subscriber.until("last")
        assert await store.get("last") is not None

    async def test_each_subscriber_is_called(self, store: JobStore) -> None:
        subscribers = [_Subscriber() for _ in range(3)]
        for subscriber in subscribers:
            store.subscribe(subscriber)
        await self.pending(store)
        assert [await subscriber.next() for subscriber in subscribers] == ["job-1"] * 3

    async def test_a_subscription_that_was_ended_gets_nothing(self, store: JobStore) -> None:
        ended, goes_on = _Subscriber(), _Subscriber()
        end = store.subscribe(ended)
        store.subscribe(goes_on)
        end()
        await self.pending(store)
        await goes_on.next()
        assert ended.changed.empty()
        end()  # no error

    async def test_the_same_function_can_subscribe_twice(self, store: JobStore) -> None:
        subscriber = _Subscriber()
        end = store.subscribe(subscriber)
        store.subscribe(subscriber)
        end()
        await self.pending(store)
        assert await subscriber.next() == "job-1"

    async def test_nothing_is_published_by_a_refused_change(self, store: JobStore) -> None:
        await self.finished(store, "ended")
        subscriber = _Subscriber()
        store.subscribe(subscriber)
        await self.pending(store, "before")
        await subscriber.until("before")
        subscriber.forget()
        await store.create(self.new_job("before"), RESULT)
        await store.claim("ended", worker_id="w", lease_seconds=10)
        await store.request_cancel("ended")
        await self.pending(store, "after")
        assert await subscriber.next() == "after"

    async def test_a_stop_ends_the_subscriptions(self, store: JobStore) -> None:
        subscriber = _Subscriber()
        store.subscribe(subscriber)
        await store.stop()
        await store.start()
        again = _Subscriber()
        store.subscribe(again)
        await self.pending(store)
        await again.next()
        assert subscriber.changed.empty()

    @pytest.mark.parametrize("count", [200])
    async def test_subscribe_then_read_misses_nothing(self, store: JobStore, count: int) -> None:
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

    async def test_a_subscriber_that_fails_harms_neither_the_store_nor_the_others(self, store: JobStore) -> None:
        def broken(_change: Change) -> None:
            raise RuntimeError("this subscriber is broken")

        store.subscribe(broken)
        subscriber = _Subscriber()
        store.subscribe(subscriber)
        for job_id in ("one", "two"):
            await self.pending(store, job_id)
            await subscriber.until(job_id)
