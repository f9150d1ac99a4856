"""Sinks are told of everything, in order, once; and they slow nobody down."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lambda_kit import Job, JobContext, JobFailedError, JobSink, LambdaTool, MemoryJobStore
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.outbox_relay import OutboxRelay, RelayTimes
from lambda_kit.core.model.events import Event, NewEvent
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.sink import DeliveryError, DeliveryRefusedError, JobEnd
from lambda_kit.core.ports.store import Delivery, Dropped, DropReason, Lease
from lambda_kit.testing.clock import ManualClock
from tests.core.running_tools import (
    LONG_SECONDS,
    QUICK,
    Ask,
    NotedSink,
    a_server,
    a_submission,
    jobs_of,
    submit,
    the_job,
    until,
)

QUICK_TIMES = RelayTimes(first_back_off=0.01, longest_back_off=0.05, end=0.05)


class Reports(LambdaTool):
    async def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(3):
            ctx.progress(n)
            await asyncio.sleep(0)
        return "done"


class Fails(LambdaTool):
    def run(self, req: Ask) -> str:
        raise RuntimeError("boom")


async def test_each_event_is_told_in_order_and_then_the_end_once() -> None:
    sink, store = NotedSink(), MemoryJobStore()
    await a_server(Reports, store=store, sinks=[sink]).run_tool(Reports, Ask())
    job = await the_job(store)
    assert sink.told == [(job.id, name) for name in ("1", "2", "3", "4", "5", "6", "end")]
    assert sink.ends[job.id] == (job, Payload(b"done", "text/plain; charset=utf-8"))
    assert await store.undelivered(sink.name) == []


async def test_a_failure_is_told_without_a_result() -> None:
    sink, store = NotedSink(), MemoryJobStore()
    with pytest.raises(JobFailedError, match="boom"):
        await a_server(Fails, store=store, sinks=[sink]).run_tool(Fails, Ask())
    job = await the_job(store)
    assert sink.ends[job.id] == (job, None)
    assert job.failure is not None
    assert job.failure.traceback is not None


async def test_each_sink_is_told_of_every_job() -> None:
    sinks, store = [NotedSink("a"), NotedSink("b")], MemoryJobStore()
    server = a_server(Reports, store=store, sinks=sinks)
    async with server:
        await asyncio.gather(*(server.run_tool(Reports, Ask()) for _ in range(50)))
    for job in await jobs_of(store):
        for sink in sinks:
            assert [what for job_id, what in sink.told if job_id == job.id] == [*"123456", "end"]


@pytest.mark.parametrize("failures", [1, 2, 7])
async def test_a_sink_that_fails_is_told_again_until_it_confirms(failures: int) -> None:
    sink, store = NotedSink(failures=failures), MemoryJobStore()
    server = a_server(Reports, store=store, sinks=[sink])
    server._engine.relays[0].times = QUICK_TIMES
    async with server, asyncio.timeout(LONG_SECONDS):
        await server.run_tool(Reports, Ask())
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == [*"123456", "end"]


async def test_a_sink_that_fails_or_hangs_slows_no_tool_and_fails_no_job() -> None:
    class Hangs(JobSink):
        name = "hangs"

        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            await asyncio.Event().wait()

    good = NotedSink("good")
    server = a_server(
        Reports,
        sinks=[Hangs(), NotedSink("away", failures=1_000_000), good],
        settings=replace(QUICK, flush_seconds=0.05),
    )
    async with asyncio.timeout(LONG_SECONDS), server:
        answers = await asyncio.gather(*(server.run_tool(Reports, Ask()) for _ in range(20)))
        await until(lambda: len(good.ends) == 20)
    assert answers == ["done"] * 20


async def test_a_sink_that_can_not_be_opened_stops_the_start_and_closes_what_was_open() -> None:
    closed: list[str] = []

    class Broken(NotedSink):
        async def start(self) -> None:
            raise OSError("no route")

    class Before(NotedSink):
        async def stop(self) -> None:
            closed.append("before")

    class WithHooks(Reports):
        name, path = "with_hooks", "/with-hooks"

        def teardown(self) -> None:
            closed.append("tool")

    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="no route"):
        await a_server(WithHooks, sinks=[Before("before"), Broken("broken")]).run_tool(WithHooks, Ask())
    assert closed == ["before", "tool"]
    assert asyncio.all_tasks() == before


async def test_a_server_with_sinks_can_be_started_again() -> None:
    sink, store = NotedSink(), MemoryJobStore()
    server = a_server(Reports, store=store, sinks=[sink])
    for _ in range(3):
        await server.run_tool(Reports, Ask())
    assert len(sink.ends) == 3
    assert len(sink.told) == 21


# --- the relay by itself, on a store that the test fills ---


class GatedSink(NotedSink):
    """Waits at its gate with each event of the jobs named by `held`; notes how many calls there are at once."""

    def __init__(self, *held: str) -> None:
        super().__init__()
        self.held = set(held)
        self.gate = asyncio.Event()
        self.calls: list[str] = []
        self.most_at_once = 0
        self.tries: Counter[str] = Counter()
        self.is_open = 0

    async def start(self) -> None:
        self.is_open += 1

    async def stop(self) -> None:
        self.is_open -= 1

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        assert job.id not in self.calls, "told by two at once"
        self.tries[job.id] += 1
        self.calls.append(job.id)
        self.most_at_once = max(self.most_at_once, len(self.calls))
        try:
            if job.id in self.held:
                await self.gate.wait()
            await asyncio.sleep(0)
            await super().deliver(job, events, end, authorization=authorization)
        finally:
            self.calls.remove(job.id)


class HangsAtTheEnd(NotedSink):
    """Never confirms the end."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = asyncio.Event()

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        if end is not None:
            self.hangs.set()
            await asyncio.Event().wait()
        await super().deliver(job, events, end, authorization=authorization)


