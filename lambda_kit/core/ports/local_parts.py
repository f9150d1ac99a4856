"""What a `LocalJobStore` keeps: an entry for each job, and slots."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from lambda_kit.core.model.events import Event, EventPage
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store_base import Step, StoredJob, log_of

__all__ = ["Entry", "Slots"]


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
