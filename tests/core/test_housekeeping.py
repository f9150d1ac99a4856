"""What a process that died has left behind is taken up when it is found, not a heartbeat later."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from lambda_kit import Job, JobSettings, JobStatus, MemoryJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.runtime.worker_id import is_certainly_dead, new_worker_id
from tests.core.running_tools import LONG_SECONDS, a_server
from tests.core.test_store_away import Steps

RARELY = JobSettings(heartbeat_seconds=1000.0, lease_seconds=2000.0)
REQUEST = Payload(b'{"text": "hi"}', "application/json")


class SlowToBury(MemoryJobStore):
    """Lets whoever looks for jobs be quicker than whoever finds out that their process is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.was_looked_through = asyncio.Event()

    async def adopt(self, worker_id: str, *, tools: Collection[str], **more: Any) -> list[Job]:
        try:
            return await super().adopt(worker_id, tools=tools, **more)
        finally:
            self.was_looked_through.set()

    async def expire_worker(self, worker_id: str) -> None:
        await self.was_looked_through.wait()
        await super().expire_worker(worker_id)


def a_dead_process() -> str:
    host, machine, pid, _, nonce = new_worker_id().split("/")
    worker_id = "/".join([host, machine, pid, "1", nonce])  # which had that number before this one
    if not is_certainly_dead(worker_id):
        pytest.skip("there is no /proc here that tells")
    return worker_id


async def test_the_jobs_of_a_process_that_is_found_dead_are_taken_up_at_once() -> None:
    store, dead = SlowToBury(), a_dead_process()
    ended: asyncio.Queue[str] = asyncio.Queue()
    await store.heartbeat(dead, lease_seconds=1000.0)
    for job_id in ("waits", "runs"):
        job = Job(id=job_id, tool="steps", requested_at=0.0, assigned_worker=dead, max_attempts=2)
        await store.create(job, REQUEST)
    await store.claim("runs", worker_id=dead, lease_seconds=1000.0)
    store.subscribe(
        lambda change: ended.put_nowait(str(change.job_id)) if change.status is JobStatus.SUCCEEDED else None
    )
    async with asyncio.timeout(LONG_SECONDS), a_server(Steps, store=store, settings=RARELY):
        assert {await ended.get(), await ended.get()} == {"waits", "runs"}
    job_that_ran = await store.get("runs")
    assert job_that_ran is not None
    assert job_that_ran.attempt == 2


async def test_jobs_of_tools_that_are_not_here_are_named_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryJobStore()
    for n in range(3):
        await store.create(Job(id=f"job-{n}", tool="gone", requested_at=0.0), REQUEST)
    async with asyncio.timeout(LONG_SECONDS), a_server(Steps, store=store):
        while "3 jobs of tool 'gone' wait in the store" not in caplog.text:  # noqa: ASYNC110 - the log has no event
            await asyncio.sleep(0)
