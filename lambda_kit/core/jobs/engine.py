"""`JobEngine`: what this process does for the jobs of one store. It owns the parts and their life."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from lambda_kit.core.errors import ConfigurationError, NotServingError, UnavailableError
from lambda_kit.core.jobs.engine_parts import EngineParts
from lambda_kit.core.jobs.graceful_shutdown import GracefulShutdown
from lambda_kit.core.jobs.job_table import State
from lambda_kit.core.jobs.permits import Load
from lambda_kit.core.ports.store import Change, JobStore
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.retry import Outage
from lambda_kit.core.runtime.watchdog import LoopWatchdog
from lambda_kit.core.runtime.worker_id import new_worker_id
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["JobEngine"]

logger = logging.getLogger("lambda_kit.service")

_STORE_SECONDS = 10.0
"""For how long a store may write what it has, and close, at the end."""


_PAGE_SIZE = 1000

_LEAST_FLUSH_SECONDS = 5.0
"""For how long a stop goes on delivering to sinks, though the grace time is over."""

_LAST_WAITS_SECONDS = 2.0
"""For how long, after a drain, clients may wait for jobs of other processes: less than a stop gives to requests."""


_NOT_STARTED = (
    "jobs are refused by 503: the server has not been started. An app that does not pass its lifespan on to what is "
    "mounted in it (Starlette, FastAPI) has to start the server in its own: 'async with server: yield'"
)


class JobEngine(EngineParts):
    """Takes jobs, has them run, and tells of their ends. `JobService` is the door to it.

    All methods are for the event loop on which `start` was called. Arguments: as for `EngineParts`.
    """

    _stop_by: float | None = None
    _why_starting = "the service has not been started"
    _is_absence_known = False
    _open: contextlib.AsyncExitStack | None = None

    def use_store(self, store: JobStore) -> None:
        """Use another store.

        Raises:
            ConfigurationError: if the engine has started, or this store does not count what it has to.
        """
        if self._open is not None:
            raise ConfigurationError("the service has started, with the store that it had")
        super().use_store(store)
        self._shutdown = GracefulShutdown(self)

    def accepts_jobs(self) -> bool:
        """Whether the process is neither starting nor stopping."""
        return self._open is not None and self._stop_by is None

    # --- its life ---

    def begin_start(self) -> None:
        """Say that the start has begun: who is refused before its end only has to wait."""
        self._is_absence_known = True
        self._why_starting = "the service is starting"

    def runs_only_here(self, tool: BoundTool) -> bool:
        """Whether jobs of a tool never leave this process: their requests need not be read from the stored bytes."""
        is_kept = self.store.is_durable or self.store.is_shared
        return self.roles == "both" and not is_kept and self._executors[tool.executor].runs_in_server

    async def start(self) -> None:
        """Open store, sinks and executors, and take jobs. What was opened is closed again if one of them fails."""
        self._stop_by = None
        self.begin_start()
        async with contextlib.AsyncExitStack() as opened:
            was_away = await self._when_available(self.store.start)
            opened.push_async_callback(self._stop_store)
            await self._start_parts(opened, is_store_back=was_away)
            watchdog = LoopWatchdog()
            watchdog.start()
            opened.callback(watchdog.stop)
            self._open = opened.pop_all()
        is_stopping: bool = self._stop_by is not None  # the end may have begun already
        self.admission.is_open = self.roles != "run" and not is_stopping

    async def _start_parts(self, opened: contextlib.AsyncExitStack, *, is_store_back: bool) -> None:
        worker_id = new_worker_id()  # one for each life: what was left to others under the last one is theirs
        self.runner.worker_id = worker_id
        self._semaphore.start(worker_id)
        self.runner.buffers.start()
        self.fetched_results.start()
        self.waiters.is_closed = False
        self._reconciler.start()
        await self._when_available(self._find_caller_key)
        opened.push_async_callback(self.background.stop)
        opened.callback(self.store.subscribe(self._on_change))
        opened.push_async_callback(self._housekeeping.stop)  # after the sinks: what they were not told is others' then
        for relay in self.relays:
            await self._when_available(partial(relay.start, worker_id))
            opened.push_async_callback(relay.stop)
        opened.callback(self._forget)
        opened.push_async_callback(self.runner.stop)  # after the executors have stopped
        opened.push_async_callback(self.runner.canceller.stop)
        opened.push_async_callback(self.scheduler.stop)
        await self.scheduler.start(self.observers.in_workers)
        await self._when_available(partial(self._housekeeping.start, is_store_back=is_store_back))

    def begin_stop(self, grace_seconds: float | None = None) -> None:
        """Take no more jobs, and let the time that a stop gives to those that were taken begin now.

        Args:
            grace_seconds: That time. None: `JobSettings.grace_seconds`. If the stop has begun already, what is left of
                it is cut to this; None: it is left as it is.
        """
        self.admission.is_open = False
        seconds = self.settings.grace_seconds if grace_seconds is None else grace_seconds
        stop_by = time.monotonic() + seconds
        if self._stop_by is not None:
            if grace_seconds is not None and stop_by < self._stop_by:
                self._stop_by = stop_by
                self._shutdown.hurry(seconds)
        else:
            self._stop_by = stop_by
            self.fetched_results.begin(job.id for job in self.table if job.state is not State.IN_DOUBT)
            for relay in self.relays:
                relay.hurry()

    async def drain(self) -> None:
        """Take no more jobs, and stay until nobody needs this process any more.

        That is when the jobs that it has to run have ended (those that take longer than `JobSettings.grace_seconds` are
        cancelled, or left to others) and their results were collected, for which there are 5 s, or what is left of the
        grace time. Those who wait for jobs that live on elsewhere are told to come again, 2 s after that.
        """
        self.begin_stop()
        if self._open is None:
            return
        await self._shutdown.run(self._stop_by or 0.0)
        linger_seconds = min(self._pauses.linger_seconds, self._left_seconds())
        if self.roles == "both" and not await self.fetched_results.wait(linger_seconds):
            logger.info("going on with the stop, though not all results have been fetched")
        if self._open is not None:  # a job of another process may be about to end, and the port is still to be closed
            last_waits_seconds = min(_LAST_WAITS_SECONDS, self._left_seconds())
            expiry = asyncio.get_running_loop().call_later(last_waits_seconds, self.waiters.expire_all)
            self._open.callback(expiry.cancel)

    async def stop(self) -> None:
        """Take no more jobs, let those that were taken end (`grace_seconds`), cancel the rest, close everything."""
        self.begin_stop()
        if self._open is None:
            return
        async with self._open:  # closes what was opened, whatever happens here
            self._open = None
            await self._shutdown.run(self._stop_by or 0.0)
            self.waiters.expire_all()
            for relay in self.relays:
                relay.flush_seconds = min(self.settings.flush, max(_LEAST_FLUSH_SECONDS, self._left_seconds()))

    def check_open(self) -> None:
        """Refuse what needs the store before the start and after the end.

        Raises:
            UnavailableError: if it is not open.
        """
        if self._open is None:
            if not self._is_absence_known:
                self._is_absence_known = True
                logger.warning(_NOT_STARTED)
            raise NotServingError("the service is starting or stopping")

    async def why_not_ready(self) -> str | None:
        """Why no jobs are taken now, in words. None: they are."""
        if self._stop_by is not None:
            return "the service is stopping"
        if self._open is None:
            return self._why_starting
        return await self.scheduler.why_not_ready()

    def load(self) -> Load:
        """What is waiting and running in this process."""
        return self.scheduler.load()

    def begin_cancel(self, job_id: str) -> None:
        """The end of a job was asked for: see to it, as far as it runs here."""
        job = self.table.get(job_id)
        if job is not None:
            self.runner.canceller.begin(job)

    def offered(self) -> None:
        """Look for pending jobs that no worker has: a queue between processes hints that there may be one."""
        self._housekeeping.offered()

    async def undelivered(self) -> list[str]:
        """The jobs for whose delivery a stop of this process waits, by id."""
        ids: dict[str, None] = {}
        for relay in self.relays:
            waiting = await self.store.undelivered(relay.sink.name, limit=_PAGE_SIZE, worker_id=self.runner.worker_id)
            ids |= dict.fromkeys(delivery.job_id for delivery in waiting if relay.holds_up_stop(delivery))
        return list(ids)

    @property
    def dropped_ends(self) -> int:
        """How many ends were given up and will never be delivered, since the server was made."""
        counted = (sink.dropped.items() for sink in self.statistics.sinks.values())
        return sum(count for dropped in counted for (what, _), count in dropped if what == "end")

    def _on_change(self, change: Change) -> None:
        self._change_handler.handle(change)
        if change.job_id is None or self.table.get(change.job_id) is None:
            self._housekeeping.changed(change)
        for relay in self.relays:
            relay.wake()

    # --- inside ---

    async def _find_caller_key(self) -> None:
        key = self._sealer.caller_key or await self.store.caller_key()
        self._callers.use_key(key)
        self.cursors.use_key(key)

    def _forget(self) -> None:
        """Nothing of one life counts in the next."""
        for job in self.table:
            self.table.remove(job)
        self.scheduler.forget_permits()

    async def _stop_store(self) -> None:
        await bounded("the store's stop", self.store.stop(), seconds=_STORE_SECONDS)

    def _left_seconds(self) -> float:
        return max(0.0, (self._stop_by or 0.0) - time.monotonic())

    async def _when_available(self, call: Callable[[], Awaitable[None]]) -> bool:
        """Do what needs the store, for the start; one that is away is waited for. Returns whether it was away."""
        was_away = False

        async def attempt() -> None:
            nonlocal was_away
            try:
                await call()
            except UnavailableError:
                was_away = True
                self._why_starting = "the service is starting, and waits for its store: its log has the details"
                raise

        try:
            async with asyncio.timeout(self.settings.store_wait_seconds):
                await Outage(pauses=self._new_back_off).until_over("the start", attempt)
        except TimeoutError:
            seconds = self.settings.store_wait_seconds
            raise ConfigurationError(
                f"the store can't be reached, for {seconds:g} s now: see the log for why, and check its address and "
                "that it runs (JobSettings.store_wait_seconds says how long to wait)"
            ) from None
        return was_away
