"""`JobService`: the one way through for every kind of caller."""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lambda_kit.core.delivery import SinkDispatcher
from lambda_kit.core.errors import JobConflictError, JobNotFoundError, QueueFullError, UnavailableError
from lambda_kit.core.executor import Executor
from lambda_kit.core.job import Job, JobStatus, Payload, RequestInfo, new_job_id
from lambda_kit.core.run import JobRunner, LiveRequest
from lambda_kit.core.sink import JobSink
from lambda_kit.core.store import JobStore
from lambda_kit.core.tool import BoundTool

__all__ = ["JobService", "JobSettings", "Settled", "Submission"]

logger = logging.getLogger("lambda_kit.service")

# beyond this event loops lose count; nobody waits for so long
_FOREVER_SECONDS = 1e8


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """How jobs are looked after. All durations are in seconds."""

    lease_seconds: float = 10.0
    """For how long a worker may be silent before its jobs are taken from it."""

    heartbeat_seconds: float = 3.0
    """How often leases are renewed and lost jobs are looked for."""

    grace_seconds: float = 25.0
    """For how long a stop waits for the jobs that it has taken."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A request to run a tool, from whatever kind of caller."""

    tool: BoundTool
    body: Payload
    """JSON bytes and their media type."""
    value: Any = None
    """The decoded request, where the caller has it already."""
    job_id: str | None = None
    """The bare id that the caller chose."""
    idempotency_key: str | None = None
    """The caller's ``Idempotency-Key``."""
    request_info: RequestInfo | None = None
    authorization: str | None = None
    traceparent: str | None = None
    transport: Any = None


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What a wait found. The job need not be final: the time may have been up first."""

    job: Job
    result: Payload | None


_Waiter = asyncio.Future[Settled | None]


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
        self._waiters: dict[str, list[_Waiter]] = {}
        self._accepts = False
        self._housekeeping: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] | None = None

    # --- its own life ---

    async def start(self) -> None:
        """Open store, sinks and executors, and take jobs. What was opened is closed again if one of them fails."""
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise

    async def _open(self) -> None:
        await self.store.start()
        self._unwatch = self.store.watch(self._on_change)
        for dispatcher in self._dispatchers:
            await dispatcher.start()
        for executor in self._executors.values():
            await executor.start(self._runner.run)
        self._housekeeping = asyncio.create_task(self._keep_house(), name="lambda_kit housekeeping")
        self._accepts = True

    async def stop(self) -> None:
        """Take no more jobs, let those that were taken end (`grace_seconds`), cancel the rest, close everything."""
        self._accepts = False
        drains = [executor.drain(self.settings.grace_seconds) for executor in self._executors.values()]
        if not all(await asyncio.gather(*drains)):
            logger.warning("%d jobs did not end in time and are cancelled", len(self._runner.live))
            for job_id in list(self._runner.live):
                await self.cancel(job_id)
        for executor in self._executors.values():
            await executor.stop()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._housekeeping
            self._housekeeping = None
        for dispatcher in self._dispatchers:
            await dispatcher.stop()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        await self.store.stop()

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
        tool = submission.tool
        digest = _digest(submission.body)
        key = None
        known = None
        if submission.job_id is not None:
            known = await self.store.get(submission.job_id)
        elif submission.idempotency_key is not None:
            key = _scoped_key(submission.idempotency_key, tool.name, submission.authorization)
            known = await self.store.find_by_key(key)
        if known is not None:  # whether or not the body fits, or jobs are taken now
            return _attach(known, tool, digest)
        value = submission.value
        if value is None:
            value = tool.decode(submission.body.content)
        if not self._accepts:
            raise UnavailableError("the service is not taking jobs now")
        created = await self.store.create(self._new_job(submission, digest, key), submission.body)
        job = created.job
        if not created.is_new:
            return _attach(job, tool, digest)
        self._runner.live[job.id] = LiveRequest(value, submission.authorization, submission.transport)
        if self._dispatchers:
            for dispatcher in self._dispatchers:
                dispatcher.remember(job.id, submission.authorization)
        try:
            await self._executors[tool.executor].submit(job.id, tool.name)
        except QueueFullError:
            del self._runner.live[job.id]
            await self.store.request_cancel(job.id)
            raise
        return job

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

    async def wait(self, job_id: str, timeout_seconds: float) -> Settled:
        """Wait for a job's end, wherever it runs; at most so many seconds. With 0, look and return.

        Raises:
            JobNotFoundError: if there is no such job, or it has expired.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(timeout_seconds, _FOREVER_SECONDS)
        while True:
            # subscribe first, then read: a change in between is not missed
            waiter: _Waiter = loop.create_future()
            self._waiters.setdefault(job_id, []).append(waiter)
            timer = loop.call_at(deadline, _wake, waiter)
            try:
                job = await self.get(job_id)
                if job.status.is_final:
                    return Settled(job, await self.store.get_result(job_id))
                if loop.time() >= deadline:
                    return Settled(job, None)
                settled = await waiter
                if settled is not None:
                    return settled
            finally:
                timer.cancel()
                self._forget_waiter(job_id, waiter)

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
        tool = self.tools.get(job.tool)
        if tool is not None and job_id in self._runner.live:
            await self._executors[tool.executor].cancel(job_id)
            if job.status.is_final:
                self._on_end(job_id, job, None)
        return job

    # --- inside ---

    def _on_end(self, job_id: str, job: Job | None, result: Payload | None) -> None:
        self._runner.live.pop(job_id, None)
        # Waiters here get the result from the run itself: it may be evicted from the store before they look.
        settled = None
        if job is not None:
            settled = Settled(job, result if job.status is JobStatus.SUCCEEDED else None)
        for waiter in self._waiters.get(job_id, ()):
            if not waiter.done():
                waiter.set_result(settled)

    def _on_change(self, job_id: str) -> None:
        if self._waiters and job_id not in self._runner.active:  # of a run here `_on_end` tells
            for waiter in self._waiters.get(job_id, ()):
                _wake(waiter)
        for dispatcher in self._dispatchers:
            dispatcher.wake()

    def _forget_waiter(self, job_id: str, waiter: _Waiter) -> None:
        waiters = self._waiters[job_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[job_id]

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_seconds)
            try:
                # own leases first: after a hold-up of the loop they have run out, but their jobs are not lost
                await self._runner.heartbeat()
                for job in await self.store.reap():
                    await self._resume(job)
                await self.store.purge()
            except Exception:
                logger.exception("the jobs could not be looked after; trying again")

    async def _resume(self, job: Job) -> None:
        logger.warning("job %s lost its worker and is now %s", job.id, job.status)
        tool = self.tools.get(job.tool)
        if job.status is JobStatus.PENDING and tool is not None:
            with contextlib.suppress(QueueFullError):  # it stays pending: tried again by whoever has room
                await self._executors[tool.executor].submit(job.id, tool.name)


def _wake(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _digest(body: Payload) -> bytes:
    digest = hashlib.blake2b(body.content, digest_size=16)
    digest.update(b"\0" + body.content_type.encode())
    return digest.digest()


def _scoped_key(key: str, tool: str, authorization: str | None) -> str:
    """A hash, so that neither key nor authorization is stored."""
    parts = "\0".join((tool, authorization or "", key))
    return hashlib.blake2b(parts.encode(), digest_size=32).hexdigest()


def _attach(job: Job, tool: BoundTool, digest: bytes) -> Job:
    if job.tool != tool.name:
        raise JobConflictError(f"job '{job.id}' belongs to tool '{job.tool}', not '{tool.name}': choose another id")
    if job.request_digest != digest:
        raise JobConflictError(f"job '{job.id}' was made with another body: choose another id for another request")
    return job
