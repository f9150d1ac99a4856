"""The service that the tests of recovery kill, pause and double. `Site` says by its environment what it is to be."""

import ctypes
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import BaseModel

from lambda_kit import (
    ExecutorOpts,
    Job,
    JobContext,
    JobSettings,
    JobSink,
    JobStore,
    LambdaTool,
    McpOptions,
    Service,
    ToolOptions,
    ToolServer,
)
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.adapters.stores.urls import store_from_url
from lambda_kit.core.runtime import worker_id
from lambda_kit.spi import Event, EventKind, JobEnd
from tests.support.gate import pass_gate, pass_gate_async

MACHINE = os.environ.get("RECOVERY_MACHINE", "")
if MACHINE:  # as if this process were on another machine: then nobody sees whether it lives
    worker_id._machine = lambda: MACHINE  # type: ignore[assignment]

GATE = int(os.environ.get("RECOVERY_GATE", "0"))


def the_store() -> JobStore:
    """The store that the environment names, in a part of the database that is the test's own."""
    url = os.environ["RECOVERY_STORE"]
    if url.startswith("redis"):
        return RedisJobStore(url, prefix=os.environ["RECOVERY_PREFIX"])
    if url.startswith("postgres"):
        return PostgresJobStore(url, schema=os.environ["RECOVERY_SCHEMA"])
    return store_from_url(url)


def note(what: str, ctx: JobContext) -> None:
    """Write into the journal, which outlives a kill of this process, then to stdout, where the test waits for it."""
    line = f"{what} {ctx.job_id} {ctx.attempt} {os.getpid()}\n"
    descriptor = os.open(os.environ["RECOVERY_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    print(line, end="", flush=True)


class Ask(BaseModel):
    text: str = ""


class Answer(BaseModel):
    job: str
    attempt: int
    text: str
    by: int


def answer(req: Ask, ctx: JobContext) -> Answer:
    return Answer(job=ctx.job_id, attempt=ctx.attempt, text=req.text, by=os.getpid())


class Once(LambdaTool):
    """Wait at the gate; not to be run again"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=10)

    async def run(self, req: Ask, ctx: JobContext) -> Answer:
        note("start", ctx)
        if GATE:
            await pass_gate_async(GATE)
        note("end", ctx)
        return answer(req, ctx)


class Twice(Once):
    """Wait at the gate; may be run again"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=10, max_attempts=2)


class Five(Once):
    """Wait at the gate, five at a time"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=5)


class Deaf(LambdaTool):
    """Wait at the gate on a thread, hear of no cancel; may be run again"""

    options = ToolOptions(max_wait_time=0.0, max_attempts=2)

    def run(self, req: Ask, ctx: JobContext) -> Answer:
        note("start", ctx)
        if GATE:
            pass_gate(GATE)
        note("end", ctx)
        return answer(req, ctx)


class Free(LambdaTool):
    """Answer at once"""

    options = ToolOptions(max_wait_time=0.0)

    async def run(self, req: Ask, ctx: JobContext) -> Answer:
        note("start", ctx)
        ctx.progress(1, 1)
        note("end", ctx)
        return answer(req, ctx)


class Brief(Free):
    """Answer at once; kept for a second"""

    options = ToolOptions(max_wait_time=0.0, executor_opts=ExecutorOpts(job_cache_ttl=1.0))


class Sturdy(Free):
    """Answer at once; may be run again and again"""

    options = ToolOptions(max_wait_time=0.0, max_attempts=9)


class Blocks(LambdaTool):
    """Wait at the gate, and hold up the event loop"""

    options = ToolOptions(max_wait_time=0.0)

    async def run(self, req: Ask, ctx: JobContext) -> Answer:
        note("start", ctx)
        pass_gate(GATE)
        note("end", ctx)
        return answer(req, ctx)


class Grabs(LambdaTool):
    """Wait at the gate, and hold the interpreter's lock: no other Python code runs in this process"""

    options = ToolOptions(max_wait_time=0.0)

    def run(self, req: Ask, ctx: JobContext) -> Answer:
        note("start", ctx)
        with socket.create_connection(("127.0.0.1", GATE)) as sock:
            sock.setblocking(True)
            ctypes.PyDLL(None).read(sock.fileno(), ctypes.create_string_buffer(1), 1)
        note("end", ctx)
        return answer(req, ctx)


class Poison(LambdaTool):
    """Kill the process"""

    options = ToolOptions(max_wait_time=0.0, max_attempts=3)

    async def run(self, _req: Ask, ctx: JobContext) -> dict[str, Any]:
        note("start", ctx)
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


class Posting(JobSink):
    """Posts what tools report to ``/events/ID``, and results to ``/results/ID``, with this process's number."""

    name = "posting"

    async def start(self) -> None:
        headers = {"worker": str(os.getpid())}
        self._client = httpx.AsyncClient(base_url=os.environ["RECOVERY_SINK"], headers=headers, timeout=60.0)

    async def stop(self) -> None:
        await self._client.aclose()

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        for event in events:
            if event.kind is EventKind.REPORT:
                (await self._client.post(f"/events/{job.id}", content=event.body)).raise_for_status()
        if end is not None:
            content = b"" if end.result is None else end.result.content
            (await self._client.post(f"/results/{job.id}", content=content)).raise_for_status()


server = ToolServer(
    Service(name="Recovery", contact={"name": "Alice", "email": "alice@example.com"}),
    [Once, Twice, Five, Deaf, Free, Brief, Sturdy, Blocks, Grabs, Poison],
    store=the_store(),
    sinks=[Posting()] if "RECOVERY_SINK" in os.environ else [],
    job_list=True,
    mcp=McpOptions(wait_seconds=0.3) if "RECOVERY_MCP" in os.environ else False,
    settings=JobSettings(
        lease_seconds=float(os.environ["RECOVERY_LEASE"]), heartbeat_seconds=float(os.environ["RECOVERY_HEARTBEAT"])
    ),
)

if __name__ == "__main__":
    server.serve()
