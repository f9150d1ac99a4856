"""What a tool reports reaches the store in order, from any thread."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another thread or task does it

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from lambda_kit import Job, MemoryJobStore
from lambda_kit.core.jobs.event_buffer import EventBuffer
from lambda_kit.core.model.events import Event, NewEvent
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease


class SlowStore(MemoryJobStore):
    """Appends only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.appends = 0

    async def append_events(self, lease: Lease, events: Sequence[NewEvent], **how: Any) -> int:
        self.appends += 1
        await self.gate.wait()
        return await super().append_events(lease, events, **how)


def event(text: str) -> NewEvent:
    return NewEvent("urn:x", text.encode(), 0.0)


async def claimed(store: MemoryJobStore) -> Lease:
    await store.create(Job(id="a", tool="t", requested_at=0.0), Payload(b"{}", "application/json"))
    claim = await store.claim("a", worker_id="w", lease_seconds=10)
    assert claim is not None
    return Lease("a", claim.job.lease_token)


async def reported(store: MemoryJobStore) -> list[Event]:
    page = await store.read_events("a", limit=100_000)
    assert page is not None
    return [event for event in page.events if event.status is None]


async def test_events_of_many_threads_all_arrive_each_threads_in_order() -> None:
    store = MemoryJobStore()
    pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop())

    def put(thread: int) -> None:
        for n in range(200):
            pump.put(event(f"{thread}:{n}"))

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
    await pump.close()
    bodies = [event.body.decode().split(":") for event in await reported(store)]
    assert len(bodies) == 1600
    for number in range(8):
        assert [int(n) for worker_id, n in bodies if worker_id == str(number)] == list(range(200))


async def test_events_arrive_while_the_tool_runs_not_only_at_its_end() -> None:
    store = MemoryJobStore()
    pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop())
    changed = asyncio.Event()
    store.subscribe(lambda _job_id: changed.set())
    await asyncio.to_thread(pump.put, event("x"))
    async with asyncio.timeout(60):
        await changed.wait()
    assert [event.body for event in await reported(store)] == [b"x"]
    await pump.close()


async def test_where_the_store_is_too_slow_the_oldest_are_dropped_and_leave_a_hole() -> None:
    store = SlowStore()
    pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop(), limit=5)
    store.gate.clear()
    pump.put(event("first"))
    while store.appends == 0:
        await asyncio.sleep(0)
    for n in range(12):
        pump.put(event(str(n)))
    store.gate.set()
    await pump.close()
    events = await reported(store)
    assert [event.body.decode() for event in events] == ["first", "7", "8", "9", "10", "11"]
    assert [event.seq for event in events] == [3, 11, 12, 13, 14, 15]


async def test_a_close_waits_for_what_is_under_way() -> None:
    store = SlowStore()
    pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop())
    store.gate.clear()
    pump.put(event("a"))
    while store.appends == 0:
        await asyncio.sleep(0)
    pump.put(event("b"))
    close = asyncio.create_task(pump.close())
    await asyncio.sleep(0)
    pump.put(event("too late"))
    assert not close.done()
    store.gate.set()
    await close
    assert [event.body for event in await reported(store)] == [b"a", b"b"]


async def test_a_close_right_after_a_put_loses_nothing() -> None:
    for _ in range(20):
        store = MemoryJobStore()
        pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop())
        for n in range(3):
            pump.put(event(str(n)))
        await pump.close()
        assert [event.body for event in await reported(store)] == [b"0", b"1", b"2"]
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_closed", [False, True])
async def test_with_a_lost_lease_nothing_is_kept_and_nothing_raised(is_closed: bool) -> None:
    store = MemoryJobStore()
    lease = await claimed(store)
    pump = EventBuffer(store, lease, asyncio.get_running_loop())
    await store.finish(lease, None)
    log = await store.read_events("a")
    pump.put(event("a"))
    if not is_closed:
        for _ in range(5):
            await asyncio.sleep(0)
        pump.put(event("b"))
    await pump.close()
    assert await store.read_events("a") == log


async def test_large_events_that_waited_are_written_in_bounded_pieces() -> None:
    store = SlowStore()
    pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop())
    store.gate.clear()
    for n in range(40):
        pump.put(NewEvent("urn:x", b"%02d" % n + bytes(200_000), 0.0))
    store.gate.set()
    await pump.close()
    assert [event.body[:2] for event in await reported(store)] == [b"%02d" % n for n in range(40)]
    assert 8 <= store.appends <= 10


class PickyStore(MemoryJobStore):
    """Does not take everything."""

    async def append_events(self, lease: Lease, events: Sequence[NewEvent], **how: Any) -> int:
        if any(event.body == b"poison" for event in events):
            raise ValueError("not this one")
        return await super().append_events(lease, events, **how)


async def test_events_that_the_store_refuses_leave_a_hole_and_the_others_arrive() -> None:
    store = PickyStore()
    dropped: list[int] = []
    pump = EventBuffer(store, await claimed(store), asyncio.get_running_loop(), on_dropped=dropped.append)
    for body in ("a", "poison", "b"):
        pump.put(event(body))
        for _ in range(5):
            await asyncio.sleep(0)
    await pump.close()
    assert [(event.seq, event.body) for event in await reported(store)] == [(3, b"a"), (5, b"b")]
    assert dropped == [1]
