"""Bounds for what others have to do while the service stops."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["bounded"]

logger = logging.getLogger("lambda_kit.service")

_SECONDS = 5.0


async def bounded(what: str, work: Coroutine[Any, Any, object], *, seconds: float = _SECONDS) -> None:
    """Await something for a bounded time, then go on without it, and say so.

    Args:
        what: For the log, the subject of a sentence.
        work: Is cancelled when its time is over.
        seconds: For how long.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        task.cancel()
        raise
    if done:
        task.result()
        return
    task.cancel()
    logger.warning("%s takes longer than %g s: going on without it", what, seconds)
