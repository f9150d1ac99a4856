"""`MemoryJobStore`: jobs in this process's memory. The default, and the quickest."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from lambda_kit.adapters.stores.memory.entries import Entry
from lambda_kit.adapters.stores.memory.shared import MemoryShared
from lambda_kit.adapters.stores.records import (
    holds_lease,
    lease_lost,
)
from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.events import EventPage, NewEvent, first_events, report_event
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.model.transitions import claim_job, end_job, holds_claim, reap_job, requeue_job
from lambda_kit.core.ports.store import (
    Change,
    Claim,
    ClaimRequest,
    Created,
    Lease,
    Renewal,
)

__all__ = ["MemoryJobStore"]


class MemoryJobStore(MemoryShared):
    """Keeps jobs in memory, for one server process.

    A job is kept until the process ends: nothing survives a restart or a crash. Finished jobs go when their time is up,
    or, oldest first, when their tool has more of them than it wants kept; pending and executing jobs are never evicted.
    All methods must be called on one event loop.

    Args:
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. For tests.
    """

    is_shared = False
    is_durable = False

    def __init__(self, *, event_log_size: int = 10_000, clock: Callable[[], float] = time.time) -> None:
        if event_log_size < 1:
            raise ValueError(f"event_log_size={event_log_size}: must be at least 1")
        super().__init__(clock)
        self._event_log_size = event_log_size
        self._by_key: dict[str, str] = {}
        self._unfinished: Counter[str] = Counter()
        self._number = 0

    # --- the life of a job ---

    async def create(
        self, job: Job, request: Payload, *, max_unfinished: int | None = None, claim: ClaimRequest | None = None
    ) -> Created:
        existing = self._entry(job.id)
        if existing is None and job.idempotency_key is not None:
            existing = self._by_key_entry(job.idempotency_key)
        if existing is not None:
            return Created(existing.job, is_new=False)
        if max_unfinished is not None and self._unfinished[job.tool] >= max_unfinished:
            raise QueueFullError(f"tool '{job.tool}' has {max_unfinished} jobs waiting or running: come back later")
        if claim is not None:
            job = claim.claimed(job, self._clock())
        self._number += 1
        log = first_events(job)
        entry = Entry(job, self._number, request, log[-self._event_log_size :], len(log))
        self._entries[job.id] = entry
        self._outbox.add(job.id)
        if job.idempotency_key is not None:
            self._by_key[job.idempotency_key] = job.id
        self._unfinished[job.tool] += 1
        pending = self._pending.setdefault(job.tool, {})
        if job.status is JobStatus.PENDING:
            pending[job.id] = None
        self._notify(job)
        return Created(job, is_new=True)

    async def discard(self, job_id: str) -> None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.job.status is JobStatus.PENDING:
            del self._pending[entry.job.tool][job_id]
            self._unfinished[entry.job.tool] -= 1
            self._forget(job_id)
            self._subscriptions.publish(Change(job_id))

    async def get(self, job_id: str) -> Job | None:
        entry = self._entry(job_id)
        return None if entry is None else entry.job

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        entry = self._by_key_entry(idempotency_key)
        return None if entry is None else entry.job

    async def get_result(self, job_id: str) -> Payload | None:
        entry = self._entry(job_id)
        return None if entry is None else entry.result

    async def claim(
        self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        entry = self._entry(job_id)
        if entry is None:
            return None
        if entry.job.status is JobStatus.PENDING:
            now = self._clock()
            after = claim_job(entry.job, worker_id=worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
            self._transition(entry, after, now)
        elif claim_id is None or not holds_claim(entry.job, worker_id, claim_id):
            return None
        assert entry.request is not None  # noqa: S101 - for the type checker: it is kept until the job is final
        return Claim(entry.job, entry.request)

    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        expiry = self._clock() + lease_seconds
        renewals = []
        for lease in leases:
            entry = self._entry(lease.job_id)
            if entry is None or not holds_lease(entry.job, lease):
                renewals.append(Renewal(lease, is_lost=True, cancel_requested=False))
                continue
            entry.job = msgspec.structs.replace(entry.job, lease_expires_at=expiry)
            renewals.append(Renewal(lease, is_lost=False, cancel_requested=entry.job.cancel_requested))
        return renewals

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        entry = self._held(lease)
        self._end(entry, outcome)
        return entry.job

    async def release(self, lease: Lease, *, is_counted: bool = False) -> Job:
        entry = self._held(lease)
        if entry.job.cancel_requested:
            self._end(entry, None)
        else:
            after = requeue_job(entry.job, is_counted=is_counted, assigned_worker=entry.job.assigned_worker)
            self._transition(entry, after, self._clock())
        return entry.job

    async def request_cancel(self, job_id: str) -> Job | None:
        entry = self._entry(job_id)
        if entry is None or entry.job.status.is_final:
            return None if entry is None else entry.job
        if entry.job.status is JobStatus.PENDING:
            self._end(entry, None)
        elif not entry.job.cancel_requested:
            entry.job = msgspec.structs.replace(entry.job, cancel_requested=True)
            self._notify(entry.job)
        return entry.job

    async def reap(self) -> list[Job]:
        now = self._clock()
        reaped: list[Job] = []
        for entry in list(self._entries.values()):
            after = reap_job(entry.job, now=now)
            if after is not None:
                self._transition(entry, after, now)
                reaped.append(after)
        return reaped

    # --- events ---

    async def append_events(
        self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0, batch: int | None = None
    ) -> int:
        entry = self._held(lease)
        if batch is not None:
            if entry.batch >= (lease.token, batch):
                return entry.last_seq
            entry.batch = (lease.token, batch)
        entry.last_seq += dropped
        progress = None
        for event in events:
            entry.last_seq += 1
            entry.append(report_event(entry.last_seq, event), self._event_log_size)
            progress = event.progress or progress
        if progress is not None:
            entry.job = msgspec.structs.replace(entry.job, progress=progress)
        self._notify(entry.job)
        return entry.last_seq

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        entry = self._entry(job_id)
        if entry is None:
            return None
        return entry.page(after, limit)

    # --- inside ---

    def _by_key_entry(self, idempotency_key: str) -> Entry | None:
        job_id = self._by_key.get(idempotency_key)
        return None if job_id is None else self._entry(job_id)

    def _held(self, lease: Lease) -> Entry:
        entry = self._entries.get(lease.job_id)
        if entry is None or not holds_lease(entry.job, lease):
            raise lease_lost(lease)
        return entry

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        now = self._clock()
        job = end_job(entry.job, outcome, now=now)
        if job.status is JobStatus.SUCCEEDED and isinstance(outcome, Payload):
            entry.result = outcome
        self._transition(entry, job, now)

    def _transition(self, entry: Entry, after: Job, now: float) -> None:
        before = entry.job
        if before.status is JobStatus.PENDING:
            del self._pending[before.tool][before.id]
        elif after.status is JobStatus.PENDING:
            self._pending[after.tool][after.id] = None
        entry.job = after
        entry.log_status(now, self._event_log_size)
        if after.status.is_final:
            self._unfinished[after.tool] -= 1
            entry.seal()
            self._finished.add(after, now)
        self._notify(after)

    def _notify(self, job: Job) -> None:
        if self._subscriptions:
            self._subscriptions.publish(Change(job.id, job.status, job.cancel_requested))

    def _forget(self, job_id: str) -> Entry | None:
        entry = super()._forget(job_id)
        if entry is not None and entry.job.idempotency_key is not None:
            self._by_key.pop(entry.job.idempotency_key, None)
        return entry
