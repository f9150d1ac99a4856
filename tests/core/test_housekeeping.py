"""What a process that died has left behind is taken up when it is found, not a heartbeat later."""

import asyncio
from collections.abc import Collection

import pytest

from lambda_kit import Job, JobSettings, JobStatus, MemoryJobStore
from lambda_kit.core.job import Payload
from lambda_kit.core.owner import is_certainly_dead, new_owner
from tests.core.running_tools import LONG_SECONDS, a_server
from tests.core.test_store_away import Steps

RARELY = JobSettings(heartbeat_seconds=1000.0, lease_seconds=2000.0)
REQUEST = Payload(b'{"text": "hi"}', "application/json")


class SlowToBury(MemoryJobStore):
    """Lets whoever looks for jobs be quicker than whoever finds out that their process is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.was_looked_through = asyncio.Event()

    async def adopt(self, owner: str, *, tools: Collection[str], limit: int = 1000) -> list[Job]:
        try:
            return await super().adopt(owner, tools=tools, limit=limit)
        finally:
            self.was_looked_through.set()

    async def bury(self, owner: str) -> None:
        await self.was_looked_through.wait()
        await super().bury(owner)


def a_dead_process() -> str:
    host, machine, pid, _, nonce = new_owner().split("/")
    owner = "/".join([host, machine, pid, "1", nonce])  # which had that number before this one
    if not is_certainly_dead(owner):
        pytest.skip("there is no /proc here that tells")
    return owner


async def test_the_jobs_of_a_process_that_is_found_dead_are_taken_up_at_once() -> None:
    store, dead = SlowToBury(), a_dead_process()
    ended: asyncio.Queue[str] = asyncio.Queue()
    await store.keep_alive(dead, lease_seconds=1000.0)
    for job_id in ("waits", "runs"):
        job = Job(id=job_id, tool="steps", requested_at=0.0, taken_by=dead, max_attempts=2)
        await store.create(job, REQUEST)
    await store.claim("runs", owner=dead, lease_seconds=1000.0)
    store.watch(lambda change: ended.put_nowait(str(change.job_id)) if change.status is JobStatus.SUCCEEDED else None)
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
