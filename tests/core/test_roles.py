"""Processes that only take requests, and processes that only run jobs, on one store."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit import (
    ConfigurationError,
    Job,
    JobContext,
    JobSettings,
    JobStatus,
    Principal,
    ToolOptions,
    ToolServer,
)
from lambda_kit.core.model.events import EventKind
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.observer import JobObserver
from tests.core.flaky_store import FlakyStore
from tests.core.running_tools import (
    LONG_SECONDS,
    QUICK_PAUSES,
    Ask,
    AsyncDoor,
    NotedSink,
    ThreadDoor,
    a_server,
    a_submission,
    submit,
    submit_and_wait,
    until,
)

SOON = JobSettings(heartbeat_seconds=0.1, lease_seconds=0.8, grace_seconds=5.0, cancel_seconds=0.1)
SELDOM = JobSettings(heartbeat_seconds=900.0, lease_seconds=1000.0, grace_seconds=5.0, cancel_seconds=0.1)

Open = Callable[[], FlakyStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Open:
    return lambda: FlakyStore(tmp_path / "jobs.db")


class OneDoor(AsyncDoor):
    options = ToolOptions(max_concurrency=1, max_queue=3)


class IdQueue(JobObserver):
    """A broker of the simplest kind: ids go in where requests are taken, and out where jobs are run."""

    def __init__(self) -> None:
        self.ids: asyncio.Queue[str] = asyncio.Queue()
        self.taken: list[str] = []
        self._server: ToolServer
        self._task: asyncio.Task[None]

    def submitted(self, job: Job) -> None:
        self.ids.put_nowait(job.id)

    def serves(self, server: ToolServer) -> None:
        self._server = server
        server.add_part(self)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._take())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def drained(self) -> None:
        return

    async def _take(self) -> None:
        while True:
            self.taken.append(await self.ids.get())
            self._server._engine.offered()


def two(
    open_store: Open, taker: Any, runner: Any, settings: JobSettings = SOON, **options: Any
) -> tuple[ToolServer, ToolServer]:
    accepting = a_server(taker, store=open_store(), settings=settings, roles="accept", **options)
    running = a_server(runner, store=open_store(), settings=settings, roles="run")
    return accepting, running


async def test_by_way_of_a_broker_jobs_are_run_by_another_process(open_store: Open) -> None:
    queue, taker, runner, deaf = IdQueue(), AsyncDoor(), AsyncDoor(), open_store()
    deaf.is_deaf = True  # it hears of new jobs from the broker alone
    accepting = a_server(taker, store=open_store(), settings=SELDOM, roles="accept", observers=[queue])
    running = a_server(runner, store=deaf, settings=SELDOM, roles="run")
    queue.serves(running)
    runner.door.set()
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        for n in range(5):
            answer = await submit_and_wait(accepting, a_submission(accepting, taker, f"text {n}"), LONG_SECONDS)
            assert answer.result is not None
            assert answer.result.content == b"text %d" % n
        assert (taker.begun, runner.begun, len(queue.taken)) == (0, 5, 5)
        # what has ended has given its place back, on both sides
        await until(lambda: len(accepting._engine.table) == len(running._engine.table) == 0)
        assert not any(running._engine.load().running.values())
        # its duration is counted once, where it was run, and known where it was asked for, to tell when to come back
        counted = [server._engine.statistics.tools[taker.name] for server in (accepting, running)]
        assert [sum(each.duration.counts) for each in counted] == [0, 5]
        assert [each.finished[JobStatus.SUCCEEDED] for each in counted] == [0, 5]
        assert all(each.mean_seconds is not None for each in counted)
        await accepting.drain()
        await running.drain()


async def test_a_cancel_reaches_the_run_in_the_other_process(open_store: Open) -> None:
    taker, runner = AsyncDoor(), AsyncDoor()
    accepting, running = two(open_store, taker, runner)
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        job = await submit(accepting, a_submission(accepting, taker, "a"))
        await until(lambda: runner.begun)
        await accepting.jobs.cancel(job.id)
        assert (await accepting.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.CANCELLED
        assert runner.cleaned == 1
        await until(lambda: not len(accepting._engine.table) and not len(running._engine.table))


async def test_events_of_a_job_are_followed_where_it_was_asked_for(open_store: Open) -> None:
    taker, runner = AsyncDoor(), AsyncDoor()
    runner.door.set()
    accepting, running = two(open_store, taker, runner)
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        job = await submit(accepting, a_submission(accepting, taker, "a"))
        events = [event async for event in accepting.jobs.events(job.id)]
    assert [event.status for event in events if event.kind is EventKind.STATUS] == ["pending", "executing", "succeeded"]


async def test_the_limits_of_a_tool_hold_though_its_jobs_run_elsewhere(open_store: Open) -> None:
    taker, runner = OneDoor(), OneDoor()
    accepting, running = two(open_store, taker, runner)
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        jobs = [await submit(accepting, a_submission(accepting, taker, str(n))) for n in range(4)]
        with pytest.raises(Exception, match="has 4 jobs waiting or running"):
            await submit(accepting, a_submission(accepting, taker, "too many"))
        runner.door.set()
        for job in jobs:
            assert (await accepting.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        again = await submit_and_wait(accepting, a_submission(accepting, taker, "again"), LONG_SECONDS)
        assert again.job.status is JobStatus.SUCCEEDED


async def test_the_sink_is_told_by_the_process_that_took_the_request(open_store: Open) -> None:
    sink, taker, runner = NotedSink(), AsyncDoor(), AsyncDoor()
    runner.door.set()
    accepting, running = two(open_store, taker, runner, sinks=[sink])
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        job = await submit(accepting, a_submission(accepting, taker, "a"))
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == ["1", "2", "3", "end"]
    assert sink.ends[job.id][1] is not None


async def test_a_worker_adopts_no_more_jobs_than_it_can_run(open_store: Open) -> None:
    taker, first, second = ThreadDoor(), ThreadDoor(), ThreadDoor()
    settings = JobSettings(heartbeat_seconds=0.1, lease_seconds=0.8, grace_seconds=5.0, max_concurrency=2)
    accepting = a_server(taker, store=open_store(), settings=SOON, roles="accept")
    workers = [a_server(door, store=open_store(), settings=settings, roles="run") for door in (first, second)]
    async with asyncio.timeout(LONG_SECONDS), accepting:
        jobs = [await submit(accepting, a_submission(accepting, taker, str(n))) for n in range(10)]
        async with workers[0], workers[1]:
            await until(lambda: (first.begun, second.begun) == (2, 2))
            assert [len(worker._engine.table) for worker in workers] == [2, 2]
            first.door.set()
            second.door.set()
            for job in jobs:
                assert (await accepting.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
            assert first.begun + second.begun == 10


async def test_a_process_that_runs_no_jobs_adopts_none_and_sets_no_tool_up(open_store: Open) -> None:
    class Heavy(AsyncDoor):
        set_ups = 0

        def setup(self) -> None:
            Heavy.set_ups += 1

    tool = Heavy()
    async with (
        asyncio.timeout(LONG_SECONDS),
        a_server(tool, store=open_store(), settings=SOON, roles="accept") as server,
    ):
        job = await submit(server, a_submission(server, tool, "a"))
        calls = server._engine.store.calls["heartbeat"]  # type: ignore[attr-defined]
        await until(lambda: server._engine.store.calls["heartbeat"] > calls + 2)  # type: ignore[attr-defined]
        assert (await server.jobs.get(job.id)).status is JobStatus.PENDING
        assert server._engine.store.calls["adopt"] == 0  # type: ignore[attr-defined]
        assert Heavy.set_ups == 0


async def test_a_process_that_takes_no_requests_refuses_them_and_does_not_linger(open_store: Open) -> None:
    taker, runner = AsyncDoor(), AsyncDoor()
    runner.door.set()
    accepting, running = two(open_store, taker, runner, settings=replace(SOON, grace_seconds=600.0))
    running._engine._pauses = replace(QUICK_PAUSES, linger_seconds=600.0)
    async with asyncio.timeout(LONG_SECONDS), accepting:
        async with running:
            transport = httpx.ASGITransport(app=running.app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                assert (await client.post("/async-door", json={})).status_code == 503
                assert (await client.get("/_healtz")).status_code == 200
            job = await submit(accepting, a_submission(accepting, taker, "a"))
            await until(lambda: runner.begun)
            # nobody has fetched the result from it, and it does not wait for that
            await running.drain()
        assert (await accepting.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED


async def test_who_waits_at_a_server_that_stops_is_told_to_come_again_where_the_job_lives_on(open_store: Open) -> None:
    taker, runner = AsyncDoor(), AsyncDoor()
    accepting, running = two(open_store, taker, runner)
    async with asyncio.timeout(LONG_SECONDS), running:
        async with accepting:
            transport = httpx.ASGITransport(app=accepting.app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                headers = {"prefer": "wait=300", "job-id": "mine"}
                post = asyncio.create_task(client.post("/async-door", json={"text": "hi"}, headers=headers))
                await until(lambda: runner.begun)
                poll = asyncio.create_task(client.get("/jobs/mine", headers={"prefer": "wait=300"}))
                await until(lambda: len(accepting._engine.waiters._by_job["mine"]) == 2)
                await accepting.drain()
                for answer in (await post, await poll):
                    assert (answer.status_code, answer.headers["location"]) == (204, "/async-door/jobs/mine")
                    assert answer.headers["job-id"] == "urn:ivcap:job:mine"
        runner.door.set()
        settled = await running.jobs.wait("mine", wait_seconds=LONG_SECONDS)
        assert settled.result is not None
        assert settled.result.content == b"hi"


async def test_a_single_role_needs_a_store_that_others_can_open() -> None:
    for role in ("accept", "run"):
        with pytest.raises(ConfigurationError, match=f"roles='{role}' needs a store that other processes share"):
            async with a_server(AsyncDoor, roles=role):
                pass


def test_a_role_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be one of both, accept, run"):
        a_server(AsyncDoor, roles="walk")


class Notes(AsyncDoor):
    """Runs one job at a time, and notes which."""

    options = ToolOptions(max_concurrency=1)

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    async def run(self, req: Ask, ctx: JobContext) -> str:
        self.texts.append(req.text)
        return await super().run(req, ctx)


async def test_jobs_that_wait_for_another_process_are_taken_from_principals_in_turn(open_store: Open) -> None:
    taker, runner = Notes(), Notes()
    accepting, running = two(open_store, taker, runner)
    async with asyncio.timeout(LONG_SECONDS), running, accepting:
        jobs: list[Job] = []
        for who, count in (("ann", 6), ("bob", 2)):
            theirs = accepting.jobs.acting_for(Principal(who))
            for n in range(count):
                body = Payload(f'{{"text": "{who}{n}"}}'.encode(), "application/json")
                jobs.append(await theirs.submit(taker.name, body))
            await until(lambda: runner.begun)
        runner.door.set()
        for job in jobs:
            assert (await accepting.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
    assert runner.texts[:4] == ["ann0", "bob0", "ann1", "bob1"]
    assert runner.texts[4:] == ["ann2", "ann3", "ann4", "ann5"]
