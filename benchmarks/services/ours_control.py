"""lambda_kit with tools that are limited, cancelled, followed and drained."""

import asyncio
import threading
import time

from benchmarks.services.models import (
    DrainResult,
    EchoResult,
    HeldEchoRequest,
    ReportRequest,
    SleepRequest,
    SleepResult,
)
from benchmarks.services.ours import EchoAsync, EchoSync, service
from benchmarks.services.sizes import MAX_QUEUE
from lambda_kit import JobContext, LambdaTool, ToolOptions, ToolServer


class EchoLimited(EchoAsync):
    """Echo a message"""

    path = "/limited"
    options = ToolOptions(time_limit_seconds=60)


class EchoBounded(LambdaTool):
    """Echo a message"""

    path = "/bounded"
    options = ToolOptions(max_queue=MAX_QUEUE)

    async def run(self, req: HeldEchoRequest) -> EchoResult:
        await asyncio.sleep(req.hold_seconds)
        return EchoResult(echo=req.message)


class CancelAsync(LambdaTool):
    """Sleep until cancelled"""

    path = "/cancel-async"

    async def run(self, req: SleepRequest, ctx: JobContext) -> SleepResult:
        ctx.progress(0)
        await asyncio.sleep(req.seconds)
        return SleepResult(slept=req.seconds, token=req.token)


class Report(LambdaTool):
    """Report events, once all of its watchers are there"""

    path = "/report"
    go = threading.Semaphore(0)

    def run(self, req: ReportRequest, ctx: JobContext) -> SleepResult:
        ctx.progress(0, req.events)
        self.go.acquire()
        for number in range(1, req.events):
            ctx.progress(number, req.events)
        return SleepResult(slept=0, token="")


class ReportNow(LambdaTool):
    """Let a job report"""

    path = "/report-now"

    async def run(self, _: ReportRequest) -> SleepResult:
        Report.go.release()
        return SleepResult(slept=0, token="")


class Drain(LambdaTool):
    """Sleep for a while, and say when that was over"""

    path = "/drain"

    async def run(self, req: SleepRequest) -> DrainResult:
        await asyncio.sleep(req.seconds)
        return DrainResult(ended_at=time.monotonic())


server = ToolServer(
    service, tools=[EchoSync, EchoAsync, EchoLimited, EchoBounded, CancelAsync, Report, ReportNow, Drain]
)

if __name__ == "__main__":
    server.serve()
