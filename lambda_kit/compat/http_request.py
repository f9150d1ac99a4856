"""The request object of FastAPI or Starlette for a function that takes one, made of what lambda_kit knows."""

import asyncio
from typing import Any
from urllib.parse import unquote, urlsplit

import litestar
from litestar.types import Empty
from litestar.utils.scope.state import ScopeState

from lambda_kit.core.model.request_info import RequestInfo

__all__ = ["connection_of", "connection_of_info"]

_LITESTARS = frozenset({"_ls_connection_state", "app", "litestar_app", "path_template", "route_handler", "router"})
"""What Litestar puts into a scope, and is nobody else's."""


def connection_of(cls: type[Any], request: "litestar.Request[Any, Any, Any]", app: object, body: bytes) -> Any:
    """The request that came by HTTP: all header fields, `Authorization` too, and the body, from memory.

    Args:
        cls: The class that the function names: ``starlette.requests.Request`` or `HTTPConnection`, or one of these.
        request: Litestar's.
        app: What ``request.app`` is, the FastAPI app. None: there is none.
        body: The request as JSON, for where its body is not in memory as it came.
    """
    scope: dict[str, Any] = {name: value for name, value in request.scope.items() if name not in _LITESTARS}
    state = scope.get("state")
    scope["state"] = {name: value for name, value in (state or {}).items() if name not in _LITESTARS}
    scope.setdefault("path_params", {})
    sent = ScopeState.from_scope(request.scope).body
    return _made(cls, scope, body if sent is Empty else sent, app)


def connection_of_info(cls: type[Any], info: RequestInfo, body: bytes, authorization: str | None, app: object) -> Any:
    """A request for a job that was not made by HTTP, or not in this process: what is kept of its own, or made up.

    Args:
        cls: As for `connection_of`.
        info: What is known of the request.
        body: The request, as JSON.
        authorization: Of the job.
        app: As for `connection_of`.
    """
    url = urlsplit(info.url)
    scheme = url.scheme or "http"
    default_port = 443 if scheme == "https" else 80
    headers = list(info.fields)
    if authorization is not None:
        headers.append((b"authorization", authorization.encode("latin-1", "replace")))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": info.method,
        "scheme": scheme,
        "path": unquote(url.path) or "/",
        "raw_path": url.path.encode() or b"/",
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": info.client,
        "server": (url.hostname or "localhost", url.port or default_port),
        "state": {},
        "path_params": {},
    }
    return _made(cls, scope, body, app)


def _made(cls: type[Any], scope: dict[str, Any], body: bytes, app: object) -> Any:
    if app is not None:
        scope["app"] = app
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # nothing more comes, and that the client has gone is not known here
        raise AssertionError("unreachable")

    if not any(base.__name__ == "Request" for base in cls.__mro__):  # an HTTPConnection has no body
        return cls(scope)
    connection = cls(scope, receive)
    connection._body = body  # as FastAPI leaves a request that it has read: a body can be asked for again and again
    return connection
