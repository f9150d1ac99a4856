"""The controller of one tool: run it, describe it, collect a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Controller, Request, get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from lambda_kit.adapters.http import operations
from lambda_kit.adapters.http.answers import Answer, job_answer, json_answer
from lambda_kit.adapters.http.callers import jobs_for
from lambda_kit.adapters.http.headers import parse_job_id
from lambda_kit.adapters.http.openapi import describe_operation
from lambda_kit.adapters.http.prefer import wait_preference
from lambda_kit.adapters.http.quick_route import quick_post
from lambda_kit.adapters.http.submission import read_submission
from lambda_kit.adapters.http.waiting import QUICK_SECONDS, wait_while_connected
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.public_url import public_prefix
from lambda_kit.core.tools.description import tool_description
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["HttpSettings", "poll", "tool_controller"]

_NOT_OPTIONS = frozenset({"path", "http_method", "status_code", "media_type"})


@dataclass(kw_only=True, slots=True)
class HttpSettings:
    """What can be set of the HTTP side. It is read at each request: the command line may come after the app is made."""

    max_body_bytes: int = 64 * 1024 * 1024
    """Larger bodies are refused with 413, without reading them to the end."""

    try_later_body: bool = False
    """Whether "try later" is always a 202 with a body, and not only where the client prefers that."""

    job_list: bool = False
    """Whether ``GET /jobs`` is served. Who knows a job's id can read its result."""

    heartbeat_seconds: float = 15.0
    """After so long without an event, an event stream sends a comment that keeps proxies awake."""

    debug: bool = False
    """Whether clients are shown tracebacks."""


async def poll(
    service: JobService,
    settings: HttpSettings,
    request: Request[Any, Any, Any],
    job_id: str,
    tool: BoundTool | None = None,
) -> Answer:
    """Answer for a job: its result, or "try later" (docs/wire.md, GET …/jobs/{id}).

    Args:
        service: Knows the job.
        settings: Of the HTTP side.
        request: ``Prefer: wait=N`` waits for the end.
        job_id: Id or URN, as it was sent.
        tool: Answer only for this tool's jobs. None: for any.

    Raises:
        JobNotFoundError: if there is no such job.
    """
    bare_id = parse_job_id(job_id, "job id")
    wants = wait_preference(request.scope["headers"])
    seconds = wants.seconds or 0.0
    quick = min(seconds, QUICK_SECONDS)
    jobs = jobs_for(service, request)
    settled = await jobs.wait(bare_id, wait_seconds=quick, tool=None if tool is None else tool.name)
    settled = await wait_while_connected(jobs, settled, seconds - quick, request)
    return job_answer(
        settled,
        service.tools.get(settled.job.tool),
        wants,
        request.scope,
        debug=settings.debug,
        try_later_body=settings.try_later_body,
    )


def tool_controller(tool: BoundTool, service: JobService, settings: HttpSettings) -> type[Controller]:
    """Make the Litestar controller that serves one tool."""
    summary, _, text = (tool.doc or tool.label).partition("\n")

    async def run(self: Controller, request: Request[Any, Any, Any]) -> ASGIResponse:
        wants = wait_preference(request.scope["headers"])
        body, more = await read_submission(request, tool, max_body_bytes=settings.max_body_bytes)
        seconds = tool.options.wait_seconds if wants.seconds is None else wants.seconds
        quick = min(seconds, QUICK_SECONDS)
        jobs = jobs_for(service, request)
        settled = await jobs.submit_and_wait(tool.name, body, wait_seconds=quick, **more)
        settled = await wait_while_connected(jobs, settled, seconds - quick, request)
        return job_answer(  # type: ignore[return-value]  # an ASGI app, which is all that Litestar asks for
            settled, tool, wants, request.scope, debug=settings.debug, try_later_body=settings.try_later_body
        )

    async def describe(self: Controller, request: Request[Any, Any, Any]) -> ASGIResponse:
        signature = tool.signature
        service_id = tool.options.service_id
        if service_id is not None and service_id.startswith("/"):
            service_id = _public_url(request) + service_id
        description = tool_description(tool.name, tool.doc, signature.request_type, signature.result_type, service_id)
        return json_answer(description)  # type: ignore[return-value]

    async def collect(self: Controller, request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        return await poll(service, settings, request, job_id, tool)  # type: ignore[return-value]

    members: dict[str, Any] = {
        "path": tool.path,
        "tags": list(tool.tags),
        "run": quick_post(
            **{
                "status_code": 200,
                "summary": tool.options.name or summary,
                "description": text.strip() or summary,
                "operation_id": f"run_{tool.name}",
                "operation_class": describe_operation(operations.run_tool(tool)),
                **_route_options(tool),
            }
        )(run),
        "describe": get(
            summary=f"Describe {tool.name}, for agents",
            operation_id=f"describe_{tool.name}",
            operation_class=describe_operation(operations.describe_tool()),
        )(describe),
    }
    if tool.path != "/":  # for a tool at / this is GET /jobs/{id}, which is there anyway
        members["collect"] = get(
            "/jobs/{job_id:str}",
            summary=f"Collect a result of {tool.name}",
            operation_id=f"collect_{tool.name}",
            operation_class=describe_operation(operations.collect(tool)),
        )(collect)
    return type(f"{type(tool.tool).__name__}Controller", (Controller,), members)


def _route_options(tool: BoundTool) -> Mapping[str, Any]:
    options = tool.options.post_route_opts
    taken = sorted(_NOT_OPTIONS.intersection(options))
    if taken:
        raise ToolDefinitionError(
            f"{type(tool.tool).__name__}.options: post_route_opts can't set {', '.join(taken)}, which lambda_kit "
            "decides: leave it out (a tool's path is its attribute 'path')"
        )
    return options


def _public_url(request: Request[Any, Any, Any]) -> str:
    scope = request.scope
    return public_prefix(scope["headers"], scope["scheme"], request.headers.get("host", ""), scope.get("root_path", ""))
