"""The Litestar app of a server of its own, with a short way for the POSTs of tools."""

import re
from collections.abc import Mapping
from typing import Any, cast

from litestar import Litestar, Request
from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

from lambda_kit.adapters.http.door import Door
from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.routes import EXCEPTION_HANDLERS
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.tool_post import ToolPost
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ToolApp", "has_short_way"]

_DESCRIBING = frozenset({"deprecated", "description", "include_in_schema", "operation_id", "summary", "tags"})
"""The options of a route that change what is said of it, and not what is done."""

_HOOKS = ("after_exception", "after_request", "after_response", "before_request", "before_send", "cors_config", "guards",
          "middleware")  # fmt: skip
"""What of a Litestar app has a say in its requests."""

_HTTP: Any = "http"

_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]+)?")


def has_short_way(tool: BoundTool) -> bool:
    """Whether nothing but the tool has to do with its POSTs: no guard, hook or middleware of the user's."""
    return _DESCRIBING.issuperset(tool.options.post_route_opts) and not tool.signature.wants_transport_request


class ToolApp(Litestar):
    """Answers the POSTs of tools beside Litestar's request pipeline, which costs twice as much as the rest of a job.

    All else, and all POSTs where the user has a say in requests (middleware, guards, hooks), goes through Litestar. The
    `Door` is in front of both.

    Args:
        posts: By path, for tools with a short way.
        settings: Of the HTTP side.
        lasting_paths: Of GETs whose answers caches may keep.
        options: As for `Litestar`.
    """

    def __init__(
        self, *, posts: Mapping[str, ToolPost], settings: HttpSettings, lasting_paths: frozenset[str], **options: Any
    ) -> None:
        super().__init__(**options)
        self._posts = posts
        self._door = Door(settings, lasting_paths, self._has_route)
        self._patterns: list[re.Pattern[str]] = []

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """The ASGI app."""
        if scope["type"] != _HTTP:
            await super().__call__(scope, receive, send)
            return
        request, receive = cast("HTTPScope", scope), cast("Receive", receive)
        refusal, send = self._door.enter(request, cast("Send", send), self)
        if refusal is not None:
            await refusal(request, receive, send)
            return
        if request["method"] == "POST":
            path = request["path"].removeprefix(request["root_path"])
            post = self._posts.get(path)
            if post is not None and self._has_short_way and _is_plain(request):
                request["path"] = path
                await self._answer(post, request, receive, send)
                return
        await super().__call__(request, receive, send)

    @property
    def _has_short_way(self) -> bool:
        """Whether nobody but us has a say in requests; hooks may be added while the app runs."""
        return not any(getattr(self, name) for name in _HOOKS) and self.exception_handlers == EXCEPTION_HANDLERS

    def _has_route(self, path: str) -> bool:
        if len(self._patterns) != len(self.routes):  # some may have been registered since
            formats = [re.escape(route.path_format) for route in self.routes]
            self._patterns = [re.compile(re.sub(r"\\{[^/]+\\}", "[^/]+", text)) for text in formats]
        normal = re.sub("/+", "/", path).rstrip("/") or "/"
        return any(pattern.fullmatch(normal) for pattern in self._patterns)

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
    """Whether there is nothing odd about its Host, which Litestar would look at."""
    for name, value in scope["headers"]:
        if name == b"host":
            return _PLAIN_HOST.fullmatch(value) is not None
    return True