class AuthorizationSink(NotedSink):
    """Notes what authorization it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.authorizations: list[str | None] = []

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        self.authorizations.append(authorization)
        await super().deliver(job, events, end, authorization=authorization)


class MarkedStore(MemoryJobStore):
    """Notes how often it is asked, and fails as often as it is told to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.marks: list[tuple[int, bool]] = []
        self.reads = 0
        self.outage = 0
        self.error: Exception = UnavailableError("the store is away")

    def _maybe_away(self) -> None:
        if self.outage:
            self.outage -= 1
            raise self.error

    async def undelivered(self, sink: str, *, limit: int = 100, **how: Any) -> list[Delivery]:
        self.reads += 1
        self._maybe_away()
        answer = await super().undelivered(sink, limit=limit, **how)
        for _ in range(5):  # as from afar: things go on meanwhile
            await asyncio.sleep(0)
        return answer

    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        self._maybe_away()
        self.marks.append((after_seq, is_complete))
        return await super().mark_delivered(
            sink, delivery, after_seq=after_seq, is_complete=is_complete, worker_id=worker_id
        )


@contextlib.asynccontextmanager
async def relaying(sink: JobSink, store: MemoryJobStore, **options: Any) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(sink, store, **{"flush_seconds": 0.0, "times": QUICK_TIMES, **options})
    before = asyncio.all_tasks()
    async with asyncio.timeout(LONG_SECONDS):
        await relay.start()
        unwatch = store.subscribe(lambda _: relay.wake())
        try:
            yield relay
        finally:
            unwatch()
            await relay.stop()
    assert asyncio.all_tasks() == before


def a_job(job_id: str, **members: Any) -> Job:
    return Job(**{"id": job_id, "tool": "t", "requested_at": 0.0, **members})


async def make(store: MemoryJobStore, job_id: str, *, reports: int = 0, **members: Any) -> Lease:
    """A job that executes: it has two events and what it reports."""
    await store.create(a_job(job_id, **members), Payload(b"{}", "application/json"))
    claim = await store.claim(job_id, worker_id="me", lease_seconds=1e6)
    assert claim is not None
    lease = Lease(job_id, claim.job.lease_token)
    await store.append_events(lease, [NewEvent("urn:x", b"{}", float(n)) for n in range(reports)])
    return lease


