"""The one table of errors: what goes wrong inside, as an answer of RFC 9457 (docs/wire.md, Errors)."""

import logging
import math
import time
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, NotFoundException
from litestar.response import Response

from lambda_kit.core.errors import (
    AuthenticationError,
    BadRequestError,
    JobConflictError,
    JobNotFoundError,
    LambdaKitError,
    MissingExtraError,
    NotServingError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QueueFullError,
    RateLimitedError,
    RequestValidationError,
    ToolError,
    ToolNotFoundError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from lambda_kit.core.jobs.failures import CANCELLED_TYPE, cancelled_text
from lambda_kit.core.model.job import FailureKind, Job
from lambda_kit.core.model.refusal_reasons import INTERNAL_ERROR, INTERNAL_TEXT, client_text, reason_of
from lambda_kit.version import VERSION

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "PROBLEM_SCHEMA",
    "RESOURCE_METADATA",
    "VERSION_HEADER",
    "Problem",
    "on_exception",
    "problem_body",
    "problem_of_job",
    "retry_after",
]

logger = logging.getLogger("lambda_kit.http")

PROBLEM_MEDIA_TYPE = "application/problem+json"

VERSION_HEADER = "Ivcap-AI-Tool-Version"
"""Every response has it."""

RESOURCE_METADATA: Any = "lambda_kit.resource_metadata"
"""In the scope of a request whose sender is known: the parameter of a challenge that names the metadata, if any."""

_SCHEMA_URN = "urn:ivcap:schema.ai-tool.error.1"

_STATUS_OF_FAILURE: dict[FailureKind, int] = {
    FailureKind.INVALID_VALUE: 400,
    FailureKind.TOOL: 500,
    FailureKind.NO_RESULT: 500,
    FailureKind.ENCODING: 500,
    FailureKind.WORKER_LOST: 500,
    FailureKind.MEMORY_LIMIT: 500,
    FailureKind.TIME_LIMIT: 504,
}

_STATUS_OF_ERROR: dict[type[LambdaKitError], int] = {
    AuthenticationError: 401,
    PermissionDeniedError: 403,
    BadRequestError: 400,
    RequestValidationError: 422,
    UnsupportedMediaTypeError: 415,
    PayloadTooLargeError: 413,
    ToolNotFoundError: 404,
    JobNotFoundError: 404,
    MissingExtraError: 404,
    JobConflictError: 409,
    QueueFullError: 429,
    RateLimitedError: 429,
    UnavailableError: 503,
}

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Where Python, before 3.13, has other words than RFC 9110."""

_NO_PATH = "there is no such path: GET /openapi.json lists all"
_UNKNOWN = "Unknown"
"""The title of a status that is nobody's, such as the 460 of a guard."""

_LONGEST_SECONDS = 2**31 - 1
"""More than that a client may not be able to read."""

