"""The service that the tests of time limits and of cancelling look at: not each tool hears that it is to end."""

import asyncio
import os
import threading
from collections import defaultdict
from typing import Any

from pydantic import BaseModel

from lambda_kit import ExecutorOpts, JobContext, JobSettings, LambdaTool, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate, pass_gate_async

SEEN: dict[str, list[str]] = defaultdict(list)
"""What tools noticed, by job id: of a job that was given up there is no result that could tell."""

MAX_SECONDS = 60.0
"""The time limit of the tools that have one and are to be held longer or shorter by a header."""

WAITING = ToolOptions(max_wait_time=30.0)


class At(BaseModel):
    gate: int


class Turns(BaseModel):
    turns: int


class Seen(LambdaTool):
    """Show what the tool of a job has noticed"""

    class Request(BaseModel):
        job: str

    async def run(self, req: Request) -> list[str]:
        return SEEN[req.job]


class Listens(LambdaTool):
    """Wait at a gate on the loop, clean up when it is to end"""

    options = WAITING

    async def run(self, req: At, ctx: JobContext) -> str:
        try:
            await pass_gate_async(req.gate)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # cleaning up may wait
            SEEN[ctx.job_id].append("cleaned up")
            raise
        return "done"


class Swallows(LambdaTool):
    """Wait at a gate on the loop, and go on waiting when it is to end"""

    options = WAITING

    async def run(self, req: At, ctx: JobContext) -> str:
        try:
            await pass_gate_async(req.gate)
        except asyncio.CancelledError:
            SEEN[ctx.job_id].append("swallowed")
            await pass_gate_async(req.gate)
        SEEN[ctx.job_id].append("left")
        return "late"


class Deaf(LambdaTool):
    """Wait at a gate on a thread, and look up only behind it"""

    options = WAITING

    def run(self, req: At, ctx: JobContext) -> str:
        pass_gate(req.gate)
        try:
            ctx.progress(1)
        except BaseException as error:  # noqa: BLE001 - that it is none of the tool's errors is what is seen
            SEEN[ctx.job_id].append(type(error).__name__)
        SEEN[ctx.job_id].append(f"cancelled: {ctx.cancelled}")
        SEEN[ctx.job_id].append("left")
        return "late"


class Reports(LambdaTool):
    """Come to a gate, then tell of progress on a thread until it is to end"""

    options = WAITING

    def run(self, req: At, ctx: JobContext) -> str:
        pass_gate(req.gate)
        for number in range(3000):
            ctx.progress(number)
            threading.Event().wait(0.01)
        return "never asked to stop"


class Single(Deaf):
    """Wait at a gate on the one thread that there is"""

    options = ToolOptions(max_wait_time=30.0, executor_opts=ExecutorOpts(max_workers=1))


class SingleAsync(Swallows):
    """Wait at a gate on the loop, one after the other"""

    options = ToolOptions(max_wait_time=30.0, max_concurrency=1)


class Brief(Listens):
    """Has hardly any time"""

    options = ToolOptions(max_wait_time=30.0, time_limit_seconds=0.2)


class BriefDeaf(Deaf):
    """Has hardly any time, and does not listen"""

    options = ToolOptions(max_wait_time=30.0, time_limit_seconds=0.2)


class Limited(LambdaTool):
    """Tell when its time is over"""

    options = ToolOptions(time_limit_seconds=MAX_SECONDS)

    async def run(self, req: Turns, ctx: JobContext) -> dict[str, Any]:
        return {"deadline": ctx.deadline}


class Unlimited(Limited):
    """Tell when its time is over, if it has a limit"""

    options = ToolOptions()


class Race(LambdaTool):
    """End after some turns of the loop"""

    options = WAITING

    async def run(self, req: Turns, ctx: JobContext) -> str:
        for number in range(req.turns):
            ctx.progress(number)
            await asyncio.sleep(0)
        return "done"


class RaceOnThread(LambdaTool):
    """End after some reports"""

    options = WAITING

    def run(self, req: Turns, ctx: JobContext) -> str:
        for number in range(req.turns):
            ctx.progress(number)
        return "done"


server = ToolServer(
    Service(name="Control", contact={"name": "Alice", "email": "alice@example.com"}),
    [
        Seen,
        Listens,
        Swallows,
        Deaf,
        Reports,
        Single,
        SingleAsync,
        Brief,
        BriefDeaf,
        Limited,
        Unlimited,
        Race,
        RaceOnThread,
    ],
    settings=JobSettings(cancel_seconds=float(os.environ.get("WIRE_CANCEL_SECONDS", "0.3"))),
)

if __name__ == "__main__":
    server.serve()
