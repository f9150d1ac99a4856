"""A job that runs over its time ends at once as an error; what its tool does then is of no effect."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from lambda_kit import (
    AsyncioExecutor,
    JobCancelledError,
    JobContext,
    JobFailedError,
    JobSettings,
    JobStatus,
    LambdaTool,
    MemoryJobStore,
    ThreadExecutor,
    ToolOptions,
)
from lambda_kit.core.errors import BadRequestError
from lambda_kit.core.model.job import FailureKind
from tests.core.lagging_store import HeldStore
from tests.core.running_tools import (
    LONG_SECONDS,
    Ask,
    AsyncDoor,
    DeafDoor,
    NotedSink,
    ThreadDoor,
    a_server,
    a_submission,
    statuses,
    submit,
    submit_and_wait,
    the_job,
    until,
)

BRIEF = ToolOptions(time_limit_seconds=0.05)


class BriefAsync(AsyncDoor):
    name, path, options = "brief_async", "/brief-async", BRIEF


class BriefThread(ThreadDoor):
    name, path, options = "brief_thread", "/brief-thread", BRIEF


class BriefDeaf(DeafDoor):
    name, path, options = "brief_deaf", "/brief-deaf", BRIEF


class Looks(LambdaTool):
    """Looks up only after it was told that its time is over"""

    options = BRIEF

    def __init__(self) -> None:
        self.door = threading.Event()
        self.seen: list[Any] = []

    def run(self, req: Ask, ctx: JobContext) -> str:
        self.seen.append(ctx.cancelled)
        self.door.wait(LONG_SECONDS)
        self.seen.append(ctx.cancelled)
        for call in (ctx.raise_if_cancelled, lambda: ctx.progress(1)):
            try:
                call()
            except JobCancelledError:
                self.seen.append("raised")
        self.seen.append("left")
        return "late"


class Swallows(LambdaTool):
    """Goes on when it is to end"""

    options = BRIEF

    def __init__(self) -> None:
        self.door = asyncio.Event()
        self.begun = self.swallowed = 0

    async def run(self, req: Ask) -> str:
        self.begun += 1
        while not self.door.is_set():
            try:
                await self.door.wait()
            except asyncio.CancelledError:
                self.swallowed += 1
        return "late"


@pytest.fixture
async def make() -> AsyncGenerator[Callable[[type[Any]], Any]]:
    """Makes tools whose doors are opened at the end: one that swallows each cancel would not let the loop end."""
    made: list[Any] = []

    def make_one(tool: type[Any]) -> Any:
        made.append(tool())
        return made[-1]

    yield make_one
    for tool in made:
        tool.door.set()


@pytest.mark.parametrize("tool", [BriefAsync, BriefThread, BriefDeaf, Swallows])
async def test_a_job_over_its_time_is_an_error_by_all_accounts(
    tool: type[Any], make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store, door, sink = MemoryJobStore(), make(tool), NotedSink()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, sinks=[sink]) as server:
        with pytest.raises(JobFailedError, match=r"time limit of 0\.05 s") as caught:
            await server.run_tool(door, Ask())
        assert (caught.value.status, caught.value.error_type) == ("error", "time-limit")
        job = await the_job(store)
        assert (job.status, job.failure and job.failure.kind) == (JobStatus.ERROR, FailureKind.TIME_LIMIT)
        assert job.finished_at is not None
        assert job.started_at is not None
        assert job.finished_at - job.started_at >= 0.05
        assert await statuses(store, job.id) == ["pending", "executing", "error"]
        await until(lambda: sink.ends)
        assert sink.ends[job.id] == (job, None)
        assert server._engine.statistics.tools[door.name].finished[JobStatus.ERROR] == 1
        door.door.set()
        await until(lambda: not any(server._engine.load().running.values()))
        assert await store.get(job.id) == job
        assert await store.get_result(job.id) is None
    (line,) = [record for record in caplog.records if record.name == "lambda_kit.job"]
    assert line.levelno == logging.ERROR
    assert f"of tool '{door.name}' error after" in line.getMessage()


async def test_an_async_tool_may_clean_up_when_its_time_is_over() -> None:
    door = BriefAsync()
    async with asyncio.timeout(LONG_SECONDS), a_server(door) as server:
        with pytest.raises(JobFailedError, match="time limit"):
            await server.run_tool(door, Ask())
        await until(lambda: door.cleaned)


async def test_a_thread_is_told_that_its_time_is_over_and_nothing_of_it_is_kept() -> None:
    store, tool = MemoryJobStore(), Looks()
    async with asyncio.timeout(LONG_SECONDS), a_server(tool, store=store) as server:
        with pytest.raises(JobFailedError, match="time limit"):
            await server.run_tool(tool, Ask())
        tool.door.set()
        await until(lambda: "left" in tool.seen)
        assert tool.seen == [False, True, "raised", "raised", "left"]
        await until(lambda: not any(server._engine.load().running.values()))
        page = await store.read_events((await the_job(store)).id)
        assert page is not None
        assert [event.status for event in page.events] == ["pending", "executing", "error"]


@pytest.mark.parametrize(
    ("tool", "executor"),
    [(BriefDeaf, ThreadExecutor(1)), (Swallows, AsyncioExecutor(max_concurrency=1))],
    ids=["thread", "asyncio"],
)
async def test_a_run_that_does_not_end_is_abandoned_counted_and_named(
    tool: type[Any], executor: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    door, next_door = make(tool), make(AsyncDoor if isinstance(executor, AsyncioExecutor) else ThreadDoor)
    next_door.door.set()
    server = a_server(door, next_door, executor=executor, settings=JobSettings(cancel_seconds=0.05))
    async with asyncio.timeout(LONG_SECONDS), server:
        with pytest.raises(JobFailedError, match="time limit") as caught:
            await server.run_tool(door, Ask())
        assert await server.run_tool(next_door, Ask(text="has its place")) == "has its place"
        await until(lambda: executor.stats().running == 0)
        assert (executor.stats().abandoned, executor.stats().abandoned_total) == (1, 1)
        assert any(caught.value.job_id in text and "abandoned" in text for text in caplog.messages)
        door.door.set()
        await until(lambda: executor.stats().abandoned == 0)
        assert executor.stats().abandoned_total == 1


@pytest.mark.parametrize("tool", [AsyncDoor, ThreadDoor])
async def test_a_limit_does_not_begin_before_the_job_does(tool: type[Any]) -> None:
    store, door, late = HeldStore("claim", "before"), tool(), asyncio.Event()
    server = a_server(door, store=store, has_to_wait=True)
    async with asyncio.timeout(LONG_SECONDS), server:
        submission = a_submission(server, door, "in time", time_limit_seconds=1.0)
        call = asyncio.create_task(submit_and_wait(server, submission, LONG_SECONDS))
        await store.has_come.wait()
        asyncio.get_running_loop().call_later(1.2, late.set)
        await late.wait()
        store.may_go.set()
        door.door.set()
        job = (await call).job
        assert job.status is JobStatus.SUCCEEDED
        assert job.started_at is not None
        assert job.started_at > job.requested_at + 1.0


async def test_a_cancel_that_is_under_way_ends_when_the_time_is_over(make: Any) -> None:
    store, door = MemoryJobStore(), make(Swallows)
    server = a_server(door, store=store, settings=JobSettings(cancel_seconds=2 * LONG_SECONDS))
    async with asyncio.timeout(LONG_SECONDS), server:
        submission = a_submission(server, door, time_limit_seconds=0.05)
        call = asyncio.create_task(submit_and_wait(server, submission, LONG_SECONDS))
        await until(lambda: door.begun)
        await server.cancel((await the_job(store)).id)
        assert (await call).job.status is JobStatus.CANCELLED  # it was asked for first
        assert door.swallowed == 1
        door.door.set()
        await until(lambda: not any(server._engine.load().running.values()))


async def test_a_job_over_its_time_is_not_run_again() -> None:
    class Again(BriefAsync):
        name, path, options = "again", "/again", ToolOptions(time_limit_seconds=0.02, max_attempts=3)

    door = Again()
    async with asyncio.timeout(LONG_SECONDS), a_server(door) as server:
        with pytest.raises(JobFailedError, match="time limit"):
            await server.run_tool(door, Ask())
        await until(lambda: not any(server._engine.load().running.values()))
    assert door.begun == 1


async def test_a_stop_does_not_wait_for_a_job_that_is_out_of_time() -> None:
    store, door = MemoryJobStore(), BriefDeaf()
    settings = JobSettings(cancel_seconds=0.05, grace_seconds=2 * LONG_SECONDS)
    server = a_server(door, store=store, settings=settings, executor=ThreadExecutor(1, stop_seconds=0.05))
    async with asyncio.timeout(LONG_SECONDS):
        async with server:
            await submit(server, a_submission(server, door))
            await until(door.begun.is_set)
        assert (await the_job(store)).status is JobStatus.ERROR
    door.door.set()


async def test_the_context_tells_the_deadline() -> None:
    class Tells(LambdaTool):
        options = ToolOptions(time_limit_seconds=30)
        deadline: float | None = None

        async def run(self, req: Ask, ctx: JobContext) -> str:
            self.deadline = ctx.deadline
            return ""

    store, tool = MemoryJobStore(), Tells()
    await a_server(tool, store=store).run_tool(tool, Ask())
    job = await the_job(store)
    assert job.started_at is not None
    assert tool.deadline == job.started_at + 30


@pytest.mark.parametrize(("asked", "limit"), [(None, 0.05), (0.05, 0.05), (0.01, 0.01)])
async def test_a_request_has_the_time_of_its_tool_or_less(asked: float | None, limit: float) -> None:
    door = BriefAsync()
    async with a_server(door) as server:
        job = await submit(server, a_submission(server, door, time_limit_seconds=asked))
        assert job.time_limit_seconds == limit


async def test_a_request_that_asks_for_more_time_than_its_tool_has_makes_no_job() -> None:
    store, door = MemoryJobStore(), BriefAsync()
    async with a_server(door, store=store) as server:
        with pytest.raises(BadRequestError, match=r"0\.06 s: tool 'brief_async' allows at most 0\.05 s"):
            await submit(server, a_submission(server, door, time_limit_seconds=0.06))
        assert (await store.list_jobs()).jobs == []
