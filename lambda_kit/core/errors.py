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
     ├─ ToolError                  raised by a tool, which chooses the HTTP status
     ├─ AuthenticationError        no credentials, or wrong ones
     ├─ PermissionDeniedError      the principal lacks a scope
     ├─ QueueFullError             admission refused, come back later
     ├─ RateLimitedError           the caller has used up its own limit, come back later
     ├─ UnavailableError           the store, or the service, is away
     │   ├─ NotServingError        the service starts, drains, or is not ready
     │   └─ StoreFullError         the store has no room for what is new
     └─ StoreError
         ├─ IllegalTransitionError the job may not go from this status to that
         └─ LeaseLostError         the caller no longer holds the job's lease

    JobCancelledError (BaseException)  raised inside a cancelled tool

Core gives none of its own errors a status code: the HTTP adapter maps these in one table. It only carries the status
that a tool has chosen.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "AuthenticationError",
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
    "PermissionDeniedError",
    "QueueFullError",
    "RateLimitedError",
    "RequestValidationError",
    "StoreError",
    "StoreFullError",
    "ToolDefinitionError",
    "ToolError",
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


class AuthenticationError(LambdaKitError):
    """A request has no credentials, or wrong ones.

    Args:
        message: What is wrong, for the client. No part of the credentials.
        challenge: What to send: the values of ``WWW-Authenticate`` (RFC 9110, 11.6.1; RFC 6750, 3).
    """

    def __init__(self, message: str, *, challenge: str | Sequence[str] = ()) -> None:
        super().__init__(message)
        self.challenges = (challenge,) if isinstance(challenge, str) else tuple(challenge)


class PermissionDeniedError(LambdaKitError):
    """A principal may not do this: it lacks a scope.

    Args:
        message: What it may not do, for the client.
        scope: The scopes that are needed, separated by a space (RFC 6750, 3).
    """

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


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

    Where the tool ran in this process, ``__cause__`` is what it raised. Else its traceback is a note of this error
    (`BaseException.add_note`), as text.

    Args:
        job_id: The bare id of the job.
        status: Its final status, for example ``"failed"`` or ``"cancelled"``.
        error_type: The class name of what the tool raised, or a type such as ``"no-result-error"``.
        message: What went wrong.
        error_status: The HTTP status that the tool chose (`ToolError`). None: it chose none.
        retry_after_seconds: When to try again, as the tool said. None: it did not say.
    """

    def __init__(
        self,
        job_id: str,
        status: str,
        error_type: str,
        message: str,
        *,
        error_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"job '{job_id}' {status}: {error_type}: {message}")
        self.job_id = job_id
        self.status = status
        self.error_type = error_type
        self.message = message
        self.error_status = error_status
        self.retry_after_seconds = retry_after_seconds


class ToolError(LambdaKitError):
    """Raised by a tool that can't do what it is asked for: the tool chooses how that is answered over HTTP.

        raise ToolError("there is no model 'tiny'", status=404, type="no-such-model")

    A subclass can say in its class what all of its errors have in common:

        class NoSuchModelError(ToolError):
            status = 404
            type = "no-such-model"

    Args:
        message: What went wrong, for the client.
        status: The HTTP status of the answer, 400 to 599. None: that of the class, 500.
        type: The ``type`` of the error body: a word or a URI (RFC 9457, 3.1.1). None: that of the class, its name.
        retry_after: Seconds after which the client should try again, sent as ``Retry-After``. None: that of the class,
            nothing.

    Raises:
        ToolDefinitionError: if the status, the type or `retry_after` can't be sent.
    """

    status: int = 500
    type: str | None = None
    retry_after: float | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the member's name in RFC 9457
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        owner = self.__class__.__name__
        self.status = self.status if status is None else status
        self.type = (self.type if type is None else type) or owner
        self.retry_after = self.retry_after if retry_after is None else retry_after
        for name, is_good, allowed in (
            ("status", is_error_status(self.status), "an HTTP status of an error, a whole number from 400 to 599"),
            ("type", is_error_type(self.type), "a word such as 'no-such-model', or a URI"),
            ("retry_after", is_delay(self.retry_after), "a number of seconds, at least 0, or None"),
        ):
            if not is_good:
                raise ToolDefinitionError(f"{owner}({name}={getattr(self, name)!r}): must be {allowed}")


def is_error_status(value: object) -> bool:
    """Whether an answer with this status can tell of an error."""
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599


def is_error_type(value: object) -> bool:
    """Whether this can be the ``type`` of an error body."""
    return isinstance(value, str) and value != "" and value.isprintable()


def is_delay(value: object) -> bool:
    """Whether this is a number of seconds to wait, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value is None
    return 0 <= value < math.inf


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


class RateLimitedError(LambdaKitError):
    """A caller has used up its own limit. Nothing was kept of the request: try again later.

    Args:
        message: Which limit, for the caller.
        retry_after_seconds: When there is room again: who waits as long gets in.
        fields: Header fields that tell of the limit: names in lower case, and values.
    """

    def __init__(self, message: str, *, retry_after_seconds: float, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.fields = tuple(fields)


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


class StoreFullError(UnavailableError):
    """A store has no room for a new job, an event or a large result; nothing was written.

    What is there can still end, be cancelled and be purged: a store raises this only where that works, else
    `UnavailableError`. An event is dropped then, and a result that does not fit is replaced by a failure.
    """

    def __init__(self, message: str, retry_after_seconds: float = 10.0) -> None:
        super().__init__(message, retry_after_seconds)


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
