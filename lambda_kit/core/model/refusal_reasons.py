"""Why a request is refused: in one word, for answers, the audit log and metrics; and in words, for clients."""

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
    StoreFullError,
    ToolNotFoundError,
    UnavailableError,
    UnsupportedMediaTypeError,
)

__all__ = ["INTERNAL_ERROR", "INTERNAL_TEXT", "client_text", "reason_of"]

INTERNAL_ERROR = "internal-error"
"""The word for a fault of the service."""

INTERNAL_TEXT = "the service failed inside; its log has the details"

_REASONS: dict[type[LambdaKitError], str] = {
    AuthenticationError: "unauthenticated",
    PermissionDeniedError: "insufficient-scope",
    BadRequestError: "bad-request",
    RequestValidationError: "validation-error",
    UnsupportedMediaTypeError: "unsupported-media-type",
    PayloadTooLargeError: "payload-too-large",
    ToolNotFoundError: "tool-not-found",
    JobNotFoundError: "job-not-found",
    MissingExtraError: "missing-extra",
    JobConflictError: "job-conflict",
    QueueFullError: "queue-full",
    RateLimitedError: "rate-limited",
    UnavailableError: "unavailable",
}


def reason_of(error: LambdaKitError) -> str:
    """The word for an error: one of a few (docs/wire.md, Errors). ``internal-error``: it is a fault of the service."""
    return next((_REASONS[cls] for cls in type(error).__mro__ if cls in _REASONS), INTERNAL_ERROR)


def client_text(error: LambdaKitError) -> str:
    """What a client is told of an error: nothing of a fault of the service, nor where its store is."""
    if reason_of(error) == INTERNAL_ERROR:
        return INTERNAL_TEXT
    if isinstance(error, StoreFullError):
        return "the job store is full: try again later"
    if isinstance(error, UnavailableError) and not isinstance(error, NotServingError):
        return "the job store can't be reached now: try again later"
    return str(error)
