"""`RememberedJobs`: changes of single jobs in a database, by compare-and-set of what was seen last."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.ports.store_base import Decide, Step, StoredJob

__all__ = ["RememberedJobs"]

_REMEMBERED = 10_000

S = TypeVar("S", bound=StoredJob)


class RememberedJobs(ABC, Generic[S]):
    """Jobs that were last changed here are likely to be changed here next, and are remembered.

    Such a change needs no reading first, since nothing is written unless the job still has the version that is
    remembered.

    Args:
        clock: Gives the time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: LRUCache[str, S] = LRUCache(_REMEMBERED)

    @abstractmethod
    async def _fetch(self, job_id: str) -> S | None:
        """Read a job. None: it is not there, or has expired."""

    @abstractmethod
    async def _write(self, known: S, step: Step, now: float) -> S | None:
        """Make a step if the job still has the version that is known; returns it as it is then. None: it has not."""

    def known(self, job_id: str) -> S | None:
        """A job as it was when it was last seen here."""
        known: S | None = self._known.get(job_id)
        return known

    def remember(self, known: S) -> None:
        """Remember a job, unless it is final."""
        if known.job.status.is_final:
            self._known.pop(known.job.id, None)
        else:
            self._known[known.job.id] = known

    def forget(self, job_id: str | None) -> None:
        """Remember a job no longer. None: none at all."""
        if job_id is None:
            self._known.clear()
        else:
            self._known.pop(job_id, None)

    async def read(self, job_id: str) -> S | None:
        """Read a job, and remember it. None: it is not there, or has expired."""
        known = await self._fetch(job_id)
        if known is not None:
            self.remember(known)
        return known

    async def change(self, job_id: str, decide: Decide[S]) -> S | None:
        """As `JobStoreBase._change`."""
        known = self.known(job_id)
        is_remembered = known is not None
        while True:
            if known is None:
                known = await self.read(job_id)
                if known is None:
                    return None
            now = self._clock()
            step = None
            try:
                step = decide(known, now)
            except LeaseLostError:
                if not is_remembered:
                    raise
            if step is not None:
                after = await self._write(known, step, now)
                if after is not None:
                    return after
            elif not is_remembered:
                return known
            known, is_remembered = None, False
