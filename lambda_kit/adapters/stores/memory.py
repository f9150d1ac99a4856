"""`MemoryJobStore`: jobs in this process's memory. The default, and the quickest."""

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import msgspec

from lambda_kit.adapters.stores.memory_parts import Entry, FinishedJobs, Slots
from lambda_kit.core.errors import BadRequestError, LeaseLostError
from lambda_kit.core.events import Event, EventKind, EventPage, NewEvent
from lambda_kit.core.job import (
    Failure,
    FailureKind,
    Job,
    JobStatus,
    Outcome,
    Payload,
    check_transition,
)
from lambda_kit.core.store import (
    Claim,
    Created,
    Delivery,
    JobPage,
    JobStore,
    Lease,
    OnChange,
    Renewal,
)

__all__ = ["MemoryJobStore"]

_changed = msgspec.structs.replace

_CURSOR = re.compile(r"[0-9a-f]{1,16}")


class MemoryJobStore(JobStore):
    """Keeps jobs in memory, for one server process.

    A job is kept until the process ends: nothing survives a restart or a crash. Finished jobs go when their time is up,
    or, oldest first, when their tool has more of them than it wants kept; pending and executing jobs are never evicted.
    All methods must be called on one event loop.

    Args:
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. For tests.
    """

    def __init__(self, *, event_log_size: int = 10_000, clock: Callable[[], float] = time.time) -> None:
        if event_log_size < 1:
            raise ValueError(f"event_log_size={event_log_size}: must be at least 1")
        self._event_log_size = event_log_size
        self._clock = clock
        self._entries: dict[str, Entry] = {}  # in the order in which they were created
        self._by_key: dict[str, str] = {}
        self._finished = FinishedJobs(self._forget)
        self._pending: dict[str, dict[str, None]] = {}
        self._watchers: tuple[OnChange, ...] = ()
        self._slots = Slots()
        self._sinks: tuple[str, ...] = ()
        self._number = 0

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """End the watches. The jobs stay, so that the store can be started again."""
        self._watchers = ()

    # --- the life of a job ---

    async def create(self, job: Job, request: Payload) -> Created:
        existing = self._entry(job.id)
        if existing is None and job.idempotency_key is not None:
            existing = self._by_key_entry(job.idempotency_key)
        if existing is not None:
            return Created(existing.job, is_new=False)
        self._number += 1
        entry = Entry.new(job, self._number, request, self._sinks)
        self._entries[job.id] = entry
        if job.idempotency_key is not None:
            self._by_key[job.idempotency_key] = job.id
        self._pending.setdefault(job.tool, {})[job.id] = None
        entry.log_status(job.requested_at, self._event_log_size)
        self._notify(job.id)
        return Created(job, is_new=True)

    async def get(self, job_id: str) -> Job | None:
        entry = self._entry(job_id)
        return None if entry is None else entry.job

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        entry = self._by_key_entry(idempotency_key)
        return None if entry is None else entry.job

    async def get_result(self, job_id: str) -> Payload | None:
        entry = self._entry(job_id)
        return None if entry is None else entry.result

    async def claim(self, job_id: str, *, owner: str, lease_seconds: float) -> Claim | None:
        entry = self._entry(job_id)
        if entry is None or entry.job.status is not JobStatus.PENDING:
            return None
        now = self._clock()
        job = entry.job
        self._transition(
            entry,
            _changed(
                job,
                status=JobStatus.EXECUTING,
                started_at=now,
                attempt=job.attempt + 1,
                lease_owner=owner,
                lease_token=job.lease_token + 1,
                lease_expires_at=now + lease_seconds,
            ),
            now,
        )
        assert entry.request is not None  # noqa: S101 - for the type checker: it is kept until the job is final
        return Claim(entry.job, entry.request)

    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        expiry = self._clock() + lease_seconds
        renewals = []
        for lease in leases:
            entry = self._entry(lease.job_id)
            if entry is None or not _holds(entry.job, lease):
                renewals.append(Renewal(lease, is_lost=True, cancel_requested=False))
                continue
            entry.job = _changed(entry.job, lease_expires_at=expiry)
            renewals.append(Renewal(lease, is_lost=False, cancel_requested=entry.job.cancel_requested))
        return renewals

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        entry = self._held(lease)
        self._end(entry, None if entry.job.cancel_requested else outcome)
        return entry.job

    async def release(self, lease: Lease) -> Job:
        entry = self._held(lease)
        if entry.job.cancel_requested:
            self._end(entry, None)
        else:
            self._requeue(entry, attempt=entry.job.attempt - 1)
        return entry.job

    async def request_cancel(self, job_id: str) -> Job | None:
        entry = self._entry(job_id)
        if entry is None or entry.job.status.is_final:
            return None if entry is None else entry.job
        if entry.job.status is JobStatus.PENDING:
            self._end(entry, None)
        elif not entry.job.cancel_requested:
            entry.job = _changed(entry.job, cancel_requested=True)
            self._notify(job_id)
        return entry.job

    async def reap(self) -> list[Job]:
        now = self._clock()
        reaped = []
        for entry in list(self._entries.values()):
            job = entry.job
            if job.lease_expires_at is None or job.lease_expires_at > now:
                continue
            if job.cancel_requested:
                self._end(entry, None)
            elif job.attempt < job.max_attempts:
                self._requeue(entry, attempt=job.attempt)
            else:
                lost = f"worker lost: '{job.lease_owner}' did not renew its lease (attempt {job.attempt})"
                self._end(entry, Failure(FailureKind.WORKER_LOST, "worker-lost", lost))
            reaped.append(entry.job)
        return reaped

    # --- looking around ---

    async def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        below = _cursor_number(cursor)
        now = self._clock()
        jobs: list[Job] = []
        last = 0
        for entry in reversed(self._entries.values()):
            job = entry.job
            if entry.number >= below or _is_expired(job, now):
                continue
            if (tool is not None and job.tool != tool) or (statuses and job.status not in statuses):
                continue
            if len(jobs) == limit:
                return JobPage(jobs, next_cursor=f"{last:x}")
            jobs.append(job)
            last = entry.number
        return JobPage(jobs, next_cursor=None)

    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        await self.purge()
        return dict(Counter((entry.job.tool, entry.job.status) for entry in self._entries.values()))

    async def queue_position(self, job_id: str) -> int | None:
        entry = self._entry(job_id)
        if entry is None or entry.job.status is not JobStatus.PENDING:
            return None
        return next(n for n, other in enumerate(self._pending[entry.job.tool], 1) if other == job_id)

    # --- events ---

    async def append_events(self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0) -> int:
        entry = self._held(lease)
        entry.last_seq += dropped
        progress = None
        for event in events:
            entry.last_seq += 1
            entry.append(
                Event(entry.last_seq, EventKind.REPORT, event.schema, event.timestamp, event.body),
                self._event_log_size,
            )
            progress = event.progress or progress
        if progress is not None:
            entry.job = _changed(entry.job, progress=progress)
        self._notify(lease.job_id)
        return entry.last_seq

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        entry = self._entry(job_id)
        if entry is None:
            return None
        return entry.page(after, limit)

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        def watcher(job_id: str) -> None:  # one for each watch, though the function be the same
            on_change(job_id)

        self._watchers = (*self._watchers, watcher)

        def unwatch() -> None:
            self._watchers = tuple(other for other in self._watchers if other is not watcher)

        return unwatch

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        return self._slots.acquire(name, holder, limit, self._clock(), lease_seconds)

    async def release_slot(self, name: str, holder: str) -> None:
        self._slots.release(name, holder)

    # --- the outbox ---

    async def register_sink(self, sink: str) -> None:
        if sink not in self._sinks:
            self._sinks = (*self._sinks, sink)

    async def undelivered(self, sink: str, *, limit: int = 100) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for job_id, entry in self._entries.items():
            after = None if entry.undelivered is None else entry.undelivered.get(sink)
            if after is not None and (after < entry.last_seq or entry.job.status.is_final):
                deliveries.append(Delivery(job_id, after))
                if len(deliveries) == limit:
                    break
        return deliveries

    async def mark_delivered(self, sink: str, job_id: str, *, after_seq: int, is_complete: bool) -> None:
        entry = self._entries.get(job_id)
        if entry is None or entry.undelivered is None or sink not in entry.undelivered:
            return
        if is_complete:
            del entry.undelivered[sink]
        else:
            entry.undelivered[sink] = max(after_seq, entry.undelivered[sink])

    # --- retention ---

    async def purge(self) -> int:
        return self._finished.expire(self._clock())

    # --- inside ---

    def _entry(self, job_id: str) -> Entry | None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.job.expires_at is not None and _is_expired(entry.job, self._clock()):
            self._finished.remove(entry.job)
            self._forget(job_id)
            return None
        return entry

    def _by_key_entry(self, idempotency_key: str) -> Entry | None:
        job_id = self._by_key.get(idempotency_key)
        return None if job_id is None else self._entry(job_id)

    def _held(self, lease: Lease) -> Entry:
        entry = self._entries.get(lease.job_id)
        if entry is None or not _holds(entry.job, lease):
            raise LeaseLostError(f"job '{lease.job_id}' is no longer held with token {lease.token}")
        return entry

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        now = self._clock()
        job = entry.job
        failure = outcome if isinstance(outcome, Failure) else None
        result = outcome if isinstance(outcome, Payload) else None
        status = JobStatus.CANCELLED
        if failure is not None:
            status = failure.kind.status
        elif result is not None:
            status = JobStatus.SUCCEEDED
        entry.result = result
        self._transition(
            entry,
            _changed(
                job,
                status=status,
                finished_at=now,
                expires_at=now + job.ttl_seconds,
                lease_owner=None,
                lease_expires_at=None,
                result_content_type=None if result is None else result.content_type,
                failure=failure,
            ),
            now,
        )
        entry.seal()
        self._finished.add(entry.job, now)

    def _requeue(self, entry: Entry, *, attempt: int) -> None:
        job = _changed(
            entry.job,
            status=JobStatus.PENDING,
            started_at=None,
            attempt=attempt,
            lease_owner=None,
            lease_expires_at=None,
        )
        self._transition(entry, job, self._clock())

    def _transition(self, entry: Entry, after: Job, now: float) -> None:
        before = entry.job
        check_transition(before.id, before.status, after.status)
        if before.status is JobStatus.PENDING:
            del self._pending[before.tool][before.id]
        elif after.status is JobStatus.PENDING:
            self._pending[after.tool][after.id] = None
        entry.job = after
        entry.log_status(now, self._event_log_size)
        self._notify(after.id)

    def _notify(self, job_id: str) -> None:
        for watcher in self._watchers:
            watcher(job_id)

    def _forget(self, job_id: str) -> None:
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        if entry.job.idempotency_key is not None:
            self._by_key.pop(entry.job.idempotency_key, None)


def _holds(job: Job, lease: Lease) -> bool:
    return job.status is JobStatus.EXECUTING and job.lease_token == lease.token


def _is_expired(job: Job, now: float) -> bool:
    return job.expires_at is not None and job.expires_at <= now


def _cursor_number(cursor: str | None) -> float:
    if cursor is None:
        return float("inf")
    if not _CURSOR.fullmatch(cursor):
        raise BadRequestError(f"cursor {cursor[:80]!r} is not one that this service gave out")
    return int(cursor, 16)
