"""Runs a tool as a job for a caller in the same process."""

import asyncio
import contextlib
from typing import Any

from lambda_kit.core.errors import (
    ConfigurationError,
    JobFailedError,
    JobNotFoundError,
    UnavailableError,
)
from lambda_kit.core.jobs.failures import CANCELLED_TYPE
from lambda_kit.core.jobs.handover import hand_over
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.job import Job, new_job_id
from lambda_kit.core.tools.results import decode_result
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["run_in_process"]


async def run_in_process(jobs: JobService, tool: BoundTool, request: Any) -> Any:
    """Submit a request, wait for the job's end, and return what the tool's `run` returned.

    If the awaiting task is cancelled, so is the job.

    The tool gets a model as it is. Where the job may leave this process, its request travels as JSON: then a model that
    does not come back from its own JSON as it was is refused.

    Args:
        jobs: A service that has started.
        tool: One of its tools.
        request: An instance of the request model, or plain data, as JSON has it, that fits it; for a binary request a
            `BinaryRequest`, bytes, or a dict with ``content`` in base64.

    Raises:
        RequestValidationError: if the request does not fit the tool's model, or would reach the tool as another one.
        ConfigurationError: if the tool wants a `litestar.Request`.
        QueueFullError: if there is no room for it.
        JobFailedError: if the job ended without a result.
    """
    if tool.signature.needs_transport_request:
        raise ConfigurationError(
            f"{type(tool.tool).__name__}.run wants a litestar.Request, which there is only over HTTP: annotate "
            "the parameter with RequestInfo instead, or with litestar.Request | None"
        )
    body, value = hand_over(request, tool, is_read_again=not jobs.runs_only_here(tool))
    job_id = new_job_id()
    try:
        ended = await jobs.submit_and_wait(
            tool.name,
            body,
            wait_seconds=float("inf"),
            value=value,
            job_id=job_id,
            is_in_process=True,
        )
    except asyncio.CancelledError:
        # it was not made yet, or nobody can be told: whoever cancels wants to go on, and not to hear of that
        with contextlib.suppress(JobNotFoundError, UnavailableError):
            await jobs.cancel(job_id)
        raise
    if ended.result is None:
        raise _failed(ended.job, ended.cause) from ended.cause
    return decode_result(ended.result, tool.signature.result_type)


def _failed(job: Job, cause: BaseException | None) -> JobFailedError:
    failure = job.failure
    if failure is None:
        return JobFailedError(job.id, job.status, CANCELLED_TYPE, "it was cancelled")
    error = JobFailedError(
        job.id,
        job.status,
        failure.type,
        failure.message,
        error_status=failure.status,
        retry_after_seconds=failure.retry_after_seconds,
    )
    if cause is None and failure.traceback is not None:
        error.add_note(f"in the process that ran the job:\n{failure.traceback}")
    return error
