"""`FinishedJobs`: how many finished jobs a `MemoryJobStore` keeps, and for how long."""

from collections import OrderedDict
from collections.abc import Callable

from lambda_kit.core.model.job import Job

__all__ = ["FinishedJobs"]


class FinishedJobs:
    """Bounds how many finished jobs are kept, and for how long, for each tool.

    Args:
        forget: Called with the id of each job that has to go.
    """

    def __init__(self, forget: Callable[[str], object]) -> None:
        self._forget = forget
        # by tool and time to live, the oldest first: these expire in the order in which they have ended
        self._kept: dict[tuple[str, float], OrderedDict[str, float]] = {}

    def add(self, job: Job) -> None:
        """Keep a job that has just ended, in place of the oldest if its tool has too many.

        Jobs past their time stay until `expire`: looking for them here would be done for each job.
        """
        key = (job.tool, job.ttl_seconds)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = OrderedDict()
        kept[job.id] = job.expires_at or 0.0
        while len(kept) > job.keep_finished:
            self._forget(kept.popitem(last=False)[0])

    def remove(self, job: Job) -> None:
        """Keep a job no longer. No error if it was not kept."""
        kept = self._kept.get((job.tool, job.ttl_seconds))
        if kept is not None:
            kept.pop(job.id, None)

    def expire(self, now: float) -> int:
        """Forget the jobs that are past their time; returns how many."""
        count = 0
        for kept in self._kept.values():
            while kept and next(iter(kept.values())) <= now:
                self._forget(kept.popitem(last=False)[0])
                count += 1
        return count
