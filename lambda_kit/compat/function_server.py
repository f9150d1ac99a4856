"""The server of decorated functions: a `ToolServer`, with the FastAPI app of the service around it, if there is one."""

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ivcap_service
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, Guard

from lambda_kit.adapters.executors.thread import ThreadExecutor
from lambda_kit.adapters.http.service_version import service_version
from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.compat.fast_app import app_of_requests, tools_of
from lambda_kit.compat.options import THREAD_PER_JOB
from lambda_kit.compat.registry import ToolDescription, make_tools
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.service_info import Service
from lambda_kit.server import ToolServer

if TYPE_CHECKING:
    from lambda_kit.adapters.mcp.endpoint import McpEndpoint

__all__ = ["MCP_PATH", "MCP_SECONDS", "FunctionServer", "server_of_app", "service_of_app"]

MCP_PATH = "/mcp"

MCP_SECONDS = 600.0
"""How long a call by MCP waits for its result, as in the original, unless its `MCP_CALL_TIMEOUT` was changed."""


class FunctionServer(ToolServer):
    """Serves decorated functions.

    Args:
        service: Who offers them.
        found: The functions.
        fast_app: The FastAPI app of the service, whose middleware and routes come first. None: there is none.
        file: The service file, for the version.
        guards: Who may call, where the app is not around the server.

    Raises:
        ToolDefinitionError: if there is none, or one can't be served.
    """

    def __init__(
        self,
        service: ivcap_service.Service,
        found: Sequence[ToolDescription],
        fast_app: Any,
        file: str | None,
        *,
        guards: Sequence[Guard] = (),
    ) -> None:
        if not found:
            raise ToolDefinitionError(
                "No tools have been registered: decorate at least one function with @ivcap_lambda('/path')"
            )
        self._shared_origins = None if fast_app is None else _shared_origins(fast_app)
        has_own_say = fast_app is not None and bool(fast_app.user_middleware)
        app_of_request = app_of_requests if fast_app is None else lambda: fast_app
        super().__init__(
            service,
            tools=make_tools(found, app_of_request),
            executor=ThreadExecutor(None, name=THREAD_PER_JOB),
            cors=self._shared_origins,
            middleware=[_passing] if has_own_say else (),
            guards=guards if fast_app is None else _guards(fast_app),
        )
        self._fast_app = fast_app
        self._service_file = file
        if fast_app is not None:
            from lambda_kit.compat.fast_routes import FastAppPart, tool_routes_of  # noqa: PLC0415 - it imports Starlette

            self.add_part(FastAppPart(fast_app))
            routes = tool_routes_of(fast_app)
            if routes is not None and routes.has_mcp:
                self.add_mcp()

    @cached_property
    def app(self) -> Litestar:
        """The ASGI app. It is made once, on first use."""
        app = super().app
        if self._fast_app is not None:
            from lambda_kit.compat.fast_routes import ask_first  # noqa: PLC0415 - it imports Starlette

            ask_first(self._fast_app, app, shares=self._shared_origins is not None)
        return app

    def add_mcp(self, options: McpOptions | None = None) -> "McpEndpoint":
        """As `ToolServer.add_mcp`; by default calls wait as long as in the original."""
        module = sys.modules.get("lambda_kit.compat.ivcap_lambda.mcp")
        seconds: float = getattr(module, "MCP_CALL_TIMEOUT", MCP_SECONDS)
        return super().add_mcp(options or McpOptions(wait_seconds=seconds))

    @property
    def version(self) -> str:
        """The version of the service: ``$VERSION``, else `Service`'s, else that of the distribution it belongs to."""
        return service_version(self.service, self._service_file)


def _guards(fast_app: Any) -> list[Guard]:
    """The app's own dependencies, which hold for all of its routes."""
    dependencies = fast_app.router.dependencies
    if not dependencies:
        return []
    from lambda_kit.compat.fast_dependencies import guard_of  # noqa: PLC0415 - it imports FastAPI

    return [guard_of(dependencies)]


def _passing(app: ASGIApp) -> ASGIApp:
    """A middleware that does nothing. With it no request goes past the middleware of the FastAPI app."""
    return app


def _shared_origins(fast_app: Any) -> CORSConfig | None:
    """What the app's `CORSMiddleware` allows: pages of other origins are refused before it is asked."""
    for added in fast_app.user_middleware:
        if added.cls.__name__ == "CORSMiddleware":
            given = added.kwargs
            return CORSConfig(
                allow_origins=list(given.get("allow_origins", ())),
                allow_methods=list(given.get("allow_methods", ("GET",))),
                allow_headers=list(given.get("allow_headers", ())),
                allow_credentials=given.get("allow_credentials", False),
                allow_origin_regex=given.get("allow_origin_regex"),
                expose_headers=list(given.get("expose_headers", ())),
                max_age=given.get("max_age", 600),
            )
    return None


def server_of_app(app: Any) -> FunctionServer:
    """The server of an app that is served by itself: the app calls it, and not the other way round."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    return FunctionServer(service_of_app(app), tools_of(app), None, file, guards=_guards(app))


def service_of_app(app: Any) -> Service:
    """Who offers the tools of an app, as the app says it."""
    contact = dict(app.contact or {})
    license_info = dict(app.license_info or {})
    return Service(
        name=app.title,
        version=app.version,
        contact={"name": contact.get("name") or app.title, "email": contact.get("email") or "unknown"},
        license={"name": license_info["name"], "url": license_info.get("url")} if "name" in license_info else None,
        description=app.description or None,
    )
