"""A service whose jobs the sidecar is told of. Its patience is short where $QUICK_DELIVERY is set."""

import asyncio
import os
import time
from typing import Any

from pydantic import BaseModel

from lambda_kit import BinaryResult, JobContext, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.adapters.ivcap import IvcapSidecarSink, SidecarTimes


class Ask(BaseModel):
    kind: str = "ok"
    events: int = 0
    seconds: float = 0.0


class Result(BaseModel):
    ok: bool = True
    seconds: float = 0.0


class Work(LambdaTool):
    """Reports events, takes its time, and ends as it is asked to."""

    path = "/"
    options = ToolOptions(max_wait_time=30.0)

    def run(self, req: Ask, ctx: JobContext) -> Any:
        began = time.monotonic()
        for n in range(req.events):
            ctx.progress(n)
        if req.kind == "fails":
            with ctx.report.step("bad", "going wrong"):
                raise RuntimeError("boom in step")
        if req.kind == "value":
            raise ValueError("bad value")
        if req.kind == "exit":
            raise SystemExit(3)
        if req.kind == "text":
            return "plain é"
        if req.kind == "bytes":
            return b"\xff\x00"
        if req.kind == "csv":
            return BinaryResult("text/csv", "a,b\n")
        if req.kind == "large":
            return BinaryResult("application/x-large", b"x" * 3_000_000)
        if req.kind == "falsy":
            return {}
        until = began + req.seconds
        while time.monotonic() < until:
            ctx.raise_if_cancelled()
            time.sleep(0.01)
        return Result(seconds=time.monotonic() - began)


class Limited(LambdaTool):
    """Runs over its time limit."""

    options = ToolOptions(time_limit_seconds=0.2, max_wait_time=30.0)

    async def run(self, req: Ask) -> Result:
        await asyncio.sleep(3600)
        return Result()


class Dies(LambdaTool):
    """Takes its worker process with it."""

    options = ToolOptions(executor="process", max_wait_time=30.0)

    def run(self, req: Ask, ctx: JobContext) -> Result:
        ctx.progress(1)
        os._exit(9)


ANSWER_SECONDS = float(os.environ.get("ANSWER_SECONDS", "20"))
QUICK = SidecarTimes(connect=5.0, answer=ANSWER_SECONDS, event=1.0, first_pause=0.05, longest_pause=0.2)

service = Service(name="Sidecar", contact={"name": "T", "email": "t@example.com"})
tools = [Work, Limited, Dies]
sinks = [IvcapSidecarSink(times=QUICK)] if os.environ.get("QUICK_DELIVERY") else []
server = ToolServer(service, tools=tools[: int(os.environ.get("TOOLS", "2"))], sinks=sinks)

if __name__ == "__main__":
    server.serve()
