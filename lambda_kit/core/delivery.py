"""Serves one sink from the store's outbox."""

import asyncio
import contextlib
import logging

from lambda_kit.core.events import EventPage
from lambda_kit.core.sink import JobSink
from lambda_kit.core.store import Delivery, JobStore

__all__ = ["SinkDispatcher"]

logger = logging.getLogger("lambda_kit.delivery")

_FIRST_BACK_OFF_SECONDS = 0.5
_LONGEST_BACK_OFF_SECONDS = 30.0


class SinkDispatcher:
    """Tells a sink of events and ends: in order for each job, several jobs at once, with back-off where it fails.

    Args:
        sink: Who is told.
        store: Its outbox says what is still to be told.
        concurrency: How many jobs are told of at once.
        stop_seconds: For how long `stop` goes on delivering what is left.
    """

    def __init__(self, sink: JobSink, store: JobStore, *, concurrency: int = 8, stop_seconds: float = 5.0) -> None:
        self._sink = sink
        self._store = store
        self._concurrency = concurrency
        self._stop_seconds = stop_seconds
        self._authorizations: dict[str, str] = {}
        self._failures: dict[str, tuple[int, float]] = {}  # job id: how often, and when to try again
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the sink and begin."""
        await self._sink.start()
        await self._store.register_sink(self._sink.name)
        self._is_stopping = False
        self._woken = asyncio.Event()  # of this loop: a server may be run on one after another
        self._woken.set()
        self._task = asyncio.create_task(self._run(), name=f"lambda_kit sink {self._sink.name}")

    async def stop(self) -> None:
        """Deliver what is left, for a bounded time, and close the sink."""
        self._is_stopping = True
        self._woken.set()
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=self._stop_seconds)
            if not done:
                logger.warning("sink %s was not told of everything before the stop", self._sink.name)
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
            self._task = None
        await self._sink.stop()

    def remember(self, job_id: str, authorization: str | None) -> None:
        """Keep, in memory only, the authorization that deliveries of this job carry."""
        if authorization is not None:
            self._authorizations[job_id] = authorization

    def wake(self) -> None:
        """Look again: something has changed."""
        self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            due: list[Delivery] = []
            try:
                # those that wait for another try must not hide the others
                waiting = await self._store.undelivered(self._sink.name, limit=100 + len(self._failures))
                now = loop.time()
                ids = {delivery.job_id for delivery in waiting}
                self._failures = {job_id: known for job_id, known in self._failures.items() if job_id in ids}
                later = {job_id for job_id, (_, at) in self._failures.items() if at > now}
                due = [delivery for delivery in waiting if delivery.job_id not in later]
                for start in range(0, len(due), self._concurrency):
                    await asyncio.gather(*map(self._tell, due[start : start + self._concurrency]))
            except Exception:
                logger.exception("sink %s: the outbox can't be read; trying again", self._sink.name)
                await asyncio.sleep(_FIRST_BACK_OFF_SECONDS)
                continue
            if due:
                continue
            if self._is_stopping and not waiting:
                return
            next_try = min((at for _, at in self._failures.values()), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_try):
                    await self._woken.wait()

    async def _tell(self, delivery: Delivery) -> None:
        job_id = delivery.job_id
        try:
            is_complete = await self._tell_all(delivery)
        except Exception as error:  # noqa: BLE001 - whatever a sink raises, it is told again
            count = self._failures.get(job_id, (0, 0.0))[0] + 1
            pause = min(_FIRST_BACK_OFF_SECONDS * 2 ** (count - 1), _LONGEST_BACK_OFF_SECONDS)
            self._failures[job_id] = (count, asyncio.get_running_loop().time() + pause)
            logger.warning(
                "sink %s: job %s, attempt %d failed (%s); trying again in %.1f s",
                self._sink.name, job_id, count, type(error).__name__, pause,
            )  # fmt: skip
            return
        self._failures.pop(job_id, None)
        if is_complete:
            self._authorizations.pop(job_id, None)

    async def _tell_all(self, delivery: Delivery) -> bool:
        job_id, after = delivery.job_id, delivery.after_seq
        authorization = self._authorizations.get(job_id)
        while True:
            page: EventPage | None = await self._store.read_events(job_id, after=after)
            job = await self._store.get(job_id)
            if page is None or job is None:  # expired: there is nothing left to tell
                await self._store.mark_delivered(self._sink.name, job_id, after_seq=after, is_complete=True)
                return True
            for event in page.events:
                await self._sink.deliver_event(job, event, authorization=authorization)
                after = event.seq
                await self._store.mark_delivered(self._sink.name, job_id, after_seq=after, is_complete=False)
            if after < page.last_seq and page.events:
                continue
            if not page.final:
                return False
            result = await self._store.get_result(job_id)
            await self._sink.deliver_end(job, result, authorization=authorization)
            await self._store.mark_delivered(self._sink.name, job_id, after_seq=page.last_seq, is_complete=True)
            return True
