"""`LocalJobStore`: a store of one process, that has all its jobs in memory."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter

import msgspec

from lambda_kit.core.model.events import EventPage, first_events
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.local_outbox import LocalOutboxStore
from lambda_kit.core.ports.local_parts import Entry, Slots
from lambda_kit.core.ports.store import Change, Created, JobPage, OnChange
from lambda_kit.core.ports.store_base import Decide
from lambda_kit.core.ports.store_records import (
    SILENT_SECONDS,
    cursor_number,
    is_expired,
    new_cursor,
    share_full,
)
from lambda_kit.core.ports.subscriptions import Subscriptions

__all__ = ["LocalJobStore"]

_PENDING = JobStatus.PENDING  # to read it there takes 0.1 µs on Python 3.11, and each job goes through here


class LocalJobStore(LocalOutboxStore):
    """Keeps jobs in memory, on one event loop. A store that also writes them elsewhere overrides what changes them.

    Args:
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch.
    """

    is_shared = False

    def __init__(self, *, event_log_size: int, clock: Callable[[], float]) -> None:
        super().__init__(event_log_size=event_log_size, clock=clock)
        self._by_key: dict[str, str] = {}
        self._pending: dict[str, dict[str, None]] = {}
        self._unfinished: Counter[str] = Counter()
        self._unfinished_of_share: Counter[bytes] = Counter()
        self._number = 0
        self._subscriptions = Subscriptions()
        self._slots = Slots()

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """End the subscriptions. The jobs stay, so that the store can be started again."""
        self._subscriptions.end_all()

    # --- the life of a job ---

    async def _change(self, job_id: str, decide: Decide[Entry], *, size_bytes: int = 0) -> Entry | None:
        entry = self._find(job_id)
        if entry is not None:
            now = self._clock()
            step = decide(entry, now)
            if step is not None:
                before = entry.job.status
                entry.apply(step, now, self._event_log_size)
                self._has_changed(before, entry, is_quiet=step.is_quiet)
        return entry

    async def _insert(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None = None
    ) -> Created | None:
        existing = self._existing(job)
        if existing is not None:
            return Created(existing.job, is_new=False)
        if max_unfinished is not None and self._unfinished[job.tool] >= max_unfinished:
            return None
        self._check_share(job, max_of_share)
        self._add(self._new_entry(job, request))
        return Created(job, is_new=True)

    async def _request(self, stored: Entry) -> Payload | None:
        return stored.request

    async def _overdue(self, limit: int) -> list[str]:
        now = self._clock()
        jobs = (entry.job for entry in self._entries.values())
        return [job.id for job in jobs if job.lease_expires_at is not None and job.lease_expires_at <= now][:limit]

    async def get(self, job_id: str) -> Job | None:
        entry = self._find(job_id)
        return None if entry is None else entry.job

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        entry = self._find(self._by_key.get(idempotency_key, ""))
        return None if entry is None else entry.job

    async def get_result(self, job_id: str) -> Payload | None:
        entry = self._find(job_id)
        return None if entry is None else entry.result

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        entry = self._find(job_id)
        return None if entry is None else entry.page(after, limit)

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        return self._subscriptions.subscribe(on_change)

    # --- workers ---

    async def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        self._alive_until[worker_id] = self._clock() + lease_seconds

    async def workers(self) -> list[str]:
        return list(self._alive_until)

    async def expire_worker(self, worker_id: str) -> None:
        self._alive_until.pop(worker_id, None)
        self._slots.release_all_of(worker_id)
        self._outbox.release_all_of(worker_id)
        now = self._clock()
        for entry in self._entries.values():
            if entry.job.status is JobStatus.EXECUTING and entry.job.assigned_worker == worker_id:
                entry.job = msgspec.structs.replace(entry.job, lease_expires_at=now)

    async def adopt(
        self,
        worker_id: str,
        *,
        tools: Collection[str],
        limit: int = 1000,
        spares_silent: bool = False,
        but_of: Collection[str] = (),
    ) -> list[Job]:
        now = float("-inf") if spares_silent else self._clock()
        waiting = [self._entries[job_id] for tool in tools for job_id in self._pending.get(tool, ())]
        living = {other for other, until in self._alive_until.items() if until > now} | {worker_id}
        orphans = [
            entry for entry in waiting if entry.job.assigned_worker not in living and entry.job.principal not in but_of
        ]
        orphans.sort(key=attrgetter("number"))
        for entry in orphans[:limit]:
            entry.job = msgspec.structs.replace(entry.job, assigned_worker=worker_id)
        return [entry.job for entry in orphans[:limit]]

    # --- looking around ---

    async def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        principal: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        below = float("inf") if cursor is None else cursor_number(cursor)
        now = self._clock()
        found: list[Entry] = []
        for entry in reversed(self._entries.values()):
            job = entry.job
            if (
                entry.number < below
                and (tool is None or job.tool == tool)
                and (principal is None or job.principal == principal)
                and (not statuses or job.status in statuses)
                and not is_expired(job, now)
            ):
                found.append(entry)
                if len(found) > limit:
                    return JobPage([entry.job for entry in found[:limit]], new_cursor(found[limit - 1].number))
        return JobPage([entry.job for entry in found], next_cursor=None)

    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        now = self._clock()
        jobs = (entry.job for entry in self._entries.values())
        return dict(Counter((job.tool, job.status) for job in jobs if not is_expired(job, now)))

    async def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        wanted = [entry.job for job_id in job_ids if (entry := self._find(job_id)) is not None]
        ids = {job.id for job in wanted if job.status is _PENDING}
        return {
            job_id: position
            for tool in {job.tool for job in wanted}
            for position, job_id in enumerate(self._pending.get(tool, ()), 1)
            if job_id in ids
        }

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        return self._slots.acquire(name, holder, limit, self._clock(), lease_seconds)

    async def release_slot(self, name: str, holder: str) -> None:
        self._slots.release(name, holder)

    # --- retention ---

    async def purge(self) -> int:
        now = self._clock()
        for worker_id in [worker_id for worker_id, until in self._alive_until.items() if until <= now - SILENT_SECONDS]:
            del self._alive_until[worker_id]
        return self._expire_all(now)

    def _expire_all(self, now: float) -> int:
        expired = [entry for entry in self._entries.values() if is_expired(entry.job, now)]
        for entry in expired:
            self._expire(entry)
        return len(expired)

    # --- for stores that extend this one ---

    def _find(self, job_id: str) -> Entry | None:
        """The entry of a job that has not expired. One that has is gone for clients from now on."""
        entry = self._entries.get(job_id)
        if entry is not None and entry.job.expires_at is not None and is_expired(entry.job, self._clock()):
            self._expire(entry)
            return None
        return entry

    def _existing(self, job: Job) -> Entry | None:
        """The entry with the id of a new job, or with its `idempotency_key`."""
        existing = self._find(job.id)
        if existing is None and job.idempotency_key is not None:
            existing = self._find(self._by_key.get(job.idempotency_key, ""))
        return existing

    def _check_share(self, job: Job, max_of_share: int | None) -> None:
        """Refuse a new job of a share that has too many.

        Raises:
            RateLimitedError: if it has.
        """
        if max_of_share is None or job.share is None:
            return
        if self._unfinished_of_share[job.share] >= max_of_share:
            raise share_full(max_of_share)

    def _new_entry(self, job: Job, request: Payload) -> Entry:
        """The entry of a new job, with the next number."""
        log = first_events(job)
        self._number += 1
        self._outbox.add(job.id, self._number)
        return Entry(job, len(log), (0, 0), self._number, request, log[-self._event_log_size :])

    def _add(self, entry: Entry) -> None:
        """Have one more job, and call the subscribers."""
        job = entry.job
        self._entries[job.id] = entry
        if job.idempotency_key is not None:
            self._by_key[job.idempotency_key] = job.id
        if job.expires_at is None:
            self._unfinished[job.tool] += 1
            if job.share is not None:
                self._unfinished_of_share[job.share] += 1
            pending = self._pending.setdefault(job.tool, {})
            if job.status is _PENDING:
                pending[job.id] = None
        self._publish(job)

    def _load(self, entries: Iterable[Entry]) -> None:
        """Have these jobs, which were read, in the order of their numbers; and no others."""
        for held in (self._entries, self._by_key, self._pending, self._unfinished, self._retired):
            held.clear()
        self._unfinished_of_share.clear()
        now = self._clock()
        for entry in entries:
            self._number = entry.number
            if is_expired(entry.job, now):  # its id may be that of another one by now
                self._leave(entry)
            else:
                self._add(entry)

    def _has_changed(self, before: JobStatus, entry: Entry, *, is_quiet: bool) -> None:
        """Note what a job has become, and call the subscribers."""
        self._outbox.changed(entry.number)
        job = entry.job
        status = job.status
        if status is not before:
            if before is _PENDING:
                del self._pending[job.tool][job.id]
            elif status is _PENDING:
                self._pending[job.tool][job.id] = None
            if job.expires_at is not None:
                self._unfinished[job.tool] -= 1
                if job.share is not None:
                    self._leave_share(job.share)
                self._has_ended(job)
        if not is_quiet:
            self._publish(job)

    def _leave_share(self, share: bytes) -> None:
        self._unfinished_of_share[share] -= 1
        if not self._unfinished_of_share[share]:
            del self._unfinished_of_share[share]

    def _has_ended(self, job: Job) -> None:
        """Called when a job has become final."""

    def _publish(self, job: Job) -> None:
        self._subscriptions.publish(Change(job.id, job.status, job.cancel_requested))

    def _expire(self, entry: Entry) -> None:
        """Have a job that has expired no longer for clients, and forget it unless a sink has not confirmed it."""
        job = entry.job
        del self._entries[job.id]
        if job.idempotency_key is not None:
            self._by_key.pop(job.idempotency_key, None)
        self._leave(entry)
