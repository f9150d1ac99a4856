"""What is over a limit is refused before there is a job, and leaves nothing behind."""

import asyncio
from typing import Any

import pytest

from lambda_kit import (
    AsyncioExecutor,
    ConfigurationError,
    Executor,
    ExecutorOpts,
    JobSettings,
    JobStatus,
    LambdaTool,
    MemoryJobStore,
    QueueFullError,
    RequestValidationError,
    ThreadExecutor,
    ToolDefinitionError,
    ToolOptions,
)
from tests.core.lagging_store import HeldStore
from tests.core.running_tools import (
    LONG_SECONDS,
    Ask,
    AsyncDoor,
    NotedSink,
    ThreadDoor,
    a_server,
    a_submission,
    jobs_of,
    submit,
    submit_and_wait,
    until,
)


class Two(AsyncDoor):
    """One runs, two wait"""

    name, path, options = "two", "/two", ToolOptions(max_concurrency=1, max_queue=2)


class TwoOnThread(ThreadDoor):
    """One runs, two wait"""

    name, path, options = "two_on_thread", "/two-on-thread", ToolOptions(max_concurrency=1, max_queue=2)


class PoolOfTwo(ThreadDoor):
    """Two run, one waits"""

    name, path = "pool_of_two", "/pool-of-two"
    options = ToolOptions(max_queue=1, executor_opts=ExecutorOpts(max_workers=2))


async def fill(server: Any, tool: Any, count: int) -> list[asyncio.Task[Any]]:
    """That many calls, each of whose jobs was accepted."""
    before = server._engine.statistics.tools[tool.name].submitted
    calls = [asyncio.create_task(server.run_tool(tool, Ask(text=str(n)))) for n in range(count)]
    await until(lambda: server._engine.statistics.tools[tool.name].submitted == before + count)
    return calls


@pytest.mark.parametrize("tool", [Two, TwoOnThread, PoolOfTwo])
async def test_a_tool_has_room_for_those_that_run_and_those_that_may_wait(tool: type[Any]) -> None:
    store, door, sink = MemoryJobStore(), tool(), NotedSink()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, sinks=[sink]) as server:
        calls = await fill(server, door, 3)
        with pytest.raises(QueueFullError, match=f"tool '{door.name}'") as caught:
            await server.run_tool(door, Ask(text="too many"))
        assert caught.value.retry_after_seconds >= 1
        assert len(await jobs_of(store)) == 3
        door.door.set()
        assert await asyncio.gather(*calls) == ["0", "1", "2"]
        assert await server.run_tool(door, Ask(text="later")) == "later"
        await until(lambda: len(sink.ends) == 4)
        counted = server._engine.statistics.tools[door.name]
        assert (counted.submitted, counted.rejected) == (4, 1)


@pytest.mark.parametrize("end", ["cancelled while it runs", "cancelled while it waits", "out of time"])
async def test_however_a_job_ends_it_makes_room(end: str) -> None:
    door = Two()
    async with asyncio.timeout(LONG_SECONDS), a_server(door) as server:
        limit = 0.05 if end == "out of time" else None
        jobs = [await submit(server, a_submission(server, door, time_limit_seconds=limit)) for _ in range(3)]
        await until(lambda: door.begun == 1)
        if end == "cancelled while it runs":
            await server.cancel(jobs[0].id)
        elif end == "cancelled while it waits":
            await server.cancel(jobs[1].id)
        await until(lambda: server._engine.statistics.tools["two"].duration.total_seconds or end.endswith("waits"))
        await submit(server, a_submission(server, door))
        door.door.set()


async def test_a_request_that_does_not_fit_is_told_so_while_the_queue_is_full() -> None:
    door = Two()
    async with asyncio.timeout(LONG_SECONDS), a_server(door) as server:
        calls = await fill(server, door, 3)
        with pytest.raises(RequestValidationError):
            await server.run_tool(door, {"text": 5})
        door.door.set()
        await asyncio.gather(*calls)


async def test_a_known_request_attaches_while_the_queue_is_full() -> None:
    store, door = MemoryJobStore(), Two()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store) as server:
        first = await submit(server, a_submission(server, door, "a", job_id="a"))
        for n in range(2):
            await submit(server, a_submission(server, door, str(n)))
        assert (await submit(server, a_submission(server, door, "a", job_id="a"))).id == first.id
        with pytest.raises(QueueFullError):
            await submit(server, a_submission(server, door, "b", job_id="b"))
        assert await store.get("b") is None
        door.door.set()
        settled = await submit_and_wait(server, a_submission(server, door, "a", job_id="a"), LONG_SECONDS)
        assert settled.job.status is JobStatus.SUCCEEDED
        assert (await submit(server, a_submission(server, door, "another", job_id="b"))).id == "b"


