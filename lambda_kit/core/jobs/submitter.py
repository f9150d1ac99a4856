"""Finds the job that a request belongs to, or makes one of it."""

from collections.abc import Callable
from typing import Any

import msgspec

from lambda_kit.core.errors import (
    BadRequestError,
    JobConflictError,
    LambdaKitError,
)
from lambda_kit.core.jobs import audit
from lambda_kit.core.jobs.access import check_scopes
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.authorization_sealer import Sealer
from lambda_kit.core.jobs.caller_shares import CallerShares
from lambda_kit.core.jobs.callers import Callers
from lambda_kit.core.jobs.creator import JobCreator
from lambda_kit.core.jobs.job_table import JobTable, LocalJob, State
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.jobs.reconciler import Reconciler
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.submission import Submission, digest_of
from lambda_kit.core.jobs.waiting import Waiter, Waiters
from lambda_kit.core.model.job import Job, new_job_id
from lambda_kit.core.model.refusal_reasons import reason_of
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.threads import off_loop

__all__ = ["Submitter"]

_LARGE_BYTES = 256 * 1024
_RESERVED = State.RESERVED  # to read it there takes 0.1 µs on Python 3.11, and each job goes through here


class Submitter:
    """Makes a job of each request, unless it belongs to a job that is there.

    Args:
        store: Keeps the jobs.
        table: The jobs of this process.
        scheduler: Has a lane for each tool.
        waiters: Those who wait for the end of a job here.
        observers: See jobs come.
        creator: Creates the jobs, and has them run.
        admission: Says whether jobs are taken.
        callers: Tells callers apart.
        shares: Knows what one caller may have. None: anything.
        sealer: Encrypts the authorizations that are kept with jobs.
        reconciler: Knows the jobs in doubt.
        worker_id: Gives the id of this process.
        runs_jobs: Whether this process runs jobs.
        delivery_seconds: For how long a job is kept for sinks.
    """

    def __init__(
        self,
        store: JobStore,
        table: JobTable,
        scheduler: Scheduler,
        waiters: Waiters,
        observers: Observers,
        *,
        creator: JobCreator,
        admission: Admission,
        callers: Callers,
        shares: CallerShares | None,
        sealer: Sealer,
        reconciler: Reconciler,
        worker_id: Callable[[], str],
        runs_jobs: bool,
        delivery_seconds: float,
    ) -> None:
        self._store = store
        self._table = table
        self._scheduler = scheduler
        self._waiters = waiters
        self._observers = observers
        self._creator = creator
        self._admission = admission
        self._callers = callers
        self._shares = shares
        self._sealer = sealer
        self._reconciler = reconciler
        self._worker_id = worker_id
        self._runs_jobs = runs_jobs
        self._delivery_seconds = delivery_seconds

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
            if share is not None and self._admission.is_open:
                await self._shares.take(share)
            if self._shares.max_unfinished is None:
                share = None  # nobody counts the job
        value = submission.value
        if value is None and submission.refusal is None:
            value = await off_loop(tool.read, body) if is_large else tool.read(body)
        if known is not None:
            return await self._resumed(known, submission, value, waiter)
        job = self._new_job(submission, caller, share, digest, key)
        created = await self._creator.create(job, self._local(job, submission, value), submission, waiter)
        if submission.must_be_new and not created.is_new:
            submission = msgspec.structs.replace(submission, job_id=None)
            job = self._new_job(submission, caller, share, digest, key)
            created = await self._creator.create(job, self._local(job, submission, value), submission, waiter)
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
        worker_id = self._worker_id()
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
