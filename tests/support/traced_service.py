"""A service whose tools run in every place, report steps and call others."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import httpx2
import requests
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, ProcessExecutor, RequestInfo, Service, ToolOptions, ToolServer

logger = logging.getLogger("traced")


class Work(BaseModel):
    url: str = ""
    fail: bool = False
    seconds: float = 0.0
    secret: str = ""


class Done(BaseModel):
    statuses: list[int] = []


def work(req: Work, ctx: JobContext) -> Done:
    with ctx.report.step("load", "Loading ...") as step:
        logger.info("loading for %s", ctx.tool)
        statuses = []
        if req.url:
            statuses = [
                requests.get(req.url, timeout=5).status_code,
                httpx.get(req.url).status_code,
                httpx2.get(req.url).status_code,
            ]
        if req.fail:
            raise RuntimeError(f"no data {req.secret}")
        if req.seconds:
            Event().wait(req.seconds)
        step.finished("Done")
    return Done(statuses=statuses)


class InThread(LambdaTool):
    """Works on a thread."""

    def run(self, req: Work, ctx: JobContext) -> Done:
        return work(req, ctx)


class InProcess(LambdaTool):
    """Works in a worker process."""

    options = ToolOptions(executor="process", time_limit_seconds=float(os.environ.get("LIMIT", "60")))

    def run(self, req: Work, ctx: JobContext) -> Done:
        return work(req, ctx)


class OnLoop(LambdaTool):
    """Works on the event loop."""

    async def run(self, req: Work, ctx: JobContext) -> Done:
        with ctx.report.step("load", "Loading ...") as step:
            logger.info("loading for %s", ctx.tool)
            statuses = []
            if req.url:
                async with httpx.AsyncClient() as client:
                    statuses.append((await client.get(req.url)).status_code)
                async with httpx2.AsyncClient() as client2:
                    statuses.append((await client2.get(req.url)).status_code)
            if req.fail:
                raise RuntimeError(f"no data {req.secret}")
            step.finished("Done")
        return Done(statuses=statuses)


class OwnThreads(LambdaTool):
    """Reports steps on threads of its own."""

    def run(self, req: Work, ctx: JobContext) -> Done:
        def part(number: int) -> None:
            with ctx.report.step(f"part-{number}") as step:
                step.finished("Done")

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(part, range(2)))
        return Done()


class Shown(BaseModel):
    traceparent: str


class ShownRequest(LambdaTool):
    """Shows what is kept of its request."""

    def run(self, req: Work, info: RequestInfo) -> Shown:
        return Shown(traceparent=info.headers["traceparent"])


class Dies(LambdaTool):
    """Ends its process."""

    options = ToolOptions(executor="process")

    def run(self, req: Work) -> Done:
        os._exit(1)


class Again(LambdaTool):
    """Hangs at its first attempt."""

    options = ToolOptions(max_attempts=2)

    def run(self, req: Work, ctx: JobContext) -> Done:
        if ctx.attempt == 1:
            logger.info("first attempt")
            Event().wait()
        return Done()


server = ToolServer(
    Service(name="Traced", version="1.2.3", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[InThread, InProcess, OnLoop, OwnThreads, ShownRequest, Dies, Again],
    executor=ProcessExecutor(1),
)

if __name__ == "__main__":
    server.serve()
