"""`LeaseKeeper`: keeps what this process has while its event loop is blocked."""

import asyncio
import contextlib
import logging
import threading
import time

from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.semaphore import DistributedSemaphore
from lambda_kit.core.ports.store import JobStore

__all__ = ["LeaseKeeper"]

logger = logging.getLogger("lambda_kit.service")


_LOOK_SECONDS = 0.05
"""How often it looks whether the event loop turns again."""

_END_SECONDS = 2.0


class LeaseKeeper:
    """A thread that renews heartbeat, leases and slots when `Housekeeping`, on the event loop, is late with it.

    It has an event loop and a store of its own (`JobStore.another`), which is opened only then, and closed when the
    event loop turns again. It needs the interpreter now and then: against a call that holds it for longer than a lease
    it can do nothing. It goes on for as long as the loop is blocked: one that never turns again is for a liveness
    probe to find.

    Args:
        store: The store of the jobs.
        runner: Has the leases.
        semaphore: Has the slots.
        every_seconds: How often is renewed.
        lease_seconds: For how long.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        semaphore: DistributedSemaphore,
        *,
        every_seconds: float,
        lease_seconds: float,
    ) -> None:
        self._store = store
        self._runner = runner
        self._semaphore = semaphore
        self._every_seconds = every_seconds
        self._lease_seconds = lease_seconds
        self._late_seconds = (every_seconds + lease_seconds) / 2
        self.kept_at: float | None = None
        """When it last sent a heartbeat, by `time.monotonic`."""
        self._seen_at = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch this event loop. No effect if the store has no `another`."""
        self.kept_at = None
        self.seen()
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._is_stopping = threading.Event()
        if self._store.is_shared and self._store.another() is not None:
            self._thread = threading.Thread(target=self._work, name="lambda_kit lease keeper", daemon=True)
            self._thread.start()

    def seen(self) -> None:
        """The event loop turns: it is about to renew by itself."""
        self._seen_at = time.monotonic()

    async def stop(self) -> None:
        """End the thread: after this it sends nothing more."""
        if self._thread is not None:
            self._is_stopping.set()
            await asyncio.wait([self._ended], timeout=_END_SECONDS)  # the store may be away
            self._thread = None

    # --- on the thread ---

    def _work(self) -> None:
        while not self._is_stopping.wait(self._every_seconds / 2):
            if self._loop.is_closed():
                return
            if self._is_needed():
                try:
                    asyncio.run(self._keep())
                except Exception as error:  # noqa: BLE001 - whatever it is: it is tried again
                    logger.warning("the event loop is blocked, and leases could not be renewed beside it: %s", error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _is_needed(self) -> bool:
        """Whether the event loop runs, and has not turned for long."""
        is_late = time.monotonic() - self._seen_at > self._late_seconds
        return is_late and self._loop.is_running() and not self._is_stopping.is_set()

    async def _keep(self) -> None:
        store = self._store.another()
        if store is None:
            return
        logger.info("the event loop is blocked: the leases of this process are renewed beside it")
        async with store:
            while self._is_needed():
                await store.heartbeat(self._runner.worker_id, lease_seconds=self._lease_seconds)
                self.kept_at = time.monotonic()
                await store.renew(self._runner.leases(), lease_seconds=self._lease_seconds)
                await self._semaphore.renew_in(store)
                await self._pause()

    async def _pause(self) -> None:
        until = time.monotonic() + self._every_seconds / 2
        while self._is_needed() and time.monotonic() < until:  # noqa: ASYNC110 - it is said by another thread
            await asyncio.sleep(_LOOK_SECONDS)
