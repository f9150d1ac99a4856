"""The Litestar app of a server of its own, with a short way for the POSTs of tools and of MCP."""

import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import ivcap_service
from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.config.compression import CompressionConfig
from litestar.plugins import InitPlugin
from litestar.types import (
    ASGIApp,
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
from lambda_kit.adapters.http.mcp_door import MCP_PATH
from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.public_place import own_path
from lambda_kit.adapters.http.route_templates import RouteTemplates, is_probe
from lambda_kit.adapters.http.routes import EXCEPTION_HANDLERS
from lambda_kit.adapters.http.security import security_schemes
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import HEALTH_PATHS, openapi_config, openapi_routes
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

_STREAMS = ["^/jobs/[^/]+/events$", f"{MCP_PATH}/?$"]
"""Patterns of paths."""

_HTTP: Any = "http"

_OBSERVED: Any = "lambda_kit.observed"
"""In the scope of a request that has come here by `HttpSettings.around_request`."""

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
    entries: Mapping[str, ASGIApp],
) -> "ToolApp":
    """Make the app of a server of its own.

    Args:
        jobs: Runs the tools' jobs.
        settings: Of the HTTP side.
        service: Who offers the tools.
        version: The version of the service.
        plugin: Brings the routes of tools and jobs, health and metrics.
        hooks: What the user adds.
        entries: By path, what answers the POSTs of other adapters' routes where nobody has a say in them. It sends
            nothing if it raises; that is answered as for all routes.
    """
    tools = jobs.tools.values()
    document = ServedDocument(security_schemes(settings, tools))
    return ToolApp(
        take_turn=jobs.request_turn,
        posts={tool.path: ToolPost(tool, jobs, settings) for tool in tools if _has_short_way(tool, settings)},
        entries=entries,
        settings=settings,
        lasting_paths=frozenset(["/openapi.json", "/api", "/api/openapi.json", *(tool.path for tool in tools)]),
        route_handlers=[openapi_routes(document, settings)],
        plugins=[plugin],
        openapi_config=openapi_config(service, version, document, settings),
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
    return replace(config, exclude=[*([given] if isinstance(given, str) else given), *_STREAMS])


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
        entries: By path, the apps of routes with a short way; there may be more of them later.
        settings: Of the HTTP side.
        lasting_paths: Of GETs whose answers caches may keep.
        options: As for `Litestar`.
    """

    def __init__(
        self,
        *,
        take_turn: Callable[[], Awaitable[None] | None],
        posts: Mapping[str, ToolPost],
        entries: Mapping[str, ASGIApp],
        settings: HttpSettings,
        lasting_paths: frozenset[str],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._take_turn = take_turn
        self._posts = posts
        self._entries = entries
        self._settings = settings
        self._templates = RouteTemplates(lambda: self.routes)
        self._door = Door(settings, lasting_paths, lambda path: self._templates.find(path) is not None)
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
        around = self._settings.around_request
        if around is not None and _OBSERVED not in scope and not is_probe(request, self._settings.root_path):
            cast("dict[str, Any]", scope)[_OBSERVED] = True
            await around(self, request, receive, send, lambda: self._templates.find(own_path(request, self)))
            return
        if (turn := self._take_turn()) is not None and not request["path"].endswith(HEALTH_PATHS):
            await turn
        refusal, send = self._door.enter(request, cast("Send", send), self)
        if refusal is not None:
            await refusal(request, receive, send)
            return
        if request["method"] == "POST":
            path = request["path"].removeprefix(request.get("root_path", ""))
            post, entry = self._posts.get(path), self._entries.get(path)
            if (post is not None or entry is not None) and self._has_no_hooks and _is_plain(request):
                request["path"] = path
                if post is not None:
                    await self._answer(post, request, receive, send)
                    return
                if entry is not None and not self._settings.guards:
                    await self._pass_to(entry, request, receive, send)
                    return
        await super().__call__(request, receive, send)

    @staticmethod
    def _patch_opentelemetry_middleware(config: AppConfig) -> AppConfig:
        # Litestar's own loads OpenTelemetry; needed only by those who have imported Litestar's plugin for it
        if "litestar.plugins.opentelemetry" in sys.modules:
            return Litestar._patch_opentelemetry_middleware(config)
        return config

    @property
    def _has_no_hooks(self) -> bool:
        return self._is_ours_alone and not self.before_send  # of this one kind some may be added while the app runs

    async def _answer(self, post: ToolPost, scope: HTTPScope, receive: Receive, send: Send) -> None:
        scope["litestar_app"] = self
        try:
            answer: Any = await post.answer(scope, receive)
        except Exception as error:  # noqa: BLE001 - all of them leave through the one table
            answer = self._error_answer(error, scope, receive, send)
        await answer(scope, receive, send)

    async def _pass_to(self, entry: ASGIApp, scope: HTTPScope, receive: Receive, send: Send) -> None:
        scope["litestar_app"] = self
        try:
            await entry(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - as above
            await self._error_answer(error, scope, receive, send)(scope, receive, send)

    def _error_answer(self, error: Exception, scope: HTTPScope, receive: Receive, send: Send) -> ASGIApp:
        scope["app"] = self
        scope.setdefault("state", {})
        scope["path_template"] = scope["path"]
        request: Request[Any, Any, Any] = Request(scope, receive=receive, send=send)
        return on_exception(request, error).to_asgi_response(app=None, request=request)


def _is_plain(scope: HTTPScope) -> bool:
    """Whether there is nothing odd about its Host, which Litestar would look at."""
    for name, value in scope["headers"]:
        if name == b"host":
            return _PLAIN_HOST.fullmatch(value) is not None
    return True
