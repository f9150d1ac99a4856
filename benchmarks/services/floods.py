"""The service that the floods hit."""

import asyncio
import os
from typing import Any

import msgspec
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer


class Empty(BaseModel):
    """Twelve bytes of JSON or fewer, and an object of 350 bytes: the dearest that a body can ask for."""


class Values(BaseModel):
    integers: list[int] = []
    distinct: set[int] = set()
    models: list[Empty] = []
    anything: Any = None


class Structs(msgspec.Struct):
    distinct: set[int] = msgspec.field(default_factory=set)
    anything: Any = None


class Pause(BaseModel):
    seconds: float = 0.0
    events: int = 0


class Take(LambdaTool):
    """Take values, by pydantic"""

    async def run(self, req: Values) -> int:
        return len(req.models)


class TakeStructs(LambdaTool):
    """Take values, by msgspec"""

    async def run(self, req: Structs) -> int:
        return len(req.distinct)


class Sleep(LambdaTool):
    """Sleep, after some events"""

    options = ToolOptions(max_wait_time=0.0)

    async def run(self, req: Pause, ctx: JobContext) -> str:
        for number in range(req.events):
            ctx.progress(number, req.events, "x" * 300)
            if number % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(req.seconds)
        return "slept"


class Narrow(Sleep):
    """Sleep, one at a time"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=1, max_queue=1)


server = ToolServer(
    Service(name="Floods", contact={"name": "Bench", "email": "bench@example.com"}),
    [Take, TakeStructs, Sleep, Narrow],
    store=os.environ["FLOODS_STORE"],
)

if __name__ == "__main__":
    server.serve()
