"""`JobService`: the one way through for every kind of caller."""

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lambda_kit.core.delivery import SinkDispatcher
from lambda_kit.core.errors import JobConflictError, JobNotFoundError, UnavailableError
from lambda_kit.core.executor import Executor
from lambda_kit.core.housekeeping import Housekeeping
from lambda_kit.core.job import Job, JobStatus, Payload, new_job_id
from lambda_kit.core.run import LiveRequest
from lambda_kit.core.runner import JobRunner
from lambda_kit.core.sink import JobSink
from lambda_kit.core.store import Change, JobStore
from lambda_kit.core.submission import Submission, digest_of, scoped_key
from lambda_kit.core.tool import BoundTool
from lambda_kit.core.waiting import Followers, Settled, Waiter, Waiters

__all__ = ["JobService", "JobSettings"]

logger = logging.getLogger("lambda_kit.service")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """How jobs are looked after. All durations are in seconds."""

    lease_seconds: float = 10.0
    """For how long a worker may be silent before its jobs are taken from it."""

    heartbeat_seconds: float = 3.0
    """How often leases are renewed and lost jobs are looked for."""

    grace_seconds: float = 25.0
    """For how long a stop waits for the jobs that it has taken."""


class JobService:
    """Takes requests, has them run, and answers for the jobs.

    Use all methods on the event loop on which `start` was called.

    Args:
        tools: What can be run.
        store: Holds the truth. The service starts and stops it.
        executors: By name; each tool's `BoundTool.executor` must be among them.
        sinks: Who is told of events and results.
        settings: Durations.
    """

    def __init__(
        self,
        tools: Iterable[BoundTool],
        store: JobStore,
        executors: Mapping[str, Executor],
        *,
        sinks: Sequence[JobSink] = (),
        settings: JobSettings | None = None,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.store = store
        self.settings = settings or JobSettings()
        self._executors = dict(executors)
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._runner = JobRunner(
            self.tools, store, owner=owner, lease_seconds=self.settings.lease_seconds, on_end=self._on_end
        )
        self._dispatchers = [SinkDispatcher(sink, store) for sink in sinks]
        self._housekeeping = Housekeeping(
            store,
            self._runner,
            every_seconds=self.settings.heartbeat_seconds,
            interrupt=self._interrupt,
            hand_over=self._hand_over,
        )
        self._waiters = Waiters()
        self.followers = Followers()
        """Those who follow every change of a job here."""
        self._accepts = False
        self._stop_by: float | None = None
        self._open: contextlib.AsyncExitStack | None = None

    # --- its own life ---

    async def start(self) -> None:
        """Open store, sinks and executors, and take jobs. What was opened is closed again if one of them fails."""
        async with contextlib.AsyncExitStack() as opened:
            await self.store.start()
            opened.push_async_callback(self.store.stop)
            opened.callback(self.store.watch(self._on_change))
            for dispatcher in self._dispatchers:
                await dispatcher.start()
                opened.push_async_callback(dispatcher.stop)
            self._housekeeping.start()
            opened.push_async_callback(self._housekeeping.stop)
            opened.push_async_callback(self._runner.abandon)  # after the executors have stopped
            for executor in self._executors.values():
                await executor.start(self._runner.run)
                opened.push_async_callback(executor.stop)
            self._open = opened.pop_all()
        self._stop_by = None
        self._accepts = True

    def begin_stop(self) -> None:
        """Take no more jobs, and let the time that a stop gives to those that were taken begin now."""
        self._accepts = False
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.settings.grace_seconds

    async def stop(self) -> None:
        """Take no more jobs, let those that were taken end (`grace_seconds`), cancel the rest, close everything."""
        self.begin_stop()
        if self._open is None:
            return
        async with self._open:  # closes what was opened, whatever happens here
            self._open = None
            left_seconds = max(0.0, (self._stop_by or 0.0) - time.monotonic())
            drains = [executor.drain(left_seconds) for executor in self._executors.values()]
            if not all(await asyncio.gather(*drains)):
                logger.warning("%d jobs did not end in time and are cancelled", len(self._runner.live))
            for job_id in {*self._runner.live, *self._runner.active}:
                try:
                    await self.cancel(job_id)
                except JobNotFoundError:
                    continue
                except UnavailableError as error:  # its lease runs out, and whoever opens the store next ends it
                    logger.warning("job %s could not be cancelled: the store is away (%s)", job_id, error)

    @property
    def accepts_jobs(self) -> bool:
        """Whether new jobs are taken: it has started, and does not drain."""
        return self._accepts

    # --- jobs ---

    async def submit(self, submission: Submission) -> Job:
        """Make a job of a request and hand it to its executor; or attach to the job that this request made before.

        Returns:
            The new job, or the known one with this id or key.

        Raises:
            RequestValidationError: if the body does not fit the tool's request model.
            JobConflictError: if the id or key belongs to another tool or body.
            QueueFullError: if the tool can't take it now. No job was made.
            UnavailableError: if the service does not take jobs, or the store is away.
        """
        return await self._submit(submission, None)

    async def submit_and_wait(self, submission: Submission, timeout_seconds: float) -> Settled:
        """As `submit`, and wait for the job's end, at most so many seconds. With 0, do not wait."""
        waiter = Waiter()
        job = await self._submit(submission, waiter)
        try:
            return await self._settled(job, waiter, timeout_seconds)
        finally:
            self._waiters.remove(job.id, waiter)

    async def _submit(self, submission: Submission, waiter: Waiter | None) -> Job:
        tool = submission.tool
        digest = digest_of(submission.body)
        key = None
        known = None
        if submission.job_id is not None:
            known = await self.store.get(submission.job_id)
        elif submission.idempotency_key is not None:
            key = scoped_key(submission.idempotency_key, tool.name, submission.authorization)
            known = await self.store.find_by_key(key)
        if known is not None:  # whether or not the body fits, or jobs are taken now
            return await self._attached(known, tool, digest, waiter)
        value = submission.value
        if value is None:
            value = tool.decode(submission.body.content)
        if not self._accepts:
            raise UnavailableError("the service is not taking jobs now")
        created = await self.store.create(self._new_job(submission, digest, key), submission.body)
        job = created.job
        if not created.is_new:
            return await self._attached(job, tool, digest, waiter)
        self._runner.live[job.id] = LiveRequest(value, submission.authorization, submission.transport)
        for dispatcher in self._dispatchers:
            dispatcher.remember(job.id, submission.authorization)
        if waiter is not None:  # before it can run: a quick job's result could be evicted from a small store
            self._waiters.add(job.id, waiter)
        try:
            await self._executors[tool.executor].submit(job.id, tool.name)
        except BaseException:
            await self._discard(job.id, waiter)
            raise
        return job

    async def _discard(self, job_id: str, waiter: Waiter | None) -> None:
        self._runner.live.pop(job_id, None)
        for dispatcher in self._dispatchers:
            dispatcher.forget(job_id)
        if waiter is not None:
            self._waiters.remove(job_id, waiter)
        try:
            await self.store.discard(job_id)
        except UnavailableError as error:  # what kept it from being handed over is what the caller must know
            logger.warning("job %s was not handed over and stays pending: the store is away (%s)", job_id, error)

    async def _attached(self, known: Job, tool: BoundTool, digest: bytes, waiter: Waiter | None) -> Job:
        if known.tool != tool.name:
            raise JobConflictError(
                f"job '{known.id}' belongs to tool '{known.tool}', not '{tool.name}': choose another id"
            )
        if known.request_digest != digest:
            raise JobConflictError(
                f"job '{known.id}' was made with another body: choose another id for another request"
            )
        if waiter is None:
            return known
        self._waiters.add(known.id, waiter)  # first add, then read: an end in between is not missed
        return await self.store.get(known.id) or known

    def _new_job(self, submission: Submission, digest: bytes, key: str | None) -> Job:
        tool = submission.tool
        execution = tool.options.execution
        return Job(
            id=submission.job_id or new_job_id(),
            tool=tool.name,
            requested_at=time.time(),
            request_content_type=submission.body.content_type,
            request_digest=digest,
            idempotency_key=key,
            request_info=submission.request_info,
            traceparent=submission.traceparent,
            ttl_seconds=3600.0 if execution.job_cache_ttl is None else execution.job_cache_ttl,
            keep_finished=10_000 if execution.job_cache_size is None else execution.job_cache_size,
        )

    async def get(self, job_id: str) -> Job:
        """The record of a job.

        Raises:
            JobNotFoundError: if there is none, or it has expired.
        """
        job = await self.store.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return job

    async def wait(self, job_id: str, timeout_seconds: float, *, tool: str | None = None) -> Settled:
        """Wait for a job's end, wherever it runs; at most so many seconds. With 0, look and return.

        Args:
            job_id: The bare id.
            timeout_seconds: For how long.
            tool: Know only this tool's jobs. None: any tool's.

        Raises:
            JobNotFoundError: if there is no such job, or it has expired.
        """
        waiter = Waiter()
        self._waiters.add(job_id, waiter)  # first add, then read: an end in between is not missed
        try:
            job = await self.get(job_id)
            if tool is not None and job.tool != tool:
                raise JobNotFoundError(job_id)
            return await self._settled(job, waiter, timeout_seconds)
        finally:
            self._waiters.remove(job_id, waiter)

    async def _settled(self, job: Job, waiter: Waiter, timeout_seconds: float) -> Settled:
        if job.status.is_final:
            return Settled(job, await self.store.get_result(job.id))
        if timeout_seconds <= 0:
            return Settled(job, None)
        return await waiter.wait(job, timeout_seconds, self._look)

    async def _look(self, job_id: str) -> Settled | None:
        job = await self.store.get(job_id)
        if job is None:
            return None
        return Settled(job, await self.store.get_result(job_id) if job.status.is_final else None)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end. A pending job is cancelled at once; a running one when its tool has stopped.

        Returns:
            The record now: look at its status.

        Raises:
            JobNotFoundError: if there is no such job.
        """
        job = await self.store.request_cancel(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        await self._interrupt(job_id)
        if job.status.is_final and job_id in self._runner.live:  # it never ran
            self._on_end(job_id, job, None)
        return job

    # --- inside ---

    async def _interrupt(self, job_id: str) -> None:
        for executor in self._executors.values():
            if await executor.cancel(job_id):
                return

    async def _hand_over(self, job: Job) -> bool:
        tool = self.tools.get(job.tool)
        if tool is None or not self._accepts:
            return False
        await self._executors[tool.executor].submit(job.id, tool.name)
        return True

    def _on_end(self, job_id: str, job: Job | None, result: Payload | None) -> None:
        self._runner.live.pop(job_id, None)
        # Waiters here get the result from the run itself: it may be evicted from the store before they look.
        settled = None
        if job is not None:
            settled = Settled(job, result if job.status is JobStatus.SUCCEEDED else None)
        self._waiters.settle(job_id, settled)

    def _on_change(self, change: Change) -> None:
        self.followers.tell(change.job_id)
        if change.job_id is None:
            self._waiters.look_again()
        elif change.status is None or (change.status.is_final and change.job_id not in self._runner.active):
            self._waiters.settle(change.job_id, None)  # of the end of a run here `_on_end` tells
        for dispatcher in self._dispatchers:
            dispatcher.wake()
