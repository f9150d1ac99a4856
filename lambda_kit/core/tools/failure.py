"""What a tool raised, as the failure of its job."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from lambda_kit.core.errors import JobCancelledError, ToolError, is_delay, is_error_status, is_error_type
from lambda_kit.core.model.job import Failure, FailureKind
from lambda_kit.core.runtime.tracebacks import traceback_text
from lambda_kit.core.tools.results import encodable

__all__ = ["failure_of", "is_cancel", "single_error"]

# Named, not imported: core knows no web framework. FastAPI's is a subclass of Starlette's.
_FRAMEWORKS = frozenset({"litestar", "starlette", "fastapi"})


def single_error(error: BaseException) -> BaseException:
    """The error itself where it is alone in a group, as a task group wraps what one of its tasks raised."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def is_cancel(error: BaseException) -> bool:
    """Whether it is what a cancelled tool raises, alone or in a group of nothing else."""
    seen: set[int] = set()
    left = [error]
    while left:
        current = left.pop()
        if isinstance(current, BaseExceptionGroup):
            if id(current) not in seen:  # several groups may hold the same one
                seen.add(id(current))
                left.extend(current.exceptions)
        elif not isinstance(current, (JobCancelledError, asyncio.CancelledError)):
            return False
    return True


def failure_of(error: BaseException) -> Failure:
    """The failure of a job whose tool raised this. Never raises, whatever the error's members do.

    A `ToolError`, and an ``HTTPException`` of Litestar, Starlette or FastAPI, choose the HTTP status. Exactly
    `ValueError` is the caller's fault: its subclasses mostly are not (docs/wire.md, Errors). A group with a single
    error counts as that one.
    """
    trace, error = _traceback_of(error), single_error(error)
    chosen = _chosen(error)
    if chosen is not None:
        return msgspec.structs.replace(chosen, traceback=trace)
    kind = FailureKind.INVALID_VALUE if type(error) is ValueError else FailureKind.TOOL
    return Failure(kind, type(error).__name__, _text_of(error), trace)


def _chosen(error: BaseException) -> Failure | None:
    """The failure with the status that the error has. None: it has none, or one that no error can have."""
    try:
        if isinstance(error, ToolError):
            status, word, text, delay = error.status, error.type or "", _text_of(error), error.retry_after
        elif _is_http_exception(error):
            status, word, text, delay = _of_http_exception(error)
        else:
            return None
    except Exception:  # noqa: BLE001 - a subclass may have left out what its base promises
        return None
    if not (is_error_status(status) and is_error_type(word) and is_delay(delay)):  # of a redirect, say
        return None
    return Failure(FailureKind.TOOL, word, text, status=int(status), retry_after_seconds=delay)


def _is_http_exception(error: BaseException) -> bool:
    classes = type(error).__mro__
    return any(cls.__name__ == "HTTPException" and _package(cls) in _FRAMEWORKS for cls in classes)


def _of_http_exception(error: Any) -> tuple[int, str, str, float | None]:
    return (
        error.status_code,
        type(error).__name__,
        _detail_text(error.detail) or _text_of(error),
        _retry_after_seconds(error.headers),
    )


def _package(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]


def _detail_text(detail: object) -> str:
    """Starlette's and Litestar's are texts; FastAPI's may be any JSON."""
    return encodable(detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False))


def _retry_after_seconds(headers: object) -> float | None:
    """What ``Retry-After`` says: seconds, or a date (RFC 9110, 10.2.3). None: it is not there, or neither."""
    fields: Iterable[tuple[Any, Any]] = headers.items() if isinstance(headers, Mapping) else ()
    value = next((str(value).strip() for name, value in fields if str(name).lower() == "retry-after"), "")
    if value.isascii() and value.isdecimal():
        return float(value[:10])  # an int of any length would be slow to read; nobody waits for 300 years
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _text_of(error: BaseException) -> str:
    try:
        return encodable(str(error)) or type(error).__name__
    except BaseException:  # noqa: BLE001 - a tool's exception can have a broken __str__
        return type(error).__name__


def _traceback_of(error: BaseException) -> str | None:
    try:
        return encodable(traceback_text(error))
    except BaseException:  # noqa: BLE001 - it can have other broken members, such as those of a SyntaxError
        return None
