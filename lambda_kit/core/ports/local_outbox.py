"""The outbox of a `LocalJobStore`, in the memory of its process."""

import math
from abc import ABC
from collections.abc import Callable, Iterator

from lambda_kit.core.ports.local_parts import Entry
from lambda_kit.core.ports.outbox import (
    Delivery,
    DeliveryPart,
    Dropped,
    DropReason,
    Right,
    right_to_deliver,
)
from lambda_kit.core.ports.store_base import JobStoreBase

__all__ = ["LocalOutbox", "LocalOutboxStore"]


class LocalOutbox:
    """For each sink, the jobs that are not wholly delivered to it, by number."""

    def __init__(self) -> None:
        self._sinks: dict[str, float] = {}  # when it was last registered
        self._waiting: dict[str, dict[int, Delivery]] = {}
        # of these, those that may have something to deliver: others run for long, and must not be looked at each time
        self._maybe_due: dict[str, dict[int, None]] = {}
        self._unordered: set[str] = set()
        self._leases: dict[tuple[str, int], tuple[str, float]] = {}

    def register(self, sink: str, now: float) -> None:
        """Add the jobs that come from now on for this sink too."""
        self._sinks[sink] = now

    def add(self, job_id: str, number: int) -> None:
        """Add a new job, for all registered sinks."""
        for sink in self._sinks:
            self._wait_for(sink, Delivery(job_id, 0, number))

    def restore(self, job_id: str, number: int, confirmed: dict[str, int], now: float) -> None:
        """Add a job from before a restart, as `confirmed_of` gave it."""
        for sink, after_seq in confirmed.items():
            self._sinks.setdefault(sink, now)
            self._wait_for(sink, Delivery(job_id, after_seq, number))

    def changed(self, number: int) -> None:
        """Note that a job has changed: there may be something new to deliver."""
        for sink, jobs in self._waiting.items():
            if number in jobs and number not in self._maybe_due[sink]:
                self._maybe_due[sink][number] = None
                self._unordered.add(sink)

    def not_due(self, sink: str, number: int) -> None:
        """Leave a job out of `maybe_due` until it changes."""
        self._maybe_due[sink].pop(number, None)

    def confirmed_of(self, number: int) -> dict[str, int]:
        """The sinks that a job is not wholly delivered to, with the last event that each has confirmed."""
        return {sink: jobs[number].after_seq for sink, jobs in self._waiting.items() if number in jobs}

    def is_waiting(self, number: int) -> bool:
        """Whether a job is not wholly delivered to some sink."""
        return bool(self._waiting) and any(number in jobs for jobs in self._waiting.values())

    def forget(self, number: int) -> None:
        """Remove a job that is gone."""
        for sink, jobs in self._waiting.items():
            if jobs.pop(number, None) is not None:
                self._end(sink, number)

    def maybe_due(self, sink: str) -> Iterator[Delivery]:
        """The jobs of which there may be something to deliver to a sink, in the order in which they came."""
        if sink in self._unordered:
            self._unordered.remove(sink)
            self._maybe_due[sink] = dict.fromkeys(sorted(self._maybe_due[sink]))
        jobs = self._waiting.get(sink, {})
        return (jobs[number] for number in list(self._maybe_due.get(sink, ())))

    def has(self, sink: str, number: int) -> bool:
        """Whether a job is not wholly delivered to a sink."""
        return number in self._waiting.get(sink, {})

    def holder(self, sink: str, number: int, now: float) -> str | None:
        """Who has a lease on a delivery that has not run out."""
        holder, until = self._leases.get((sink, number), (None, 0.0))
        return holder if until > now else None

    def lease(self, sink: str, number: int, holder: str, until: float) -> None:
        """Lease a delivery to a worker, or renew its lease."""
        self._leases[sink, number] = (holder, until)

    def release_all_of(self, worker_id: str) -> None:
        """End the leases of a worker."""
        for entry in [entry for entry, (holder, _) in self._leases.items() if holder == worker_id]:
            del self._leases[entry]

    def mark(self, sink: str, number: int, after_seq: int, *, is_complete: bool) -> None:
        """The sink has confirmed events, or the end too."""
        jobs = self._waiting.get(sink, {})
        known = jobs.get(number)
        if known is None:
            return
        if is_complete:
            del jobs[number]
            self._end(sink, number)
        elif after_seq > known.after_seq:
            jobs[number] = Delivery(known.job_id, after_seq, number)

    def drop_silent(self, before: float, limit: int) -> list[tuple[str, Delivery]]:
        """Remove the sinks that were last registered before a time, and at most `limit` of what waits for them."""
        gone: list[tuple[str, Delivery]] = []
        for sink in [sink for sink, seen_at in self._sinks.items() if seen_at <= before]:
            jobs = self._waiting.get(sink, {})
            for number in [*jobs][: limit - len(gone)]:
                gone.append((sink, jobs.pop(number)))
                self._end(sink, number)
            if not jobs:
                del self._sinks[sink]
                self._waiting.pop(sink, None)
                self._maybe_due.pop(sink, None)
                self._unordered.discard(sink)
        return gone

    def _wait_for(self, sink: str, delivery: Delivery) -> None:
        self._waiting.setdefault(sink, {})[delivery.number] = delivery
        self._maybe_due.setdefault(sink, {})[delivery.number] = None

    def _end(self, sink: str, number: int) -> None:
        self._maybe_due[sink].pop(number, None)
        self._leases.pop((sink, number), None)


