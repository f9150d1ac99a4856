"""Delivers what a store's outbox holds for one sink."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import zip_longest
from typing import Any

import msgspec

from lambda_kit.core.jobs.delivery import JobDelivery, UnderWay
from lambda_kit.core.jobs.delivery_authorizations import DeliveryAuthorizations
from lambda_kit.core.jobs.retries import Retries
from lambda_kit.core.jobs.statistics import SinkStatistics
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.outbox import Delivery, Dropped
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.credentials import credentials_in_use
from lambda_kit.core.runtime.retry import BackOff, Outage

__all__ = ["OutboxRelay", "RelayTimes"]

logger = logging.getLogger("lambda_kit.delivery")

_MOST_AT_ONCE = 200
"""Deliveries under way, the slow ones included: each takes a connection, or less."""
_MOST_BYTES = 64 * 1024 * 1024
"""While deliveries under way hold more than this in memory, no other is begun."""
_ASK_SECONDS_PER_RETRY = 1e-4
"""The outbox is asked for the jobs that wait for another try too: so much less often for each of them."""


class RelayTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The pauses and bounds of a relay, in seconds."""

    call: float = 30.0
    """How long one call of the sink may take; longer counts as a failure."""
    slow: float = 1.0
    """A call that takes longer no longer counts among those that are made at once."""
    first_back_off: float = 0.5
    longest_back_off: float = 30.0
    longest_probe: float = 10.0
    """The longest pause before a sink without a connection is tried again: that costs little."""
    lease: float = 30.0
    """The lease of a process that delivers for a dead one."""
    look: float = 10.0
    """How often the outbox is looked at for jobs of processes that have died."""
    sweep: float = 60.0
    """How often the authorizations of jobs that are gone are dropped."""
    end: float = 1.0
    """For how long a stop waits for calls that it has cancelled."""


