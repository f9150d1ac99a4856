"""A store that is away for a while costs no job; what can't be handed over leaves nothing behind."""

import asyncio
import logging
from functools import partial
from typing import Any

import httpx
import pytest

from lambda_kit import Job, JobContext, JobStatus, LambdaTool, MemoryJobStore, ThreadExecutor
from lambda_kit.core.errors import QueueFullError, UnavailableError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Outcome, Payload
from lambda_kit.core.ports.store import Claim, Created, Lease
from lambda_kit.testing import TestClient
from tests.core.running_tools import (
    LONG_SECONDS,
    Ask,
    AsyncDoor,
    NotedSink,
    a_server,
    statuses,
    the_job,
    until,
)


class Steps(LambdaTool):
    """Reports from a thread"""

    def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(3):
            ctx.progress(n, 3)
        return req.text


class AsyncSteps(LambdaTool):
    """Reports from the event loop"""

    async def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(3):
            ctx.progress(n, 3)
            await asyncio.sleep(0)
        return req.text


class AwayStore(MemoryJobStore):
    """Fails so many times in each of the named methods."""

    def __init__(self, **failures: int) -> None:
        super().__init__()
        self.failures = failures

    def _maybe_away(self, method: str) -> None:
        if self.failures.get(method, 0):
            self.failures[method] -= 1
            raise UnavailableError("the store is away", retry_after_seconds=7)

    async def create(self, job: Job, request: Payload, **how: Any) -> Created:
        self._maybe_away("create")
        return await super().create(job, request, **how)

    async def claim(self, job_id: str, **how: Any) -> Claim | None:
        self._maybe_away("claim")
        return await super().claim(job_id, **how)

    async def append_events(self, lease: Lease, events: Any, **how: Any) -> int:
        self._maybe_away("append_events")
        return await super().append_events(lease, events, **how)

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        self._maybe_away("finish")
        return await super().finish(lease, outcome)


@pytest.mark.parametrize("tool", [Steps, AsyncSteps])
@pytest.mark.parametrize(
    "failures",
    [{"claim": 1}, {"claim": 4}, {"append_events": 3}, {"finish": 1}, {"finish": 4},
     {"claim": 2, "append_events": 2, "finish": 2}],
    ids=str,
)  # fmt: skip
async def test_a_job_whose_store_is_away_for_a_while_succeeds(tool: Any, failures: dict[str, int]) -> None:
    store = AwayStore(**failures)
    sink = NotedSink()
    server = a_server(tool, store=store, sinks=[sink], has_to_wait=True)
    async with asyncio.timeout(LONG_SECONDS), server:
        assert await server.run_tool(tool, Ask(text="hi")) == "hi"
        await until(lambda: sink.ends)
    assert not any(store.failures.values())
    job = await the_job(store)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert job.progress is not None
    assert job.progress.done == 2
    assert await statuses(store, job.id) == [JobStatus.PENDING, JobStatus.EXECUTING, JobStatus.SUCCEEDED]
    page = await store.read_events(job.id)
    assert page is not None
    assert [event.seq for event in page.events] == [1, 2, 3, 4, 5, 6]
    assert [what for _, what in sink.told] == [*"123456", "end"]


