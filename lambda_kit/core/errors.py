"""The errors of lambda_kit, in one tree.

    LambdaKitError
     ├─ ToolDefinitionError        a tool class or its options are wrong
     ├─ ConfigurationError         a server is put together wrongly
     │   └─ MissingExtraError      an optional package is not installed
     ├─ BadRequestError            something in a request is malformed
     ├─ RequestValidationError     the body does not fit the request model
     ├─ UnsupportedMediaTypeError  the body is not JSON
     ├─ PayloadTooLargeError       the body is over the size limit
     ├─ ToolNotFoundError          no tool of that name
     ├─ JobNotFoundError           no job of that id, or it has expired
     ├─ JobConflictError           the id or key belongs to another request
     ├─ JobFailedError             a job that was awaited did not succeed
     ├─ QueueFullError             admission refused, come back later
     ├─ UnavailableError           the store, or the service, is away
     │   └─ NotServingError        the service starts, drains, or is not ready
     └─ StoreError
         ├─ IllegalTransitionError the job may not go from this status to that
         └─ LeaseLostError         the caller no longer holds the job's lease

    JobCancelledError (BaseException)  raised inside a cancelled tool

Core knows no status code: the HTTP adapter maps these in one table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "BadRequestError",
    "ConfigurationError",
    "IllegalTransitionError",
    "JobCancelledError",
    "JobConflictError",
    "JobFailedError",
    "JobNotFoundError",
    "LambdaKitError",
    "LeaseLostError",
    "MissingExtraError",
    "NotServingError",
    "PayloadTooLargeError",
    "QueueFullError",
    "RequestValidationError",
    "StoreError",
    "ToolDefinitionError",
    "ToolNotFoundError",
    "UnavailableError",
    "UnsupportedMediaTypeError",
]


class LambdaKitError(Exception):
    """Base of every error that lambda_kit raises, except `JobCancelledError`."""


class ToolDefinitionError(LambdaKitError):
    """A tool class can't be served: the text names class, parameter and remedy."""


class ConfigurationError(LambdaKitError):
    """A server is put together in a way that can't work: the text says what to change."""


class MissingExtraError(ConfigurationError):
    """Something was asked for that needs a package which is not installed: the text says which command installs it.

    Args:
        what: What needs it, to begin the text.
        extra: The extra of lambda_kit that brings the package.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}', which is not installed: pip install 'lambda-kit[{extra}]'")
        self.extra = extra


class BadRequestError(LambdaKitError):
    """Something in a request (a header, a query parameter) is malformed."""


class RequestValidationError(LambdaKitError):
    """The body is not JSON, or does not fit the tool's request model.

    Args:
        message: One line that says what is wrong.
        errors: One mapping per fault: ``loc`` (a path that starts with ``"body"``), ``msg``, ``type``.
            It never holds the value that was sent, which may be a secret.
    """

    def __init__(self, message: str, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.errors = [dict(error) for error in errors]


class UnsupportedMediaTypeError(LambdaKitError):
    """The request's content type is neither JSON nor absent."""


class PayloadTooLargeError(LambdaKitError):
    """A body is over the size limit, or larger than a store can keep."""


class ToolNotFoundError(LambdaKitError):
    """No tool of that name is served."""


class JobNotFoundError(LambdaKitError):
    """No job of that id: it never existed, or it has expired.

    Args:
        job_id: The bare id that was looked for.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job '{job_id}' can't be found: it never existed, or its result is no longer kept")
        self.job_id = job_id


class JobConflictError(LambdaKitError):
    """A job id or idempotency key is already taken by a request with another body or tool."""


class JobFailedError(LambdaKitError):
    """A job that was awaited in-process ended without a result.

    Args:
        job_id: The bare id of the job.
        status: Its final status, for example ``"failed"`` or ``"cancelled"``.
        error_type: The class name of what the tool raised, or a type such as ``"no-result-error"``.
        message: What went wrong.
    """

    def __init__(self, job_id: str, status: str, error_type: str, message: str) -> None:
        super().__init__(f"job '{job_id}' {status}: {error_type}: {message}")
        self.job_id = job_id
        self.status = status
        self.error_type = error_type
        self.message = message


class QueueFullError(LambdaKitError):
    """A tool's queue is full. Nothing was kept of the request: try again later.

    Args:
        message: What is full.
        retry_after_seconds: When a place may be free. None: who refuses does not know, and the service estimates it.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.says_when = retry_after_seconds is not None
        self.retry_after_seconds = 1.0 if retry_after_seconds is None else retry_after_seconds


class UnavailableError(LambdaKitError):
    """The service can't take the request now: it starts, drains, or its store is away.

    Args:
        message: Why.
        retry_after_seconds: When to try again.
    """

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotServingError(UnavailableError):
    """The service itself takes no request now: it starts or stops, or is not ready.

    Clients are told its text. Of any other `UnavailableError`, which tells of a database, they are told in general.
    """


class StoreError(LambdaKitError):
    """A job store refused an operation."""


class IllegalTransitionError(StoreError):
    """A job may not go from the status it has to the one that was asked for."""


class LeaseLostError(StoreError):
    """The fencing token is not the job's current one: somebody else owns the job now, or it ended."""


class JobCancelledError(BaseException):
    """Raised inside a tool whose job was cancelled.

    A ``BaseException``, so that a tool's ``except Exception`` does not swallow it.
    """