class LocalOutboxStore(JobStoreBase[Entry], ABC):
    """The part of `LocalJobStore` that delivers. Arguments as there."""

    def __init__(self, *, event_log_size: int, clock: Callable[[], float]) -> None:
        super().__init__(event_log_size=event_log_size, clock=clock)
        self._entries: dict[str, Entry] = {}  # in the order in which they were created
        # by number: those that are gone for clients, and are kept for sinks
        self._retired: dict[int, Entry] = {}
        self._next_overdue = math.inf
        self._alive_until: dict[str, float] = {}
        self._outbox = LocalOutbox()

    async def register_sink(self, sink: str) -> None:
        self._outbox.register(sink, self._clock())

    async def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        found: list[Delivery] = []
        for delivery in self._outbox.maybe_due(sink):
            entry = self._find_by_number(delivery)
            if entry is None:
                continue
            if delivery.after_seq >= entry.last_seq and not entry.job.status.is_final:
                self._outbox.not_due(sink, delivery.number)
                continue
            if worker_id is None or self._may_deliver(sink, entry, worker_id, lease_seconds, is_begun=False):
                found.append(delivery)
                if len(found) == limit:
                    break
        return found

    async def read_delivery(
        self,
        sink: str,
        delivery: Delivery,
        *,
        limit: int = 100,
        worker_id: str | None = None,
        lease_seconds: float = 30.0,
    ) -> DeliveryPart | None:
        entry = self._find_by_number(delivery)
        if entry is None or not self._outbox.has(sink, delivery.number):
            return None
        if worker_id is not None and not self._may_deliver(sink, entry, worker_id, lease_seconds, is_begun=True):
            return None
        page = entry.page(delivery.after_seq, limit)
        is_last = page.final and (not page.events or page.events[-1].seq == page.last_seq)
        return DeliveryPart(entry.job, page.events, page.last_seq, is_last, entry.result if is_last else None)

    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        number = delivery.number
        holder = self._outbox.holder(sink, number, self._clock())
        if not self._outbox.has(sink, number) or (worker_id is not None and holder not in (None, worker_id)):
            return False
        self._outbox.mark(sink, number, after_seq, is_complete=is_complete)
        self._forget_if_delivered(number)
        return True

    async def drop_undelivered(self, *, silent_seconds: float, limit: int = 500) -> list[Dropped]:
        now = self._clock()
        dropped: list[Dropped] = []
        for sink, delivery in self._outbox.drop_silent(now - silent_seconds, limit):
            dropped.append(Dropped(sink, delivery.job_id, DropReason.SINK_GONE))
            self._forget_if_delivered(delivery.number)
        if now >= self._next_overdue:
            ends = {number: entry.job.deliver_until or 0.0 for number, entry in self._retired.items()}
            overdue = [number for number, until in ends.items() if until <= now]
            for number in overdue[:limit]:
                dropped += self._drop(self._retired[number], DropReason.OVERDUE)
                del ends[number]
            self._next_overdue = min(ends.values(), default=math.inf)
        return dropped

    # --- for stores that extend this one ---

    def _find_by_number(self, delivery: Delivery) -> Entry | None:
        """The entry of a job, also of one that is kept for sinks alone. None: it is forgotten."""
        entry = self._entries.get(delivery.job_id)
        if entry is not None and entry.number == delivery.number:
            return entry
        return self._retired.get(delivery.number)

    def _leave(self, entry: Entry) -> None:
        if self._outbox.is_waiting(entry.number):
            self._retire(entry)
        else:
            self._forget(entry)

    def _retire(self, entry: Entry) -> None:
        """Keep for sinks alone a job that is not wholly delivered."""
        self._retired[entry.number] = entry
        self._next_overdue = min(self._next_overdue, entry.job.deliver_until or 0.0)

    def _forget_if_delivered(self, number: int) -> None:
        entry = self._retired.get(number)
        if entry is not None and not self._outbox.is_waiting(number):
            self._forget(entry)

    def _drop(self, entry: Entry, reason: DropReason) -> list[Dropped]:
        """Forget a retired job that is not wholly delivered; returns what was given up."""
        dropped = [Dropped(sink, entry.job.id, reason) for sink in self._outbox.confirmed_of(entry.number)]
        self._outbox.forget(entry.number)
        self._forget(entry)
        return dropped

    def _forget(self, entry: Entry) -> None:
        """Called when nobody needs a job any more, neither clients nor sinks."""
        self._retired.pop(entry.number, None)

    def _may_deliver(self, sink: str, entry: Entry, worker_id: str, lease_seconds: float, *, is_begun: bool) -> bool:
        now, home = self._clock(), entry.job.home
        right = right_to_deliver(
            worker_id,
            home=home,
            is_home_alive=home is not None and self._alive_until.get(home, -math.inf) > now,
            holder=self._outbox.holder(sink, entry.number, now),
            is_begun=is_begun,
        )
        if right is Right.LEASE:
            self._outbox.lease(sink, entry.number, worker_id, now + lease_seconds)
        return right is not Right.NONE
