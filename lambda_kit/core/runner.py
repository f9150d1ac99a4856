"""Claims jobs for this process, runs them, and records what came of them."""

import logging
import time
from collections.abc import Awaitable, Callable

from lambda_kit.core.errors import LeaseLostError, UnavailableError
from lambda_kit.core.executor import Invoke
from lambda_kit.core.job import Failure, FailureKind, Job, Outcome, Payload
from lambda_kit.core.retrying import until_available
from lambda_kit.core.run import ActiveRun, LiveRequest
from lambda_kit.core.store import Claim, JobStore
from lambda_kit.core.tool import BoundTool

__all__ = ["JobRunner", "OnEnd"]

logger = logging.getLogger("lambda_kit.job")

OnEnd = Callable[[str, Job | None, Payload | None], None]
"""Told of the end of each run here: id, final record, result. Without a record: somebody else owns the job now."""


class JobRunner:
    """Claims jobs for this process, runs them, and records their end.

    Args:
        tools: The tools by name.
        store: The store of the jobs.
        owner: A name for this process, unique among those that share the store.
        lease_seconds: For how long a claim is good without renewal.
        on_end: Told of the end of each run.
    """

    def __init__(
        self,
        tools: dict[str, BoundTool],
        store: JobStore,
        *,
        owner: str,
        lease_seconds: float,
        on_end: OnEnd,
    ) -> None:
        self._tools = tools
        self._store = store
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._on_end = on_end
        self.live: dict[str, LiveRequest] = {}
        """Requests taken by this process whose job has not ended."""
        self.active: dict[str, ActiveRun] = {}
        """The runs under way whose lease is held, by job id."""

    async def run(self, job_id: str, invoke: Invoke) -> None:
        """Claim a job, have `invoke` run it, record its end. Does nothing if it is not to be had."""
        claim = await self._claim(job_id)
        if claim is None:  # it was cancelled, or somebody else runs it
            self.live.pop(job_id, None)
            return
        live = self.live.get(job_id) or LiveRequest()
        run = self.active[job_id] = ActiveRun(self._tools[claim.job.tool], claim, live, self._store)
        job: Job | None = None
        outcome: Outcome = None
        try:
            outcome = await self._outcome(run, invoke)
            if run.pump is not None:
                await run.pump.close()
            job = await self._finish(run, outcome)
        except LeaseLostError:
            logger.warning("job %s: its result is dropped, since its lease was lost", job_id)
        finally:
            if self.active.get(job_id) is run:
                del self.active[job_id]
                self._on_end(job_id, job, outcome if isinstance(outcome, Payload) else None)
        if job is not None and job.failure is not None:
            _log_failure(job, job.failure)

    async def heartbeat(self) -> list[str]:
        """Renew the leases of all runs under way.

        Returns:
            The jobs whose run is to be ended: their cancel was asked for, or their lease is lost.
        """
        leases = [run.lease for run in self.active.values()]
        if not leases:
            return []
        unwanted: list[str] = []
        for renewal in await self._store.renew(leases, lease_seconds=self._lease_seconds):
            job_id = renewal.lease.job_id
            run = self.active.get(job_id)
            if run is None or run.lease != renewal.lease:
                continue
            if renewal.is_lost:
                logger.warning("job %s: its lease was lost, its run here is stopped", job_id)
                del self.active[job_id]
                self._on_end(job_id, None, None)
            if renewal.is_lost or renewal.cancel_requested:
                unwanted.append(job_id)
        return unwanted

    async def abandon(self) -> None:
        """Record the end of runs that don't end by themselves: their tools do not listen."""
        for job_id, run in list(self.active.items()):
            message = "worker lost: the service was stopped, and the tool did not stop in time"
            job: Job | None = None
            failure = Failure(FailureKind.WORKER_LOST, "worker-lost", message)
            try:
                job = await self._store.finish(run.lease, failure)
            except (LeaseLostError, UnavailableError) as error:
                logger.warning("job %s: its end could not be written: %s", job_id, error)
            del self.active[job_id]
            self._on_end(job_id, job, None)

    async def _claim(self, job_id: str) -> Claim | None:
        def attempt() -> Awaitable[Claim | None]:
            return self._store.claim(job_id, owner=self._owner, lease_seconds=self._lease_seconds)

        try:
            return await attempt()
        except UnavailableError:
            return await until_available(f"job {job_id}: claim", attempt)

    async def _outcome(self, run: ActiveRun, invoke: Invoke) -> Outcome:
        try:
            return await invoke(run)
        except Exception as error:  # of the executor's: what a tool raises is an outcome
            logger.exception("job %s: it could not be run", run.job_id)
            message = f"the job could not be run: {type(error).__name__}: {error}"
            return Failure(FailureKind.WORKER_LOST, "worker-lost", message)

    async def _finish(self, run: ActiveRun, outcome: Outcome) -> Job:
        try:
            return await self._store.finish(run.lease, outcome)
        except UnavailableError:
            what = f"job {run.job_id}: writing its end"
            return await until_available(what, lambda: self._store.finish(run.lease, outcome))


def _log_failure(job: Job, failure: Failure) -> None:
    level = logging.WARNING if failure.kind is FailureKind.INVALID_VALUE else logging.ERROR
    seconds = time.time() - (job.started_at or job.requested_at)
    logger.log(
        level,
        "job %s of tool '%s' %s after %.3f s: %s: %s%s",
        job.id,
        job.tool,
        job.status,
        seconds,
        failure.type,
        failure.message,
        "\n" + failure.traceback if failure.traceback else "",
        extra={"job_id": job.id, "tool": job.tool},
    )
