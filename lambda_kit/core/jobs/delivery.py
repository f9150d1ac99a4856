"""Delivers to a sink what the outbox of a store has of one job."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from lambda_kit.core.jobs.statistics import SinkStatistics
from lambda_kit.core.model.events import Event, EventKind
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart, Dropped, DropReason
from lambda_kit.core.ports.sink import DeliveryRefusedError, JobEnd, JobSink
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.credentials import credentials_in_use
from lambda_kit.core.runtime.retry import Outage

__all__ = ["JobDelivery", "UnderWay"]

logger = logging.getLogger("lambda_kit.delivery")

_STALE_SECONDS = 5.0  # a lease lasts longer
"""A right to deliver that was looked at longer ago is looked at again: this process may have been stopped meanwhile."""

_PAGE_SIZE = 100  # events that are read at once: no more than these are delivered again after a crash


class UnderWay:
    """What is known of a delivery while it is under way."""

    __slots__ = ("call_began_at", "confirmed_seq", "given_up", "job", "marked_seq", "size_bytes", "task")

    def __init__(self, now: float) -> None:
        self.call_began_at = now
        """When the current call of the sink began, by the event loop's clock."""
        self.confirmed_seq = 0
        """The number of the last event that the sink has confirmed."""
        self.marked_seq = 0
        """The same, as far as the store knows."""
        self.size_bytes = 0
        """How much is held in memory for it."""
        self.task: asyncio.Task[Job | None] | None = None
        self.job: Job | None = None
        """The job's record, once it was read."""
        self.given_up: DeliveryRefusedError | None = None
        """Why the sink wants no more events of the job."""


class _Part(NamedTuple):
    """What comes next, and when that was asked for."""

    part: DeliveryPart
    asked_at: float

    @property
    def is_all(self) -> bool:
        """Whether no more events follow these for now."""
        return not self.part.events or self.part.events[-1].seq == self.part.last_seq

    @property
    def missing_behind_first(self) -> int:
        """How many numbers between these events are not in the log; what is before the first is not counted."""
        events = self.part.events
        return events[-1].seq - events[0].seq + 1 - len(events) if events else 0

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        part = self.part
        return sum(len(event.body) for event in part.events) + (0 if part.result is None else len(part.result.content))


