"""`FinishedJobs`: how many finished jobs a `MemoryJobStore` keeps, and for how long."""

from collections.abc import Callable

from cachetools import FIFOCache

from lambda_kit.core.model.job import Job

__all__ = ["FinishedJobs"]


class _Kept(FIFOCache[str, float]):
    """Finished jobs that live equally long, with their time of expiry: the oldest is the first to go."""

    def __init__(self, maxsize: int, forget: Callable[[str], object]) -> None:
        super().__init__(maxsize)
        self._forget = forget

    def popitem(self) -> tuple[str, float]:
        job_id, expires_at = super().popitem()
        self._forget(job_id)
        return job_id, expires_at

    def expire(self, now: float) -> int:
        """Forget what is past its time; returns how many."""
        before = len(self)
        while self and next(iter(self.values())) <= now:
            self.popitem()
        return before - len(self)


class FinishedJobs:
    """Bounds how many finished jobs are kept, and for how long, for each tool.

    Args:
        forget: Called with the id of each job that has to go.
    """

    def __init__(self, forget: Callable[[str], object]) -> None:
        self._forget = forget
        self._kept: dict[tuple[str, float], _Kept] = {}

    def add(self, job: Job) -> None:
        """Keep a job that has just ended, in place of the oldest if its tool has too many.

        Jobs past their time stay until `expire`: looking for them here would be done for each job.
        """
        key = (job.tool, job.ttl_seconds)
        kept = self._kept.get(key)
        if kept is None or kept.maxsize != job.keep_finished:
            kept = self._kept[key] = self._resized(kept, job.keep_finished)
        kept[job.id] = job.expires_at or 0.0

    def remove(self, job: Job) -> None:
        """Keep a job no longer. No error if it was not kept."""
        kept = self._kept.get((job.tool, job.ttl_seconds))
        if kept is not None:
            kept.pop(job.id, None)

    def expire(self, now: float) -> int:
        """Forget the jobs that are past their time; returns how many."""
        return sum(kept.expire(now) for kept in self._kept.values())

    def _resized(self, before: _Kept | None, maxsize: int) -> _Kept:
        kept = _Kept(maxsize, self._forget)
        for job_id, expires_at in () if before is None else before.items():
            kept[job_id] = expires_at
        return kept
