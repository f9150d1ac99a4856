"""`MemoryJobStore`: jobs in this process's memory. The default, and the quickest."""

import secrets
from collections.abc import Callable

from lambda_kit.adapters.stores.memory.finished import FinishedJobs
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.local_parts import Entry
from lambda_kit.core.ports.local_store import LocalJobStore
from lambda_kit.core.runtime.steady_clock import SteadyClock

__all__ = ["MemoryJobStore"]


class MemoryJobStore(LocalJobStore):
    """Keeps jobs in memory, for one server process.

    A job is kept until the process ends: nothing survives a restart or a crash. Finished jobs go when their time is up,
    or, oldest first, when their tool has more of them than it wants kept; pending and executing jobs are never evicted.
    All methods must be called on one event loop.

    **Time.** All times are those of a `SteadyClock`: a step of the wall clock changes no duration.

    Args:
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. For tests. None: a steady clock.
    """

    is_durable = False

    def __init__(self, *, event_log_size: int = 10_000, clock: Callable[[], float] | None = None) -> None:
        super().__init__(event_log_size=event_log_size, clock=clock or SteadyClock())
        self._caller_key = secrets.token_bytes(32)
        self._finished = FinishedJobs(lambda job_id: self._drop(self._entries[job_id]))

    async def caller_key(self) -> bytes:
        return self._caller_key

    def _has_ended(self, job: Job) -> None:
        self._finished.add(job)

    def _forget_expired(self, now: float) -> int:
        return self._finished.expire(now)

    def _forget(self, entry: Entry) -> None:
        self._finished.remove(entry.job)
        self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        super()._forget(entry)