class JobDelivery:
    """Delivers jobs to one sink, each in order, and marks what was confirmed.

    Args:
        sink: The sink.
        store: Has the jobs, and the outbox.
        outage: What is known of the store's absence.
        statistics: Counts what is delivered and dropped.
        authorization_of: Gives the authorization of a job. None: it has none, or it is not known.
        on_dropped: Called with what was given up since the job has ended too long ago (`Job.deliver_until`).
        call_seconds: How long one call of the sink may take, unless it bounds its calls itself.
        lease_seconds: The lease of a process that delivers for a dead one.
        worker_id: This process, if others share the store.
    """

    def __init__(
        self,
        sink: JobSink,
        store: JobStore,
        *,
        outage: Outage,
        statistics: SinkStatistics,
        authorization_of: Callable[[Job], str | None],
        on_dropped: Callable[[Dropped], None],
        call_seconds: float,
        lease_seconds: float,
        worker_id: str | None,
    ) -> None:
        self._sink = sink
        self._store = store
        self._outage = outage
        self._statistics = statistics
        self._authorization_of = authorization_of
        self._on_dropped = on_dropped
        self._lease_seconds = lease_seconds
        self._worker_id = worker_id
        self._call_seconds = None if sink.bounds_its_calls else call_seconds

    async def run(self, delivery: Delivery, under_way: UnderWay) -> Job | None:
        """Deliver all there is of a job. Returns it if its end was delivered too: nothing more will come.

        Raises:
            Exception: what the sink raises. What it had confirmed before is marked.
        """
        under_way.marked_seq = under_way.confirmed_seq = delivery.after_seq
        try:
            while True:
                delivery = msgspec.structs.replace(delivery, after_seq=under_way.confirmed_seq)
                read = await self._outage.until_over("the outbox", partial(self._read, delivery))
                if read is None:  # another worker delivers it, or has
                    return None
                job = read.part.job
                under_way.job, under_way.size_bytes = job, read.size_bytes
                if read.part.is_last and self._is_overdue(job):
                    if await self._mark(delivery, under_way, is_complete=True):
                        self._on_dropped(Dropped(self._sink.name, job.id, DropReason.OVERDUE))
                    return job
                if not await self._deliver_part(read, under_way):
                    continue
                is_marked = await self._mark(delivery, under_way, is_complete=read.part.is_last)
                if read.is_all or not is_marked:
                    return job if read.part.is_last else None
        except BaseException:
            if under_way.confirmed_seq > under_way.marked_seq:
                await self._mark(delivery, under_way, is_complete=False)
            raise

    async def _deliver_part(self, read: _Part, under_way: UnderWay) -> bool:
        """Call the sink for each batch. False: the right to deliver is to be looked at again, before the next one."""
        part = read.part
        before = part.events[0].seq - 1 if part.events else part.last_seq
        if before > under_way.confirmed_seq:
            self._count_missing(part.job, before - under_way.confirmed_seq)
            under_way.confirmed_seq = before
        for events, end in self._calls(part):
            if self._is_stale(read):
                return False
            await self._call_unless_given_up(part.job, events, end, under_way)
            if end is None:
                under_way.confirmed_seq = events[-1].seq
        self._count_missing(part.job, read.missing_behind_first)
        under_way.confirmed_seq = part.last_seq if read.is_all else part.events[-1].seq
        return True

    async def _read(self, delivery: Delivery) -> _Part | None:
        asked_at = asyncio.get_running_loop().time()
        part = await self._store.read_delivery(
            self._sink.name,
            delivery,
            limit=_PAGE_SIZE,
            worker_id=self._worker_id,
            lease_seconds=self._lease_seconds,
        )
        return None if part is None else _Part(part, asked_at)

    async def _mark(self, delivery: Delivery, under_way: UnderWay, *, is_complete: bool) -> bool:
        mark = partial(
            self._store.mark_delivered,
            self._sink.name,
            delivery,
            after_seq=under_way.confirmed_seq,
            is_complete=is_complete,
            worker_id=self._worker_id,
        )
        is_marked = await self._outage.until_over("the outbox", mark)
        under_way.marked_seq = under_way.confirmed_seq
        return is_marked

    def _is_stale(self, read: _Part) -> bool:
        return asyncio.get_running_loop().time() - read.asked_at > _STALE_SECONDS

    def _is_overdue(self, job: Job) -> bool:
        return job.deliver_until is not None and job.deliver_until <= self._store.now()

    def _count_missing(self, job: Job, count: int) -> None:
        if count > 0:
            self._statistics.dropped["event", "not-in-log"] += count
            logger.warning("sink %s: job %s: %d events are no longer in its log", self._sink.name, job.id, count)

    def _calls(self, part: DeliveryPart) -> Iterator[tuple[Sequence[Event], JobEnd | None]]:
        """The calls of the sink for a part: batches of events, and the end with the last one or by itself."""
        events, size = part.events, self._sink.max_events
        if not self._sink.takes_status_events:
            events = [event for event in events if event.kind is EventKind.REPORT]
        batches = [events[start : start + size] for start in range(0, len(events), size)]
        end = JobEnd(part.result, part.job.failure) if part.is_last else None
        last: Sequence[Event] = batches.pop() if batches and size > 1 and end is not None else ()
        for batch in batches:
            yield batch, None
        if end is not None:
            yield last, end

    async def _call_unless_given_up(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, under_way: UnderWay
    ) -> None:
        """Call the sink; drop events that it does not want any more."""
        given_up = under_way.given_up
        if given_up is not None and end is None:
            self._count_dropped(events, None, given_up)
            return
        refusal = await self._call(job, events, end, under_way)
        if refusal is not None and refusal.drops_all_events:
            under_way.given_up = refusal

    async def _call(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, under_way: UnderWay
    ) -> DeliveryRefusedError | None:
        """Call the sink. Returns why it has refused this batch for good, if it has."""
        authorization = self._authorization_of(job)
        with credentials_in_use(authorization):  # a sink may put it into its errors, or log its calls
            loop = asyncio.get_running_loop()
            under_way.call_began_at = loop.time()
            try:
                async with asyncio.timeout(self._call_seconds):
                    await self._sink.deliver(job, events, end, authorization=authorization)
            except DeliveryRefusedError as error:
                self._count_dropped(events, end, error)
                what = [f"{len(events)} events"] * bool(events) + ["its end"] * (end is not None)
                if error.drops_all_events and end is None:
                    what = ["the events that wait are"]
                text = "sink %s: job %s: %s refused, and dropped: %s"
                logger.error(text, self._sink.name, job.id, " and ".join(what), error)
                return error
        self._statistics.delivered_events += len(events)
        self._statistics.delivered_ends += end is not None
        return None

    def _count_dropped(self, events: Sequence[Event], end: JobEnd | None, why: DeliveryRefusedError) -> None:
        if events:
            self._statistics.dropped["event", why.reason] += len(events)
        if end is not None:
            self._statistics.dropped["end", why.reason] += 1
