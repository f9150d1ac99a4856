"""The Litestar app of a server of its own, with a short way for the POSTs of tools."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import ivcap_service
from litestar import Litestar, Request
from litestar.config.compression import CompressionConfig
from litestar.plugins import InitPlugin
from litestar.types import (
    HTTPScope,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Middleware,
    OnAppInitHandler,
    Receive,
    Scope,
    Send,
)

from lambda_kit.adapters.http.document import ServedDocument
from lambda_kit.adapters.http.door import Door
from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.routes import EXCEPTION_HANDLERS
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import HEALTH_PATHS, openapi_config, openapi_handlers
from lambda_kit.adapters.http.tool_post import ToolPost
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["AppHooks", "ToolApp", "make_app"]

_DESCRIBING = frozenset({"deprecated", "description", "include_in_schema", "operation_id", "summary", "tags"})
"""The options of a route that change what is said of it, and not what is done."""

_HOOKS = (
    "after_exception", "after_request", "after_response", "allowed_hosts", "before_request", "compression_config",
    "cors_config", "csrf_config", "guards", "middleware",
)  # fmt: skip
"""What of a Litestar app has a say in its requests, by the name of its attribute."""

_EVENTS_PATH = "^/jobs/[^/]+/events$"

_HTTP: Any = "http"

_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]+)?")


class AppHooks(NamedTuple):
    """What the user adds to the app: Litestar's own types."""

    middleware: Sequence[Middleware] = ()
    compression: CompressionConfig | None = None
    on_app_init: Sequence[OnAppInitHandler] = ()


def make_app(
    jobs: JobService,
    settings: HttpSettings,
    *,
    service: ivcap_service.Service,
    version: str,
    plugin: InitPlugin,
    hooks: AppHooks,
) -> "ToolApp":
    """Make the app of a server of its own.

    Args:
        jobs: Runs the tools' jobs.
        settings: Of the HTTP side.
        service: Who offers the tools.
        version: The version of the service.
        plugin: Brings the routes of tools and jobs, health and metrics.
        hooks: What the user adds.
    """
    tools = jobs.tools.values()
    document = ServedDocument()
    return ToolApp(
        take_turn=jobs.request_turn,
        posts={tool.path: ToolPost(tool, jobs, settings) for tool in tools if _has_short_way(tool, settings)},
        settings=settings,
        lasting_paths=frozenset(["/openapi.json", "/api", "/api/openapi.json", *(tool.path for tool in tools)]),
        route_handlers=openapi_handlers(document),
        plugins=[plugin],
        openapi_config=openapi_config(service, version, document),
        exception_handlers=dict(EXCEPTION_HANDLERS),
        middleware=list(hooks.middleware),
        compression_config=None if hooks.compression is None else _without_events(hooks.compression),
        on_app_init=list(hooks.on_app_init),
        debug=settings.debug,
        logging_config=None,
    )


def _without_events(config: CompressionConfig) -> CompressionConfig:
    """The same, but for event streams: Litestar's compression would hold events back."""
    given = config.exclude or []
    return replace(config, exclude=[*([given] if isinstance(given, str) else given), _EVENTS_PATH])


def _has_short_way(tool: BoundTool, settings: HttpSettings) -> bool:
    """Whether nothing but the tool has to do with its POSTs: no guard or option of its route of the user's."""
    is_described_only = _DESCRIBING.issuperset(tool.options.post_route_opts)
    return is_described_only and not settings.guards and not tool.signature.wants_transport_request


class ToolApp(Litestar):
    """Answers the POSTs of tools beside Litestar's request pipeline, which costs twice as much as the rest of a job.

    All else, and all POSTs where the user has a say in requests (middleware, guards, hooks), goes through Litestar. The
    `Door` is in front of both.

    Args:
        take_turn: Gives what a request waits for, if there are many at once; the probes of health do not.
        posts: By path, for tools with a short way.
        settings: Of the HTTP side.
        lasting_paths: Of GETs whose answers caches may keep.
        options: As for `Litestar`.
    """

    def __init__(
        self,
        *,
        take_turn: Callable[[], Awaitable[None] | None],
        posts: Mapping[str, ToolPost],
        settings: HttpSettings,
        lasting_paths: frozenset[str],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._take_turn = take_turn
        self._posts = posts
        self._door = Door(settings, lasting_paths, self._has_route)
        self._patterns: list[re.Pattern[str]] = []
        handlers = self.exception_handlers
        others = [kind for kind in handlers if kind not in EXCEPTION_HANDLERS]
        # Litestar adds one for Starlette's exceptions by itself, where that is installed
        self._is_ours_alone = (
            not any(getattr(self, name) for name in _HOOKS)
            and all(handlers[kind] is ours for kind, ours in EXCEPTION_HANDLERS.items())
            and all(getattr(kind, "__module__", "").startswith("starlette.") for kind in others)
        )

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """The ASGI app."""
        if scope["type"] != _HTTP:
            await super().__call__(scope, receive, send)
            return
        request, receive = cast("HTTPScope", scope), cast("Receive", receive)
        if (turn := self._take_turn()) is not None and not request["path"].endswith(HEALTH_PATHS):
            await turn
        refusal, send = self._door.enter(request, cast("Send", send), self)
        if refusal is not None:
            await refusal(request, receive, send)
            return
        if request["method"] == "POST":
            path = request["path"].removeprefix(request.get("root_path", ""))
            post = self._posts.get(path)
            # hooks of this one kind may be added while the app runs
            if post is not None and self._is_ours_alone and not self.before_send and _is_plain(request):
                request["path"] = path
                await self._answer(post, request, receive, send)
                return
        await super().__call__(request, receive, send)

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
