"""`MemoryJobStore`: jobs in this process's memory. The default, and the quickest."""

import secrets
from collections.abc import Callable

from lambda_kit.adapters.stores.memory.finished import FinishedJobs
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.local_parts import Entry
from lambda_kit.core.ports.local_store import LocalJobStore
from lambda_kit.core.ports.outbox import Dropped, DropReason
from lambda_kit.core.ports.store_records import encode_job
from lambda_kit.core.runtime.steady_clock import SteadyClock

__all__ = ["MemoryJobStore"]

_ENTRY_BYTES, _EVENT_BYTES = 2048, 256
"""What the objects of an entry and of an event take, beside the texts and bytes that they hold."""


class MemoryJobStore(LocalJobStore):
    """Keeps jobs in memory, for one server process.

    A job is kept until the process ends: nothing survives a restart or a crash. Finished jobs go when their time is up,
    or, oldest first, when their tool has more of them than it wants kept; pending and executing jobs are never evicted.
    What a sink has not confirmed of those that went is kept for it, up to `max_undelivered_bytes` in all: where there
    is more, the oldest go (`drop_undelivered` tells of them). All methods must be called on one event loop.

    **Time.** All times are those of a `SteadyClock`: a step of the wall clock changes no duration.

    Args:
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        max_undelivered_bytes: How many bytes are kept for sinks of jobs that are gone for clients.
        clock: Gives the time in seconds since the epoch. For tests. None: a steady clock.
    """

    is_durable = False
    counts_shares = True

    def __init__(
        self,
        *,
        event_log_size: int = 10_000,
        max_undelivered_bytes: int = 64 * 2**20,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(event_log_size=event_log_size, clock=clock or SteadyClock())
        self._caller_key = secrets.token_bytes(32)
        self._finished = FinishedJobs(self._evict)
        self._max_retired_bytes = max_undelivered_bytes
        self._retired_bytes = 0
        self._without_room: list[Dropped] = []

    async def caller_key(self) -> bytes:
        return self._caller_key

    async def drop_undelivered(self, *, silent_seconds: float, limit: int = 500) -> list[Dropped]:
        without_room, self._without_room = self._without_room, []
        return without_room + await super().drop_undelivered(silent_seconds=silent_seconds, limit=limit)

    def _has_ended(self, job: Job) -> None:
        self._finished.add(job)

    def _expire_all(self, now: float) -> int:
        return self._finished.expire(now)

    def _evict(self, job_id: str) -> None:
        """Have a job no longer for clients that is not among the finished ones any more."""
        super()._expire(self._entries[job_id])

    def _expire(self, entry: Entry) -> None:
        self._finished.remove(entry.job)
        super()._expire(entry)

    def _retire(self, entry: Entry) -> None:
        self._retired_bytes += _size_of(entry)
        super()._retire(entry)
        while self._retired_bytes > self._max_retired_bytes:
            self._without_room += self._drop(next(iter(self._retired.values())), DropReason.NO_ROOM)

    def _forget(self, entry: Entry) -> None:
        if entry.number in self._retired:  # of most jobs nothing is left to be forgotten
            self._retired_bytes -= _size_of(entry)
            super()._forget(entry)


def _size_of(entry: Entry) -> int:
    result = 0 if entry.result is None else len(entry.result.content)
    events = sum(_EVENT_BYTES + len(event.body) for event in entry.events)
    return _ENTRY_BYTES + len(encode_job(entry.job)) + result + events
