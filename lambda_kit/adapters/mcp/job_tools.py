"""The tools ``job_result`` and ``job_cancel``, for long calls (docs/mcp.md, Long calls).

Clients without tasks reach any job of theirs by them, also one that was made over HTTP.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from lambda_kit.adapters.mcp.built_in_tools import JOB_CANCEL, JOB_RESULT, longest_wait_seconds
from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.job_watch import JobWatch, quick_seconds
from lambda_kit.adapters.mcp.open_calls import OpenCall
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.results import CallAnswers, refusal_result, text_result
from lambda_kit.core.errors import BadRequestError, JobNotFoundError, LambdaKitError, RequestValidationError
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import Job, JobStatus, bare_job_id

__all__ = ["JobTools"]

_WINDING_DOWN_SECONDS = 0.2
"""For so long a cancel waits for the tool's end, before it answers that it winds down."""

_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class _ResultArguments(msgspec.Struct):
    job_id: str
    wait_seconds: _Seconds | None = None


class _CancelArguments(msgspec.Struct):
    job_id: str


_result_decoder = msgspec.json.Decoder(_ResultArguments)
_cancel_decoder = msgspec.json.Decoder(_CancelArguments)

_Arguments = TypeVar("_Arguments")

JobTool: TypeAlias = Callable[[McpRequest, Exchange, bytes, OpenCall], Awaitable[bytes]]


class JobTools:
    """Runs these tools. They are no jobs, and cancel nothing when their client goes away.

    Args:
        host: The server.
        answers: What calls answer.
    """

    def __init__(self, host: McpHost, answers: CallAnswers) -> None:
        self._host = host
        self._answers = answers
        self._tools: Mapping[str, JobTool] = {JOB_RESULT: self._result, JOB_CANCEL: self._cancel}

    def find(self, name: str) -> JobTool | None:
        """The tool of that name. None: there is none here.

        It is called with a request, its exchange, the JSON of its arguments and its entry among the open calls, and
        raises what `JobWatch.until_end` does, if nobody waits for the answer.
        """
        return self._tools.get(name)

    async def _result(self, request: McpRequest, exchange: Exchange, arguments: bytes, call: OpenCall) -> bytes:
        try:
            asked = _decoded(_result_decoder, arguments)
            longest = longest_wait_seconds(self._host.options)
            seconds = longest if asked.wait_seconds is None else min(longest, asked.wait_seconds)
            found = await self._wait(request, exchange, _job_id(asked.job_id), seconds, call)
        except LambdaKitError as error:
            return refusal_result(request, error)
        return await self._answers.answer(request, found, is_declared=False, in_stream=exchange.is_stream)

    async def _wait(
        self, request: McpRequest, exchange: Exchange, job_id: str, seconds: float, call: OpenCall
    ) -> WaitResult:
        jobs = request.caller.jobs
        quick = min(seconds, quick_seconds(request))
        found = await jobs.wait(job_id, wait_seconds=quick)
        self._check_served(found.job)
        if found.job.status.is_final:  # what there was of progress is no news
            return found
        watch = JobWatch(
            request,
            exchange,
            heartbeat_seconds=self._host.options.heartbeat_seconds,
            is_resumable=False,
            after=None,
        )
        try:
            return await watch.until_end(found, seconds - quick, call)
        except asyncio.CancelledError:
            if jobs.accepts_jobs:
                raise
            return found  # this process stops: it may be asked for elsewhere

    async def _cancel(self, request: McpRequest, _exchange: Exchange, arguments: bytes, _call: OpenCall) -> bytes:
        jobs = request.caller.jobs
        try:
            job_id = _job_id(_decoded(_cancel_decoder, arguments).job_id)
            self._check_served(await jobs.get(job_id))
            job = await jobs.cancel(job_id)
            if not job.status.is_final:  # most tools stop at once
                with contextlib.suppress(JobNotFoundError):
                    job = (await jobs.wait(job_id, wait_seconds=_WINDING_DOWN_SECONDS)).job
        except LambdaKitError as error:
            return refusal_result(request, error)
        if job.status is JobStatus.CANCELLED:
            return text_result(request, f"job {job.id} is cancelled")
        if job.status.is_final:
            return text_result(request, f"job {job.id} has ended already: {job.status}; {JOB_RESULT} tells its result")
        return text_result(request, f"job {job.id} is being cancelled: it ends when its tool has stopped")

    def _check_served(self, job: Job) -> None:
        """Hide the jobs of tools that are not for agents."""
        tool = self._host.jobs.tools.get(job.tool)
        if tool is not None and not tool.options.mcp:
            raise JobNotFoundError(job.id)


def _decoded(decoder: "msgspec.json.Decoder[_Arguments]", arguments: bytes) -> _Arguments:
    try:
        return decoder.decode(arguments if arguments not in (b"", b"null") else b"{}")
    except msgspec.DecodeError as error:
        fault = {"loc": ["body"], "msg": str(error), "type": "invalid"}
        raise RequestValidationError("the arguments do not fit the tool", [fault]) from None


def _job_id(name: str) -> str:
    job_id = bare_job_id(name)
    if job_id is None:
        raise BadRequestError("job_id: must be the id of a job, as the answer to the call has named it")
    return job_id
