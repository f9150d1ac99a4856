"""Carries the events of one run from the tool to the store."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from lambda_kit.core.errors import LeaseLostError, StoreFullError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.ports.store import JobStore, Lease
from lambda_kit.core.runtime.retry import Outage

__all__ = ["EventBuffer", "EventBuffers"]

logger = logging.getLogger("lambda_kit.job")

_BATCH_BYTES = 1_000_000
"""What is written at once, after an absence of the store for example, is to arrive within its time limits."""


class EventBuffer:
    """A buffer between a tool, on whatever thread it runs, and the store, on the event loop.

    Events arrive in the store in the order in which they were put. Putting never blocks: where the store is slower than
    the tool for long, the oldest events that wait are dropped, and leave a hole in the numbers.

    Args:
        store: Where they go.
        lease: The run's lease.
        loop: The event loop of the store.
        limit: How many events may wait.
        outage: What is known of the store's absence.
        on_dropped: Told, on the loop, how many were dropped.
    """

    __slots__ = (
        "_batch", "_dropped", "_hole", "_is_closed", "_is_flushing", "_is_store_full", "_lease", "_limit", "_lock",
        "_loop", "_on_dropped", "_outage", "_store", "_task", "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        store: JobStore,
        lease: Lease,
        loop: asyncio.AbstractEventLoop,
        limit: int = 10_000,
        *,
        outage: Outage | None = None,
        on_dropped: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._loop = loop
        self._limit = limit
        self._outage = outage or Outage()
        self._on_dropped = on_dropped
        self._lock = threading.Lock()
        self._waiting: deque[NewEvent] = deque()
        self._dropped = 0
        self._hole = 0  # how many numbers are to be skipped
        self._batch = 0
        self._is_flushing = False
        self._is_closed = False
        self._is_store_full = False
        self._task: asyncio.Task[None] | None = None

    def put(self, event: NewEvent) -> None:
        """Take one event, from any thread. After `close` it is dropped."""
        with self._lock:
            if self._is_closed:
                return
            if len(self._waiting) == self._limit:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(event)
            if self._is_flushing:
                return
            self._is_flushing = True
        self._loop.call_soon_threadsafe(self._start_flush)

    def _start_flush(self) -> None:
        if self._is_closed:  # before this had its turn: `close` does it
            return
        self._task = self._loop.create_task(self._flush())

    async def _flush(self) -> None:
        while (taken := self._take()) is not None:
            batch, dropped = taken
            if dropped:
                self._on_dropped(dropped)
            self._batch += 1
            hole, self._hole = self._hole + dropped, 0
            try:
                await self._outage.until_over(
                    f"job {self._lease.job_id}: its events", partial(self._append, batch, hole), waits_for_room=False
                )
            except LeaseLostError:  # the job is somebody else's now, and so is its log
                with self._lock:
                    self._is_closed = True
                    self._waiting.clear()
            except StoreFullError as error:  # to wait for room would hold up the job's end, which may make some
                if not self._is_store_full:
                    logger.warning("job %s: its events are dropped: %s", self._lease.job_id, error)
                self._is_store_full = True
                self._drop(batch, hole)
            except Exception:  # what the store does not take is missing in the log, and nothing else
                logger.exception("job %s: %d events could not be written", self._lease.job_id, len(batch))
                self._drop(batch, hole)
            else:
                self._is_store_full = False

    def _drop(self, batch: list[NewEvent], hole: int) -> None:
        self._on_dropped(len(batch))
        self._hole = hole + len(batch)

    def _take(self) -> tuple[list[NewEvent], int] | None:
        """What is to be written next, and how many were dropped before that. None: nothing waits."""
        with self._lock:
            if not self._waiting:
                self._is_flushing = False
                return None
            batch, size = [], 0
            while self._waiting and size < _BATCH_BYTES:
                batch.append(self._waiting.popleft())
                size += len(batch[-1].body)
            dropped, self._dropped = self._dropped, 0
            return batch, dropped

    async def _append(self, batch: list[NewEvent], dropped: int) -> None:
        await self._store.append_events(self._lease, batch, dropped=dropped, batch=self._batch)

    async def close(self) -> None:
        """Bring what was put so far to the store; take no more."""
        with self._lock:
            self._is_closed = True
        if self._task is not None:
            await self._task
        await self._flush()


class EventBuffers:
    """Makes the buffers of a server's runs.

    Args:
        store: Where the events go.
        outage: What is known of the store's absence.
        observer: Sees dropped events.
    """

    def __init__(self, store: JobStore, outage: Outage, observer: JobObserver) -> None:
        self._store = store
        self._outage = outage
        self._observer = observer
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Be ready to work on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def new(self, job: Job, lease: Lease) -> EventBuffer:
        """A buffer for one run, from any thread."""
        on_dropped = partial(self._observer.events_dropped, job)
        return EventBuffer(self._store, lease, self._loop, outage=self._outage, on_dropped=on_dropped)
