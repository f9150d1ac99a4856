"""A cancel, a time limit, a completion and a stop may meet at any point of a job: one of them is its end."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from lambda_kit import AsyncioExecutor, JobContext, JobFailedError, JobSettings, JobStatus, LambdaTool, ThreadExecutor
from lambda_kit.core.model.job import FINAL_STATUSES
from tests.core.lagging_store import HeldStore, LaggingStore
from tests.core.running_tools import (
    LONG_SECONDS,
    Ask,
    AsyncDoor,
    NotedSink,
    ThreadDoor,
    a_server,
    a_submission,
    jobs_of,
    statuses,
    submit,
    submit_and_wait,
    the_job,
    until,
)

JOBS = 50


class OnLoop(LambdaTool):
    """Takes some turns"""

    async def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(int(req.text)):
            ctx.progress(n)
            await asyncio.sleep(0)
        return "done"


class OnThread(LambdaTool):
    """Makes some reports"""

    def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(int(req.text)):
            ctx.progress(n)
        return "done"


class Careless(LambdaTool):
    """Takes some turns, whatever it is told"""

    async def run(self, req: Ask) -> str:
        for _ in range(int(req.text)):
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                continue
        return "done"


def is_at_rest(server: Any) -> bool:
    """Whether nothing is left of any job but its record."""
    load = server._engine.load()
    return not any(load.running.values()) and not any(load.queued.values()) and len(list(server._engine.table)) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_meets_a_job_has_one_end_by_all_accounts(seed: int) -> None:
    choice = random.Random(seed)
    ends: Counter[JobStatus] = Counter()

    async def lag(_method: str, _when: str) -> None:
        for _ in range(choice.choice([0, 0, 0, 1, 3, 10])):
            await asyncio.sleep(0)

    store, sink = LaggingStore(lag), NotedSink()
    server = a_server(
        OnLoop,
        OnThread,
        Careless,
        store=store,
        sinks=[sink],
        executor=[AsyncioExecutor(max_concurrency=3), ThreadExecutor(2)],
        settings=JobSettings(cancel_seconds=0.05),
    )

    async def play(number: int) -> None:
        limit = choice.choice([None, None, 0.0005, 0.002])
        text = str(choice.choice([0, 1, 2, 5, 20, 100]))
        submission = a_submission(
            server,
            choice.choice([OnLoop, OnThread, Careless]),
            text,
            job_id=f"job-{number}",
            time_limit_seconds=limit,
        )
        call = asyncio.create_task(submit_and_wait(server, submission, LONG_SECONDS))
        for _ in range(choice.randrange(40)):
            await asyncio.sleep(0)
        said = None
        if await store.get(f"job-{number}") is not None and choice.random() < 0.8:
            said = await server.cancel(f"job-{number}")
        settled = await call
        assert settled.job == await store.get(f"job-{number}")
        assert (settled.result is not None) is (settled.job.status is JobStatus.SUCCEEDED)
        if said is not None and said.status in FINAL_STATUSES:
            assert said == settled.job
        elif said is not None:
            assert settled.job.status is JobStatus.CANCELLED
        told = await statuses(store, f"job-{number}")
        assert told[-1] is settled.job.status
        assert sum(status in FINAL_STATUSES for status in told) == 1
        ends[settled.job.status] += 1

    async with asyncio.timeout(LONG_SECONDS), server:
        await asyncio.gather(*(play(number) for number in range(JOBS)))
        await until(lambda: is_at_rest(server))
        await until(lambda: len(sink.ends) == JOBS)
        assert Counter(job.status for job, _ in sink.ends.values()) == ends
        assert ends.total() == JOBS
        assert len(ends) > 1, "these were no races"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("tool", [AsyncDoor, ThreadDoor])
async def test_a_job_that_is_being_claimed_can_be_cancelled_and_never_runs(tool: type[Any], when: str) -> None:
    store, door = HeldStore("claim", when), tool()
    server = a_server(door, store=store, has_to_wait=True)
    async with asyncio.timeout(LONG_SECONDS), server:
        call = asyncio.create_task(server.run_tool(door, Ask()))
        await store.has_come.wait()
        job = await server.cancel((await the_job(store)).id)
        assert job.status is (JobStatus.CANCELLED if when == "before" else JobStatus.EXECUTING)
        store.may_go.set()
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
        assert door.begun == 0
        told = ["pending", "cancelled"] if when == "before" else ["pending", "executing", "cancelled"]
        assert await statuses(store, job.id) == told
        await until(lambda: is_at_rest(server))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("tool", [AsyncDoor, ThreadDoor])
async def test_a_job_that_is_being_made_can_be_cancelled_and_never_runs(tool: type[Any], when: str) -> None:
    store, door = HeldStore("create", when), tool()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store) as server:
        submission = a_submission(server, door, job_id="mine")
        call = asyncio.create_task(submit_and_wait(server, submission, LONG_SECONDS))
        await store.has_come.wait()
        cancel = asyncio.create_task(server.cancel("mine"))
        await asyncio.sleep(0)
        store.may_go.set()
        await cancel
        assert (await call).job.status is JobStatus.CANCELLED
        assert door.begun == 0
        assert await statuses(store, "mine") == ["pending", "executing", "cancelled"]
        await until(lambda: is_at_rest(server))


@pytest.mark.parametrize("tool", [OnLoop, OnThread])
async def test_a_cancel_wins_while_the_result_is_on_its_way_to_the_store(tool: type[LambdaTool]) -> None:
    store = HeldStore("finish", "before")
    async with asyncio.timeout(LONG_SECONDS), a_server(tool, store=store) as server:
        call = asyncio.create_task(server.run_tool(tool, Ask(text="0")))
        await store.has_come.wait()
        job = await server.cancel((await the_job(store)).id)
        assert (job.status, job.cancel_requested) == (JobStatus.EXECUTING, True)
        store.may_go.set()
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
        assert await statuses(store, job.id) == ["pending", "executing", "cancelled"]
        assert await store.get_result(job.id) is None


@pytest.mark.parametrize("tool", [OnLoop, OnThread])
async def test_a_cancel_loses_once_the_result_is_in_the_store(tool: type[LambdaTool]) -> None:
    store = HeldStore("finish", "after")
    async with asyncio.timeout(LONG_SECONDS), a_server(tool, store=store) as server:
        call = asyncio.create_task(server.run_tool(tool, Ask(text="0")))
        await store.has_come.wait()
        job = await server.cancel((await the_job(store)).id)
        assert job.status is JobStatus.SUCCEEDED
        store.may_go.set()
        assert await call == "done"
        assert await statuses(store, job.id) == ["pending", "executing", "succeeded"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_time_that_runs_out_while_the_result_is_on_its_way_is_not_held_against_the_job(when: str) -> None:
    store = HeldStore("finish", when)
    async with asyncio.timeout(LONG_SECONDS), a_server(OnLoop, store=store) as server:
        submission = a_submission(server, OnLoop, "0", time_limit_seconds=0.05)
        call = asyncio.create_task(submit_and_wait(server, submission, LONG_SECONDS))
        await store.has_come.wait()
        out_of_time = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, out_of_time.set)
        await out_of_time.wait()
        store.may_go.set()
        assert (await call).job.status is JobStatus.SUCCEEDED


async def test_a_stop_does_not_lose_an_end_that_is_on_its_way_to_the_store() -> None:
    store, door = HeldStore("finish", "before"), AsyncDoor()
    server = a_server(door, store=store)
    async with asyncio.timeout(LONG_SECONDS):
        async with server:
            await submit(server, a_submission(server, door, time_limit_seconds=0.01))
            await store.has_come.wait()  # with the end of a job that is out of time
            door.door.set()  # and now it ends by itself
            await until(lambda: is_at_rest(server))
            asyncio.get_running_loop().call_later(0.05, store.may_go.set)
        (job,) = await jobs_of(store)
    assert (job.status, job.failure and job.failure.type) == (JobStatus.ERROR, "time-limit")


async def test_a_cancelled_call_whose_job_is_being_made_leaves_none_behind() -> None:
    store, door = HeldStore("create", "after"), AsyncDoor()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store) as server:
        call = asyncio.create_task(server.run_tool(door, Ask()))
        await store.has_come.wait()
        call.cancel()
        store.may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: is_at_rest(server))
        assert [job.status for job in await jobs_of(store)] in ([], [JobStatus.CANCELLED])
        assert door.begun == 0
