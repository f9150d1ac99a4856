"""A service whose tools put what they must not tell everywhere: one tool for each executor."""

import asyncio
import logging
import threading
from typing import Any

from pydantic import BaseModel

from lambda_kit import (
    GenericErrorEvent,
    GenericEvent,
    JobContext,
    LambdaTool,
    ProcessExecutor,
    RequestInfo,
    Service,
    ToolOptions,
    ToolServer,
)

logger = logging.getLogger("leaky")

ENDS = ("result", "raise", "value", "chain", "str", "note", "group", "class", "encode", "context", "quoted")
"""The ways in which a run can end."""


class Leak(BaseModel):
    end: str = "result"


class OddError(Exception):
    """What it says is not in its arguments."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def __str__(self) -> str:
        return f"odd {self._secret}"

    __repr__ = __str__


class Odd:
    """Its encoding fails, and says why."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def tolist(self) -> Any:
        """What an encoder asks of arrays."""
        raise OddError(self._secret)


def report(ctx: JobContext, info: RequestInfo, secret: str) -> None:
    """Tell it in every way."""
    logger.info("context %r, request %r", ctx, info)
    logger.info("it is %s", secret, extra={"mine": {"nested": [secret]}})
    logger.info({"message": secret})
    logger.warning("it has args that don't fit: %d", secret)
    try:
        try:
            raise OddError(secret)
        except OddError as error:
            raise RuntimeError(f"Unauthorized: {secret}") from error
    except RuntimeError as error:
        logger.exception("failed", stack_info=True)
        with ctx.report.step("step", f"with {secret}", option=secret) as step:
            step.info({"info": [secret, {secret: secret}]})
            step.finished(f"done with {secret}", more=error)
        ctx.report.emit(GenericErrorEvent(error=str(error), context=secret, stacktrace=[f"line {secret}"]))
    ctx.report.emit(GenericEvent(name=secret, options={"deep": {"a": [{"b": secret}]}, "error": OddError(secret)}))
    ctx.progress(1, 2, f"half of {secret}")
    thread = threading.Thread(target=lambda: logger.info("on a thread: %s", secret))
    thread.start()
    thread.join()


def end(how: str, ctx: JobContext, secret: str) -> Any:
    """End in one of the ways."""
    if how == "raise":
        raise RuntimeError(f"401 for {secret}")
    if how == "value":
        raise ValueError(f"bad value {secret}")
    if how == "chain":
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise RuntimeError("boom") from error
    if how == "str":
        raise OddError(secret)
    if how == "note":
        noted = RuntimeError("boom")
        noted.add_note(f"with {secret}")
        raise noted
    if how == "group":
        raise ExceptionGroup("several", [ValueError(secret), OddError(secret)])
    if how == "class":
        raise type(secret, (Exception,), {})("boom")
    if how == "context":
        raise RuntimeError(f"failed in {ctx!r}, {ctx}")
    if how == "quoted":
        raise RuntimeError(f"failed for {(secret + chr(10))!r}")
    return Odd(secret) if how == "encode" else "ok"


def leak(req: Leak, ctx: JobContext, info: RequestInfo) -> Any:
    """Tell it, and end."""
    secret = ctx.job_authorization or ""
    for told in (secret, secret.partition(" ")[2]):
        report(ctx, info, told)
    return end(req.end, ctx, secret)


class OnLoop(LambdaTool):
    """On the event loop"""

    async def run(self, req: Leak, ctx: JobContext, info: RequestInfo) -> Any:
        await asyncio.sleep(0)
        return leak(req, ctx, info)


class OnThread(LambdaTool):
    """On a thread"""

    def run(self, req: Leak, ctx: JobContext, info: RequestInfo) -> Any:
        return leak(req, ctx, info)


class InProcess(LambdaTool):
    """In a worker process"""

    options = ToolOptions(executor="process")

    def run(self, req: Leak, ctx: JobContext, info: RequestInfo) -> Any:
        return leak(req, ctx, info)


class Waits(LambdaTool):
    """Until it is cancelled"""

    async def run(self, req: Leak, ctx: JobContext, info: RequestInfo) -> None:
        report(ctx, info, ctx.job_authorization or "")
        await asyncio.Event().wait()


server = ToolServer(
    Service(name="Leaky", contact={"name": "A", "email": "a@example.com"}),
    [OnLoop, OnThread, InProcess, Waits],
    executor=ProcessExecutor(max_workers=1),
)

if __name__ == "__main__":
    server.serve()
