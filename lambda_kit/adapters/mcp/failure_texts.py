"""What an agent is told of a call that failed: what was wrong, and what it can do.

No exception text of a crash is in it (docs/mcp.md, Results).
"""

import math
import re

from lambda_kit.core.errors import (
    LambdaKitError,
    QueueFullError,
    RateLimitedError,
    RequestValidationError,
    UnavailableError,
)
from lambda_kit.core.jobs.failures import cancelled_text
from lambda_kit.core.model.bounds import bounded_text
from lambda_kit.core.model.job import Failure, FailureKind, Job
from lambda_kit.core.model.refusal_reasons import client_text
from lambda_kit.core.tools.agent_schema import REQUEST

__all__ = ["failure_text", "refusal_text"]

_MOST_FAULTS = 20
_LONGEST_BYTES = 16 * 1024

_LATER = re.compile(r": (?:try again|come back) later$")
"""What is said with a time here."""

_ENGINES_OWN = frozenset(["result-not-kept", "result-too-large"])
"""Failures of the kind `FailureKind.ENCODING` that are not what an object of the user's raised."""


def failure_text(job: Job, *, debug: bool) -> str:
    """Why a job that has ended has no result.

    Args:
        job: The job.
        debug: Whether exception texts and tracebacks may be shown.
    """
    failure = job.failure
    if failure is None:
        return cancelled_text(job)
    text = failure.message if debug else _without_internals(job, failure)
    if debug and failure.traceback:
        text = f"{text}\n\n{failure.traceback}"
    return bounded_text(text, _LONGEST_BYTES) + _again(failure.retry_after_seconds)


def _without_internals(job: Job, failure: Failure) -> str:
    if failure.kind is FailureKind.WORKER_LOST:
        return (
            f"job '{job.id}' was lost: the process that ran it has ended. Call the tool again, "
            "if it does no harm that part of its work may be done already"
        )
    is_crash = failure.kind is FailureKind.TOOL and failure.status is None
    if is_crash or (failure.kind is FailureKind.ENCODING and failure.type not in _ENGINES_OWN):
        return (
            "the tool failed inside. The arguments need not be wrong; the same call may fail again. "
            f"The service's log has the details: job '{job.id}'"
        )
    return failure.message


def refusal_text(error: LambdaKitError, *, wraps_request: bool = False) -> str:
    """Why a call did not become a job.

    Args:
        error: Why.
        wraps_request: Whether the request is the member ``request`` of what was sent.
    """
    if isinstance(error, RequestValidationError):
        return _faults_text(error, [REQUEST] if wraps_request else [])
    text = client_text(error)
    seconds: float | None = None
    if isinstance(error, (QueueFullError, RateLimitedError, UnavailableError)):
        seconds = error.retry_after_seconds
        text = _LATER.sub("", text)
    return text + _again(seconds)


def _faults_text(error: RequestValidationError, prefix: list[str]) -> str:
    lines = ["the arguments do not fit the tool's input schema:"]
    for fault in error.errors[:_MOST_FAULTS]:
        where = ".".join(map(str, [*prefix, *fault["loc"][1:]])) or "arguments"
        lines.append(f"- {where}: {fault['msg']}")
    if len(error.errors) > _MOST_FAULTS:
        lines.append(f"- and {len(error.errors) - _MOST_FAULTS} more")
    return bounded_text("\n".join(lines), _LONGEST_BYTES)


def _again(seconds: float | None) -> str:
    return "" if seconds is None else f"; try again in {max(1, math.ceil(seconds))} s"
