"""The service that the tests of event streams and of cancelling look at from outside."""

import os
import threading
from typing import Any

from pydantic import BaseModel

from lambda_kit import (
    ExecutorOpts,
    GenericEvent,
    JobContext,
    JobSettings,
    LambdaTool,
    MemoryJobStore,
    Service,
    ToolOptions,
    ToolServer,
)
from tests.support.gate import pass_gate, pass_gate_async
from tests.wire.tools_ordinary import Hold, HoldAsync, Narrow


class TalkRequest(BaseModel):
    count: int = 0
    texts: list[str] = []
    gate: int | None = None
    fail: str | None = None


class Talk(LambdaTool):
    """Report texts and numbers, wait at a gate, report the end"""

    options = ToolOptions(max_wait_time=0.0)

    def run(self, req: TalkRequest, ctx: JobContext) -> dict[str, Any]:
        for text in req.texts:
            ctx.report.emit(GenericEvent(name="text", options={"text": text, "job-urn": "not this"}))
        for number in range(req.count):
            ctx.report.emit(GenericEvent(name="number", options={"n": number}))
        if req.gate is not None:
            pass_gate(req.gate)
        ctx.progress(3, 10, "all but done")
        if req.fail is not None:
            raise ValueError(req.fail)
        return {"said": req.count}


class Chatter(LambdaTool):
    """Report a thousand numbers, and give way to readers after each ten"""

    options = ToolOptions(max_wait_time=0.0)

    def run(self, req: TalkRequest, ctx: JobContext) -> int:
        for number in range(1000):
            ctx.report.emit(GenericEvent(name="number", options={"n": number}))
            if number % 10 == 9:
                threading.Event().wait(0.002)
        return 1000


class GateRequest(BaseModel):
    gate: int


class Listening(LambdaTool):
    """Come to the gate, then tell of progress until it is cancelled"""

    options = ToolOptions(max_wait_time=0.0, executor_opts=ExecutorOpts(max_workers=4))

    def run(self, req: GateRequest, ctx: JobContext) -> str:
        pass_gate(req.gate)
        for number in range(3000):
            ctx.progress(number)
            threading.Event().wait(0.01)
        return "never asked to stop"


class Stubborn(LambdaTool):
    """Wait at a gate, and do not hear that it is cancelled"""

    options = ToolOptions(max_wait_time=0.0)

    async def run(self, req: GateRequest, ctx: JobContext) -> str:
        try:
            await pass_gate_async(req.gate)
        finally:
            await pass_gate_async(req.gate)
        return "late"


server = ToolServer(
    Service(name="Events", contact={"name": "Alice", "email": "alice@example.com"}),
    [Talk, Chatter, Listening, Stubborn, Hold, HoldAsync, Narrow],
    store=MemoryJobStore(event_log_size=int(os.environ.get("WIRE_EVENT_LOG_SIZE", "10000"))),
    settings=JobSettings(grace_seconds=float(os.environ.get("WIRE_GRACE_SECONDS", "25"))),
)
server.http_settings.heartbeat_seconds = float(os.environ.get("WIRE_HEARTBEAT_SECONDS", "15"))

if __name__ == "__main__":
    server.serve()