@pytest.mark.parametrize("max_concurrency", [None, 1, 2])
async def test_a_server_has_limits_for_all_its_tools_together(max_concurrency: int | None) -> None:
    store = MemoryJobStore()
    doors: list[AsyncDoor | ThreadDoor] = [AsyncDoor(), ThreadDoor()]
    settings = JobSettings(max_concurrency=max_concurrency, max_queue=3)
    async with asyncio.timeout(LONG_SECONDS), a_server(*doors, store=store, settings=settings) as server:
        room = 3 + (max_concurrency or 0)
        jobs = [await submit(server, a_submission(server, doors[n % 2])) for n in range(room)]
        await until(lambda: sum(door.begun for door in doors) == (max_concurrency or room))
        for door in doors:
            with pytest.raises(QueueFullError, match=f"the service has {room} jobs"):
                await server.run_tool(door, Ask())
        assert len(await jobs_of(store)) == room
        await server.cancel(jobs[-1].id)
        await until(lambda: sum(server._engine.load().running.values()) <= (max_concurrency or room - 1))
        await submit(server, a_submission(server, doors[0]))
        for door in doors:
            door.door.set()


async def test_requests_that_are_still_being_taken_count_too() -> None:
    store, door = HeldStore("create", "before"), AsyncDoor()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=JobSettings(max_queue=2)) as server:
        submits = [asyncio.create_task(submit(server, a_submission(server, door))) for _ in range(5)]
        await until(lambda: sum(task.done() for task in submits) == 3)
        store.may_go.set()
        answers = await asyncio.gather(*submits, return_exceptions=True)
        assert sum(isinstance(answer, QueueFullError) for answer in answers) == 3
        assert len(await jobs_of(store)) == 2
        door.door.set()


async def test_a_request_whose_caller_has_left_does_not_count_for_ever() -> None:
    store, door = HeldStore("create", "before"), AsyncDoor()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=JobSettings(max_queue=1)) as server:
        leaving = asyncio.create_task(submit(server, a_submission(server, door)))
        await store.has_come.wait()
        leaving.cancel()
        await asyncio.wait([leaving])
        store.may_go.set()
        door.door.set()
        await until(lambda: server._engine.load().running == {"async_door": 0})  # it was made all the same
        assert await server.run_tool(door, Ask(text="there is room")) == "there is room"


@pytest.mark.parametrize("tool", [Two, TwoOnThread])
async def test_when_to_come_again_is_estimated_from_what_has_run(tool: type[Any]) -> None:
    door = tool()

    async def told() -> float:
        with pytest.raises(QueueFullError) as caught:
            await server.run_tool(door, Ask())
        return caught.value.retry_after_seconds

    async with asyncio.timeout(LONG_SECONDS), a_server(door) as server:
        calls = await fill(server, door, 3)
        assert 1 <= await told() <= 2  # nothing is known yet
        door.door.set()
        await asyncio.gather(*calls)
        door.door.clear()
        for seconds, least, most in [(30.0, 25, 30), (3000.0, 600, 600), (0.01, 1, 1)]:
            server._engine.statistics.tools[door.name].mean_seconds = seconds
            calls = await fill(server, door, 3)
            assert least <= await told() <= most
            door.door.set()
            await asyncio.gather(*calls)
            door.door.clear()


@pytest.mark.parametrize(
    ("executor", "options"),
    [
        ([AsyncioExecutor(max_concurrency=2)], ToolOptions()),
        ([AsyncioExecutor()], ToolOptions(max_concurrency=2)),
        ([AsyncioExecutor(max_concurrency=2)], ToolOptions(max_concurrency=5)),
        ([], ToolOptions(executor_opts=ExecutorOpts(max_workers=2))),
        ([ThreadExecutor(2)], ToolOptions(executor="thread")),
        ([ThreadExecutor(5)], ToolOptions(executor="thread", max_concurrency=2)),
    ],
)
async def test_no_more_jobs_run_at_once_than_may(executor: list[Executor], options: ToolOptions) -> None:
    now, most = 0, 0
    chosen = options

    class Counts(LambdaTool):
        options = chosen

        async def run(self, req: Ask) -> str:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1
            return req.text

    async with asyncio.timeout(LONG_SECONDS), a_server(Counts, executor=executor) as server:
        results = await asyncio.gather(*(server.run_tool(Counts, Ask(text=str(n))) for n in range(30)))
    assert results == [str(n) for n in range(30)]
    assert most == 2


def test_limits_that_leave_room_for_no_job_are_refused() -> None:
    class Never(AsyncDoor):
        name, path, options = "never", "/never", ToolOptions(max_queue=0)

    with pytest.raises(ToolDefinitionError, match=r"Never.*max_queue=0.*max_concurrency"):
        a_server(Never)
    with pytest.raises(ConfigurationError, match=r"JobSettings\(max_queue=0\).*max_concurrency"):
        JobSettings(max_queue=0)
    assert JobSettings(max_queue=0, max_concurrency=1).max_unfinished == 1
