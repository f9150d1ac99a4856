"""Claims jobs for this process, runs them, and records what came of them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from lambda_kit.core.errors import LeaseLostError, NotServingError, PayloadTooLargeError, UnavailableError
from lambda_kit.core.jobs.event_buffer import EventPump
from lambda_kit.core.jobs.running_job import ActiveRun, Creation, LiveRequest
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.executor import Invoke
from lambda_kit.core.ports.store import Claim, ClaimRequest, JobStore
from lambda_kit.core.runtime.retry import Outage
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["JobRunner", "OnEnd"]

logger = logging.getLogger("lambda_kit.job")

OnEnd = Callable[[str, Job | None, Payload | None], None]
"""Told of the end of each run here: id, record, result. Without a record: somebody else owns the job now."""

_WORKER_LOST_AT_STOP = Failure(
    FailureKind.WORKER_LOST,
    "worker-lost",
    "worker lost: the service was stopped, and the tool did not stop in time",
)


class JobRunner:
    """Claims jobs for this process, runs them, and records their end.

    Args:
        tools: The tools by name.
        store: The store of the jobs.
        lease_seconds: For how long a claim is good without renewal.
        statistics: Counts the events that were dropped.
        unseal: Gives the authorization that is kept with a job. None: there is none.
        on_end: Told of the end of each run; of one that is to be repeated too, with the pending record.
        on_time_up: Told of each run whose time is over.
    """

    def __init__(
        self,
        tools: Mapping[str, BoundTool],
        store: JobStore,
        *,
        lease_seconds: float,
        statistics: JobStatistics,
        unseal: Callable[[Job], str | None],
        on_end: OnEnd,
        on_time_up: Callable[[ActiveRun], None],
    ) -> None:
        self._tools = tools
        self._store = store
        self.worker_id = ""
        """A name for this process, unique among those that share the store. Set before the first run."""
        self._claims = 0
        self._outage = Outage()
        self._lease_seconds = lease_seconds
        self._statistics = statistics
        self._unseal = unseal
        self._on_end = on_end
        self._on_time_up = on_time_up
        self.live: dict[str, LiveRequest] = {}
        """Requests taken by this process whose job has not ended."""
        self.active: dict[str, ActiveRun] = {}
        """The runs under way whose lease is held, by job id."""

    async def run(self, job_id: str, invoke: Invoke) -> None:
        """Claim a job, have `invoke` run it, record its end. Does nothing if it is not to be had."""
        live = self.live.get(job_id)
        creation = None if live is None else live.creation
        claim: Claim | None = None
        try:
            claim = await self._claim(job_id, creation)
        finally:
            if live is not None:
                live.creation = None
                if claim is None and self.live.get(job_id) is live:  # it was cancelled, or somebody else runs it
                    del self.live[job_id]
        if claim is None:
            return
        if live is None:  # it was taken by another process, which is gone
            live = LiveRequest(authorization=self._unseal(claim.job))
        run = ActiveRun(self._tools[claim.job.tool], claim, live, self._store, self._statistics, self._outage)
        self.active[job_id] = run
        limit = claim.job.time_limit_seconds
        if limit is not None:
            run.timer = asyncio.get_running_loop().call_later(limit, self._on_time_up, run)
        outcome: Outcome = None
        try:
            if creation is None or not creation.is_unwanted:
                outcome = await self._outcome(run, invoke)
        finally:
            await self.end(run, outcome)

    async def end(self, run: ActiveRun, outcome: Outcome) -> None:
        """Record the end of a run, unless that is done or being done: the first one wins."""
        if run.is_ending:
            return
        run.is_ending = True
        if run.timer is not None:
            run.timer.cancel()
        job: Job | None = None
        try:
            if run.pump is not None:
                await self._close(run.pump, run.job_id)
            try:
                job = await self._write_end(run, outcome)
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - of the store's: without an end the job would count as lost
                outcome = _not_kept(run.job_id, error)
                job = await self._write_end(run, outcome)
        except LeaseLostError:
            logger.warning("job %s: its result is dropped, since its lease was lost", run.job_id)
        finally:
            self._forget(run, job, outcome if isinstance(outcome, Payload) else None)
        if isinstance(outcome, Failure) and job is not None and job.status is not JobStatus.CANCELLED:
            _log_failure(job, outcome)

    async def heartbeat(self) -> list[ActiveRun]:
        """Renew the leases of all runs under way.

        Returns:
            The runs that are to be ended: their cancel was asked for, or their lease is lost.
        """
        leases = [run.lease for run in self.active.values()]
        if not leases:
            return []
        unwanted: list[ActiveRun] = []
        for renewal in await self._store.renew(leases, lease_seconds=self._lease_seconds):
            run = self.active.get(renewal.lease.job_id)
            if run is None or run.lease != renewal.lease:
                continue
            if renewal.is_lost and not run.is_ending:
                logger.warning("job %s: its lease was lost, its run here is stopped", run.job_id)
                run.is_ending = True  # nothing can be written any more
                self._forget(run, None, None)
            if renewal.is_lost or renewal.cancel_requested:
                unwanted.append(run)
        return unwanted

    async def abandon(self) -> None:
        """Record the end of runs that don't end by themselves: their tools do not listen."""
        await asyncio.gather(*(self._abandon(run) for run in list(self.active.values())))

    async def _abandon(self, run: ActiveRun) -> None:
        job: Job | None = None
        run.is_ending = True
        try:
            job = await self._try_end(run, _WORKER_LOST_AT_STOP)
        except (LeaseLostError, UnavailableError) as error:
            logger.warning("job %s: its end could not be written: %s", run.job_id, error)
        self._forget(run, job, None)

    async def _close(self, pump: EventPump, job_id: str) -> None:
        try:
            await pump.close()
        except Exception:  # of the store's: the job's end is worth more than its events
            logger.exception("job %s: its last events could not be written", job_id)

    def _forget(self, run: ActiveRun, job: Job | None, result: Payload | None) -> None:
        if run.timer is not None:
            run.timer.cancel()
        if self.active.get(run.job_id) is run:
            del self.active[run.job_id]
            self._on_end(run.job_id, job, result)

    async def _claim(self, job_id: str, new: Creation | None) -> Claim | None:
        self._claims += 1
        claim_id = str(self._claims)  # where an answer is lost, the claim can be made again
        if new is not None:
            return await self._create(new, claim_id)

        def attempt() -> Awaitable[Claim | None]:
            return self._store.claim(
                job_id, worker_id=self.worker_id, lease_seconds=self._lease_seconds, claim_id=claim_id
            )

        try:
            return await attempt()
        except UnavailableError:
            return await self._outage.until_over(f"job {job_id}: claim", attempt)

    async def _create(self, new: Creation, claim_id: str) -> Claim | None:
        """Make a job, and claim it in the same step. None: it was not made, as its caller is told."""
        claim = ClaimRequest(self.worker_id, self._lease_seconds, claim_id)
        try:
            created = await self._store.create(new.job, new.request, max_unfinished=new.max_unfinished, claim=claim)
        except asyncio.CancelledError:
            new.on_doubt()
            new.settle(NotServingError("the service is stopping"))
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the request was made
            if isinstance(error, UnavailableError):
                new.on_doubt()
            new.settle(error)
            return None
        if created.is_new:
            new.on_new()
        new.settle(created)
        return Claim(created.job, new.request) if created.is_new else None

    async def _outcome(self, run: ActiveRun, invoke: Invoke) -> Outcome:
        try:
            return await invoke(run)
        except Exception as error:  # of the executor's: what a tool raises is an outcome
            logger.exception("job %s: it could not be run", run.job_id)
            message = f"the job could not be run: {type(error).__name__}: {error}"
            return Failure(FailureKind.WORKER_LOST, "worker-lost", message)

    def _try_end(self, run: ActiveRun, outcome: Outcome) -> Awaitable[Job]:
        is_lost = isinstance(outcome, Failure) and outcome.kind is FailureKind.WORKER_LOST
        is_left = run.is_left_to_others and outcome is None
        if (is_lost or is_left) and run.job.attempt < run.job.max_attempts:
            return self._store.release(run.lease, is_counted=True)
        return self._store.finish(run.lease, outcome)

    async def _write_end(self, run: ActiveRun, outcome: Outcome) -> Job:
        try:
            return await self._try_end(run, outcome)
        except UnavailableError:
            pass
        try:
            return await self._outage.until_over(
                f"job {run.job_id}: writing its end", lambda: self._try_end(run, outcome)
            )
        except LeaseLostError:
            # the first attempt may have been written, and its answer lost
            written = await self._outage.until_over(
                f"job {run.job_id}: looking for its end", lambda: self._store.get(run.job_id)
            )
            if written is None or not self._is_end_of(run, written):
                raise
            return written

    def _is_end_of(self, run: ActiveRun, job: Job) -> bool:
        """Whether a record is as this run has, or may have, left it."""
        is_handed_back = job.status is JobStatus.PENDING and job.assigned_worker == self.worker_id
        return job.lease_token == run.lease.token and (job.status.is_final or is_handed_back)


def _not_kept(job_id: str, error: Exception) -> Failure:
    if isinstance(error, PayloadTooLargeError):
        return Failure(FailureKind.ENCODING, "result-too-large", f"the result can't be kept: {error}")
    logger.error("job %s: its end could not be written", job_id, exc_info=error)
    return Failure(FailureKind.ENCODING, "result-not-kept", "the result could not be kept; the log has the details")


def _log_failure(job: Job, failure: Failure) -> None:
    level = logging.WARNING if failure.kind is FailureKind.INVALID_VALUE else logging.ERROR
    seconds = time.time() - (job.started_at or job.requested_at)
    logger.log(
        level,
        "job %s of tool '%s' %s after %.3f s: %s: %s%s",
        job.id,
        job.tool,
        "is run again," if job.status is JobStatus.PENDING else job.status,
        seconds,
        failure.type,
        failure.message,
        "\n" + failure.traceback if failure.traceback else "",
        extra={"job_id": job.id, "tool": job.tool},
    )
