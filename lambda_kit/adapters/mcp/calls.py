"""``tools/call``: a job like any other, and its result, or how to get it (docs/mcp.md, Long calls)."""

import asyncio
import time
from typing import Any

from mcp_types.jsonrpc import INVALID_PARAMS

from lambda_kit.adapters.mcp.arguments import request_body
from lambda_kit.adapters.mcp.call_record import CallRecord, derived_job_id, request_key
from lambda_kit.adapters.mcp.catalog import Catalog, CatalogTool
from lambda_kit.adapters.mcp.exchange import Exchange, NoAnswer
from lambda_kit.adapters.mcp.feature import Feature
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.job_tools import JobTools
from lambda_kit.adapters.mcp.job_watch import CallCancelled, ClientGone, JobWatch, quick_seconds
from lambda_kit.adapters.mcp.messages import McpError, cancelled_id
from lambda_kit.adapters.mcp.open_calls import OpenCall, OpenCalls
from lambda_kit.adapters.mcp.request import McpNotification, McpRequest
from lambda_kit.adapters.mcp.results import CallAnswers, refusal_result
from lambda_kit.adapters.mcp.tasks import require_tasks, task_created
from lambda_kit.adapters.mcp.trace import note_call, trace_of
from lambda_kit.core.errors import LambdaKitError, NotServingError, PermissionDeniedError
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import new_job_id

__all__ = ["ToolCalls"]

_DRAIN_SECONDS = 1.0
"""At a stop, the last answers may take so long to be sent."""

_LATE_SECONDS = 15.0
"""A cancel may come so much later than the call that it is for has been answered at the latest."""


class ToolCalls(Feature):
    """Answers ``tools/call``, and cancels what runs where a client cancels its request.

    Args:
        host: The server.
        catalog: Its tools.
        answers: What calls answer.
        open_calls: Those that are being answered by this process.
        job_tools: The tools for jobs that take longer.
    """

    def __init__(
        self, host: McpHost, catalog: Catalog, answers: CallAnswers, open_calls: OpenCalls, job_tools: JobTools
    ) -> None:
        self._host = host
        self._catalog = catalog
        self._answers = answers
        self._open = open_calls
        self._job_tools = job_tools
        self.handlers = {"tools/call": self.call}
        self.notification_handlers = {"notifications/cancelled": self._cancelled}

    async def call(self, request: McpRequest, exchange: Exchange) -> bytes:
        """Run a tool, and wait for its result."""
        name: str = request.plain["name"]
        key = request_key(request.caller.principal_id, request.session, request.id)
        with self._open.opened(key) as call:
            job_tool = self._job_tools.find(name)
            try:
                if job_tool is not None:
                    return await job_tool(request, exchange, request.arguments, call)
                tool = self._catalog.tools.get(name)
                if tool is None:
                    raise McpError(INVALID_PARAMS, f"there is no tool {name!r}")
                return await self._run(request, exchange, tool, request.arguments, call)
            except (ClientGone, CallCancelled):
                raise NoAnswer from None

    async def _run(
        self, request: McpRequest, exchange: Exchange, tool: CatalogTool, arguments: bytes, call: OpenCall
    ) -> bytes:
        is_task = tool.bound.options.mcp == "as-task"
        if is_task:
            require_tasks(request)
        note_call(request, tool.bound.name)
        wait_seconds = 0.0 if is_task else self._host.options.wait_seconds
        quick = min(wait_seconds, quick_seconds(request))
        jobs, submission = request.caller.jobs, _submission(request)
        try:
            body = request_body(tool, arguments)
            found = await jobs.submit_and_wait(tool.bound.name, body, wait_seconds=quick, **submission)
            found = await self._waited(request, exchange, found, wait_seconds - quick, call)
        except asyncio.CancelledError:  # by an ASGI server that ends the request of a client that has gone
            if request.is_stateless and jobs.accepts_jobs:
                jobs.cancel_soon(submission["job_id"])
            raise
        except PermissionDeniedError:
            raise  # its status is a client's cue to log in once more, for more scopes (MCP, Authorization)
        except LambdaKitError as error:
            return refusal_result(request, error, tool)
        if not found.job.status.is_final and request.meta.takes_tasks:
            return task_created(request, found.job)
        return await self._answers.answer(request, found, in_stream=exchange.is_stream)

    async def _waited(
        self, request: McpRequest, exchange: Exchange, found: WaitResult, seconds: float, call: OpenCall
    ) -> WaitResult:
        jobs, job = request.caller.jobs, found.job
        watch = JobWatch(
            request,
            exchange,
            heartbeat_seconds=self._host.options.heartbeat_seconds,
            is_resumable=not request.is_stateless,
            after=0,
        )
        try:
            return await watch.until_end(found, seconds, call)
        except CallCancelled:
            jobs.cancel_soon(job.id)
            raise
        except ClientGone:
            # before 2026-07-28 to disconnect is not to cancel (MCP 2025-11-25, Transports)
            if request.is_stateless and jobs.accepts_jobs:
                jobs.cancel_soon(job.id)
            raise
        except asyncio.CancelledError:
            if jobs.accepts_jobs:
                raise
            if jobs.outlives_process:  # it lives on elsewhere, or will be taken up again
                return found
            message = "the service is stopping, and the job did not end in time"
            raise NotServingError(message) from None

    async def _cancelled(self, notification: McpNotification) -> None:
        """Cancel the newest call of this id that is open here, else the one that any replica finds by its job."""
        if notification.session is None:  # requests of several clients can't be told apart
            return
        request_id = cancelled_id(notification.params)
        if request_id is None:
            return
        jobs, who = notification.caller.jobs, notification.caller.principal_id
        call = self._open.newest(request_key(who, notification.session, request_id))
        if call is not None:
            call.cancelled.set()
            return
        # a call that has been answered by now can't be meant: it is another one with the same id
        earliest = time.time() - self._host.options.wait_seconds - _LATE_SECONDS
        job_id = derived_job_id(who, notification.session, request_id)
        jobs.cancel_soon(job_id, is_meant=lambda job: not job.status.is_final and job.requested_at > earliest)

    async def drained(self) -> None:
        """The jobs of this process have ended: let the last answers be sent, as nothing is once the port is closed."""
        await self._open.until_empty(_DRAIN_SECONDS)


def _submission(request: McpRequest) -> dict[str, Any]:
    """The keywords of `JobService.submit` for a call."""
    caller = request.caller
    more: dict[str, Any] = {"authorization": caller.authorization, "must_be_new": True, **trace_of(request)}
    if request.is_stateless:  # nothing of it is resumed
        return {**more, "job_id": new_job_id()}
    more["call"] = CallRecord.of(request).encoded()
    if request.session is None:
        return {**more, "job_id": new_job_id()}
    return {**more, "job_id": derived_job_id(caller.principal_id, request.session, request.id)}
