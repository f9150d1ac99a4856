"""What meets in the engine at the wrong moment loses no job, no place and no cancel."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lambda_kit import AsyncioExecutor, Job, JobSettings, JobStatus, MemoryJobStore, ToolOptions
from lambda_kit.core.errors import StoreError, UnavailableError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.executor import Run
from lambda_kit.core.ports.store import Claim, Created
from tests.core.flaky_store import FlakyStore
from tests.core.running_tools import (
    LONG_SECONDS,
    AsyncDoor,
    a_server,
    a_submission,
    submit,
    submit_and_wait,
    until,
)

SOON = JobSettings(heartbeat_seconds=0.05, lease_seconds=1000.0, grace_seconds=0.0, cancel_seconds=0.05)


class SlowStore(MemoryJobStore):
    """Takes its time for each answer, as one over a network does."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False

    async def get(self, job_id: str) -> Job | None:
        await asyncio.sleep(0)
        return await super().get(job_id)

    async def create(self, job: Job, request: Payload, **how: Any) -> Created:
        for _ in range(5):
            await asyncio.sleep(0)
        if self.is_away:
            raise UnavailableError("away")
        return await super().create(job, request, **how)


async def test_two_requests_with_one_new_id_are_one_job_that_is_looked_after() -> None:
    door = AsyncDoor()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=SlowStore()) as server:
        calls = [
            asyncio.create_task(submit_and_wait(server, a_submission(server, door, "a", job_id="mine"), LONG_SECONDS))
            for _ in range(3)
        ]
        await until(lambda: door.begun)
        local = server._engine.table.get("mine")
        assert local is not None
        assert local.run is not None
        door.door.set()
        results = [await call for call in calls]
        assert [result.result and result.result.content for result in results] == [b"a"] * 3
        assert door.begun == 1
        assert server._engine.statistics.tools[door.name].finished[JobStatus.SUCCEEDED] == 1


async def test_requests_with_one_id_while_the_store_is_away_leave_the_count_of_jobs_right() -> None:
    door, store = AsyncDoor(), SlowStore()
    settings = JobSettings(heartbeat_seconds=0.05, lease_seconds=1000.0, max_queue=3, grace_seconds=0.0)
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=settings) as server:
        store.is_away = True
        for _ in range(3):
            calls = [
                asyncio.create_task(submit(server, a_submission(server, door, "a", job_id="mine"))) for _ in range(2)
            ]
            for call in calls:
                with pytest.raises(UnavailableError):
                    await call
        assert len(server._engine.table) == 0
        store.is_away = False
        door.door.set()
        answer = await submit_and_wait(server, a_submission(server, door, "a", job_id="mine"), LONG_SECONDS)
        assert answer.job.status is JobStatus.SUCCEEDED
        await until(lambda: not list(server._engine.table))


