"""`JobStoreBase`: a `JobStore` over one atomic step, `_change`."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

import msgspec

from lambda_kit.core.errors import LeaseLostError, QueueFullError
from lambda_kit.core.model.events import Event, NewEvent, report_event, status_event
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.model.transitions import claim_job, end_job, holds_claim, reap_job, requeue_job
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.ports.store_records import lease_lost
from lambda_kit.core.ports.store_types import Claim, ClaimRequest, Created, Lease, Renewal

__all__ = ["Decide", "JobStoreBase", "Step", "StoredJob", "log_of"]

_REAP_BATCH = 200
# To read a member of an Enum takes 0.1 µs on Python 3.11, and each job goes through here.
_PENDING, _EXECUTING, _SUCCEEDED = JobStatus.PENDING, JobStatus.EXECUTING, JobStatus.SUCCEEDED


class StoredJob(msgspec.Struct, gc=False):
    """A job as a store has it. Stores add what they need, such as a version."""

    job: Job
    last_seq: int
    """The number of the last event in its log."""
    batch: tuple[int, int]
    """Lease token and number of the last batch of events that was appended; (0, 0): none."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a job, all in one atomic write. `log_of` gives what is appended to the log."""

    job: Job
    """The next record."""
    result: Payload | None = None
    """To be kept as the job's result."""
    events: Sequence[NewEvent] = ()
    """What the tool reported."""
    dropped: int = 0
    """How many numbers of events are skipped ahead of `events`."""
    batch: tuple[int, int] | None = None
    """The next `StoredJob.batch`. None: it stays."""
    is_quiet: bool = False
    """Whether only a lease or an assignment changes: subscribers are not called."""


S = TypeVar("S", bound=StoredJob)

Decide = Callable[[S, float], Step | None]
"""Given a job and the store's time, says what becomes of it. None: it stays as it is. Raises `LeaseLostError` if the
caller may not change it (any more). It may be called several times, on any thread."""


def log_of(stored: StoredJob, step: Step, now: float) -> list[Event]:
    """The entries that a step appends to a job's log: what the tool reported, then the new status if it is another."""
    last_seq = stored.last_seq + step.dropped
    log = [report_event(seq, event) for seq, event in enumerate(step.events, last_seq + 1)] if step.events else []
    status = step.job.status
    if status is not stored.job.status:
        log.append(status_event(last_seq + len(log) + 1, status, now))
    return log


