"""FastAPI's dependencies of a route, as a guard of Litestar: they mostly decide who may call."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import fastapi
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

__all__ = ["guard_of"]

_PASSED = 204


async def _pass() -> None:
    """What stands behind the dependencies."""


def guard_of(dependencies: Sequence[Any]) -> Guard:
    """Make a guard that lets a request through if FastAPI does.

    What a dependency leaves in ``request.state`` is there in the function's request. One with a ``yield`` has ended
    before the function runs.

    Args:
        dependencies: As ``[Depends(check)]``.
    """
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    methods = ["DELETE", "GET", "HEAD", "POST"]
    app.add_api_route("/{path:path}", _pass, methods=methods, status_code=_PASSED, dependencies=list(dependencies))

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        status, fields, body = await _answer(app, cast("Request[Any, Any, Any]", connection))
        if status != _PASSED:
            raise HTTPException(detail=_detail(body), status_code=status, headers=fields)

    return guard


async def _answer(app: Any, request: "Request[Any, Any, Any]") -> tuple[int, dict[str, str], bytes]:
    sent = [{"type": "http.request", "body": await request.body(), "more_body": False}]
    got: list[Any] = []

    async def receive() -> Any:
        if not sent:
            await asyncio.Event().wait()  # nothing more comes
        return sent.pop()

    async def send(message: Any) -> None:
        got.append(message)

    scope: dict[str, Any] = {**request.scope, "path_params": {}, "root_path": ""}
    scope.pop("router", None)
    await app(scope, receive, send)
    start = next(message for message in got if message["type"] == "http.response.start")
    fields = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in start.get("headers", ())
        if not name.startswith(b"content-")
    }
    return start["status"], fields, b"".join(message.get("body", b"") for message in got)


def _detail(body: bytes) -> str:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