async def test_who_asks_again_with_the_same_id_gets_the_job_whose_answer_was_lost(tmp_path: Path) -> None:
    door, store = AsyncDoor(), FlakyStore(tmp_path / "jobs.db")
    seldom = JobSettings(heartbeat_seconds=900.0, lease_seconds=1000.0, grace_seconds=0.0)
    door.door.set()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=seldom) as server:
        store.lost["create"] = 1
        submission = a_submission(server, door, "a", job_id="mine")
        with pytest.raises(UnavailableError):
            await submit(server, submission)
        assert (await submit_and_wait(server, submission, LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        assert door.begun == 1


class BrokenOnce(MemoryJobStore):
    """Its first claim fails in a way that no store should."""

    claims = 0

    async def claim(self, job_id: str, **how: Any) -> Claim | None:
        self.claims += 1
        if self.claims == 1:
            raise StoreError("a record that can't be read")
        return await super().claim(job_id, **how)


async def test_a_job_whose_claim_fails_is_tried_again() -> None:
    door, store = AsyncDoor(), BrokenOnce()
    door.door.set()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=SOON, has_to_wait=True) as server:
        answer = await submit_and_wait(server, a_submission(server, door, "a"), LONG_SECONDS)
        assert answer.job.status is JobStatus.SUCCEEDED
        assert store.claims == 2


class Full(AsyncDoor):
    options = ToolOptions(max_concurrency=2)


async def test_a_slot_that_another_process_has_is_asked_for_by_one_question_at_a_time(tmp_path: Path) -> None:
    store = FlakyStore(tmp_path / "jobs.db")
    tools, asking, most = [Full(), Full()], 0, 0
    holders: set[str] = set()
    original = store.acquire_slot

    async def counted(name: str, holder: str, **how: Any) -> bool:
        nonlocal asking, most
        if holder in holders:  # it is renewed
            return await original(name, holder, **how)
        holders.add(holder)
        asking += 1
        most = max(most, asking)
        try:
            return await original(name, holder, **how)
        finally:
            asking -= 1

    store.acquire_slot = counted  # type: ignore[method-assign]
    servers = [
        a_server(tools[0], store=store, settings=SOON),
        a_server(tools[1], store=FlakyStore(tmp_path / "jobs.db"), settings=SOON),
    ]
    async with asyncio.timeout(LONG_SECONDS), servers[0], servers[1]:
        jobs = [(server, await submit(server, a_submission(server, tool, str(n))))
                for n in range(6) for server, tool in zip(servers, tools, strict=True)]  # fmt: skip
        tools[0].door.set()
        tools[1].door.set()
        for server, job in jobs:
            assert (await server.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        lane = servers[0]._engine.scheduler.lane_of(tools[0].name)
        assert not lane.is_acquiring
        assert most == 1


class Unkillable(AsyncioExecutor):
    """Can't end what it runs, and says so loudly."""

    async def cancel(self, run: Run) -> None:
        raise OSError("no signal")

    async def kill(self, run: Run) -> None:
        raise OSError("no signal")


async def test_an_executor_that_can_not_end_a_run_does_not_keep_its_place() -> None:
    door = AsyncDoor()
    executor = Unkillable(stop_seconds=0.05)
    async with asyncio.timeout(LONG_SECONDS), a_server(door, executor=executor, settings=SOON) as server:
        job = await submit(server, a_submission(server, door, "a"))
        await until(lambda: door.begun)
        await server.jobs.cancel(job.id)
        assert (await server.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.CANCELLED
        await until(lambda: server._engine.load().running == {door.name: 0})
        door.door.set()


async def test_the_end_of_a_job_elsewhere_is_heard_though_the_store_is_away_just_then(tmp_path: Path) -> None:
    taker, runner, store = AsyncDoor(), AsyncDoor(), FlakyStore(tmp_path / "jobs.db")
    accepting = a_server(taker, store=store, settings=SOON, roles="accept")
    running = a_server(runner, store=FlakyStore(tmp_path / "jobs.db"), settings=SOON, roles="run")
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        call = asyncio.create_task(submit_and_wait(accepting, a_submission(accepting, taker, "a"), 900.0))
        await until(lambda: runner.begun)
        store.errors["get_result"] = [UnavailableError("away"), UnavailableError("away")]
        runner.door.set()
        answer = await call
        assert answer.result is not None
        assert answer.result.content == b"a"
        await until(lambda: not list(accepting._engine.table))


async def test_what_waited_when_a_server_stopped_does_not_wait_twice_after_its_restart(tmp_path: Path) -> None:
    door = Full()
    settings = JobSettings(heartbeat_seconds=0.05, lease_seconds=1.0, grace_seconds=0.0, cancel_seconds=0.05)
    server = a_server(door, store=FlakyStore(tmp_path / "jobs.db"), settings=settings)
    async with asyncio.timeout(LONG_SECONDS):
        async with server:
            for n in range(5):
                await submit(server, a_submission(server, door, str(n), job_id=f"job-{n}"))
            await until(lambda: door.begun == 2)
        door.door.set()
        async with server:
            for n in range(2, 5):
                ended = await server.jobs.wait(f"job-{n}", wait_seconds=LONG_SECONDS)
                assert ended.job.status is JobStatus.SUCCEEDED
            lane = server._engine.scheduler.lane_of(door.name)
            await until(lambda: (lane.pool.waiting, lane.running, len(lane.waiting)) == (0, 0, 0))


async def test_a_drain_does_not_linger_for_jobs_that_are_left_to_others(tmp_path: Path) -> None:
    door = Full()
    settings = JobSettings(heartbeat_seconds=0.05, lease_seconds=1.0, grace_seconds=900.0, cancel_seconds=0.05)
    server = a_server(door, store=FlakyStore(tmp_path / "jobs.db"), settings=settings)
    async with asyncio.timeout(LONG_SECONDS), server:
        await submit(server, a_submission(server, door, "a", job_id="mine"))
        await until(lambda: door.begun)
        local = server._engine.table.get("mine")
        assert local is not None
        server.begin_stop()
        server._engine._shutdown._leave(local)
        assert await server._engine.fetched_results.wait(0.0)
        door.door.set()