_LOGGED_AT = "lambda_kit_absence_logged_at"
_LOG_SECONDS = 10.0
"""So often, at most, the log says why requests are answered by 503."""

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457), with IVCAP's members.",
    "required": ["type", "title", "status", "detail", "$schema", "message", "code"],
    "properties": {
        "type": {"type": "string", "description": "The kind of error: a word, or the class of the tool's exception."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What went wrong."},
        "instance": {"type": "string", "description": "The URN of the job, where there is one."},
        "$schema": {"type": "string", "const": _SCHEMA_URN},
        "message": {"type": "string", "description": "As `detail`."},
        "code": {"type": "integer", "description": "As `status`."},
        "errors": {
            "type": "array",
            "description": "Each fault in the request's body.",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
        "traceback": {"type": "string", "description": "Only in debug mode."},
    },
}
"""The JSON Schema of every error body."""


class Problem(NamedTuple):
    """One error as it leaves the service."""

    status: int
    type: str
    detail: str
    job_urn: str | None = None
    errors: list[dict[str, Any]] | None = None
    traceback: str | None = None


def problem_body(problem: Problem) -> bytes:
    """The JSON of an error, its members in the order of docs/wire.md."""
    body: dict[str, Any] = {
        "type": problem.type,
        "title": _title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.job_urn is not None:
        body["instance"] = problem.job_urn
    body |= {"$schema": _SCHEMA_URN, "message": problem.detail, "code": problem.status}
    if problem.errors is not None:
        body["errors"] = problem.errors
    if problem.traceback is not None:
        body["traceback"] = problem.traceback
    return msgspec.json.encode(body)


def _title(status: int) -> str:
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return _UNKNOWN


def problem_of_job(job: Job, *, debug: bool) -> Problem:
    """Why a finished job has no result."""
    failure = job.failure
    if failure is None:
        return Problem(410, CANCELLED_TYPE, cancelled_text(job), job.urn)
    status = failure.status or _STATUS_OF_FAILURE[failure.kind]
    return Problem(status, failure.type, failure.message, job.urn, traceback=failure.traceback if debug else None)


def retry_after(seconds: float) -> str:
    """A time to wait as ``Retry-After`` says it: whole seconds, at least one (RFC 9110, 10.2.3)."""
    return str(min(max(1, math.ceil(seconds)), _LONGEST_SECONDS))


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything under lambda_kit's routes."""
    problem, headers = _problem_of(error)
    if isinstance(error, PermissionDeniedError):
        metadata = request.scope.get(RESOURCE_METADATA)
        challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'  # RFC 6750, 3.1; RFC 9728, 5.1
        headers["WWW-Authenticate"] = challenge if metadata is None else f"{challenge}, {metadata}"
    if problem.status == 413 and request.scope.get("http_version", "").startswith("1"):
        headers["Connection"] = "close"  # the rest of the body is not read
    if isinstance(error, UnavailableError):
        _log_absence(request, error)
    elif problem.status >= 500:
        path = request.scope.get("path_template") or "an unknown path"
        logger.error("%s %s failed", request.method, path, exc_info=error)
    return Response(
        problem_body(problem),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers={**headers, VERSION_HEADER: VERSION},
    )


def _log_absence(request: Request[Any, Any, Any], error: UnavailableError) -> None:
    """Say why a request could not be answered, which its client is not told: not for each of thousands."""
    now = time.monotonic()
    state = request.app.state
    if not isinstance(error, NotServingError) and now - state.get(_LOGGED_AT, -_LOG_SECONDS) >= _LOG_SECONDS:
        state[_LOGGED_AT] = now
        logger.warning("requests are answered by 503: %s", error)


def _problem_of(error: Exception) -> tuple[Problem, dict[str, str]]:
    """The problem, and the header fields that belong to it."""
    if isinstance(error, HTTPException):  # Litestar's own: no such path, method, guard of the user's …
        words = _title(error.status_code)
        kind = f"status-{error.status_code}" if words == _UNKNOWN else words.lower().replace(" ", "-")
        detail = error.detail or words
        if isinstance(error, NotFoundException) and detail == words:
            detail = _NO_PATH
        problem = Problem(error.status_code, kind, detail)
        return problem, dict(error.headers or {})
    if isinstance(error, ToolError):  # of a guard, say; what a tool raises is the failure of its job
        said = {} if error.retry_after is None else {"Retry-After": retry_after(error.retry_after)}
        return Problem(error.status, error.type or "", str(error)), said
    if not isinstance(error, LambdaKitError):
        return Problem(500, INTERNAL_ERROR, INTERNAL_TEXT), {}
    status = next((_STATUS_OF_ERROR[cls] for cls in type(error).__mro__ if cls in _STATUS_OF_ERROR), 500)
    headers: dict[str, str] = {}
    if isinstance(error, RateLimitedError):
        headers |= error.fields
    if isinstance(error, (QueueFullError, RateLimitedError, UnavailableError)):
        headers["Retry-After"] = retry_after(error.retry_after_seconds)
    if isinstance(error, AuthenticationError) and error.challenges:
        headers["WWW-Authenticate"] = ", ".join(error.challenges)
    errors = error.errors if isinstance(error, RequestValidationError) else None
    return Problem(status, reason_of(error), client_text(error), errors=errors), headers