async def end(store: MemoryJobStore, lease: Lease) -> None:
    await store.finish(lease, Payload(b"", "text/plain"))


async def make_finished(store: MemoryJobStore, job_id: str, *, reports: int = 0) -> None:
    await end(store, await make(store, job_id, reports=reports))


async def test_a_call_that_hangs_holds_no_other_job_up() -> None:
    sink, store = GatedSink("slow"), MemoryJobStore()
    async with relaying(sink, store, concurrency=2):
        for job_id in ["slow", *map(str, range(30))]:
            await make_finished(store, job_id)
        await until(lambda: len(sink.ends) == 30)
        assert "slow" not in sink.ends
        sink.gate.set()
        await until(lambda: "slow" in sink.ends)
    assert [what for job_id, what in sink.told if job_id == "slow"] == ["1", "2", "3", "end"]


async def test_a_call_over_its_time_limit_makes_room_and_is_tried_again() -> None:
    sink, store = GatedSink("slow", "slower"), MemoryJobStore()
    async with relaying(sink, store, concurrency=2, times=msgspec.structs.replace(QUICK_TIMES, call=0.02)):
        for job_id in ("slow", "slower", "quick"):
            await make_finished(store, job_id)
        await until(lambda: "quick" in sink.ends and sink.tries["slow"] > 2)
        sink.gate.set()
        await until(lambda: len(sink.ends) == 3)
    assert [what for job_id, what in sink.told if job_id == "slow"] == ["1", "2", "3", "end"]


async def test_a_job_is_told_by_one_at_a_time_and_no_more_jobs_than_allowed() -> None:
    sink, store = GatedSink("0"), MarkedStore()
    async with relaying(sink, store, concurrency=3):
        leases = [await make(store, str(n)) for n in range(12)]
        for _ in range(20):
            for lease in leases:
                await store.append_events(lease, [NewEvent("urn:x", b"{}", 0.0)])
            await asyncio.sleep(0)
        for lease in leases:
            await end(store, lease)
        await until(lambda: len(sink.ends) == 11)
        sink.gate.set()
        await until(lambda: len(sink.ends) == 12)
    assert sink.most_at_once == 3
    for n in range(12):  # one at a time is asserted by the sink
        assert [what for job_id, what in sink.told if job_id == str(n)] == [*map(str, range(1, 24)), "end"]


async def test_what_was_confirmed_while_the_outbox_was_read_is_not_told_again() -> None:
    class Late(MarkedStore):
        async def undelivered(self, sink: str, *, limit: int = 100, **how: Any) -> list[Delivery]:
            answer = await super().undelivered(sink, limit=limit, **how)
            if answer and gated.calls:  # the job is being told: answer when it was
                gated.gate.set()
                await until(lambda: store.marks)
                await asyncio.sleep(0.01)
            return answer

    gated, store = GatedSink("job"), Late()
    async with relaying(gated, store, flush_seconds=LONG_SECONDS) as relay:
        await make(store, "job")
        await until(lambda: gated.calls)
        relay.wake()
        await until(lambda: store.marks)
    assert [what for _, what in gated.told] == ["1", "2"]


async def test_what_was_confirmed_is_marked_by_the_page() -> None:
    sink, store = NotedSink(), MarkedStore()
    async with relaying(sink, store):
        await make_finished(store, "long", reports=247)
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == [*map(str, range(1, 251)), "end"]
    assert store.marks == [(100, False), (200, False), (250, True)]


async def test_after_a_failure_what_was_confirmed_before_is_not_delivered_again() -> None:
    class FailsOnce(NotedSink):
        failed = False

        def _maybe_fail(self) -> None:
            if not self.failed and len(self.told) == 100:
                self.failed = True
                raise ConnectionError("away")

    sink, store = FailsOnce(), MarkedStore()
    async with relaying(sink, store):
        await make_finished(store, "job", reports=147)
        await until(lambda: sink.ends)
    assert sink.failed
    assert [what for _, what in sink.told] == [*map(str, range(1, 151)), "end"]
    assert store.marks == [(100, False), (150, True)]


