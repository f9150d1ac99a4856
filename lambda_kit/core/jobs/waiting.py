"""Waiting for jobs, wherever they run: one subscription of the store serves all who wait here."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec

from lambda_kit.core.errors import JobNotFoundError, UnavailableError
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.store import JobStore

__all__ = ["Followers", "WaitResult", "Waiter", "Waiters"]

logger = logging.getLogger("lambda_kit.service")

_LOOK_AGAIN_SECONDS = 2.0
"""The pause before a store that was away is asked again, unless it signals its recovery."""

_SUCCEEDED = JobStatus.SUCCEEDED  # to read it there takes 0.1 µs on Python 3.11, and each job goes through here

# event loops can't handle longer timers
_FOREVER_SECONDS = 1e8


class WaitResult(msgspec.Struct, frozen=True, gc=False):
    """What a wait found. The job need not be final: the time may have been up first."""

    job: Job
    """The record when the wait ended."""
    result: Payload | None
    """What the job has returned. None: it has not succeeded, or not yet."""
    cause: BaseException | None = None
    """What the tool raised, where it ran in this process while this wait lasted."""


class Waiter:
    """One who waits for one job."""

    __slots__ = ("_future", "_is_expired", "_loop", "_poll")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[WaitResult | None] = self._loop.create_future()
        self._is_expired = False
        self._poll: asyncio.TimerHandle | None = None

    def end(self, result: WaitResult) -> None:
        """End the wait: the job has ended."""
        if not self._future.done():
            self._future.set_result(result)

    def look_again(self) -> None:
        """Have the job read again: something has changed."""
        if not self._future.done():
            self._future.set_result(None)

    def expire(self) -> None:
        """End the wait: its time is up."""
        self._is_expired = True
        self.look_again()

    def look_again_soon(self) -> None:
        """Poll again later, in case the store's recovery is not signalled."""
        if self._poll is not None:
            self._poll.cancel()
        self._poll = self._loop.call_later(_LOOK_AGAIN_SECONDS, self.look_again)

    async def wait(self, job: Job, seconds: float, look: Callable[[str], Awaitable[WaitResult | None]]) -> WaitResult:
        """Wait for the end of a job that is not final, at most so long; a store that is away is waited for.

        Args:
            job: Its record, read after this waiter was added.
            seconds: For how long.
            look: Reads the job as it is now; None: it is gone.

        Raises:
            JobNotFoundError: if it is gone.
        """
        timer = self._loop.call_later(min(seconds, _FOREVER_SECONDS), self.expire)
        try:
            while True:
                found = await self._future
                if found is not None:
                    return found
                self._future = self._loop.create_future()  # before looking: a change in between is not missed
                try:
                    found = await look(job.id)
                except UnavailableError:
                    if self._is_expired:
                        return WaitResult(job, None)
                    self.look_again_soon()
                    continue
                if found is None:
                    raise JobNotFoundError(job.id)
                if found.job.status.is_final or self._is_expired:
                    return found
        finally:
            timer.cancel()
            if self._poll is not None:
                self._poll.cancel()


async def read_end(store: JobStore, job: Job) -> WaitResult | None:
    """How a job has ended, with its result. None: it has expired since its record was read."""
    if job.status is not _SUCCEEDED:
        return WaitResult(job, None)
    result = await store.get_result(job.id)
    return None if result is None else WaitResult(job, result)


class Waiters:
    """All who wait, by job id."""

    def __init__(self) -> None:
        self._by_job: dict[str, dict[Waiter, bool]] = {}  # in order, and thousands may wait for one job
        self._count = 0
        self.is_closed = False
        """Whether this process stops: new waits end at once, without a result."""

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def add(self, job_id: str, waiter: Waiter) -> None:
        """From now on the waiter hears of that job."""
        if self.is_closed:
            waiter.expire()
        waiters = self._by_job.get(job_id)
        if waiters is None:
            waiters = self._by_job[job_id] = {}
        if waiter not in waiters:
            waiters[waiter] = True
            self._count += 1

    def remove(self, job_id: str, waiter: Waiter) -> None:
        """The waiter has left."""
        waiters = self._by_job.get(job_id)
        if waiters is not None:
            self._count -= waiters.pop(waiter, False)
            if not waiters:
                del self._by_job[job_id]

    def are_there(self, job_id: str) -> bool:
        """Whether anybody waits for a job."""
        return job_id in self._by_job

    def end(self, job_id: str, result: WaitResult) -> None:
        """End all waits for a job: it has ended."""
        for waiter in self._by_job.get(job_id, ()):
            waiter.end(result)

    def expire(self, job_id: str) -> None:
        """Tell all who wait for a job that it will not end here: they get its record as it is."""
        for waiter in self._by_job.get(job_id, ()):
            waiter.expire()

    def expire_all(self) -> None:
        """Tell all who wait, and who come, to come back later: this process stops."""
        self.is_closed = True
        for job_id in list(self._by_job):
            self.expire(job_id)

    def look_again(self, job_id: str | None = None) -> None:
        """Have all who wait for a job read it again. None: for any job."""
        for waiters in self._by_job.values() if job_id is None else [self._by_job.get(job_id, {})]:
            for waiter in waiters:
                waiter.look_again()


class Followers:
    """All who follow every change of a job, by job id."""

    def __init__(self) -> None:
        self._by_job: dict[str, set[Callable[[str], None]]] = {}

    def subscribe(self, job_ids: Iterable[str], on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call a function with the id of each of these jobs that has changed; returns a function that ends that."""
        job_ids = frozenset(job_ids)

        def follower(job_id: str) -> None:  # one for each subscription, though the function be the same
            on_change(job_id)

        def unsubscribe() -> None:
            for job_id in job_ids:
                followers = self._by_job.get(job_id)
                if followers is not None:
                    followers.discard(follower)
                    if not followers:
                        del self._by_job[job_id]

        for job_id in job_ids:
            self._by_job.setdefault(job_id, set()).add(follower)
        return unsubscribe

    @contextlib.contextmanager
    def following(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change of a job, until the block is left. Clear it, then read, then wait."""
        changed = asyncio.Event()
        unsubscribe = self.subscribe([job_id], lambda _job_id: changed.set())
        try:
            yield changed
        finally:
            unsubscribe()

    def changed(self, job_id: str | None) -> None:
        """A job has changed. None: maybe all have."""
        if not self._by_job:
            return
        for followed in list(self._by_job) if job_id is None else [job_id]:
            for follower in tuple(self._by_job.get(followed, ())):
                try:
                    follower(followed)
                except Exception:
                    logger.exception("job %s: a subscriber failed", followed)
