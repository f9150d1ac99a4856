"""Tasks without a caller: they have an owner that ends them."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

__all__ = ["Background"]

_SECONDS_TO_END = 5.0


class Background:
    """Runs coroutines in tasks of their own; what they raise is logged.

    Args:
        log: The logger's name.
    """

    def __init__(self, log: str) -> None:
        self._logger = logging.getLogger(log)
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many run."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine."""
        task = asyncio.get_running_loop().create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception:
            self._logger.exception("a background task failed")

    async def stop(self) -> None:
        """Wait a little for what runs, then cancel it."""
        tasks = set(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_SECONDS_TO_END)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_SECONDS_TO_END)
