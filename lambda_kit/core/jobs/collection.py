"""Which results have been asked for: a service that stops waits a little for those that have not."""

import asyncio
from collections.abc import Iterable

__all__ = ["Fetching"]


class Fetching:
    """Nothing is noted until `begin`: only the end of a service wants to know."""

    def __init__(self) -> None:
        self._missing: set[str] | None = None
        self._all_fetched = asyncio.Event()

    def begin(self, job_ids: Iterable[str]) -> None:
        """From now on note who asks for the results of these jobs. Again: no effect."""
        if self._missing is None:
            self._missing = set(job_ids)
            self._look()

    def fetched(self, job_id: str) -> None:
        """The end of a job was told to somebody who asked."""
        if self._missing is not None:
            self._missing.discard(job_id)
            self._look()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait until all have been asked for; False if the time was up first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._all_fetched.wait()
        except TimeoutError:
            return False
        return True

    def _look(self) -> None:
        if not self._missing:
            self._all_fetched.set()
