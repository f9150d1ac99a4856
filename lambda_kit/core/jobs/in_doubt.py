"""Jobs that a store that was away may have made, without this process being told so."""

import asyncio
from collections.abc import Callable

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.running_job import LiveRequest
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import JobStore, Lease

__all__ = ["Strays"]

_MOST_REQUESTS = 1000
"""For how many jobs the decoded requests, and the authorizations, are kept while the store is away."""


class Strays:
    """Looks for jobs that are this process's by their record, and that it knows nothing of: their answer was lost.

    Such a job may have been acknowledged meanwhile: its caller may have come again, to another process. So it is run,
    though the first answer was 503.

    Args:
        store: The store of the jobs.
        runner: Knows what runs.
        scheduler: Knows what waits.
        remember: Told of the authorization with which a job's events are delivered.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        scheduler: Scheduler,
        remember: Callable[[str, str | None], None],
    ) -> None:
        self._store = store
        self._runner = runner
        self._scheduler = scheduler
        self._remember = remember
        self._doubtful: dict[str, tuple[LiveRequest | None, bool]] = {}
        self._taking_up = asyncio.Lock()

    def start(self) -> None:
        """Be ready to work on the running event loop."""
        self._taking_up = asyncio.Lock()

    def note(self, job_id: str, live: LiveRequest, *, is_wanted: bool) -> None:
        """Remember a job that may be there. One that is not wanted will be cancelled if it is."""
        self._doubtful[job_id] = (live if len(self._doubtful) < _MOST_REQUESTS else None, is_wanted)

    def is_stray(self, job: Job) -> bool:
        """Whether a job waits or runs in this process, as its record says, and does not."""
        if job.status is JobStatus.PENDING:
            is_mine = job.assigned_worker == self._runner.worker_id
        else:
            is_mine = job.assigned_worker == self._runner.worker_id and job.id in self._doubtful
        return is_mine and job.id not in self._runner.live and not self._scheduler.knows(job.id)

    async def take_up(self, job: Job, live: LiveRequest | None) -> bool:
        """Have a stray run. False: it is none, or has become something else meanwhile."""
        async with self._taking_up:
            if not self.is_stray(job) or not await self._is_pending_again(job):
                return False
            if live is not None:
                self._runner.live[job.id] = live
                self._remember(job.id, live.authorization)
            self._scheduler.enqueue(job.id, job.tool)
        return True

    async def settle(self) -> None:
        """See what has become of the jobs that may be there.

        Raises:
            UnavailableError: if the store is away.
        """
        for job_id, (live, is_wanted) in list(self._doubtful.items()):
            job = None if job_id in self._runner.live else await self._store.get(job_id)
            if job is not None and self.is_stray(job):
                if is_wanted:
                    await self.take_up(job, live)
                else:
                    await self._cancel(job)
            self._doubtful.pop(job_id, None)

    async def _cancel(self, job: Job) -> None:
        async with self._taking_up:  # its caller may have come again
            if self.is_stray(job) and await self._is_pending_again(job):
                await self._store.request_cancel(job.id)

    async def _is_pending_again(self, job: Job) -> bool:
        """Give back the claim on a stray. False: it has become something else meanwhile."""
        if job.status is JobStatus.PENDING:
            return True
        try:
            job = await self._store.release(Lease(job.id, job.lease_token))
        except LeaseLostError:
            return False
        return job.status is JobStatus.PENDING
