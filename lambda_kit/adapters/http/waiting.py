"""Waiting for a job as long as the client is there."""

import asyncio

from litestar.types import Receive

from lambda_kit.core.errors import NotServingError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.jobs.waiting import WaitResult

__all__ = ["QUICK_SECONDS", "until_gone", "wait_while_connected"]

QUICK_SECONDS = 1.0
"""Shorter waits don't look whether the client is still there: that would cost more than it saves."""


async def wait_while_connected(service: JobService, found: WaitResult, seconds: float, receive: Receive) -> WaitResult:
    """Go on waiting for a job's end, at most so many seconds, and not for a client that went away.

    Args:
        service: Knows the job.
        found: What the first, quick wait found.
        seconds: How much longer.
        receive: The request's, whose body has been read.

    Raises:
        NotServingError: if the server ends the request because it stops, and the job with it.
    """
    if found.job.status.is_final or seconds <= 0:
        return found
    waiting = asyncio.ensure_future(service.wait(found.job.id, wait_seconds=seconds, known=found.job))
    leaving = asyncio.ensure_future(until_gone(receive))
    try:
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else found
    except asyncio.CancelledError:
        if service.accepts_jobs:
            raise
        if service.outlives_process:  # the job lives on elsewhere, or will be taken up again: try later
            return found
        # the server has waited for this request as long as it may: the client can still be told why it ends
        message = "the service is stopping, and the job did not end in time"
        raise NotServingError(message) from None
    finally:
        for task in (waiting, leaving):
            task.cancel()


async def until_gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
