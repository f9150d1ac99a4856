"""lambda_kit with tools in worker processes."""

import time

from benchmarks.services.models import EchoRequest, EchoResult, SleepRequest, SleepResult
from benchmarks.services.ours import EchoAsync, EchoSync, service
from benchmarks.services.ours_control import Drain
from benchmarks.services.sizes import TICK_SECONDS, WORKERS
from lambda_kit import JobContext, LambdaTool, ProcessExecutor, ToolOptions, ToolServer


class EchoProcess(LambdaTool):
    """Echo a message"""

    path = "/process"
    options = ToolOptions(executor="process")

    def run(self, req: EchoRequest) -> EchoResult:
        return EchoResult(echo=req.message)


class CancelListening(LambdaTool):
    """Sleep until cancelled, in a worker process"""

    path = "/cancel-listening"
    options = ToolOptions(executor="process")

    def run(self, req: SleepRequest, ctx: JobContext) -> SleepResult:
        ctx.progress(0)
        end = time.monotonic() + req.seconds
        while time.monotonic() < end:
            time.sleep(TICK_SECONDS)
            ctx.raise_if_cancelled()
        return SleepResult(slept=req.seconds, token=req.token)


class CancelDeaf(LambdaTool):
    """Sleep until killed, in a worker process"""

    path = "/cancel-deaf"
    options = ToolOptions(executor="process")

    def run(self, req: SleepRequest, ctx: JobContext) -> SleepResult:
        ctx.progress(0)
        time.sleep(req.seconds)
        return SleepResult(slept=req.seconds, token=req.token)


server = ToolServer(
    service,
    tools=[EchoSync, EchoAsync, EchoProcess, CancelListening, CancelDeaf, Drain],
    executor=ProcessExecutor(WORKERS),
)

if __name__ == "__main__":
    server.serve()
