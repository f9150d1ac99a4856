"""Who waits for a job is told of its end, whoever waits beside, and wherever it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from lambda_kit import Job, JobContext, JobStatus, LambdaTool, MemoryJobStore, ToolServer
from lambda_kit.core.ports.store import OnChange
from tests.core.running_tools import LONG_SECONDS, Ask, a_server, jobs_of, until

WAIT = {"prefer": "wait=300"}


class Stages(LambdaTool):
    """Reports its progress each time it is let go on"""

    name = "stages"
    path = "/stages"

    def __init__(self) -> None:
        self.stage = asyncio.Semaphore(0)
        self.reported = 0

    async def go_on(self, stages: int) -> None:
        """Let it do the next, and wait until it has done so many."""
        self.stage.release()
        await until(lambda: self.reported == stages)

    async def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(3):
            await self.stage.acquire()
            ctx.progress(n, 3)
            self.reported += 1
        await self.stage.acquire()
        if req.text == "fail":
            raise RuntimeError("boom")
        return req.text


class SharedStore(MemoryJobStore):
    """Counts who watches; a stop of one server does not end the watches of another."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = 0

    async def stop(self) -> None:
        """Each server ends its own watch."""

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        self.watched += 1
        return super().subscribe(on_change)


@asynccontextmanager
async def clients(*servers: ToolServer) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Servers that run, and a client of each, all on this event loop."""
    async with AsyncExitStack() as stack:
        made = []
        for server in servers:
            await stack.enter_async_context(server)
            transport = httpx.ASGITransport(app=server.app)  # type: ignore[arg-type]
            client = httpx.AsyncClient(transport=transport, base_url="http://testserver")
            made.append(await stack.enter_async_context(client))
        async with asyncio.timeout(LONG_SECONDS):
            yield made


async def begin(client: httpx.AsyncClient, text: str = "done") -> None:
    headers = {"job-id": "the-job", "prefer": "respond-async"}
    assert (await client.post("/stages", json={"text": text}, headers=headers)).status_code == 204


async def is_waiting(tasks: list[asyncio.Task[Any]]) -> None:
    """Let everything go on that can, and see that all of them wait."""
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_all_who_wait_are_told_and_progress_ends_no_wait() -> None:
    tool, store = Stages(), MemoryJobStore()
    async with clients(a_server(tool, store=store)) as [client]:
        await begin(client)
        calls = [client.get("/jobs/the-job", headers=WAIT) for _ in range(5)]
        calls += [client.get("/stages/jobs/the-job", headers=WAIT) for _ in range(5)]
        calls += [
            client.post("/stages", json={"text": "done"}, headers={**WAIT, "job-id": "the-job"}) for _ in range(5)
        ]
        waiting = [asyncio.create_task(call) for call in calls]
        for n in range(1, 4):
            await tool.go_on(n)
            await is_waiting(waiting)
        status = (await client.get("/jobs/the-job/status")).json()
        assert (status["status"], status["progress"]["done"]) == ("executing", 2)
        tool.stage.release()
        answers = await asyncio.gather(*waiting)
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "done")}
    assert len(await jobs_of(store)) == 1


async def test_one_who_gives_up_does_not_end_the_wait_of_the_others() -> None:
    tool = Stages()
    async with clients(a_server(tool)) as [client]:
        await begin(client)
        brief = await client.get("/jobs/the-job", headers={"prefer": "wait=0"})
        waiting = [asyncio.create_task(client.get("/jobs/the-job", headers=WAIT)) for _ in range(4)]
        await is_waiting(waiting)
        waiting.pop(1).cancel()
        await is_waiting(waiting)
        for _ in range(4):
            tool.stage.release()
        answers = await asyncio.gather(*waiting)
    assert brief.status_code == 204
    assert [answer.text for answer in answers] == ["done"] * 3


async def test_all_who_wait_for_a_job_that_fails_are_told_why() -> None:
    tool = Stages()
    async with clients(a_server(tool)) as [client]:
        await begin(client, "fail")
        waiting = [asyncio.create_task(client.get("/jobs/the-job", headers=WAIT)) for _ in range(4)]
        await is_waiting(waiting)
        for _ in range(4):
            tool.stage.release()
        answers = await asyncio.gather(*waiting)
    assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {(500, "boom")}


async def test_the_end_of_a_job_of_another_server_ends_the_wait() -> None:
    tool, store = Stages(), SharedStore()
    there, here = a_server(tool, store=store), a_server(Stages, store=store)
    async with clients(there, here) as [client_there, client_here]:
        await begin(client_there)
        waiting = [asyncio.create_task(client_here.get("/jobs/the-job", headers=WAIT)) for _ in range(3)]
        for n in range(1, 4):
            await tool.go_on(n)
            await is_waiting(waiting)
        tool.stage.release()
        answers = await asyncio.gather(*waiting)
    assert store.watched == 2
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "done")}


async def test_a_job_that_another_server_cancels_ends_for_who_waits() -> None:
    store = SharedStore()
    there, here = a_server(Stages(), store=store), a_server(Stages, store=store)
    async with clients(there, here) as [client_there, client_here]:
        await begin(client_there)
        waiting = asyncio.create_task(client_here.get("/jobs/the-job", headers=WAIT))
        await is_waiting([waiting])
        await there.cancel("the-job")
        answer = await waiting
        job = await store.get("the-job")
    assert isinstance(job, Job)
    assert job.status is JobStatus.CANCELLED
    assert answer.status_code >= 400
