"""What `MemoryJobStore` is made of: the entries, and what it keeps beside the jobs."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from operator import attrgetter

import msgspec
from cachetools import FIFOCache

from lambda_kit.core.model.events import Event, EventPage, status_event
from lambda_kit.core.model.job import Job, Payload

__all__ = ["Entry", "FinishedJobs", "Outbox", "Slots"]


class Entry(msgspec.Struct, gc=False):
    """All that is known of one job.

    Finished jobs are kept by the thousands: nothing in them is tracked by the garbage collector, which would walk
    through all of them again and again, and hold the event loop up for a tenth of a second each time.
    """

    job: Job
    number: int
    """Grows with each job: the order of the list."""
    request: Payload | None
    """Kept until the job is final."""
    events: list[Event] | tuple[Event, ...]
    last_seq: int
    result: Payload | None = None
    batch: tuple[int, int] = (0, 0)
    """Token and number of the last batch of events."""

    def seal(self) -> None:
        """Make the log one that the garbage collector need not track: the job is final."""
        self.request = None
        self.events = tuple(self.events)

    def append(self, event: Event, limit: int) -> None:
        """Append to the log; where it is full the oldest events go."""
        events = self.events if isinstance(self.events, list) else list(self.events)
        events.append(event)
        if len(events) > limit:
            del events[:-limit]
        self.events = events

    def log_status(self, now: float, limit: int) -> None:
        """Append the job's status to its log."""
        self.last_seq += 1
        self.append(status_event(self.last_seq, self.job.status, now), limit)

    def page(self, after: int, limit: int) -> EventPage:
        """A stretch of the log."""
        first = bisect_right(self.events, after, key=attrgetter("seq"))
        return EventPage(list(self.events[first : first + limit]), self.last_seq, self.job.status.is_final)


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

    def add(self, job: Job, now: float) -> None:
        """Keep a job that has just ended, in place of the oldest if its tool has too many.

        Jobs past their time stay until `expire`: looking for them here would be done for each job.
        """
        key = (job.tool, job.ttl_seconds)
        kept = self._kept.get(key)
        if kept is None or kept.maxsize != job.keep_finished:
            kept = self._kept[key] = self._resized(kept, job.keep_finished)
        kept[job.id] = now + job.ttl_seconds

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


class Slots:
    """Named, counted places with leases."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[str, float]] = {}

    def acquire(self, name: str, holder: str, limit: int, now: float, lease_seconds: float) -> bool:
        """Take or renew a place; False if all are taken."""
        holders = self._holders.setdefault(name, {})
        for other in [other for other, expires_at in holders.items() if expires_at <= now]:
            del holders[other]
        if holder not in holders and len(holders) >= limit:
            return False
        holders[holder] = now + lease_seconds
        return True

    def release(self, name: str, holder: str) -> None:
        """Give a place back."""
        self._holders.get(name, {}).pop(holder, None)

    def release_all_of(self, worker_id: str) -> None:
        """Give back what a process had."""
        for holders in self._holders.values():
            for holder in [holder for holder in holders if holder.startswith(f"{worker_id} ")]:
                del holders[holder]


class Outbox:
    """For each sink, the jobs that it was not told all of, with the last event that it has confirmed."""

    def __init__(self) -> None:
        self._confirmed: dict[str, dict[str, int]] = {}
        self._leases: dict[tuple[str, str], tuple[str, float]] = {}

    def register(self, sink: str) -> None:
        """A sink is to be told of the jobs that come."""
        self._confirmed.setdefault(sink, {})

    def add(self, job_id: str) -> None:
        """A job has come."""
        for confirmed in self._confirmed.values():
            confirmed[job_id] = 0

    def forget(self, job_id: str) -> None:
        """A job is gone, and there is nothing left to tell of it."""
        for sink, confirmed in self._confirmed.items():
            confirmed.pop(job_id, None)
            self._leases.pop((sink, job_id), None)

    def waiting(self, sink: str) -> Iterator[tuple[str, int]]:
        """The jobs that a sink was not told all of, in the order in which they came."""
        yield from self._confirmed.get(sink, {}).items()

    def lease(self, sink: str, job_id: str, holder: str, now: float, lease_seconds: float) -> bool:
        """Leave a delivery to one who delivers, or renew that; False if it is another's."""
        other, until = self._leases.get((sink, job_id), (holder, 0.0))
        if other != holder and until > now:
            return False
        self._leases[sink, job_id] = (holder, now + lease_seconds)
        return True

    def mark(self, sink: str, job_id: str, after_seq: int, *, is_complete: bool) -> None:
        """The sink has confirmed events, or all there is."""
        confirmed = self._confirmed.get(sink, {})
        if job_id in confirmed:
            if is_complete:
                del confirmed[job_id]
                self._leases.pop((sink, job_id), None)
            else:
                confirmed[job_id] = max(after_seq, confirmed[job_id])
