"""What a `LocalJobStore` keeps: an entry for each job, slots, and the outbox."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from lambda_kit.core.model.events import Event, EventPage
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store_base import Step, StoredJob, log_of

__all__ = ["Entry", "Outbox", "Slots"]


class Entry(StoredJob, gc=False):
    """All that is known of one job.

    Finished jobs are kept by the thousands: nothing in them is tracked by the garbage collector, which would walk
    through all of them again and again, and hold the event loop up for a tenth of a second each time.
    """

    number: int
    """Grows with each job: the order of the list."""
    request: Payload | None
    """Kept until the job is final."""
    events: Sequence[Event]
    """A tuple when the job is final, which the garbage collector need not track."""
    result: Payload | None = None

    def apply(self, step: Step, now: float, log_size: int) -> None:
        """Become what a step says. Where the log is longer than `log_size`, the oldest events go."""
        log = log_of(self, step, now)
        self.job = step.job
        if log:
            self.last_seq = log[-1].seq
            events = self.events if isinstance(self.events, list) else list(self.events)
            events += log
            if len(events) > log_size:
                del events[:-log_size]
            self.events = events
        else:
            self.last_seq += step.dropped
        if step.batch is not None:
            self.batch = step.batch
        if step.job.expires_at is not None:  # the job is final
            self.request, self.result, self.events = None, step.result, tuple(self.events)

    def page(self, after: int, limit: int) -> EventPage:
        """A stretch of the log."""
        first = bisect_right(self.events, after, key=attrgetter("seq"))
        return EventPage(list(self.events[first : first + limit]), self.last_seq, self.job.status.is_final)


class Slots:
    """Named, counted places with leases (`JobStore.acquire_slot`)."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[str, float]] = {}

    def acquire(self, name: str, holder: str, limit: int, now: float, lease_seconds: float) -> bool:
        """Take or renew a slot; False if all are taken."""
        holders = self._holders.setdefault(name, {})
        for other in [other for other, expires_at in holders.items() if expires_at <= now]:
            del holders[other]
        if holder not in holders and len(holders) >= limit:
            return False
        holders[holder] = now + lease_seconds
        return True

    def release(self, name: str, holder: str) -> None:
        """Give a slot back."""
        self._holders.get(name, {}).pop(holder, None)

    def release_all_of(self, worker_id: str) -> None:
        """Give back the slots of a worker."""
        for holders in self._holders.values():
            for holder in [holder for holder in holders if holder.startswith(f"{worker_id} ")]:
                del holders[holder]


class Outbox:
    """For each sink, the jobs that are not wholly delivered to it, with the last event that it has confirmed."""

    def __init__(self) -> None:
        self._sinks: set[str] = set()
        self._confirmed: dict[str, dict[str, int]] = {}
        self._leases: dict[tuple[str, str], tuple[str, float]] = {}

    def register(self, sink: str) -> None:
        """Add the jobs that come from now on for this sink too."""
        self._sinks.add(sink)

    def add(self, job_id: str) -> None:
        """Add a new job, for all registered sinks."""
        for sink in self._sinks:
            self.restore(job_id, {sink: 0})

    def restore(self, job_id: str, confirmed: dict[str, int]) -> None:
        """Add a job from before a restart, as `confirmed_of` gave it."""
        for sink, after_seq in confirmed.items():
            self._confirmed.setdefault(sink, {})[job_id] = after_seq

    def confirmed_of(self, job_id: str) -> dict[str, int]:
        """The sinks that a job is not wholly delivered to, with the last event that each has confirmed."""
        return {sink: confirmed[job_id] for sink, confirmed in self._confirmed.items() if job_id in confirmed}

    def forget(self, job_id: str) -> None:
        """Remove a job that is gone."""
        for sink, confirmed in self._confirmed.items():
            confirmed.pop(job_id, None)
            self._leases.pop((sink, job_id), None)

    def waiting(self, sink: str) -> Iterator[tuple[str, int]]:
        """The jobs that are not wholly delivered to a sink, in the order in which they came."""
        yield from self._confirmed.get(sink, {}).items()

    def lease(self, sink: str, job_id: str, holder: str, now: float, lease_seconds: float) -> bool:
        """Lease a delivery to a worker, or renew its lease; False if another one has it."""
        other, until = self._leases.get((sink, job_id), (holder, 0.0))
        if other != holder and until > now:
            return False
        self._leases[sink, job_id] = (holder, now + lease_seconds)
        return True

    def mark(self, sink: str, job_id: str, after_seq: int, *, is_complete: bool) -> None:
        """The sink has confirmed events, or the end too."""
        confirmed = self._confirmed.get(sink, {})
        if job_id in confirmed:
            if is_complete:
                del confirmed[job_id]
                self._leases.pop((sink, job_id), None)
            else:
                confirmed[job_id] = max(after_seq, confirmed[job_id])
