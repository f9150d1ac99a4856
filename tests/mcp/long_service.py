"""The service of the tests of long calls. `LONG_WAIT` and `LONG_HEARTBEAT` are the times of `McpOptions`."""

import asyncio
import os
from typing import Any

from ivcap_service.events import GenericErrorEvent
from pydantic import BaseModel

from lambda_kit import (
    ExecutorOpts,
    JobContext,
    JobSettings,
    LambdaTool,
    McpOptions,
    Service,
    ToolOptions,
    ToolServer,
    logging_init,
)
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from tests.callers.principals import Tokens
from tests.support.gate import pass_gate_async


class Ask(BaseModel):
    gate: int = 0
    """The port of the gate to pass. 0: none."""
    text: str = "done"
    seconds: float = 0.0


class Answer(BaseModel):
    text: str


class Held(LambdaTool):
    """Wait at a gate, and for some seconds, and give the text back"""

    async def run(self, req: Ask) -> str:
        if req.gate:
            await pass_gate_async(req.gate)
        await asyncio.sleep(req.seconds)
        return req.text


class HeldTyped(LambdaTool):
    """The same, with a result that has a schema"""

    async def run(self, req: Ask) -> Answer:
        return Answer(text=await Held().run(req))


class OneByOne(Held):
    """The same, for one at a time"""

    options = ToolOptions(max_concurrency=1)


class OnceMore(Held):
    """The same, and may be run again where its worker was lost"""

    options = ToolOptions(max_attempts=3)


class Hidden(Held):
    """Not for agents"""

    options = ToolOptions(mcp=False)


class Say(BaseModel):
    values: list[float] = []
    """What to say, one after the other."""
    total: float | None = None
    pause_seconds: float = 0.0
    """Between two of them."""
    gate: int = 0
    """To be passed when all was said. 0: none."""


class Counting(LambdaTool):
    """Say how far it is"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=600.0))

    async def run(self, req: Say, ctx: JobContext) -> str:
        for value in req.values:
            number = int(value) if value == int(value) else value
            ctx.progress(number, req.total, f"at {value:g}")
            await asyncio.sleep(req.pause_seconds)
        if req.gate:
            await pass_gate_async(req.gate)
        return f"said {len(req.values)}"


class Reporting(LambdaTool):
    """Report steps"""

    async def run(self, req: Ask, ctx: JobContext) -> str:
        with ctx.report.step("load", "Loading the data") as step:
            await asyncio.sleep(0.05)
            step.info({"message": "half of it"})
            await asyncio.sleep(0.05)
        ctx.report.step_finished("clean")
        ctx.report.emit(GenericErrorEvent(error="no more rows", context="read"))
        try:
            with ctx.report.step("guess"):
                raise RuntimeError("the password is hunter2")
        except RuntimeError:
            return "reported"


def store() -> Any:
    """What the environment says. None: leave it to the command line."""
    url = os.environ.get("LONG_STORE", "")
    if url.startswith("redis"):
        return RedisJobStore(url, prefix=os.environ["LONG_PREFIX"])
    return PostgresJobStore(url, schema=os.environ["LONG_SCHEMA"]) if url.startswith("postgres") else url or None


server = ToolServer(
    Service(name="Long", contact={"name": "Ann", "email": "ann@example.com"}),
    tools=[Held, HeldTyped, OneByOne, OnceMore, Hidden, Counting, Reporting],
    authenticator=Tokens() if os.environ.get("LONG_TOKENS") else None,
    store=store(),
    settings=JobSettings(heartbeat_seconds=0.3, grace_seconds=float(os.environ.get("LONG_GRACE", "30"))),
    mcp=McpOptions(
        wait_seconds=float(os.environ.get("LONG_WAIT", "30")),
        heartbeat_seconds=float(os.environ.get("LONG_HEARTBEAT", "10")),
    ),
)

if __name__ == "__main__":
    logging_init()
    server.serve()
