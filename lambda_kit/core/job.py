"""A job: its record, its statuses, and which status may follow which.

The records are immutable snapshots. Only a `JobStore` makes the next one, and it asks `check_transition` first.
"""

import os
from enum import StrEnum

import msgspec

from lambda_kit.core.errors import IllegalTransitionError

__all__ = [
    "FINAL_STATUSES",
    "JOB_URN_PREFIX",
    "Failure",
    "FailureKind",
    "Job",
    "JobStatus",
    "Outcome",
    "Payload",
    "Progress",
    "RequestInfo",
    "check_transition",
    "claim_job",
    "end_job",
    "holds_claim",
    "new_job_id",
    "reap_job",
    "requeue_job",
]

JOB_URN_PREFIX = "urn:ivcap:job:"


class JobStatus(StrEnum):
    """The status of a job, in the platform's words (docs/wire.md, Names)."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    """The platform's own: a valid filter, never produced here."""
    EXECUTING = "executing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The tool failed."""
    ERROR = "error"
    """The machinery failed: worker lost, time limit."""
    CANCELLED = "cancelled"

    __hash__ = str.__hash__  # Enum's own is written in Python, and slow

    @property
    def is_final(self) -> bool:
        """Whether no other status can follow."""
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.ERROR, JobStatus.CANCELLED})

_NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.EXECUTING, JobStatus.CANCELLED, JobStatus.ERROR}),
    JobStatus.SCHEDULED: frozenset(),
    # back to pending: its worker was lost, or handed it back, and attempts remain
    JobStatus.EXECUTING: FINAL_STATUSES | {JobStatus.PENDING},
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.ERROR: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


def check_transition(job_id: str, before: JobStatus, after: JobStatus) -> None:
    """Refuse a change of status that is not legal.

    Raises:
        IllegalTransitionError: if `after` may not follow `before`.
    """
    if after not in _NEXT[before]:
        raise IllegalTransitionError(f"job '{job_id}' is {before} and can't become {after}")


