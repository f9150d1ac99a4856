"""Makes a job of a request: attach, or reserve, create, and hand over."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from lambda_kit.core.errors import (
    BadRequestError,
    JobConflictError,
    LambdaKitError,
    NotServingError,
    QueueFullError,
    RateLimitedError,
    StoreFullError,
    UnavailableError,
)
from lambda_kit.core.jobs import audit
from lambda_kit.core.jobs.access import check_scopes
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.authorization_sealer import Sealer
from lambda_kit.core.jobs.caller_shares import CallerShares
from lambda_kit.core.jobs.callers import Callers
from lambda_kit.core.jobs.job_table import JobTable, LocalJob, State
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.jobs.outbox_relay import OutboxRelay
from lambda_kit.core.jobs.permits import Permit
from lambda_kit.core.jobs.reconciler import Reconciler
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.submission import Submission, digest_of
from lambda_kit.core.jobs.waiting import Waiter, Waiters
from lambda_kit.core.model.form import packed_form
from lambda_kit.core.model.job import Job, Payload, new_job_id
from lambda_kit.core.model.refusal_reasons import reason_of
from lambda_kit.core.ports.store import Claim, Created, JobStore
from lambda_kit.core.runtime.threads import off_loop, read_off_loop
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Submitter"]

_LARGE_BYTES = 256 * 1024
_RESERVED = State.RESERVED  # to read it there takes 0.1 µs on Python 3.11, and each job goes through here


class Submitter:
    """Makes a job of each request that is admitted.

    Args:
        store: Keeps the jobs.
        table: The jobs of this process.
        scheduler: Has the jobs run.
        runner: Runs those that begin at once.
        waiters: Those who wait for the end of a job here.
        relays: Deliver to the sinks.
        observers: See jobs come.
        admission: Says who is let in.
        callers: Tells callers apart.
        shares: Knows what one caller may have. None: anything.
        sealer: Encrypts the authorizations that are kept with jobs.
        reconciler: Knows the jobs in doubt.
        runs_jobs: Whether this process runs jobs. If not, they are handed off.
        delivery_seconds: For how long a job is kept for sinks.
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
        *,
        admission: Admission,
        callers: Callers,
        shares: CallerShares | None,
        sealer: Sealer,
        reconciler: Reconciler,
        runs_jobs: bool,
        delivery_seconds: float,
    ) -> None:
        self._store = store
        self._table = table
        self._scheduler = scheduler
        self._runner = runner
        self._waiters = waiters
        self._relays = relays
        self._observers = observers
        self._admission = admission
        self._callers = callers
        self._shares = shares
        self._sealer = sealer
        self._reconciler = reconciler
        self._runs_jobs = runs_jobs
        self._delivery_seconds = delivery_seconds
        self.accepts = False
        """Whether new jobs are taken now."""

    async def submit(self, submission: Submission, waiter: Waiter | None) -> Job:
        """Make a job of a request and have it run; or attach to the job that this request made before.

        Args:
            submission: The request.
            waiter: Waits for the job's end. The caller removes it.

        Returns:
            The new job, or the known one with this id or key.

        Raises:
            RequestValidationError: if the body does not fit the tool's request model.
            BadRequestError: if it asks for more time than its tool has.
            PermissionDeniedError: if the principal may not run the tool.
            JobConflictError: if the id or key belongs to another tool, body or caller.
            QueueFullError: if there is no room for it. No job was made.
            RateLimitedError: if its caller has used up its share (`CallerLimits`). No job was made.
            UnavailableError: if no jobs are taken now, or the store is away.
        """
        files = submission.files
        try:
            return await self._submit(submission, waiter)
        except LambdaKitError as error:
            tool, principal = submission.tool.name, submission.principal
            self._observers.refused(tool, reason_of(error))
            if principal is not None:
                audit.refused(error, principal, submission.address, tool=tool, job_id=submission.job_id)
            raise
        finally:
            if files is not None and not files.is_kept:
                files.close()

    async def _submit(self, submission: Submission, waiter: Waiter | None) -> Job:
        tool, body = submission.tool, submission.body
        check_scopes(tool, submission.principal)
        # large bodies are hashed and decoded on a thread, so that the event loop stays responsive
        is_form = tool.read.is_form(body)
        is_large = is_form or len(body.content) >= _LARGE_BYTES
        digest = await off_loop(digest_of, body, is_form=is_form) if is_large else digest_of(body)
        caller = self._callers.of(submission.principal_id, submission.authorization)
        key: str | None = None
        known: Job | None = None
        if submission.job_id is not None:
            known = None if submission.must_be_new else await self._known(submission.job_id)
        elif submission.idempotency_key is not None:
            key = self._callers.scoped_key(submission.idempotency_key, tool.name, caller)
            known = await self._store.find_by_key(key)
        if known is not None:
            check_same(known, submission, caller, digest)
            # whether or not the body fits, or jobs are taken now
            if not self._reconciler.is_in_doubt(known):
                return await self._attached(known, submission, waiter)
        share = None
        if known is None and self._shares is not None:  # who attaches to a job is not counted
            share = self._shares.share_of(submission.principal_id, submission.address)
            if share is not None and self.accepts:
                await self._shares.take(share)
            if self._shares.max_unfinished is None:
                share = None  # nobody counts the job
        value = submission.value
        if value is None and submission.refusal is None:
            value = await off_loop(tool.read, body) if is_large else tool.read(body)
        if known is not None:
            return await self._resumed(known, submission, value, waiter)
        job = self._new_job(submission, caller, share, digest, key)
        created = await self._create(job, self._local(job, submission, value), submission, waiter)
        if submission.must_be_new and not created.is_new:
            submission = msgspec.structs.replace(submission, job_id=None)
            job = self._new_job(submission, caller, share, digest, key)
            created = await self._create(job, self._local(job, submission, value), submission, waiter)
        if not created.is_new:
            check_same(created.job, submission, caller, digest)
            return await self._resumed(created.job, submission, value, waiter)
        self._observers.submitted(created.job)
        audit.submitted("accepted", submission, created.job)
        return created.job

    async def _resumed(self, known: Job, submission: Submission, value: Any, waiter: Waiter | None) -> Job:
        """Attach to a known job; one that is in doubt is run by what this request says."""
        if not await self._reconciler.resume(known, self._local(known, submission, value)):
            return await self._attached(known, submission, waiter)
        if waiter is not None:
            self._waiters.add(known.id, waiter)
        self._observers.submitted(known)
        audit.submitted("accepted", submission, known)
        return known

    def _local(self, job: Job, submission: Submission, value: Any) -> LocalJob:
        return LocalJob(
            job.id,
            self._scheduler.lane_of(job.tool),
            _RESERVED,
            principal=job.principal,
            value=value,
            authorization=submission.authorization,
            transport=submission.transport,
            files=submission.files,
            refusal=submission.refusal,
        )

    async def _known(self, job_id: str) -> Job | None:
        local = self._table.get(job_id)
        if local is not None and local.state is _RESERVED:  # another request is creating it
            await local.until_made()
        return await self._store.get(job_id)

    def _new_job(
        self, submission: Submission, caller: bytes, share: bytes | None, digest: bytes, key: str | None
    ) -> Job:
        tool, principal = submission.tool, submission.principal
        execution = tool.options.execution
        job_id = submission.job_id or new_job_id()
        worker_id = self._runner.worker_id
        return Job(
            id=job_id,
            given_id=submission.given_id,
            tool=tool.name,
            is_in_process=submission.is_in_process,
            requested_at=self._store.now(),
            request_content_type=submission.body.content_type,
            request_filename=submission.body.filename,
            request_digest=digest,
            idempotency_key=key,
            principal=submission.principal_id,
            principal_name=None if principal is None else principal.name,
            principal_scopes=() if principal is None else tuple(sorted(principal.scopes)),
            caller=caller,
            share=share,
            request_info=submission.request_info,
            traceparent=submission.traceparent,
            tracestate=submission.tracestate,
            call=submission.call,
            ttl_seconds=3600.0 if execution.job_cache_ttl is None else execution.job_cache_ttl,
            keep_finished=10_000 if execution.job_cache_size is None else execution.job_cache_size,
            delivery_seconds=self._delivery_seconds,
            max_attempts=tool.options.max_attempts,
            time_limit_seconds=_time_limit(submission),
            home=worker_id,
            assigned_worker=worker_id if self._runs_jobs else None,
            sealed_authorization=self._sealer.seal(job_id, submission.authorization),
        )

    # --- reserve, create, hand over ---

    async def _create(self, job: Job, local: LocalJob, submission: Submission, waiter: Waiter | None) -> Created:
        """Create a job, and have it run if it is new; the waiter waits for its end then."""
        body = await self._stored(submission)
        if submission.job_id is not None:
            there = await self._live_job(job.id)
            if there is not None:
                return Created(there, is_new=False)
        if not self.accepts and submission.refusal is None:
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

    # --- attach ---

    async def _attached(self, known: Job, submission: Submission, waiter: Waiter | None) -> Job:
        audit.submitted("attached", submission, known)
        if waiter is None:
            return known
        self._waiters.add(known.id, waiter)  # first add, then read: an end in between is not missed
        try:
            return await self._store.get(known.id) or known
        except BaseException:
            self._waiters.remove(known.id, waiter)
            raise


