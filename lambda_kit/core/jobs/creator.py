"""Creates jobs: reserves a place in this process, creates the record, and hands the job over to who runs it."""

import asyncio
from collections.abc import Sequence

from lambda_kit.core.errors import (
    LambdaKitError,
    NotServingError,
    QueueFullError,
    RateLimitedError,
    StoreFullError,
    UnavailableError,
)
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.caller_shares import CallerShares
from lambda_kit.core.jobs.job_table import JobTable, LocalJob, State
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.jobs.outbox_relay import OutboxRelay
from lambda_kit.core.jobs.permits import Permit
from lambda_kit.core.jobs.reconciler import Reconciler
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.submission import Submission
from lambda_kit.core.jobs.waiting import Waiter, Waiters
from lambda_kit.core.model.form import packed_form
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Claim, Created, JobStore
from lambda_kit.core.runtime.threads import read_off_loop
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["JobCreator"]

_RESERVED = State.RESERVED  # to read it there takes 0.1 µs on Python 3.11, and each job goes through here


class JobCreator:
    """Creates a job, unless there is no room for it, and has it run.

    Args:
        store: Keeps the jobs.
        table: The jobs of this process.
        scheduler: Has the jobs run that have to wait.
        runner: Runs those that begin at once.
        waiters: Those who wait for the end of a job here.
        relays: Deliver to the sinks.
        observers: Complete the records.
        admission: Says who is let in.
        shares: Knows what one caller may have. None: anything.
        reconciler: Gets the jobs in doubt.
        runs_jobs: Whether this process runs jobs. If not, they are handed off.
    """

    def __init__(
        self,
        store: JobStore,
        table: JobTable,
        scheduler: Scheduler,
        runner: JobRunner,
        waiters: Waiters,
        relays: Sequence[OutboxRelay],
        observers: Observers,
        admission: Admission,
        shares: CallerShares | None,
        reconciler: Reconciler,
        *,
        runs_jobs: bool,
    ) -> None:
        self._store = store
        self._table = table
        self._scheduler = scheduler
        self._runner = runner
        self._waiters = waiters
        self._relays = relays
        self._observers = observers
        self._admission = admission
        self._shares = shares
        self._reconciler = reconciler
        self._runs_jobs = runs_jobs

    async def create(self, job: Job, local: LocalJob, submission: Submission, waiter: Waiter | None) -> Created:
        """Create a job, and have it run if it is new; the waiter waits for its end then.

        Args:
            job: Its record.
            local: What this process knows of it.
            submission: The request that it is made of.
            waiter: Waits for its end. The caller removes it.

        Returns:
            The new job, or the one that is there with its id or key.

        Raises:
            QueueFullError: if there is no room for it. No job was made.
            RateLimitedError: if its caller has as many unfinished jobs as it may have. No job was made.
            UnavailableError: if no jobs are taken now, or the store is away.
        """
        body = await self._stored(submission)
        if submission.job_id is not None:
            there = await self._live_job(job.id)
            if there is not None:
                return Created(there, is_new=False)
        if not self._admission.is_open and submission.refusal is None:
            raise NotServingError("the service is not taking jobs now")
        try:
            max_unfinished = self._admission.admit(submission.tool)
        except QueueFullError as error:
            raise self._admission.refused(submission.tool, error) from None
        job = self._observers.creating(job)
        # Before there is a job: it may be cancelled before `create` returns. And before it can run: the result of a
        # quick one could be evicted from a small store.
        doubted = self._table.get(job.id)
        self._table.add(local)
        if waiter is not None:
            self._waiters.add(job.id, waiter)
        permit = self._scheduler.try_acquire(local.lane)
        claim = None if permit is None else self._runner.new_claim()
        try:
            created = await self._store.create(
                job, body, max_unfinished=max_unfinished, claim=claim, **self._bounds_of(job)
            )
        except BaseException as error:
            is_doubtful = isinstance(error, (UnavailableError, asyncio.CancelledError))
            if is_doubtful and not isinstance(error, StoreFullError):  # it may have been created all the same
                local.is_unwanted = local.is_unwanted or isinstance(error, asyncio.CancelledError)
                self._reconciler.doubt(local)
            self._undo(local, permit, waiter)
            if isinstance(error, (QueueFullError, RateLimitedError)):
                raise self._refusal(submission.tool, error) from None
            raise
        if not created.is_new:
            self._undo(local, permit, waiter)
            if doubted is not None and doubted.state is State.IN_DOUBT:
                self._reconciler.doubt(doubted)
            return created
        for relay in self._relays:
            relay.authorizations.remember(job, submission.authorization)
        self._hand_over(local, permit, Claim(created.job, submission.body))
        return created

    def _refusal(self, tool: BoundTool, error: QueueFullError | RateLimitedError) -> LambdaKitError:
        """The error of a store that has refused a job, with when to come back."""
        if isinstance(error, QueueFullError):
            return self._admission.refused(tool, error)
        return error if self._shares is None else self._shares.full(tool)

    def _bounds_of(self, job: Job) -> dict[str, int]:
        """How many unfinished jobs the caller of a job may have, for `JobStore.create`."""
        most = None if self._shares is None else self._shares.max_unfinished
        return {} if job.share is None or most is None else {"max_of_share": most}

    async def _stored(self, submission: Submission) -> Payload:
        """What is stored of a request's body: a form with all that lies in files, where the store outlives them."""
        body, store = submission.body, self._store
        if submission.files is None or not (store.is_durable or store.is_shared):
            return body
        return Payload(await read_off_loop(packed_form, body.content), body.content_type)

    async def _live_job(self, job_id: str) -> Job | None:
        """The record of a job of that id that this process has. None: it has none, and one can be created."""
        while (other := self._table.get(job_id)) is not None and other.state is not State.IN_DOUBT:
            if other.state is _RESERVED:  # another request is creating it
                await other.until_made()
                continue
            record = await self._store.get(job_id)
            if record is not None:
                return record
            if other.state is State.ELSEWHERE or self._table.get(job_id) is not other:
                return None
            raise UnavailableError(f"job '{job_id}' is just ending: try again")
        return None

    def _undo(self, local: LocalJob, permit: Permit | None, waiter: Waiter | None) -> None:
        if local.state is _RESERVED:
            if local.files is not None:  # `submit` closes them, unless a job in doubt gets them
                local.files.is_kept, local.files = False, None
            self._table.remove(local)
        if waiter is not None:
            self._waiters.remove(local.id, waiter)
        if permit is not None:
            self._scheduler.release(permit)

    def _hand_over(self, local: LocalJob, permit: Permit | None, claim: Claim) -> None:
        if permit is not None:
            self._runner.start(local, permit, claim)
        elif self._table.get(local.id) is not local:  # it was cancelled while it was created
            return
        elif self._runs_jobs:
            self._scheduler.enqueue(local)
        else:  # it is any worker's now
            local.move_to(State.ELSEWHERE)
            local.value = local.transport = local.authorization = None
            if local.files is not None:
                local.files.close()
