"""A job: its record, and its statuses.

The records are immutable snapshots. Only a `JobStore` makes the next one (`lambda_kit.core.model.transitions`).
"""

import os
import re
from enum import StrEnum

import msgspec

from lambda_kit.core.model.principal import Principal
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
    "bare_job_id",
    "new_job_id",
]

JOB_URN_PREFIX = "urn:ivcap:job:"


_BARE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_JOB_URN = re.compile(r"(?i:urn:ivcap):job:")


def bare_job_id(name: str) -> str | None:
    """The bare id of a job that is named by its id or its URN (docs/wire.md, Names). None: it is neither.

    "urn:ivcap" is case-insensitive, what follows is not (RFC 8141 section 3). Refused although their characters are
    allowed: "." and "..", which can't be a part of a URL's path (RFC 3986 section 5.2.4), and other URNs, which are no
    job's name.
    """
    urn = _JOB_URN.match(name)
    job_id = name[urn.end() :] if urn else name
    if not _BARE_ID.fullmatch(job_id) or job_id in {".", ".."} or job_id[:4].lower() == "urn:":
        return None
    return job_id


class JobStatus(StrEnum):
    """The status of a job, in the platform's words (docs/wire.md, Names)."""

    is_final: bool
    """Whether no other status can follow."""

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

    def __init__(self, value: str) -> None:
        self.is_final = value in {"succeeded", "failed", "error", "cancelled"}


FINAL_STATUSES = frozenset(status for status in JobStatus if status.is_final)


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
    """The bare id, without ``urn:ivcap:job:``."""
    given_id: str | None = None
    """The id as the platform gave it, where it gave one that is not `id`: in batch mode it may be a URN. What is sent
    to the platform uses `id_as_given`."""
    tool: str
    """The name of the tool that runs it."""
    is_in_process: bool = False
    """Whether the service's own code made it, by `ToolServer.run_tool`: then it is nobody else's business."""
    status: JobStatus = JobStatus.PENDING
    """Where it is in its life. Final: succeeded, failed, error and cancelled."""
    request_content_type: str = "application/json"
    """The media type of the request's body."""
    request_filename: str | None = None
    """The name of the file that the body is. None: it has none."""
    request_digest: bytes = b""
    """Digest of media type and body: equal for equal requests."""
    idempotency_key: str | None = None
    """A hash that stands for tool, caller and ``Idempotency-Key``."""
    principal: str | None = None
    """Whose job it is: the id of the principal that submitted it. None: no authenticator is configured."""
    principal_name: str | None = None
    """What the principal was called when it submitted the job."""
    principal_scopes: tuple[str, ...] = ()
    """What the principal was allowed to do when it submitted the job; sorted."""
    caller: bytes | None = None
    """A hash of who submitted it, which only the store's processes can make. None: an older version made the job."""
    share: bytes | None = None
    """Of whose share it is (`CallerLimits`): a hash as `caller`. None: it is not limited."""
    request_info: RequestInfo | None = None
    """What is kept of the HTTP request. None: the job was not made by HTTP."""
    traceparent: str | None = None
    """The trace that the job continues (W3C Trace Context)."""
    tracestate: str | None = None
    """What belongs to `traceparent`."""
    call: bytes | None = None
    """What the door that took the request needs to answer it again, at any replica. Only that door reads it."""
    requested_at: float
    """When it was submitted."""
    started_at: float | None = None
    """When its run began. None: it is pending, or was ended before it ran."""
    finished_at: float | None = None
    """When it became final. None: it is not."""
    expires_at: float | None = None
    """Until when clients can see it. None: it is not final, and does not expire."""
    ttl_seconds: float = 3600.0
    """For how long the job is kept once it is final."""
    keep_finished: int = 10_000
    """How many finished jobs of its tool a memory store keeps."""
    delivery_seconds: float = 86_400.0
    """For how long after its end it is kept for the sinks that have not confirmed it."""
    attempt: int = 0
    """How often it was started, without runs that were handed back uncounted."""
    max_attempts: int = 1
    """How often it may be started (`ToolOptions.max_attempts`)."""
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
    """Until when its worker has it, unless the lease is renewed. None: it is not executing."""
    cancel_requested: bool = False
    """Whether its end was asked for."""
    result_content_type: str | None = None
    """The media type of the result. None: it has none."""
    failure: Failure | None = None
    """Why there is no result. None: it did not fail."""
    progress: Progress | None = None
    """What the tool has reported last by `JobContext.progress`. None: nothing."""

    @property
    def urn(self) -> str:
        """The job's URN."""
        return JOB_URN_PREFIX + self.id

    @property
    def submitter(self) -> Principal | None:
        """Who submitted it, as it was known then. None: no authenticator is configured."""
        if self.principal is None:
            return None
        return Principal(self.principal, name=self.principal_name, scopes=frozenset(self.principal_scopes))

    @property
    def id_as_given(self) -> str:
        """The id by which the platform knows the job: for paths and headers of what is sent there."""
        return self.id if self.given_id is None else self.given_id

    @property
    def deadline(self) -> float | None:
        """When its time is over. None: it does not run, or has no limit."""
        if self.time_limit_seconds is None or self.started_at is None:
            return None
        return self.started_at + self.time_limit_seconds

    @property
    def deliver_until(self) -> float | None:
        """Until when it is kept for sinks that have not confirmed it. None: it has not ended."""
        return None if self.finished_at is None else self.finished_at + self.delivery_seconds