async def test_what_a_sink_refuses_for_good_is_logged_and_never_delivered_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refuses(NotedSink):
        calls = 0

        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            if job.id == "bad":
                self.calls += 1
                raise DeliveryRefusedError("413: too much for the other side")
            await super().deliver(job, events, end, authorization=authorization)

    sink, store = Refuses(), MarkedStore()
    async with relaying(sink, store):
        await make_finished(store, "bad")
        await until(lambda: store.marks)
        await make_finished(store, "good")
        await until(lambda: sink.ends)
        assert await store.undelivered(sink.name) == []
    assert (sink.calls, [*sink.ends]) == (1, ["good"])
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "sink noted: job bad: 3 events and its end refused, and dropped: 413: too much for the other side"
    ]


async def test_a_sink_says_when_it_is_to_be_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Busy(NotedSink):
        def _maybe_fail(self) -> None:
            if self.failures:
                self.failures -= 1
                raise DeliveryError("503: busy", retry_after_seconds=0.004)

    sink, store = Busy(failures=2), MemoryJobStore()
    async with relaying(sink, store, times=msgspec.structs.replace(QUICK_TIMES, first_back_off=3600.0)):
        await make_finished(store, "job")
        await until(lambda: sink.ends)
    assert "sink noted: job job was not delivered (DeliveryError: 503: busy); trying again in 0.0 s" in caplog.messages


async def test_a_job_whose_end_every_sink_has_confirmed_counts_as_collected() -> None:
    sink = NotedSink()
    settings = replace(QUICK, grace_seconds=3600.0)
    server = a_server(Reports, sinks=[sink], settings=settings)
    async with asyncio.timeout(LONG_SECONDS), server:
        await submit(server, a_submission(server, Reports))  # nobody fetches its result
        await server.drain()
        assert len(sink.ends) == 1
        assert server._engine.fetched_results._missing == {}


async def test_a_stop_marks_what_was_confirmed() -> None:
    sink, store = HangsAtTheEnd(), MemoryJobStore()
    async with relaying(sink, store):
        await make_finished(store, "job", reports=147)
        await sink.hangs.wait()
    assert await store.undelivered(sink.name) == [Delivery("job", 100, 1)]


async def test_a_stop_is_not_held_up_by_a_store_that_is_away() -> None:
    sink, store = HangsAtTheEnd(), MarkedStore()
    async with relaying(sink, store):
        await make_finished(store, "job")
        await sink.hangs.wait()
        store.outage = unanswered = 1_000_000
    assert store.outage < unanswered
    assert store.marks == []


async def test_numbers_that_were_dropped_leave_nothing_to_tell() -> None:
    sink, store = NotedSink(), MarkedStore()
    async with relaying(sink, store):
        lease = await make(store, "job")
        await store.append_events(lease, [], dropped=5)
        await until(lambda: store.marks and store.marks[-1] == (7, False))
        await until(lambda: not any(task.get_name().endswith(": job") for task in asyncio.all_tasks()))
        reads = store.reads
        for _ in range(100):
            await asyncio.sleep(0)
        assert store.reads <= reads + 1
        await end(store, lease)
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == ["1", "2", "8", "end"]


async def test_a_sink_whose_own_task_is_cancelled_is_told_again_later(caplog: pytest.LogCaptureFixture) -> None:
    class Cancelled(NotedSink):
        def _maybe_fail(self) -> None:
            if self.failures:
                self.failures -= 1
                raise asyncio.CancelledError

    sink, store = Cancelled(failures=2), MemoryJobStore()
    async with relaying(sink, store):
        await make_finished(store, "job")
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == ["1", "2", "3", "end"]
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "sink noted: job job was not delivered (CancelledError)" for _ in range(2)
    ]