class JobStoreBase(JobStore, Generic[S]):
    """Does what a job goes through, once for all stores: a store writes and reads.

    A store implements `_change`, `_insert`, `_request` and `_overdue`, and the methods of `JobStore` that look at jobs,
    or at what is kept beside them.

    Args:
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the store's time in seconds since the epoch.

    Raises:
        ValueError: if `event_log_size` is below 1.
    """

    def __init__(self, *, event_log_size: int, clock: Callable[[], float]) -> None:
        if event_log_size < 1:
            raise ValueError(f"event_log_size={event_log_size}: must be at least 1")
        self._event_log_size = event_log_size
        self._clock = clock

    def now(self) -> float:
        return self._clock()

    # --- what a store implements ---

    @abstractmethod
    async def _change(self, job_id: str, decide: Decide[S], *, size_bytes: int = 0) -> S | None:
        """Change a job by one atomic compare-and-set; returns it as it is then. None: it is not there, or has expired.

        `decide` is called with the job as it is, and its `Step` is written only if the job is still the same; if not,
        all begins anew. If it returns None or raises `LeaseLostError`, the job must have been as it is now, not as it
        was remembered. A step to a final status drops the request. Subscribers are called, unless it `is_quiet`.

        Args:
            job_id: The job.
            decide: What becomes of it.
            size_bytes: How many bytes the step has, beside the record.

        Raises:
            LeaseLostError: if `decide` does. Nothing was written.
        """

    @abstractmethod
    async def _insert(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None = None
    ) -> Created | None:
        """Do what `create` promises with a record that is pending, or claimed. None: the tool has too many jobs.

        The log begins with `events.first_events`. Each registered sink gets an entry in the outbox.

        Raises:
            RateLimitedError: if there are `max_of_share` unfinished jobs of its share (`share_full`). Nothing was
                written. It is passed only if the store `counts_shares`.
        """

    @abstractmethod
    async def _request(self, stored: S) -> Payload | None:
        """The request of a job that `_change` has just returned. None: it has ended meanwhile."""

    @abstractmethod
    async def _overdue(self, limit: int) -> list[str]:
        """Ids of executing jobs whose lease has run out, oldest first, at most `limit`."""

    # --- the life of a job ---

    async def create(
        self,
        job: Job,
        request: Payload,
        *,
        max_unfinished: int | None = None,
        claim: ClaimRequest | None = None,
        max_of_share: int | None = None,
    ) -> Created:
        if claim is not None:
            job = claim.claimed(job, self._clock())
        if max_of_share is None:
            created = await self._insert(job, request, max_unfinished)
        else:
            created = await self._insert(job, request, max_unfinished, max_of_share)
        if created is None:
            raise QueueFullError(f"tool '{job.tool}' has {max_unfinished} jobs waiting or running: come back later")
        return created

    async def claim(
        self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        def decide(stored: S, now: float) -> Step | None:
            job = stored.job
            if job.status is _PENDING:
                return Step(
                    claim_job(job, worker_id=worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
                )
            if claim_id is not None and holds_claim(job, worker_id, claim_id):
                return None
            raise LeaseLostError(f"job '{job_id}' is {job.status}")

        try:
            stored = await self._change(job_id, decide)
        except LeaseLostError:
            return None
        request = None if stored is None else await self._request(stored)
        return None if stored is None or request is None else Claim(stored.job, request)

    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        return await asyncio.gather(*(self._renew(lease, lease_seconds) for lease in leases))

    async def _renew(self, lease: Lease, lease_seconds: float) -> Renewal:
        def decide(stored: S, now: float) -> Step:
            job = _held(stored, lease)
            return Step(msgspec.structs.replace(job, lease_expires_at=now + lease_seconds), is_quiet=True)

        try:
            job = _there(await self._change(lease.job_id, decide), lease).job
        except LeaseLostError:
            return Renewal(lease, is_lost=True, cancel_requested=False)
        return Renewal(lease, is_lost=False, cancel_requested=job.cancel_requested)

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        result = outcome if isinstance(outcome, Payload) else None

        def decide(stored: S, now: float) -> Step:
            job = end_job(_held(stored, lease), outcome, now=now)
            return Step(job, result if job.status is _SUCCEEDED else None)

        size_bytes = 0 if result is None else len(result.content)
        stored = await self._change(lease.job_id, decide, size_bytes=size_bytes)
        if stored is None:
            raise lease_lost(lease)
        return stored.job

    async def release(self, lease: Lease, *, is_counted: bool = False) -> Job:
        def decide(stored: S, now: float) -> Step:
            job = _held(stored, lease)
            if job.cancel_requested:
                return Step(end_job(job, None, now=now))
            return Step(requeue_job(job, is_counted=is_counted, assigned_worker=job.assigned_worker))

        return _there(await self._change(lease.job_id, decide), lease).job

    async def request_cancel(self, job_id: str) -> Job | None:
        def decide(stored: S, now: float) -> Step | None:
            job = stored.job
            if job.status.is_final or job.cancel_requested:
                return None
            if job.status is _PENDING:
                return Step(end_job(job, None, now=now))
            return Step(msgspec.structs.replace(job, cancel_requested=True))

        stored = await self._change(job_id, decide)
        return None if stored is None else stored.job

    async def reap(self, *, spares: Collection[str] = ()) -> list[Job]:
        reaped: list[Job] = []
        limit = _REAP_BATCH
        while True:
            job_ids = await self._overdue(limit)
            jobs = await asyncio.gather(*(self._reap(job_id, spares) for job_id in job_ids))
            changed = [job for job in jobs if job is not None]
            reaped += changed
            if len(job_ids) < limit:
                return reaped
            if not changed:
                limit *= 2  # those that are spared, and are still there

    async def _reap(self, job_id: str, spares: Collection[str]) -> Job | None:
        def decide(stored: S, now: float) -> Step:
            job = None if stored.job.assigned_worker in spares else reap_job(stored.job, now=now)
            if job is None:
                raise LeaseLostError(f"job '{job_id}' is in time")  # it was renewed, or has ended
            return Step(job)

        try:
            stored = await self._change(job_id, decide)
        except LeaseLostError:
            return None
        return None if stored is None else stored.job

    # --- events ---

    async def append_events(
        self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0, batch: int | None = None
    ) -> int:
        this_batch = None if batch is None else (lease.token, batch)
        progress = next((event.progress for event in reversed(events) if event.progress is not None), None)

        def decide(stored: S, _: float) -> Step | None:
            job = _held(stored, lease)
            if this_batch is not None and stored.batch >= this_batch:
                return None
            if progress is not None:
                job = msgspec.structs.replace(job, progress=progress)
            return Step(job, events=events, dropped=dropped, batch=this_batch)

        size_bytes = sum(len(event.body) for event in events)
        return _there(await self._change(lease.job_id, decide, size_bytes=size_bytes), lease).last_seq


def _held(stored: StoredJob, lease: Lease) -> Job:
    job = stored.job
    if job.lease_token != lease.token or job.status is not _EXECUTING:
        raise lease_lost(lease)
    return job


def _there(stored: S | None, lease: Lease) -> S:
    if stored is None:
        raise lease_lost(lease)
    return stored
