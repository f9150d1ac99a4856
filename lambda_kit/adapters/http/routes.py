"""All of lambda_kit's routes, for an app of its own or for one that exists."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Router
from litestar.exceptions import HTTPException
from litestar.types import Middleware

from lambda_kit.adapters.http.components import Models
from lambda_kit.adapters.http.heads import add_heads
from lambda_kit.adapters.http.job_controller import job_controller, job_list_controller
from lambda_kit.adapters.http.metrics_route import RenderMetrics, metrics_handler
from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.resource_metadata import resource_metadata_handlers
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import health_handlers, version_response_header
from lambda_kit.adapters.http.tool_controller import tool_controller
from lambda_kit.core.errors import LambdaKitError, ToolDefinitionError
from lambda_kit.core.jobs.service import JobService

__all__ = ["EXCEPTION_HANDLERS", "check_paths", "job_list_routes", "job_routes", "metrics_routes"]

logger = logging.getLogger("lambda_kit.http")

_RESERVED = (
    "/jobs", "/api", "/openapi.json", "/_healtz", "/_livez", "/_readyz", "/mcp", "/metrics", "/console", "/1",
    "/.well-known",
)  # fmt: skip

# under these are routes with a path parameter, or files, that a tool would hide or be hidden by
_RESERVED_BELOW = ("/jobs/", "/api/assets/", "/mcp/", "/1/", "/.well-known/")

EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    HTTPException: on_exception,
    LambdaKitError: on_exception,
    Exception: on_exception,
}
"""For a Litestar app or router: every error leaves through the one table."""


def check_paths(paths: dict[str, str]) -> None:
    """Refuse paths that are taken by the service itself.

    Args:
        paths: Tool names to paths.

    Raises:
        ToolDefinitionError: names the tool and what is taken.
    """
    for name, path in paths.items():
        if path in _RESERVED or path.startswith(_RESERVED_BELOW):
            raise ToolDefinitionError(
                f"tool '{name}': path '{path}' is reserved for the service itself ({', '.join(_RESERVED)}): choose "
                f"another, such as path = '/{name.replace('_', '-')}'"
            )


def job_routes(
    service: JobService,
    settings: HttpSettings,
    models: Models,
    why_not_ready: Callable[[], Awaitable[str | None]],
    version: Callable[[], str],
    middleware: Sequence[Middleware] = (),
) -> Router:
    """A router with the controllers of all tools and jobs, health and metadata; without the list of jobs."""
    for tool in service.tools.values():
        if "guards" in tool.options.post_route_opts and not settings.guards and settings.access is None:
            logger.warning(
                "tool '%s': the guards in its post_route_opts hold for its POST alone: the results, records and events "
                "of its jobs are open to all who know an id. ToolServer(guards=...) holds for all of these",
                tool.name,
            )
    controllers = [tool_controller(tool, service, settings, models) for tool in service.tools.values()]
    handlers = [
        *controllers,
        job_controller(service, settings, models),
        *health_handlers(why_not_ready, version, settings),
        *resource_metadata_handlers(service, settings),
    ]
    return _router(handlers, settings, middleware)


def job_list_routes(service: JobService, settings: HttpSettings, middleware: Sequence[Middleware] = ()) -> Router:
    """A router with the list of jobs, which can be registered with an app later too."""
    return _router([job_list_controller(service, settings)], settings, middleware)


def metrics_routes(render: RenderMetrics, settings: HttpSettings, middleware: Sequence[Middleware] = ()) -> Router:
    """A router with the numbers for Prometheus."""
    return _router([metrics_handler(render, settings)], settings, middleware)


def _router(handlers: list[Any], settings: HttpSettings, middleware: Sequence[Middleware]) -> Router:
    router = Router(
        "/",
        route_handlers=handlers,
        exception_handlers=dict(EXCEPTION_HANDLERS),
        middleware=middleware,
        response_headers=[version_response_header()],
        request_max_body_size=settings.max_body_bytes,
    )
    return add_heads(router)
