"""The failures that the engine itself finds, in words, and the log line of a failed job."""

import logging

import msgspec

from lambda_kit.core.errors import PayloadTooLargeError, StoreFullError
from lambda_kit.core.model.bounds import bounded_text
from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome

__all__ = ["CANCELLED_TYPE", "LOST_AT_STOP", "cancelled_text", "log", "not_kept", "not_run", "over_time"]

logger = logging.getLogger("lambda_kit.job")

_SHORT_BYTES = 1024
"""What is left of a failure's message in a store that is full."""

CANCELLED_TYPE = "job-cancelled"
"""What stands for `Failure.type` where a job was cancelled."""

LOST_AT_STOP = Failure(
    FailureKind.WORKER_LOST,
    "worker-lost",
    "worker lost: the service was stopped, and the tool did not stop in time",
)


def cancelled_text(job: Job) -> str:
    """Why a cancelled job has no result."""
    return f"job '{job.id}' was cancelled"


def over_time(limit_seconds: float) -> Failure:
    """The job ran for longer than it may."""
    message = f"the job ran over its time limit of {limit_seconds:g} s"
    return Failure(FailureKind.TIME_LIMIT, "time-limit", message)


def not_run(error: BaseException) -> Failure:
    """The executor could not run the job."""
    message = f"the job could not be run: {type(error).__name__}: {error}"
    return Failure(FailureKind.WORKER_LOST, "worker-lost", message)


def not_kept(job_id: str, outcome: Outcome, error: Exception) -> Failure:
    """The store refused the job's end: what is kept instead."""
    if isinstance(error, StoreFullError):
        logger.error("job %s: its end can't be kept as it is: %s", job_id, error)
        if isinstance(outcome, Failure):
            message = bounded_text(outcome.message, _SHORT_BYTES)
            return msgspec.structs.replace(outcome, message=message, traceback=None)
        message = "the result could not be kept: the job store is full"
        return Failure(FailureKind.ENCODING, "result-not-kept", message)
    if isinstance(error, PayloadTooLargeError):
        return Failure(FailureKind.ENCODING, "result-too-large", f"the result can't be kept: {error}")
    logger.error("job %s: its end could not be written", job_id, exc_info=error)
    return Failure(FailureKind.ENCODING, "result-not-kept", "the result could not be kept; the log has the details")


def log(job: Job, failure: Failure, now: float) -> None:
    """Log that a job has failed, with the traceback; `now` is the store's time."""
    is_callers = failure.kind is FailureKind.INVALID_VALUE or (failure.status is not None and failure.status < 500)
    level = logging.WARNING if is_callers else logging.ERROR
    seconds = now - (job.started_at or job.requested_at)
    logger.log(
        level,
        "job %s of tool '%s' %s after %.3f s: %s: %s%s",
        job.id,
        job.tool,
        "is run again," if job.status is JobStatus.PENDING else job.status,
        seconds,
        failure.type,
        failure.message.replace("\n", "\\n"),  # only the traceback has lines of its own
        "\n" + failure.traceback if failure.traceback else "",
        extra={"job_id": job.id, "tool": job.tool},
    )
