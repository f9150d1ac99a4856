"""The POST of a tool: run it as a job, and answer with its result, or "try later"."""

from typing import Any

from litestar.types import HTTPScope, Receive

from lambda_kit.adapters.http.answers import Answer, job_answer
from lambda_kit.adapters.http.callers import find_caller, jobs_for
from lambda_kit.adapters.http.form_body import FormBody
from lambda_kit.adapters.http.prefer import NO_PREFERENCE, wait_preference
from lambda_kit.adapters.http.request_body import BinaryBody, JsonBody, RequestBody
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.submission import read_submission
from lambda_kit.adapters.http.waiting import QUICK_SECONDS, wait_while_connected
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ToolPost"]


class ToolPost:
    """Answers the POSTs of one tool (docs/wire.md, POST {path}).

    Args:
        tool: The tool.
        service: Runs its jobs.
        settings: Of the HTTP side.
    """

    def __init__(self, tool: BoundTool, service: JobService, settings: HttpSettings) -> None:
        self._tool = tool
        self._service = service
        self._settings = settings
        self._body = _body_of(tool, settings, service)

    async def answer(self, scope: HTTPScope, receive: Receive, *, transport: Any = None) -> Answer:
        """Run the tool as the request asks.

        Args:
            scope: The request's.
            receive: Gives the body, and tells when the client has gone.
            transport: The `litestar.Request`, for tools that want it.

        Raises:
            LambdaKitError: what `problems` makes an error of.
        """
        tool, settings = self._tool, self._settings
        caller = None if settings.access is None else await find_caller(settings, scope)
        if caller is not None and settings.access is not None:
            settings.access.check_scopes(tool, caller)  # before the body is read
        fields = dict(scope["headers"])
        wants = NO_PREFERENCE
        if b"prefer" in fields or b"timeout" in fields:
            wants = wait_preference(scope["headers"])
        body, more = await read_submission(
            scope,
            receive,
            fields,
            kept_fields=settings.kept_fields,
            body=self._body,
            is_alone=transport is None,
        )
        if tool.signature.wants_transport_request:
            more["transport"] = transport
        seconds = tool.options.wait_seconds if wants.seconds is None else wants.seconds
        quick = min(seconds, QUICK_SECONDS)
        if caller is not None:
            more["authorization"] = caller.authorization
        jobs = jobs_for(self._service, settings, scope)
        result = await jobs.submit_and_wait(tool.name, body, wait_seconds=quick, **more)
        if seconds > quick and not result.job.status.is_final:
            result = await wait_while_connected(jobs, result, seconds - quick, receive)
        return job_answer(result, tool, wants, scope, debug=settings.debug, try_later_body=settings.try_later_body)


def _body_of(tool: BoundTool, settings: HttpSettings, service: JobService) -> RequestBody:
    if tool.read.is_binary:
        return BinaryBody(settings)
    return JsonBody(settings) if tool.read.form is None else FormBody(settings, tool.read.form, service)
