"""`Heard`: what a client of the official library is told of progress."""

import asyncio

__all__ = ["Heard"]


class Heard:
    """A ``progress_callback``."""

    def __init__(self) -> None:
        self.numbers: list[float] = []
        self.all: list[tuple[float, float | None, str | None]] = []
        self._news = asyncio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Note it."""
        self.numbers.append(progress)
        self.all.append((progress, total, message))
        self._news.set()

    async def something_new(self) -> None:
        """Wait until there is more than there was."""
        self._news.clear()
        async with asyncio.timeout(60):
            await self._news.wait()
