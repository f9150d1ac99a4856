"""Joins a FastAPI app and lambda_kit: each serves what is its own, whichever of them is asked first."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import starlette.routing
from litestar import Litestar

from lambda_kit.compat.registry import ToolDescription

__all__ = ["FastAppPart", "ToolRoutes", "ask_first", "tool_routes_of"]

_Asgi = Callable[[Any, Any, Any], Awaitable[None]]

_INNER = "lambda_kit.compat.inner"
"""In a scope: the app that has the tools, and that has called the FastAPI app."""


class ToolRoutes(starlette.routing.BaseRoute):
    """The tools of a FastAPI app, as one of its routes.

    Args:
        app: The FastAPI app.
        tools: Its tools, to which more may be added.
    """

    def __init__(self, app: Any, tools: list[ToolDescription]) -> None:
        self.tools = tools
        self.own_lifespan: Callable[[Any], AbstractAsyncContextManager[Any]] = app.router.lifespan_context
        self.has_mcp = False
        """Whether they are served by MCP too."""
        self._app = app
        self._server: Any = None

    def install(self) -> None:
        """Have the app serve the tools, and start and stop what runs their jobs."""
        router = self._app.router
        router.routes.insert(0, self)
        router.lifespan_context = self._lifespan
        router.default = _Fallback(router.default)

    def matches(self, scope: Any) -> tuple[starlette.routing.Match, Any]:
        """Called by Starlette: whether a request is for a tool."""
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
            bases = [tool.path_prefix.rstrip("/") for tool in self.tools]
            job = re.fullmatch(r"(.*)/jobs/[^/]+(?:/status|/events)?", path)
            own = scope["method"] in ("POST", "GET", "HEAD") and path.rstrip("/") in bases
            if self.has_mcp and path.rstrip("/") == "/mcp":
                return starlette.routing.Match.FULL, {}
            if own or (job is not None and job[1] in ("", *bases)):
                return starlette.routing.Match.FULL, {}
        return starlette.routing.Match.NONE, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Called by Starlette."""
        inner = scope.pop(_INNER, None)
        await (self.server if inner is None else inner)(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Called by Starlette."""
        raise starlette.routing.NoMatchFound(name, path_params)

    @property
    def server(self) -> Any:
        """Serves the tools where the app is served by itself. It is made once, on first use."""
        if self._server is None:
            from lambda_kit.compat.function_server import server_of_app  # noqa: PLC0415 - it imports this one

            self._server = server_of_app(self._app)
            if self.has_mcp:
                self._server.add_mcp()
        return self._server

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[Any]:
        if not self.tools:
            async with self.own_lifespan(app) as state:
                yield state
            return
        async with self.server, self.own_lifespan(app) as state:
            yield state


class _Fallback:
    """What a FastAPI app does with requests that it has no route for: it hands them back, where it can."""

    def __init__(self, not_found: _Asgi) -> None:
        self._not_found = not_found

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        inner = scope.pop(_INNER, None)
        await (self._not_found if inner is None else inner)(scope, receive, send)


def tool_routes_of(app: Any) -> ToolRoutes | None:
    """The tools of a FastAPI app. None: it has none."""
    return next((route for route in app.router.routes if isinstance(route, ToolRoutes)), None)


def ask_first(app: Any, server_app: Litestar, *, shares: bool) -> None:
    """Have a FastAPI app see all requests of a Litestar app first: its middleware, its routes.

    Args:
        app: The FastAPI app.
        server_app: The other one.
        shares: Whether the server itself says to pages of other origins what they may read: then the app need not.
    """
    inner: Any = server_app.asgi_handler

    async def around(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await inner(scope, receive, send)
            return

        async def send_without_cors(message: Any) -> None:
            if message["type"] == "http.response.start":
                fields = message.get("headers", ())
                message["headers"] = [field for field in fields if not field[0].startswith(b"access-control-")]
            await send(message)

        scope[_INNER] = inner
        await app(scope, receive, send_without_cors if shares else send)

    server_app.asgi_handler = around


class FastAppPart:
    """The life of a FastAPI app, as a part of a server: its lifespan, its events of start and stop."""

    def __init__(self, app: Any) -> None:
        routes = tool_routes_of(app)
        self._lifespan = app.router.lifespan_context if routes is None else routes.own_lifespan
        self._app = app
        self._entered = AsyncExitStack()

    async def __aenter__(self) -> None:
        await self._entered.enter_async_context(self._lifespan(self._app))

    async def __aexit__(self, *_: object) -> None:
        await self._entered.aclose()

    async def drained(self) -> None:
        """The jobs have ended; the app ends with the server."""
