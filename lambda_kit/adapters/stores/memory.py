"""`MemoryJobStore`: jobs in this process's memory. The default, and the quickest."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter

import msgspec

from lambda_kit.adapters.stores.memory_parts import Entry, FinishedJobs, Outbox, Slots
from lambda_kit.adapters.stores.records import (
    SILENT_SECONDS,
    cursor_number,
    holds_lease,
    is_expired,
    lease_lost,
    new_cursor,
)
from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.events import EventPage, NewEvent, first_events, report_event
from lambda_kit.core.job import (
    Job,
    JobStatus,
    Outcome,
    Payload,
    claim_job,
    end_job,
    holds_claim,
    reap_job,
    requeue_job,
)
from lambda_kit.core.store import (
    Change,
    Claim,
    ClaimRequest,
    Created,
    Delivery,
    JobPage,
    JobStore,
    Lease,
    OnChange,
    Renewal,
)
from lambda_kit.core.watches import Watches

__all__ = ["MemoryJobStore"]


class MemoryJobStore(JobStore):
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
        self._event_log_size = event_log_size
        self._clock = clock
        self._entries: dict[str, Entry] = {}  # in the order in which they were created
        self._by_key: dict[str, str] = {}
        self._finished = FinishedJobs(self._forget)
        self._pending: dict[str, dict[str, None]] = {}
        self._unfinished: Counter[str] = Counter()
        self._watches = Watches()
        self._slots = Slots()
        self._alive_until: dict[str, float] = {}
        self._outbox = Outbox()
        self._number = 0

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """End the watches. The jobs stay, so that the store can be started again."""
        self._watches.end_all()

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
            self._watches.tell(Change(job_id))

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
        self, job_id: str, *, owner: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        entry = self._entry(job_id)
        if entry is None:
            return None
        if entry.job.status is JobStatus.PENDING:
            now = self._clock()
            after = claim_job(entry.job, owner=owner, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
            self._transition(entry, after, now)
        elif claim_id is None or not holds_claim(entry.job, owner, claim_id):
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
            after = requeue_job(entry.job, is_counted=is_counted, taken_by=entry.job.taken_by)
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

    # --- the processes that share the store ---

    async def keep_alive(self, owner: str, *, lease_seconds: float) -> None:
        self._alive_until[owner] = self._clock() + lease_seconds

    async def owners(self) -> list[str]:
        return list(self._alive_until)

    async def bury(self, owner: str) -> None:
        self._alive_until.pop(owner, None)
        self._slots.release_all_of(owner)
        now = self._clock()
        for entry in self._entries.values():
            if entry.job.lease_owner == owner:
                entry.job = msgspec.structs.replace(entry.job, lease_expires_at=now)

    async def adopt(self, owner: str, *, tools: Collection[str], limit: int = 1000) -> list[Job]:
        now = self._clock()
        waiting = [self._entries[job_id] for tool in tools for job_id in self._pending.get(tool, ())]
        living = {other for other, until in self._alive_until.items() if until > now} | {owner}
        orphans = [entry for entry in waiting if entry.job.taken_by not in living]
        orphans.sort(key=attrgetter("number"))
        for entry in orphans[:limit]:
            entry.job = msgspec.structs.replace(entry.job, taken_by=owner)
        return [entry.job for entry in orphans[:limit]]

    # --- looking around ---

    async def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        below = float("inf") if cursor is None else cursor_number(cursor)
        now = self._clock()
        jobs: list[Job] = []
        last = 0
        for entry in reversed(self._entries.values()):
            job = entry.job
            if entry.number >= below or is_expired(job, now):
                continue
            if (tool is not None and job.tool != tool) or (statuses and job.status not in statuses):
                continue
            if len(jobs) == limit:
                return JobPage(jobs, next_cursor=new_cursor(last))
            jobs.append(job)
            last = entry.number
        return JobPage(jobs, next_cursor=None)

    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        await self.purge()
        return dict(Counter((entry.job.tool, entry.job.status) for entry in self._entries.values()))

    async def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        wanted = [entry.job for job_id in job_ids if (entry := self._entry(job_id)) is not None]
        ids = {job.id for job in wanted if job.status is JobStatus.PENDING}
        return {
            job_id: position
            for tool in {job.tool for job in wanted}
            for position, job_id in enumerate(self._pending.get(tool, ()), 1)
            if job_id in ids
        }

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

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        return self._watches.watch(on_change)

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        return self._slots.acquire(name, holder, limit, self._clock(), lease_seconds)

    async def release_slot(self, name: str, holder: str) -> None:
        self._slots.release(name, holder)

    # --- the outbox ---

    async def register_sink(self, sink: str) -> None:
        self._outbox.register(sink)

    async def undelivered(
        self, sink: str, *, limit: int = 100, holder: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        deliveries: list[Delivery] = []
        now = self._clock()
        for job_id, after in self._outbox.waiting(sink):
            entry = self._entries[job_id]
            owner = entry.job.taken_by
            if after < entry.last_seq or entry.job.status.is_final:
                if holder is not None and owner != holder:
                    if owner is not None and self._alive_until.get(owner, now) > now:
                        continue
                    if not self._outbox.lease(sink, job_id, holder, now, lease_seconds):
                        continue
                deliveries.append(Delivery(job_id, after))
                if len(deliveries) == limit:
                    break
        return deliveries

    async def mark_delivered(self, sink: str, job_id: str, *, after_seq: int, is_complete: bool) -> None:
        self._outbox.mark(sink, job_id, after_seq, is_complete=is_complete)

    # --- retention ---

    async def purge(self) -> int:
        now = self._clock()
        silent = [owner for owner, until in self._alive_until.items() if until <= now - SILENT_SECONDS]
        for owner in silent:
            del self._alive_until[owner]
        return self._finished.expire(now)

    # --- inside ---

    def _entry(self, job_id: str) -> Entry | None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.job.expires_at is not None and is_expired(entry.job, self._clock()):
            self._finished.remove(entry.job)
            self._forget(job_id)
            return None
        return entry

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
        if self._watches:
            self._watches.tell(Change(job.id, job.status, job.cancel_requested))

    def _forget(self, job_id: str) -> None:
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        self._outbox.forget(job_id)
        if entry.job.idempotency_key is not None:
            self._by_key.pop(entry.job.idempotency_key, None)
