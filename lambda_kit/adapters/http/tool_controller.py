"""The controller of one tool: run it, describe it, collect a result."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from litestar import Controller, Request, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from lambda_kit.adapters.http import operations
from lambda_kit.adapters.http.answers import Answer, job_answer, json_answer
from lambda_kit.adapters.http.callers import guard_of, job_guards, jobs_for
from lambda_kit.adapters.http.components import Models
from lambda_kit.adapters.http.headers import parse_job_id
from lambda_kit.adapters.http.openapi import describe_operation
from lambda_kit.adapters.http.prefer import wait_preference
from lambda_kit.adapters.http.public_place import VARIES_WITH_URL, public_url
from lambda_kit.adapters.http.security import secured
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.tool_post import ToolPost
from lambda_kit.adapters.http.waiting import QUICK_SECONDS, wait_while_connected
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.tools.description import tool_description
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["poll", "tool_controller"]

_NOT_OPTIONS = frozenset({"path", "http_method", "status_code", "media_type"})


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
    jobs = jobs_for(service, settings, request.scope)
    found = await jobs.wait(bare_id, wait_seconds=quick, tool=None if tool is None else tool.name)
    found = await wait_while_connected(jobs, found, seconds - quick, request.receive)
    return job_answer(
        found,
        service.tools.get(found.job.tool),
        wants,
        request.scope,
        debug=settings.debug,
        try_later_body=settings.try_later_body,
    )


def tool_controller(tool: BoundTool, service: JobService, settings: HttpSettings, models: Models) -> type[Controller]:
    """Make the Litestar controller that serves one tool."""
    summary, _, text = (tool.doc or tool.label).partition("\n")

    answers = ToolPost(tool, service, settings)

    async def run(self: Controller, request: Request[Any, Any, Any]) -> ASGIResponse:
        return await answers.answer(request.scope, request.receive, transport=request)  # type: ignore[return-value]

    async def describe(self: Controller, request: Request[Any, Any, Any]) -> ASGIResponse:
        signature = tool.signature
        service_id = tool.options.service_id
        fields: list[tuple[bytes, bytes]] = []
        if service_id is not None and service_id.startswith("/"):
            service_id = public_url(request.scope) + service_id
            fields.append(VARIES_WITH_URL)
        description = tool_description(tool.name, tool.doc, signature.request_type, signature.result_type, service_id)
        return json_answer(description, fields=fields)  # type: ignore[return-value]

    async def collect(self: Controller, request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        return await poll(service, settings, request, job_id, tool)  # type: ignore[return-value]

    members: dict[str, Any] = {
        "path": tool.path,
        "tags": list(tool.tags),
        "run": post(
            **{
                "status_code": 200,
                "summary": tool.options.name or summary,
                "description": text.strip() or summary,
                "operation_id": f"run_{tool.name}",
                "operation_class": describe_operation(
                    secured(
                        partial(operations.run_tool, tool, models, limits_callers=service.limits_callers),
                        settings,
                        scopes=tool.options.scopes,
                    )
                ),
                **_route_options(tool),
                "guards": [*job_guards(settings), *tool.options.post_route_opts.get("guards", ())],
            }
        )(run),
        "describe": get(
            summary=f"Describe {tool.name}, for agents",
            operation_id=f"describe_{tool.name}",
            operation_class=describe_operation(secured(operations.describe_tool, settings, "descriptions")),
            guards=[guard_of(settings, "descriptions")],
        )(describe),
    }
    if tool.path != "/":  # for a tool at / this is GET /jobs/{id}, which is there anyway
        members["collect"] = get(
            "/jobs/{job_id:str}",
            summary=f"Collect a result of {tool.name}",
            operation_id=f"collect_{tool.name}",
            operation_class=describe_operation(secured(partial(operations.collect, tool, models), settings)),
            guards=job_guards(settings),
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
