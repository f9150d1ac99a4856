"""The part of `MemoryJobStore` that looks at many jobs, and what is kept beside the jobs."""

from abc import ABC
from collections import Counter
from collections.abc import Callable, Collection
from operator import attrgetter

import msgspec

from lambda_kit.adapters.stores.memory.entries import Entry, FinishedJobs, Outbox, Slots
from lambda_kit.adapters.stores.records import SILENT_SECONDS, cursor_number, is_expired, new_cursor
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import Delivery, JobPage, JobStore, OnChange
from lambda_kit.core.ports.subscriptions import Subscriptions

__all__ = ["MemoryShared"]


class MemoryShared(JobStore, ABC):
    """Lists, watches, slots, the outbox and the processes that live.

    Args:
        clock: Gives the time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[str, Entry] = {}  # in the order in which they were created
        self._finished = FinishedJobs(self._forget)
        self._pending: dict[str, dict[str, None]] = {}
        self._subscriptions = Subscriptions()
        self._slots = Slots()
        self._alive_until: dict[str, float] = {}
        self._outbox = Outbox()

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """End the watches. The jobs stay, so that the store can be started again."""
        self._subscriptions.end_all()

    # --- the processes that share the store ---

    async def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        self._alive_until[worker_id] = self._clock() + lease_seconds

    async def workers(self) -> list[str]:
        return list(self._alive_until)

    async def expire_worker(self, worker_id: str) -> None:
        self._alive_until.pop(worker_id, None)
        self._slots.release_all_of(worker_id)
        now = self._clock()
        for entry in self._entries.values():
            if entry.job.status is JobStatus.EXECUTING and entry.job.assigned_worker == worker_id:
                entry.job = msgspec.structs.replace(entry.job, lease_expires_at=now)

    async def adopt(self, worker_id: str, *, tools: Collection[str], limit: int = 1000) -> list[Job]:
        now = self._clock()
        waiting = [self._entries[job_id] for tool in tools for job_id in self._pending.get(tool, ())]
        living = {other for other, until in self._alive_until.items() if until > now} | {worker_id}
        orphans = [entry for entry in waiting if entry.job.assigned_worker not in living]
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

    # --- watches ---

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        return self._subscriptions.subscribe(on_change)

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        return self._slots.acquire(name, holder, limit, self._clock(), lease_seconds)

    async def release_slot(self, name: str, holder: str) -> None:
        self._slots.release(name, holder)

    # --- the outbox ---

    async def register_sink(self, sink: str) -> None:
        self._outbox.register(sink)

    async def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        deliveries: list[Delivery] = []
        now = self._clock()
        for job_id, after in self._outbox.waiting(sink):
            entry = self._entries[job_id]
            home = entry.job.home
            if after < entry.last_seq or entry.job.status.is_final:
                if worker_id is not None and home != worker_id:
                    if home is not None and self._alive_until.get(home, 0.0) > now:
                        continue
                    if not self._outbox.lease(sink, job_id, worker_id, now, lease_seconds):
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
        silent = [worker_id for worker_id, until in self._alive_until.items() if until <= now - SILENT_SECONDS]
        for worker_id in silent:
            del self._alive_until[worker_id]
        return self._finished.expire(now)

    # --- inside ---

    def _entry(self, job_id: str) -> Entry | None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.job.expires_at is not None and is_expired(entry.job, self._clock()):
            self._finished.remove(entry.job)
            self._forget(job_id)
            return None
        return entry

    def _forget(self, job_id: str) -> Entry | None:
        entry = self._entries.pop(job_id, None)
        if entry is not None:
            self._outbox.forget(job_id)
        return entry
