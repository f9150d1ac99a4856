"""The Litestar app of a server of its own, with a short way for the POSTs of tools."""

import re
from collections.abc import Mapping
from typing import Any, cast

from litestar import Litestar, Request
from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.tool_post import ToolPost
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ToolApp", "has_short_way"]

_DESCRIBING = frozenset({"deprecated", "description", "include_in_schema", "operation_id", "summary", "tags"})
"""The options of a route that change what is said of it, and not what is done."""

_HTTP: Any = "http"

_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]+)?")


def has_short_way(tool: BoundTool) -> bool:
    """Whether nothing but the tool has to do with its POSTs: no guard, hook or middleware of the user's."""
    return _DESCRIBING.issuperset(tool.options.post_route_opts) and not tool.signature.wants_transport_request


class ToolApp(Litestar):
    """Answers the POSTs of tools beside Litestar's request pipeline, which costs twice as much as the rest of a job.

    All else, and a POST that is in any way unusual, goes through Litestar.

    Args:
        posts: By path, for tools with a short way.
        options: As for `Litestar`.
    """

    def __init__(self, *, posts: Mapping[str, ToolPost], **options: Any) -> None:
        super().__init__(**options)
        self._posts = posts

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """The ASGI app."""
        if scope["type"] == _HTTP:
            request = cast("HTTPScope", scope)
            post = self._posts.get(request["path"])
            if (
                post is not None
                and not self.before_send
                and request["method"] == "POST"
                and not request.get("root_path")
                and _is_plain(request)
            ):
                await self._answer(post, request, cast("Receive", receive), cast("Send", send))
                return
        await super().__call__(scope, receive, send)

    async def _answer(self, post: ToolPost, scope: HTTPScope, receive: Receive, send: Send) -> None:
        scope["litestar_app"] = self
        try:
            answer: Any = await post.answer(scope, receive)
        except Exception as error:  # noqa: BLE001 - all of them leave through the one table
            scope["app"] = self
            scope.setdefault("state", {})
            scope["path_template"] = scope["path"]
            request: Request[Any, Any, Any] = Request(scope, receive=receive, send=send)
            answer = on_exception(request, error).to_asgi_response(app=None, request=request)
        await answer(scope, receive, send)


def _is_plain(scope: HTTPScope) -> bool:
    """Whether it is a POST, not mounted anywhere, with nothing odd about its Host, which Litestar would look at."""
    if scope["method"] != "POST" or scope.get("root_path"):
        return False
    for name, value in scope["headers"]:
        if name == b"host":
            return _PLAIN_HOST.fullmatch(value) is not None
    return True
