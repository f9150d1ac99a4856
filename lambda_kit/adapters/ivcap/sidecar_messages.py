"""What the sidecar is told of a job's end."""

import ivcap_service
import msgspec

from lambda_kit.core.jobs.failures import CANCELLED_TYPE, cancelled_text
from lambda_kit.core.model.job import Failure, Job
from lambda_kit.core.ports.sink import JobEnd

__all__ = ["EndMessage", "end_message", "execution_error", "platform_content_type"]

_TEXT = "text/plain; charset=utf-8"
"""The type of a ``str`` that a tool returns (docs/wire.md, Results)."""


class EndMessage(msgspec.Struct, frozen=True):
    """A result, or an `ivcap_service.ExecutionError`."""

    content: bytes
    content_type: str
    is_error: bool


def end_message(job: Job, end: JobEnd) -> EndMessage:
    """What is sent to the sidecar."""
    if end.result is not None:
        return EndMessage(end.result.content, platform_content_type(end.result.content_type), is_error=False)
    error = execution_error(job, end.failure)
    return EndMessage(error.model_dump_json(by_alias=True).encode(), "application/json", is_error=True)


def platform_content_type(content_type: str) -> str:
    """The content type of a result as the platform has it: texts are UTF-8 there without saying so."""
    return "text/plain" if content_type == _TEXT else content_type


def execution_error(job: Job, failure: Failure | None) -> ivcap_service.ExecutionError:
    """Why a job has no result. A job that was cancelled has no failure either."""
    if failure is None:
        return ivcap_service.ExecutionError(error=cancelled_text(job), type=CANCELLED_TYPE)
    return ivcap_service.ExecutionError(error=failure.message, type=failure.type, traceback=failure.traceback)
