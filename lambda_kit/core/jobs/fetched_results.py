"""Which results were fetched: a service that stops waits a little for the others."""

import asyncio
from collections.abc import Iterable, Sized

__all__ = ["FetchedResults"]


class FetchedResults:
    """Tracks which results were fetched. Inactive until shutdown calls `begin`.

    Args:
        relays: All of these have to deliver a job's end, so that it counts as fetched.
    """

    def __init__(self, relays: Sized) -> None:
        self._relays = relays
        self._missing: dict[str, int] | None = None  # how many sinks have not confirmed the end, by job
        self._all_fetched = asyncio.Event()

    def start(self) -> None:
        """Be ready to work on the running event loop."""
        self._missing = None
        self._all_fetched = asyncio.Event()

    def begin(self, job_ids: Iterable[str]) -> None:
        """From now on track the results of these jobs. Again: no effect."""
        if self._missing is None:
            self._missing = dict.fromkeys(job_ids, len(self._relays))
            self._look()

    def fetched(self, job_id: str) -> None:
        """A job's end was told to somebody who asked."""
        if self._missing is not None:
            self._missing.pop(job_id, None)
            self._look()

    def delivered(self, job_id: str) -> None:
        """A sink has confirmed a job's end. When all have, it counts as fetched."""
        if self._missing is not None and job_id in self._missing:
            self._missing[job_id] -= 1
            if self._missing[job_id] <= 0:
                self.fetched(job_id)

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait until all were fetched; False if the time was up first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._all_fetched.wait()
        except TimeoutError:
            return False
        return True

    def _look(self) -> None:
        if not self._missing:
            self._all_fetched.set()