async def test_a_sink_is_closed_once_and_only_if_it_was_opened() -> None:
    class Unopened(GatedSink):
        async def start(self) -> None:
            raise OSError("no route")

    unopened = Unopened()
    relay = OutboxRelay(unopened, MemoryJobStore())
    await relay.stop()
    with pytest.raises(OSError, match="no route"):
        await relay.start()
    await relay.stop()
    assert unopened.is_open == 0

    class Away(MemoryJobStore):
        async def register_sink(self, sink: str) -> None:
            raise UnavailableError("away")

    sink = GatedSink()
    relay = OutboxRelay(sink, Away())
    with pytest.raises(UnavailableError):
        await relay.start()
    assert sink.is_open == 0
    await relay.stop()
    assert sink.is_open == 0

    async with relaying(sink, MemoryJobStore()) as running:
        assert sink.is_open == 1
        await running.stop()
        assert sink.is_open == 0
    assert sink.is_open == 0


async def test_a_stop_that_is_cancelled_says_so_and_leaves_nothing_running() -> None:
    sink, store = GatedSink("slow"), MemoryJobStore()
    before = asyncio.all_tasks()
    relay = OutboxRelay(sink, store, flush_seconds=LONG_SECONDS)
    await relay.start()
    await make_finished(store, "slow")
    await until(lambda: sink.calls)
    stopping = asyncio.create_task(relay.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert sink.is_open == 0
    assert asyncio.all_tasks() == before


async def test_an_authorization_goes_with_its_job_unless_it_was_forgotten() -> None:
    sink, store = AuthorizationSink(), MemoryJobStore()
    async with relaying(sink, store) as relay:
        for job_id in ("told", "forgotten"):
            relay.authorizations.remember(a_job(job_id), f"Bearer {job_id}")
        relay.authorizations.forget(a_job("forgotten"))
        relay.authorizations.forget(a_job("never known"))
        for job_id in ("told", "forgotten", "without"):
            await make_finished(store, job_id)
            await until(lambda: job_id in sink.ends)  # noqa: B023 - called at once
    assert sink.authorizations == ["Bearer told"] + [None] * 2


def test_authorizations_are_remembered_in_bounded_memory_and_the_oldest_go(caplog: pytest.LogCaptureFixture) -> None:
    authorizations = OutboxRelay(NotedSink(), MemoryJobStore()).authorizations
    for n in range(100):
        authorizations.remember(a_job(f"own-{n}"), f"Bearer {n}" + "x" * 2**20)
    assert authorizations.remembered(a_job("own-99")) is not None
    assert authorizations.remembered(a_job("own-0")) is None
    assert 60 <= len(authorizations.job_ids) <= 64
    assert "the authorizations of 32 jobs are no longer in memory" in caplog.text


def test_jobs_with_one_authorization_share_it() -> None:
    authorizations = OutboxRelay(NotedSink(), MemoryJobStore()).authorizations
    jobs = [a_job(f"job-{n}") for n in range(1000)]
    for job in jobs:
        authorizations.remember(job, "Bearer " + "x" * 2**20)
    assert len(authorizations.job_ids) == 1000
    for job in jobs[:-1]:
        authorizations.forget(job)
    assert authorizations.remembered(jobs[-1]) == "Bearer " + "x" * 2**20


async def test_two_jobs_of_one_id_each_have_their_own_authorization_and_result() -> None:
    clock = ManualClock()
    sink, store = AuthorizationSink(), MemoryJobStore(clock=clock)
    sink.failures = 1_000_000
    results: list[tuple[str | None, Payload | None]] = []

    async def noting(job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None) -> None:
        await AuthorizationSink.deliver(sink, job, events, end, authorization=authorization)
        if end is not None:
            results.append((authorization, end.result))

    sink.deliver = noting  # type: ignore[method-assign]
    async with relaying(sink, store) as relay:
        for n in range(2):
            relay.authorizations.remember(a_job("job", requested_at=float(n)), f"Bearer {n}")
            lease = await make(store, "job", requested_at=float(n))
            await store.finish(lease, Payload(b"%d" % n, "text/plain"))
            await until(lambda: sink.authorizations)
            clock.advance(3601.0)
            assert await store.get("job") is None
        sink.failures = 0
        await until(lambda: len(results) == 2)
    assert sorted(results, key=str) == [(f"Bearer {n}", Payload(b"%d" % n, "text/plain")) for n in range(2)]
    assert await store.undelivered(sink.name) == []


async def test_a_job_that_has_expired_is_delivered_with_its_authorization() -> None:
    clock = ManualClock()
    sink, store = AuthorizationSink(), MemoryJobStore(clock=clock)
    sink.failures = 1_000_000
    times = msgspec.structs.replace(QUICK_TIMES, sweep=0.005)
    async with relaying(sink, store, times=times) as relay:
        relay.authorizations.remember(a_job("job"), "Bearer secret")
        await make_finished(store, "job")
        await until(lambda: len(sink.authorizations) > 1)
        clock.advance(86_399.0)
        assert await store.purge() == 1
        tries = len(sink.authorizations)
        await until(lambda: len(sink.authorizations) > tries + 3)
        sink.failures = 0
        await until(lambda: sink.ends)
    assert set(sink.authorizations) == {"Bearer secret"}


async def test_the_authorization_of_a_job_that_another_process_has_delivered_is_dropped() -> None:
    clock = ManualClock()
    sink, store = AuthorizationSink(), MemoryJobStore(clock=clock)
    times = msgspec.structs.replace(QUICK_TIMES, sweep=0.005)
    async with relaying(sink, store, times=times, delivery_seconds=1.0) as relay:
        relay.authorizations.remember(a_job("gone"), "Bearer secret")
        relay.authorizations.remember(a_job("kept"), "Bearer kept")
        await make(store, "kept")
        while a_job("gone").id in relay.authorizations.job_ids:
            clock.advance(1.0)
            await asyncio.sleep(0.005)
        assert relay.authorizations.job_ids == {"kept"}


async def test_what_is_not_confirmed_in_time_is_given_up_and_told_once() -> None:
    clock = ManualClock()
    sink, store = NotedSink(failures=1_000_000), MemoryJobStore(clock=clock)
    dropped: list[Dropped] = []
    async with relaying(sink, store, on_dropped=dropped.append):
        # it has not expired for clients when its time for sinks is over
        await end(store, await make(store, "job", ttl_seconds=100_000.0, delivery_seconds=10.0))
        await end(store, await make(store, "other", ttl_seconds=100_000.0))
        await until(lambda: sink.failures < 999_998)
        assert dropped == []
        clock.advance(11.0)
        await until(lambda: dropped)
        sink.failures = 0
        await until(lambda: sink.ends)
    assert dropped == [Dropped(sink.name, "job", DropReason.OVERDUE)]
    assert [*sink.ends] == ["other"]
    assert await store.get("job") is not None


async def test_jobs_that_a_sink_refuses_do_not_hide_the_others() -> None:
    class Picky(NotedSink):
        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            if job.id.startswith("refused"):
                raise ConnectionError("not this one")
            await super().deliver(job, events, end, authorization=authorization)

    sink, store = Picky(), MemoryJobStore()
    async with relaying(sink, store):
        for n in range(120):
            await make_finished(store, f"refused {n}")
        await make_finished(store, "other")
        await until(lambda: sink.ends)
    assert [*sink.ends] == ["other"]


async def test_a_store_that_is_away_is_waited_for_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class LosesTheStore(NotedSink):
        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            await super().deliver(job, events, end, authorization=authorization)
            store.outage = 5

    sink, store = LosesTheStore(), MarkedStore()
    async with relaying(sink, store, flush_seconds=LONG_SECONDS):
        await make_finished(store, "job")
        await until(lambda: (3, True) in store.marks)
    assert [what for _, what in sink.told] == ["1", "2", "3", "end"]
    assert store.outage == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["sink noted: the outbox: the store is away (the store is away); trying again until it is back"]


@pytest.mark.parametrize("error", [UnavailableError("away"), ConnectionError("a store's own fault")])
async def test_an_outbox_that_can_not_be_read_is_read_again(error: Exception) -> None:
    sink, store = NotedSink(), MarkedStore()
    store.outage, store.error = 3, error
    async with relaying(sink, store):
        await make_finished(store, "job")
        await until(lambda: sink.ends)
    assert store.outage == 0