def check_same(known: Job, submission: Submission, caller: bytes, digest: bytes) -> None:
    """Refuse to attach a request to a job of another one.

    A job of an older version does not know its caller: it is compared by its principal alone.

    Raises:
        JobConflictError: if it is of another caller, of another tool or of another body. Only who has named the job,
            and made it, is told more than that the id or key is in use.
    """
    tool = submission.tool.name
    if submission.job_id is None and known.request_digest != digest:  # a key is of one tool and one caller
        raise JobConflictError("the Idempotency-Key was used with another body: choose another key for another request")
    if known.principal != submission.principal_id or known.caller not in (None, caller):
        raise JobConflictError("the job id is in use: choose another id")
    if known.tool != tool:
        raise JobConflictError(f"job '{known.id}' belongs to tool '{known.tool}', not '{tool}': choose another id")
    if known.request_digest != digest:
        raise JobConflictError(f"job '{known.id}' was made with another body: choose another id for another request")


def _time_limit(submission: Submission) -> float | None:
    asked, allowed = submission.time_limit_seconds, submission.tool.options.time_limit_seconds
    if asked is None:
        return allowed
    if allowed is not None and asked > allowed:
        raise BadRequestError(
            f"a time limit of {asked:g} s: tool '{submission.tool.name}' allows at most {allowed:g} s"
        )
    return asked
