"""Sinks are told of everything, in order, once; and they slow nobody down."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another thread or task does it

import asyncio
from typing import Any

import pytest

from lambda_kit import Job, JobContext, JobFailedError, JobSink, LambdaTool, MemoryJobStore
from lambda_kit.core import delivery
from lambda_kit.core.events import Event
from lambda_kit.core.job import Payload
from tests.core.running_tools import LONG_SECONDS, QUICK, Ask, NotedSink, a_server, jobs_of, the_job, until


class Reports(LambdaTool):
    async def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(3):
            ctx.progress(n)
            await asyncio.sleep(0)
        return "done"


class Fails(LambdaTool):
    def run(self, req: Ask) -> str:
        raise RuntimeError("boom")


@pytest.fixture
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_BACK_OFF_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "_LONGEST_BACK_OFF_SECONDS", 0.02)


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


@pytest.mark.usefixtures("quick_back_off")
@pytest.mark.parametrize("failures", [1, 2, 7])
async def test_a_sink_that_fails_is_told_again_until_it_confirms(failures: int) -> None:
    sink, store = NotedSink(failures=failures), MemoryJobStore()
    server = a_server(Reports, store=store, sinks=[sink])
    async with server, asyncio.timeout(LONG_SECONDS):
        await server.run_tool(Reports, Ask())
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == [*"123456", "end"]


async def test_a_sink_that_fails_or_hangs_slows_no_tool_and_fails_no_job() -> None:
    class Hangs(JobSink):
        name = "hangs"

        async def deliver_event(self, job: Job, event: Event, *, authorization: str | None) -> None:
            await asyncio.Event().wait()

        async def deliver_end(self, job: Job, result: Payload | None, *, authorization: str | None) -> None:
            await asyncio.Event().wait()

    good = NotedSink("good")
    server = a_server(Reports, sinks=[Hangs(), NotedSink("away", failures=1_000_000), good], settings=QUICK)
    for dispatcher in server._jobs._dispatchers:
        dispatcher._stop_seconds = 0.05
    async with asyncio.timeout(LONG_SECONDS), server:
        answers = await asyncio.gather(*(server.run_tool(Reports, Ask()) for _ in range(20)))
        await until(lambda: len(good.ends) == 20)
    assert answers == ["done"] * 20


@pytest.mark.usefixtures("quick_back_off")
async def test_jobs_that_a_sink_refuses_do_not_hide_the_others() -> None:
    class Picky(NotedSink):
        async def deliver_event(self, job: Job, event: Event, *, authorization: str | None) -> None:
            if job.id in refused:
                raise ConnectionError("not this one")
            await super().deliver_event(job, event, authorization=authorization)

    refused: set[str] = set()
    sink, store = Picky(), MemoryJobStore()
    server = a_server(Reports, store=store, sinks=[sink], settings=QUICK)
    server._jobs._dispatchers[0]._stop_seconds = 0.05
    async with server, asyncio.timeout(LONG_SECONDS):
        calls = [asyncio.create_task(server.run_tool(Reports, Ask())) for _ in range(120)]
        while len(jobs := await jobs_of(store)) < 120:
            await asyncio.sleep(0)
        refused |= {job.id for job in jobs}
        await asyncio.gather(*calls)
        await server.run_tool(Reports, Ask())
        await until(lambda: len(set(sink.ends) - refused) == 1)


@pytest.mark.usefixtures("quick_back_off")
async def test_a_job_that_expires_while_its_sink_is_away_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Turns(NotedSink):
        tries = 0

        async def deliver_event(self, job: Job, event: Event, *, authorization: str | None) -> None:
            Turns.tries += 1
            raise ConnectionError("away")

    sink, store = Turns(), MemoryJobStore()
    server = a_server(Reports, store=store, sinks=[sink])
    async with server, asyncio.timeout(LONG_SECONDS):
        await server.run_tool(Reports, Ask())
        await until(lambda: Turns.tries > 1)
        monkeypatch.setattr(store, "_clock", lambda: 1e12)
        assert await store.purge() == 1
        await until(lambda: not server._jobs._dispatchers[0]._failures)


@pytest.mark.usefixtures("quick_back_off")
async def test_an_outbox_that_can_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store, sink = MemoryJobStore(), NotedSink()
    honest = store.undelivered
    faults = 3

    async def sometimes(name: str, *, limit: int = 100) -> Any:
        nonlocal faults
        faults -= 1
        if faults >= 0:
            raise ConnectionError("the store is away")
        return await honest(name, limit=limit)

    monkeypatch.setattr(store, "undelivered", sometimes)
    await a_server(Reports, store=store, sinks=[sink]).run_tool(Reports, Ask())
    assert len(sink.ends) == 1


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
