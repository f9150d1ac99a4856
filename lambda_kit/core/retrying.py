"""Going on where a store is away for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lambda_kit.core.errors import UnavailableError

__all__ = ["until_available"]

logger = logging.getLogger("lambda_kit.store")

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


async def until_available(what: str, call: Callable[[], Awaitable[T]]) -> T:
    """Call, and while the store is away call again, with back-off. Any other error is raised.

    Args:
        what: What is tried, for the log.
        call: Makes the attempt.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await call()
        except UnavailableError as error:
            if pause == _FIRST_PAUSE_SECONDS:  # once: thousands of jobs may be waiting for the same store
                logger.warning("%s: the store is away (%s); trying again until it is back", what, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
