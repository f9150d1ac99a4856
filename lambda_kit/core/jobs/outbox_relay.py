"""Serves one sink from the store's outbox."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.ports.store import Delivery, JobStore
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.retry import BackOff

__all__ = ["SinkDispatcher"]

logger = logging.getLogger("lambda_kit.delivery")

_T = TypeVar("_T")

_FIRST_BACK_OFF_SECONDS = 0.5
_LONGEST_BACK_OFF_SECONDS = 30.0
_PAGE_SIZE = 100  # events between two marks: no more than these are told again after a crash
_LEASE_SECONDS = 30.0
_LOOK_SECONDS = 10.0
_SWEEP_SECONDS = 60.0
_END_SECONDS = 1.0


class SinkDispatcher:
    """Tells a sink of events and ends: in order for each job, several jobs at once, with back-off where it fails.

    Of several processes each tells of the jobs that it has or had last, and of those of processes that are gone.

    Args:
        sink: Who is told.
        store: Its outbox says what is still to be told.
        unseal: Gives the authorization that is kept with a job, where this process does not remember it.
        concurrency: How many jobs are told of at once.
        call_seconds: How long one call of the sink may take; longer counts as a failure.
        stop_seconds: For how long `stop` goes on delivering what is left.
    """

    def __init__(
        self,
        sink: JobSink,
        store: JobStore,
        *,
        unseal: Callable[[Job], str | None] = lambda _job: None,
        concurrency: int = 8,
        call_seconds: float = 30.0,
        stop_seconds: float = 5.0,
    ) -> None:
        self._sink = sink
        self._store = store
        self._unseal = unseal
        self._owner: str | None = None
        self._concurrency = concurrency
        self._call_seconds = call_seconds
        self._stop_seconds = stop_seconds
        self._authorizations: dict[str, str] = {}
        self._failures: dict[str, tuple[BackOff, float]] = {}  # job id: with when to try again
        self._telling: dict[str, asyncio.Task[bool]] = {}
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._is_store_away = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, worker_id: str | None = None) -> None:
        """Open the sink and begin. Where this fails nothing is left open.

        Args:
            worker_id: This process's name, if others share the store (`JobStore.undelivered`).
        """
        self._owner = worker_id
        await self._sink.start()
        try:
            await self._store.register_sink(self._sink.name)
        except BaseException:
            await self._sink.stop()
            raise
        self._is_stopping = self._is_store_away = False
        self._failures, self._telling = {}, {}
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
            done, _ = await asyncio.wait(tasks[:1], timeout=self._stop_seconds)
            if not done:
                logger.warning("sink %s was not told of everything before the stop", self._sink.name)
        finally:
            try:
                # the run first: it must not begin to tell of other jobs when these end
                await _end(tasks)
                await _end(self._telling.values())
            finally:
                await bounded(f"sink {self._sink.name}: its stop", self._sink.stop())

    def remember(self, job_id: str, authorization: str | None) -> None:
        """Keep, in memory only, the authorization that deliveries of this job carry."""
        if authorization is None:
            self.forget(job_id)  # that of an expired job of the same id
        else:
            self._authorizations[job_id] = authorization

    def forget(self, job_id: str) -> None:
        """Drop a remembered authorization: the job was not made. No error if there is none."""
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
            if len(self._telling) < self._concurrency or now >= next_look:
                next_look = now + _LOOK_SECONDS
                is_waiting = await self._begin_what_is_due()
                if self._is_stopping and not (is_waiting or self._telling or self._woken.is_set()):
                    return
                if len(self._telling) < self._concurrency:
                    tries = (at for job_id, (_, at) in self._failures.items() if job_id not in self._telling)
                    next_try = min(tries, default=None)
            if self._owner is not None:  # nobody tells that another process is gone; and what is leased is renewed
                next_try = next_look if next_try is None else min(next_try, next_look)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_try):
                    await self._woken.wait()

    async def _begin_what_is_due(self) -> bool:
        """Begin to tell of as many jobs as there is room for; returns whether anything waits to be told."""
        # of these the outbox's answer may be out of date, even if they end before it is here
        busy = set(self._telling)
        # those that are told of, or wait for another try, must not hide the others
        limit = self._concurrency + len(self._failures.keys() | busy)
        ask = partial(
            self._store.undelivered, self._sink.name, limit=limit, worker_id=self._owner, lease_seconds=_LEASE_SECONDS
        )
        waiting = await self._ask(ask, away=Exception)
        if len(waiting) < limit:
            keep = busy.union(delivery.job_id for delivery in waiting)
            self._failures = {job_id: known for job_id, known in self._failures.items() if job_id in keep}
        now = asyncio.get_running_loop().time()
        for delivery in waiting:
            if len(self._telling) >= self._concurrency:
                break
            job_id = delivery.job_id
            is_due = job_id not in self._failures or self._failures[job_id][1] <= now
            if job_id not in busy and is_due:
                task = asyncio.create_task(self._tell(delivery), name=f"lambda_kit sink {self._sink.name}: {job_id}")
                self._telling[job_id] = task
                task.add_done_callback(partial(self._on_told, job_id))
        return bool(waiting)

    def _on_told(self, job_id: str, task: asyncio.Task[bool]) -> None:
        self._telling.pop(job_id, None)
        self._woken.set()
        if task.cancelled() and task.cancelling():  # by `stop`; without a request it comes from the sink
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._failures.pop(job_id, None)
            if task.result():
                self.forget(job_id)
            return
        known = self._failures.get(job_id)
        back_off = BackOff(_FIRST_BACK_OFF_SECONDS, _LONGEST_BACK_OFF_SECONDS) if known is None else known[0]
        pause = back_off.next_pause()
        self._failures[job_id] = (back_off, task.get_loop().time() + pause)
        logger.warning(
            "sink %s: job %s was not told of (%s); trying again in %.1f s",
            self._sink.name, job_id, type(error).__name__, pause,
        )  # fmt: skip

    async def _tell(self, delivery: Delivery) -> bool:
        """Tell all there is of a job. True: its end too."""
        job_id, told = delivery.job_id, delivery.after_seq
        while True:
            page = await self._ask(partial(self._store.read_events, job_id, after=told, limit=_PAGE_SIZE))
            job = await self._ask(partial(self._store.get, job_id))
            if page is None or job is None:  # expired: there is nothing left to tell
                await self._mark(job_id, told, is_complete=True)
                return True
            authorization = self._authorizations.get(job_id) or self._unseal(job)
            before = told
            has_more = is_complete = False
            try:
                for event in page.events:
                    async with asyncio.timeout(self._call_seconds):
                        await self._sink.deliver_event(job, event, authorization=authorization)
                    told = event.seq
                has_more = bool(page.events) and told < page.last_seq
                if not has_more:
                    told = page.last_seq  # the last numbers may be those of dropped events
                    if page.final:
                        result = await self._ask(partial(self._store.get_result, job_id))
                        async with asyncio.timeout(self._call_seconds):
                            await self._sink.deliver_end(job, result, authorization=authorization)
                        is_complete = True
            finally:  # also after a failure: what was confirmed is not told again
                if told > before or is_complete:
                    await self._mark(job_id, told, is_complete=is_complete)
            if not has_more:
                return is_complete

    async def _mark(self, job_id: str, after_seq: int, *, is_complete: bool) -> None:
        mark = self._store.mark_delivered
        await self._ask(partial(mark, self._sink.name, job_id, after_seq=after_seq, is_complete=is_complete))

    async def _ask(self, call: Callable[[], Awaitable[_T]], *, away: type[Exception] = UnavailableError) -> _T:
        """Ask the store; as long as it is away wait, and ask again."""
        back_off = BackOff(_FIRST_BACK_OFF_SECONDS, _LONGEST_BACK_OFF_SECONDS)
        while True:
            try:
                answer = await call()
            except away as error:
                if not self._is_store_away:
                    self._is_store_away = True
                    trace = None if isinstance(error, UnavailableError) else error
                    logger.warning("sink %s: the store is away (%s); waiting", self._sink.name, error, exc_info=trace)
            else:
                self._is_store_away = False
                return answer
            await asyncio.sleep(back_off.next_pause())

    async def _forget_expired(self) -> None:
        """Drop the authorizations of jobs that went before their end was told, or whose end another process told."""
        missing: set[str] = set()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            ids = list(self._authorizations)
            still = {i for i in ids if await self._ask(partial(self._store.get, i), away=Exception) is None}
            for job_id in still & missing:  # twice: a job may be remembered before it is made
                self.forget(job_id)
            missing = still - missing


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end, for a bounded time."""
    left = set(tasks)
    # The first cancel lets a task mark what was confirmed; the second ends that too, where the store is away.
    for _ in range(2):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=_END_SECONDS)