def new_job_id() -> str:
    """A random UUID (version 4, RFC 9562), with 122 bits of entropy: who knows it may read the job's result."""
    digits = os.urandom(16).hex()  # uuid.uuid4 takes five times as long, and this is done for each job
    variant = "89ab"[ord(digits[16]) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Payload(msgspec.Struct, frozen=True, gc=False):
    """Bytes and what they are: the body of a request or of a result."""

    content: bytes
    content_type: str


class FailureKind(StrEnum):
    """Why a job has no result. Adapters choose their answer by it."""

    INVALID_VALUE = "invalid-value"
    """The tool raised `ValueError`: the request asks for something that can't be."""
    TOOL = "tool"
    """The tool raised anything else."""
    NO_RESULT = "no-result"
    """The tool returned `None` against its annotation."""
    ENCODING = "encoding"
    """The tool returned something that can't be encoded."""
    WORKER_LOST = "worker-lost"
    """The worker that ran the job is gone."""
    MEMORY_LIMIT = "memory-limit"
    """The job needed more memory than its worker may have."""
    TIME_LIMIT = "time-limit"
    """The job ran over its time limit."""

    @property
    def status(self) -> JobStatus:
        """`ERROR` where the machinery failed, else `FAILED`."""
        machinery = self in (FailureKind.WORKER_LOST, FailureKind.MEMORY_LIMIT, FailureKind.TIME_LIMIT)
        return JobStatus.ERROR if machinery else JobStatus.FAILED


class Failure(msgspec.Struct, frozen=True, gc=False):
    """What went wrong in a job.

    `type` is the class name of the exception, or a type such as ``no-result-error``. The traceback is for the log and
    for debug mode, never for a client otherwise.
    """

    kind: FailureKind
    type: str
    message: str
    traceback: str | None = None


Outcome = Payload | Failure | None
"""How a run ended: a result, a failure, or None for "it was cancelled"."""


class Progress(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How far a job is, as its tool said last."""

    done: int | float
    total: int | float | None = None
    message: str | None = None


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A snapshot of the request that made a job. It also works in other processes.

    Credentials (``Authorization``, ``Proxy-Authorization``, ``Cookie``) are not in it, since it is stored with the job:
    use `JobContext.job_authorization`. Where a job was not made by HTTP, the snapshot is made up from what is known.
    """

    method: str
    """The HTTP method, ``"POST"``."""
    url: str
    """The full URL as the server saw it."""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """The header fields as they came, names in lower case."""
    client: tuple[str, int] | None = None
    """Address and port of the peer, where known."""

    @property
    def headers(self) -> dict[str, str]:
        """Header fields by lower-case name; several fields of one name are joined by ``", "`` (RFC 9110, 5.3)."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record of one job: a snapshot, without the bodies of request and result.

    Times are seconds since the epoch, UTC.
    """

    id: str
    tool: str
    status: JobStatus = JobStatus.PENDING
    request_content_type: str = "application/json"
    request_digest: bytes = b""
    """Digest of media type and body: equal for equal requests."""
    idempotency_key: str | None = None
    """A hash that stands for tool, caller and ``Idempotency-Key``."""
    request_info: RequestInfo | None = None
    traceparent: str | None = None
    requested_at: float
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    ttl_seconds: float = 3600.0
    """For how long the job is kept once it is final."""
    keep_finished: int = 10_000
    """How many finished jobs of its tool a memory store keeps."""
    attempt: int = 0
    max_attempts: int = 1
    time_limit_seconds: float | None = None
    """For how long it may run, counted from `started_at`. None: no limit."""
    taken_by: str | None = None
    """The process in whose queue it waits, or that ran it last. None: nobody's."""
    sealed_authorization: bytes | None = None
    """The request's authorization, encrypted. None: it is not kept."""
    claim_id: str | None = None
    """Which claim has it: a claim whose answer was lost can be made again."""
    lease_owner: str | None = None
    lease_token: int = 0
    """The fencing token: grows with every claim."""
    lease_expires_at: float | None = None
    cancel_requested: bool = False
    result_content_type: str | None = None
    failure: Failure | None = None
    progress: Progress | None = None

    @property
    def urn(self) -> str:
        """The job's URN."""
        return JOB_URN_PREFIX + self.id

    @property
    def deadline(self) -> float | None:
        """When its time is over. None: it does not run, or has no limit."""
        if self.time_limit_seconds is None or self.started_at is None:
            return None
        return self.started_at + self.time_limit_seconds


def claim_job(job: Job, *, owner: str, lease_seconds: float, now: float, claim_id: str | None = None) -> Job:
    """The record of a pending job that a worker takes."""
    check_transition(job.id, job.status, JobStatus.EXECUTING)
    return msgspec.structs.replace(
        job,
        status=JobStatus.EXECUTING,
        started_at=now,
        attempt=job.attempt + 1,
        taken_by=owner,
        claim_id=claim_id,
        lease_owner=owner,
        lease_token=job.lease_token + 1,
        lease_expires_at=now + lease_seconds,
    )


def holds_claim(job: Job, owner: str, claim_id: str) -> bool:
    """Whether a job is being run by that very claim."""
    return job.status is JobStatus.EXECUTING and job.claim_id == claim_id and job.lease_owner == owner


def end_job(job: Job, outcome: Outcome, *, now: float) -> Job:
    """The record of a job that ends. If its cancel was asked for, it is cancelled, whatever the outcome."""
    failure = result = None
    status = JobStatus.CANCELLED
    if job.cancel_requested:
        pass  # a late result never overwrites a cancel
    elif isinstance(outcome, Failure):
        failure, status = outcome, outcome.kind.status
    elif outcome is not None:
        result, status = outcome, JobStatus.SUCCEEDED
    check_transition(job.id, job.status, status)
    return msgspec.structs.replace(
        job,
        status=status,
        finished_at=now,
        expires_at=now + job.ttl_seconds,
        lease_owner=None,
        lease_expires_at=None,
        result_content_type=None if result is None else result.content_type,
        failure=failure,
    )


def requeue_job(job: Job, *, is_counted: bool, taken_by: str | None = None) -> Job:
    """The record of an executing job that has to wait again.

    Args:
        job: The record now.
        is_counted: Whether the attempt counts.
        taken_by: In whose queue it waits. None: nobody's.
    """
    check_transition(job.id, job.status, JobStatus.PENDING)
    return msgspec.structs.replace(
        job,
        status=JobStatus.PENDING,
        started_at=None,
        attempt=job.attempt if is_counted else job.attempt - 1,
        taken_by=taken_by,
        claim_id=None,
        lease_owner=None,
        lease_expires_at=None,
    )


def reap_job(job: Job, *, now: float) -> Job | None:
    """The record of a job whose worker's lease has run out; None if it has not, or there is none."""
    if job.lease_expires_at is None or job.lease_expires_at > now:
        return None
    if job.attempt < job.max_attempts and not job.cancel_requested:
        return requeue_job(job, is_counted=True)
    lost = f"worker lost: the process that ran the job did not renew its lease (attempt {job.attempt})"
    return end_job(job, Failure(FailureKind.WORKER_LOST, "worker-lost", lost), now=now)
