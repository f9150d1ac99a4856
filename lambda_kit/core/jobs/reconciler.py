"""Finds jobs assigned to this worker that it does not track: an answer of the store was lost."""

import asyncio
from collections.abc import Sequence

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.jobs.job_table import JobTable, LocalJob, State
from lambda_kit.core.jobs.outbox_relay import OutboxRelay
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import JobStore, Lease

__all__ = ["Reconciler"]

_MISSES = 2
"""A job in doubt that was not found so often was not created."""


class Reconciler:
    """Compares the store with the table of this process: what is assigned here and not tracked is run.

    A job in doubt may have been acknowledged meanwhile: its caller may have come again, to another process. So it is
    run, though the first answer was 503.

    Args:
        store: The store of the jobs.
        table: The jobs of this process.
        scheduler: Has jobs run.
        runner: Knows the name of this process.
        relays: Remember the authorization with which a job's events are delivered.
    """

    def __init__(
        self,
        store: JobStore,
        table: JobTable,
        scheduler: Scheduler,
        runner: JobRunner,
        relays: Sequence[OutboxRelay],
    ) -> None:
        self._store = store
        self._table = table
        self._scheduler = scheduler
        self._runner = runner
        self._relays = relays
        self._is_needed = False
        self._resuming = asyncio.Lock()
        self.is_due = asyncio.Event()
        """Set when there is reason to reconcile at once."""

    def start(self) -> None:
        """Be ready to work on the running event loop."""
        self._resuming, self.is_due = asyncio.Lock(), asyncio.Event()

    def doubt(self, local: LocalJob) -> None:
        """It is not known whether a job was created."""
        self._table.doubt(local)
        self._is_needed = True
        if local.is_unwanted:  # the store is not away, only the caller is: there is no reason to wait
            self.is_due.set()

    def need(self) -> None:
        """Jobs may be assigned to this process that it does not track: an answer was lost, or a job was dropped."""
        self._is_needed = True

    def is_in_doubt(self, job: Job) -> bool:
        """Whether a record says that this process has a job, and it does not track it."""
        local = self._table.get(job.id)
        worker_id = job.assigned_worker
        if worker_id is None and job.status is JobStatus.PENDING and local is not None:
            worker_id = job.home
        is_ours = worker_id == self._runner.worker_id and not job.status.is_final
        return is_ours and (local is None or local.state is State.IN_DOUBT)

    async def resume(self, job: Job, local: LocalJob | None = None) -> bool:
        """Have a job in doubt run. False: it is not in doubt, or has become something else meanwhile.

        Args:
            job: Its record.
            local: What is known of it from a new request. None: what is known from the one that created it, if any.
        """
        async with self._resuming:
            known = self._table.get(job.id)
            if not self.is_in_doubt(job) or not await self._give_back_claim(job):
                return False
            if known is not None and self._table.get(job.id) is not known:
                return False
            if local is None:
                lane = self._scheduler.lane_of(job.tool)
                local = known or LocalJob(job.id, lane, State.QUEUED, principal=job.principal)
            if local.authorization is not None:
                for relay in self._relays:
                    relay.authorizations.remember(job, local.authorization)
            if local.is_unwanted:
                await self._store.request_cancel(job.id)
                self._table.remove(local)
                return True
            if local is known:
                self._table.resume(local)
            else:
                self._table.add(local)
            if job.assigned_worker is None:
                local.move_to(State.ELSEWHERE)
            else:
                self._scheduler.enqueue(local)
        return True

    async def reconcile(self) -> None:
        """Find the jobs that are assigned here and not tracked, and have them run; forget those that are not there.

        No effect unless an answer of the store was lost since the last time.

        Raises:
            UnavailableError: if the store is away.
        """
        if not self._is_needed and not self._runner.has_dropped:
            return
        in_doubt = [local for local in self._table if local.state is State.IN_DOUBT]
        self._is_needed = self._runner.has_dropped = False
        try:
            cursor: str | None = None
            while True:
                page = await self._store.list_jobs(
                    statuses=[JobStatus.PENDING, JobStatus.EXECUTING], limit=1000, cursor=cursor
                )
                for job in reversed(page.jobs):
                    if self.is_in_doubt(job) and self._scheduler.has_tool(job.tool):
                        await self.resume(job)
                cursor = page.next_cursor
                if cursor is None:
                    break
        except BaseException:
            self._is_needed = True
            raise
        for local in in_doubt:
            if local.state is not State.IN_DOUBT:
                continue
            local.misses += 1  # what was asked for may still be on its way
            if local.misses < _MISSES:
                self._is_needed = True
            else:
                self._table.remove(local)

    async def _give_back_claim(self, job: Job) -> bool:
        """Give back the claim on a job in doubt. False: it has become something else meanwhile."""
        if job.status is JobStatus.PENDING:
            return True
        try:
            job = await self._store.release(Lease(job.id, job.lease_token))
        except LeaseLostError:
            return False
        return job.status is JobStatus.PENDING
