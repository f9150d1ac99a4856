"""Runs the jobs that have a permit: claims them, runs them, renews their leases, and writes their ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from lambda_kit.core.errors import LeaseLostError, StoreFullError, UnavailableError
from lambda_kit.core.jobs.authorization_sealer import Sealer
from lambda_kit.core.jobs.canceller import Canceller
from lambda_kit.core.jobs.event_buffer import EventBuffers
from lambda_kit.core.jobs.failures import LOST_AT_STOP, not_kept, not_run, over_time
from lambda_kit.core.jobs.failures import log as log_failure
from lambda_kit.core.jobs.job_table import JobTable, LocalJob, State
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.jobs.permits import Permit
from lambda_kit.core.jobs.running_job import RunningJob
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.settings import JobSettings
from lambda_kit.core.jobs.waiting import Waiters, WaitResult
from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.store import Claim, ClaimRequest, JobStore, Lease
from lambda_kit.core.runtime.credentials import credentials_in_use
from lambda_kit.core.runtime.retry import Outage
from lambda_kit.core.runtime.turns import Turns

__all__ = ["JobRunner"]

logger = logging.getLogger("lambda_kit.job")

# To read a member of an Enum takes 0.1 µs on Python 3.11, and each job goes through here.
_PENDING, _SUCCEEDED, _CANCELLED = JobStatus.PENDING, JobStatus.SUCCEEDED, JobStatus.CANCELLED
_RUNNING = State.RUNNING

_END_SECONDS = 2.0
"""For how long a stop waits for ends that are being written."""


class JobRunner:
    """Runs each job that has a permit in a task of its own, and writes its end.

    Args:
        table: The jobs of this process.
        store: The store of the jobs.
        scheduler: Issues the permits, and gets them back.
        waiters: Those who wait for the end of a job here.
        observers: See jobs start and end.
        settings: Durations.
        sealer: Gives the authorizations that are kept with jobs.
        outage: What is known of the store's absence.
        turns: For jobs that end at the same moment.
    """

    def __init__(
        self,
        table: JobTable,
        store: JobStore,
        scheduler: Scheduler,
        waiters: Waiters,
        observers: Observers,
        settings: JobSettings,
        sealer: Sealer,
        outage: Outage,
        turns: Turns,
    ) -> None:
        self.worker_id = ""
        """This process, unique among those that share the store. Set before the first run."""
        self.has_dropped = False
        """Whether a job was dropped that may still be assigned to this process: `Reconciler` looks for it."""
        self.canceller = Canceller(self, scheduler, grace_seconds=settings.cancel_seconds)
        self.buffers = EventBuffers(store, outage, observers)
        self._table = table
        self._store = store
        self._scheduler = scheduler
        self._waiters = waiters
        self._observers = observers
        self._lease_seconds = settings.lease_seconds
        self._sealer = sealer
        self._outage = outage
        self._turns = turns
        self._claims = 0
        self._tasks: dict[Permit, asyncio.Task[None]] = {}

    # --- running ---

    def new_claim(self) -> ClaimRequest:
        """A claim of this process. It has an id: where its answer is lost, it can be made again."""
        self._claims += 1
        return ClaimRequest(self.worker_id, self._lease_seconds, str(self._claims))

    def start(self, job: LocalJob, permit: Permit, claim: Claim | None) -> None:
        """Run a job that has a permit, in a task of its own.

        Args:
            job: The job.
            permit: Its permit; it is released when the run has ended.
            claim: What the store gave. None: it is to be claimed.
        """
        job.permit = permit
        job.move_to(_RUNNING)
        loop = asyncio.get_running_loop()
        self._tasks[permit] = loop.create_task(self._run(job, permit, claim), context=job.context)

    async def _run(self, job: LocalJob, permit: Permit, claim: Claim | None) -> None:
        run: RunningJob | None = None
        try:
            if claim is None:
                claim = await self._claim(job)
            if claim is None:  # it was cancelled, or another process has it
                return
            if job.value is None and job.authorization is None:  # it was taken by another process, which is dead
                job.authorization = self._sealer.unseal(claim.job)
            run = RunningJob(job, claim, job.authorization, self.buffers, self._observers.around)
            job.run = run
            if claim.job.time_limit_seconds is not None:
                loop = asyncio.get_running_loop()
                run.timer = loop.call_later(claim.job.time_limit_seconds, self._time_is_up, job, run)
            outcome: Outcome = None
            is_begun = not job.is_unwanted
            with credentials_in_use(job.authorization):
                try:
                    if job.refusal is not None:
                        outcome = run.kept(job.refusal)
                    elif is_begun:
                        self._observers.started(claim.job)
                        outcome = await self._outcome(run, permit)
                finally:
                    await self.end(job, run, outcome, is_handed_back=job.is_left and not is_begun)
        except Exception:  # of the store's: what a tool raises is an outcome
            self.has_dropped = True
            logger.exception("job %s: it could not be run, or its end could not be written", job.id)
        finally:
            self._tasks.pop(permit, None)  # here, and not by a callback of the task's, which costs more
            if run is not None:
                run.close()
            if job.permit is permit:
                job.permit = None
                if job.state is _RUNNING and self._table.remove(job):
                    self._waiters.look_again(job.id)
            self._scheduler.release(permit)

    async def _claim(self, job: LocalJob) -> Claim | None:
        claim = self.new_claim()

        def attempt() -> Awaitable[Claim | None]:
            return self._store.claim(
                job.id, worker_id=claim.worker_id, lease_seconds=claim.lease_seconds, claim_id=claim.claim_id
            )

        try:
            return await attempt()
        except UnavailableError:
            return await self._outage.until_over(f"job {job.id}: claim", attempt)

    async def _outcome(self, run: RunningJob, permit: Permit) -> Outcome:
        try:
            outcome = run.kept(await permit.lane.pool.executor.run(run))
            if (turn := self._turns.take(len(self._tasks))) is not None:
                await turn
            return outcome
        except (Exception, asyncio.CancelledError) as error:  # of the executor's: what a tool raises is an outcome
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            logger.exception("job %s: it could not be run", run.job_id)
            return run.kept(not_run(error))

    def _time_is_up(self, job: LocalJob, run: RunningJob) -> None:
        limit = run.job.time_limit_seconds or 0.0
        self.canceller.begin(job)  # in a task of its own: the store may be away for long
        self.canceller.spawn(job.id, self.end(job, run, over_time(limit)))

    # --- the end ---

    async def end(self, job: LocalJob, run: RunningJob, outcome: Outcome, *, is_handed_back: bool = False) -> None:
        """Write the end of a run, unless that is done or being done: the first one wins.

        Args:
            job: The job.
            run: Its run.
            outcome: How it has ended.
            is_handed_back: Whether its tool was not called, and it is left to another process.
        """
        if run.is_ending:
            return
        run.is_ending = True
        if run.timer is not None:
            run.timer.cancel()
        record: Job | None = None
        try:
            if run.buffer is not None:
                await self._flush(run)
            write = partial(self._store.release, run.lease) if is_handed_back else partial(self._finish, run, outcome)
            try:
                record = await self._write_end(run, write)
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - of the store's: without an end the job would count as lost
                outcome = not_kept(run.job_id, outcome, error)
                if not is_handed_back:
                    write = partial(self._finish, run, outcome)
                record = await self._write_end(run, write)
        except LeaseLostError:
            logger.warning("job %s: its result is dropped, since its lease was lost", run.job_id)
        finally:
            self._on_ended(job, run, record, outcome if isinstance(outcome, Payload) else None)
        if isinstance(outcome, Failure) and record is not None and record.status is not _CANCELLED:
            log_failure(record, outcome, self._store.now())

    async def _flush(self, run: RunningJob) -> None:
        try:
            if run.buffer is not None:
                await run.buffer.close()
        except Exception:  # of the store's: the job's end is worth more than its events
            logger.exception("job %s: its last events could not be written", run.job_id)

    def _finish(self, run: RunningJob, outcome: Outcome) -> Awaitable[Job]:
        is_lost = isinstance(outcome, Failure) and outcome.kind is FailureKind.WORKER_LOST
        is_left = run.is_left_to_others and outcome is None
        if (is_lost or is_left) and run.job.attempt < run.job.max_attempts:
            return self._store.release(run.lease, is_counted=True)
        return self._store.finish(run.lease, outcome)

    async def _write_end(self, run: RunningJob, write: Callable[[], Awaitable[Job]]) -> Job:
        try:
            return await write()
        except StoreFullError:
            raise
        except UnavailableError:
            pass
        try:
            return await self._outage.until_over(f"job {run.job_id}: writing its end", write, waits_for_room=False)
        except LeaseLostError:
            # the first attempt may have been written, and its answer lost
            written = await self._outage.until_over(
                f"job {run.job_id}: looking for its end", lambda: self._store.get(run.job_id)
            )
            if written is None or not self._is_end_of(run, written):
                raise
            return written

    def _is_end_of(self, run: RunningJob, record: Job) -> bool:
        """Whether a record is as this run has, or may have, left it."""
        is_handed_back = record.status is _PENDING and record.assigned_worker == self.worker_id
        return record.lease_token == run.lease.token and (record.status.is_final or is_handed_back)

    def _on_ended(self, job: LocalJob, run: RunningJob, record: Job | None, result: Payload | None) -> None:
        """The end of a run was written; without a record another process has the job now."""
        if run.timer is not None:
            run.timer.cancel()
        if job.run is not run or self._table.get(job.id) is not job:
            return
        if record is not None and record.status is _PENDING:
            self._observers.released(record)
            self._run_again(job)
            return
        authorization = job.authorization
        self._table.remove(job)
        # waiters here get the result from the run itself: it may be evicted from the store before they look
        if record is None:
            self.has_dropped = True
            self._observers.released(run.job)
            self._waiters.look_again(job.id)
            return
        if record.status is not _SUCCEEDED:
            result = None
        self._observers.ended(record, result, authorization)
        cause = run.raised if record.failure is not None else None
        self._waiters.end(job.id, WaitResult(record, result, cause))

    def _run_again(self, job: LocalJob) -> None:
        """A job was handed back: it waits for another attempt, here or, where this process stops, elsewhere."""
        job.run = None
        job.is_unwanted = False
        if self._scheduler.is_open:
            job.permit = None
            self._scheduler.enqueue(job)
        else:
            self._table.remove(job)
            self._waiters.expire(job.id)

    # --- leases ---

    def leases(self) -> list[Lease]:
        """The leases of all runs. On any thread."""
        return [run.lease for job in self._table if (run := job.run) is not None]

    async def renew_leases(self) -> None:
        """Renew the leases of all runs. Those whose lease is lost, or whose end was asked for, are ended."""
        running = {job.id: (job, job.run) for job in self._table if job.run is not None}
        leases = [run.lease for _, run in running.values()]
        if not leases:
            return
        for renewal in await self._store.renew(leases, lease_seconds=self._lease_seconds):
            job, run = running[renewal.lease.job_id]
            if job.run is not run:  # it has ended meanwhile
                continue
            if renewal.is_lost and not run.is_ending:
                self.lose(job)
            elif renewal.is_lost or renewal.cancel_requested:
                self.canceller.begin(job)

    def lose(self, job: LocalJob) -> None:
        """The lease of a run was lost: it is stopped, and the job is no longer here."""
        run = job.run
        if run is None:
            return
        logger.warning("job %s: its lease was lost, its run here is stopped", run.job_id)
        run.is_ending = True  # nothing can be written any more
        self.canceller.begin(job)
        self._on_ended(job, run, None, None)

    # --- its stop ---

    async def stop(self) -> None:
        """Write the ends of runs that do not end by themselves: the executors have stopped."""
        for cancel in (False, True):
            # those whose permit was taken from them are abandoned: nothing ends them
            tasks = [task for permit, task in self._tasks.items() if not permit.is_released]
            if cancel:  # it is being claimed, or its end written, and the store does not answer
                for task in tasks:
                    task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=_END_SECONDS)
        left = [(job, job.run) for job in self._table if job.run is not None]
        await asyncio.gather(*(self._abandon(job, run) for job, run in left))

    async def _abandon(self, job: LocalJob, run: RunningJob) -> None:
        record: Job | None = None
        run.is_ending = True
        try:
            record = await self._finish(run, LOST_AT_STOP)
        except Exception as error:  # noqa: BLE001 - of the store's: the others' ends are worth writing
            logger.warning("job %s: its end could not be written: %s", run.job_id, error)
        self._on_ended(job, run, record, None)
