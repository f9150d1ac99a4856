"""Delivers what a store's outbox holds for one sink."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.sink import DeliveryError, DeliveryRefusedError, JobEnd, JobSink
from lambda_kit.core.ports.store import Delivery, JobStore
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.credentials import credentials_in_use
from lambda_kit.core.runtime.retry import BackOff, Outage

__all__ = ["OutboxRelay", "RelayTimes"]

_LONGEST_PAUSE_SECONDS = 86_400.0
"""Whatever a sink asks for: jobs are not kept for ever."""

logger = logging.getLogger("lambda_kit.delivery")

_T = TypeVar("_T")

_PAGE_SIZE = 100  # events in a batch: no more than these are delivered again after a crash


class RelayTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The pauses and bounds of a relay, in seconds."""

    call: float = 30.0
    """How long one call of the sink may take; longer counts as a failure."""
    first_back_off: float = 0.5
    longest_back_off: float = 30.0
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
        on_delivered: Called with the id of each job whose end was confirmed.
        concurrency: For how many jobs deliveries are under way at once.
        flush_seconds: For how long `stop` goes on delivering what is left.
        times: Pauses and bounds.
    """

    def __init__(
        self,
        sink: JobSink,
        store: JobStore,
        *,
        unseal: Callable[[Job], str | None] = lambda _job: None,
        on_delivered: Callable[[str], None] = lambda _job_id: None,
        concurrency: int = 8,
        flush_seconds: float = 5.0,
        times: RelayTimes | None = None,
    ) -> None:
        self._sink = sink
        self._store = store
        self._unseal = unseal
        self._on_delivered = on_delivered
        self._worker_id: str | None = None
        self._concurrency = concurrency
        self.flush_seconds = flush_seconds
        self.times = times or RelayTimes()
        self._authorizations: dict[str, str] = {}
        self._failures: dict[str, tuple[BackOff, float]] = {}  # job id: with when to try again
        self._delivering: dict[str, asyncio.Task[bool]] = {}
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._outage = Outage(f"sink {sink.name}", pauses=self._new_back_off)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, worker_id: str | None = None) -> None:
        """Open the sink and begin. Where this fails nothing is left open.

        Args:
            worker_id: This process, if others share the store (`JobStore.undelivered`).
        """
        self._worker_id = worker_id
        await self._sink.start()
        try:
            await self._store.register_sink(self._sink.name)
        except BaseException:
            await self._sink.stop()
            raise
        self._is_stopping = False
        self._failures, self._delivering = {}, {}
        self._woken = asyncio.Event()  # of this loop: a server may be run on one after another
        name = f"lambda_kit sink {self._sink.name}"
        self._tasks = [
            asyncio.create_task(self._run(), name=name),
            asyncio.create_task(self._forget_expired(), name=f"{name}: authorizations"),
        ]

    async def stop(self) -> None:
        """Deliver what is left, for a bounded time, and close the sink. No effect unless it has started."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        self._is_stopping = True
        self._woken.set()
        try:
            done, _ = await asyncio.wait(tasks[:1], timeout=self.flush_seconds)
            if not done:
                logger.warning("sink %s: not everything was delivered before the stop", self._sink.name)
        finally:
            try:
                # the run first: it must not begin other deliveries when these end
                await self._end(tasks)
                await self._end(self._delivering.values())
            finally:
                await bounded(f"sink {self._sink.name}: its stop", self._sink.stop())

    def remember(self, job_id: str, authorization: str | None) -> None:
        """Keep, in memory only, the authorization that deliveries of this job carry."""
        if authorization is None:
            self.forget(job_id)  # that of an expired job of the same id
        else:
            self._authorizations[job_id] = authorization

    def forget(self, job_id: str) -> None:
        """Drop a remembered authorization. No error if there is none."""
        self._authorizations.pop(job_id, None)

    def wake(self) -> None:
        """Look again: something has changed."""
        self._woken.set()

    async def _run(self) -> None:
        next_look = 0.0
        while True:
            self._woken.clear()
            now = asyncio.get_running_loop().time()
            next_try = None
            if len(self._delivering) < self._concurrency or now >= next_look:
                next_look = now + self.times.look
                is_waiting = await self._begin_what_is_due()
                if self._is_stopping and not (is_waiting or self._delivering or self._woken.is_set()):
                    return
                if len(self._delivering) < self._concurrency:
                    tries = (at for job_id, (_, at) in self._failures.items() if job_id not in self._delivering)
                    next_try = min(tries, default=None)
            if self._worker_id is not None:  # a dead process does not tell; and what is leased is renewed
                next_try = next_look if next_try is None else min(next_try, next_look)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_try):
                    await self._woken.wait()

    async def _begin_what_is_due(self) -> bool:
        """Begin as many deliveries as there is room for; returns whether anything waits to be delivered."""
        # skipped: the outbox's answer may be older than their end
        busy = set(self._delivering)
        # those that are under way, or wait for another try, must not hide the others
        limit = self._concurrency + len(self._failures.keys() | busy)
        ask = partial(
            self._store.undelivered,
            self._sink.name,
            limit=limit,
            worker_id=self._worker_id,
            lease_seconds=self.times.lease,
        )
        waiting = await self._ask(ask, away=Exception)
        if len(waiting) < limit:
            keep = busy.union(delivery.job_id for delivery in waiting)
            self._failures = {job_id: known for job_id, known in self._failures.items() if job_id in keep}
        now = asyncio.get_running_loop().time()
        for delivery in waiting:
            if len(self._delivering) >= self._concurrency:
                break
            job_id = delivery.job_id
            is_due = job_id not in self._failures or self._failures[job_id][1] <= now
            if job_id not in busy and is_due:
                name = f"lambda_kit sink {self._sink.name}: {job_id}"
                task = asyncio.create_task(self._deliver(delivery), name=name)
                self._delivering[job_id] = task
                task.add_done_callback(partial(self._on_done, job_id))
        return bool(waiting)

    def _on_done(self, job_id: str, task: asyncio.Task[bool]) -> None:
        if self._delivering.get(job_id) is task:  # else it is of an earlier life
            del self._delivering[job_id]
        self._woken.set()
        if task.cancelled() and task.cancelling():  # by `stop`; without a request it comes from the sink
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._failures.pop(job_id, None)
            if task.result():
                self.forget(job_id)
                self._on_delivered(job_id)
            return
        known = self._failures.get(job_id)
        back_off = self._new_back_off() if known is None else known[0]
        pause = back_off.next_pause()
        if isinstance(error, DeliveryError) and error.retry_after_seconds is not None:
            pause = min(max(error.retry_after_seconds, 0.0), _LONGEST_PAUSE_SECONDS)
        self._failures[job_id] = (back_off, task.get_loop().time() + pause)
        with credentials_in_use(self._authorizations.get(job_id)):
            logger.warning(
                "sink %s: job %s was not delivered (%s); trying again in %.1f s",
                self._sink.name, job_id, _text_of(error), pause,
            )  # fmt: skip

    async def _deliver(self, delivery: Delivery) -> bool:
        """Deliver all there is of a job. True: its end too."""
        job_id, confirmed = delivery.job_id, delivery.after_seq
        while True:
            page = await self._ask(partial(self._store.read_events, job_id, after=confirmed, limit=_PAGE_SIZE))
            job = await self._ask(partial(self._store.get, job_id))
            if page is None or job is None:  # expired: there is nothing left to deliver
                await self._mark(job_id, confirmed, is_complete=True)
                return True
            last = page.events[-1].seq if page.events else confirmed
            has_more = bool(page.events) and last < page.last_seq
            is_complete = page.final and not has_more
            end: JobEnd | None = None
            if is_complete:
                end = JobEnd(await self._ask(partial(self._store.get_result, job_id)), job.failure)
            if page.events or end is not None:
                await self._call(job, page.events, end)
            confirmed = last if has_more else page.last_seq  # the last numbers may be those of dropped events
            await self._mark(job_id, confirmed, is_complete=is_complete)
            if not has_more:
                return is_complete

    async def _call(self, job: Job, events: Sequence[Event], end: JobEnd | None) -> None:
        authorization = self._authorizations.get(job.id)
        if authorization is None and (authorization := self._unseal(job)) is not None:
            self._authorizations[job.id] = authorization
        with credentials_in_use(authorization):  # a sink may put it into its errors, or log its calls
            try:
                async with asyncio.timeout(self.times.call):
                    await self._sink.deliver(job, events, end, authorization=authorization)
            except DeliveryRefusedError as error:
                what = f"{len(events)} events" + ("" if end is None else " and its end")
                logger.error("sink %s: job %s: %s refused, and dropped: %s", self._sink.name, job.id, what, error)

    async def _mark(self, job_id: str, after_seq: int, *, is_complete: bool) -> None:
        mark = self._store.mark_delivered
        await self._ask(partial(mark, self._sink.name, job_id, after_seq=after_seq, is_complete=is_complete))

    async def _ask(self, call: Callable[[], Awaitable[_T]], *, away: type[Exception] = UnavailableError) -> _T:
        """Ask the store; as long as it is away wait, and ask again."""
        return await self._outage.until_over("the outbox", call, away=away)

    async def _forget_expired(self) -> None:
        """Drop the authorizations of jobs that went before their end was told, or whose end another process told."""
        missing: set[str] = set()
        while True:
            await asyncio.sleep(self.times.sweep)
            ids = list(self._authorizations)
            still = {i for i in ids if await self._ask(partial(self._store.get, i), away=Exception) is None}
            for job_id in still & missing:  # twice: a job may be remembered before it is made
                self.forget(job_id)
            missing = still - missing

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


def _text_of(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