class ClosableStore(MemoryJobStore):
    """Takes no result while it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False
        self.refused = 0

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        if self.is_closed:
            self.refused += 1
            raise UnavailableError("the disk is full")
        return await super().finish(lease, outcome)


async def test_an_outage_is_one_warning_however_many_jobs_wait_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lambda_kit.store")
    store, tool = ClosableStore(), AsyncDoor()

    def has_begun(count: int) -> bool:
        return tool.begun == count

    async with asyncio.timeout(LONG_SECONDS), a_server(tool, store=store) as server:
        for outage in (1, 2):
            runs = [asyncio.create_task(server.run_tool(tool, Ask(text=str(n)))) for n in range(20)]
            await until(partial(has_begun, 20 * outage))
            store.is_closed, store.refused = True, 0
            tool.door.set()
            await until(lambda: store.refused >= 60)  # each more than once
            store.is_closed = False
            assert await asyncio.gather(*runs) == [str(n) for n in range(20)]
            tool.door.clear()
            lines = [record for record in caplog.records if "away (the disk is full)" in record.getMessage()]
            assert [record.levelno for record in lines].count(logging.WARNING) == outage
            assert caplog.text.count("the store is back") == outage


async def test_events_that_were_dropped_are_counted_once_though_the_store_was_away() -> None:
    store = AwayStore(append_events=1)
    await store.create(Job(id="job", tool="t", requested_at=0.0), Payload(b"{}", "application/json"))
    claim = await store.claim("job", worker_id="me", lease_seconds=1e6)
    assert claim is not None
    lease = Lease("job", claim.job.lease_token)
    with pytest.raises(UnavailableError):
        await store.append_events(lease, [NewEvent("urn:x", b"{}", 0.0)], dropped=4)
    assert await store.append_events(lease, [NewEvent("urn:x", b"{}", 0.0)], dropped=4) == 7


async def test_a_call_is_refused_while_no_job_can_be_made() -> None:
    async with a_server(Steps, store=AwayStore(create=1)) as server:
        with pytest.raises(UnavailableError, match="the store is away"):
            await server.run_tool(Steps, Ask())
        assert await server.run_tool(Steps, Ask(text="again")) == "again"


def test_a_client_is_told_to_come_back_while_no_job_can_be_made() -> None:
    store = AwayStore(create=1)
    with TestClient(a_server(Steps, store=store)) as client:
        headers = {"job-id": "mine"}
        refused = client.post("/steps", json={"text": "hi"}, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "the job store can't be reached now: try again later"  # and nothing else
        assert client.get("/jobs/mine").status_code == 404
        again = client.post("/steps", json={"text": "hi"}, headers=headers)
        assert (again.status_code, again.text) == (200, "hi")


def test_a_server_that_stops_takes_no_job_but_tells_of_those_it_has() -> None:
    server = a_server(Steps)
    with TestClient(server) as client:
        assert client.post("/steps", json={"text": "hi"}, headers={"job-id": "known"}).status_code == 200
        server.begin_stop()
        for answer in (client.post("/steps", json={}), client.get("/_healtz")):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/_livez").status_code == 200
        for answer in (
            client.get("/jobs/known"),
            client.post("/steps", json={"text": "hi"}, headers={"job-id": "known"}),
        ):
            assert (answer.status_code, answer.text) == (200, "hi")


# --- a store that refuses a job ---


class FullStore(AwayStore):
    """Refuses jobs as often as it is told to, and answers when it may."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def create(self, job: Job, request: Payload, **how: Any) -> Created:
        self.asked.set()
        await self.may_answer.wait()
        if self.refusals:
            self.refusals -= 1
            raise QueueFullError("the queue is full", retry_after_seconds=9)
        return await super().create(job, request, **how)


def test_a_job_that_is_refused_leaves_nothing_behind() -> None:
    sink = NotedSink()
    server = a_server(AsyncSteps, store=FullStore(2), sinks=[sink], job_list=True)
    with TestClient(server) as client:
        for headers in ({"job-id": "mine"}, {"idempotency-key": "my-key"}):
            refused = client.post("/async-steps", json={"text": "hi"}, headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "9")
        assert client.get("/jobs/mine").status_code == 404
        assert client.get("/jobs").json()["items"] == []
        for headers in ({"job-id": "mine"}, {"idempotency-key": "my-key"}):
            # with another body: the one that was refused does not count
            again = client.post("/async-steps", json={"text": "another"}, headers=headers)
            assert (again.status_code, again.text) == (200, "another")
        assert len(client.get("/jobs").json()["items"]) == 2
    assert sorted(what for _, what in sink.told) == sorted([*"123456", "end"] * 2)


async def test_of_two_that_ask_for_one_job_the_second_goes_on_when_the_first_is_refused() -> None:
    store = FullStore(1)
    store.may_answer.clear()
    async with a_server(AsyncSteps, store=store) as server, asyncio.timeout(LONG_SECONDS):
        transport = httpx.ASGITransport(app=server.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            headers = {"job-id": "mine", "prefer": "wait=300"}
            first = asyncio.create_task(client.post("/async-steps", json={"text": "hi"}, headers=headers))
            await store.asked.wait()
            second = asyncio.create_task(client.post("/async-steps", json={"text": "hi"}, headers=headers))
            await until(lambda: (local := server._engine.table.get("mine")) is not None and local.made is not None)
            store.may_answer.set()
            assert (await first).status_code == 429
            assert ((await second).status_code, (await second).text) == (200, "hi")


async def test_an_executor_that_can_not_run_a_job_makes_it_a_failure() -> None:
    class Broken(ThreadExecutor):
        async def _invoke(self, run: Any) -> Outcome:
            raise OSError("no more threads")

    store = MemoryJobStore()
    async with a_server(Steps, store=store, executor=Broken()) as server, asyncio.timeout(LONG_SECONDS):
        with pytest.raises(Exception, match="no more threads") as caught:
            await server.run_tool(Steps, Ask())
    assert not isinstance(caught.value, OSError)
    assert (await the_job(store)).status is JobStatus.ERROR