class OutboxRelay:
    """Delivers events and ends to a sink: in order for each job, several jobs at once, with back-off where it fails.

    Of several processes each delivers for the jobs whose home it is, and for those of dead processes.

    Args:
        sink: The sink.
        store: Its outbox says what is still to be delivered.
        unseal: Gives the authorization that is kept with a job, where this process does not remember it.
        on_delivered: Called with the id of each job whose end was confirmed, and whether `on_excused` was called with
            it before.
        on_excused: Called with the id of each job for whose delivery a stop does not wait (`DeliveryError`).
        on_dropped: Called with what was given up since the job has ended too long ago (`Job.deliver_until`).
        statistics: Counts the deliveries.
        concurrency: For how many jobs deliveries are under way at once, but for slow ones.
        flush_seconds: For how long `stop` goes on delivering what is left.
        delivery_seconds: For how long the authorization of a job that has expired is remembered.
        times: Pauses and bounds.
    """

    def __init__(
        self,
        sink: JobSink,
        store: JobStore,
        *,
        unseal: Callable[[Job], str | None] = lambda _job: None,
        on_delivered: Callable[[str, bool], None] = lambda _job_id, _was_excused: None,
        on_excused: Callable[[str], None] = lambda _job_id: None,
        on_dropped: Callable[[Dropped], None] = lambda _dropped: None,
        statistics: SinkStatistics | None = None,
        concurrency: int = 8,
        flush_seconds: float = 5.0,
        delivery_seconds: float = 86_400.0,
        times: RelayTimes | None = None,
    ) -> None:
        self.sink = sink
        self._store = store
        self._on_delivered = on_delivered
        self._on_excused = on_excused
        self._on_dropped = on_dropped
        self._statistics = statistics or SinkStatistics()
        self._worker_id: str | None = None
        self._concurrency = concurrency
        self.flush_seconds = flush_seconds
        self.delivery_seconds = delivery_seconds
        self.times = times or RelayTimes()
        self._retries = self._new_retries()
        # by number: an id may be that of two jobs, of which the first has expired
        self._under_way: dict[int, UnderWay] = {}
        self._woken = asyncio.Event()
        self._is_more_due = False
        self._is_stopping = False
        self._outage = Outage(f"sink {sink.name}", pauses=self._new_back_off)
        self.authorizations = DeliveryAuthorizations(store, self._outage, unseal)
        """Those that its deliveries carry."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, worker_id: str | None = None) -> None:
        """Open the sink and begin. Where this fails nothing is left open.

        Args:
            worker_id: This process, if others share the store (`JobStore.undelivered`).
        """
        self._worker_id = worker_id
        await self.sink.start()
        try:
            await self._store.register_sink(self.sink.name)
        except BaseException:
            await self.sink.stop()
            raise
        self._is_stopping = False
        self._retries = self._new_retries()
        self._under_way = {}
        self._delivery = JobDelivery(
            self.sink,
            self._store,
            outage=self._outage,
            statistics=self._statistics,
            authorization_of=self.authorizations.of,
            on_dropped=self._on_dropped,
            call_seconds=self.times.call,
            lease_seconds=self.times.lease,
            worker_id=worker_id,
        )
        self._woken = asyncio.Event()  # of this loop: a server may be run on one after another
        name = f"lambda_kit sink {self.sink.name}"
        sweep = self.authorizations.sweep(every_seconds=self.times.sweep, keep_seconds=self.delivery_seconds)
        self._tasks = [
            asyncio.create_task(self._run(), name=name),
            asyncio.create_task(sweep, name=f"{name}: sweep"),
        ]

    def hurry(self) -> None:
        """Try at once what waits for another try, and pause for no more than a second: the service stops."""
        self._retries.hurry()
        if self._tasks and not self._store.is_durable:
            try:
                self.sink.hurry()
            except Exception:
                logger.exception("sink %s: hurry() failed", self.sink.name)
        self._woken.set()

    async def stop(self) -> None:
        """Deliver what is left, for a bounded time, and close the sink. No effect unless it has started."""
        if not self._tasks:
            return
        self.hurry()
        tasks, self._tasks = self._tasks, []
        self._is_stopping = True
        self.wake()
        try:
            done, _ = await asyncio.wait(tasks[:1], timeout=self.flush_seconds)
            if not done:
                what = "is left to the store" if self._store.is_durable else "is lost"
                text = "sink %s: not everything was delivered before the stop: the rest %s"
                logger.warning(text, self.sink.name, what)
        finally:
            try:
                # the run first: it must not begin other deliveries when these end
                await self._end(tasks)
                await self._end(it.task for it in self._under_way.values() if it.task is not None)
            finally:
                await bounded(f"sink {self.sink.name}: its stop", self.sink.stop())

    def holds_up_stop(self, delivery: Delivery) -> bool:
        """Whether a stop waits for this delivery. False: the sink does not accept its job's credentials."""
        return self._retries.holds_up_stop(delivery.number)

    def wake(self) -> None:
        """Look again: something has changed."""
        self._woken.set()

    async def _run(self) -> None:
        next_look = 0.0
        while True:
            self._woken.clear()
            now = asyncio.get_running_loop().time()
            if self._room(now) > 0 or now >= next_look:
                next_look = now + self.times.look
                is_waiting = await self._begin_what_is_due()
                if self._is_stopping and not (is_waiting or self._under_way or self._woken.is_set()):
                    return
            # a dead process does not tell; and what is leased is renewed
            wake_at = next_look if self._worker_id is not None else math.inf
            wake_at = min(wake_at, self._next_begin_at(asyncio.get_running_loop().time()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if wake_at == math.inf else wake_at):
                    await self._woken.wait()
            if (pause := len(self._retries) * _ASK_SECONDS_PER_RETRY) > 0.001 and not self._is_stopping:
                await asyncio.sleep(min(pause, 1.0))

    def _room(self, now: float) -> int:
        """How many deliveries may be begun now."""
        if self._retries.unreachable_until is not None:  # one at a time finds out whether that is over
            return 0 if self._under_way or now < self._retries.unreachable_until else 1
        if sum(it.size_bytes for it in self._under_way.values()) > _MOST_BYTES:
            return 0
        slow = sum(it.call_began_at + self.times.slow <= now for it in self._under_way.values())
        return min(self._concurrency - (len(self._under_way) - slow), _MOST_AT_ONCE - len(self._under_way))

    def _next_begin_at(self, now: float) -> float:
        """When something may be begun though nobody has called `wake`."""
        if self._retries.unreachable_until is not None:
            return math.inf if self._under_way else self._retries.unreachable_until
        if self._room(now) > 0:  # some calls may have become slow meanwhile
            return now if self._is_more_due else self._retries.next_at(self._under_way.keys())
        if len(self._under_way) >= _MOST_AT_ONCE:
            return math.inf  # until one of them has ended
        quick = (it.call_began_at + self.times.slow for it in self._under_way.values())
        return min((at for at in quick if at > now), default=math.inf)

    async def _begin_what_is_due(self) -> bool:
        """Begin as many deliveries as there is room for; returns whether anything is left for which a stop waits."""
        # skipped: the outbox's answer may be older than their end
        busy = set(self._under_way)
        # those that are under way, or wait for another try, must not hide the others
        limit = self._concurrency + len(self._retries.jobs | busy)
        ask = partial(
            self._store.undelivered,
            self.sink.name,
            limit=limit,
            worker_id=self._worker_id,
            lease_seconds=self.times.lease,
        )
        waiting = await self._outage.until_over("the outbox", ask, away=Exception)
        if len(waiting) < limit:
            for job_id in self._retries.keep_only(busy.union(delivery.number for delivery in waiting)):
                self.sink.forget(job_id)
        now = asyncio.get_running_loop().time()
        due = [it for it in waiting if it.number not in busy and self._retries.is_due(it.number, now)]
        begun = self._in_turns(due)[: max(0, self._room(now))]
        for delivery in begun:
            self._begin(delivery, now)
        self._is_more_due = len(begun) < len(due) or len(waiting) >= limit
        return any(self._retries.holds_up_stop(delivery.number) for delivery in waiting)

    def _in_turns(self, due: list[Delivery]) -> list[Delivery]:
        """First tries and further ones by turns: however many fail, they don't keep the others waiting."""
        further = [it for it in due if it.number in self._retries.jobs]
        if not further:
            return due
        first = [it for it in due if it.number not in self._retries.jobs]
        return [it for pair in zip_longest(first, further) for it in pair if it is not None]

    def _begin(self, delivery: Delivery, now: float) -> None:
        self._under_way[delivery.number] = under_way = UnderWay(now)
        name = f"lambda_kit sink {self.sink.name}: {delivery.job_id}"
        under_way.task = asyncio.create_task(self._delivery.run(delivery, under_way), name=name)
        under_way.task.add_done_callback(partial(self._on_done, delivery, under_way))

    def _on_done(self, delivery: Delivery, under_way: UnderWay, task: asyncio.Task[Job | None]) -> None:
        number = delivery.number
        if self._under_way.get(number) is under_way:  # else it is of an earlier life
            del self._under_way[number]
        self._woken.set()
        if task.cancelled() and task.cancelling():  # by `stop`; without a request it comes from the sink
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            with credentials_in_use(self.authorizations.remembered(under_way.job)):
                is_excused = self._retries.failed(delivery, error, task.get_loop().time())
            if is_excused:
                self._on_excused(delivery.job_id)
            return
        was_excused = not self._retries.holds_up_stop(number)
        self._retries.succeeded(number)
        job = task.result()
        if job is None:
            return
        self.authorizations.forget(job)
        self.sink.forget(job.id)
        self._on_delivered(job.id, was_excused)

    def _new_retries(self) -> Retries:
        probes = BackOff(self.times.first_back_off, min(self.times.longest_probe, self.times.longest_back_off))
        return Retries(self.sink.name, self._statistics, self._new_back_off, probes)

    def _new_back_off(self) -> BackOff:
        return BackOff(self.times.first_back_off, self.times.longest_back_off)

    async def _end(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks and wait for their end, for a bounded time."""
        left = set(tasks)
        # The first cancel lets a task mark what was confirmed; the second ends that too, where the store is away.
        for _ in range(2):
            for task in left:
                task.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=self.times.end)
