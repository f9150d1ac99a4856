"""Registers a function as a tool, and the options of one."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, Field

from lambda_kit.compat import fast_app, registry
from lambda_kit.compat.ivcap_lambda.executor import ExecutionContext, ExecutorOpts
from lambda_kit.compat.registry import ToolDescription, tools

__all__ = [
    "JOB_URN_PREFIX",
    "ErrorModel",
    "ExecutionErrorModel",
    "ToolDescription",
    "ToolOptions",
    "WorkerFn",
    "add_tool_api_route",
    "tools",
]

JOB_URN_PREFIX = "urn:ivcap:job:"

WorkerFn = Callable[..., Any]
"""The function behind a tool."""


class ErrorModel(BaseModel):
    """What all error answers hold; docs/wire.md has all members."""

    message: str
    code: int


class ExecutionErrorModel(BaseModel):
    """What ivcap-lambda answers where a function fails; here there is a traceback in debug mode only."""

    jschema: str = Field(default="urn:ivcap:schema.ai-tool.error.1", alias="$schema")
    message: str
    traceback: str


class ToolOptions(BaseModel):
    """What the decorator can be told. It may be changed until the server starts; unknown keywords are ignored."""

    name: str | None = Field(default=None, description="label for people")
    tags: list[str] | None = Field(default=None, description="OpenAPI tags; None: inferred from the path")
    max_wait_time: float | None = Field(
        default=5.0,
        description="seconds for which a POST waits before it answers 'try later'; None: until there is a result",
    )
    refresh_interval: int | None = Field(default=3, description="seconds after which a client should poll again")
    executor_opts: ExecutorOpts | None = Field(default=None, description="how jobs are run and kept")
    post_route_opts: dict[str, Any] | None = Field(
        default_factory=dict, description="FastAPI's options of the POST route: those that have a meaning here count"
    )
    service_id: str | None = Field(default=None, description="service id in the tool's description")
    is_ready: Callable[[], bool | Awaitable[bool]] | None = Field(
        default=None, description="whether the tool can take jobs: while it can't, /_healtz answers 503"
    )


def add_tool_api_route(
    app: Any,
    path_prefix: str,
    worker_fn: WorkerFn,
    *,
    opts: ToolOptions | None = None,
    context: ExecutionContext | None = None,
) -> None:
    """Serve a function as a tool.

    Args:
        app: A FastAPI app: that of `get_fast_app`, or one of the service's own, which is served by itself or by
            `start_tool_server`. None: the former.
        path_prefix: Where it is served.
        worker_fn: The function: it takes a request, which is a pydantic model, and may take a `JobContext`, the
            ``fastapi.Request`` and the `context`.
        opts: Further options. None: none.
        context: Passed to the function's parameter of its class.

    Raises:
        ToolDefinitionError: if the function can't be served; says why.
    """
    description = ToolDescription(
        name=worker_fn.__name__,
        path_prefix=path_prefix,
        worker_fn=worker_fn,
        opts=ToolOptions() if opts is None else opts,
        context=context,
    )
    registry.register(fast_app.tools_of(app), description)
