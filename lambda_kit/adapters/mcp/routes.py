"""The Litestar routes of MCP."""

from collections.abc import Mapping, Sequence

from litestar import Router, asgi
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Middleware, Receive, Scope, Send

from lambda_kit.adapters.mcp.endpoint import McpEndpoint
from lambda_kit.adapters.mcp.http_entry import HttpEntry
from lambda_kit.version import VERSION

__all__ = ["McpRoutes"]

_PATH = "/mcp"


class McpRoutes:
    """Serves MCP at ``/mcp``.

    Args:
        endpoint: Answers the requests.
    """

    def __init__(self, endpoint: McpEndpoint) -> None:
        self._host = endpoint.host
        entry = HttpEntry(endpoint, [(b"ivcap-ai-tool-version", VERSION.encode())])

        # a function: Litestar copies what is given to routes, and methods with their objects
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                raise NotFoundException  # to a WebSocket, which Litestar's routes of this kind get too
            await entry(scope, receive, send)

        self._answer = answer
        self.entries: Mapping[str, ASGIApp] = {_PATH: answer, f"{_PATH}/": answer}
        """By path: for POSTs that come past the routes, where nobody else has a say in them."""

    def routes(self, around: Sequence[Middleware]) -> Router:
        """A router with the route, which can be registered with an app that exists too.

        Args:
            around: Middleware around it.
        """
        return Router(
            "/",
            route_handlers=[asgi(_PATH, copy_scope=False)(self._answer)],
            guards=list(self._host.guards),
            middleware=list(around),
            exception_handlers={Exception: self._host.on_exception},
        )
