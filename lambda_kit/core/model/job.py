"""A job: its record, and its statuses.

The records are immutable snapshots. Only a `JobStore` makes the next one (`lambda_kit.core.model.transitions`).
"""

import os
from enum import StrEnum

import msgspec

from lambda_kit.core.model.request_info import RequestInfo

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
    "new_job_id",
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


class _RandomDigits:
    """Random bytes of the system, fetched for many ids at once, and never used by two processes."""

    def __init__(self) -> None:
        self._digits: list[str] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._digits.clear)

    def take(self) -> str:
        """32 hexadecimal digits. From any thread."""
        try:
            return self._digits.pop()
        except IndexError:
            digits = os.urandom(16 * 256).hex()
            self._digits += [digits[start : start + 32] for start in range(32, len(digits), 32)]
            return digits[:32]


_random = _RandomDigits()


def new_job_id() -> str:
    """A random UUID (version 4, RFC 9562), with 122 bits of entropy: who knows it may read the job's result."""
    digits = _random.take()  # uuid.uuid4 takes ten times as long, and this is done for each job
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Payload(msgspec.Struct, frozen=True, gc=False):
    """Bytes and what they are: the body of a request or of a result."""

    content: bytes
    content_type: str
    filename: str | None = None
    """The name of the file that a request's body is, where its sender gave one."""


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

    `type` is the class name of the exception, a type such as ``no-result-error``, or what the tool chose. The traceback
    is for the log and for debug mode, never for a client otherwise.
    """

    kind: FailureKind
    type: str
    message: str
    traceback: str | None = None
    status: int | None = None
    """The HTTP status that the tool chose, 400 to 599. None: it chose none."""
    retry_after_seconds: float | None = None
    """When to try again, as the tool said. None: it did not say."""


Outcome = Payload | Failure | None
"""How a run ended: a result, a failure, or None for "it was cancelled"."""


class Progress(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How far a job is, as its tool said last."""

    done: int | float
    total: int | float | None = None
    message: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record of one job: a snapshot, without the bodies of request and result.

    Times are seconds since the epoch, UTC.
    """

    id: str
    tool: str
    status: JobStatus = JobStatus.PENDING
    request_content_type: str = "application/json"
    request_filename: str | None = None
    """The name of the file that the body is. None: it has none."""
    request_digest: bytes = b""
    """Digest of media type and body: equal for equal requests."""
    idempotency_key: str | None = None
    """A hash that stands for tool, caller and ``Idempotency-Key``."""
    principal: str | None = None
    """Whose job it is: the id of the principal that submitted it. None: no authenticator is configured."""
    caller: bytes | None = None
    """A hash of who submitted it, which only the store's processes can make. None: an older version made the job."""
    request_info: RequestInfo | None = None
    traceparent: str | None = None
    """The trace that the job continues (W3C Trace Context)."""
    tracestate: str | None = None
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
    home: str | None = None
    """The worker that took the request. It delivers events and the end to the sinks; if it is dead, any other does."""
    assigned_worker: str | None = None
    """The worker that has the job: in its queue (pending), running it (executing), or that ran it last. None: no
    worker has it, any may adopt it."""
    sealed_authorization: bytes | None = None
    """The request's authorization, encrypted. None: it is not kept."""
    claim_id: str | None = None
    """Which claim has it: a claim whose answer was lost can be made again."""
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
