"""Tools for tests of what runs jobs: their doors are opened by the test."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another thread or task does it

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from lambda_kit import (
    Job,
    JobContext,
    JobSettings,
    JobSink,
    JobStatus,
    JobStore,
    LambdaTool,
    MemoryJobStore,
    Service,
    ToolServer,
)
from lambda_kit.core.jobs.settings import Pauses
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.sink import JobEnd

LONG_SECONDS = 60.0

QUICK = JobSettings(lease_seconds=0.3, heartbeat_seconds=0.05, grace_seconds=0.05)


class Ask(BaseModel):
    text: str = ""


def a_service() -> Service:
    return Service(name="Test", contact={"name": "T", "email": "t@example.com"})


def no_permit(_lane: object) -> None:
    """Stands for `Scheduler.try_acquire`: each job has to wait for its turn."""


QUICK_PAUSES = Pauses(first_retry_seconds=0.01, longest_retry_seconds=0.02, slot_seconds=0.02)


def a_server(*tools: Any, has_to_wait: bool = False, pauses: Pauses = QUICK_PAUSES, **options: Any) -> ToolServer:
    """A server; with `has_to_wait` jobs are created first and claimed then, as those are that have to wait."""
    options.setdefault("store", MemoryJobStore())
    server = ToolServer(a_service(), tools=list(tools), **options)
    server._engine._pauses = pauses
    server._engine.use_store(server._engine.store)
    if has_to_wait:
        server._engine.scheduler.try_acquire = no_permit  # type: ignore[assignment]
    return server


class Request:
    """What a test submits: the arguments of `JobService.submit`."""

    def __init__(self, tool: str, body: Payload, more: dict[str, Any]) -> None:
        self.tool = tool
        self.body = body
        self.more = more


def a_submission(server: ToolServer, tool: LambdaTool | type[LambdaTool], text: str = "", **more: Any) -> Request:
    """A request for a tool of that server, as from HTTP."""
    bound = next(it for it in server.tools.values() if tool in (it.tool, type(it.tool)))
    return Request(bound.name, Payload(Ask(text=text).model_dump_json().encode(), "application/json"), more)


async def submit(server: ToolServer, request: Request) -> Job:
    """Submit a request."""
    return await server.jobs.submit(request.tool, request.body, **request.more)


async def submit_and_wait(server: ToolServer, request: Request, wait_seconds: float) -> WaitResult:
    """Submit a request and wait for its job."""
    return await server.jobs.submit_and_wait(request.tool, request.body, wait_seconds=wait_seconds, **request.more)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something that another task or thread does has become true."""
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


async def the_job(store: JobStore) -> Job:
    (job,) = (await store.list_jobs()).jobs
    return job


async def jobs_of(store: JobStore) -> list[Job]:
    return (await store.list_jobs(limit=1000)).jobs


async def statuses(store: JobStore, job_id: str) -> list[JobStatus]:
    page = await store.read_events(job_id)
    assert page is not None
    return [event.status for event in page.events if event.status is not None]


class AsyncDoor(LambdaTool):
    """Waits at its door."""

    name = "async_door"
    path = "/async-door"

    def __init__(self) -> None:
        self.begun = 0
        self.cleaned = 0
        self.door = asyncio.Event()

    async def run(self, req: Ask, ctx: JobContext) -> str:
        self.begun += 1
        try:
            await self.door.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # cleaning up may wait
            self.cleaned += 1
            raise
        return req.text


class ThreadDoor(LambdaTool):
    """Waits at its door, and listens meanwhile."""

    name = "thread_door"
    path = "/thread-door"

    def __init__(self) -> None:
        self.begun = 0
        self.stopped = 0
        self.door = threading.Event()

    def run(self, req: Ask, ctx: JobContext) -> str:
        self.begun += 1
        try:
            while not self.door.wait(0.005):
                ctx.raise_if_cancelled()
        except BaseException:
            self.stopped += 1
            raise
        return req.text


class DeafDoor(LambdaTool):
    """Waits at its door, and does not listen."""

    name = "deaf_door"
    path = "/deaf-door"

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.door = threading.Event()
        self.left = threading.Event()

    def run(self, req: Ask, ctx: JobContext) -> str:
        self.begun.set()
        self.door.wait(LONG_SECONDS)
        self.left.set()
        return req.text


class NotedSink(JobSink):
    """Notes what it was told; fails as often as it is told to."""

    def __init__(self, name: str = "noted", failures: int = 0) -> None:
        self.name = name
        self.failures = failures
        self.told: list[tuple[str, str]] = []
        self.ends: dict[str, tuple[Job, Payload | None]] = {}

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        self._maybe_fail()
        self.told += [(job.id, str(event.seq)) for event in events]
        if end is not None:
            self.told.append((job.id, "end"))
            self.ends[job.id] = (job, end.result)

    def _maybe_fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the other side is away")
