"""A job's end is asked for: by a caller, by a cancelled call, by a stop."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another thread or task does it

import asyncio
import random
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from lambda_kit import (
    AsyncioExecutor,
    JobContext,
    JobFailedError,
    JobStatus,
    LambdaTool,
    MemoryJobStore,
    ThreadExecutor,
)
from tests.core.running_tools import (
    LONG_SECONDS,
    QUICK,
    Ask,
    AsyncDoor,
    DeafDoor,
    Request,
    ThreadDoor,
    a_server,
    a_submission,
    jobs_of,
    statuses,
    submit,
    the_job,
    until,
)


@pytest.mark.parametrize("tool", [AsyncDoor, ThreadDoor])
async def test_a_running_job_is_cancelled(tool: type[Any]) -> None:
    store, door = MemoryJobStore(), tool()
    server = a_server(door, store=store)
    async with server:
        call = asyncio.create_task(server.run_tool(door, Ask()))
        await until(lambda: door.begun)
        job_id = (await the_job(store)).id
        await server.cancel(job_id)
        await server.cancel(job_id)
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
        assert await statuses(store, job_id) == ["pending", "executing", "cancelled"]
        assert (await server.cancel(job_id)).status is JobStatus.CANCELLED
        assert getattr(door, "cleaned", 1) == 1
        assert getattr(door, "stopped", 1) == 1


@pytest.mark.parametrize(
    ("tool", "executor"),
    [(AsyncDoor, AsyncioExecutor(max_concurrency=1)), (ThreadDoor, ThreadExecutor(1))],
)
async def test_a_job_that_waits_is_cancelled_at_once_and_never_starts(tool: type[Any], executor: Any) -> None:
    store, door = MemoryJobStore(), tool()
    server = a_server(door, store=store, executor=executor)
    async with server:
        first = asyncio.create_task(server.run_tool(door, Ask(text="first")))
        await until(lambda: door.begun)
        second = asyncio.create_task(server.run_tool(door, Ask(text="second")))
        third = asyncio.create_task(server.run_tool(door, Ask(text="third")))
        while len(await jobs_of(store)) < 3:
            await asyncio.sleep(0)
        waiting = (await jobs_of(store))[1]
        assert (await server.cancel(waiting.id)).status is JobStatus.CANCELLED
        with pytest.raises(JobFailedError, match="cancelled"):
            await second
        door.door.set()
        assert (await first, await third) == ("first", "third")
        assert door.begun == 2
        assert await statuses(store, waiting.id) == ["pending", "cancelled"]


@pytest.mark.parametrize("tool", [AsyncDoor, ThreadDoor])
async def test_a_cancelled_call_cancels_its_job(tool: type[Any]) -> None:
    store, door = MemoryJobStore(), tool()
    server = a_server(door, store=store)
    call = asyncio.create_task(server.run_tool(door, Ask()))
    await until(lambda: door.begun)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await the_job(store)).status is JobStatus.CANCELLED


async def test_a_late_result_of_a_deaf_thread_does_not_overwrite_the_cancel() -> None:
    store, door = MemoryJobStore(), DeafDoor()
    server = a_server(door, store=store)
    async with server:
        call = asyncio.create_task(server.run_tool(door, Ask(text="late")))
        await until(door.begun.is_set)
        job = await server.cancel((await the_job(store)).id)
        assert (job.status, job.cancel_requested) == (JobStatus.EXECUTING, True)
        door.door.set()
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
        assert await store.get_result(job.id) is None


async def test_a_tool_that_swallows_its_cancel_is_cancelled_all_the_same() -> None:
    class Swallows(LambdaTool):
        begun = False

        async def run(self, req: Ask) -> str:
            Swallows.begun = True
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "I go on"
            return "never"

    store = MemoryJobStore()
    server = a_server(Swallows, store=store)
    async with server:
        call = asyncio.create_task(server.run_tool(Swallows, Ask()))
        await until(lambda: Swallows.begun)
        await server.cancel((await the_job(store)).id)
        with pytest.raises(JobFailedError, match="cancelled"):
            await call


async def test_a_tool_may_raise_cancelled_error_of_its_own_and_that_is_a_failure() -> None:
    class Inner(LambdaTool):
        async def run(self, req: Ask) -> str:
            task = asyncio.create_task(asyncio.Event().wait())
            await asyncio.sleep(0)
            task.cancel()
            await task
            return "never"

    store = MemoryJobStore()
    with pytest.raises(JobFailedError, match="CancelledError"):
        await a_server(Inner, store=store).run_tool(Inner, Ask())
    assert (await the_job(store)).status is JobStatus.FAILED


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_async", [True, False])
async def test_races_of_cancel_and_completion_end_in_one_story(seed: int, is_async: bool) -> None:
    choice = random.Random(seed)

    class Races(LambdaTool):
        async def run(self, req: Ask, ctx: JobContext) -> str:
            for n in range(int(req.text)):
                ctx.progress(n)
                await asyncio.sleep(0)
            ctx.progress(-1)
            return "done"

    class RacesOnThread(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> str:
            for n in range(int(req.text) * 5):
                ctx.progress(n)
            return "done"

    tool = Races if is_async else RacesOnThread
    store = MemoryJobStore()
    server = a_server(tool, store=store)
    async with server, asyncio.timeout(LONG_SECONDS):
        for _ in range(40):
            known = {job.id for job in await jobs_of(store)}
            call = asyncio.create_task(server.run_tool(tool, Ask(text=str(choice.randrange(6)))))
            while not (new := {job.id for job in await jobs_of(store)} - known):
                await asyncio.sleep(0)
            (job_id,) = new
            for _ in range(choice.randrange(14)):
                await asyncio.sleep(0)
            await server.cancel(job_id)
            await asyncio.wait([call])
            answer = call.exception() or call.result()
            job = await store.get(job_id)
            assert job is not None
            assert (await statuses(store, job_id))[-1] is job.status
            if job.status is JobStatus.SUCCEEDED:
                assert answer == "done"
            else:
                assert job.status is JobStatus.CANCELLED
                assert isinstance(answer, JobFailedError)
                assert answer.status == "cancelled"
    assert not any(job.status in ("pending", "executing") for job in await jobs_of(store))


async def test_a_stop_leaves_no_job_without_an_end() -> None:
    store = MemoryJobStore()
    doors: list[AsyncDoor | ThreadDoor] = [AsyncDoor(), ThreadDoor()]
    server = a_server(
        *doors, store=store, settings=QUICK, executor=[AsyncioExecutor(max_concurrency=1), ThreadExecutor(1)]
    )
    async with server:
        for door in doors:
            for _ in range(3):
                await submit(server, _submission(server, door))
        await until(lambda: all(door.begun for door in doors))
    jobs = await jobs_of(store)
    assert [job.status for job in jobs] == [JobStatus.CANCELLED] * 6
    assert [door.begun for door in doors] == [1, 1]


def _submission(server: Any, door: LambdaTool) -> Request:
    return a_submission(server, door)


async def test_a_stop_does_not_wait_for_a_deaf_thread_for_ever() -> None:
    store, door = MemoryJobStore(), DeafDoor()
    server = a_server(door, store=store, settings=QUICK, executor=ThreadExecutor(1, stop_seconds=0.05))
    async with asyncio.timeout(LONG_SECONDS):
        async with server:
            await submit(server, _submission(server, door))
            await until(door.begun.is_set)
        job = await the_job(store)
        assert job.status in (JobStatus.CANCELLED, JobStatus.ERROR)
        door.door.set()
        await until(door.left.is_set)
    assert await store.get(job.id) == job
    async with server:  # and it can be used again
        assert await server.run_tool(door, Ask(text="again")) == "again"


async def test_a_stop_does_not_wait_for_ever_for_an_async_tool_that_swallows_every_cancel() -> None:
    may_go = asyncio.Event()

    class Stubborn(LambdaTool):
        begun = False

        async def run(self, req: Ask) -> str:
            Stubborn.begun = True
            while not may_go.is_set():
                try:
                    await may_go.wait()
                except asyncio.CancelledError:
                    continue
            return "at last"

    store = MemoryJobStore()
    executor = AsyncioExecutor(stop_seconds=0.05)
    server = a_server(Stubborn, store=store, settings=QUICK, executor=executor)
    try:
        async with asyncio.timeout(LONG_SECONDS), server:
            await submit(server, _submission(server, next(iter(server.tools.values())).tool))
            await until(lambda: Stubborn.begun)
        job = await the_job(store)
    finally:  # else the event loop of this test would not end
        may_go.set()
    assert job.status in (JobStatus.CANCELLED, JobStatus.ERROR)
    async with asyncio.timeout(LONG_SECONDS), server:  # and it can be used again
        assert await server.run_tool(Stubborn, Ask()) == "at last"
    assert await store.get(job.id) == job
    assert await store.get_result(job.id) is None


@pytest.mark.processes
def test_a_process_with_a_deaf_tool_exits() -> None:
    program = textwrap.dedent(
        """
        import asyncio, threading
        from pydantic import BaseModel
        from lambda_kit import JobSettings, LambdaTool, Service, ThreadExecutor, ToolServer

        class Ask(BaseModel):
            text: str = ""

        begun = threading.Event()

        class Deaf(LambdaTool):
            def run(self, req: Ask) -> str:
                begun.set()
                threading.Event().wait()
                return "never"

        async def main():
            server = ToolServer(
                Service(name="x", contact={"name": "x", "email": "x@example.com"}), tools=[Deaf],
                settings=JobSettings(grace_seconds=0.05), executor=ThreadExecutor(1, stop_seconds=0.05),
            )
            call = asyncio.create_task(server.run_tool(Deaf, Ask()))
            while not begun.is_set():
                await asyncio.sleep(0.005)
            call.cancel()
            try:
                await call
            except asyncio.CancelledError:
                print("stopped", flush=True)

        asyncio.run(main())
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG_SECONDS, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "stopped\n"), ended.stderr
    assert "did not stop when asked to" in ended.stderr
