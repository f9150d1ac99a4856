"""What a store has done without saying so is neither lost nor done twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lambda_kit import AsyncioExecutor, JobContext, JobSettings, JobStatus, LambdaTool, ToolOptions
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.model.job import Failure, FailureKind
from tests.core.flaky_store import FlakyStore
from tests.core.running_tools import (
    LONG_SECONDS,
    Ask,
    AsyncDoor,
    a_server,
    a_submission,
    statuses,
    submit,
    submit_and_wait,
    until,
)

SOON = JobSettings(heartbeat_seconds=0.1, lease_seconds=1000.0, grace_seconds=0.0)


@pytest.fixture
def store(tmp_path: Path) -> FlakyStore:
    return FlakyStore(tmp_path / "jobs.db")


class Counts(LambdaTool):
    """Counts its runs, and says that it runs"""

    options = ToolOptions(max_concurrency=1)

    def __init__(self) -> None:
        self.runs: list[str] = []

    async def run(self, req: Ask, ctx: JobContext) -> str:
        self.runs.append(req.text)
        ctx.progress(1, 2)
        await asyncio.sleep(0)
        ctx.progress(2, 2)
        return req.text


@pytest.mark.parametrize("has_to_wait", [False, True])
@pytest.mark.parametrize(
    "method",
    ["claim", "renew", "finish", "append_events", "heartbeat", "acquire_slot", "release_slot", "purge", "reap"],
)
async def test_a_job_runs_once_though_an_answer_is_lost(store: FlakyStore, method: str, has_to_wait: bool) -> None:
    tool = Counts()
    server = a_server(tool, store=store, settings=SOON, has_to_wait=has_to_wait)
    async with asyncio.timeout(LONG_SECONDS), server:
        store.lost[method] = 2
        assert [await server.run_tool(tool, Ask(text=text)) for text in "abc"] == ["a", "b", "c"]
        assert tool.runs == ["a", "b", "c"]
        for job in (await store.list_jobs()).jobs:
            assert job.status is JobStatus.SUCCEEDED
            assert await statuses(store, job.id) == ["pending", "executing", "succeeded"]
            page = await store.read_events(job.id)
            assert page is not None
            assert [event.seq for event in page.events] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("has_to_wait", [False, True])
async def test_a_job_that_was_made_without_an_answer_is_run(store: FlakyStore, has_to_wait: bool) -> None:
    tool = Counts()
    server = a_server(tool, store=store, settings=SOON, has_to_wait=has_to_wait)
    async with asyncio.timeout(LONG_SECONDS), server:
        store.lost["create"] = 1
        with pytest.raises(UnavailableError):
            await submit(server, a_submission(server, tool, "once", job_id="mine"))
        assert (await server.jobs.wait("mine", wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        assert tool.runs == ["once"]


@pytest.mark.parametrize("has_to_wait", [False, True])
async def test_who_asks_again_gets_the_job_that_was_made_without_an_answer(
    store: FlakyStore, has_to_wait: bool
) -> None:
    tool = Counts()
    settings = JobSettings(heartbeat_seconds=900.0, lease_seconds=1000.0)
    server = a_server(tool, store=store, settings=settings, has_to_wait=has_to_wait)
    async with asyncio.timeout(LONG_SECONDS), server:
        for text in ("first", "second"):
            store.lost["create"] = 1
            submission = a_submission(server, tool, text, idempotency_key=text)
            with pytest.raises(UnavailableError):
                await submit(server, submission)
            assert (await submit_and_wait(server, submission, LONG_SECONDS)).result is not None
        assert tool.runs == ["first", "second"]
        assert len((await store.list_jobs()).jobs) == 2


async def test_a_job_that_another_process_has_acknowledged_is_run(store: FlakyStore, tmp_path: Path) -> None:
    tool, other_tool = Counts(), Counts()
    other = a_server(other_tool, store=FlakyStore(tmp_path / "jobs.db"), settings=SOON)
    async with asyncio.timeout(LONG_SECONDS), a_server(tool, store=store, settings=SOON) as server, other:
        store.lost["create"] = 1
        submission = a_submission(server, tool, "once", job_id="mine")
        with pytest.raises(UnavailableError):
            await submit(server, submission)
        settled = await submit_and_wait(other, a_submission(other, other_tool, "once", job_id="mine"), 20.0)
        assert settled.job.status is JobStatus.SUCCEEDED
        assert (tool.runs, other_tool.runs) == (["once"], [])


@pytest.mark.parametrize("has_to_wait", [False, True])
async def test_a_job_whose_caller_left_while_it_was_made_does_not_wait_for_ever(
    store: FlakyStore, has_to_wait: bool
) -> None:
    tool = Counts()
    server = a_server(tool, store=store, settings=SOON, has_to_wait=has_to_wait)
    async with asyncio.timeout(LONG_SECONDS), server:
        call = asyncio.create_task(submit(server, a_submission(server, tool, "once", job_id="mine")))
        await until(lambda: store.calls["create"])
        call.cancel()
        await asyncio.wait([call])
        while await store.get("mine") is None:  # noqa: ASYNC110 - it is still being made, by the store's thread
            await asyncio.sleep(0)
        assert (await server.jobs.wait("mine", wait_seconds=LONG_SECONDS)).job.status.is_final


class LosesItsWorker(LambdaTool):
    """Its first run is lost"""

    options = ToolOptions(max_attempts=2)

    async def run(self, req: Ask, ctx: JobContext) -> int:
        return ctx.attempt


async def test_a_job_that_was_handed_back_without_an_answer_is_run_again(store: FlakyStore) -> None:
    def loses_the_first(executor: Any) -> Any:
        invoke, is_first = executor._invoke, [True]

        async def lossy(run: Any) -> Any:
            outcome = await invoke(run)
            return Failure(FailureKind.WORKER_LOST, "worker-lost", "gone") if is_first and is_first.pop() else outcome

        executor._invoke = lossy
        return executor

    server = a_server(LosesItsWorker, store=store, executor=loses_the_first(AsyncioExecutor()), has_to_wait=True)
    async with asyncio.timeout(LONG_SECONDS), server:
        store.lost["release"] = 1
        assert await server.run_tool(LosesItsWorker, Ask()) == 2


async def test_a_wait_that_can_not_be_begun_leaves_no_waiter(store: FlakyStore) -> None:
    door = AsyncDoor()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=SOON) as server:
        submission = a_submission(server, door, "x", job_id="mine")
        await submit(server, submission)
        for _ in range(3):
            store.errors["get"] = [None, UnavailableError("away")]
            with pytest.raises(UnavailableError):
                await submit_and_wait(server, submission, LONG_SECONDS)
        assert server._engine.waiters._by_job == {}
        door.door.set()


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_job_whose_end_the_store_refuses_has_failed_and_is_not_run_again(
    store: FlakyStore, attempts: int
) -> None:
    class Once(Counts):
        options = ToolOptions(max_attempts=attempts)

    tool = Once()
    async with asyncio.timeout(LONG_SECONDS), a_server(tool, store=store, settings=SOON) as server:
        store.errors["finish"] = [ZeroDivisionError("the store is broken")]
        settled = await submit_and_wait(server, a_submission(server, tool, "x", job_id="mine"), LONG_SECONDS)
        assert settled.job.failure is not None
        assert (settled.job.status, settled.job.failure.type) == (JobStatus.FAILED, "result-not-kept")
        assert "broken" not in settled.job.failure.message
        assert tool.runs == ["x"]
